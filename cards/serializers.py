"""A card as its owner reads and writes it in JSON, checked by the codec."""

from typing import Any, cast

from django.urls import reverse
from django.utils.translation import gettext as _
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from accounts.models import Circle
from cards import vcard
from cards.models import EVERYONE, PUBLIC, Card


class CirclesField(serializers.ListField):
    """Who may see something: `[]` nobody, `["*"]` everyone who holds the card, `["public"]` whoever
    opens its public page, or circle ids."""

    child = serializers.CharField(max_length=64)

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(max_length=100, **kwargs)

    def to_internal_value(self, given: Any) -> list[str]:
        circles = sorted(set(super().to_internal_value(given)))
        named = set(circles) - {EVERYONE, PUBLIC}
        if named and (unknown := named - self.own_circles()):
            raise serializers.ValidationError(_("You have no such circle: %s") % min(unknown))
        return circles

    def own_circles(self) -> set[str]:
        """Asked for once for a request, however many properties it has."""
        context = cast(dict[str, Any], self.context)
        if "own_circles" not in context:
            ids = Circle.objects.filter(owner=context["request"].user).values_list("pk", flat=True)
            context["own_circles"] = {str(pk) for pk in ids}
        return cast(set[str], context["own_circles"])


class PropertySerializer(serializers.Serializer[Any]):
    """One vCard property and who may see it."""

    name = serializers.CharField(max_length=64)
    value = serializers.JSONField()
    params = serializers.DictField(
        child=serializers.ListField(child=serializers.CharField()), default=dict
    )
    circles = CirclesField(default=list)


class ViewSerializer(serializers.Serializer[Any]):
    """What a holder sees of a card. Only ever written: the model makes it."""

    class SeenSerializer(serializers.Serializer[Any]):
        name = serializers.CharField()
        value = serializers.JSONField()
        params = serializers.DictField(child=serializers.ListField(child=serializers.CharField()))

    fn = serializers.CharField()
    properties = SeenSerializer(many=True)
    photo = serializers.CharField(allow_null=True)


class PhotoSerializer(serializers.Serializer[Any]):
    url = serializers.CharField(read_only=True)
    circles = CirclesField()


class CardSerializer(serializers.ModelSerializer[Card]):
    properties = PropertySerializer(many=True, required=False)
    photo = serializers.SerializerMethodField()

    class Meta:
        model = Card
        fields = ["id", "label", "rev", "fn", "properties", "photo", "changed_at", "created_at"]

    @extend_schema_field(PhotoSerializer(allow_null=True))
    def get_photo(self, card: Card) -> dict[str, Any] | None:
        return photo_of(card.photo, card.photo_circles)

    def validate_properties(self, given: list[dict[str, Any]]) -> list[dict[str, Any]]:
        if any(each["name"].lower() == "fn" for each in given):
            raise serializers.ValidationError(_("fn is a field of the card, not a property."))
        try:
            checked = vcard.to_json(vcard.from_json(given))
        except vcard.VCardError as error:
            raise serializers.ValidationError(str(error)) from error
        return [
            {**plain, "circles": each["circles"]}
            for plain, each in zip(checked, given, strict=True)
        ]

    def validate_fn(self, fn: str) -> str:
        try:
            vcard.from_json([{"name": "fn", "value": fn, "params": {}}])
        except vcard.VCardError as error:
            raise serializers.ValidationError(str(error)) from error
        return fn


def photo_of(name: str, circles: list[str]) -> dict[str, Any] | None:
    return {"url": reverse("photo", args=[name]), "circles": circles} if name else None
