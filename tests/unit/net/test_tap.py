"""TAPs, in a network namespace of the test's own: made, repaired, owned, removed."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from inferno.base.errors import InfernoError
from inferno.net import check, tap
from inferno.net.check import Device
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


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True)


def ensure() -> bool:
    return tap.ensure(SLOT, NAME, UID, UID + 1)


def matches() -> bool:
    return tap.matches(SLOT, NAME, UID, UID + 1)


def test_a_tap_is_made_once() -> None:
    assert not matches()
    assert ensure()
    assert matches()
    assert not ensure()
    assert check.devices()["inf70"] == Device(
        name="inf70",
        kind="tun",
        altnames=frozenset({f"tap_inferno_{NAME}"}),
        up=True,
        multicast=False,
        owner=UID,
        group=UID + 1,
        addresses=frozenset({"172.16.1.25/30"}),
        routes=frozenset({"172.16.1.24/30"}),
    )
    assert Path("/proc/sys/net/ipv4/ip_forward").read_text() == "1\n"


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        ("link set inf70 down", "inf70 is down"),
        ("link set inf70 multicast on", "inf70 does multicast"),
        ("addr flush dev inf70", "inf70 has the addresses none"),
        ("addr add 10.0.0.1/8 dev inf70", r"inf70 has the addresses 10\.0\.0\.1/8, 172\.16\.1\.25/30"),
        (f"link property del dev inf70 altname tap_inferno_{NAME}", "inf70 is not known as tap_inferno_a"),
        ("link delete inf70", "there is not a TAP inf70"),
    ],
)
def test_what_is_damaged_is_named_and_repaired(damage: str, says: str) -> None:
    ensure()
    check.check_tap(SLOT, NAME, UID, UID + 1)
    ip(*damage.split())
    assert not matches()
    with pytest.raises(InfernoError, match=says):
        check.check_tap(SLOT, NAME, UID, UID + 1)
    assert ensure()
    assert matches()
    check.check_tap(SLOT, NAME, UID, UID + 1)


def test_another_owner_is_put_right() -> None:
    tap.ensure(SLOT, NAME, 1, 1)
    assert not matches()
    with pytest.raises(InfernoError, match=f"inf70 belongs to 1:1 instead of {UID}:{UID + 1}"):
        check.check_tap(SLOT, NAME, UID, UID + 1)
    assert ensure()
    assert matches()


def test_a_vm_that_came_back_in_another_slot_takes_its_name_along() -> None:
    tap.ensure(Slot(71), NAME, UID, UID)
    assert ensure()
    assert tap.taps() == [SLOT]


def test_removing_is_idempotent_and_leaves_nothing() -> None:
    before = check.devices()
    ensure()
    assert check.devices() != before
    tap.remove(SLOT)
    tap.remove(SLOT)
    assert check.devices() == before
    assert tap.taps() == check.taps() == []


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
    ip("link", "add", "inf70", "type", "veth", "peer", "name", "other")
    with pytest.raises(InfernoError, match="not Inferno's"):
        ensure()
    with pytest.raises(InfernoError, match="not Inferno's"):
        tap.remove(SLOT)
    assert check.devices()["inf70"].kind == "veth"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ("route del 172.16.1.24/30 dev inf70", r"no route to 172\.16\.1\.24/30 goes to inf70"),
        ("route add 172.16.1.26/32 dev other", r"a route to 172\.16\.1\.26/32, which is the VM's, goes to other"),
    ],
)
def test_a_way_to_the_guest_that_goes_elsewhere_is_named(change: str, says: str) -> None:
    ensure()
    ip("link", "add", "other", "up", "type", "veth", "peer", "name", "its-end")
    check.check_tap(SLOT, NAME, UID, UID + 1)
    ip(*change.split())
    with pytest.raises(InfernoError, match=says):
        check.check_tap(SLOT, NAME, UID, UID + 1)


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
