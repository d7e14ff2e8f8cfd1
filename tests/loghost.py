"""A host for tests of logs: an INFERNO_ROOT with VMs in its database, jails, and processes that speak as those VMs."""

import os
import select
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from inferno.logs import collector_client, read
from inferno.logs.log_record import parse
from inferno.settings import Settings, load_settings
from inferno.state.database import State
from inferno.state.paths import Paths, VersionDir
from inferno.state.slot import Slot
from inferno.wire.shared import LOG_SOCKET

DEADLINE_S = 20
# Becomes the VM's user, where the interpreter may be out of that user's reach, and connects as kiln does.
CONNECT = f"""
import os, socket, sys
os.setgroups([])
os.setgid(int(sys.argv[1]))
os.setuid(int(sys.argv[1]))
s = socket.socket(socket.AF_UNIX)
s.connect({LOG_SOCKET!r})
print("connected", flush=True)
"""
# Sends its standard input.
PEER = f"""{CONNECT}
while data := sys.stdin.buffer.read1(65536):
    s.sendall(data)
"""
# Numbered lines, sent as kiln sends its: whole lines anew on the next connection, found by its name.
NUMBERED = """
import os, socket, sys, time
os.setgroups([]); os.setgid(int(sys.argv[1])); os.setuid(int(sys.argv[1]))
def connect():
    while True:
        s = socket.socket(socket.AF_UNIX)
        try:
            s.connect("vm_logs.sock")
            return s
        except OSError:
            s.close()
            time.sleep(0.001)
s = connect()
print("connected", flush=True)
template = TEMPLATE
number = 0
while number < COUNT:
    chunk = b"".join(template.replace(b"NUMBER", str(n).encode()) for n in range(number, min(number + 50, COUNT)))
    sent = 0
    try:
        while sent < len(chunk):
            sent += s.send(chunk[sent:sent + 1000])
    except OSError:
        s.close()
        s = connect()
    number += chunk[:sent].count(b"\\n")
"""


def line(vm_id: str, message: str, source: str = "stdout") -> bytes:
    """One line in kiln's bytes; `message` needs no escaping."""
    at = "2026-11-24T14:17:02.123456Z"
    fields = f'"timestamp": "{at}", "level": "info", "source": "{source}", "vm_id": "{vm_id}", "message": "{message}"'
    return f"{{{fields}}}\n".encode()


class Vm:
    """A VM as far as logs know it. Its jail is laid out as after a launch: owned by the VM's uid."""

    def __init__(self, settings: Settings, name: str, number: int) -> None:
        self.settings = settings
        self.name = name
        self.ulid = f"01JD8ZK3V5N9Q2R7T4W6X8Y{number:03}"
        self.paths = Paths(settings.root)
        state = State(settings.db_path)
        self.slot = Slot(state.reserve(name).slot)
        state.save(name, {}, self.ulid)
        state.close()
        self.version: VersionDir = self.paths.version(self.ulid)
        self.version.jail.mkdir(parents=True)
        self.uid = self.slot.uid(settings)
        os.chown(self.version.jail, self.uid, self.uid)
        self.paths.vm(name).mkdir(parents=True)
        self.paths.started(name).symlink_to(f"../kiln/{self.ulid}")

    def link(self) -> None:
        root = os.open(self.version.jail, os.O_RDONLY | os.O_DIRECTORY)
        try:
            collector_client.link_into(self.paths, root)
        finally:
            os.close(root)

    def unlink(self) -> None:
        (self.version.jail / LOG_SOCKET).unlink()

    def peer(self, program: str = PEER, uid: int | None = None) -> subprocess.Popen[bytes]:
        """A process of the VM's uid in its jail, connected."""
        uid = self.uid if uid is None else uid
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", program, str(uid)],
            cwd=self.version.jail,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert process.stdout is not None
        assert process.stdout.readline() == b"connected\n"
        return process

    @staticmethod
    def tell(peer: subprocess.Popen[bytes], *lines: bytes) -> None:
        """Send by a peer that stays."""
        assert peer.stdin is not None
        peer.stdin.write(b"".join(lines))
        peer.stdin.flush()

    def line(self, message: str, source: str = "stdout") -> bytes:
        return line(self.ulid, message, source)

    def say(self, *lines: bytes) -> None:
        """Connect, send, go; return once it is in the files."""
        with self.peer() as peer:
            peer.communicate(b"".join(lines), timeout=DEADLINE_S)
        collector_client.sync(self.settings)

    @property
    def log(self) -> Path:
        return self.paths.log(self.name)


class LogHost:
    """A host whose collector takes lines. `end` waits for the collector's end, which comes by itself."""

    def __init__(self, root: Path, **environ: str) -> None:
        self.settings = load_settings({"HOME": "/root", "INFERNO_ROOT": str(root), **environ}, Path("/nonexistent"))
        self.paths = Paths(root)
        self.vms: list[Vm] = []

    def vm(self, name: str, *, link: bool = True) -> Vm:
        vm = Vm(self.settings, name, len(self.vms))
        self.vms.append(vm)
        if link:
            collector_client.ensure_running(self.settings)
            vm.link()
        return vm

    def pid(self) -> int:
        found = collector_client.status(self.paths)
        assert found is not None, self.errors()
        return found.pid

    def process(self) -> int:
        """The collector, as a pidfd."""
        return os.pidfd_open(self.pid())

    def errors(self) -> str:
        """What the collector's Python said before it ended."""
        path = self.paths.collector / "stderr"
        return path.read_text() if path.exists() else ""

    def close(self) -> None:
        """Take the jails away; then the collector ends by itself, and said nothing on its standard error."""
        found = collector_client.status(self.paths)
        for vm in self.vms:
            (vm.version.jail / LOG_SOCKET).unlink(missing_ok=True)
        if found is not None:
            ended(found.pid)
        assert self.errors() == ""


def ended(pid: int) -> None:
    """Wait for the end of a process."""
    try:
        process = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        assert select.select([process], [], [], DEADLINE_S)[0], f"process {pid} does not end"
    finally:
        os.close(process)


def eventually(condition: Callable[[], bool]) -> None:
    """For what no event announces to a test."""
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline, "it does not come about"
        select.select([], [], [], 0.01)


def messages(log: Path) -> list[str]:
    """What is in the log; a line that is being written is none yet."""
    return [parse(text).data.decode() for text in read.forwards(log)]


def memory_kib(pid: int, field: str = "VmRSS") -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith(f"{field}:")))


def numbered(vm: Vm, count: int) -> subprocess.Popen[bytes]:
    template = vm.line("NUMBER")
    return vm.peer(NUMBERED.replace("TEMPLATE", repr(template)).replace("COUNT", str(count)))
