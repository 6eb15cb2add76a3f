"""Every door, as where XMPP is turned on."""

from django.urls import include, path

from cardsite.urls import handler400 as handler400
from cardsite.urls import urlpatterns as always

urlpatterns = [*always, path("xmpp/", include("xmpp.door"))]
