"""REST: circles, invitations, requests, bindings, blocks, and erasing oneself."""

from datetime import timedelta
from typing import Any, cast
from uuid import UUID

import segno
from django.db import IntegrityError, transaction
from django.db.models import Q, QuerySet
from django.http import Http404
from django.urls import path, reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from drf_spectacular.utils import OpenApiParameter, extend_schema, inline_serializer
from rest_framework import generics, serializers, status
from rest_framework.exceptions import PermissionDenied
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request as HttpRequest
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.idempotency import idempotent
from accounts.models import Circle, User
from bindings import exchange, keeping
from bindings.access import known_to
from bindings.models import Binding, Block, Invitation, Request
from bindings.serializers import (
    AskingSerializer,
    BindingSerializer,
    BlockSerializer,
    CircleSerializer,
    ExchangedSerializer,
    HolderChangeSerializer,
    InvitationSerializer,
    InvitationWithCodeSerializer,
    NewInvitationSerializer,
    NewRequestSerializer,
    OfferSerializer,
    OwnerChangeSerializer,
    PreviewSerializer,
    RequestSerializer,
    side_of,
    user_of,
)
from cards.renderers import FORMS, JCardRenderer, VCardRenderer, XCardRenderer

# Circles


class OwnCircles(generics.GenericAPIView[Circle]):
    queryset = Circle.objects.none()
    serializer_class = CircleSerializer

    def get_queryset(self) -> QuerySet[Circle]:
        return Circle.objects.filter(owner=user_of(self.request))

    def save(self, form: serializers.BaseSerializer[Circle], **fields: Any) -> None:
        try:
            with transaction.atomic():
                form.save(**fields)
        except IntegrityError as error:
            raise serializers.ValidationError(
                {"name": _("You have a circle of this name.")}
            ) from error


class CircleListView(OwnCircles, generics.ListCreateAPIView[Circle]):
    post = idempotent(generics.ListCreateAPIView.post)

    def perform_create(self, form: serializers.BaseSerializer[Circle]) -> None:
        self.save(form, owner=user_of(self.request))


class CircleView(OwnCircles, generics.RetrieveUpdateDestroyAPIView[Circle]):
    http_method_names = ["get", "patch", "delete", "head", "options"]

    def perform_update(self, form: serializers.BaseSerializer[Circle]) -> None:
        self.save(form)

    def perform_destroy(self, circle: Circle) -> None:
        exchange.drop_circle(circle)


# Invitations


def ways_in(request: Any, code: str) -> dict[str, str]:
    """The code as it is typed, as a link, and as a QR."""
    url = request.build_absolute_uri(reverse("invitation", args=[code]))
    qr = segno.make(url, error="m")
    return {
        "code": Invitation.shown(code),
        "url": url,
        "qr_svg": qr.svg_inline(border=4, omitsize=True),
        "qr_png": qr.png_data_uri(scale=6, border=4),
    }


class OwnInvitations(generics.GenericAPIView[Invitation]):
    queryset = Invitation.objects.none()
    serializer_class = InvitationSerializer

    def get_queryset(self) -> QuerySet[Invitation]:
        return Invitation.objects.filter(
            card__owner=user_of(self.request), card__retired_at=None, revoked_at=None
        )


class InvitationListView(OwnInvitations, generics.ListAPIView[Invitation]):
    @extend_schema(request=NewInvitationSerializer, responses={201: InvitationWithCodeSerializer})
    @idempotent
    def post(self, request: HttpRequest) -> Response:
        """Offer a card to whoever brings the code."""
        form = NewInvitationSerializer(data=request.data, context={"request": request})
        form.is_valid(raise_exception=True)
        given = form.validated_data
        invitation, code = exchange.invite(
            given["card"],
            circles=given["circles"],
            lifetime=timedelta(seconds=given["expires_in"]),
            uses=given["uses"],
        )
        body = {**InvitationSerializer(invitation).data, **ways_in(request, code)}
        return Response(body, status=status.HTTP_201_CREATED)


class InvitationView(OwnInvitations):
    """One path, two names of an invitation: its id for the owner, its code for who brings it."""

    def get_throttles(self) -> list[Any]:
        self.throttle_scope = "code" if self.request.method == "GET" else None
        return super().get_throttles()

    @extend_schema(responses=PreviewSerializer)
    def get(self, request: HttpRequest, code: str) -> Response:
        """What is offered, before accepting it. 404 if the code opens nothing."""
        invitation = invitation_with(code, user_of(request))
        offered = {
            "owner": invitation.card.owner,
            "view": invitation.card.visible_to(invitation.circles),
            "expires_at": invitation.expires_at,
        }
        return Response(PreviewSerializer(offered).data)

    @extend_schema(responses={204: None})
    def delete(self, request: HttpRequest, code: str) -> Response:
        """Take the offer back. Who has accepted it keeps the card."""
        own = self.get_queryset()
        if not own.filter(pk=as_uuid(code)).update(revoked_at=timezone.now()):
            raise Http404
        return Response(status=status.HTTP_204_NO_CONTENT)


def as_uuid(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError as error:
        raise Http404 from error


def invitation_with(code: str, person: User) -> Invitation:
    try:
        return exchange.find_invitation(code, person)
    except exchange.Gone as error:
        raise Http404 from error


class AcceptInvitationView(APIView):
    throttle_scope = "code"

    @extend_schema(request=OfferSerializer, responses={201: ExchangedSerializer})
    @idempotent
    def post(self, request: HttpRequest, code: str) -> Response:
        """Take the offered card and give back one's own. Both are bound, or neither."""
        offer = offered(request)
        try:
            exchanged = exchange.accept_invitation(code, user_of(request), **offer)
        except exchange.Gone as error:
            raise Http404 from error
        return bound(request, exchanged)


def offered(request: HttpRequest) -> dict[str, Any]:
    form = OfferSerializer(data=request.data, context={"request": request})
    form.is_valid(raise_exception=True)
    return cast(dict[str, Any], form.validated_data)


def bound(request: HttpRequest, exchanged: exchange.Exchanged) -> Response:
    made = {"binding": exchanged.held, "given": exchanged.given}
    body = ExchangedSerializer(made, context={"request": request}).data
    return Response(body, status=status.HTTP_201_CREATED)


# Requests


class RequestListView(generics.ListAPIView[Request]):
    queryset = Request.objects.none()
    serializer_class = RequestSerializer

    def get_throttles(self) -> list[Any]:
        self.throttle_scope = "request" if self.request.method == "POST" else None
        return super().get_throttles()

    def get_queryset(self) -> QuerySet[Request]:
        me = user_of(self.request)
        mine = Q(sender=me) | Q(recipient=me)
        return Request.objects.filter(mine, card__retired_at=None).select_related("sender", "card")

    @extend_schema(request=NewRequestSerializer, responses={201: RequestSerializer})
    @idempotent
    def post(self, request: HttpRequest) -> Response:
        """Ask somebody for their card. The answer is the same whether or not there is anybody."""
        form = NewRequestSerializer(data=request.data, context={"request": request})
        form.is_valid(raise_exception=True)
        asked = exchange.ask(user_of(request), **form.validated_data)
        body = RequestSerializer(asked, context={"request": request}).data
        return Response(body, status=status.HTTP_201_CREATED)


def received(request: HttpRequest, pk: Any) -> Request:
    return generics.get_object_or_404(
        Request.objects.waiting().select_related("sender", "recipient"),
        pk=pk,
        recipient=user_of(request),
    )


class RequestView(generics.DestroyAPIView[Request]):
    """Take back what one has asked."""

    queryset = Request.objects.none()
    serializer_class = RequestSerializer

    def get_queryset(self) -> QuerySet[Request]:
        return Request.objects.filter(sender=user_of(self.request))

    def perform_destroy(self, asked: Request) -> None:
        try:
            exchange.withdraw_request(asked)
        except exchange.Gone as error:
            raise Http404 from error


class AcceptRequestView(APIView):
    @extend_schema(request=OfferSerializer, responses={201: ExchangedSerializer})
    @idempotent
    def post(self, request: HttpRequest, pk: Any) -> Response:
        asked, offer = received(request, pk), offered(request)
        try:
            return bound(request, exchange.accept_request(asked, **offer))
        except exchange.Gone as error:
            raise Http404 from error


class DeclineRequestView(APIView):
    @extend_schema(request=None, responses={204: None})
    def post(self, request: HttpRequest, pk: Any) -> Response:
        """Decline without a word to the sender."""
        try:
            exchange.decline_request(received(request, pk))
        except exchange.Gone as error:
            raise Http404 from error
        return Response(status=status.HTTP_204_NO_CONTENT)


# Bindings


class OwnBindings(generics.GenericAPIView[Binding]):
    queryset = Binding.objects.none()
    serializer_class = BindingSerializer

    def get_queryset(self) -> QuerySet[Binding]:
        me = user_of(self.request)
        sides = {"holder": Q(holder=me), "owner": Q(card__owner=me)}
        either = sides["holder"] | sides["owner"]
        side = self.request.query_params.get("side")
        if side not in (None, *sides):
            raise serializers.ValidationError({"side": _("It is holder or owner.")})
        return Binding.objects.active().complete().filter(sides[side] if side else either)


class BindingListView(OwnBindings, generics.ListAPIView[Binding]):
    @extend_schema(parameters=[OpenApiParameter("side", str, enum=["holder", "owner"])])
    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Response:
        """What one holds (`side=holder`) and who holds one's own (`side=owner`)."""
        return super().get(request, *args, **kwargs)


class BindingView(OwnBindings):
    """A binding; with a vCard type in Accept, the card as its holder sees it."""

    metadata_class = None  # what OPTIONS would answer is no card
    renderer_classes = (JSONRenderer, VCardRenderer, XCardRenderer, JCardRenderer)

    def get_object(self) -> Binding:
        binding = super().get_object()
        if not self.in_json() and side_of(binding, self.request) == "owner":
            raise PermissionDenied(_("Ask for your own card at cards/, not through a binding."))
        return binding

    def in_json(self) -> bool:
        return bool(self.request.accepted_renderer.format == "json")

    def answer(self, binding: Binding) -> Response:
        body = self.get_serializer(binding).data
        return Response(body if self.in_json() else body["card"])

    @extend_schema(responses={(200, "application/json"): BindingSerializer, **FORMS})
    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Response:
        return self.answer(self.get_object())

    @extend_schema(
        request=inline_serializer(
            "BindingChange",
            {
                "circles": serializers.ListField(required=False, help_text="as the owner"),
                "nickname": serializers.CharField(required=False, help_text="as the holder"),
                "note": serializers.CharField(required=False, help_text="as the holder"),
                "tags": serializers.ListField(required=False, help_text="as the holder"),
                "asks": serializers.BooleanField(
                    required=False, allow_null=True, help_text="as the holder"
                ),
                "approved_rev": serializers.IntegerField(
                    required=False, min_value=1, help_text="as the holder"
                ),
            },
        ),
        responses={(200, "application/json"): BindingSerializer, **FORMS},
    )
    def patch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Response:
        """As the owner: the circles. As the holder: nickname, note and tags, whether to be asked
        before a change is applied, and the rev that was taken over. The owner sees none of it."""
        binding = self.get_object()
        owner = side_of(binding, request) == "owner"
        form_class = OwnerChangeSerializer if owner else HolderChangeSerializer
        refuse_unknown(request, form_class)
        form = form_class(binding, data=request.data, partial=True, context={"request": request})
        form.is_valid(raise_exception=True)
        if form.validated_data:
            try:
                form.save()
            except exchange.Gone as error:
                raise Http404 from error
        return self.answer(self.get_object())

    @extend_schema(responses={204: None})
    def delete(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Response:
        """As the owner: take the card back. As the holder: give it back."""
        binding = self.get_object()
        owner = side_of(binding, request) == "owner"
        (exchange.revoke if owner else exchange.leave)(binding)
        return Response(status=status.HTTP_204_NO_CONTENT)


def refuse_unknown(request: HttpRequest, form_class: Any) -> None:
    """Each side has its own fields here; the other's would be dropped without a word."""
    given = request.data if isinstance(request.data, dict) else {}
    for name in set(given) - set(form_class().fields):
        raise serializers.ValidationError({name: _("This side of the binding cannot change it.")})


# Blocks


class BlockListView(generics.ListAPIView[Block]):
    queryset = Block.objects.none()
    serializer_class = BlockSerializer

    def get_queryset(self) -> QuerySet[Block]:
        return Block.objects.filter(blocker=user_of(self.request)).select_related("blocked")

    @extend_schema(request=BlockSerializer, responses={201: BlockSerializer})
    @idempotent
    def post(self, request: HttpRequest) -> Response:
        """Block somebody: every binding between you ends, and they see what a stranger sees."""
        form = self.get_serializer(data=request.data)
        form.is_valid(raise_exception=True)
        username = form.validated_data["username"].lower()
        blocked = known_to(user_of(request)).filter(username=username).first()
        if blocked is None:
            raise serializers.ValidationError(
                {"username": _("Nobody by this username has to do with you.")}
            )
        made = exchange.block(user_of(request), blocked)
        return Response(self.get_serializer(made).data, status=status.HTTP_201_CREATED)


class BlockView(generics.DestroyAPIView[Block]):
    queryset = Block.objects.none()
    serializer_class = BlockSerializer

    def get_queryset(self) -> QuerySet[Block]:
        return Block.objects.filter(blocker=user_of(self.request))


class AskingView(APIView):
    @extend_schema(responses=AskingSerializer)
    def get(self, request: HttpRequest) -> Response:
        """Whether this person is asked before changes of the cards they hold are applied."""
        return Response({"asks": user_of(request).asks_before_applying})

    @extend_schema(request=AskingSerializer, responses=AskingSerializer)
    def patch(self, request: HttpRequest) -> Response:
        """Choose so, but for the cards for which it is chosen otherwise."""
        form = AskingSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        keeping.ask_about_all(user_of(request), form.validated_data["asks"])
        return Response(form.validated_data)


class EraseView(APIView):
    throttle_scope = "sign-in"

    @extend_schema(
        request=inline_serializer("Erase", {"password": serializers.CharField()}),
        responses={204: None},
    )
    def post(self, request: HttpRequest) -> Response:
        """Erase the account: all cards are taken back, all devices signed out. Not undone."""
        given = request.data.get("password") if isinstance(request.data, dict) else None
        if not isinstance(given, str) or not user_of(request).check_password(given):
            raise serializers.ValidationError({"password": _("The password is wrong.")})
        exchange.erase(user_of(request))
        return Response(status=status.HTTP_204_NO_CONTENT)


urlpatterns = [
    path("me/asking", AskingView.as_view(), name="api-asking"),
    path("me/erase", EraseView.as_view(), name="api-erase"),
    path("circles", CircleListView.as_view(), name="api-circles"),
    path("circles/<uuid:pk>", CircleView.as_view(), name="api-circle"),
    path("invitations", InvitationListView.as_view(), name="api-invitations"),
    path("invitations/<str:code>", InvitationView.as_view(), name="api-invitation"),
    path(
        "invitations/<str:code>/accept",
        AcceptInvitationView.as_view(),
        name="api-accept-invitation",
    ),
    path("requests", RequestListView.as_view(), name="api-requests"),
    path("requests/<uuid:pk>", RequestView.as_view(), name="api-request"),
    path("requests/<uuid:pk>/accept", AcceptRequestView.as_view(), name="api-accept-request"),
    path("requests/<uuid:pk>/decline", DeclineRequestView.as_view(), name="api-decline-request"),
    path("bindings", BindingListView.as_view(), name="api-bindings"),
    path("bindings/<uuid:pk>", BindingView.as_view(), name="api-binding"),
    path("blocks", BlockListView.as_view(), name="api-blocks"),
    path("blocks/<uuid:pk>", BlockView.as_view(), name="api-block"),
]
