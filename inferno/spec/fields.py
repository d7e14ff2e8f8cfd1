"""What the user asked of one VM. A plain dataclass: it is read on every command, where pydantic would cost 50 ms."""

from __future__ import annotations

import dataclasses
import difflib
import re
from dataclasses import dataclass
from typing import Any

from inferno.base.errors import UsageError
from inferno.settings import DEFAULT_MEMORY_MIB, DEFAULT_VCPUS
from inferno.spec import grammar


@dataclass(frozen=True, slots=True)
class Spec:
    """Memory is in MiB. None means: what the image says. `env` holds NAME=value words that come after the image's.

    `tmpfs`, `ulimit` and `io_max` are as the user wrote them (`grammar`); `cpu_weight` is cgroup v2's, 1 to 10000.
    `ssh_key` holds public keys; without any, those of the settings are taken.
    """

    image: str
    vcpus: int = DEFAULT_VCPUS
    memory: int = DEFAULT_MEMORY_MIB
    entrypoint: list[str] | None = None
    cmd: list[str] | None = None
    env: list[str] = dataclasses.field(default_factory=list)
    workdir: str | None = None
    user: str | None = None
    platform: str | None = None
    hostname: str | None = None
    tty: bool = False
    interactive: bool = False
    ssh_key: list[str] = dataclasses.field(default_factory=list)
    read_only: bool = False
    tmpfs: list[str] = dataclasses.field(default_factory=list)
    ulimit: list[str] = dataclasses.field(default_factory=list)
    cpu_weight: int | None = None
    io_max: str | None = None

    def to_json(self) -> dict[str, Any]:
        return dataclasses.asdict(self)


# The kernel's limit is 64 (__NEW_UTS_LEN); the characters are RFC 1123's, section 2.1.
_HOSTNAME = re.compile(r"(?=.{1,64}$)[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?)*")
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
        raise UsageError(f"there is no VM {name!r} yet, so it needs an image", f"infernoctl create {name} --image REF")
    spec = Spec(**values)
    _check(spec)
    return spec


def _check(spec: Spec) -> None:
    grammar.environment(spec.env, (), {})
    for word in spec.tmpfs:
        grammar.tmpfs(word)
    for word in spec.ulimit:
        grammar.ulimit(word)
    if spec.io_max is not None:
        grammar.io_max(spec.io_max)
    if spec.cpu_weight is not None and not 1 <= spec.cpu_weight <= 10_000:
        raise UsageError(f"--cpu-weight {spec.cpu_weight} is out of range", "--cpu-weight takes 1 to 10000 (100)")
    if spec.hostname is not None and not _HOSTNAME.fullmatch(spec.hostname):
        raise UsageError(f"--hostname {spec.hostname!r} is no host name", "letters, digits, '-' and '.', at most 64")
    if spec.workdir is not None and not spec.workdir.startswith("/"):
        raise UsageError(f"--workdir {spec.workdir!r} is not an absolute path")
    if spec.user is not None and spec.user.count(":") > 1:
        raise UsageError(f"--user {spec.user!r} is not USER[:GROUP]")
    for text in (*(spec.cmd or ()), *(spec.entrypoint or ()), spec.workdir or "", spec.user or ""):
        if "\0" in text:
            raise UsageError("an argument holds a NUL byte")
