"""`infernoctl debug`: what is known of a VM and of its last run, in a tar archive or a folder, to be handed on."""

from __future__ import annotations

import os
from pathlib import Path

from inferno.base import files
from inferno.base.errors import InfernoError, UsageError
from inferno.base.requirements import need_root
from inferno.console.errors import say
from inferno.console.typed import Typed
from inferno.life import debug_bundle, exit_status, status
from inferno.life.instance import Instance
from inferno.logs import collector_client
from inferno.settings import load_settings


def debug(typed: Typed) -> int:
    """`debug NAME [-o FILE|FOLDER/|-]`."""
    need_root()
    settings = load_settings()
    vm = Instance.of(settings, status.row(settings, typed.name))
    to = typed.text("output") or f"{vm.name}-debug.tar"
    if to == "-" and os.isatty(1):
        raise UsageError("an archive is not written to a terminal", f"infernoctl debug {vm.name} -o FILE")
    collector_client.sync(settings)
    running = vm.running()
    version = running or vm.started() or (vm.paths.version(vm.recorded) if vm.recorded else None)
    last = None if running else exit_status.last(vm.paths, vm.name)
    found = debug_bundle.gather(vm, version, last)
    try:
        _write(to, vm.name, found)
    except OSError as error:
        raise InfernoError(f"{to}: {error.strerror}") from None
    for path in debug_bundle.kept(vm):
        say(f"of an earlier run that ended badly: {path}")
    return 0


def _write(to: str, name: str, found: debug_bundle.Files) -> None:
    """Readable by root alone. Raises OSError."""
    if to == "-":
        with open(1, "wb", closefd=False) as out:
            out.write(debug_bundle.archive(name, found))
        return
    if not (to.endswith("/") or os.path.isdir(to)):
        files.write(Path(to), debug_bundle.archive(name, found), 0o600)
        print(to)
        return
    for path, text in found.items():
        place = Path(to) / path
        place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        files.write(place, text.encode(errors="replace"), 0o600)
    print(to)
