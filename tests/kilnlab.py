"""kiln without a VM: the program itself in a jail, a shell script in Firecracker's place, the test as its guest."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

from inferno.wire.shared import NOTIFY_SOCKET, STDOUT_PORT
from tests.loghost import Vm, eventually

# Stands in for Firecracker; what it prints is the guest's console.
VMM = "#!/busybox sh\necho up\nread -r word < /go\necho over\n"
# kiln gives the collector only so long for the last lines: here longer than a test takes. It tries again every second.
DURATIONS = "all=120000,retry=1000"


@contextlib.contextmanager
def launched(vm: Vm, programs: tuple[Path, Path], contract: Path) -> Iterator[subprocess.Popen[bytes]]:
    """kiln in the VM's jail, as the jailer leaves it; it starts the stand-in, which dies with it."""
    root, (kiln, busybox) = vm.version.jail, programs
    for program, name in ((kiln, "kiln"), (busybox, "busybox")):
        shutil.copy(program, root / name)
    (root / "firecracker").write_text(VMM)
    (root / "firecracker").chmod(0o755)
    os.mkfifo(root / "go")
    (root / "go").chmod(0o666)
    config = json.loads((contract / "kiln.json").read_text())
    (root / "kiln.json").write_text(json.dumps({**config, "id": vm.ulid}))
    if (contract / "start.json").exists():  # the release before has none
        shutil.copy(contract / "start.json", root)
    with short_path(root) as path, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
        notify.bind(f"{path}/{NOTIFY_SOCKET}")
    argv = [
        shutil.which("chroot") or "chroot",
        f"--userspec={vm.uid}:{vm.uid}",
        root,
        "/kiln",
        "--id",
        vm.ulid,
        "--start-time-us",
        "1",
    ]
    words = ["--start-time-cpu-us", "2", "--parent-cpu-time-us", "3", "--durations", DURATIONS]
    with subprocess.Popen([*argv, *words], env={}, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as kiln:
        try:
            yield kiln
        finally:
            kiln.kill()


@contextlib.contextmanager
def short_path(directory: Path) -> Iterator[str]:
    """A socket's path has at most 107 bytes."""
    descriptor = os.open(directory, os.O_PATH)
    try:
        yield f"/proc/self/fd/{descriptor}"
    finally:
        os.close(descriptor)


def guest(vm: Vm, port: int = STDOUT_PORT) -> socket.socket:
    """A connection to kiln as init's, once kiln listens on `port`: it binds one port's socket after the other."""
    connection = socket.socket(socket.AF_UNIX)
    with short_path(vm.version.jail) as path:
        refusals = (errno.ENOENT, errno.ECONNREFUSED)
        eventually(lambda: connection.connect_ex(f"{path}/control.sock_{port}") not in refusals)
    return connection


def record(text: str) -> bytes:
    return b'{"type": "log", "source": "stdout", "message": "%s", "partial": false}\n' % text.encode()
