"""The saved boot that every clean rig is restored from.

Booted once with its memory in a shared file; stopped, and the devices' state written beside that file. Ever after a
rig starts by mapping the same file copy-on-write and loading that state, which takes seconds (QEMU's migration with
x-ignore-shared). Nested KVM survives it.
"""

from __future__ import annotations

import contextlib
from pathlib import Path

from rig import checkout, processor
from rig.cache import cached, digest, digest_of_code
from rig.emulator import emulator
from rig.program import RigError, command
from rig.progress import detail
from rig.qemu import Console, Disks, Qemu, blank, overlay, ssh_port
from rig.ssh import Ssh

HERE = Path(__file__).resolve().parent
BOOT_WITHIN_S = 300  # 17 s on a quiet machine; only a boot that failed waits for it
# What the first commands would otherwise wait for, brought into the page cache; and proof that the boot is whole.
WARM = """
set -e
systemctl is-system-running || { systemctl --failed --no-pager; exit 1; }
mountpoint -q /opt/venv
mountpoint -q /var/lib/inferno
test -c /dev/kvm
python3 -c 'import sqlite3, json, asyncio, doit.doit_cmd, pydantic, pytest'
cat /usr/bin/git /usr/sbin/nft /usr/sbin/mkfs.ext4 /usr/bin/mkfs.erofs > /dev/null
sync
"""


def saved(system: Path, venv: Path) -> Path:
    """The folder with ram, devices, and the disks root, data and pool as they were at that moment."""
    recipe = digest_of_code(Path(__file__), HERE / "qemu.py", HERE / "qmp.py")
    key = digest(recipe, system.name, venv.parent.name, emulator().name, processor.kind(system))
    return cached("saved", key, "a booted rig to restore", lambda making: _save(making, system, venv))


def overlays(folder: Path, below: Path, form: str) -> tuple[Path, Path, Path]:
    """root, data and pool: what a rig writes goes to `folder`."""
    names = ("root.ext4", "data.ext4", "pool.raw") if form == "raw" else ("root.qcow2", "data.qcow2", "pool.qcow2")
    root, data, pool = (overlay(folder / f"{Path(name).stem}.qcow2", below / name, form) for name in names)
    return root, data, pool


def restore(qemu: Qemu, state: Path, *, detached: bool, locks: tuple[int, ...]) -> int:
    """Start `qemu` from the saved boot; returns the port of its sshd. Raises RigError."""
    monitor = qemu.start(incoming=True, detached=detached, locks=locks)
    with contextlib.closing(monitor):
        monitor.migrate("migrate-incoming", state / "devices")
        monitor.call("cont")
        return ssh_port(monitor)


def boot(qemu: Qemu, *, detached: bool, locks: tuple[int, ...]) -> int:
    """Start `qemu` from its disks and wait for the end of the boot; returns the port of its sshd. Raises RigError."""
    monitor = qemu.start(detached=detached, locks=locks)
    with contextlib.closing(monitor):
        Console(qemu.folder).wait_ready(BOOT_WITHIN_S)
        return ssh_port(monitor)


def _save(making: Path, system: Path, venv: Path) -> None:
    work = making / "work"
    work.mkdir()
    empty = blank(work / "checkout", checkout.CHECKOUT_BYTES), blank(work / "extra", checkout.EXTRA_BYTES)
    disks = Disks(*overlays(making, system, "raw"), venv, *empty)
    qemu = Qemu(work, system, disks, ram=making / "ram", share=True)
    try:
        port = boot(qemu, detached=False, locks=())
        detail("booted; warming up")
        with contextlib.closing(Ssh(port, system / "key", work)) as ssh:
            done = ssh.run(["sh", "-c", WARM], timeout=BOOT_WITHIN_S)
        if done.returncode:
            raise RigError(f"the boot is not whole:\n{done.stdout.decode()}{done.stderr.decode()}")
        _write(qemu, making)
    finally:
        qemu.kill()
        (making / "console.log").write_bytes((work / "console.log").read_bytes())
    command("rm", "-r", work)


def _write(qemu: Qemu, making: Path) -> None:
    from rig.qmp import Monitor

    monitor = Monitor(qemu.folder / "qmp.sock")
    monitor.call("stop")
    monitor.migrate("migrate", making / "devices")
    with contextlib.suppress(RigError, OSError):  # it may be gone before it answers
        monitor.call("quit")
    monitor.close()
    qemu.wait(30)
