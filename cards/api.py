"""REST: an owner's cards, their photos, their history, and importing them."""

from typing import Any, cast

from django.core.exceptions import RequestDataTooBig
from django.db.models import QuerySet
from django.http import Http404
from django.urls import path
from django.utils.translation import gettext as _
from drf_spectacular.utils import OpenApiParameter, extend_schema, extend_schema_field
from rest_framework import generics, serializers, status
from rest_framework.exceptions import APIException
from rest_framework.parsers import BaseParser, MultiPartParser
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.idempotency import idempotent
from accounts.models import User
from cards import importing, photos, vcard
from cards.models import Card, CardRevision, Door, StaleCard
from cards.renderers import FORMS, JCardRenderer, VCardRenderer, XCardRenderer
from cards.sayings import spoken
from cards.serializers import CardSerializer, PhotoSerializer, photo_of

IF_MATCH = OpenApiParameter(
    "If-Match", str, "header", required=True, description='The rev you read, as "7"'
)
ETAG = OpenApiParameter(
    "ETag", str, "header", response=[200, 201], description='The rev of the card, as "7"'
)


CARD = {(200, "application/json"): CardSerializer, **FORMS}


class PreconditionRequired(APIException):
    status_code = 428
    default_detail = 'Send If-Match with the rev that you read, as in If-Match: "7".'


class PreconditionFailed(APIException):
    status_code = 412
    default_detail = "The card has changed since you read it. Read it again, then change it."


def user_of(request: Request) -> User:
    return cast(User, request.user)


class RevisionSerializer(serializers.ModelSerializer[CardRevision]):
    photo = serializers.SerializerMethodField()
    changed_by = serializers.CharField(source="changed_by.username", default=None, allow_null=True)

    class Meta:
        model = CardRevision
        fields = [
            "rev",
            "label",
            "fn",
            "properties",
            "photo",
            "changed_by",
            "changed_via",
            "changed_at",
        ]

    @extend_schema_field(PhotoSerializer(allow_null=True))
    def get_photo(self, revision: CardRevision) -> dict[str, Any] | None:
        return photo_of(revision.photo, revision.photo_circles)


class OwnCards(generics.GenericAPIView[Card]):
    """Access to cards: the owner's own and nobody else's; a stranger sees 404."""

    queryset = Card.objects.none()
    serializer_class: Any = CardSerializer

    def get_queryset(self) -> QuerySet[Card]:
        return Card.objects.kept().filter(owner=user_of(self.request))

    def own_card(self) -> Card:
        return generics.get_object_or_404(self.get_queryset(), pk=self.kwargs["pk"])

    def card_to_change(self) -> Card:
        """The card, if the request names the rev that it is at. Raises 428 and 412."""
        card = self.own_card()
        named = self.request.headers.get("If-Match")
        if named is None:
            raise PreconditionRequired
        if {"*", f'"{card.rev}"'}.isdisjoint(each.strip() for each in named.split(",")):
            raise PreconditionFailed
        return card

    def save(self, card: Card) -> None:
        card.changed_by, card.changed_via = user_of(self.request), Door.API
        try:
            card.save()
        except StaleCard as error:
            raise PreconditionFailed from error

    def answer(
        self,
        card: Card,
        status_code: int = status.HTTP_200_OK,
        form: CardSerializer | None = None,
    ) -> Response:
        """The card; through the form that changed it, where there is one, as it is made already."""
        form = form or CardSerializer(card, context={"request": self.request})
        return Response(form.data, status=status_code, headers={"ETag": f'"{card.rev}"'})


class CardListView(OwnCards, generics.ListAPIView[Card]):
    @extend_schema(parameters=[ETAG], responses={201: CardSerializer})
    @idempotent
    def post(self, request: Request) -> Response:
        form = self.get_serializer(data=request.data)
        form.is_valid(raise_exception=True)
        card = Card(owner=user_of(request), **form.validated_data)
        self.save(card)
        return self.answer(card, status.HTTP_201_CREATED)


class CardView(OwnCards):
    metadata_class = None  # what OPTIONS would answer is no card
    renderer_classes = (JSONRenderer, VCardRenderer, XCardRenderer, JCardRenderer)

    @extend_schema(parameters=[ETAG], responses=CARD)
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """The card, in the form that Accept asks for."""
        return self.answer(self.own_card())

    @extend_schema(parameters=[IF_MATCH, ETAG], responses=CARD)
    def put(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Replace label, fn and properties."""
        return self.change(partial=False)

    @extend_schema(parameters=[IF_MATCH, ETAG], responses=CARD)
    def patch(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Replace the fields that are given."""
        return self.change(partial=True)

    @extend_schema(parameters=[IF_MATCH], responses={204: None})
    def delete(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Take the card back from everybody, for good."""
        card = self.card_to_change()
        card.changed_by, card.changed_via = user_of(request), Door.API
        try:
            card.retire()
        except StaleCard as error:
            raise PreconditionFailed from error
        return Response(status=status.HTTP_204_NO_CONTENT)

    def change(self, *, partial: bool) -> Response:
        card = self.card_to_change()
        form = CardSerializer(card, data=self.request.data, context={"request": self.request})
        # The serializer's own `partial` would let each property leave something out as well.
        form.fields["fn"].required = not partial
        form.is_valid(raise_exception=True)
        whole = {} if partial else {"label": "", "properties": []}
        for name, value in {**whole, **form.validated_data}.items():
            setattr(card, name, value)
        self.save(card)
        return self.answer(card, form=form)


FORM = 64 * 1024  # octets of a form beside its file
BINARY = {"type": "string", "format": "binary"}


def upload_schema(**fields: Any) -> dict[str, Any]:
    """How the API schema describes a form with a file."""
    return {"type": "object", "properties": {"file": BINARY, **fields}, "required": ["file"]}


class UploadView(APIView):
    """A door for files. What says that it is too large is refused before any of it is read."""

    largest: int  # octets, what the form adds to the file included

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        said = request.headers.get("Content-Length", "")
        if said.isdecimal() and int(said) > self.largest:
            raise RequestDataTooBig


class PictureParser(BaseParser):
    """The picture as the body itself."""

    media_type = "image/*"

    def parse(self, stream: Any, media_type: Any = None, parser_context: Any = None) -> Any:
        return stream.read(photos.MAX_BYTES + 1)


class PhotoView(UploadView, OwnCards):
    """The photo of a card. It is hidden until its circles are given: `?circles=*` or ids; with
    `?circles=` it is hidden again."""

    largest = photos.MAX_BYTES + FORM

    serializer_class = PhotoSerializer
    parser_classes = (MultiPartParser, PictureParser)

    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        card = self.own_card()
        if not card.photo:
            raise Http404
        return Response(photo_of(card.photo, card.photo_circles))

    @extend_schema(
        request={"multipart/form-data": upload_schema(), "image/*": BINARY},
        parameters=[IF_MATCH, ETAG, OpenApiParameter("circles", str, many=True)],
        responses=CardSerializer,
    )
    def put(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Set the photo: the picture as the body, or as `file` in a form."""
        card = self.card_to_change()
        circles = self.circles(card)
        card.photo, card.photo_circles = photos.keep(card, self.picture()), circles
        self.save(card)
        return self.answer(card)

    @extend_schema(parameters=[IF_MATCH], responses={204: None})
    def delete(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        card = self.card_to_change()
        card.photo, card.photo_circles = "", []
        self.save(card)
        return Response(status=status.HTTP_204_NO_CONTENT)

    def picture(self) -> bytes:
        given: Any = self.request.data
        upload = given.get("file") if hasattr(given, "get") else given
        if hasattr(upload, "read"):
            return cast(bytes, upload.read(photos.MAX_BYTES + 1))
        if not isinstance(upload, bytes):
            raise serializers.ValidationError({"file": _("Send the picture.")})
        return upload

    def circles(self, card: Card) -> list[str]:
        """Those given with the request; a new picture otherwise stays as visible as the old."""
        given = self.request.query_params.getlist("circles")
        return given_circles(self.request, given) if given else card.photo_circles


def given_circles(request: Request, given: list[str]) -> list[str]:
    """The circles that a query or a form names. An empty one names none."""
    named = [each for each in given if each]
    field = PhotoSerializer(data={"circles": named}, context={"request": request})
    field.is_valid(raise_exception=True)
    return cast(list[str], field.validated_data["circles"])


class RevisionListView(generics.ListAPIView[CardRevision]):
    """What the card was after each change of its content."""

    queryset = CardRevision.objects.none()
    serializer_class = RevisionSerializer
    list_ordering = ("-rev",)

    def get_queryset(self) -> QuerySet[CardRevision]:
        own = Card.objects.kept().filter(owner=user_of(self.request))
        card = generics.get_object_or_404(own, pk=self.kwargs["pk"])
        return card.revisions.select_related("changed_by")


class RevSerializer(serializers.Serializer[Any]):
    rev = serializers.IntegerField(min_value=1, max_value=2**63 - 1)


class RestoreView(OwnCards):
    serializer_class = RevSerializer

    @extend_schema(parameters=[IF_MATCH, ETAG], request=RevSerializer, responses=CardSerializer)
    def post(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Make the card again what it was at this revision, as its next one."""
        card = self.card_to_change()
        form = RevSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        revision = card.revisions.filter(rev=form.validated_data["rev"]).first()
        if revision is None:
            raise serializers.ValidationError({"rev": _("The card has no such revision.")})
        card.changed_by, card.changed_via = user_of(request), Door.API
        try:
            card.restore(revision)
        except StaleCard as error:
            raise PreconditionFailed from error
        return self.answer(card)


class ImportedSerializer(serializers.Serializer[Any]):
    """What became of each vCard of a file, in its order."""

    class OneSerializer(serializers.Serializer[Any]):
        card = CardSerializer()
        warnings = serializers.ListField(child=serializers.CharField())

    cards = OneSerializer(many=True)


class ImportView(UploadView):
    parser_classes = (MultiPartParser,)
    largest = vcard.Limits.size + FORM

    @extend_schema(
        request={
            "multipart/form-data": upload_schema(
                circles={"type": "array", "items": {"type": "string"}},
                dry_run={"type": "boolean"},
            )
        },
        parameters=[OpenApiParameter("dry_run", bool)],
        responses={200: ImportedSerializer, 201: ImportedSerializer},
    )
    @idempotent
    def post(self, request: Request) -> Response:
        """Make a card of each vCard in `file`; what is imported is hidden unless `circles` says
        otherwise. With `dry_run=true` nothing is made."""
        form: Any = request.data
        upload = request.FILES.get("file")
        if upload is None:
            raise serializers.ValidationError({"file": _("Send a .vcf file.")})
        circles = given_circles(request, form.getlist("circles"))
        dry = says_dry_run(request.query_params.get("dry_run", form.get("dry_run", "false")))
        try:
            read = importing.looked_at if dry else importing.stored
            made = read(user_of(request), upload.read(), circles)
        except vcard.VCardError as error:
            raise serializers.ValidationError({"file": spoken(str(error))}) from error
        return Response(
            ImportedSerializer({"cards": made}, context={"request": request}).data,
            status=status.HTTP_200_OK if dry else status.HTTP_201_CREATED,
        )


def says_dry_run(given: str) -> bool:
    try:
        return bool(serializers.BooleanField().run_validation(given))
    except serializers.ValidationError as error:
        raise serializers.ValidationError({"dry_run": error.detail}) from error


urlpatterns = [
    path("cards", CardListView.as_view(), name="api-cards"),
    path("cards/import", ImportView.as_view(), name="api-import"),
    path("cards/<uuid:pk>", CardView.as_view(), name="api-card"),
    path("cards/<uuid:pk>/photo", PhotoView.as_view(), name="api-photo"),
    path("cards/<uuid:pk>/restore", RestoreView.as_view(), name="api-restore"),
    path("cards/<uuid:pk>/revisions", RevisionListView.as_view(), name="api-revisions"),
]
