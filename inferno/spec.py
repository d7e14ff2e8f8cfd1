"""What the user asked of one VM. A plain dataclass: it is read on every command, where pydantic would cost 50 ms."""

from __future__ import annotations

import dataclasses
import difflib
from dataclasses import dataclass
from typing import Any

from inferno import config
from inferno.errors import UsageError


@dataclass(frozen=True, slots=True)
class Spec:
    """Memory is in MiB. None means: what the image says. `env` holds NAME=value words that come after the image's."""

    image: str
    vcpus: int = config.DEFAULT_VCPUS
    memory: int = config.DEFAULT_MEMORY_MIB
    entrypoint: list[str] | None = None
    cmd: list[str] | None = None
    env: list[str] = dataclasses.field(default_factory=list)
    workdir: str | None = None
    user: str | None = None
    platform: str | None = None

    def to_json(self) -> dict[str, Any]:
        return dataclasses.asdict(self)


FIELDS = tuple(field.name for field in dataclasses.fields(Spec))


def merge(saved: dict[str, Any] | None, asked: dict[str, Any], name: str) -> Spec:
    """The spec of VM `name`: what was saved, overridden by what is asked now, field by field.

    Raises UsageError when a value is out of the question, or a new VM comes without an image.
    """
    values = {**(saved or {}), **asked}
    unknown = set(values) - set(FIELDS)
    if unknown:
        word = min(unknown)
        near = difflib.get_close_matches(word, FIELDS, 1)
        raise UsageError(f"{name}: unknown field {word!r}", f"did you mean {near[0]!r}?" if near else None)
    if not values.get("image"):
        raise UsageError(f"there is no VM {name!r} yet, so it needs an image", f"create:{name} --image REF")
    spec = Spec(**values)
    _check(spec)
    return spec


def _check(spec: Spec) -> None:
    for word in spec.env:
        variable, equals, _ = word.partition("=")
        if not variable or not equals or "\0" in word:
            raise UsageError(f"--env {word!r} is not NAME=value")
    if spec.workdir is not None and not spec.workdir.startswith("/"):
        raise UsageError(f"--workdir {spec.workdir!r} is not an absolute path")
    for text in (*(spec.cmd or ()), *(spec.entrypoint or ()), spec.workdir or "", spec.user or ""):
        if "\0" in text:
            raise UsageError("an argument holds a NUL byte")
