"""The things the project builds or fetches once, whatever the VM: kiln, init, firecracker and jailer, vmlinux.

What an artifact was made from is stamped beside it (artifacts/<name>.made.json), not in a host's task database, so
that a checkout taken to another host, with its artifacts, is up to date there without cargo or a compiler.
Without sources at hand (installed from a package) the artifacts are simply there.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from inferno.base import files
from inferno.base.errors import InfernoError
from inferno.settings import CHECKOUT, IS_CHECKOUT

from .engine.command import Command
from .engine.task import InfernoTask

FRAGMENT = CHECKOUT / "templates" / "kernel.config"


def kiln(command: Command, _subject: str) -> Iterable[InfernoTask]:
    return [_crate(command, "kiln", "kiln")]


def init(command: Command, _subject: str) -> Iterable[InfernoTask]:
    return [_crate(command, "init", "guest")]


def vmm(command: Command, _subject: str) -> Iterable[InfernoTask]:
    from inferno.artifact import cache
    from inferno.artifact import firecracker as library

    def build() -> None:
        settings = command.asked.settings
        library.fetch(
            settings.share_dir,
            cache.directory(),
            firecracker=settings.firecracker,
            jailer=settings.jailer,
            progress=command.output.progress,
        )

    paths = [command.asked.settings.firecracker, command.asked.settings.jailer]
    made_from = {
        "pins": [dataclasses.asdict(library.RELEASE), dataclasses.asdict(library.WHEEL)],
        "paths": [files.sha256(p) if p and p.is_file() else str(p) for p in paths if p],
    }
    return [_task(command, "vmm", ["firecracker", "jailer", "vmm.json"], lambda: made_from, build)]


def kernel(command: Command, _subject: str) -> Iterable[InfernoTask]:
    def build() -> None:
        from inferno.artifact import cache
        from inferno.artifact import kernel as library

        library.build(
            FRAGMENT, command.asked.settings.share_dir / "vmlinux", cache.directory(), progress=command.output.progress
        )

    return [_task(command, "kernel", ["vmlinux"], lambda: {"config": files.sha256(FRAGMENT)}, build)]


def artifacts(command: Command, _subject: str) -> Iterable[InfernoTask]:
    return [InfernoTask("artifacts", None, command=command, task_dep=["kiln", "init", "vmm", "kernel"])]


def _crate(command: Command, name: str, crate: str) -> InfernoTask:
    from inferno.artifact import cache, cargo

    def made_from() -> dict[str, str]:
        toolchain = cargo.toolchain_files()
        found = {"sources": _digest(cargo.sources(crate, CHECKOUT))}
        return {**found, "toolchain": _digest(toolchain)} if toolchain else found

    def build() -> None:
        out = command.asked.settings.share_dir / name
        cargo.build(crate, out, CHECKOUT, cache.directory(), command.output.progress)

    return _task(command, name, [name], made_from, build)


def _task(
    command: Command,
    name: str,
    targets: list[str],
    made_from: Callable[[], dict[str, Any]],
    build: Callable[[], None],
) -> InfernoTask:
    """A task whose stamp holds `made_from()`. A part that cannot be known here (no toolchain) is not compared."""
    share = command.asked.settings.share_dir
    stamp = share / f"{name}.made.json"

    def up_to_date() -> bool:
        return not IS_CHECKOUT or made_from().items() <= _read(stamp).items()

    def action() -> None:
        if not IS_CHECKOUT:
            raise InfernoError(f"{', '.join(targets)} missing from {share}", "install Inferno's package again")
        stamp.unlink(missing_ok=True)
        before = made_from()
        build()
        files.write_json(stamp, before)

    return InfernoTask(
        name,
        action,
        command=command,
        shared=f"artifact-{name}",
        targets=[str(share / target) for target in targets],
        uptodate=[up_to_date],
    )


def _read(stamp: Path) -> dict[str, Any]:
    with contextlib.suppress(OSError, ValueError):
        value = json.loads(stamp.read_text())
        if isinstance(value, dict):
            return value
    return {}


def _digest(paths: list[Path]) -> str:
    """One digest of names and contents; the checkout's own place does not count."""
    whole = hashlib.sha256()
    for path in sorted(paths):
        name = path.relative_to(CHECKOUT) if path.is_relative_to(CHECKOUT) else path.name
        whole.update(f"{name}\0{files.sha256(path)}\n".encode())
    return whole.hexdigest()
