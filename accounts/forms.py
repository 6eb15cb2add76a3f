"""Forms of the account pages; signing in and up themselves are django-allauth's."""

import zoneinfo
from typing import Any

from django import forms
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from accounts.models import AppPassword, User
from accounts.webpush import Subscription, problem_with


class NameForm(forms.Form):
    """What sign-up asks for beside address and password. Where its clock stands, the browser says
    (static/zone.js)."""

    name = forms.CharField(
        label=_("Your name"), max_length=200, widget=forms.TextInput({"autocomplete": "name"})
    )
    time_zone = forms.CharField(required=False, widget=forms.HiddenInput)
    field_order = ["name", "email", "password1"]

    def signup(self, request: HttpRequest, user: User) -> None:
        user.name = self.cleaned_data["name"]
        user.language = request.LANGUAGE_CODE
        if self.cleaned_data["time_zone"] in zoneinfo.available_timezones():
            user.time_zone = self.cleaned_data["time_zone"]
        user.save()


class SettingsForm(forms.ModelForm[User]):
    time_zone = forms.ChoiceField(
        label=_("Time zone"),
        choices=lambda: [(zone, zone) for zone in sorted(zoneinfo.available_timezones())],
    )

    class Meta:
        model = User
        fields = ["name", "username", "language", "time_zone"]
        help_texts = {"username": _("Others ask for your card by this name.")}


class AppPasswordForm(forms.ModelForm[AppPassword]):
    class Meta:
        model = AppPassword
        fields = ["name"]
        labels = {"name": _("What it is for")}
        help_texts = {"name": _("Such as the app and the device.")}

    def save_with_password(self) -> str:
        """Make it; return it, as only its hash stays."""
        password = AppPassword.new_password()
        self.instance.password_hash = AppPassword.hash_password(password)
        self.save()
        return password


class SubscriptionForm(forms.Form):
    """What the browser says of where it wants to be notified; nobody types it."""

    endpoint = forms.CharField()
    p256dh = forms.CharField()
    auth = forms.CharField()

    def clean(self) -> dict[str, Any]:
        said = super().clean() or {}
        if self.errors or problem_with(self.subscription()):
            raise forms.ValidationError(
                _("This browser did not say where it can be notified, or at a place unknown here.")
            )
        return said

    def subscription(self) -> Subscription:
        return Subscription(**{name: self.cleaned_data[name] for name in Subscription._fields})
