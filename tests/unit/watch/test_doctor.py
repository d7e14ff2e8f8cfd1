"""doctor: each rule on hosts that keep it and hosts that do not, as files; and the command itself."""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from inferno.artifact.firecracker import Vmm
from inferno.base import records
from inferno.base.errors import InfernoError
from inferno.life.instance import Instance
from inferno.sandbox import cgroup
from inferno.settings import load_settings
from inferno.state.paths import VersionDir
from inferno.state.slot import Slot
from inferno.watch.doctor import diagnosis, limits, machine, processes, trust
from inferno.watch.doctor.rule import Rule, State, look
from inferno.watch.doctor.world import Running, World

CPU = "sys/devices/system/cpu"
BARE_METAL = "vendor_id\t: GenuineIntel\nflags\t\t: fpu vmx\n"


def world(tmp_path: Path, files: dict[str, str], **settings: str) -> World:
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return World(load_settings({"INFERNO_ROOT": str(tmp_path / "inferno"), **settings}), (), tmp_path)


def found(rules: list[Rule], what: str) -> tuple[State, str]:
    [finding] = [look(rule) for rule in rules if what in rule.check.what]
    return finding.state, f"{finding.problem} {finding.fix}"


@pytest.mark.parametrize(
    ("what", "files", "state", "says"),
    [
        ("console", {"proc/cmdline": "ro quiet loglevel=1", "proc/sys/kernel/printk": "4 4 1 7"}, "ok", ""),
        ("console", {"proc/cmdline": "ro", "proc/sys/kernel/printk": "1 4 1 7"}, "ok", ""),
        ("console", {"proc/cmdline": "quiet", "proc/sys/kernel/printk": "7 4 1 7"}, "fails", "level 7"),
        ("swap", {"proc/swaps": "Filename Type\n"}, "ok", ""),
        ("swap", {"proc/swaps": "Filename\n/dev/sda2 partition 1 0 -2\n"}, "fails", "swapoff -a"),
        ("swap", {"proc/swaps": "Filename\n/dev/zram0 partition 1 0 -2\n"}, "ok", ""),
        (
            "swap",
            {"proc/swaps": "F\n/dev/dm-1 partition\n", "sys/block/dm-1/dm/uuid": "CRYPT-PLAIN-swap\n"},
            "ok",
            "",
        ),
        ("swap", {"proc/swaps": "F\n/dev/dm-1 partition\n", "sys/block/dm-1/dm/uuid": "LVM-x\n"}, "fails", "dm-1"),
        ("microcode", {"proc/cpuinfo": BARE_METAL}, "fails", "intel-microcode"),
        ("microcode", {"proc/cpuinfo": BARE_METAL, "lib/firmware/intel-ucode/06-55-04": ""}, "ok", ""),
        ("microcode", {"proc/cpuinfo": "flags\t: fpu hypervisor\n"}, "unknown", "VM itself"),
        ("multithreading", {f"{CPU}/smt/active": "0\n"}, "ok", ""),
        ("multithreading", {f"{CPU}/smt/active": "1\n"}, "fails", "echo off > /sys"),
        ("multithreading", {}, "unknown", ""),
        ("same-page", {"sys/kernel/mm/ksm/run": "1\n"}, "fails", "echo 2"),
        ("same-page", {"sys/kernel/mm/ksm/run": "0\n"}, "ok", ""),
        ("mitigations", {f"{CPU}/vulnerabilities/l1tf": "Not affected\n"}, "ok", ""),
        ("mitigations", {f"{CPU}/vulnerabilities/mds": "Vulnerable; SMT off\n"}, "fails", "mds (Vulnerable"),
        ("mitigations", {f"{CPU}/vulnerabilities/mds": "Mitigation: x; SMT vulnerable\n"}, "ok", ""),
        ("correction", {}, "unknown", "dmidecode"),
        ("correction", {"sys/devices/system/edac/mc/mc0/size_mb": "1"}, "ok", ""),
        ("cgroups", {"proc/sys/kernel/osrelease": "5.10.0-28-amd64\n"}, "ok", ""),
        (
            "cgroups",
            {"proc/sys/kernel/osrelease": "6.12.1\n", "proc/mounts": "c /c cgroup2 rw 0 0"},
            "fails",
            "remount",
        ),
        (
            "cgroups",
            {"proc/sys/kernel/osrelease": "6.12.1\n", "proc/mounts": "c /c cgroup2 rw,favordynmods 0 0"},
            "ok",
            "",
        ),
    ],
)
def test_the_machine(tmp_path: Path, what: str, files: dict[str, str], state: State, says: str) -> None:
    got, text = found(machine.rules(world(tmp_path, files)), what)
    assert (got, says in text) == (state, True), text


@pytest.mark.parametrize(
    ("files", "settings", "state", "says"),
    [
        ({"etc/passwd": "root:x:0:0:::\nnobody:x:65534:1:::\n", "etc/subuid": "me:100000:65536\n"}, {}, "ok", ""),
        ({}, {"INFERNO_JAIL_UID": "123"}, "fails", "INFERNO_JAIL_UID=123"),
        ({}, {"INFERNO_JAIL_GID": "100"}, "fails", "unset INFERNO_JAIL_GID"),
        ({"etc/passwd": "eve:x:5005:5005:::\n"}, {"INFERNO_UID_BASE": "5000"}, "fails", "uid 5005 of eve"),
        ({"etc/group": "eves:x:5005:\n"}, {"INFERNO_UID_BASE": "5000"}, "fails", "gid 5005 of eves"),
        ({"etc/subgid": "eve:4000:1001\n"}, {"INFERNO_UID_BASE": "5000"}, "fails", "/etc/subgid gives eve"),
        ({"etc/subgid": "eve:4000:1000\n"}, {"INFERNO_UID_BASE": "5000"}, "ok", ""),
    ],
)
def test_uids(tmp_path: Path, files: dict[str, str], settings: dict[str, str], state: State, says: str) -> None:
    got, text = found(trust.rules(world(tmp_path, files, **settings)), "uid")
    assert (got, says in text) == (state, True), text


@pytest.mark.root
def test_a_folder_that_others_write_is_named(tmp_path: Path) -> None:
    # Not the checkout's, which may be anybody's.
    here = world(tmp_path, {}, INFERNO_SHARE_DIR=str(tmp_path / "share"))
    here.paths.versions.mkdir(parents=True)
    here.settings.share_dir.mkdir()
    tmp_path.chmod(0o755)
    assert found(trust.rules(here), "folders")[0] == "ok"
    here.settings.share_dir.chmod(0o757)
    assert f"may write to {here.settings.share_dir}" in found(trust.rules(here), "folders")[1]
    here.settings.share_dir.chmod(0o755)
    here.paths.vms.chmod(0o777)
    assert found(trust.rules(here), "folders") == (
        "fails",
        f"others than its owner may write to {here.paths.vms}, which root would trust chmod go-w {here.paths.vms}",
    )
    here.paths.vms.chmod(0o755)
    os.chown(here.paths.versions, 4711, 0)
    assert "belongs to uid 4711" in found(trust.rules(here), "folders")[1]


def child(jail: Path, uid: int, gid: int, groups: list[int], keeps: int = 0) -> int:
    """A real process with this `/`, as this user, that waits for its end; it `keeps` root's capabilities."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.chroot(jail)
            os.setgroups(groups)
            os.setgid(gid)
            assert ctypes.CDLL(None).prctl(8, keeps, 0, 0, 0) == 0  # PR_SET_KEEPCAPS
            os.setuid(uid)
            os.write(writer, b"x")
            signal.pause()
        finally:
            os._exit(1)
    assert os.read(reader, 1) == b"x"
    os.close(reader)
    os.close(writer)
    return pid


@pytest.mark.root
@pytest.mark.parametrize(
    ("ids", "says"),
    [
        ((800_003, 800_003, [], 0), ""),
        ((800_004, 800_003, [], 0), "Uid 800004 instead of 800003"),
        ((800_003, 800_004, [], 0), "Gid 800004 instead of 800003"),
        ((800_003, 800_003, [4711], 0), "Groups 4711 instead of none"),
        ((800_003, 800_003, [], 1), "has capabilities"),
        ((0, 0, [], 0), "Uid 0 instead of 800003"),
    ],
)
def test_as_whom_and_where_a_vm_runs_is_asked_of_the_kernel(
    tmp_path: Path, ids: tuple[int, int, list[int], int], says: str
) -> None:
    settings = load_settings({"INFERNO_ROOT": str(tmp_path), "INFERNO_UID_BASE": "800000"})
    vm = Running(Instance(settings, "web1", Slot(3), None), VersionDir(tmp_path / "version"))
    vm.version.jail.mkdir(parents=True)
    here = World(settings, ())
    pid = child(vm.version.jail, *ids)
    try:
        processes.check_root(here, vm, pid)
        with pytest.raises(InfernoError, match=says) if says else contextlib.nullcontext():
            processes.check_user(here, vm, pid)
        vm.version.jail.rename(tmp_path / "aside")
        vm.version.jail.mkdir()
        with pytest.raises(InfernoError, match="outside of the VM's jail"):
            processes.check_root(here, vm, pid)
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


ULIDS = ("01JD8ZK3V5N9Q2R7T4W6X8Y0AB", "01JD8ZK3V5N9Q2R7T4W6X8Y0AC")


@pytest.fixture
def two(hierarchy: Path, tmp_path: Path) -> Iterator[Callable[..., World]]:
    """Two VMs that run, as far as the kernel knows: in leaf and jail of each a process of its uid."""
    pids: dict[str, int] = {}

    def run(**known: str) -> World:
        settings = load_settings({"INFERNO_ROOT": str(tmp_path / "root"), "INFERNO_UID_BASE": "800000", **known})
        vms = tuple(Instance(settings, f"web{n}", Slot(n), ulid) for n, ulid in enumerate(ULIDS))
        for vm, ulid in zip(vms, ULIDS, strict=True):
            version = vm.paths.version(ulid)
            version.jail.mkdir(parents=True)
            pids[ulid] = child(version.jail, vm.uid, vm.gid, [])
            (hierarchy / cgroup.SLICE / ulid).mkdir(parents=True)
            cgroup.add(ulid, pids[ulid])
        return World(settings, vms)

    yield run
    for ulid, pid in pids.items():
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        cgroup.remove(ulid)


@pytest.mark.root
def test_two_vms_have_not_the_same_user(two: Callable[..., World]) -> None:
    here = two()
    assert [vm.name for vm in here.running()] == ["web0", "web1"]
    assert found(processes.rules(here), "own users") == ("ok", "None None")
    # Of another number than its slot's, by which it would have web0's.
    strayed = World(here.settings, (here.vms[0], here.vms[1]._replace(slot=Slot(0))))
    assert "web0 and web1 run as the same user, 800000" in found(processes.rules(strayed), "own users")[1]


@pytest.mark.root
def test_one_user_that_is_forced_on_all_vms_is_named(two: Callable[..., World]) -> None:
    here = two(INFERNO_JAIL_UID="4711")
    state, says = found(processes.rules(here), "own users")
    assert (state, says) == (
        "fails",
        "web0 and web1 run as the same user, 4711 unset INFERNO_JAIL_UID and INFERNO_JAIL_GID; restart the VMs",
    )
    # Whoever asks without that setting sees it too: by the processes.
    settings = load_settings({"INFERNO_ROOT": str(here.settings.root), "INFERNO_UID_BASE": "800000"})
    unforced = World(settings, tuple(vm._replace(settings=settings) for vm in here.vms))
    state, says = found(processes.rules(unforced), "own users")
    assert (state, "has Uid 4711 instead of 800000" in says) == ("fails", True), says


def test_logs_must_fit(tmp_path: Path) -> None:
    assert found(limits.rules(world(tmp_path, {}, INFERNO_LOG_MAX_SIZE_MB="1")), "logs")[0] == "ok"
    large = world(tmp_path, {}, INFERNO_LOG_MAX_SIZE_MB="500000", INFERNO_LOG_MAX_FILES="1000")
    assert found(limits.rules(large), "logs")[0] == "fails"


@pytest.mark.parametrize(
    ("version", "state", "says"),
    [
        ("1.12.1", "fails", "has had no support since 2025-12-17: leaks that are found in it stay open (from a test)"),
        # Its promised time ended before this was written, and nobody announced its end.
        ("1.15.0", "unknown", "may have no support since 2026-09-09"),
        ("999.0.0", "ok", ""),
    ],
)
def test_a_firecracker_is_unfit_once_its_end_is_announced(
    tmp_path: Path, version: str, state: State, says: str
) -> None:
    share = tmp_path / "share"
    share.mkdir()
    records.write(share / "vmm.json", Vmm(version, "a test", {}))
    asked = world(tmp_path, {}, INFERNO_SHARE_DIR=str(share))
    found_state, said = found(trust.rules(asked), "a Firecracker with support")
    assert found_state == state
    assert says in said


def test_each_of_the_twenty_rules_is_looked_at_and_says_what_to_do(tmp_path: Path) -> None:
    rules = diagnosis.rules(World.of(load_settings({"INFERNO_ROOT": str(tmp_path)})))
    assert {rule.number for rule in rules} == set(range(21))
    assert all(rule.check.what and rule.check.reason for rule in rules)


def test_the_command_says_it_in_text_and_json(tmp_path: Path) -> None:
    program = [Path(sys.executable).parent / "infernoctl", "doctor"]
    env = {**os.environ, "INFERNO_ROOT": str(tmp_path)}
    text = subprocess.run(program, env=env, capture_output=True, text=True, check=False)
    listed = subprocess.run([*program, "--json"], env=env, capture_output=True, text=True, check=False)
    said = json.loads(listed.stdout)
    broken = [each for each in said["findings"] if each["must"] and each["state"] == "fails"]
    assert said["fit"] == (not broken)
    assert text.returncode == listed.returncode == (1 if broken else 0)
    assert text.stdout.count("FAILS") == len(broken)
    assert all(each["fix"] for each in broken)
    assert text.stderr == listed.stderr == ""
    assert not list(tmp_path.iterdir())
