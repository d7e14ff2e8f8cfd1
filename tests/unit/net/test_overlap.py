"""What of this host's network counts as lying in that of VMs, asked of the kernel in a namespace of the test's own."""

from __future__ import annotations

import fcntl
import os
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from inferno.base import waiting
from inferno.base.errors import UsageError
from inferno.net import nft, overlap
from tests.netlab import DEADLINE_S, Namespace

pytestmark = pytest.mark.root


@pytest.fixture
def host() -> Iterator[Namespace]:
    namespace = Namespace()
    namespace.ip("link add d0 type veth peer name inf3", "link set d0 up", "link set inf3 up")
    with namespace.inside():
        yield namespace
    namespace.close()


@pytest.mark.parametrize(
    ("commands", "named"),
    [
        (["addr add 172.16.0.5/22 dev d0"], "d0 has the address 172.16.0.5/22"),
        (["addr add 172.16.200.1/32 dev d0"], "d0 has the address 172.16.200.1/32"),
        (["addr add 172.20.0.1/12 dev d0"], "d0 has the address 172.20.0.1/12"),
        (["addr add 10.0.0.1 peer 172.16.9.9/32 dev d0"], "d0 has the address 172.16.9.9/32"),
        (["route add 172.16.0.0/12 dev d0"], "d0 has a route to 172.16.0.0/12"),
        (["route add 172.16.7.0/24 dev d0 table 52"], "d0 has a route to 172.16.7.0/24"),
        (["addr add 192.0.2.1/24 dev d0", "route add 172.16.7.0/24 via 192.0.2.9"], "a route to 172.16.7.0/24"),
    ],
)
def test_what_overlaps_is_named(host: Namespace, commands: list[str], named: str) -> None:
    overlap.check()
    host.ip(*commands)
    with pytest.raises(UsageError) as error:
        overlap.check()
    assert named in error.value.text
    assert "overlaps" in error.value.text
    assert error.value.status == 2


def test_what_does_not_count(host: Namespace) -> None:
    host.ip(
        "addr add 172.16.0.13/30 dev inf3",  # of a VM
        "route add 172.16.0.64/30 dev inf3",
        "addr add 172.17.0.1/16 dev d0",
        "addr add 172.15.255.1/24 dev d0",
        "route add default dev d0",
        "route add 128.0.0.0/1 dev d0",  # a VPN's default
        "route add unreachable 172.16.0.0/12",  # a router's, against strangers
    )
    assert list(overlap.find()) == []


def test_nobody_holds_up_a_start_by_what_everybody_may_open(host: Namespace) -> None:
    """As another user: a lock on the namespace, and a try to open the one that counts."""
    held = subprocess.Popen(
        [
            *("/usr/bin/python3", "-c"),
            "import fcntl, os, sys\n"
            "fcntl.flock(os.open('/proc/self/ns/net', os.O_RDONLY), fcntl.LOCK_EX)\n"
            f"try: os.open({str(nft.LOCK)!r}, os.O_RDONLY)\nexcept PermissionError: print('refused', flush=True)\n"
            "sys.stdin.read()",
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        user=65534,
        group=65534,
        extra_groups=[],
    )
    with nft._alone():
        pass  # so that there is a file to try
    assert held.stdout
    assert held.stdout.readline() == b"refused\n"
    with nft._alone():
        pass
    held.communicate()


def test_who_waits_for_the_network_says_for_whom(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    lock = tmp_path / "run" / "network"
    monkeypatch.setattr(nft, "LOCK", lock)
    said = threading.Event()
    told: list[str] = []
    monkeypatch.setattr(waiting, "tell", lambda text: (told.append(text), said.set()))
    with nft._alone():
        pass
    holder = os.open(lock, os.O_RDWR)
    fcntl.flock(holder, fcntl.LOCK_EX)

    def take() -> None:
        with nft._alone():
            pass

    other = threading.Thread(target=take)
    other.start()
    assert said.wait(DEADLINE_S)
    os.close(holder)
    other.join(DEADLINE_S)
    assert not other.is_alive()
    assert told[0].startswith("waiting: network is busy")
    assert (lock.stat().st_mode & 0o777, lock.parent.stat().st_mode & 0o777) == (0o600, 0o700)
