"""One QEMU: its devices, its start and its end.

The sockets of its monitor and console listen before it is started, so there is something to wait on from the first
moment; they and the locks of what it uses are inherited.
"""

from __future__ import annotations

import contextlib
import os
import re
import select
import signal
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rig.emulator import bare_machine, program
from rig.processor import accelerated
from rig.program import RigError, command
from rig.qmp import Monitor
from rig.sockets import connected, listening

MEMORY_MIB = 4096
# tsc=reliable: else the kernel finds it to be none under emulation, asks a slow device for the time, and KVM has the
# guests' clocks follow.
CMDLINE = (
    "console=ttyS0 root=/dev/vda rw net.ifnames=0 quiet loglevel=4 mitigations=off nokaslr audit=0 lsm=capability "
    "systemd.show_status=0 raid=noautodetect tsc=reliable"
)
# Without what makes Linux copy by `rep movsb` (emulated, a byte at a time), and without the fifth level of page tables:
# an eighth less of the processor's time.
EMULATED = "max,erms=off,fsrm=off,fzrm=off,la57=off"
READY = b"rig: ready"


@dataclass(frozen=True, slots=True)
class Disks:
    """The files behind vda to vdf. The last three are read-only and used by many."""

    root: Path
    data: Path
    pool: Path
    venv: Path
    checkout: Path
    extra: Path


class Qemu:
    """One running QEMU. `folder` takes its sockets and logs."""

    def __init__(
        self, folder: Path, system: Path, disks: Disks, *, ram: Path | None = None, share: bool = False
    ) -> None:
        """`ram` is the file that is the memory: as it is (`share`), or copied on write."""
        self.folder = folder
        self._argv = _arguments(system, disks)
        if ram:
            backend = f"memory-backend-file,id=ram0,size={MEMORY_MIB}M,share={'on' if share else 'off'}"
            self._argv += ["-object", f"{backend},mem-path={_value(ram)}", "-machine", "memory-backend=ram0"]
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, *, incoming: bool = False, detached: bool = False, locks: Sequence[int] = ()) -> Monitor:
        """Start it; it dies with this process unless `detached`. Raises RigError."""
        with listening(self.folder / "qmp.sock") as qmp, listening(self.folder / "console.sock") as console:
            argv = [] if detached else ["setpriv", "--pdeathsig", "KILL"]
            argv += [*self._argv, *self._sockets(qmp.fileno(), console.fileno())]
            with (self.folder / "qemu.log").open("wb") as log:
                self._process = subprocess.Popen(
                    [*argv, *(["-incoming", "defer"] if incoming else [])],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                    pass_fds=(qmp.fileno(), console.fileno(), *locks),
                )
        (self.folder / "pid").write_text(str(self._process.pid))
        try:
            return Monitor(self.folder / "qmp.sock")
        except (RigError, OSError) as problem:
            raise RigError(f"{problem}: {(self.folder / 'qemu.log').read_text().strip()}") from None

    def _sockets(self, qmp: int, console: int) -> list[str]:
        log = f"logfile={_value(self.folder / 'console.log')},logappend=on"
        argv = ["-chardev", f"socket,id=con,fd={console},server=on,wait=off,{log}", "-serial", "chardev:con"]
        argv += ["-chardev", f"socket,id=qmp,fd={qmp},server=on,wait=off", "-mon", "chardev=qmp,mode=control"]
        return argv

    def kill(self) -> None:
        """A power cut."""
        if self._process:
            self._process.kill()
            self._process.wait()

    @property
    def alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def wait(self, timeout_s: float) -> None:
        assert self._process
        self._process.wait(timeout_s)


def ssh_port(monitor: Monitor) -> int:
    """The port of this host's loopback that leads to the rig's sshd; the kernel chose it."""
    shown = monitor.call("human-monitor-command", **{"command-line": "info usernet"})
    found = re.search(r"HOST_FORWARD\]\s+\d+\s+127\.0\.0\.1\s+(\d+)", shown)
    if not found:
        raise RigError(f"QEMU forwards no port:\n{shown}")
    return int(found[1])


class Console:
    """The serial console, to wait for what a boot says last. Open it before that boot."""

    def __init__(self, folder: Path) -> None:
        self._socket = connected(folder / "console.sock")

    def wait_ready(self, timeout_s: float) -> None:
        """Wait for the end of the boot. Raises RigError."""
        deadline = time.monotonic() + timeout_s
        said = b""
        with contextlib.closing(self._socket):
            while READY not in said:
                self._socket.settimeout(max(0.001, deadline - time.monotonic()))
                try:
                    piece = self._socket.recv(65536)
                except TimeoutError:
                    raise RigError(f"no boot within {timeout_s:.0f} s; the console:\n{_text(said)}") from None
                if not piece:
                    raise RigError(f"QEMU ended during the boot; the console:\n{_text(said)}")
                said += piece


def kill_pid(pid: int) -> None:
    """Kill a QEMU of ours that is not a child of this process, and wait for its end."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        if b"qemu-system" in Path(f"/proc/{pid}/cmdline").read_bytes():
            signal.pidfd_send_signal(descriptor, signal.SIGKILL)
            select.select([descriptor], [], [], 30)
    except (FileNotFoundError, ProcessLookupError):
        pass
    finally:
        os.close(descriptor)


def overlay(path: Path, base: Path, form: str) -> Path:
    command(program("qemu-img"), "create", "-q", "-f", "qcow2", "-b", base, "-F", form, path)
    return path


def blank(path: Path, size: int) -> Path:
    with path.open("wb") as file:
        file.truncate(size)
    return path


def _arguments(system: Path, disks: Disks) -> list[str]:
    argv = [*bare_machine(), "-M", "q35,hpet=off"]
    argv += (
        ["-accel", "kvm", "-cpu", "host"] if accelerated(system) else ["-accel", "tcg,thread=multi", "-cpu", EMULATED]
    )
    argv += ["-smp", "2", "-m", str(MEMORY_MIB)]
    argv += ["-kernel", str(system / "vmlinux"), "-initrd", str(system / "initrd.img"), "-append", CMDLINE]
    for letter, path in zip("abc", (disks.root, disks.data, disks.pool), strict=True):
        argv += ["-drive", f"file={_value(path)},if=none,id=d{letter},format=qcow2,discard=unmap"]
        argv += ["-device", f"virtio-blk-pci,drive=d{letter}"]
    for letter, path in zip("def", (disks.venv, disks.checkout, disks.extra), strict=True):
        argv += ["-drive", f"file={_value(path)},if=none,id=d{letter},format=raw,read-only=on"]
        argv += ["-device", f"virtio-blk-pci,drive=d{letter}"]
    argv += ["-netdev", "user,id=n0,restrict=on,hostfwd=tcp:127.0.0.1:0-:22"]
    argv += ["-device", "virtio-net-pci,netdev=n0,romfile=", "-device", "virtio-rng-pci"]
    # A new one with every start: the kernel inside mixes it in, so that restored rigs do not draw the same numbers.
    return [*argv, "-device", "vmgenid,guid=auto"]


def _value(path: Path) -> str:
    """A path among the comma-separated options of one word: util/qemu-option.c, get_opt_value."""
    return str(path).replace(",", ",,")


def _text(said: bytes) -> str:
    return said[-3000:].decode(errors="replace")
