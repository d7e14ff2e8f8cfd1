"""version.json: what a version is, what it was made from, and why it was made.

A VM may run on while Inferno is updated or taken back, so each release reads what another wrote: fields that it does
not know are left out, and fields that it adds have defaults. What is removed or gets another meaning makes the format
grow, and a version of a newer format counts as broken.
"""

from __future__ import annotations

from typing import Annotated, NamedTuple

from inferno.spec.fields import Spec
from inferno.state.slot import SLOTS
from inferno.wire.shared import MAX_SIGNAL

FORMAT = 1


class VersionRecord(NamedTuple):
    """`image` is the image's digest; `inputs` has all that the version was made from, by name, to be compared and
    shown (inferno/version/inputs.py). `files` are those of the version's folder. `stop_signal` is the one that holds.
    `base` is the base's size in bytes and its mtime in nanoseconds; `scratch_template` a path below INFERNO_ROOT;
    `created_at` RFC 3339 in UTC; `why` the reasons, one line each.
    """

    format: Annotated[int, range(1, FORMAT + 1)]
    ulid: str
    name: str
    slot: Annotated[int, range(SLOTS)]
    image: str
    spec: Spec
    stop_signal: Annotated[int, range(1, MAX_SIGNAL + 1)]
    inputs: dict[str, object]
    files: tuple[str, ...]
    exec_name: str
    base: tuple[int, int]
    scratch_template: str
    created_at: str
    why: tuple[str, ...]
