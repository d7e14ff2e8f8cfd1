"""A jail whose uid filled it with traps before it ended: every verb of the host's comes back, and follows none."""

from __future__ import annotations

import json
import os
import socket
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from inferno.wire.shared import EXIT_STATUS, LOG_SOCKET, NOTIFY_SOCKET, START_CONFIG, VSOCK_SOCKET
from tests.loghost import DEADLINE_S, LogHost, Vm

pytestmark = pytest.mark.root

# One process for all verbs: Python's start is not what is tested. Without a network it finds no TAP and no rules.
VERBS = """
import os, sys
from inferno.logs import collector_client
from inferno.settings import load_settings
from inferno.sandbox import jail
from inferno.life import status
from inferno.cli.main import main
from inferno.base.errors import InfernoError
from inferno.life.instance import Instance
from inferno.state.paths import Paths
LOOKING = ("status web", "list", "logs tail --vm web", "logs restart", "ping web")
settings = load_settings()
with jail.opened(Instance.of(settings, status.row(settings, "web")).started()) as root:
    try:
        collector_client.ensure_running(settings)
        collector_client.link_into(Paths(settings.root), root)
    except InfernoError as error:
        print("link:", error.text)
collector_client.release(Paths(settings.root))
for words in (*LOOKING, "stop web", "status web", "destroy web --yes"):
    print(f"{words}:", flush=True)
    child = os.fork()
    if child == 0:
        sys.exit(main(words.split()))
    print("status", os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


def _to_file(path: Path, outside: Path) -> None:
    path.symlink_to(outside / "passwd")


def _to_folder(path: Path, outside: Path) -> None:
    path.symlink_to(outside)


def _fifo(path: Path, _: Path) -> None:
    os.mkfifo(path, 0o666)


def _socket(path: Path, _: Path) -> None:
    """One whose queue is full, and that nobody accepts from."""
    here = os.open(path.parent, os.O_PATH)
    held = [socket.socket(socket.AF_UNIX) for _ in range(3)]
    held[0].bind(f"/proc/self/fd/{here}/{path.name}")
    held[0].listen(0)
    for each in held[1:]:
        each.setblocking(False)
        each.connect_ex(f"/proc/self/fd/{here}/{path.name}")
    os.close(here)
    _listeners.extend(held)


def _device(path: Path, _: Path) -> None:
    os.mknod(path, stat.S_IFCHR | 0o666, os.makedev(1, 5))  # /dev/zero, which never ends


def _folder(path: Path, outside: Path) -> None:
    (path / "a/b").mkdir(parents=True)
    (path / "a/b/out").symlink_to(outside)
    (path / "full").write_bytes(b"x")


def _huge(path: Path, _: Path) -> None:
    with path.open("wb") as file:
        file.write(b"{")
        file.truncate(1 << 42)


def _hard_link(path: Path, outside: Path) -> None:
    os.link(outside / "passwd", path)


TRAPS: list[Callable[[Path, Path], None]] = [
    *(_to_file, _to_folder, _fifo, _socket, _device, _folder, _huge, _hard_link),
]
NAMES = (
    EXIT_STATUS,
    VSOCK_SOCKET,
    LOG_SOCKET,
    NOTIFY_SOCKET,
    START_CONFIG,
    "kiln.json",
    "dev",
    "scratch.img",
    "old_root",
)
_listeners: list[socket.socket] = []


@pytest.fixture
def vm(tmp_path: Path) -> Iterator[Vm]:
    host = LogHost(tmp_path / "root")
    vm = host.vm("web", link=False)
    vm.version.record.write_text(json.dumps({"name": vm.name, "slot": vm.slot.number}))
    yield vm
    for listener in _listeners:
        listener.close()
    _listeners.clear()


def state_of(folder: Path) -> list[tuple[str, int, int, int, bytes]]:
    """All that could be changed of what lies outside; times of reading do not count."""
    found = []
    for path in sorted([folder, *folder.rglob("*")]):
        info = path.lstat()
        content = path.read_bytes() if path.is_file() else b""
        found.append((str(path), info.st_mode, info.st_uid, info.st_mtime_ns, content))
    return found


@pytest.mark.parametrize("turn", range(len(TRAPS)))
def test_no_verb_follows_a_trap_or_waits_in_it(vm: Vm, tmp_path: Path, turn: int) -> None:
    outside = tmp_path / "outside"
    (outside / "inner").mkdir(parents=True)
    (outside / "passwd").write_text("root")
    (outside / "inner/key").write_text("secret")
    for number, name in enumerate(NAMES):
        path = vm.version.jail / name
        TRAPS[(number + turn) % len(TRAPS)](path, outside)
        if not (path.is_file() and path.stat().st_nlink > 1):
            os.lchown(path, vm.uid, vm.uid)
    before = state_of(outside)
    done = subprocess.run(
        ["unshare", "--net", sys.executable, "-c", VERBS],
        env={**os.environ, "INFERNO_ROOT": str(vm.paths.root)},
        capture_output=True,
        text=True,
        timeout=3 * DEADLINE_S,
        check=False,
    )
    said = f"{done.stdout}\n{done.stderr}"
    assert done.returncode == 0, said
    assert "Traceback" not in done.stderr
    assert state_of(outside) == before
    assert not vm.version.dir.exists()
    statuses = [line for line in done.stdout.splitlines() if line.startswith("status ") and line[7:].isdigit()]
    assert [statuses[at] for at in (0, 1, 2, 3, 5, 6, 7)] == ["status 0"] * 7, said
