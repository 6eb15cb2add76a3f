"""The door that Prosody alone comes to, over loopback or HTTPS, with the shared secret: may this
person sign in, and may those who have still be there (xmpp/prosody/mod_auth_cardsite.lua)?

To everybody else there is no such door.
"""

import ipaddress
from typing import Any

from django.conf import settings
from django.http import Http404, HttpRequest
from django.http.response import HttpResponseBase
from django.urls import path
from django.utils.crypto import constant_time_compare
from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from xmpp import sessions

PEOPLE_AT_ONCE = 1000
SESSIONS_OF_ONE = 1000


class SignInSerializer(serializers.Serializer[Any]):
    username = serializers.CharField(max_length=64)
    password = serializers.CharField(max_length=1024, trim_whitespace=False)
    address = serializers.IPAddressField()


class PersonSerializer(serializers.Serializer[Any]):
    """One that Prosody knows, and what each of their sessions was begun with."""

    username = serializers.CharField(max_length=1023)
    person = serializers.CharField(max_length=64)
    keys = serializers.ListField(
        child=serializers.CharField(max_length=200), max_length=SESSIONS_OF_ONE
    )


class SignedInSerializer(serializers.Serializer[Any]):
    people = serializers.ListField(child=PersonSerializer(), max_length=PEOPLE_AT_ONCE)


def is_prosody(request: HttpRequest) -> bool:
    said = request.headers.get("Authorization", "")
    known = constant_time_compare(said, f"Bearer {settings.XMPP_SECRET}")
    return bool(known and settings.XMPP_SECRET and (request.is_secure() or is_near(request)))


def is_near(request: HttpRequest) -> bool:
    try:
        return ipaddress.ip_address(request.META.get("REMOTE_ADDR", "")).is_loopback
    except ValueError:
        return False


@extend_schema(exclude=True)
class Door(APIView):
    authentication_classes = ()
    permission_classes = ()
    http_method_names = ["post"]

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if not is_prosody(request):
            raise Http404
        return super().dispatch(request, *args, **kwargs)


class SignInView(Door):
    def post(self, request: Request) -> Response:
        form = SignInSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        given = form.validated_data
        # From here on it comes from where the person sits, for all that counts failures.
        request._request.META["REMOTE_ADDR"] = given["address"]
        session = sessions.sign_in(request._request, given["username"], given["password"])
        if session is None:
            return Response(status=status.HTTP_403_FORBIDDEN)
        return Response(session._asdict())


class SignedInView(Door):
    def post(self, request: Request) -> Response:
        form = SignedInSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        people = [sessions.Known(**each) for each in form.validated_data["people"]]
        gone, ended = sessions.look_at(people)
        return Response(
            {"gone": gone, "ended": [{"username": name, "keys": ended[name]} for name in ended]}
        )


urlpatterns = [
    path("sign-in", SignInView.as_view(), name="xmpp-sign-in"),
    path("signed-in", SignedInView.as_view(), name="xmpp-signed-in"),
]
