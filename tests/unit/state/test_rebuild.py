"""A lost or damaged database comes back from what lies beside the VMs' files, and nothing about it is guessed."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from inferno.base import files
from inferno.cli.main import main
from inferno.state import rebuild, vm_record
from inferno.state.database import State, VmRow
from inferno.state.paths import Paths
from inferno.state.runs_table import Begin

SPEC = {"image": "nginx", "memory": 256, "env": ["TOKEN=s3cret", "A="], "tty": True}
ULID = "01JD8ZK3V5N9Q2R7T4W6X8Y12"


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    """Three VMs, with a gap in their slots, and one name that is only reserved."""
    paths = Paths(tmp_path)
    state = State(tmp_path / "inferno.db")
    for number, name in enumerate(("web1", "gone", "web2", "web3")):
        state.reserve(name)
        state.save(name, {**SPEC, "memory": 128 + number}, f"{ULID}{number}")
        row = state.vm(name)
        assert row is not None
        vm_record.write(paths, row)
    files.remove_tree(paths.vm("gone"))
    state.remove("gone")
    state.reserve("half")
    state.runs.begin(Begin(f"{ULID}9", "web1", f"{ULID}0", "2026-11-30T12:00:00Z"))
    state.close()
    return paths


def lose(paths: Paths) -> None:
    for path in paths.root.glob("inferno.db*"):
        path.unlink()


def rows(paths: Paths) -> list[VmRow]:
    state = State(paths.root / "inferno.db")
    found = state.vms()
    state.close()
    # As the spec's own defaults complete it: the record has every field.
    return [row._replace(spec={k: v for k, v in (row.spec or {}).items() if k in SPEC}) for row in found]


def run(paths: Paths) -> rebuild.Rebuilt:
    return rebuild.rebuild(paths, paths.root / "inferno.db")


def test_a_lost_database_comes_back_row_by_row(paths: Paths) -> None:
    before = rows(paths)
    assert [row.slot for row in before] == [0, 2, 3]
    lose(paths)
    assert run(paths) == (["web1", "web2", "web3"], [], [], None)
    assert rows(paths) == before
    assert run(paths) == ([], ["web1", "web2", "web3"], [], None), "again is nothing to do"
    state = State(paths.root / "inferno.db")
    assert state.reserve("new").slot == 1, "the slots of those that came back are theirs"


def test_what_the_database_knows_stays_as_it_is(paths: Paths) -> None:
    state = State(paths.root / "inferno.db")
    state.save("web1", {"image": "newer"}, f"{ULID}7")
    state.remove("web2")
    state.close()
    assert run(paths).added == ["web2"]
    assert [row.version for row in rows(paths)] == [f"{ULID}7", f"{ULID}2", f"{ULID}3"]
    state = State(paths.root / "inferno.db")
    assert len(state.runs.of("web1")) == 1
    state.close()


@pytest.mark.parametrize("damage", ["head", "middle", "empty"])
def test_a_damaged_file_is_moved_aside_with_its_log(paths: Paths, damage: str) -> None:
    before = rows(paths)
    path = paths.root / "inferno.db"
    content = path.read_bytes()
    broken = {
        "head": b"x" * 100 + content[100:],
        "middle": content[:4096] + b"\xa5" * 12288 + content[16384:],
        "empty": b"",
    }
    path.write_bytes(broken[damage])
    (paths.root / "inferno.db-wal").write_bytes(b"its log")
    done = run(paths)
    assert done.aside is not None
    assert done.aside.name.startswith("inferno.db.damaged-")
    assert done.aside.read_bytes() == broken[damage]
    assert done.aside.with_name(f"{done.aside.name}-wal").read_bytes() == b"its log"
    assert rows(paths) == before


def test_two_vms_of_one_slot_both_stay_out(
    paths: Paths, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    lose(paths)
    record = vm_record.read(paths.vm_record("web3"))
    vm_record.records.write(paths.vm_record("web3"), record._replace(slot=0), 0o600)
    monkeypatch.setenv("INFERNO_ROOT", str(paths.root))
    monkeypatch.setattr("os.geteuid", lambda: 0)
    assert main(["db", "rebuild"]) == 1
    out, err = capfd.readouterr()
    assert out == "web2 is back\n"
    assert "not restored: web1: its slot 0 is also that of web3, by what lies on the disk\n" in err
    assert "not restored: web3: its slot 0 is also that of web1, by what lies on the disk\n" in err
    assert "error: 2 of 3 VMs are not restored" in err
    assert [row.name for row in rows(paths)] == ["web2"]
    files.remove_tree(paths.vm("web3"))
    assert run(paths).added == ["web1"]


def test_a_slot_that_was_given_away_meanwhile_is_said(paths: Paths) -> None:
    lose(paths)
    state = State(paths.root / "inferno.db")
    state.reserve("thief")
    state.save("thief", {"image": "x"}, f"{ULID}8")
    state.close()
    done = run(paths)
    assert done.added == ["web2", "web3"]
    assert done.problems == ["web1: its slot 0 is thief's in the database"]


def test_a_record_that_cannot_be_read_is_said_and_the_others_come_back(paths: Paths) -> None:
    lose(paths)
    paths.vm_record("web1").write_text('{"format": 1}')
    paths.vm_record("web2").write_bytes(paths.vm_record("web3").read_bytes())
    done = run(paths)
    assert done.added == ["web3"]
    first, second = done.problems
    assert first.startswith("web1: ") and "spec.json" in first
    assert second.endswith("is about another VM, web3")


def test_a_vm_is_added_under_its_lock(paths: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    """A destroy that goes on meanwhile must not leave a row behind."""
    lose(paths)
    real = files.lock

    def destroyed(path: Path, *args: object, **kwargs: object) -> object:
        if path == paths.vm_lock("web2"):
            files.remove_tree(paths.vm("web2"))
        return real(path, *args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(files, "lock", destroyed)
    assert run(paths).added == ["web1", "web3"]


def test_a_newer_database_is_left_alone(paths: Paths) -> None:
    path = paths.root / "inferno.db"
    with sqlite3.connect(path) as db:
        db.execute("pragma user_version = 99")
    db.close()
    with pytest.raises(Exception, match="newer Inferno"):
        run(paths)
    assert list(paths.root.glob("*.damaged*")) == []
