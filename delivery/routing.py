"""Who may open a WebSocket at all, and which kind: a device by its token, a page by its session."""

from urllib.parse import urlsplit

from channels.auth import AuthMiddlewareStack
from django.conf import settings
from django.http.request import split_domain_port, validate_host

from delivery.consumers import BrowserSocket, DeviceSocket, Receive, Scope, Send

browsers = AuthMiddlewareStack(BrowserSocket.as_asgi())


async def websocket(scope: Scope, receive: Receive, send: Send) -> None:
    """`/ws/v1/`: a device by its token, a page by its session if it is one of our own pages."""
    token = bearer(scope)
    if token is not None:
        scope["token"] = token
        await DeviceSocket.as_asgi()(scope, receive, send)
    elif same_origin(scope):
        await browsers(scope, receive, send)
    else:
        await receive()
        await send({"type": "websocket.close", "code": 4403})  # refused before it is open


async def nowhere(scope: Scope, receive: Receive, send: Send) -> None:
    """No socket has this address."""
    await receive()
    await send({"type": "websocket.close", "code": 4404})


def bearer(scope: Scope) -> str | None:
    """The device token, from the Authorization header or, where no header can be set, from the
    subprotocol `bearer.<token>`."""
    scheme, _space, token = header(scope, b"authorization").partition(" ")
    if scheme.lower() == "bearer":
        return token.strip()
    for offered in scope["subprotocols"]:
        if offered.startswith("bearer."):
            return str(offered.removeprefix("bearer."))
    return None


def same_origin(scope: Scope) -> bool:
    """Whether the page that opens the socket is ours: a browser sends the session's cookie with
    whatever page it shows (RFC 6455, section 10.2)."""
    origin, host = urlsplit(header(scope, b"origin")), header(scope, b"host")
    if not origin.netloc or not validate_host(split_domain_port(host)[0], settings.ALLOWED_HOSTS):
        return False
    return origin.netloc == host or origin.geturl() in settings.CSRF_TRUSTED_ORIGINS


def header(scope: Scope, name: bytes) -> str:
    return next((value.decode("latin-1") for key, value in scope["headers"] if key == name), "")
