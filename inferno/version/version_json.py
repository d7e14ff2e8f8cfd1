"""version.json: what a version is, what it was made from, and why it was made.

A VM may run on while Inferno is updated or taken back, so each release reads what another wrote: fields that it does
not know are left out, and fields that it adds have defaults. What is removed or gets another meaning makes the format
grow. The format before the present one is read too; a version of a newer one counts as broken.
"""

from pathlib import Path
from typing import Annotated

from inferno.base import records
from inferno.base.named_tuple import NamedTuple
from inferno.spec.create_options import Spec
from inferno.state.slot import SLOTS
from inferno.wire.shared import MAX_SIGNAL

FORMAT = 2


class VersionRecord(NamedTuple):
    """`image` is the image's digest; `inputs` has all that the version was made from, by name, to be compared and
    shown (inferno/version/inputs.py). `files` are those of the version's folder. `stop_signal` is the one that holds.
    `base` is the base's size in bytes and its mtime in nanoseconds; `scratch_template` a path below INFERNO_ROOT;
    `created_at` RFC 3339 in UTC; `why` the reasons, one line each.
    """

    format: Annotated[int, range(FORMAT, FORMAT + 1)]
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


class _Inputs(NamedTuple):
    """What is taken from the inputs of the format before."""

    image: str


class _Before(NamedTuple):
    """The record of the format before, which has no number: its image is among the inputs, and the stop signal that
    holds in the spec."""

    ulid: str
    name: str
    slot: Annotated[int, range(SLOTS)]
    spec: Spec
    inputs: dict[str, object]
    files: tuple[str, ...]
    exec_name: str
    base: tuple[int, int]
    scratch_template: str
    created_at: str
    why: tuple[str, ...]


def read(path: Path) -> VersionRecord:
    """The record in a version.json of this release or of the one before.

    Raises FileNotFoundError, OSError, BadRecordError, or NewerRecordError.
    """
    text, place = path.read_bytes(), str(path)
    if records.format_of(text, place, FORMAT) == FORMAT:
        return records.parse(VersionRecord, text, place, newer=True)
    before = records.parse(_Before, text, place, newer=True)
    image = records.of(_Inputs, before.inputs, f"{place}: inputs", newer=True).image
    return VersionRecord(
        **{**before._asdict(), "spec": before.spec._replace(stop_signal=None)},
        format=FORMAT,
        image=image,
        stop_signal=before.spec.stop_signal or 15,  # SIGTERM
    )
