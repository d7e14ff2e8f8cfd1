"""An image as a command wants it: which, for which platform and as whom, and when a registry is asked.

Its `subject` is what its tasks are named by, `image:SUBJECT`: the reference, with `#PLATFORM` where one was asked for.
"""

from __future__ import annotations

import os
from collections.abc import Callable

from inferno.base.errors import UsageError
from inferno.base.named_tuple import NamedTuple
from inferno.image.local_images import MISSING, POLICIES
from inferno.image.source import PUBLIC, Access
from inferno.image.stamp import key, split
from inferno.spec import platform as platforms


class Wanted(NamedTuple):
    """`pull` is one of local_images.POLICIES."""

    ref: str
    access: Access = PUBLIC
    pull: str = MISSING

    @property
    def subject(self) -> str:
        return key(self.ref, self.access.platform)


def wanted(
    ref: str,
    *,
    password: Callable[[str], str],
    pull: str | None = None,
    platform: str | None = None,
    authfile: str | None = None,
    creds: str | None = None,
) -> Wanted:
    """Of options as they were typed. `password` is asked with the user of `creds` when those come without one.

    Raises UsageError for a bad one.
    """
    pull = pull or MISSING
    if pull not in POLICIES:
        raise UsageError(f"--pull {pull!r} is none of {', '.join(POLICIES)}")
    if authfile is not None and not os.access(authfile, os.R_OK):
        raise UsageError(f"--authfile {authfile}: cannot be read")
    if creds is not None and ":" not in creds:
        creds = f"{creds}:{password(creds)}"
    access = Access(
        platforms.read(platform) if platform else None, os.path.abspath(authfile) if authfile else None, creds
    )
    return Wanted(ref, access, pull)


def subject_of(subject: str, platform: str) -> str:
    """`subject`, for a platform asked for beside it. Raises UsageError when it names another one already."""
    ref, known = split(subject)
    kept = platforms.read(platform)
    if known and platforms.read(known) != kept:
        raise UsageError(f"--platform {platform} is not that of {subject!r}", f"leave out one: {ref!r}")
    return key(ref, kept)
