"""TAPs, in a network namespace of the test's own: made, repaired, owned, removed."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from inferno.base.errors import InfernoError
from inferno.net import tap
from inferno.state.slot import Slot
from tests.netlab import Namespace, open_tap

pytestmark = pytest.mark.root
SLOT, UID = Slot(70), 812_345
NAME = "a" * 63


@pytest.fixture(autouse=True)
def host() -> Iterator[Namespace]:
    namespace = Namespace()
    with namespace.inside():
        yield namespace
    namespace.close()


def shown(*words: str) -> str:
    return subprocess.run(["ip", *words], capture_output=True, text=True, check=True).stdout


def ensure() -> bool:
    return tap.ensure(SLOT, NAME, UID, UID + 1)


def matches() -> bool:
    return tap.matches(SLOT, NAME, UID, UID + 1)


def test_a_tap_is_made_once() -> None:
    assert not matches()
    assert ensure()
    assert matches()
    assert not ensure()
    details = shown("-d", "addr", "show", f"tap_inferno_{NAME}")
    assert f"user {UID} group {UID + 1}" in details
    assert "inet 172.16.1.25/30" in details
    assert "MULTICAST" not in details
    assert "inet6" not in details
    assert Path("/proc/sys/net/ipv4/ip_forward").read_text() == "1\n"


@pytest.mark.parametrize(
    "damage",
    [
        ["link", "set", "inf70", "down"],
        ["link", "set", "inf70", "multicast", "on"],
        ["addr", "flush", "dev", "inf70"],
        ["addr", "add", "10.0.0.1/8", "dev", "inf70"],
        ["link", "property", "del", "dev", "inf70", "altname", f"tap_inferno_{NAME}"],
        ["link", "delete", "inf70"],
    ],
    ids=" ".join,
)
def test_what_is_damaged_is_repaired(damage: list[str]) -> None:
    ensure()
    shown(*damage)
    assert not matches()
    assert ensure()
    assert matches()


def test_another_owner_is_put_right() -> None:
    tap.ensure(SLOT, NAME, 1, 1)
    assert not matches()
    assert ensure()
    assert matches()


def test_a_vm_that_came_back_in_another_slot_takes_its_name_along() -> None:
    tap.ensure(Slot(71), NAME, UID, UID)
    assert ensure()
    assert tap.taps() == [SLOT]


def test_removing_is_idempotent_and_leaves_nothing() -> None:
    before = shown("addr")
    ensure()
    tap.remove(SLOT)
    tap.remove(SLOT)
    assert [line for line in shown("addr").splitlines() if "inf" in line] == [
        line for line in before.splitlines() if "inf" in line
    ]
    assert tap.taps() == []


def test_a_tap_in_use_is_not_taken_from_its_user() -> None:
    tap.ensure(SLOT, "other", UID, UID)
    user = open_tap(SLOT.tap)
    try:
        with pytest.raises(InfernoError, match="inf70 is in use"):
            ensure()
        tap.remove(SLOT)
        assert tap.taps() == [SLOT]
    finally:
        os.close(user)
    tap.remove(SLOT)
    assert tap.taps() == []


def test_an_interface_that_is_no_tap_is_left_alone() -> None:
    shown("link", "add", "inf70", "type", "veth", "peer", "name", "other")
    with pytest.raises(InfernoError, match="not Inferno's"):
        ensure()
    with pytest.raises(InfernoError, match="not Inferno's"):
        tap.remove(SLOT)
    assert "inf70" in shown("link")


def in_child(action: Callable[[], None]) -> int:
    child = os.fork()
    if child == 0:
        status = 1
        try:
            action()
            status = 0
        except OSError as error:
            status = error.errno or 1
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


@pytest.mark.parametrize(("uid", "gid", "expected"), [(UID, UID + 1, 0), (UID + 7, UID + 7, 1)])
def test_only_its_own_user_opens_a_tap(uid: int, gid: int, expected: int) -> None:
    ensure()
    # As in a jail, where the user owns the node: only the TAP's owner stands between.
    if os.stat("/dev/net/tun").st_mode & 0o006 != 0o006:
        pytest.skip("/dev/net/tun is root's alone here")

    def attach() -> None:
        os.setgroups([])
        os.setresgid(gid, gid, gid)
        os.setresuid(uid, uid, uid)
        os.close(open_tap(SLOT.tap))

    assert in_child(attach) == expected
