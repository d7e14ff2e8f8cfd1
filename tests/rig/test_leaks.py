"""What a VM's life leaves on its host: nothing; not when it fails at any step, nor when it is killed at any moment."""

from __future__ import annotations

import random

import pytest

from tests.rig.convergence import kill
from tests.rig.typed import Host

ROOT = "/var/lib/inferno"
SEED = 4711
CURRENT = f"{ROOT}/vms/web/current"
ASIDE = f"{ROOT}/aside"  # on the same disk: links stay links
# What makes a step of start fail, and what mends it. Nothing of ours is replaced but files and names on the host.
FAILURES = {
    "network: its TAP's name is taken": ("ip link add inf0 type dummy", "ip link del inf0"),
    "network: nft fails": (
        "mkdir /tmp/bin; printf '#!/bin/sh\\nexit 1\\n' > /tmp/bin/nft; chmod 755 /tmp/bin/nft; PATH=/tmp/bin:$PATH",
        "rm -r /tmp/bin",
    ),
    "disk: no template": (f"mv {ROOT}/store/scratch-* {ASIDE}/", f"mv {ASIDE}/scratch-* {ROOT}/store/"),
    "disk: the name is taken": (f"mkdir {CURRENT}/scratch.img", f"rmdir {CURRENT}/scratch.img"),
    "jail: a file is missing": (f"mv {CURRENT}/initrd.cpio {ASIDE}/", f"mv {ASIDE}/initrd.cpio {CURRENT}/"),
    "jail: a file is somebody else's": (
        f"chown 1000 {CURRENT}/firecracker.json",
        f"chown 0 {CURRENT}/firecracker.json",
    ),
    "launch: no jailer": (f"mv {CURRENT}/jailer {ASIDE}/", f"mv {ASIDE}/jailer {CURRENT}/"),
    "launch: the jailer fails": (
        f"mv {CURRENT}/jailer {ASIDE}/; printf '#!/bin/sh\\necho no >&2; exit 3\\n' > {CURRENT}/jailer;"
        f" chmod 555 {CURRENT}/jailer",
        f"mv {ASIDE}/jailer {CURRENT}/",
    ),
    "launch: firecracker fails": (
        f"mv {CURRENT}/firecracker.json {ASIDE}/; echo '{{}}' > {CURRENT}/firecracker.json;"
        f" chmod 444 {CURRENT}/firecracker.json",
        f"mv {ASIDE}/firecracker.json {CURRENT}/",
    ),
    "launch: the kernel is none": (
        f"mv {CURRENT}/vmlinux {ASIDE}/; echo none > {CURRENT}/vmlinux; chmod 444 {CURRENT}/vmlinux",
        f"mv {ASIDE}/vmlinux {CURRENT}/",
    ),
    "launch: the collector cannot start": (
        f"mkdir -p {ROOT}/run/logs/vm_logs.sock/x",
        f"rm -r {ROOT}/run/logs/vm_logs.sock",
    ),
}


@pytest.fixture(scope="module")
def at_rest(host: Host) -> set[str]:
    """The inventory of a host at rest, with a VM that has run; and with another that is gone, and with it what of
    the store no VM has a link to."""
    host.create("web", "echo begun; sleep 1000 & wait")
    host.create("other", "exit")
    host.sh("infernoctl start web --detach && infernoctl stop web --kill && infernoctl destroy other --yes")
    return host.inventory()


def test_a_whole_life_leaves_what_was_before_it(host: Host, at_rest: set[str]) -> None:
    host.create("other", "sleep 1000 & wait")
    host.type("start other --detach")
    assert len(host.inventory(running=True) - at_rest) > 20
    host.type("stop other --kill")
    host.type("destroy other --yes")
    host.check_inventory(at_rest)


@pytest.mark.parametrize("what", FAILURES)
def test_a_start_that_fails_undoes_what_it_made(host: Host, at_rest: set[str], what: str) -> None:
    spoil, mend = FAILURES[what]
    done = host.sh(
        f"mkdir {ASIDE}; {spoil}; infernoctl start web --detach; status=$?; {mend}; rmdir {ASIDE}; exit $status",
        status=1,
    )
    errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1, done.stderr
    assert errors[0].startswith(f"error: {what.partition(':')[0]}:web: ")
    host.check_inventory(at_rest)


def test_what_a_host_lacks_is_said_before_anything_is_changed(host: Host, at_rest: set[str]) -> None:
    lacks = [
        ("mv /dev/kvm /dev/away", "mv /dev/away /dev/kvm", "infernoctl start web", 2, "no /dev/kvm"),
        ("mv /usr/sbin/nft /away", "mv /away /usr/sbin/nft", "doit start:web", 127, "install the package nftables"),
        (":", ":", "setpriv --reuid 1000 --clear-groups infernoctl start web", 2, "sudo"),
    ]
    for spoil, mend, command, status, says in lacks:
        done = host.sh(f"{spoil}; {command}; status=$?; {mend}; exit $status", status=status)
        assert says in done.stderr
        assert len([line for line in done.stderr.splitlines() if line.startswith("error: ")]) == 1, done.stderr
    host.check_inventory(at_rest)


# What runs of a guest is stopped as soon as it is there: its start goes on until it is interrupted.
HOLD = """
until pid=$(pgrep -x firecracker); do :; done
kill -STOP $pid
"""


@pytest.mark.parametrize(("word", "status"), [("INT", 130), ("TERM", 143)])
def test_an_interrupted_start_undoes_what_it_made(host: Host, at_rest: set[str], word: str, status: int) -> None:
    with host.popen("start", "web", "--detach") as starting:
        host.sh(HOLD, timeout=60)
        starting.signal(word)
        _, said = starting.communicate(timeout=60)
    assert starting.returncode == status, said
    host.check_inventory(at_rest)


def test_a_killed_start_is_made_good_by_the_next(host: Host, at_rest: set[str]) -> None:
    moments = random.Random(SEED)
    for _ in range(2):
        delay_s = moments.uniform(0.5, 4.5)
        print(f"of seed {SEED}: killed after {delay_s:.2f} s")
        kill(host, delay_s)
        host.type("start web --detach")
        assert host.states()["web"] == "running"
        host.type("stop web --kill")
        host.check_inventory(at_rest)


def test_two_starts_at_once_start_one_vm(host: Host, at_rest: set[str]) -> None:
    script = "for i in 1 2 3; do infernoctl start web --detach & done; wait; pidof firecracker"
    done = host.sh(script)
    assert len(done.stdout.split()) == 1
    assert done.stderr.count("web runs at") == 1
    assert done.stderr.count("web runs already") == 2
    host.type("stop web --kill")
    host.check_inventory(at_rest)


def test_what_was_deleted_by_hand_is_no_obstacle(host: Host, at_rest: set[str]) -> None:
    host.type("start web --detach")
    host.sh("ip link del inf0; nft delete table inet inferno; infernoctl stop web --kill")
    host.type("start web --detach")
    host.type("stop web --kill")
    host.check_inventory(at_rest)
    host.create("gone", "sleep 1000 & wait")
    host.sh(f"infernoctl start gone --detach && rm -r {ROOT}/vms/gone")
    host.type("destroy gone --yes", status=2)
    host.type("destroy gone --force")
    host.check_inventory(at_rest)
