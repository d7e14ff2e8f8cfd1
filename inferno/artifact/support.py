"""Which releases of Firecracker get mends of security, and until when.

From the table "Release Status" of docs/RELEASE_POLICY.md in Firecracker's repository, as of 2026-08-21. A release
that is still supported there has the earliest date on which that can end; one newer than the table counts as
supported.
"""

from __future__ import annotations

import datetime

from inferno.base.named_tuple import NamedTuple

# "Official end of Support", or else "Min. end of support".
ENDS = {
    (1, 16): datetime.date(2026, 12, 3),
    (1, 15): datetime.date(2026, 9, 9),
    (1, 14): datetime.date(2026, 6, 3),
    (1, 13): datetime.date(2026, 3, 9),
    (1, 12): datetime.date(2025, 12, 17),
}
# Those of which the end is not announced: what is known is only that it does not come earlier.
OPEN = frozenset({(1, 16), (1, 15)})


class Lapse(NamedTuple):
    """One line that says why a release gets no mends any more. `is_certain` is False where its makers have not said
    that its support ended, only that it could by now."""

    text: str
    is_certain: bool


def lapse(version: str, today: datetime.date | None = None) -> Lapse | None:
    """Of a release "1.12.1"; None where it is supported. Raises ValueError."""
    major, minor = (int(number) for number in version.split(".")[:2])
    known = ENDS.get((major, minor))
    if known is None and (major, minor) > max(ENDS):
        return None
    if known is None:
        return Lapse(f"Firecracker {version} is older than any release with support", True)
    if (today or datetime.date.today()) < known:
        return None
    if (major, minor) in OPEN:
        text = f"Firecracker {version} may have no support since {known}: its makers promised it until then"
        return Lapse(text, False)
    return Lapse(f"Firecracker {version} has had no support since {known}: leaks that are found in it stay open", True)
