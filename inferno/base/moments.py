"""Moments as people write them: how long ago, seconds since 1970, or a date and time, in every form that Docker takes.

Docker's own: moby's api/types/time/timestamp.go, and Go's time.ParseDuration; days (`1d`) are ours.
"""

from __future__ import annotations

import datetime
import re

FORMS = "90s, 1h30m, 500ms or 1d ago; seconds since 1970; 2026-11-24, 2026-11-24T14:17 or 2026-11-24T14:17:02+01:00"
_PART = r"(?:\d{1,18}(?:\.\d{0,18})?|\.\d{1,18})(?:ns|us|\u00b5s|\u03bcs|ms|s|m|h|d)"
_DURATION = re.compile(rf"([+-]?)((?:{_PART})+)")
_AMOUNT = re.compile(r"([\d.]+)([^\d.]+)")
_UNITS_S = {
    "ns": 1e-9, "us": 1e-6, "\u00b5s": 1e-6, "\u03bcs": 1e-6, "ms": 1e-3, "s": 1, "m": 60, "h": 3600, "d": 86400,
}  # fmt: skip
_SECONDS = re.compile(r"(\d{1,12})(?:\.(\d{0,9}))?")
_DATE = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)(?:[Tt ](\d\d)(?::(\d\d)(?::(\d\d)(?:[.,](\d{1,9}))?)?)?)?([Zz]|[+-]\d\d:\d\d)?"
)


def parse(text: str, now: datetime.datetime) -> datetime.datetime:
    """In UTC, to the microsecond. `now` has a zone; a date without one is in this host's.

    Raises ValueError for what is not a moment, or not one between the years 1 and 9999.
    """
    try:
        return _parse(text, now).astimezone(datetime.UTC)
    except OverflowError:
        raise ValueError("too far away") from None


def _parse(text: str, now: datetime.datetime) -> datetime.datetime:
    if text.isascii() or "s" in text:
        if found := _SECONDS.fullmatch(text):
            whole = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC) + datetime.timedelta(seconds=int(found[1]))
            return whole.replace(microsecond=_micros(found[2]))
        if found := _DURATION.fullmatch(text):
            span = sum(float(amount) * _UNITS_S[unit] for amount, unit in _AMOUNT.findall(found[2]))
            return now + datetime.timedelta(seconds=span if found[1] == "-" else -span)
        if found := _DATE.fullmatch(text):
            return _date(found)
    raise ValueError("not a moment")


def _date(found: re.Match[str]) -> datetime.datetime:
    year, month, day, hour, minute, second = (int(part or 0) for part in found.groups()[:6])
    at = datetime.datetime(year, month, day, hour, minute, second, _micros(found[7]))
    zone = found[8]
    if zone is None:
        return at.astimezone()
    if zone in "Zz":
        return at.replace(tzinfo=datetime.UTC)
    hours, minutes = int(zone[1:3]), int(zone[4:6])
    if hours > 23 or minutes > 59:
        raise ValueError("not a zone")
    offset = datetime.timedelta(hours=hours, minutes=minutes)
    return at.replace(tzinfo=datetime.timezone(-offset if zone[0] == "-" else offset))


def _micros(digits: str | None) -> int:
    return int((digits or "0")[:6].ljust(6, "0"))
