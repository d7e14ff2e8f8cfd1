"""Which INFERNO_ROOT of this host has the network of VMs: one at a time, since slots are counted in each root.

Its path is noted in /run/inferno/root, by the first start; a reboot forgets it. Others may build. Their starts are
refused as long as the first has anything there: a VM that runs, the TAP of one that ran, a start or a removal under
way. After that the next start, of any root, takes over. So a note cannot be stale: alone it does not count.

A look and what follows from it are under the lock of the table of starts, which all roots share. A command that makes
or removes something in the network has a line in that table meanwhile.
"""

from __future__ import annotations

import contextlib
import os
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple, TypeGuard

from inferno.base import files
from inferno.base.errors import UsageError
from inferno.net import tap
from inferno.sandbox import cgroup
from inferno.settings import Settings
from inferno.state import paths
from inferno.state.paths import Paths
from inferno.state.starts import Starts, root_id
from inferno.version import versions

# A line in the table of starts that is about the network, and not about memory.
_NETWORK = "network"


class Owner(NamedTuple):
    """Another INFERNO_ROOT that has the network: where it is, as far as that is known, and why it still has it."""

    root: Path | None
    why: str
    hint: str

    @property
    def text(self) -> str:
        name = f"the INFERNO_ROOT {self.root}" if self.root else "another INFERNO_ROOT"
        return f"{name} has this host's network of VMs: {self.why}"


def other(settings: Settings, starts: Starts | None = None) -> Owner | None:
    """Which other INFERNO_ROOT has the network; None where it is this one's, or free.

    Without `starts` those are not looked at that are under way: that is for people, and for a first look.
    """
    if paths.is_noted(settings.root):
        return None
    root = paths.noted_root()
    if running := _of_others(settings, root):
        return _running(root, running)
    if starts is not None and starts.roots() - {root_id(settings.root)}:
        return Owner(root, "it starts or stops a VM just now", "start VMs there, or try again when it has none")
    if _is_there(root) and (names := sorted(tap.names())):  # else nobody can remove them any more
        return Owner(root, f"the TAP of {_few(names)} is left", _stop(root, names[0]))
    return None


def check(settings: Settings, starts: Starts | None = None) -> None:
    """Raise UsageError where another INFERNO_ROOT has the network."""
    if found := other(settings, starts):
        raise UsageError(found.text, found.hint)


def claim(settings: Settings, starts: Starts) -> None:
    """Have the network from now on. The caller is alone at the table of starts, and writes a line into it."""
    check(settings, starts)
    if not paths.is_noted(settings.root):
        note = paths.HOST.network_root
        files.remove_unfinished(note)
        files.write(note, os.fsencode(settings.root.resolve()) + b"\n")


def take(settings: Settings) -> Callable[[], None]:
    """The same for one who is not started: return what ends that the network is in use by it."""
    starts = Starts()
    with contextlib.ExitStack() as failed:
        failed.callback(starts.close)
        with starts.alone():
            claim(settings, starts)
            starts.note(_NETWORK, 0, settings.root)
        failed.pop_all()
    return starts.close


@contextlib.contextmanager
def at_work(settings: Settings) -> Iterator[bool]:
    """Whether something may be removed from the network; if so, no other INFERNO_ROOT takes it over meanwhile.

    Where another one is noted that is there, this one has nothing in the network: it could not be noted before.
    """
    if paths.is_noted(settings.root) is False and _is_there(paths.noted_root()):
        yield False
        return
    starts = Starts()
    try:
        with starts.alone():
            ours = other(settings, starts) is None
            if ours:
                starts.note(_NETWORK, 0, settings.root)
        yield ours
    finally:
        starts.close()


def _of_others(settings: Settings, root: Path | None) -> list[str]:
    """The versions that run and are not of this root: all, where another is noted that is there, of which this one may
    be a copy; else those that are not here."""
    here, running = Paths(settings.root), sorted(cgroup.running())
    return running if _is_there(root) else [ulid for ulid in running if not here.version(ulid).dir.is_dir()]


def _is_there(root: Path | None) -> TypeGuard[Path]:
    return root is not None and root.is_dir()


def _running(root: Path | None, ulids: list[str]) -> Owner:
    if _is_there(root):
        records = [versions.usable(Paths(root).version(ulid)) for ulid in ulids]
        if names := sorted(record.name for record in records if record):
            return Owner(root, f"{_few(names)} runs there", _stop(root, names[0]))
    kill = f"echo 1 > /sys/fs/cgroup/{cgroup.parent(ulids[0])}/cgroup.kill"
    return Owner(root, f"version {_few(ulids)} runs, and is not of this one", f"stop it there; or end it: {kill}")


def _stop(root: Path, name: str) -> str:
    return f"start VMs there, or free it: INFERNO_ROOT={shlex.quote(str(root))} infernoctl stop {name}"


def _few(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{names[0]} (and {len(names) - 1} more)"
