"""Pages of a person's own account that django-allauth does not have: settings and devices."""

import re
from typing import cast
from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import override
from django.views.decorators.http import require_POST

from accounts import devices, webpush
from accounts.forms import SettingsForm, SubscriptionForm
from accounts.models import Device, User


def own_devices(request: HttpRequest) -> QuerySet[Device]:
    own = Device.objects.active().filter(user=cast(User, request.user))
    return own.select_related(*Device.WAYS).order_by("-last_seen_at")


@login_required
def personal_settings(request: HttpRequest) -> HttpResponse:
    person = cast(User, request.user)
    person = User.objects.get(pk=person.pk)  # what is typed wrong must not show in the header
    form = SettingsForm(request.POST or None, instance=person)
    if form.is_valid():
        form.save()
        with override(person.language):
            messages.success(request, _("Your settings are saved."))
        return redirect("settings")
    return render(request, "accounts/settings.html", {"form": form})


@login_required
def device_list(request: HttpRequest) -> HttpResponse:
    return devices_page(request)


def devices_page(request: HttpRequest, error: str = "") -> HttpResponse:
    context = {
        "devices": own_devices(request),
        "here": devices.browser_of(request),
        "key": webpush.public_key(),
        "error": error,
    }
    return render(request, "accounts/devices.html", context, status=400 if error else 200)


@login_required
@require_POST
def sign_out_device(request: HttpRequest, pk: UUID) -> HttpResponse:
    device = get_object_or_404(own_devices(request), pk=pk)
    devices.revoke(device)
    messages.success(request, _("%s is signed out. Nothing more is sent to it.") % device)
    return redirect("devices")


@login_required
@require_POST
def notify(request: HttpRequest) -> HttpResponse:
    """Notify this browser from now on."""
    form = SubscriptionForm(request.POST)
    if not webpush.public_key() or not form.is_valid():
        errors = form.non_field_errors() or [_("This server cannot notify browsers.")]
        return devices_page(request, error=str(errors[0]))
    devices.subscribe(request, form.subscription(), browser_name(request))
    messages.success(request, _("This browser is notified when cards that you hold change."))
    return redirect("devices")


@login_required
@require_POST
def do_not_notify(request: HttpRequest) -> HttpResponse:
    if device := devices.browser_of(request):
        devices.forget(device)
    messages.success(request, _("This browser is not notified any more."))
    return redirect("devices")


def browser_name(request: HttpRequest) -> str:
    """As it calls itself, to tell it from one's others; most also claim to be those after them."""
    agent = request.headers.get("User-Agent", "")
    found = re.search("Edg|OPR|Firefox", agent) or re.search("Chrome|Safari", agent)
    name = found[0] if found else ""
    return {"Edg": "Edge", "OPR": "Opera"}.get(name, name)
