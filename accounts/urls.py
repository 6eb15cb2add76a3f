"""Pages of a person's own account that django-allauth does not have."""

from allauth.account.views import PasswordResetView
from django.conf import settings
from django.urls import path

from accounts import views

sends_mail = {"sends_mail": settings.SENDS_MAIL}

urlpatterns = [
    path(
        "password/reset/",
        PasswordResetView.as_view(extra_context=sends_mail),
        name="account_reset_password",
    ),
    path("settings/", views.personal_settings, name="settings"),
    path("devices/", views.device_list, name="devices"),
    path("devices/notify/", views.notify, name="notify"),
    path("devices/notify/stop/", views.do_not_notify, name="notify-stop"),
    path("devices/<uuid:pk>/sign-out/", views.sign_out_device, name="device-sign-out"),
    path("browsers/<int:pk>/sign-out/", views.sign_out_browser, name="browser-sign-out"),
    path("browsers/sign-out/", views.sign_out_others, name="browsers-sign-out"),
    path("app-passwords/", views.app_password_list, name="app-passwords"),
    path("app-passwords/<uuid:pk>/delete/", views.delete_app_password, name="app-password-delete"),
]
