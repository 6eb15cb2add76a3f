"""What the API of bindings reads and writes: each side sees its own, and only that."""

from typing import Any, cast

from django.db.models import QuerySet
from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers
from rest_framework.request import Request as HttpRequest

from accounts.models import Circle, User
from bindings import exchange, keeping
from bindings.models import Binding, Block, Invitation, Request
from cards.models import Card
from cards.serializers import CirclesField, ViewSerializer

WEEK = 7 * 24 * 3600
YEAR = 365 * 24 * 3600


def user_of(request: HttpRequest) -> User:
    return cast(User, request.user)


class PersonSerializer(serializers.ModelSerializer[User]):
    class Meta:
        model = User
        fields = ["username", "name"]


@extend_schema_field(OpenApiTypes.UUID)
class OwnCardField(serializers.PrimaryKeyRelatedField[Card]):
    """A card of the person who asks; any other is unknown."""

    def get_queryset(self) -> QuerySet[Card]:
        return Card.objects.kept().filter(owner=user_of(self.context["request"]))


def side_of(binding: Binding, request: HttpRequest) -> str:
    return "owner" if binding.card.owner_id == user_of(request).pk else "holder"


class BindingSerializer(serializers.ModelSerializer[Binding]):
    """A binding as one of its sides sees it: a holder gets the view and their own notes, an owner
    the circles that were granted. Neither ever gets the other's."""

    side = serializers.ChoiceField(choices=["holder", "owner"])
    state = serializers.ChoiceField(choices=["active", "ended"])
    card = serializers.DictField()
    owner = PersonSerializer(required=False)
    holder = PersonSerializer(required=False)
    circles = CirclesField(required=False)
    approved_rev = serializers.IntegerField(required=False, allow_null=True)
    private_rev = serializers.IntegerField(required=False)

    class Meta:
        model = Binding
        fields = [
            "id",
            "side",
            "state",
            "card",
            "owner",
            "holder",
            "circles",
            "nickname",
            "note",
            "tags",
            "asks",
            "approved_rev",
            "private_rev",
            "created_at",
        ]

    def to_representation(self, binding: Binding) -> dict[str, Any]:
        side = side_of(binding, self.context["request"])
        return {
            "id": str(binding.pk),
            "side": side,
            "state": "active" if binding.is_active else "ended",
            "created_at": serializers.DateTimeField().to_representation(binding.created_at),
            **(self.for_owner(binding) if side == "owner" else self.for_holder(binding)),
        }

    def for_owner(self, binding: Binding) -> dict[str, Any]:
        return {
            "card": {"id": str(binding.card_id), "rev": binding.card.rev, "fn": binding.card.fn},
            "holder": PersonSerializer(binding.holder).data,
            "circles": binding.view.circles,
        }

    def for_holder(self, binding: Binding) -> dict[str, Any]:
        return {
            "card": {
                "id": str(binding.card_id),
                "rev": binding.followed_rev,
                **binding.card.visible_to(binding.view.circles),
            },
            "owner": PersonSerializer(binding.card.owner).data,
            "nickname": binding.nickname,
            "note": binding.note,
            "tags": binding.tags,
            "asks": binding.asks,
            "approved_rev": binding.approved_rev if binding.asks_first else None,
            "private_rev": binding.private_rev,
        }


class ExchangedSerializer(serializers.Serializer[Any]):
    """Both bindings of an exchange: the card that was taken, and one's own that was given."""

    binding = BindingSerializer()
    given = BindingSerializer()


class OfferSerializer(serializers.Serializer[Any]):
    """The card that one gives, and the circles through which it is seen."""

    card = OwnCardField()
    circles = CirclesField(default=list)


class CircleSerializer(serializers.ModelSerializer[Circle]):
    class Meta:
        model = Circle
        fields = ["id", "name", "created_at"]


class InvitationSerializer(serializers.ModelSerializer[Invitation]):
    open = serializers.BooleanField(source="is_open", read_only=True)

    class Meta:
        model = Invitation
        fields = ["id", "card", "circles", "uses", "used", "open", "created_at", "expires_at"]


class NewInvitationSerializer(OfferSerializer):
    expires_in = serializers.IntegerField(min_value=60, max_value=YEAR, default=WEEK)
    uses = serializers.IntegerField(min_value=1, max_value=100_000, default=1)


class InvitationWithCodeSerializer(InvitationSerializer):
    """The only time that the code is shown."""

    code = serializers.CharField()
    url = serializers.URLField()
    qr_svg = serializers.CharField(help_text="an SVG document")
    qr_png = serializers.CharField(help_text="a data: URI")

    class Meta(InvitationSerializer.Meta):
        fields = [*InvitationSerializer.Meta.fields, "code", "url", "qr_svg", "qr_png"]


class PreviewSerializer(serializers.Serializer[Any]):
    """What whoever brings the code would hold."""

    owner = PersonSerializer()
    view = ViewSerializer()
    expires_at = serializers.DateTimeField()


class RequestSerializer(serializers.ModelSerializer[Request]):
    """A request as one of its sides sees it. To its sender it is waiting until it is accepted or
    runs out: a declined one looks like one that nobody has answered."""

    sender = PersonSerializer()
    incoming = serializers.SerializerMethodField()
    state = serializers.SerializerMethodField()
    view = serializers.SerializerMethodField()

    class Meta:
        model = Request
        fields = [
            "id",
            "incoming",
            "state",
            "sender",
            "to",
            "card",
            "message",
            "view",
            "created_at",
            "expires_at",
        ]

    def get_incoming(self, asked: Request) -> bool:
        return asked.sender_id != user_of(self.context["request"]).pk

    @extend_schema_field(serializers.ChoiceField(["waiting", "accepted", "declined", "expired"]))
    def get_state(self, asked: Request) -> str:
        if asked.accepted:
            return "accepted"
        if self.get_incoming(asked) and asked.decided_at:
            return "declined"
        return "waiting" if timezone.now() < asked.expires_at else "expired"

    @extend_schema_field(ViewSerializer(allow_null=True))
    def get_view(self, asked: Request) -> dict[str, Any] | None:
        """What is offered, for as long as it can be taken."""
        if self.get_incoming(asked) and self.get_state(asked) != "waiting":
            return None
        return asked.card.visible_to(asked.circles)


class NewRequestSerializer(OfferSerializer):
    to = serializers.CharField(max_length=254)
    message = serializers.CharField(max_length=500, allow_blank=True, default="")


class HolderChangeSerializer(serializers.ModelSerializer[Binding]):
    tags = serializers.ListField(child=serializers.CharField(max_length=100), max_length=100)
    approved_rev = serializers.IntegerField(min_value=1, max_value=2**63 - 1)

    class Meta:
        model = Binding
        fields = ["nickname", "note", "tags", "asks", "approved_rev"]

    def update(self, binding: Binding, changes: dict[str, Any]) -> Binding:
        keeping.keep(binding, changes)
        return binding


class AskingSerializer(serializers.Serializer[Any]):
    """For all cards that one holds."""

    asks = serializers.BooleanField()


class OwnerChangeSerializer(serializers.Serializer[Binding]):
    circles = CirclesField()

    def update(self, binding: Binding, changes: dict[str, Any]) -> Binding:
        return exchange.regrant(binding, changes["circles"])


class BlockSerializer(serializers.ModelSerializer[Block]):
    person = PersonSerializer(source="blocked", read_only=True)
    username = serializers.CharField(write_only=True)

    class Meta:
        model = Block
        fields = ["id", "person", "username", "created_at"]
