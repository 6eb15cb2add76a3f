"""Pages of delivery."""

from django.urls import path

from delivery import views

urlpatterns = [
    path("", views.home, name="home"),
    path("news/", views.notified, name="notified"),
    path("cards/<uuid:pk>/reach/", views.card_reach, name="reach"),
    path("offline/copy", views.offline_copy, name="offline-copy"),
]
