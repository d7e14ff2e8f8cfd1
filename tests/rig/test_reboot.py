"""A host that loses power, or reboots, under its VMs: it says so, starts them again, and nothing stale is left.

The scratch disk is a snapshot in an LVM thin pool at the power cut, and a file at the reboot.
"""

from __future__ import annotations

import json

import pytest

from rig.machine import Rig
from tests.rig.convergence import SERVER, serves_again
from tests.rig.pool import runs, set_up
from tests.rig.typed import Host


@pytest.fixture(scope="module")
def at_rest(host: Host) -> set[str]:
    """The host with a VM that has run."""
    host.create("web", SERVER)
    set_up(host)
    host.sh("infernoctl start web --detach && infernoctl stop web && sync")
    return host.inventory()


def test_a_power_cut_ends_vms_and_loses_none(rig: Rig, host: Host, at_rest: set[str]) -> None:
    host.sh("infernoctl start web --detach && sync")
    made = host.create("new", "exit 3")
    rig.cut()
    assert host.states() == {"new": "created", "web": "stopped"}
    assert [active for active, _ in runs(host).values()] == [""], "a snapshot that nobody looked at"
    shown = host.status("web")
    assert (shown["pid"], shown["exit_code"]) == (None, 125)
    assert "left no exit status" in shown["vm_error"]
    assert "was not running" in host.type("stop web").stderr
    newest = json.loads(host.type("runs web --json").stdout)[0]
    assert (newest["exit_code"], newest["reason"], newest["noticed_by"]) == (125, shown["vm_error"], "stop")
    assert host.status("new")["version"] == made["version"]
    host.type("start new", status=3)
    host.type("destroy new --yes")
    serves_again(host, at_rest)


def test_a_reboot_ends_vms_and_start_makes_what_the_host_forgot(rig: Rig, host: Host, at_rest: set[str]) -> None:
    host.sh("INFERNO_STORAGE=file infernoctl start web --detach")
    rig.reboot()
    assert host.states() == {"web": "stopped"}
    assert host.status("web")["vm_error"]
    serves_again(host, at_rest)
