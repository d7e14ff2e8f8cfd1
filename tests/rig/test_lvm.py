"""Scratch disks in an LVM thin pool: snapshots that are the VM's own, and gone with its run, however that ends.

What a power cut makes of them: test_reboot.py.
"""

from __future__ import annotations

import json
import random
import re

import pytest

from tests.rig.convergence import kill
from tests.rig.pool import GROUP, runs, set_up
from tests.rig.typed import VMS, Host

SEED = 4711


@pytest.fixture(scope="module")
def at_rest(host: Host) -> set[str]:
    """The inventory of a host with a pool in which two VMs have run."""
    for name in ("web", "other"):
        host.create(name, "sleep 1000 & wait", options="--io-max wbps=100m")
    before = host.inventory()
    said = host.sh("INFERNO_STORAGE=lvm infernoctl start web --detach", status=2).stderr
    assert f"error: disk:web: there is no thin pool {GROUP}/rootfs_pool" in said
    host.check_inventory(before)
    set_up(host)
    host.sh("for vm in web other; do infernoctl start $vm --detach && infernoctl stop $vm --kill || exit; done")
    return host.inventory()


def test_a_scratch_is_a_snapshot_that_is_the_vms_alone(host: Host, at_rest: set[str]) -> None:
    writes = "dd if=/dev/urandom of=/big bs=1M count=40 && sync"
    host.sh(f"infernoctl start web --detach && infernoctl exec web -- sh -c '{writes}' && sync")
    shown = host.status("web")
    name = f"inferno_run_{shown['version']}"
    found = runs(host)
    assert found.keys() == {name}
    assert found[name][0] == "active"
    assert 0.7 < float(found[name][1]) < 2, "40 MiB of 5120"
    node, device, *rest = host.sh(
        f"stat -c '%F %u %a %t:%T' {shown['chroot_dir']}/scratch.img; stat -L -c '%t:%T' /dev/{GROUP}/{name};"
        f" cat /sys/fs/cgroup/inferno.slice/{shown['version']}/io.max; losetup --list"
    ).stdout.splitlines()
    assert node == f"block special file {shown['uid']} 600 {device}"
    assert len([line for line in rest if "wbps=104857600" in line]) == 2, "the base's disk, and the scratch"
    known = host.sh(f"udevadm settle; udevadm info /dev/{GROUP}/{name}; ls -R /dev/disk").stdout
    assert "ID_FS_" not in known
    assert "scratch" not in known
    findings = json.loads(host.type("doctor --json", status=1).stdout)["findings"]
    ours = {each["what"]: each["state"] for each in findings if each["rule"] == 0}
    assert ours["the thin pool"] == ours["scratch disks that udev leaves alone"] == "ok"
    number = ":".join(str(int(part, 16)) for part in device.split(":"))
    said = host.sh(f"echo E:ID_FS_TYPE=ext4 >> /run/udev/data/b{number}; infernoctl doctor", status=1).stdout
    assert "udev looked into the scratch disk of web" in said

    # 16 % of the pool are in use now.
    said = host.sh("INFERNO_POOL_MAX_PERCENT=10 infernoctl start other --detach", status=1).stderr
    assert re.search(rf"^error: disk:other: the thin pool {GROUP}/rootfs_pool is 1\d\.\d % full", said, re.MULTILINE)
    # Those that run are none of its concern; and what is removed is what is there, whatever the settings say now.
    assert "runs already" in host.sh("INFERNO_POOL_MAX_PERCENT=10 infernoctl start web --detach").stderr
    host.sh("INFERNO_STORAGE=file VG_NAME=another infernoctl stop web --kill")
    assert runs(host) == {}
    host.check_inventory(at_rest)


def test_each_run_has_a_snapshot_of_its_own(host: Host, at_rest: set[str]) -> None:
    template = f"lvs --noheadings -o lv_name {GROUP} | grep -o 'inferno_template_[^ ]*'"
    host.sh(f"lvremove --quiet --yes {GROUP}/$({template})")  # it is made again, once
    host.sh("infernoctl start web --detach & infernoctl start other --detach; wait $!")
    assert len(runs(host)) == 2
    host.sh("infernoctl exec other -- touch /kept; infernoctl restart other; infernoctl exec other -- test ! -e /kept")
    assert len(runs(host)) == 2
    host.sh("infernoctl stop web --kill & infernoctl stop other --kill; wait $!")
    host.check_inventory(at_rest)


def test_a_killed_start_is_made_good_by_the_next(host: Host, at_rest: set[str]) -> None:
    moments = random.Random(SEED)
    for _ in range(2):
        delay_s = moments.uniform(1.0, 3.0)
        print(f"of seed {SEED}: killed after {delay_s:.2f} s")
        kill(host, delay_s)
        host.type("start web --detach")
        assert len(runs(host)) == 1
        host.type("stop web --kill")
        host.check_inventory(at_rest)


def test_what_was_deleted_by_hand_goes_with_the_next_start(host: Host, at_rest: set[str]) -> None:
    script = "sleep 1000 & wait"
    host.create_all({"lost": script, "next": script})
    host.sh(f"lvcreate --quiet --thin --virtualsize 4M --name inferno_run_X {GROUP}/rootfs_pool")  # not tagged as ours
    host.sh(f"doit disk:lost; rm -r $(readlink -f {VMS}/lost/current); infernoctl create lost")
    assert len(runs(host)) == 2
    host.type("start next --detach")
    assert runs(host).keys() == {"inferno_run_X", f"inferno_run_{host.status('next')['version']}"}
    host.sh(f"lvremove --quiet --yes {GROUP}/inferno_run_X")
    # A version that was laid out and never launched, and the one that took its place.
    host.sh("doit disk:lost; infernoctl create lost --memory 192")
    assert len(runs(host)) == 1
    host.sh("infernoctl destroy next --force; infernoctl destroy lost --yes")  # the one runs, and takes its own along
    assert runs(host) == {}
    host.check_inventory(at_rest)
