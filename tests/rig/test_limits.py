"""What a VM may use of its host: each limit is on kiln and Firecracker alike, and each one bites."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.rig.evil import compiled
from tests.rig.typed import VMS, Host

SLICE = "/sys/fs/cgroup/inferno.slice"
CURRENT = f"{VMS}/greedy/current"
SCRATCH = f"{CURRENT}/scratch.img"
MEMORY_MIB, VCPUS, WEIGHT = 192, 1, 10
WRITES_PER_S = 4 << 20
# Uses all the memory that the guest has, short of its own OOM killer, and writes as fast as it may.
GREEDY = """
trap 'exit 7' TERM
mkdir /tmp/m && mount -t tmpfs -o size=60% none /tmp/m
echo begun
while true; do dd if=/dev/zero of=/out bs=1M count=64 conv=fsync 2>/dev/null; done &
while true; do dd if=/dev/zero of=/tmp/m/full bs=1M 2>/dev/null; done &
wait
"""
# A process of root's that joins the leaf and takes what the guest left of its memory.
TOO_MUCH = """
import os, sys
with open(sys.argv[1] + "/cgroup.procs", "w") as procs:
    procs.write(str(os.getpid()))
taken = bytearray(1 << 30)
for page in range(0, len(taken), 4096):
    taken[page] = 1
print("nobody stopped it")
"""
TOO_MANY = """
import os, sys
leaf = sys.argv[1]
with open(leaf + "/cgroup.procs", "w") as procs:
    procs.write(str(os.getpid()))
children = []
try:
    for _ in range(100):
        child = os.fork()
        if child == 0:
            os.read(0, 1)
            os._exit(0)
        children.append(child)
except BlockingIOError:
    print("refused after", len(children))
"""
# Kills one of the two, and says after how many milliseconds nothing runs in the leaf any more.
KILLED = """
import os, select, sys, time
events = os.open(sys.argv[2] + "/cgroup.events", os.O_RDONLY)
poll = select.poll()
poll.register(events, select.POLLPRI)
began = time.monotonic()
os.kill(int(sys.argv[1]), 9)
while b"populated 1" in os.pread(events, 100, 0):
    if time.monotonic() > began + 30:
        sys.exit("the other one lives")
    poll.poll(1000)
print(round((time.monotonic() - began) * 1000))
"""
# Says in how many seconds so many bytes went from the leaf to the disk.
WRITTEN = """
import re, subprocess, sys, time
leaf, wanted, scratch = sys.argv[1], int(sys.argv[2]), sys.argv[3]
def written():
    with open(leaf + "/io.stat") as file:
        return sum(map(int, re.findall(r"wbytes=(\\d+)", file.read())))
first, began = written(), time.monotonic()
while written() - first < wanted:
    subprocess.run(["timeout", "1", "sync", "--data", scratch])  # else the page cache takes it for long
print(time.monotonic() - began)
"""
# Four that are never idle join a leaf of their own, of the usual weight, 100. While it gets four seconds of the
# processors: says what the other leaf got, and it, in microseconds.
NEIGHBOUR = """
usage() { sed -n 's/^usage_usec //p' "$1/cpu.stat"; }
neighbour=SLICE/neighbour
mkdir $neighbour
for n in 1 2 3 4; do (echo 0 > $neighbour/cgroup.procs; while :; do :; done) & done
until [ "$(usage $neighbour)" -gt 500000 ]; do sleep 0.1; done
leafs=$(usage "$1") neighbours=$(usage $neighbour)
until [ $(($(usage $neighbour) - neighbours)) -gt 4000000 ]; do sleep 0.1; done
echo $(($(usage "$1") - leafs)) $(($(usage $neighbour) - neighbours)) "$(nproc)"
echo 1 > $neighbour/cgroup.kill
until rmdir $neighbour 2> /dev/null; do sleep 0.1; done
""".replace("SLICE", SLICE)
PATIENCE_S = 100  # for what a leaf comes to by itself


@pytest.fixture(scope="module")
def greedy(host: Host) -> str:
    """A VM that takes all it can get: its version."""
    options = f"--memory {MEMORY_MIB} --vcpus {VCPUS} --cpu-weight {WEIGHT} --io-max wbps={WRITES_PER_S}"
    return str(host.create("greedy", GREEDY, options=options)["version"])


@pytest.fixture
def leaf(host: Host, greedy: str) -> str:
    """Its leaf; it runs."""
    host.up("greedy")
    return f"{SLICE}/{greedy}"


def read(host: Host, leaf: str, *names: str) -> list[str]:
    return host.sh("; echo =; ".join(f"cat {leaf}/{name}" for name in names)).stdout.split("=\n")


def until(host: Host, condition: str) -> None:
    """Wait for what no event announces: until a shell's condition holds."""
    host.sh(f"until {condition}; do sleep 0.2; done", timeout=PATIENCE_S)


def counters(text: str) -> dict[str, int]:
    return {name: int(value) for name, value in (line.split() for line in text.splitlines())}


def test_every_limit_is_on_the_leaf_that_holds_both(host: Host, leaf: str) -> None:
    names = ("cpu.max", "cpu.weight", "memory.max", "memory.swap.max", "memory.oom.group", "pids.max")
    shown = [text.strip() for text in read(host, leaf, *names, "io.max", "cgroup.procs")]
    allowance_mib = 96 + MEMORY_MIB // 128
    expected = ["100000 100000", str(WEIGHT), str((MEMORY_MIB + allowance_mib) << 20), "0", "1", str(VCPUS + 16)]
    assert shown[: len(names)] == expected
    assert f"wbps={WRITES_PER_S}" in shown[-2]
    pids = shown[-1].split()
    comms = host.sh("; ".join(f"cat /proc/{pid}/comm" for pid in pids)).stdout.split()
    assert {comm for comm in comms if not comm.startswith("kvm-")} == {"kiln", "firecracker"}


def test_resource_limits_are_on_both(host: Host, leaf: str) -> None:
    limits_of = "for pid in $(pgrep -x 'kiln|firecracker'); do cat /proc/$pid/limits; done"
    scratch, said = host.sh(f"stat -c %s {SCRATCH}; {limits_of}").stdout.split("\n", 1)
    limits = re.findall(r"Max (open files|file size) +(\d+) +(\d+)", said)
    assert sorted(limits) == sorted([("open files", "2048", "2048"), ("file size", scratch, scratch)] * 2)


def test_the_timer_thread_of_the_guest_counts_on_the_vm(host: Host, leaf: str) -> None:
    script = (
        f"cat {leaf}/cgroup.procs > /tmp/in; for pid in $(pgrep kvm-pit); do grep -qx $pid /tmp/in || echo $pid; done"
    )
    assert host.sh(f"pgrep -c kvm-pit; {script}").stdout.split() == ["1"], "threads outside of the leaf"
    assert host.status("greedy")["pid"] == int(host.sh("pgrep -x kiln -o || pgrep -x firecracker-kil").stdout)


def test_the_processors_are_throttled(host: Host, leaf: str) -> None:
    """It would use both of the host's: its vCPU's thread, and Firecracker's others beside it."""
    throttled = f"$(sed -n 's/^nr_throttled //p' {leaf}/cpu.stat)"
    before = host.sh(f"echo {throttled}").stdout.strip()
    until(host, f"[ {throttled} -gt {before} ]")


def test_the_disk_is_throttled(host: Host, leaf: str) -> None:
    """Bytes reach it no sooner than the limit allows; in its own small units it may hand some out in advance."""
    wanted = 4 * WRITES_PER_S
    took_s = float(host.rig.run(["python3", "-c", WRITTEN, leaf, str(wanted), SCRATCH], timeout=PATIENCE_S).stdout)
    print(f"{wanted >> 20} MiB were written in {took_s:.1f} s")
    assert took_s > wanted / WRITES_PER_S / 1.5


def test_the_weight_counts_where_processors_are_short(host: Host, leaf: str) -> None:
    """Each gets one of the two processors where nothing is said; with the weight it gets about a fifth of the other."""
    used, neighbours, processors = map(int, host.rig.run(["sh", "-c", NEIGHBOUR, "sh", leaf]).stdout.split())
    print(f"with the weight of {WEIGHT}: {used / 1e6:.2f} s of the processors, the neighbour {neighbours / 1e6:.2f} s")
    assert processors == 2
    assert 0 < 2 * used < neighbours


def test_doctor_knows_a_stranger_in_the_leaf(host: Host, leaf: str) -> None:
    script = f"sleep 1000 > /dev/null 2>&1 & echo $! > {leaf}/cgroup.procs; infernoctl doctor --json; kill $!"
    found = {(each["rule"], each["what"]): each["problem"] for each in json.loads(host.sh(script).stdout)["findings"]}
    assert "Uid 0 instead of" in found[7, "VMs as their own users"]
    assert "outside of the VM's jail" in found[6, "VMs in their jails"]


def test_a_guest_that_uses_all_it_has_is_not_killed(host: Host, leaf: str) -> None:
    until(host, f'[ "$(cat {leaf}/memory.peak)" -gt {MEMORY_MIB << 19} ]')
    events, peak, limit = read(host, leaf, "memory.events", "memory.peak", "memory.max")
    print(f"at most {int(peak) >> 10} KiB of {int(limit) >> 10}, the guest's being {MEMORY_MIB << 10}")
    assert counters(events)["oom_kill"] == 0
    assert int(limit) >= int(peak)
    assert host.states()["greedy"] == "running"


# What is wrong then, by the number of Firecracker's rule; {leaf} and {kiln} are the VM's.
SPOILED = {
    1: "sed -i 's/--no-api/--no-seccomp/' {current}/kiln.json",
    2: 'sed -i \'s/"console_ring_kib": 64/"console_ring_kib": 640000/\' {current}/kiln.json',
    4: "sysctl -qw kernel.printk=7",
    5: "kill -STOP $(pgrep -x firecracker)",
    6: "chmod 777 /var/lib/inferno/vms",
    8: "prlimit --pid {kiln} --fsize=unlimited",
    9: "echo max > {leaf}/pids.max",
    10: "pgrep kvm-pit > /sys/fs/cgroup/cgroup.procs",
    12: "nft flush set inet inferno taps",
    13: "echo $(cut -d' ' -f1 {leaf}/io.max) wbps=max > {leaf}/io.max",
    14: "head -c 1048576 /dev/zero > /swap && chmod 600 /swap && mkswap -q /swap && swapon /swap",
    19: "ip tuntap add inf77 mode tap && mkdir /sys/fs/cgroup/inferno.slice/01JD8ZK3V5N9Q2R7T4W6X8Y0AB",
}
# Of these the command that doctor names is all that is needed; words about what to do for good may follow it.
FIXED = (4, 6, 10, 11, 12, 13, 14, 19)


def test_doctor_sees_what_is_wrong_and_its_commands_fix_it(host: Host, leaf: str) -> None:
    kiln = host.status("greedy")["pid"]
    host.sh(f"cp -p {CURRENT}/kiln.json /tmp/")
    host.sh(";\n".join(each.format(current=CURRENT, leaf=leaf, kiln=kiln) for each in SPOILED.values()))
    found = failing(host)
    assert set(found) >= {*SPOILED, 11}, set(SPOILED) - set(found)
    host.sh(f"kill -CONT $(pgrep -x firecracker); cp -p /tmp/kiln.json {CURRENT}/")
    host.sh(f"prlimit --pid {kiln} --fsize=5000000000; echo {VCPUS + 16} > {leaf}/pids.max")
    for _ in range(2):  # a rule says one thing at a time
        fixes = [fix.partition("; for good")[0].partition("; and ")[0] for rule, fix in found.items() if rule in FIXED]
        host.sh("\n".join(fixes))
        found = failing(host)
    assert not set(found) & {*SPOILED, 11}, found


def failing(host: Host) -> dict[int, str]:
    """The rules that fail, and what doctor says fixes them."""
    said = json.loads(host.type("doctor --json", status=1).stdout)
    return {each["rule"]: each["fix"] for each in said["findings"] if each["state"] == "fails"}


def test_tasks_are_bounded(host: Host, leaf: str) -> None:
    done = host.rig.run(["python3", "-c", TOO_MANY, leaf])
    refused = re.fullmatch(r"refused after (\d+)\n", done.stdout)
    assert refused is not None
    assert int(refused[1]) < VCPUS + 16


def test_memory_beyond_the_limit_is_death_and_told(host: Host, leaf: str) -> None:
    swap = "head -c 33554432 /dev/zero > /swap && chmod 600 /swap && mkswap -q /swap && swapon /swap"
    host.sh(f"swapoff -a; rm -f /swap; {swap}")
    done = host.rig.run(["python3", "-c", TOO_MUCH, leaf], check=False)
    assert (done.returncode, done.stdout) == (137, "")
    assert host.sh(f"cat {leaf}/memory.swap.peak; swapoff /swap").stdout == "0\n", (
        "there was room, and it is not for VMs"
    )
    host.type("wait greedy", status=125)
    shown = host.status("greedy")
    assert shown["state"] == "stopped"
    assert "more memory than its limit" in shown["vm_error"]


@pytest.mark.parametrize(
    ("victim", "says"),
    [("kiln", "it left no exit status: kiln was killed"), ("firecracker", "firecracker was killed by signal 9")],
)
def test_neither_outlives_the_other(host: Host, leaf: str, victim: str, says: str) -> None:
    found = f"for pid in $(cat {leaf}/cgroup.procs); do grep -qx {victim} /proc/$pid/comm && echo $pid; done"
    [pid] = host.sh(found, status=None).stdout.split()
    print(
        f"{victim} was killed; {host.rig.run(['python3', '-c', KILLED, pid, leaf]).stdout.strip()} ms later nothing ran"
    )
    shown = host.status("greedy")
    assert says in shown["vm_error"]
    assert f"{victim} was killed" in shown["reason"]
    assert "SIGKILL" in shown["reason"]
    found = host.sh("infernoctl debug greedy -o - | tar -tf -").stdout.split()
    assert {"greedy/log.txt", "greedy/rules.txt", "greedy/cgroup/memory.events"} <= set(found)


def test_what_stands_in_firecrackers_place_meets_the_limits_of_its_process(host: Host, tmp_path: Path) -> None:
    """Through the real jailer and kiln; and it has not said in time that a guest is up, which is kept."""
    host.create("stood-in", "exit")
    host.rig.put(compiled(tmp_path, "vmm"), "/tmp/vmm")
    host.sh(f"install -m 555 /tmp/vmm {VMS}/stood-in/current/firecracker")
    said = host.sh("INFERNO_START_TIMEOUT=2 infernoctl start stood-in", status=1).stderr
    assert "as large as the scratch disk, then: File too large" in said, said
    assert "2048 files, then: Too many open files" in said, said
    assert "its process did not run within 2 s" in said
    assert host.status("stood-in")["vm_error"] == "it left no exit status: its process did not run within 2 s"
