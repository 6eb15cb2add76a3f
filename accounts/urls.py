"""Pages of a person's own account that django-allauth does not have."""

from django.urls import path

from accounts import views

urlpatterns = [
    path("settings/", views.personal_settings, name="settings"),
    path("devices/", views.device_list, name="devices"),
    path("devices/notify/", views.notify, name="notify"),
    path("devices/notify/stop/", views.do_not_notify, name="notify-stop"),
    path("devices/<uuid:pk>/sign-out/", views.sign_out_device, name="device-sign-out"),
]
