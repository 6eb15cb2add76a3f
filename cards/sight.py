"""What of a card staff see: the properties whose names were given to their roles, or all."""

from typing import Any

from accounts.models import User
from cards.models import SEEN_BY_NAME, Content

WHOLE = "cards.see_whole"


def sees_whole(staff: User) -> bool:
    """Also who sees what, and the owner's own label: all that an owner keeps to themselves."""
    return staff.has_perm(WHOLE)


def sees(staff: User, name: str) -> bool:
    return sees_whole(staff) or (name in SEEN_BY_NAME and staff.has_perm(f"cards.see_{name}"))


def given(staff: User, content: Content) -> dict[str, Any]:
    """As Content.visible_to."""
    return {
        "fn": content.fn,
        "properties": [
            {"name": each["name"], "value": each["value"], "params": each["params"]}
            for each in content.properties
            if sees(staff, each["name"])
        ],
        "photo": content.photo_url if sees(staff, "photo") else None,
    }
