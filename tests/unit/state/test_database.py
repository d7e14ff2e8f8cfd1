"""The database: slots are unique however many ask at once, reservations come and go, nothing is lost."""

import multiprocessing
import sqlite3
from pathlib import Path

import pytest

from inferno.base.errors import InfernoError, UsageError
from inferno.state.database import State
from inferno.state.migrations import SCHEMA_VERSION
from inferno.state.slot import SLOTS


def take(path: Path, name: str) -> int:
    return State(path).reserve(name).slot


def test_sixteen_at_once_get_sixteen_slots_from_a_database_nobody_had_made(tmp_path: Path) -> None:
    with multiprocessing.get_context("spawn").Pool(16) as pool:
        slots = pool.starmap(take, [(tmp_path / "inferno.db", f"vm{n}") for n in range(16)])
    assert sorted(slots) == list(range(16))
    assert list(tmp_path.glob("*.tmp")) == []


def test_a_name_keeps_its_slot_and_a_freed_slot_is_taken_again(tmp_path: Path) -> None:
    state = State(tmp_path / "inferno.db")
    assert [state.reserve(name).slot for name in ("a", "b", "a", "c")] == [0, 1, 0, 2]
    state.remove("b")
    assert state.reserve("d").slot == 1


def test_a_new_name_that_would_be_a_host_name_of_another_is_refused(tmp_path: Path) -> None:
    state = State(tmp_path / "inferno.db")
    state.reserve("web_a-1", is_new=True)
    for name in ("web-a-1", "web_a_1", "web-a_1"):
        with pytest.raises(UsageError, match=f"{name} and the VM web_a-1 would have one host name, web-a-1"):
            state.reserve(name, is_new=True)
        with pytest.raises(UsageError):
            state.check_host_name(name)
    state.check_host_name("web_a-1")
    assert state.reserve("web_a-1", is_new=True).slot == 0
    assert state.reserve("webxa-1", is_new=True).slot == 1, "a _ stands for nothing else"


def take_new(path: Path, name: str) -> bool:
    try:
        State(path).reserve(name, is_new=True)
    except UsageError:
        return False
    return True


def test_of_names_that_are_one_host_name_only_one_is_taken_at_once(tmp_path: Path) -> None:
    with multiprocessing.get_context("spawn").Pool(4) as pool:
        taken = pool.starmap(
            take_new, [(tmp_path / "inferno.db", name) for name in ("a-b-c", "a_b-c", "a-b_c", "a_b_c")]
        )
    assert sum(taken) == 1


def test_all_slots_taken_is_said(tmp_path: Path) -> None:
    state = State(tmp_path / "inferno.db")
    with sqlite3.connect(tmp_path / "inferno.db") as db:
        db.executemany("insert into machines (name, slot) values (?, ?)", ((f"v{n}", n) for n in range(SLOTS)))
    with pytest.raises(InfernoError, match="all 16384 slots"):
        state.reserve("one-more")


def test_only_finished_creates_are_listed(tmp_path: Path) -> None:
    state = State(tmp_path / "inferno.db")
    state.reserve("web1")
    state.reserve("web2")
    state.save("web2", {"image": "x"}, "01J")
    assert state.names() == ["web2"]
    assert state.reservations() == ["web1"]
    row = state.vm("web2")
    assert row is not None
    assert row.spec == {"image": "x"}


def test_values_of_environment_variables_come_back_and_are_in_one_column(tmp_path: Path) -> None:
    state = State(tmp_path / "inferno.db")
    spec = {"image": "x", "env": ["TOKEN=s3cret=x", "EMPTY=", "TOKEN=twice"]}
    state.reserve("web1")
    state.save("web1", spec, "01J")
    assert [row.spec for row in state.vms()] == [spec]
    with sqlite3.connect(tmp_path / "inferno.db") as db:
        db.row_factory = sqlite3.Row
        found = dict(db.execute("select * from machines").fetchone())
    assert [column for column, value in found.items() if "s3cret" in str(value)] == ["env"]
    assert '"env": ["TOKEN", "EMPTY", "TOKEN"]' in found["spec"]


def test_a_newer_database_is_refused(tmp_path: Path) -> None:
    State(tmp_path / "inferno.db").close()
    with sqlite3.connect(tmp_path / "inferno.db") as db:
        db.execute(f"pragma user_version = {SCHEMA_VERSION + 1}")
    with pytest.raises(UsageError, match="newer"):
        State(tmp_path / "inferno.db")


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "inferno.db").write_bytes(b"not a database" * 1000)
    with pytest.raises(InfernoError, match="not a database"):
        State(tmp_path / "inferno.db")


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "inferno.db").touch()
    with pytest.raises(InfernoError, match="empty"):
        State(tmp_path / "inferno.db")
