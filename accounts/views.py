"""Pages of a person's own account that django-allauth does not have: settings and devices."""

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

from accounts import devices
from accounts.forms import SettingsForm
from accounts.models import Device, User


def own_devices(request: HttpRequest) -> QuerySet[Device]:
    own = Device.objects.active().filter(user=cast(User, request.user))
    return own.select_related("apns", "gcm").order_by("-last_seen_at")


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
    return render(request, "accounts/devices.html", {"devices": own_devices(request)})


@login_required
@require_POST
def sign_out_device(request: HttpRequest, pk: UUID) -> HttpResponse:
    device = get_object_or_404(own_devices(request), pk=pk)
    devices.revoke(device)
    messages.success(request, _("%s is signed out. Nothing more is sent to it.") % device)
    return redirect("devices")
