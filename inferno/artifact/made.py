"""What is built or fetched once, whatever the VM: kiln, init, firecracker and jailer, vmlinux.

What an artifact was made from is stamped beside it (artifacts/<name>.made.json), not in a host's task database, so
that a checkout taken to another host, with its artifacts, is up to date there without cargo or a compiler.
Without sources at hand (installed from a package) the artifacts are simply there.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Callable
from pathlib import Path

from inferno.artifact import cache, cargo, firecracker, support
from inferno.base import files, templates
from inferno.base.errors import InfernoError
from inferno.base.named_tuple import NamedTuple
from inferno.base.progress import Progress
from inferno.settings import CHECKOUT, IS_CHECKOUT, REFUSE, Settings
from inferno.state import guard

FRAGMENT = templates.FOLDER / "kernel.config"


class Artifact(NamedTuple):
    """`files` are those in the share folder. `made_from` names what it is made from; a part that cannot be known here
    (no toolchain) is left out. `build` makes it."""

    name: str
    files: tuple[str, ...]
    made_from: Callable[[Settings], dict[str, object]]
    build: Callable[[Settings, Progress], None]

    def targets(self, settings: Settings) -> list[Path]:
        return [settings.share_dir / name for name in self.files]

    def is_current(self, settings: Settings) -> bool:
        return not IS_CHECKOUT or self.made_from(settings).items() <= _read(self._stamp(settings)).items()

    def make(self, settings: Settings, progress: Progress) -> None:
        """Raises InfernoError, without sources at hand too."""
        if not IS_CHECKOUT:
            text = f"{', '.join(self.files)} missing from {settings.share_dir}"
            raise InfernoError(text, "install Inferno's package again")
        guard.check_program(settings, cache.directory())  # what lies there is known by what it was made from
        stamp = self._stamp(settings)
        stamp.unlink(missing_ok=True)
        before = self.made_from(settings)
        self.build(settings, progress)
        files.write_json(stamp, before, 0o644)

    def _stamp(self, settings: Settings) -> Path:
        return settings.share_dir / f"{self.name}.made.json"


def _crate(name: str, folder: str) -> Artifact:
    def made_from(_: Settings) -> dict[str, object]:
        toolchain = cargo.toolchain_files()
        found: dict[str, object] = {"sources": _digest(cargo.sources(folder, CHECKOUT))}
        return {**found, "toolchain": _digest(toolchain)} if toolchain else found

    def build(settings: Settings, progress: Progress) -> None:
        cargo.build(folder, settings.share_dir / name, CHECKOUT, cache.directory(), progress)

    return Artifact(name, (name,), made_from, build)


def _pins(settings: Settings) -> dict[str, object]:
    paths = [path for path in (settings.firecracker, settings.jailer) if path]
    return {
        "pins": [firecracker.RELEASE._asdict(), firecracker.WHEEL._asdict()],
        "paths": [files.sha256(path) if path.is_file() else str(path) for path in paths],
    }


def _fetch(settings: Settings, progress: Progress) -> None:
    ours, jailer = settings.firecracker, settings.jailer
    wheel: firecracker.Wheel | None = firecracker.WHEEL
    if settings.unsupported_firecracker == REFUSE and support.problem(firecracker.WHEEL.version):
        wheel = None
    firecracker.fetch(
        settings.share_dir, cache.directory(), firecracker=ours, jailer=jailer, wheel=wheel, progress=progress
    )


def _build_kernel(settings: Settings, progress: Progress) -> None:
    from inferno.artifact import kernel  # only this needs it

    kernel.build(FRAGMENT, settings.share_dir / "vmlinux", cache.directory(), progress=progress)


ARTIFACTS = {
    artifact.name: artifact
    for artifact in (
        _crate("kiln", "kiln"),
        _crate("init", "guest"),
        Artifact("vmm", ("firecracker", "jailer", "vmm.json"), _pins, _fetch),
        Artifact("kernel", ("vmlinux",), lambda _: {"config": files.sha256(FRAGMENT)}, _build_kernel),
    )
}


def _read(stamp: Path) -> dict[str, object]:
    with contextlib.suppress(OSError, ValueError):
        value = json.loads(stamp.read_text())
        if isinstance(value, dict):
            return value
    return {}


def _digest(paths: list[Path]) -> str:
    """One digest of names and contents; the checkout's own place does not count."""
    whole, here = hashlib.sha256(), f"{CHECKOUT}/"
    for path in sorted(paths):
        text = str(path)
        name = text.removeprefix(here) if text.startswith(here) else path.name
        # All are small, and there are a hundred: files.sha256 would clear a buffer of 256 KiB for each.
        whole.update(f"{name}\0{hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    return whole.hexdigest()
