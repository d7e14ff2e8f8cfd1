"""Threads of the kernel's are known by what no process can pretend; where there are VMs, tests/rig/test_limits.py."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from inferno import pit


def test_a_process_that_calls_itself_so_is_no_timer() -> None:
    program = "open('/proc/self/comm', 'w').write('kvm-pit/1'); print(flush=True); input()"
    with subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as liar:
        assert liar.stdout is not None
        liar.stdout.readline()
        with open(f"/proc/{liar.pid}/comm") as file:
            assert file.read() == "kvm-pit/1\n"
        assert pit.name_of(liar.pid) == ""
        liar.communicate(b"\n")


def test_a_thread_of_the_kernels_has_its_name() -> None:
    try:
        with open("/proc/2/comm") as file:
            if file.read() != "kthreadd\n" or os.getsid(2) != 0:
                pytest.skip("PID 2 is not the kernel's here")
    except OSError:
        pytest.skip("PID 2 is not the kernel's here")
    assert pit.name_of(2) == "kthreadd"


def test_what_does_not_run_has_none() -> None:
    assert pit.name_of((1 << 22) + 1) == ""
    assert pit.adopt("01JD8ZK3V5N9Q2R7T4W6X8Y0AB") is False
