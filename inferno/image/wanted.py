"""An image as a command wants it: which, for which platform and as whom, and when a registry is asked.

Its `subject` is what its tasks are named by, `image:SUBJECT`: the reference, with `#PLATFORM` where one was asked for.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from typing import NamedTuple

from inferno.base.errors import UsageError
from inferno.image.local_images import MISSING, POLICIES
from inferno.image.source import PUBLIC, Access
from inferno.image.stamp import PLATFORM, key, split


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
    access = Access(check_platform(platform), os.path.abspath(authfile) if authfile else None, creds)
    return Wanted(ref, access, pull)


def check_platform(platform: str | None) -> str | None:
    """The platform as it is. Raises UsageError for what is not one."""
    if platform is not None and not re.fullmatch(PLATFORM, platform):
        raise UsageError(f"--platform {platform!r} is not OS/ARCH[/VARIANT]", "for example linux/amd64")
    return platform


def subject_of(subject: str, platform: str) -> str:
    """`subject`, for a platform asked for beside it. Raises UsageError when it names another one already."""
    ref, known = split(subject)
    if known and known != platform:
        raise UsageError(f"--platform {platform} is not that of {subject!r}", f"leave out one: {ref!r}")
    return key(ref, check_platform(platform))
