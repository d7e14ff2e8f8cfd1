"""Which releases of Firecracker get mends of security, and until when.

From the table "Release Status" of docs/RELEASE_POLICY.md in Firecracker's repository, as of 2026-08-21. A release
that is still supported there has the earliest date on which that can end; one newer than the table counts as
supported.
"""

from __future__ import annotations

import datetime

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


def problem(version: str, today: datetime.date | None = None) -> str | None:
    """One line that says why a release "1.12.1" is not supported any more; None where it is. Raises ValueError."""
    major, minor = (int(number) for number in version.split(".")[:2])
    known = ENDS.get((major, minor))
    if known is None:
        return None if (major, minor) > max(ENDS) else f"Firecracker {version} is older than any release with support"
    if (today or datetime.date.today()) < known:
        return None
    if (major, minor) in OPEN:
        return f"Firecracker {version} may have no support since {known}: its makers promised it until then"
    return f"Firecracker {version} has had no support since {known}: leaks that are found in it stay open"
