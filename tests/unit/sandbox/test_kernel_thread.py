"""Threads of the kernel's are known by what no process can pretend; where there are VMs, tests/rig/test_limits.py."""

from __future__ import annotations

import subprocess
import sys

import pytest

from inferno.sandbox import kernel_thread, timer_thread


@pytest.mark.parametrize("name", ["kvm-pit/1", "kvm) S 2 0 0 0"])
def test_a_process_that_calls_itself_so_is_no_timer(name: str) -> None:
    program = "import sys; open('/proc/self/comm', 'w').write(sys.argv[1]); print(flush=True); input()"
    with subprocess.Popen([sys.executable, "-c", program, name], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as liar:
        assert liar.stdout is not None
        liar.stdout.readline()
        with open(f"/proc/{liar.pid}/comm") as file:
            assert file.read() == f"{name}\n"
        assert kernel_thread.name_of(liar.pid) == ""
        liar.communicate(b"\n")


def test_a_process_whose_session_is_not_seen_is_none_either() -> None:
    """In a container, what was brought in from outside has a session of 0, as the kernel's threads have."""
    look = (
        "import os; from inferno.sandbox.kernel_thread import name_of; me = os.getpid(); "
        "print(os.getsid(me), repr(name_of(me)))"
    )
    inside = ["unshare", "--map-root-user", "--pid", "--fork", "--mount-proc", sys.executable, "-c", look]
    seen = subprocess.run(inside, check=False, capture_output=True, text=True)
    if seen.returncode:
        pytest.skip(f"no PID namespace here: {seen.stderr.strip()}")
    assert seen.stdout == "0 ''\n"


def test_a_thread_of_the_kernels_has_its_name() -> None:
    try:
        with open("/proc/2/comm") as file:
            if file.read() != "kthreadd\n":
                pytest.skip("PID 2 is not the kernel's here")
    except OSError:
        pytest.skip("PID 2 is not the kernel's here")
    assert kernel_thread.name_of(2) == "kthreadd"


def test_what_does_not_run_has_none() -> None:
    assert kernel_thread.name_of((1 << 22) + 1) == ""
    assert timer_thread.adopt("01JD8ZK3V5N9Q2R7T4W6X8Y0AB") is False
