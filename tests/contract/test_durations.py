"""Time limits that one program has because of another's: whoever waits for an end waits longer than that may take."""

from __future__ import annotations

import re
from pathlib import Path

from inferno.life import stop

CHECKOUT = Path(__file__).resolve().parents[2]


def durations(crate: str) -> dict[str, int]:
    """The defaults of a crate's `Durations`, in seconds."""
    text = (CHECKOUT / crate / "src/durations.rs").read_text()
    defaults = {name: int(s) for name, s in re.findall(r"^ +(\w+): Duration::from_secs\((\d+)\),$", text, re.MULTILINE)}
    assert list(defaults) == re.findall(r"^    pub (\w+): Duration,$", text, re.MULTILINE)
    return defaults


def test_stop_outwaits_the_guest_and_kiln() -> None:
    guest, kiln = durations("guest"), durations("kiln")
    assert guest["rest"] + guest["drain"] + kiln["guest_end"] < stop.GUEST_END_S
    assert kiln["last_lines"] < stop.KILN_END_S


def test_init_waits_for_kilns_late_answer() -> None:
    assert durations("kiln")["log_end"] < durations("guest")["report"]


def test_lines_are_dropped_before_the_report_is_believed_without_them() -> None:
    kiln = durations("kiln")
    assert kiln["flow_control"] < kiln["log_end"]
