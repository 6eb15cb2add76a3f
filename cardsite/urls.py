"""Every door of the server, room by room."""

from django.conf import settings
from django.contrib import admin
from django.core.exceptions import RequestDataTooBig
from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.urls import URLPattern, URLResolver, include, path
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView

from cardsite import pwa
from cardsite.api import NowhereView

api: list[URLPattern | URLResolver] = [
    path("", include("accounts.api")),
    path("", include("cards.api")),
    path("", include("bindings.api")),
    path("", include("delivery.api")),
    path("schema", SpectacularAPIView.as_view(), name="schema"),
    path(
        "docs",
        SpectacularSwaggerSplitView.as_view(url_name="schema", template_name="api_docs.html"),
        name="docs",
    ),
    path("<path:nowhere>", NowhereView.as_view()),
]

urlpatterns = [
    path("", include("cards.urls")),
    path("", include("bindings.urls")),
    path("", include("delivery.urls")),
    path("manifest/<str:language>.webmanifest", pwa.manifest, name="manifest"),
    path("worker.js", pwa.worker, name="worker"),
    path("offline/<str:language>/", pwa.offline, name="offline"),
    path("qr/", pwa.own_qr, name="own-qr"),
    path("account/", include("accounts.urls")),
    path("account/", include("allauth.account.urls")),
    path("account/second-step/", include("allauth.mfa.urls")),
    path("admin/", admin.site.urls),
    path("api/v1/", include(api)),
]
if settings.XMPP_DOMAIN:
    urlpatterns += [path("xmpp/", include("xmpp.door"))]


def handler400(request: HttpRequest, exception: Exception) -> HttpResponse:
    """What cannot be read; of what is too large it is said what would not be."""
    status = 413 if isinstance(exception, RequestDataTooBig) else 400
    return HttpResponse(render_to_string(f"{status}.html"), status=status)
