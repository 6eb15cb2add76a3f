"""REST: signing up, in and out; the person; the person's devices."""

import logging
import zoneinfo
from typing import Any, cast

from allauth.account.models import EmailAddress
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.db.models import Q, QuerySet
from django.urls import path
from django.utils.translation import get_language, gettext_lazy
from django.utils.translation import gettext as _
from drf_spectacular.utils import extend_schema
from rest_framework import generics, serializers, status
from rest_framework.exceptions import PermissionDenied
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts import credentials, devices, second_step
from accounts.models import AppPassword, Device, User

TAKEN = gettext_lazy("Somebody has signed up with this address.")
NOT_APPLES = gettext_lazy("This is not an APNs token.")

logger = logging.getLogger(__name__)


class UserSerializer(serializers.ModelSerializer[User]):
    class Meta:
        model = User
        fields = ["username", "email", "name", "language", "time_zone"]
        read_only_fields = ["email"]

    def validate_time_zone(self, zone: str) -> str:
        if zone not in zoneinfo.available_timezones():
            raise serializers.ValidationError(_("This time zone is not known."))
        return zone

    def update(self, user: User, changes: dict[str, Any]) -> User:
        for name, value in changes.items():
            setattr(user, name, value)
        try:
            # These columns alone: an erasure since the row was read must not be undone.
            user.save(update_fields=[*changes])
        except IntegrityError as error:
            raise serializers.ValidationError(
                {"username": _("Somebody has taken this username just now.")}
            ) from error
        return user


class DeviceSerializer(serializers.ModelSerializer[Device]):
    push_token = serializers.CharField(
        max_length=4096, required=False, allow_blank=True, write_only=True
    )
    current = serializers.SerializerMethodField()

    class Meta:
        model = Device
        fields = [
            "id",
            "platform",
            "name",
            "push_token",
            "current",
            "created_at",
            "last_seen_at",
        ]
        read_only_fields = ["platform"]

    def validate_push_token(self, push_token: str) -> str:
        assert self.instance  # noqa: S101  (only signing in makes devices)
        if not fits(push_token, self.instance.platform):
            raise serializers.ValidationError(NOT_APPLES)
        return push_token

    def get_current(self, device: Device) -> bool:
        """Whether this is the device that asks."""
        request = self.context.get("request")
        return request is not None and request.auth == device

    def update(self, device: Device, changes: dict[str, Any]) -> Device:
        with transaction.atomic():
            if "name" in changes:
                device.name = changes["name"]
                # This column alone: a revocation since the row was read must not be undone.
                device.save(update_fields=["name"])
            if "push_token" in changes:
                devices.register_push_token(device, changes["push_token"])
        return device


def fits(push_token: str, platform: str) -> bool:
    """Apple's tokens are at most 100 bytes, in hexadecimal; the column holds 200 characters."""
    return platform != Device.Platform.IOS or len(push_token) <= 200


# What an app may call itself; a browser becomes a device on its own page, an address of XMPP by
# signing in there.
OF_ITS_OWN = (Device.Platform.BROWSER, Device.Platform.XMPP)
APPS = [each for each in Device.Platform.choices if each[0] not in OF_ITS_OWN]


class TerminalSerializer(serializers.Serializer[Any]):
    """The device as it presents itself when somebody signs in on it."""

    platform = serializers.ChoiceField(choices=APPS)
    identifier = serializers.CharField(max_length=256, min_length=8)
    name = serializers.CharField(max_length=100, allow_blank=True, default="")
    push_token = serializers.CharField(max_length=4096, allow_blank=True, default="")

    def validate(self, terminal: dict[str, Any]) -> dict[str, Any]:
        if not fits(terminal["push_token"], terminal["platform"]):
            raise serializers.ValidationError({"push_token": NOT_APPLES})
        return terminal


class NewcomerSerializer(serializers.Serializer[Any]):
    email = serializers.EmailField(max_length=254)
    password = serializers.CharField(max_length=1024, trim_whitespace=False)
    device = TerminalSerializer()


class CredentialsSerializer(NewcomerSerializer):
    code = serializers.CharField(
        max_length=64,
        default="",
        allow_blank=True,
        help_text="Of the authenticator app, or a recovery code, where a second step is asked for.",
    )


class SignUpSerializer(NewcomerSerializer):
    name = serializers.CharField(max_length=200)

    def validate_email(self, email: str) -> str:
        email = email.lower()
        confirmed = Q(emailaddress__email=email, emailaddress__verified=True)
        if User.objects.filter(Q(email=email) | confirmed).exists():
            raise serializers.ValidationError(TAKEN)
        return email

    def validate(self, form: dict[str, Any]) -> dict[str, Any]:
        try:
            validate_password(form["password"], User(email=form["email"], name=form["name"]))
        except ValidationError as error:
            raise serializers.ValidationError({"password": error.messages}) from error
        return form


class SessionSerializer(serializers.Serializer[Any]):
    """A device that has just been signed in. The token is shown only here."""

    token = serializers.CharField()
    device = DeviceSerializer()
    user = UserSerializer()


def signed_in(request: Request, user: User, terminal: dict[str, Any]) -> Response:
    device, token = devices.sign_in(user, **terminal)
    session = {"token": token, "device": device, "user": user}
    return Response(
        SessionSerializer(session, context={"request": request}).data,
        status=status.HTTP_201_CREATED,
    )


class SignUpView(APIView):
    authentication_classes = ()
    permission_classes = (AllowAny,)
    throttle_scope = "sign-up"

    @extend_schema(request=SignUpSerializer, responses={201: SessionSerializer})
    def post(self, request: Request) -> Response:
        """Make an account, and sign this device in."""
        form = SignUpSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        person = form.validated_data
        try:
            with transaction.atomic():
                user = User.objects.create_user(
                    person["email"],
                    person["password"],
                    name=person["name"],
                    username=User.objects.free_username(person["name"]),
                    language=get_language(),
                )
                address = EmailAddress.objects.create(user=user, email=user.email, primary=True)
                response = signed_in(request, user, person["device"])
        except IntegrityError as error:  # signed up twice at once
            raise serializers.ValidationError({"email": TAKEN}) from error
        address.send_confirmation(request._request, signup=True)
        return response


def take_second_step(user: User, code: str) -> None:
    """Raises ValidationError if one is asked of this person and the code does not do."""
    if not second_step.is_asked_of(user):
        return
    if not code:
        needed = _("Send the code of the authenticator app, or sign in with an app password.")
        raise serializers.ValidationError({"code": needed}, code="required")
    if problems := second_step.problems_with(code, user):
        raise serializers.ValidationError({"code": problems})


class SessionView(APIView):
    throttle_scope = "sign-in"

    def get_authenticators(self) -> list[Any]:
        # Signing in needs no token, and an old one that has died must not be in the way.
        return [] if self.signs_in() else super().get_authenticators()

    def get_permissions(self) -> Any:
        return [AllowAny()] if self.signs_in() else super().get_permissions()

    def signs_in(self) -> bool:
        # The schema is made from views without a request.
        request = cast(Request | None, self.request)
        return request is not None and request.method == "POST"

    @extend_schema(request=CredentialsSerializer, responses={201: SessionSerializer}, auth=[])
    def post(self, request: Request) -> Response:
        """Sign this device in."""
        form = CredentialsSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        given = form.validated_data
        email, password = given["email"].lower(), given["password"]
        user = AppPassword.objects.person_with(email, password)
        if user is None:
            user = credentials.person_with(request._request, email, password)
            if user is None:
                raise serializers.ValidationError(_("The address or the password is wrong."))
            take_second_step(user, given["code"])
        return signed_in(request, user, given["device"])

    @extend_schema(request=None, responses={204: None})
    def delete(self, request: Request) -> Response:
        """Sign this device out: its token dies, its socket closes, nothing more is sent to it."""
        if not isinstance(request.auth, Device):
            raise PermissionDenied(_("Only a device can sign itself out here."))
        devices.revoke(request.auth)
        return Response(status=status.HTTP_204_NO_CONTENT)


class MeView(generics.RetrieveUpdateAPIView[User]):
    serializer_class = UserSerializer
    http_method_names = ["get", "patch", "head", "options"]

    def get_object(self) -> User:
        return cast(User, self.request.user)


class OwnDevices(generics.GenericAPIView[Device]):
    queryset = Device.objects.none()
    serializer_class = DeviceSerializer

    def get_queryset(self) -> QuerySet[Device]:
        return (
            Device.objects.active()
            .filter(user=cast(User, self.request.user))
            .select_related(*Device.WAYS)
        )


class DeviceListView(OwnDevices, generics.ListAPIView[Device]):
    """The devices that this person is signed in on."""


class DeviceView(OwnDevices, generics.RetrieveUpdateDestroyAPIView[Device]):
    http_method_names = ["get", "patch", "delete", "head", "options"]

    def perform_destroy(self, device: Device) -> None:
        devices.revoke(device)


urlpatterns = [
    path("signup", SignUpView.as_view(), name="api-signup"),
    path("session", SessionView.as_view(), name="api-session"),
    path("me", MeView.as_view(), name="api-me"),
    path("devices", DeviceListView.as_view(), name="api-devices"),
    path("devices/<uuid:pk>", DeviceView.as_view(), name="api-device"),
]
