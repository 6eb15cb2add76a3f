"""Pages of a person's own account that django-allauth does not have: settings, app passwords, and
the devices and browsers they are signed in on."""

from typing import cast
from uuid import UUID

from allauth.account.decorators import reauthentication_required
from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import override
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST

from accounts import browsers, devices, webpush
from accounts.forms import AppPasswordForm, SettingsForm, SubscriptionForm
from accounts.models import AppPassword, Device, User


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
        "devices": own_devices(request).exclude(platform=Device.Platform.BROWSER),
        "browsers": browsers.of(request),
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
    if device.platform == Device.Platform.XMPP:
        said = _("A client that knows an app password signs in again: delete that as well.")
        messages.info(request, said)
    return redirect("devices")


@login_required
@require_POST
def sign_out_browser(request: HttpRequest, pk: int) -> HttpResponse:
    browser = get_object_or_404(browsers.own(request), pk=pk)
    browsers.sign_out(browser)
    messages.success(request, _("That browser is signed out."))
    return redirect("devices")


@login_required
@require_POST
def sign_out_others(request: HttpRequest) -> HttpResponse:
    """Of the browsers all but this one."""
    for browser in browsers.own(request).exclude(session_key=request.session.session_key):
        browsers.sign_out(browser)
    messages.success(request, _("All other browsers are signed out."))
    return redirect("devices")


@login_required
@require_POST
def notify(request: HttpRequest) -> HttpResponse:
    """Notify this browser from now on."""
    form = SubscriptionForm(request.POST)
    if not webpush.public_key() or not form.is_valid():
        errors = form.non_field_errors() or [_("This server cannot notify browsers.")]
        return devices_page(request, error=str(errors[0]))
    agent = request.headers.get("User-Agent", "")
    devices.subscribe(request, form.subscription(), browsers.name_of(agent))
    messages.success(request, _("This browser is notified when cards that you hold change."))
    return redirect("devices")


@login_required
@require_POST
def do_not_notify(request: HttpRequest) -> HttpResponse:
    if device := devices.browser_of(request):
        devices.forget(device)
    messages.success(request, _("This browser is not notified any more."))
    return redirect("devices")


# App passwords


@reauthentication_required  # type: ignore[untyped-decorator]
@never_cache
def app_password_list(request: HttpRequest) -> HttpResponse:
    """Those there are, and a new one, which is on the page that answers and nowhere else."""
    person, made = cast(User, request.user), ""
    form = AppPasswordForm(request.POST or None, instance=AppPassword(user=person))
    if form.is_valid():
        made = form.save_with_password()
        form = AppPasswordForm()
    xmpp = settings.XMPP_DOMAIN and f"{person.username}@{settings.XMPP_DOMAIN}"
    context = {"passwords": person.app_passwords.all(), "form": form, "made": made, "xmpp": xmpp}
    return render(request, "accounts/app_passwords.html", context)


@login_required
@require_POST
def delete_app_password(request: HttpRequest, pk: UUID) -> HttpResponse:
    person = cast(User, request.user)
    get_object_or_404(person.app_passwords, pk=pk).delete()
    said = _("Nobody signs in with it any more. Apps that have stay signed in: see the devices.")
    messages.success(request, said)
    return redirect("app-passwords")
