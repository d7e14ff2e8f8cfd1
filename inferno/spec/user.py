"""USER[:GROUP], as Docker's --user and an image's User have it: as far as one can tell without the image's own
passwd and group, which only the guest reads."""

from __future__ import annotations

from inferno.base.errors import UsageError

# runc's bound, and so init's: guest/src/user.rs, MAX_ID.
MAX_ID = 2**31 - 1
_SHOWN_CHARS = 80
_FORM = "USER or UID, with :GROUP or :GID behind it or without"


def check(word: str, what: str) -> None:
    """Raise UsageError for what init would refuse whatever is in the image; `what` says where the word stood.

    A name is anything that an entry of passwd(5) or group(5) can begin with; digits, with a sign or without, are a
    number; a part that is empty is root, or the user's own group. Empty as a whole, the word asks for nothing.
    """
    shown = word if len(word) <= _SHOWN_CHARS else f"{word[:_SHOWN_CHARS]}…"
    user, _, group = word.partition(":")
    if ":" in group or not _can_be_told(user) or not _can_be_told(group):
        raise UsageError(f"{what} {shown!r} is not USER[:GROUP]", _FORM)
    for part in (user, group):
        digits = part[1:] if part[:1] in ("+", "-") else part
        if digits.isascii() and digits.isdigit() and not _is_id(part[:1] == "-", digits):
            raise UsageError(f"{what} {shown!r}: a number is out of range", f"numbers go from 0 to {MAX_ID}")


def _can_be_told(part: str) -> bool:
    """Whether a line of passwd or group, whose ends are trimmed, can have it."""
    return part == part.strip() and not any(ord(char) < ord(" ") or char == "\x7f" for char in part)


def _is_id(negative: bool, digits: str) -> bool:
    least = digits.lstrip("0") or "0"
    return len(least) <= len(str(MAX_ID)) and int(least) <= (0 if negative else MAX_ID)
