"""`Idempotency-Key` on POSTs that create: a repeated request gets the first one's answer.

draft-ietf-httpapi-idempotency-key-header. The answer is kept for a day, encrypted with the key
itself, of which only a hash is stored: an answer may hold a code or a token.
"""

import base64
import functools
import hashlib
import json
from collections.abc import Callable
from typing import Any, cast

from cryptography.fernet import Fernet
from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.exceptions import APIException, ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.models import IdempotentReply, User

HEADER = "Idempotency-Key"
LONGEST = 255


class KeyReused(APIException):
    status_code = 422
    default_detail = "This Idempotency-Key was used for another request."


def idempotent(method: Callable[..., Response]) -> Callable[..., Response]:
    """For a view method that creates: with the header, it runs once for each key and person.

    The reply is stored in the transaction of what it reports. Two at once: the second waits for
    the first at the unique row, and then repeats its reply.
    """

    @functools.wraps(method)
    def once(view: Any, request: Request, *args: Any, **kwargs: Any) -> Response:
        key = request.headers.get(HEADER)
        if key is None:
            return method(view, request, *args, **kwargs)
        if not 0 < len(key) <= LONGEST:
            raise ValidationError({HEADER: _("Use 1 to 255 characters.")})
        if reply := repeated(request, key):
            return reply
        try:
            with transaction.atomic():
                kept = IdempotentReply.objects.create(
                    user=person(request), key_hash=hashed(key), request_hash=fingerprint(request)
                )
                response = method(view, request, *args, **kwargs)
                kept.status = response.status_code
                kept.body = lock(key).encrypt(json.dumps(plain(response)).encode()).decode()
                kept.save(update_fields=["status", "body"])
                return response
        except IntegrityError:
            if reply := repeated(request, key):
                return reply
            raise

    return cast(Callable[..., Response], documented(once))


documented = extend_schema(
    parameters=[
        OpenApiParameter(
            HEADER, str, "header", description="Repeated, it gets the first answer again."
        )
    ]
)


def repeated(request: Request, key: str) -> Response | None:
    """The reply that was given to this key, if there was one. Raises KeyReused."""
    kept = IdempotentReply.objects.filter(user=person(request), key_hash=hashed(key)).first()
    if kept is None:
        return None
    if kept.request_hash != fingerprint(request):
        raise KeyReused
    return Response(json.loads(lock(key).decrypt(kept.body.encode())), status=kept.status)


def person(request: Request) -> User:
    assert isinstance(request.user, User)  # noqa: S101  (only behind IsAuthenticated)
    return request.user


def plain(response: Response) -> Any:
    return json.loads(json.dumps(response.data, default=str))


def hashed(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()


def lock(key: str) -> Fernet:
    return Fernet(base64.urlsafe_b64encode(hashlib.sha256(b"reply" + key.encode()).digest()))


def fingerprint(request: Request) -> str:
    """What makes it the same request: the door and what was brought to it."""
    said = hashlib.sha256(f"{request.method} {request.get_full_path()}\n".encode())
    said.update(request.content_type.split(";")[0].encode())
    if request.content_type.startswith("multipart/"):  # its boundary differs each time
        for name, upload in sorted(request.FILES.items()):
            said.update(name.encode() + upload.read())
            upload.seek(0)
        said.update(json.dumps(sorted(request.POST.lists())).encode())
    else:
        said.update(json.dumps(request.data, sort_keys=True, default=str).encode())
    return said.hexdigest()
