"""systemd behind a script that executes it: PID 1 of a namespace, with the cgroups below its own, up to a clean end."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from rig.machine import Rig
from tests.rig import bases, systemd
from tests.rig.typed import Host

# Its words on the console; what follows the log ends by its deadline.
UP = (
    """bash -c 'grep -m 1 "Reached target .*multi-user" < <(timeout 100 infernoctl logs show -f --vm sd < /dev/null)'"""
)


@pytest.fixture(scope="module")
def rig(built: None) -> Iterator[Rig]:
    with Rig.start(extra=systemd.pulled()) as rig:
        bases.unpack(rig, "images.tar")
        yield rig


def test_it_starts_its_units_and_powers_off(host: Host) -> None:
    host.sh("echo hunter2 > /root/key && chmod 600 /root/key")
    # In a full /run that is not a file system of its own, over which systemd mounts one.
    script = "echo a script; exec /sbin/init"
    host.create("sd", script, image=systemd.ref(), options="--memory 256 --secret key=/root/key")
    host.type("start sd --detach")
    host.sh(UP)
    asked = (
        "cat /proc/1/comm; systemctl is-system-running --wait; systemctl is-active hello.service;"
        " systemctl show -p ControlGroup --value systemd-journald; cat /proc/self/cgroup; systemd-detect-virt -c;"
        " cat /run/secrets/key; stat -c %a /run/secrets/key"
    )
    said = host.type(f"exec sd -- sh -c '{asked}'").stdout.split()
    assert said == [
        "systemd",
        "running",
        "active",
        "/system.slice/systemd-journald.service",
        "0::/exec",
        "container-other",
        "hunter2",
        "400",
    ]
    assert "hello from a unit" in host.type("logs show --vm sd --source kernel").stdout
    host.type("stop sd --timeout 60")
    shown = host.status("sd")
    assert (shown["exit_code"], shown["signal"], shown["vm_error"]) == (0, None, None), shown
