"""What all of the API shares: problem details (RFC 9457) and the order of lists."""

from http import HTTPStatus
from typing import Any

from django.core.exceptions import RequestDataTooBig, SuspiciousOperation, ValidationError
from rest_framework import exceptions, pagination, views
from rest_framework.request import Request
from rest_framework.response import Response

from cardsite.parsers import TooLarge

HELD_BY_RESPONSE = {"detail", "type", "title", "status", "instance"}


class NowhereView(views.APIView):
    """The end of the API: no door has this address."""

    authentication_classes = ()
    permission_classes = ()
    schema = None

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        raise exceptions.NotFound


class NewestFirst(pagination.CursorPagination):
    """Cursor pages that neither skip nor repeat while rows come in."""

    ordering = ("-created_at", "pk")  # a view may name its own as `list_ordering`
    page_size = 50
    page_size_query_param = "limit"
    max_page_size = 500

    def get_ordering(self, request: Request, queryset: Any, view: Any) -> tuple[str, ...]:
        return tuple(getattr(view, "list_ordering", self.ordering))

    def paginate_queryset(self, queryset: Any, request: Request, view: Any = None) -> Any:
        try:
            return super().paginate_queryset(queryset, request, view)
        except (ValueError, ValidationError) as error:  # a cursor that nobody was given
            raise exceptions.NotFound(self.invalid_cursor_message) from error


PROBLEM = {
    "type": "object",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": {"type": "string", "format": "uri-reference"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "errors": {"type": "object", "additionalProperties": True},
    },
}


def document_problems(
    result: dict[str, Any], generator: Any, request: Any, public: bool
) -> dict[str, Any]:
    """For the API's schema: whatever is not described is a problem."""
    result["components"]["schemas"]["Problem"] = PROBLEM
    said = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    refusal = {"description": "Refused, and why (RFC 9457).", "content": said}
    for path in result["paths"].values():
        for operation in path.values():
            operation["responses"].setdefault("default", refusal)
    return result


def problem(error: Exception, context: dict[str, Any]) -> Response | None:
    """Any error that the API understands, as `application/problem+json`."""
    if isinstance(error, ValidationError):
        error = exceptions.ValidationError(as_errors(error))
    elif isinstance(error, RequestDataTooBig):
        error = TooLarge()
    elif isinstance(error, SuspiciousOperation):
        error = exceptions.ParseError(str(error))
    response = views.exception_handler(error, context)
    if response is None:
        return None
    response.data = {
        "type": "about:blank",
        "title": HTTPStatus(response.status_code).phrase,
        "status": response.status_code,
        **explanation(response.data),
    }
    response.content_type = "application/problem+json"
    return response


def as_errors(error: ValidationError) -> Any:
    return error.message_dict if hasattr(error, "error_dict") else {"detail": error.messages}


def explanation(body: Any) -> dict[str, Any]:
    """`detail` in words, `errors` by field, and whatever else an error of ours says."""
    if not isinstance(body, dict):
        return {"detail": plain(body)}
    fields = {
        name: value if isinstance(value, list | dict) else [value]
        for name, value in body.items()
        if name not in HELD_BY_RESPONSE
    }
    said = plain(body["detail"]) if "detail" in body else first_words(fields)
    return {"detail": said, **({"errors": fields} if fields else {})}


def plain(said: Any) -> str:
    if isinstance(said, dict):
        return first_words(said)
    if isinstance(said, list):
        return " ".join(plain(part) for part in said)
    return str(said)


def first_words(fields: dict[str, Any]) -> str:
    return " ".join(f"{name}: {plain(value)}" for name, value in fields.items())
