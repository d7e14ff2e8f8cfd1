"""A host that loses power, or reboots, under its VMs: it says so, starts them again, and nothing stale is left."""

from __future__ import annotations

import pytest

from tests.rig.machine import Rig
from tests.rig.typed import NGINX, Host


@pytest.fixture(scope="module")
def at_rest(host: Host) -> set[str]:
    """The host with a VM that has run."""
    host.create("web", image=NGINX, options="--memory 256")
    host.type("start web --detach")
    host.type("stop web")
    host.sh("sync")
    return host.inventory()


@pytest.mark.parametrize("end", ["cut", "reboot"])
def test_the_host_goes_down_under_a_vm(rig: Rig, host: Host, at_rest: set[str], end: str) -> None:
    host.type("start web --detach")
    version = host.status("web")["version"]
    host.sh("sync")
    getattr(rig, end)()
    assert host.states() == {"web": "stopped"}
    shown = host.status("web")
    assert (shown["pid"], shown["exit_code"]) in ((None, 125), (None, 143), (None, 137))
    assert shown["vm_error"]
    host.type("start web --detach")
    assert host.status("web")["version"] == version
    host.sh("curl --silent --retry 20 --retry-connrefused --retry-delay 0 --fail http://172.16.0.2/")
    host.type("stop web")
    host.check_inventory(at_rest)


def test_a_vm_just_made_survives_a_power_cut(rig: Rig, host: Host) -> None:
    made = host.create("new", "exit 3")
    rig.cut()
    assert host.status("new")["version"] == made["version"]
    host.type("start new", status=3)


def test_stop_after_a_cut_takes_away_what_the_run_left(rig: Rig, host: Host) -> None:
    before = host.inventory()
    host.type("start web --detach")
    host.sh("sync")
    rig.cut()
    assert "was not running" in host.type("stop web").stderr
    host.check_inventory(before)
    assert "left no exit status" in host.status("web")["vm_error"]
