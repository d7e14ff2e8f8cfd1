"""What a reference meant when it was last looked up: a file of images/refs each. Read alone, for `images list`."""

from __future__ import annotations

import json
import os
from typing import NamedTuple


class Stamp(NamedTuple):
    """The image's digest, where it was, and what was seen there."""

    ref: str
    digest: str
    place: str
    seen: str
    platform: str | None = None


def read(path: str | os.PathLike[str]) -> Stamp | None:
    """The stamp in a file, or None."""
    try:
        with open(path, "rb") as file:
            return Stamp(**json.loads(file.read()))
    except (OSError, ValueError, TypeError):
        return None
