"""Dates and times between how they occur and the forms of RFC 6350 section 4.3 (ISO 8601:2004,
basic), and the extended forms that jCard wants (RFC 7095 section 3.5). Text in, text out.

A function answers None for what is no date: 31 April passes, month 13 does not.
"""

import re

# The year that iPhones write, and declare, where a birthday has none.
OMITTED_YEAR = "1604"

_DATE = re.compile(
    r"(?P<year>[0-9]{4})(?:(?P<sep>[-/.]?)(?P<month>[0-9]{1,2})(?P=sep)(?P<day>[0-9]{1,2}))?"
    r"|(?P<year_only>[0-9]{4})-(?P<month_only>[0-9]{2})"
    r"|--(?P<yearless>[0-9]{2})(?:-?(?P<yearless_day>[0-9]{2}))?"
    r"|---(?P<day_only>[0-9]{2})"
)
_TIME = re.compile(
    r"(?:(?P<hour>[0-9]{2})(?::?(?P<minute>[0-9]{2})(?::?(?P<second>[0-9]{2})(?:[.,][0-9]+)?)?)?"
    r"|-(?P<only_minute>[0-9]{2})(?::?(?P<its_second>[0-9]{2}))?"
    r"|--(?P<only_second>[0-9]{2}))"
    r"(?P<zone>[Zz]|[+-][0-9]{2}(?::?[0-9]{2})?)?"
)
_OFFSET = re.compile(r"[+-][0-9]{2}(?::?[0-9]{2})?")
_REDUCED = re.compile(r"[0-9]{4}(-[0-9]{2})?|--[0-9]{2}")


def date(text: str) -> str | None:
    """`1985-04-12`, `19850412`, `1985-04`, `--04-12`, `---12` as RFC 6350 writes them."""
    found = _DATE.fullmatch(text)
    if not found:
        return None
    part = found.groupdict()
    month = part["month"] or part["month_only"] or part["yearless"]
    day = part["day"] or part["yearless_day"] or part["day_only"]
    if (month and not 1 <= int(month) <= 12) or (day and not 1 <= int(day) <= 31):
        return None
    if part["month"]:
        if not part["sep"] and len(part["month"] + part["day"]) != 4:
            return None  # 1985412 could be read in two ways
        return f"{part['year']}{month:0>2}{day:0>2}"
    if part["year_only"]:
        return f"{part['year_only']}-{month}"
    if part["yearless"]:
        return f"--{month}{day or ''}"
    return part["year"] or f"---{day}"


def time(text: str) -> str | None:
    """`10:22:00.5Z`, `1022`, `-22:00`, `--00` as RFC 6350 writes them, without fractions."""
    found = _TIME.fullmatch(text)
    if not found:
        return None
    part = found.groupdict()
    minute, second = (
        part["minute"] or part["only_minute"],
        part["second"] or part["its_second"] or part["only_second"],
    )
    if int(part["hour"] or 0) > 24 or int(minute or 0) > 59 or int(second or 0) > 60:
        return None
    lead = part["hour"] or ("-" if minute else "--")
    zone = (part["zone"] or "").upper().replace(":", "")
    return f"{lead}{minute or ''}{second or ''}{zone}"


def date_time(text: str) -> str | None:
    """A day and a time, joined by T or a space; the day cannot be cut short, only yearless."""
    day_text, mark, time_text = text.replace("t", "T").replace(" ", "T", 1).partition("T")
    day, hour = date(day_text), time(time_text)
    if not mark or not day or not hour or hour.startswith("-") or _REDUCED.fullmatch(day):
        return None
    return f"{day}T{hour}"


def timestamp(text: str) -> str | None:
    """A whole point in time, to the second. A bare day is its midnight, UTC."""
    day = date(text)
    if day and len(day) == 8 and day.isdigit():
        return f"{day}T000000Z"
    moment = date_time(text)
    found = re.fullmatch(r"([0-9]{8}T[0-9]{2})([0-9]{2})?([0-9]{2})?(Z|[+-][0-9]+)?", moment or "")
    if not found:
        return None
    hour, minute, second, zone = found.groups(default="")
    return f"{hour}{minute or '00'}{second or '00'}{zone}"


def shaped(text: str) -> tuple[str, str] | None:
    """The narrowest type (date, date-time or time) of a date-and-or-time, and its canonical form.
    A bare time has its T only in a date-and-or-time, and has it here."""
    if day := date(text):
        return "date", day
    if text[:1] in ("T", "t"):
        return ("time", f"T{hour}") if (hour := time(text[1:])) else None
    return ("date-time", moment) if (moment := date_time(text)) else None


def utc_offset(text: str) -> str | None:
    """`-05:00` as `-0500`."""
    return text.replace(":", "") if _OFFSET.fullmatch(text) else None


def yearless(text: str) -> str:
    """A canonical date or date-time without its year."""
    return f"--{text[4:]}" if re.match(r"[0-9]{8}", text) else text


def extended(text: str, value_type: str) -> str:
    """A canonical date, time, date-time, timestamp or offset with its hyphens and colons."""
    if value_type == "utc-offset":
        return _extended_zone(text)
    if value_type == "time":
        return _extended_time(text)
    day, mark, hour = text.partition("T")
    return _extended_date(day) + mark + _extended_time(hour)


def _extended_date(day: str) -> str:
    if re.fullmatch(r"[0-9]{8}", day):
        return f"{day[:4]}-{day[4:6]}-{day[6:]}"
    return f"{day[:4]}-{day[4:]}" if re.fullmatch(r"--[0-9]{4}", day) else day


def _extended_time(hour: str) -> str:
    digits = re.sub(r"[^0-9].*", "", hour.lstrip("-"))
    lead, _, zone = hour.partition(digits) if digits else ("", "", hour)
    clock = ":".join(digits[at : at + 2] for at in range(0, len(digits), 2))
    return lead + clock + _extended_zone(zone)


def _extended_zone(zone: str) -> str:
    return f"{zone[:3]}:{zone[3:]}" if len(zone) == 5 else zone
