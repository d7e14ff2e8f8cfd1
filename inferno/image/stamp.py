"""What a reference meant when it was last looked up: a file of images/refs each. Read alone, for `images list`."""

import os
import re

from inferno.base import records
from inferno.base.named_tuple import NamedTuple

# OS/ARCH[/VARIANT] of the OCI image index, as linux/arm/v7. A reference may end like one: a folder may be
# oci:/images#linux/amd64.
PLATFORM = r"[a-z0-9]+/[a-z0-9_]+(?:/[a-z0-9.]+)?"
_ENDS_IN_PLATFORM = rf"#(?:{PLATFORM})?\Z"


class Stamp(NamedTuple):
    """The image's digest, where it was, and what was seen there."""

    ref: str
    digest: str
    place: str
    seen: str
    platform: str | None = None


def key(ref: str, platform: str | None) -> str:
    """What is kept for a reference, and a platform if one was asked for, is named by: no two are named the same."""
    if platform:
        return f"{ref}#{platform}"
    return f"{ref}#" if re.search(_ENDS_IN_PLATFORM, ref) else ref


def split(key: str) -> tuple[str, str | None]:
    """A key → reference and platform."""
    ref, mark, platform = key.rpartition("#")
    return (ref, platform or None) if mark and (not platform or re.search(_ENDS_IN_PLATFORM, key)) else (key, None)


def read(path: str | os.PathLike[str]) -> Stamp | None:
    """The stamp in a file, or None."""
    try:
        with open(path, "rb") as file:
            return records.parse(Stamp, file.read(), os.fspath(path), newer=True)
    except (OSError, records.BadRecordError):
        return None
