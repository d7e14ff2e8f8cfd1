"""A change of schema loses nothing, a kill leaves the old schema or the new one, and a copy of the old file is kept."""

from __future__ import annotations

import json
import multiprocessing
import re
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from inferno.base.errors import InfernoError, UsageError
from inferno.state import migrations, sqlite_file
from inferno.state.database import State
from inferno.state.migrations import SCHEMA_VERSION
from inferno.state.slot import SLOTS, Slot

# What release 0.1.0 made, letter by letter.
RELEASE_0_1_0 = """
create table vms (
    name text primary key,
    slot integer not null unique check (slot between 0 and 16383),
    spec text,
    version text,
    created_at text not null default (strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))
) without rowid;
pragma user_version = 1;
pragma journal_mode = wal;
"""
SPEC = {"image": "nginx:latest", "vcpus": 2, "memory": 512, "env": ["TOKEN=s3cret", "A=b=c"], "cmd": None}
ROWS = [
    ("web1", 0, json.dumps(SPEC, sort_keys=True), "01JD8ZK3V5N9Q2R7T4W6X8Y123", "2026-11-24T14:17:02.123Z"),
    ("half", 7, None, None, "2026-11-24T14:17:03.123Z"),
    (
        "last",
        SLOTS - 1,
        json.dumps({"image": "x", "env": []}),
        "01JD8ZK3V5N9Q2R7T4W6X8Y124",
        "2026-11-24T14:17:04.123Z",
    ),
]
CHECKOUT = Path(__file__).resolve().parents[3]


def old_database(folder: Path) -> Path:
    path = folder / "inferno.db"
    with sqlite3.connect(path) as db:
        db.executescript(RELEASE_0_1_0)
        db.executemany("insert into vms values (?, ?, ?, ?, ?)", ROWS)
    db.close()
    return path


def dump(path: Path) -> str:
    with sqlite3.connect(path) as db:
        text = "\n".join([*db.iterdump(), str(db.execute("pragma user_version").fetchone())])
    db.close()
    return text


def backups(path: Path) -> list[Path]:
    return sorted(path.parent.glob(f"{path.name}.schema*"))


def left(path: Path) -> list[str]:
    """What is beside the file that is neither SQLite's nor a backup."""
    return sorted(p.name for p in path.parent.iterdir() if not re.search(r"\.db(-wal|-shm|\.schema.*)?$", p.name))


def open_and_close(path: Path) -> None:
    State(path).close()


def test_the_rows_of_the_first_release_come_through_and_the_old_file_is_kept(tmp_path: Path) -> None:
    path = old_database(tmp_path)
    before = dump(path)
    state = State(path)
    assert [(row.name, row.slot, row.version, row.created_at) for row in state.vms()] == [
        (name, slot, version, at) for name, slot, _, version, at in (ROWS[2], ROWS[0])
    ]
    row = state.vm("web1")
    assert row is not None
    assert row.spec == SPEC
    assert state.reservations() == ["half"]
    assert state.reserve("new").slot == 1
    state.close()
    (kept,) = backups(path)
    assert re.fullmatch(r"inferno\.db\.schema1-\d{8}T\d{6}\.\d{6}Z", kept.name)
    assert kept.stat().st_mode & 0o777 == 0o600
    assert dump(kept) == before
    assert left(path) == []
    State(path).close()
    assert backups(path) == [kept], "a file of this schema is left alone"


def test_a_new_file_and_a_migrated_one_have_the_same_schema(tmp_path: Path) -> None:
    (tmp_path / "old").mkdir()
    (tmp_path / "new").mkdir()
    paths = [old_database(tmp_path / "old"), tmp_path / "new/inferno.db"]
    found = []
    for path in paths:
        State(path).close()
        with sqlite3.connect(path) as db:
            found.append(db.execute("select type, name, sql from sqlite_master order by 1, 2").fetchall())
            assert db.execute("pragma user_version").fetchone() == (SCHEMA_VERSION,)
            assert db.execute("pragma journal_mode").fetchone() == ("wal",)
        db.close()
        assert path.stat().st_mode & 0o777 == 0o600 or path == paths[0]
    assert found[0] == found[1]
    assert backups(paths[1]) == []


# Migrates the file named first, and kills itself before the statement that is named second; each in a fork.
CUT = """
import os, pathlib, signal, sqlite3, sys
from inferno.state import migrations, sqlite_file
import sqlite_utils
path, number = pathlib.Path(sys.argv[1]), 0
for number in range(1, 1000):
    source = path.with_name(f"{number}") / path.name
    source.parent.mkdir()
    source.write_bytes(path.read_bytes())
    child = os.fork()
    if not child:
        seen = 0
        connect = sqlite3.connect
        def traced(*args, **kwargs):
            db = connect(*args, **kwargs)
            def count(statement):
                global seen
                seen += 1
                if seen == number:
                    os.kill(os.getpid(), signal.SIGKILL)
            db.set_trace_callback(count)
            return db
        sqlite3.connect = traced
        sqlite_file.open_database(source, migrations.STEPS)
        os._exit(0)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if status != -signal.SIGKILL:
        sys.exit(status)
"""


@pytest.mark.slow
def test_killed_at_any_statement_it_is_the_old_or_the_new(tmp_path: Path) -> None:
    path = old_database(tmp_path)
    before = dump(path)
    subprocess.run([sys.executable, "-c", CUT, path], check=True, cwd=CHECKOUT, timeout=250)
    copies = sorted((folder for folder in tmp_path.iterdir() if folder.is_dir()), key=lambda folder: int(folder.name))
    after = dump(copies[-1] / path.name)
    assert after != before
    assert len(copies) > 25, "a statement for each table and view at least"
    seen = [dump(folder / path.name) for folder in copies]
    assert set(seen) == {before, after}
    assert seen == sorted(seen, key=[before, after].index), "once it is new it stays so"
    for folder in copies:
        State(folder / path.name).close()  # the next command
        assert dump(folder / path.name) == after
        assert {dump(kept) for kept in backups(folder / path.name)} == {before}
        assert left(folder / path.name) == []


def test_eight_at_once_migrate_once(tmp_path: Path) -> None:
    path = old_database(tmp_path)
    with multiprocessing.get_context("spawn").Pool(8) as pool:
        pool.map(open_and_close, [path] * 8)
    assert len(backups(path)) == 1


def test_a_step_that_fails_leaves_the_old_file_and_nothing_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = old_database(tmp_path)
    before = dump(path)

    def broken(db: sqlite3.Connection) -> None:
        migrations.STEPS[1](db)
        raise sqlite3.OperationalError("it broke at its end")

    with pytest.raises(InfernoError, match="it broke at its end"):
        sqlite_file.open_database(path, (migrations.STEPS[0], broken))
    assert dump(path) == before
    assert backups(path) == left(path) == []


def test_a_newer_file_is_refused_and_stays_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "inferno.db"
    State(path).close()
    with sqlite3.connect(path) as db:
        db.execute(f"pragma user_version = {SCHEMA_VERSION + 1}")
    db.close()
    before = path.read_bytes()
    with pytest.raises(UsageError, match=f"schema {SCHEMA_VERSION + 1}, this one knows {SCHEMA_VERSION}"):
        State(path)
    assert path.read_bytes() == before
    assert backups(path) == []


def test_the_views_compute_addresses_as_slots_do(tmp_path: Path) -> None:
    state = State(tmp_path / "inferno.db")
    numbers = sorted({0, 1, 63, 64, 65, 4095, 4096, SLOTS - 2, SLOTS - 1, *range(0, SLOTS, 97)})
    with sqlite3.connect(tmp_path / "inferno.db") as db:
        db.executemany("insert into machines (name, slot) values (?, ?)", ((f"v{n}", n) for n in numbers))
        columns = "tap_device, guest_ip, gateway_ip, mac_address"
        expected = [(n, f"v{n}", (s := Slot(n)).tap, s.guest, s.gateway, s.mac) for n in numbers]
        assert db.execute(f"select id, name, {columns} from vms order by id").fetchall() == expected
        found = db.execute(f"select vm_id, vm_name, {columns}, subnet from network_state order by vm_id").fetchall()
        assert found == [(*row, Slot(row[0]).subnet) for row in expected]
    state.close()


def test_what_scripts_for_the_bash_version_ask_for_is_answered(tmp_path: Path) -> None:
    path = old_database(tmp_path)
    State(path).close()
    with sqlite3.connect(path) as db:
        assert db.execute("select name, guest_ip, state from vms order by name").fetchall() == [
            ("half", "172.16.0.30", "creating"),
            ("last", "172.16.255.254", "created"),
            ("web1", "172.16.0.2", "created"),
        ]
        joined = "select v.name, n.tap_device from vms v join network_state n on n.vm_id = v.id where v.name = 'web1'"
        assert db.execute(joined).fetchall() == [("web1", "inf0")]
        by_version = "select vm_name, created_at, is_current from vms_versions where version = ?"
        # 01JD8ZK3V5 is 1732247129957 ms after 1970.
        assert db.execute(by_version, (ROWS[0][3],)).fetchall() == [("web1", "2024-11-22T03:45:29.957Z", 1)]
        assert json.loads(db.execute("select spec from specs where vm = 'web1'").fetchone()[0])["env"] == ["TOKEN", "A"]


@pytest.mark.parametrize("words", [["list"], ["status", "web1"], ["list", "--json"]])
def test_looking_does_not_load_what_changes_the_schema(tmp_path: Path, words: list[str]) -> None:
    path = old_database(tmp_path)
    State(path).close()
    program = f"import sys; from inferno.cli.main import main; main({words!r}); print('sqlite_utils' in sys.modules)"
    env = {"INFERNO_ROOT": str(tmp_path), "PATH": "/usr/bin:/bin"}
    done = subprocess.run(
        [sys.executable, "-c", program], env=env, cwd=CHECKOUT, capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.splitlines()[-1] == "False"
