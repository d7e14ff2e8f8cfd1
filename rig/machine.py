"""A rig as tests and the command line use it: clean, with the checkout inside, gone without a trace afterwards.

    with Rig.start() as rig:
        done = rig.run(["doit", "create:web1"], timeout=300)

It belongs to the process that started it and dies with it, however that ends; only `rig up` leaves one running.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from rig import boots, checkout, copying, saved
from rig.cache import CACHE, hold, locked
from rig.command import Command
from rig.emulator import emulator
from rig.program import RigError
from rig.qemu import Console, Disks, Qemu, blank, kill_pid
from rig.qmp import Monitor
from rig.ssh import Ssh
from rig.system import system
from rig.venv import venv

RUNNING = CACHE / "run"


class Rig:
    """One machine. Its folder holds what is its own: overlays, sockets, logs, and a lock that QEMU holds."""

    def __init__(self, folder: Path, system: Path, venv: Path) -> None:
        self.folder, self.system, self.venv = folder, system, venv
        self._qemu: Qemu | None = None
        self._ssh: Ssh | None = None
        self._locks: list[IO[str]] = []

    @classmethod
    def start(cls, *, extra: Path | None = None, fresh: bool = False, name: str | None = None) -> Rig:
        """A clean rig, restored from the saved boot, or booted when it is to be `fresh`.

        `extra` is a folder or file to be found in /extra; one with a `name` outlives this process. Raises RigError.
        """
        if os.geteuid() != 0:
            raise RigError("the rig is made and started as root: sudo")
        base = system()
        rig = cls(RUNNING / (name or secrets.token_hex(4)), base, venv(base))
        try:
            rig._enter_folder()
            rig._begin(extra, fresh=fresh, detached=name is not None)
        except BaseException:
            rig.stop()
            raise
        return rig

    @classmethod
    def attach(cls, name: str) -> Rig:
        """The rig that another process started under that name. Raises RigError when it does not run."""
        folder = RUNNING / name
        if not _in_use(folder):
            raise RigError("no rig is up; `rig up` starts one")
        try:
            facts = json.loads((folder / "rig.json").read_text())
        except FileNotFoundError:
            raise RigError("the rig is still starting") from None
        rig = cls(folder, Path(facts["system"]), Path(facts["venv"]))
        rig._ssh = Ssh(facts["port"], rig.system / "key", folder)
        return rig

    def _enter_folder(self) -> None:
        with locked("run"):
            _sweep()
            if self.folder.exists():
                raise RigError("a rig is up already; `rig down` ends it")
            self.folder.mkdir(parents=True)
            self._lock()

    def _lock(self) -> None:
        """On the rig itself, and on all of the cache it uses."""
        own = hold(self.folder, alone=True)
        parts = [hold(folder) for folder in (emulator(), self.system, self.venv.parent)]
        if own is None or None in parts:
            raise RigError("the rig is in use or being removed by another process")
        self._locks = [own, *(part for part in parts if part)]

    def _begin(self, extra: Path | None, *, fresh: bool, detached: bool) -> None:
        checkout.pack(self.folder / "checkout.ext4", self.system)
        if extra:
            checkout.pack_extra(self.folder / "extra.ext4", extra)
        else:
            blank(self.folder / "extra.ext4", checkout.EXTRA_BYTES)
        if fresh:
            saved.overlays(self.folder, self.system, "raw")
            self._boot(detached)
        else:
            self._restore(detached)

    def _restore(self, detached: bool) -> None:
        began = time.time()
        state = saved.saved(self.system, self.venv)
        used = hold(state)
        if used is None:
            raise RigError("it is being removed")
        self._locks.append(used)
        saved.overlays(self.folder, state, "qcow2")
        self._qemu = Qemu(self.folder, self.system, self._disks, ram=state / "ram")
        self._connect(saved.restore(self._qemu, state, detached=detached, locks=self._descriptors))
        boots.note("restored", began)

    def _boot(self, detached: bool) -> None:
        began = time.time()
        self._qemu = Qemu(self.folder, self.system, self._disks)
        self._connect(saved.boot(self._qemu, detached=detached, locks=self._descriptors))
        boots.note("booted", began)

    @property
    def _disks(self) -> Disks:
        own = [self.folder / name for name in ("root.qcow2", "data.qcow2", "pool.qcow2")]
        return Disks(*own, self.venv, self.folder / "checkout.ext4", self.folder / "extra.ext4")

    @property
    def _descriptors(self) -> tuple[int, ...]:
        return tuple(lock.fileno() for lock in self._locks)

    def _connect(self, port: int) -> None:
        self._ssh = Ssh(port, self.system / "key", self.folder)
        facts = {"system": str(self.system), "venv": str(self.venv), "port": port}
        self._enter()
        (self.folder / "rig.json").write_text(json.dumps(facts))

    def _enter(self) -> None:
        done = self.ssh.run(["rig-enter", f"{time.time():.3f}"])
        if done.returncode:
            raise RigError(f"the rig's disks: {done.stderr.decode(errors='replace').strip()}")

    @property
    def ssh(self) -> Ssh:
        if self._ssh is None:
            raise RigError("the rig does not run")
        return self._ssh

    @property
    def alive(self) -> bool:
        return self._qemu.alive if self._qemu else _in_use(self.folder)

    def popen(self, words: Sequence[str], **known: Any) -> Command:
        """Start a command in the checkout; `known` is Popen's."""
        return Command(self.ssh, words, **known)

    def run(
        self,
        words: Sequence[str],
        *,
        timeout: float = 120,
        check: bool = True,
        input: str | bytes | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """Run a command to its end, at most `timeout` seconds; its output is text, its status 124 when it is late.

        With `check` an AssertionError says all that it said when it fails.
        """
        given = input.encode() if isinstance(input, str) else input
        command = self.popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        status, *streams = command.collect(given or b"", timeout)
        out, err = (stream.decode(errors="replace") for stream in streams)
        if check and status:
            raise AssertionError(f"{' '.join(words)} ended with {status}\n{out}\n{err}")
        return subprocess.CompletedProcess(list(words), status, out, err)

    def put(self, source: Path, target: str) -> None:
        """Copy a file or folder in; a relative `target` is in the checkout. Raises RigError."""
        copying.put(self.ssh, source, target)

    def get(self, source: str, target: Path) -> None:
        """Copy a file or folder out. Raises RigError."""
        copying.get(self.ssh, source, target)

    def reboot(self) -> None:
        """systemctl reboot, and back. Raises RigError."""
        began = time.time()
        console = Console(self.folder)
        self.ssh.run(["systemctl", "reboot", "--no-wall"])
        self.ssh.close()
        console.wait_ready(saved.BOOT_WITHIN_S)
        self.ssh.open()
        self._enter()
        boots.note("rebooted", began)

    def cut(self) -> None:
        """Pull the plug: QEMU is killed, and the same disks are booted again, from nothing. Raises RigError."""
        detached = self._qemu is None
        self._end_machine()
        if detached:
            self._lock()
        self._boot(detached)

    def monitor(self) -> Monitor:
        """A new connection to QEMU's monitor, which the caller closes. Raises RigError."""
        return Monitor(self.folder / "qmp.sock")

    @property
    def console(self) -> str:
        """All that the serial console said."""
        path = self.folder / "console.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def _end_machine(self) -> None:
        if self._qemu:
            self._qemu.kill()
        else:
            with contextlib.suppress(FileNotFoundError):
                kill_pid(int((self.folder / "pid").read_text()))
        if self._ssh:
            self._ssh.close()

    def stop(self) -> None:
        """End it; nothing is left."""
        mine = self._locks or self._ssh
        if mine:
            self._end_machine()
            shutil.rmtree(self.folder, ignore_errors=True)
        for lock in self._locks:
            lock.close()
        self._locks = []

    def __enter__(self) -> Rig:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def _in_use(folder: Path) -> bool:
    if not folder.exists():
        return False
    lock = hold(folder, alone=True)
    if lock:
        lock.close()
    return lock is None


def _sweep() -> None:
    """Remove the folders of rigs that were killed: nobody holds their lock. Under the lock of all that start."""
    for folder in RUNNING.glob("*"):
        if not _in_use(folder):
            shutil.rmtree(folder, ignore_errors=True)
