"""The table of runs: a run is completed once, the newest hundred stay, and none outlives its VM."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from inferno.state.database import State
from inferno.state.runs_table import END_UNSEEN, KEPT, Begin, End

STOPPED = End("2026-11-30T12:00:09Z", 0, None, "it was stopped", "stop")


@pytest.fixture
def state(tmp_path: Path) -> State:
    found = State(tmp_path / "inferno.db")
    for name in ("web1", "web2"):
        found.reserve(name)
        found.save(name, {"image": "x"}, f"01JD8ZK3V5N9Q2R7T4W6X8Y12{name[-1]}")
    return found


def begin(state: State, number: int, vm: str = "web1") -> None:
    state.runs.begin(
        Begin(f"RUN{number}-{vm}", vm, "01JD8ZK3V5N9Q2R7T4W6X8Y000", f"2026-11-30T12:00:{number % 60:02}Z")
    )


def recorded_state(state: State, vm: str = "web1") -> str:
    (word,) = state._db.execute("select state from vms where name = ?", (vm,)).fetchone()
    return str(word)


def test_the_first_word_on_an_end_holds(state: State) -> None:
    assert recorded_state(state) == "created"
    begin(state, 1)
    begin(state, 1, "web2")
    assert (recorded_state(state), state.runs.is_open("web1")) == ("started", True)
    assert state.runs.end("web1", STOPPED)
    assert not state.runs.end("web1", STOPPED._replace(exit_code=9, noticed_by="start"))
    (run,) = state.runs.of("web1")
    assert run[4:] == STOPPED
    assert recorded_state(state) == "stopped"
    assert recorded_state(state, "web2") == "started", "another VM's run goes on"


def test_a_new_run_ends_one_that_was_lost(state: State) -> None:
    begin(state, 1)
    begin(state, 2)
    newest, lost = state.runs.of("web1")
    assert (newest.run, newest.ended_at) == ("RUN2-web1", None)
    assert (lost.ended_at, lost.reason, lost.noticed_by) == (newest.started_at, END_UNSEEN, "start")


def test_the_newest_hundred_of_each_vm_stay_in_the_order_in_which_they_began(state: State) -> None:
    begin(state, 0, "web2")
    for number in range(KEPT + 5):  # their seconds go back, as a clock may
        begin(state, number)
    assert [run.run for run in state.runs.of("web1")] == [f"RUN{n}-web1" for n in range(KEPT + 4, 4, -1)]
    assert len(state.runs.of("web2")) == 1


def test_runs_go_with_their_vm(state: State) -> None:
    begin(state, 1)
    begin(state, 1, "web2")
    state.remove("web1")
    assert state.runs.of("web1") == []
    assert len(state.runs.of("web2")) == 1


def test_a_run_has_one_id(state: State) -> None:
    begin(state, 1)
    with pytest.raises(sqlite3.IntegrityError):
        begin(state, 1)
    assert [run.ended_at for run in state.runs.of("web1")] == [None], "nothing of it was done"


def test_versions_of_past_runs_are_known(state: State) -> None:
    begin(state, 1)
    asked = "select version, is_current from vms_versions where vm_name = 'web1' order by version"
    assert state._db.execute(asked).fetchall() == [("01JD8ZK3V5N9Q2R7T4W6X8Y000", 0), ("01JD8ZK3V5N9Q2R7T4W6X8Y121", 1)]
