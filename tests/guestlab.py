"""A guest without a VM: init's own loop as PID 1 of a namespace, behind a socket that greets as Firecracker's does."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

from inferno.reach.guest import Guest
from tests.examples import example

DEADLINE_S = 20
# What is to end gets a guest's own time (guest/src/durations.rs); for all else init waits longer than a test does.
_DURATIONS = "all=120000,rest=2000,stream=2000"
# Firecracker's end of vsock (docs/vsock.md): the line, the answer, then bytes both ways. A half-closed connection is
# not passed on: one end's word ends both.
VSOCK = """
import os, socket, sys, threading
listener = socket.socket(socket.AF_UNIX)
listener.bind("control.sock")
listener.listen(256)
print("ready", flush=True)
def copy(source, sink):
    try:
        while data := source.recv(65536):
            sink.sendall(data)
    except OSError:
        pass
    for end in (source, sink):
        try:
            end.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
def serve(host):
    line = b""
    while not line.endswith(b"\\n") and (byte := host.recv(1)):
        line += byte
    guest = socket.socket(socket.AF_UNIX)
    guest.connect("api.sock")
    host.sendall(b"OK 1073741824\\n")
    back = threading.Thread(target=copy, args=(guest, host))
    back.start()
    copy(host, guest)
    back.join()
    host.close()
    guest.close()
while True:
    threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()
"""
# What `infernoctl exec` does once it has found the guest.
EXEC = """
import json, os, sys
from inferno.console.errors import report
from inferno.base.errors import InfernoError
from inferno.reach import command, session
from inferno.reach.command import Command
from inferno.reach.guest import Guest
how = json.loads(sys.argv[2])
guest = Guest("web1", "-", os.open(sys.argv[1], os.O_RDONLY | os.O_DIRECTORY))
try:
    if how.pop("leave", False):
        sys.exit(command.leave(guest.root, Command(tuple(how.pop("args")), detach=True, **how)))
    if "attach" in how:
        tty = how.get("tty", True)
        sys.exit(session.stay(session.attach(guest, replay=how["attach"], tty=tty), tty=tty))
    if how.pop("shell", False):
        sys.exit(session.shell(guest, Command(("sh",)), tty=how.get("tty", False)))
    stdin, tty, keys = how.pop("stdin", False), how.pop("tty", False), how.pop("keys", "").encode()
    sys.exit(session.run(guest, Command(**{k: tuple(v) if isinstance(v, list) else v for k, v in how.items()}),
                         stdin=stdin, tty=tty, keys=keys))
except InfernoError as error:
    report(error)
    sys.exit(error.status)
except BrokenPipeError:
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    sys.exit(141)
"""


def supervise() -> Path:
    """The program that runs init's loop: guest/examples/supervise.rs."""
    return example("init", "supervise")


class GuestLab:
    """`folder` is the `/` of a jail in which a guest's socket lies; the guest's process runs `script`, with nothing to
    read, or `stdin`, or a terminal."""

    def __init__(self, folder: Path, program: Path, script: str, *, reads: str = "nothing") -> None:
        self.folder = folder
        folder.mkdir()
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(folder / "log.sock"))
            listener.listen(1)
            listener.settimeout(DEADLINE_S)
            namespace = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"]
            self._init = subprocess.Popen(
                [*namespace, program, folder, _DURATIONS, reads, "sh", "-c", script],
                stdin=subprocess.DEVNULL,
                cwd="/",
            )
            self._log, _ = listener.accept()
        self._log.settimeout(DEADLINE_S)
        said = b""
        while b'"started"' not in said:  # the record that the process was executed
            said += self._log.recv(65536)
        threading.Thread(target=self._drain, daemon=True).start()
        self._vsock = subprocess.Popen(
            [sys.executable, "-ISc", VSOCK], cwd=folder, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL
        )
        assert self._vsock.stdout is not None
        assert self._vsock.stdout.readline() == b"ready\n"

    @property
    def pid(self) -> int:
        """Of the process that ends with init."""
        return self._init.pid

    def argv(self, *args: str, **how: object) -> list[str]:
        """A command line that is `infernoctl exec` of `args` in this guest; `how` are fields of Command, and tty."""
        return exec_argv(self.folder, *args, **how)

    def exec(
        self, *args: str, given: bytes | None = None, timeout: float = 60, **how: object
    ) -> subprocess.CompletedProcess[bytes]:
        """Run it to its end, `given` on its standard input."""
        argv = self.argv(*args, **({"stdin": True} if given is not None else {}), **how)
        return subprocess.run(argv, input=given or b"", capture_output=True, check=False, timeout=timeout)

    def wait_until_stuck(self, pid: int) -> None:
        """Wait until a process of the guest's that wrote something makes no progress with it, however often init's loop
        goes round: it does at each look."""
        # The third field is S where it sleeps; wchar is how much it wrote: proc(5).
        look = f"while read x; do echo $(cut -d' ' -f3 /proc/{pid}/stat; grep wchar /proc/{pid}/io); done"
        argv = self.argv("sh", "-c", look, stdin=True)
        seen: list[str] = []
        with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as looker:
            assert looker.stdin is not None
            assert looker.stdout is not None
            while len(seen) < 20:
                looker.stdin.write("\n")
                looker.stdin.flush()
                now = looker.stdout.readline()
                assert "wchar" in now, f"process {pid} is gone"
                still = now.startswith("S") and not now.endswith(" 0\n") and seen[-1:] in ([], [now])
                seen = [*seen, now] if still else []

    def _drain(self) -> None:
        """The host's log takes all."""
        self._log.settimeout(None)
        with contextlib.suppress(OSError):
            while self._log.recv(65536):
                pass

    def wait_for_end(self) -> None:
        """Wait until init has ended, after the image's process."""
        self._init.wait(DEADLINE_S)

    def kill(self) -> None:
        """As if the VM ended."""
        for process in (self._init, self._vsock):
            process.kill()
            process.communicate()
        self._log.close()


@contextlib.contextmanager
def real_guest(folder: Path) -> Iterator[Guest]:
    """The guest `web1`, whose init is real, in `folder` (which is made); it sees this machine's own file system."""
    lab = GuestLab(folder, supervise(), "exec sleep 1000")
    root = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    yield Guest("web1", "-", root)
    os.close(root)
    lab.kill()


def exec_argv(folder: Path, *args: str, **how: object) -> list[str]:
    import json

    return [sys.executable, "-c", EXEC, str(folder), json.dumps({**({"args": args} if args else {}), **how})]
