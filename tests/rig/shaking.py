"""Kicks a rig's processors, and disturbs one from another, while guests run in it.

QEMU is stopped and continued many times, and a process loads FPU state without end. With the faults that emulator.py
mends, guests that compute hang within seconds.
"""

from __future__ import annotations

import contextlib
import subprocess
import time
from collections.abc import Iterator

from rig.machine import Rig
from tests.rig.typed import Host

TIMES, PERIOD_S = 1000, 0.02
# FNSTENV [rdi], then FLDENV [rdi] again and again, on the second processor: the flags that are at risk are the first's.
LOADS_FPU = """
import ctypes, mmap, os
os.sched_setaffinity(0, {1})
code = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
code.write(bytes.fromhex("d937 d927 ebfc"))
run = ctypes.CFUNCTYPE(None, ctypes.c_void_p)(ctypes.addressof(ctypes.c_char.from_buffer(code)))
run(ctypes.create_string_buffer(64))
"""
COMPUTE = "while :; do i=$((i+1)); done"


def start_guests(host: Host) -> tuple[str, ...]:
    """Two VMs that do nothing but compute, as many as the rig has processors."""
    names = ("one", "two")
    host.create_all(dict.fromkeys(names, COMPUTE))
    for name in names:
        host.type(f"start {name} --detach")
    return names


def shake(rig: Rig, times: int = TIMES, period_s: float = PERIOD_S) -> None:
    """Stop and continue the rig `times` times, once in `period_s`. Raises RigError."""
    with contextlib.closing(rig.monitor()) as monitor:
        for number in range(times):
            due = time.monotonic() + period_s
            monitor.call("stop")
            monitor.call("cont")
            if number + 1 < times:
                time.sleep(max(0.0, due - time.monotonic()))  # in which the guests run


@contextlib.contextmanager
def fpu_loaded(rig: Rig) -> Iterator[None]:
    """Meanwhile a process in the rig loads FPU state without end."""
    command = rig.popen(["python3", "-c", LOADS_FPU], stdin=subprocess.DEVNULL)
    try:
        yield
    finally:
        assert command.poll() is None, "it ended by itself"
        command.end()
