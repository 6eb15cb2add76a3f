"""REST: what is pending for a device, saying what it has, and who has what of an owner's card."""

from typing import Any

from django.db.models import QuerySet
from django.urls import path
from django.utils.translation import gettext as _
from drf_spectacular.utils import (
    OpenApiParameter,
    extend_schema,
    extend_schema_field,
    inline_serializer,
)
from rest_framework import generics, serializers, status
from rest_framework.exceptions import PermissionDenied
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.models import Device
from cards.models import Card
from delivery import mailbox, messages
from delivery.models import OfflineMessage

LARGEST_PAGE = 500


class MessageSerializer(serializers.Serializer[Any]):
    """One piece of news; docs/wire.md has every kind with an example."""

    kind = serializers.ChoiceField(choices=["card", "binding", "private", "removed"])
    card = serializers.UUIDField()
    rev = serializers.IntegerField()
    binding = serializers.DictField(required=False)
    view = serializers.DictField(required=False)


class SyncSerializer(serializers.Serializer[Any]):
    epoch = serializers.CharField()
    messages = MessageSerializer(many=True)
    more = serializers.BooleanField()


def device_of(request: Request) -> Device:
    """The device that asks. A browser's session is none: it keeps no copies."""
    if not isinstance(request.auth, Device):
        raise PermissionDenied(_("Only a device can sync. Sign in as one, with POST session."))
    return request.auth


class SyncView(APIView):
    @extend_schema(
        parameters=[OpenApiParameter("limit", int, description="1 to 500; 100 if not given")],
        responses=SyncSerializer,
    )
    def get(self, request: Request) -> Response:
        """What this device has yet to acknowledge, each as it is now, in no order."""
        device = device_of(request)
        limit = limit_in(request)
        [arrival] = mailbox.arrive([device], limit)
        return Response(
            {
                "epoch": arrival.epoch,
                "messages": [said.message for said in arrival.page.said],
                "more": arrival.page.after is not None,
            }
        )


def limit_in(request: Request) -> int:
    field = serializers.IntegerField(min_value=1, max_value=LARGEST_PAGE)
    try:
        return int(field.run_validation(request.query_params.get("limit", "100")))
    except serializers.ValidationError as error:
        raise serializers.ValidationError({"limit": error.detail}) from error


class AckView(APIView):
    @extend_schema(
        request=inline_serializer("Acks", {"acks": serializers.ListField()}),
        responses=inline_serializer("Pending", {"pending": serializers.IntegerField()}),
    )
    def post(self, request: Request) -> Response:
        """Say which revs this device has on disk: `{"acks": [[id, rev], ...]}`."""
        device = device_of(request)
        said = request.data.get("acks") if isinstance(request.data, dict) else None
        try:
            mailbox.hear(dict.fromkeys(messages.acks_in(said), [str(device.pk)]))
        except messages.BadFrame as error:
            raise serializers.ValidationError({"acks": str(error)}) from error
        return Response({"pending": device.messages.pending().count()})


class ResetView(APIView):
    @extend_schema(request=None, responses={204: None})
    def post(self, request: Request) -> Response:
        """This device keeps nothing any more: everything is pending again."""
        mailbox.forget(device_of(request))
        return Response(status=status.HTTP_204_NO_CONTENT)


class DeliverySerializer(serializers.ModelSerializer[OfflineMessage]):
    """What one device of a holder must have and has. Which device that is stays the holder's own
    business; its kind is told."""

    holder = serializers.SerializerMethodField()
    platform = serializers.CharField(source="device.platform")
    pending = serializers.BooleanField(source="is_pending")

    class Meta:
        model = OfflineMessage
        fields = ["holder", "platform", "rev", "acknowledged_rev", "pending", "acknowledged_at"]

    @extend_schema_field(
        inline_serializer(
            "Holder", {"username": serializers.CharField(), "name": serializers.CharField()}
        )
    )
    def get_holder(self, row: OfflineMessage) -> dict[str, str]:
        return messages.person(row.binding.holder)


class DeliveryListView(generics.ListAPIView[OfflineMessage]):
    """Who has which rev of my card, on which kind of device."""

    queryset = OfflineMessage.objects.none()
    serializer_class = DeliverySerializer

    def get_queryset(self) -> QuerySet[OfflineMessage]:
        own = Card.objects.kept().filter(owner=self.request.user.pk)
        card = generics.get_object_or_404(own, pk=self.kwargs["pk"])
        return OfflineMessage.objects.filter(
            subject=card.pk, binding__card=card, binding__ended_at=None, device__revoked_at=None
        ).select_related("binding__holder", "device")


urlpatterns = [
    path("cards/<uuid:pk>/deliveries", DeliveryListView.as_view(), name="api-deliveries"),
    path("sync", SyncView.as_view(), name="api-sync"),
    path("sync/ack", AckView.as_view(), name="api-sync-ack"),
    path("sync/reset", ResetView.as_view(), name="api-sync-reset"),
]
