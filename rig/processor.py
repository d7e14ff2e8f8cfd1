"""Whether this machine's KVM can run the rig: told by booting a kernel. A /dev/kvm that is there may still not."""

from __future__ import annotations

import contextlib
import functools
import os
import subprocess
from pathlib import Path

from rig.cache import CACHE, digest
from rig.emulator import bare_machine

PROBE_WITHIN_S = 20


@functools.cache
def accelerated(system: Path) -> bool:
    """Asked once per boot of this machine, and only where /dev/kvm can be opened."""
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return False
    boot = digest(Path("/proc/sys/kernel/random/boot_id").read_text())
    answer = CACHE / f"kvm-{boot}"
    if not answer.exists():
        for old in CACHE.glob("kvm-*"):
            old.unlink(missing_ok=True)
        answer.write_text("yes" if _boots(system) else "no")
    return answer.read_text() == "yes"


def _boots(system: Path) -> bool:
    argv = [*bare_machine(), "-M", "q35", "-no-reboot"]
    argv += ["-accel", "kvm", "-cpu", "host", "-smp", "2", "-m", "512", "-serial", "stdio"]
    argv += ["-kernel", str(system / "vmlinux"), "-initrd", str(system / "initrd.img")]
    argv += ["-append", "console=ttyS0 quiet rigprobe"]
    said = b""
    with contextlib.suppress(subprocess.TimeoutExpired):
        done = subprocess.run(argv, timeout=PROBE_WITHIN_S, capture_output=True, stdin=subprocess.DEVNULL, check=False)
        said = done.stdout
    return b"rig-probe-ok" in said


def kind(system: Path) -> str:
    """What a saved boot fits: this very processor, or, emulated, any."""
    if not accelerated(system):
        return "tcg"
    lines = Path("/proc/cpuinfo").read_text().split("\n\n")[0].splitlines()
    return "\n".join(
        line for line in lines if line.startswith(("vendor_id", "model", "stepping", "flags", "microcode"))
    )
