"""What a guest reaches: outside, and nothing of its host or of another guest; what its host may do: bound it.

One probe VM tries everything and says what it reached; beside each drop stands the same connection that is let pass.
"""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from tests.rig import name_server, outside
from tests.rig.typed import Host

SERVER = "mkdir /www; echo guest > /www/index.html; exec httpd -f -p 8080 -h /www"
SERVES = "curl --silent --max-time 10 --retry 8 --retry-connrefused http://172.16.0.2:8080/"
TARGETS = {
    "outside": f"{outside.ADDRESS}:{outside.PORT}",
    "another guest": "172.16.0.2:8080",
    "another guest's gateway": "172.16.0.1:8081",
    "its own gateway": "172.16.0.5:8081",
    "the host's outer address": f"{outside.HOSTS_ADDRESS}:{outside.HOSTS_PORT}",
    "the host's first address": "10.0.2.15:22",
    "link-local": f"{outside.LINK_LOCAL}:{outside.PORT}",
}
# Not wget: a static glibc cannot look up the port of `http`.
PROBE = f"""
get() {{ printf 'GET / HTTP/1.0\\r\\n\\r\\n' | nc -w 3 $1 $2 | grep -q .; }}
try() {{ if get $2 $3; then echo "reached $1"; else echo "not $1"; fi; }}
{"".join(f"try {shlex.quote(name)} {address.replace(':', ' ')} &" for name, address in TARGETS.items())}
wait
ping -c 1 -W 2 {outside.ADDRESS} >/dev/null && echo "ping as itself"
ip addr add 172.16.0.99/32 dev eth0
ping -c 1 -W 2 -I 172.16.0.99 {outside.ADDRESS} >/dev/null && echo "ping as another" || echo "no ping as another"
"""


@pytest.fixture(scope="module")
def created(host: Host) -> None:
    """VMs in this order: `server` has the first slot, 172.16.0.0/30, as TARGETS says; `probe` has the next."""
    host.create("server", SERVER)
    host.create("probe", PROBE)


@pytest.fixture
def server(host: Host, created: None) -> None:
    """A guest that serves; it runs."""
    host.up("server")


@pytest.fixture
def second(host: Host, created: None) -> None:
    """Another one, of another size; it runs."""
    host.need("second", "sleep 1000 & wait", options="--vcpus 2 --memory 192")
    host.up("second")


@pytest.fixture(scope="module")
def probed(host: Host, created: None) -> list[str]:
    """What `probe` says it reached while `server` serves."""
    outside.set_up(host)
    host.up("server")
    host.sh(SERVES)
    return host.type("start probe", timeout=180).stdout.splitlines()


def test_the_host_reaches_a_guest(host: Host, server: None) -> None:
    assert host.sh(SERVES).stdout == "guest\n"


@pytest.mark.parametrize("target", TARGETS)
def test_a_guest_reaches_outside_and_nothing_else(probed: list[str], target: str) -> None:
    assert f"{'reached' if target == 'outside' else 'not'} {target}" in probed


def test_a_guest_asks_whom_the_hosts_stub_asks(host: Host, probed: list[str]) -> None:
    server = f"ip netns exec outside python3 tests/rig/name_server.py {outside.ADDRESS}"
    host.sh(f"setsid {server} < /dev/null > /srv/names.log 2>&1 &")
    host.sh("until ip netns exec outside ss -Hlun sport = :53 | grep -q .; do sleep 0.1; done")
    host.create("asks", "nslookup web.test; cat /etc/hosts", options="--add-host db:192.0.2.7 --dns-option ndots:1")
    stub, upstream = "/etc/resolv.conf", "/run/systemd/resolve/resolv.conf"
    host.sh(f"cat {stub} > /root/kept; mkdir -p {Path(upstream).parent}; echo nameserver 127.0.0.53 > {stub}")
    host.sh(f"echo nameserver {outside.ADDRESS} > {upstream}")
    try:
        said = host.type("start asks").stdout
    finally:
        host.sh(f"cat /root/kept > {stub}; rm {upstream}")
    assert name_server.ANSWER in said
    assert "\n192.0.2.7\tdb\n" in said


def test_a_guest_has_one_address_of_its_own(probed: list[str]) -> None:
    assert "ping as itself" in probed
    assert "no ping as another" in probed


def test_outside_sees_the_host_never_a_guest(host: Host, probed: list[str]) -> None:
    assert "reached outside" in probed
    seen = host.sh(f"cat {outside.LOG}").stdout
    assert outside.HOSTS_ADDRESS in seen
    assert "172.16." not in seen


def test_each_vm_has_a_user_of_its_own_and_both_its_processes_are_bound(host: Host, server: None, second: None) -> None:
    users = host.sh("ps -o uid= -C firecracker").stdout.split()
    assert len(set(users)) == 2
    assert not {"0", "123"} & set(users)
    version = host.status("second")["version"]
    leaf = f"/sys/fs/cgroup/inferno.slice/{version}"
    names = "cpu.max memory.max memory.swap.max pids.max"
    processes = "for pid in $(cat cgroup.procs); do cat /proc/$pid/comm; done"
    found = host.sh(f"cd {leaf} && for name in {names}; do cat $name; done; {processes}")
    cpu, memory, swap, pids, *programs = found.stdout.splitlines()
    assert cpu == "200000 100000"
    assert 192 << 20 < int(memory) <= (192 + 128) << 20
    assert swap == "0"
    assert 2 < int(pids) < 64
    timers = [name for name in programs if name.startswith("kvm-pit/")]  # of the kernel's, but this guest's doing
    assert len(timers) == 1
    assert len(programs) == 3  # and kiln, by whatever name its jailer wants, and
    assert "firecracker" in programs


def test_rules_do_not_grow_with_vms(host: Host, server: None, second: None) -> None:
    count = "nft list table inet inferno | grep -c 'accept\\|drop\\|masquerade'"
    with_two = host.sh(count).stdout
    host.type("stop second --kill")
    assert host.sh(count).stdout == with_two


def test_with_the_last_vm_the_fence_goes(host: Host, server: None) -> None:
    host.down("second")
    assert "inferno" in host.sh("nft list ruleset").stdout
    host.type("stop server --kill")
    assert host.sh("nft list ruleset").stdout == ""
