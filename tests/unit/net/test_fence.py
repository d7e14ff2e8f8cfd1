"""Each promise of the fence, with real packets from guests on real TAPs; every drop has its control."""

from __future__ import annotations

import select
import shutil
import subprocess
import sys
from collections.abc import Iterator

import pytest

from inferno.base.errors import InfernoError
from inferno.net import check, nft, tap
from inferno.state.slot import Slot
from tests.netlab import DEADLINE_S, OUTSIDE, PORT, UPLINK, Lab, Namespace, is_cut_off, reaches

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(
        shutil.which("nft", path="/usr/sbin:/sbin:/usr/bin") is None, reason="nftables is not installed"
    ),
]


@pytest.fixture(scope="module")
def open_lab() -> Iterator[Lab]:
    with Lab() as made:
        yield made


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    with Lab() as made:
        made.fence()
        yield made


def nftables(place: Namespace, commands: str) -> str:
    with place.inside():
        done = subprocess.run(["nft", "-f", "-"], input=commands, text=True, capture_output=True, check=True)
    return done.stdout


def peers(lab: Lab, expected: int = 0) -> list[str]:
    """Who connected to the server outside since it was last asked; waits for as many as are expected.

    A client is connected before its last packet has reached the server.
    """
    lab.server.setblocking(False)
    found: list[str] = []
    while True:
        try:
            if len(found) < expected:
                select.select([lab.server], [], [], DEADLINE_S)
            connection, (address, _) = lab.server.accept()
        except BlockingIOError:
            return found
        connection.close()
        found.append(address)


def test_without_the_fence_everything_is_open(open_lab: Lab) -> None:
    # The control of all tests below: it is the rules that stop the packets there, nothing else.
    one, other = open_lab.guests
    assert reaches(one, open_lab.slots[1].guest)
    assert reaches(one, open_lab.slots[0].gateway)
    assert reaches(one, UPLINK)
    open_lab.outside.ip("route add 172.16.0.0/16 via " + UPLINK)
    assert reaches(one, OUTSIDE)
    assert reaches(open_lab.outside, open_lab.slots[1].guest)
    link_local(open_lab)
    assert reaches(one, "169.254.169.254")
    other.ip("addr add 172.16.0.9/32 dev lo")
    open_lab.host.ip("route add 172.16.0.9 dev inf1")
    assert reaches(other, OUTSIDE, bind="172.16.0.9")


def link_local(lab: Lab) -> None:
    lab.outside.ip("addr add 169.254.169.254/32 dev lo")
    lab.host.ip(f"route add 169.254.169.254 via {OUTSIDE}")


def test_guests_reach_the_outside_under_the_hosts_address(lab: Lab) -> None:
    peers(lab)
    assert all(reaches(guest, OUTSIDE) for guest in lab.guests)
    assert peers(lab, 2) == [UPLINK, UPLINK]


def test_guests_do_not_reach_each_other(lab: Lab) -> None:
    assert is_cut_off(lab.guests[0], lab.slots[1].guest)
    assert is_cut_off(lab.guests[1], lab.slots[0].guest)


@pytest.mark.parametrize("address", ["172.16.0.1", "172.16.0.5", UPLINK])
def test_guests_do_not_reach_the_host_by_any_of_its_addresses(lab: Lab, address: str) -> None:
    assert is_cut_off(lab.guests[0], address)


def test_guests_do_not_reach_what_the_host_forwards_its_own_ports_to(lab: Lab) -> None:
    # As Docker's published ports do: the address is changed before any filter on input or forward sees it.
    forward = f"""table ip published {{ chain prerouting {{
        type nat hook prerouting priority dstnat; tcp dport 8080 dnat to {OUTSIDE}:{PORT}; }}; }}"""
    nftables(lab.host, forward)
    try:
        assert is_cut_off(lab.guests[0], UPLINK, port=8080)
        assert is_cut_off(lab.guests[0], lab.slots[0].gateway, port=8080)
    finally:
        nftables(lab.host, "delete table ip published")


def test_the_host_reaches_guests(lab: Lab) -> None:
    assert all(reaches(lab.host, slot.guest) for slot in lab.slots)


def test_the_outside_does_not_open_connections_to_guests(lab: Lab) -> None:
    lab.outside.ip(f"route add 172.16.0.0/16 via {UPLINK}")
    try:
        assert is_cut_off(lab.outside, lab.slots[0].guest)
    finally:
        lab.outside.ip(f"route del 172.16.0.0/16 via {UPLINK}")


def test_metadata_addresses_are_out_of_reach(lab: Lab) -> None:
    link_local(lab)
    assert reaches(lab.host, "169.254.169.254")
    assert is_cut_off(lab.guests[0], "169.254.169.254")


def test_a_foreign_source_address_gets_nowhere(lab: Lab) -> None:
    lab.guests[0].ip("addr add 172.16.0.9/32 dev lo")
    lab.host.ip("route add 172.16.0.9 dev inf0")
    assert reaches(lab.guests[0], OUTSIDE)
    assert is_cut_off(lab.guests[0], OUTSIDE, bind="172.16.0.9")


def test_the_tap_has_no_ipv6_address(lab: Lab) -> None:
    with lab.host.inside():
        assert check.devices()["inf0"].addresses == {"172.16.0.1/30"}


def test_guests_pass_beside_docker_whose_forward_policy_is_drop() -> None:
    if shutil.which("iptables-nft-restore", path="/usr/sbin:/sbin:/usr/bin") is None:
        pytest.skip("iptables is not installed")
    docker = "*filter\n:FORWARD DROP\n:DOCKER-USER -\n-A FORWARD -j DOCKER-USER\n-A DOCKER-USER -j RETURN\nCOMMIT\n"
    with Lab() as lab:
        lab.fence()
        assert reaches(lab.guests[0], OUTSIDE)
        with lab.host.inside():
            subprocess.run(["iptables-nft-restore"], input=docker, text=True, check=True)
            before = subprocess.run(["iptables-nft", "-S"], capture_output=True, check=True).stdout
            assert not nft.matches(lab.slots[0])
        assert is_cut_off(lab.guests[0], OUTSIDE)
        lab.fence()
        assert reaches(lab.guests[0], OUTSIDE)
        assert is_cut_off(lab.guests[0], lab.slots[1].guest)
        with lab.host.inside():
            assert nft.matches(lab.slots[0])
            assert not nft.ensure(lab.slots[0])
            for slot in lab.slots:
                nft.remove(slot)
            after = subprocess.run(["iptables-nft", "-S"], capture_output=True, check=True).stdout
        assert after == before


def test_the_rules_are_as_many_for_fifty_vms_as_for_one_and_go_with_the_last() -> None:
    host, slots = Namespace(), [Slot(7 * number) for number in range(50)]
    try:
        with host.inside():
            assert nft.ensure(slots[0])
            one = check.objects()
            assert one["tables"] == {"inferno": 1}
            assert one["rules"]["from_guest"] > 5
            assert all(nft.ensure(slot) for slot in slots[1:])
            assert check.objects() == one
            assert len(check.elements("taps")) == len(check.elements("antispoof")) == len(slots)
            assert all(nft.matches(slot) for slot in slots)
            assert not nft.ensure(slots[3])
            for slot in slots[:-1]:
                nft.remove(slot)
                nft.remove(slot)
                assert not nft.matches(slot)
            assert nft.matches(slots[-1])
            nft.remove(slots[-1])
            assert not any(check.objects().values())
            nft.remove(slots[-1])
    finally:
        host.close()


def test_a_flushed_or_older_table_comes_back_with_all_running_vms(lab: Lab) -> None:
    older = "delete table inet inferno\ntable inet inferno { set taps { type ifname; }; chain old { accept; }; }"
    for change in ("flush ruleset", older):
        nftables(lab.host, change)
        with lab.host.inside():
            assert not nft.matches(lab.slots[0])
            assert nft.ensure(lab.slots[0])
            assert all(nft.matches(slot) for slot in lab.slots)
            assert "old" not in check.objects()["chains"]
        assert reaches(lab.guests[1], OUTSIDE)
        assert is_cut_off(lab.guests[1], lab.slots[0].guest)


def test_taps_are_found(lab: Lab) -> None:
    with lab.host.inside():
        assert set(tap.taps()) == set(check.taps()) == set(lab.slots)


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        ("delete table inet inferno", "there is no nft table inet inferno"),
        (f"delete chain inet inferno {nft.marker()}", "is not the one that this release loads"),
        ("flush set inet inferno taps", "the nft set taps in the table inet inferno lacks inf0"),
        ("flush set inet inferno antispoof", "the nft set antispoof in the table inet inferno lacks inf0"),
    ],
)
def test_a_rule_that_is_missing_is_named(lab: Lab, damage: str, says: str) -> None:
    with lab.host.inside():
        nft.ensure(lab.slots[0])
        check.check_fence(lab.slots[0])
    nftables(lab.host, damage)
    with lab.host.inside():
        with pytest.raises(InfernoError, match=says):
            check.check_fence(lab.slots[0])
        assert not nft.matches(lab.slots[0])
        assert nft.ensure(lab.slots[0])
        check.check_fence(lab.slots[0])


def test_what_only_root_may_ask_is_a_permission_error(lab: Lab) -> None:
    """doctor calls that unknown. The other user need not be able to read this checkout."""
    code = """
import os
import pyroute2
from inferno.net import check
check.objects()
os.setgroups([])
os.setresgid(65534, 65534, 65534)
os.setresuid(65534, 65534, 65534)
try:
    check.objects()
except PermissionError:
    print('refused')
"""
    with lab.host.inside():
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "refused\n"
