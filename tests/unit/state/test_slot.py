"""A slot's addresses, MAC, TAP and uid."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from inferno.settings import load_settings
from inferno.state import slot
from inferno.state.slot import SLOTS, Slot

CONTRACT = Path(__file__).parents[2] / "contract"


def test_slot_0_is_what_the_golden_files_say() -> None:
    interface = json.loads((CONTRACT / "firecracker.json").read_text())["network-interfaces"][0]
    address = json.loads((CONTRACT / "run.json").read_text())["ips"][0]
    zero = Slot(0)
    assert (zero.tap, zero.mac) == (interface["host_dev_name"], interface["guest_mac"])
    assert (zero.guest, zero.prefix_len, zero.gateway) == (
        address["address"],
        address["prefix_len"],
        address["gateway"],
    )


def test_the_last_slot_ends_the_network() -> None:
    last = Slot(SLOTS - 1)
    assert (last.subnet, last.gateway, last.guest) == ("172.16.255.252/30", "172.16.255.253", "172.16.255.254")
    assert last.tap == "inf16383"


@pytest.mark.parametrize("number", [-1, SLOTS])
def test_other_numbers_are_no_slots(number: int) -> None:
    with pytest.raises(ValueError, match="is not in"):
        Slot(number)


def test_slots_share_nothing() -> None:
    slots = [Slot(number) for number in range(SLOTS)]
    for name in ("subnet", "gateway", "guest", "mac", "tap"):
        assert len({getattr(each, name) for each in slots}) == SLOTS


def test_the_uid_is_the_slots_own_unless_one_is_forced() -> None:
    own = load_settings({"INFERNO_UID_BASE": "500000"}, Path("/nonexistent"))
    forced = load_settings({"INFERNO_JAIL_UID": "123", "INFERNO_JAIL_GID": "100"}, Path("/nonexistent"))
    assert (Slot(7).uid(own), Slot(7).gid(own)) == (500007, 500007)
    assert (Slot(7).uid(forced), Slot(7).gid(forced)) == (123, 100)


@pytest.mark.parametrize("name", ["inf", "info", "inf-1", "inf01", "inf16384", "eth0", "inf1a", "inf²"])
def test_foreign_interfaces_are_no_taps_of_ours(name: str) -> None:
    assert slot.from_tap(name) is None


def test_a_tap_names_its_slot() -> None:
    assert slot.from_tap("inf16383") == Slot(16383)
