"""What the admin's own templates need beside Django's tags."""

from collections.abc import Iterable, Iterator
from typing import Any

from django import template
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe
from django.utils.text import capfirst

register = template.Library()

CHECKBOX = ' class="action-checkbox"'
NAME = 3  # characters: <td or <th


@register.filter
def labelled(
    cells: Iterable[SafeString], headers: Iterable[dict[str, Any]]
) -> Iterator[SafeString]:
    """The cells of a row as Django has made them, each with what its column is called: on a phone
    they stand below each other, and no heading is above them."""
    for cell, header in zip(cells, headers, strict=False):
        if cell.startswith(CHECKBOX, NAME):
            yield cell
        else:
            label = format_html(' data-label="{}"', capfirst(header["text"]))
            yield mark_safe(cell[:NAME] + label + cell[NAME:])  # noqa: S308  (all of it was safe)
