"""Queries by people: whatever they ask, nothing is changed, and no value of an environment variable comes out."""

from __future__ import annotations

import csv
import io
import json
import os
import signal
import sqlite3
import threading
from pathlib import Path

import pytest

from inferno.base.errors import InfernoError, UsageError
from inferno.cli.main import main
from inferno.state import query
from inferno.state.database import State
from inferno.state.runs_table import Begin

SECRET = "hunter2hunter2"
FORMATS: tuple[list[str], ...] = ([], ["--json"], ["--csv"])


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A database with a VM, a secret of it, and a run, in a folder whose name an address of SQLite's must escape."""
    root = tmp_path / "a b?#%41"
    root.mkdir()
    monkeypatch.setenv("INFERNO_ROOT", str(root))
    state = State(root / "inferno.db")
    state.reserve("web1")
    state.save("web1", {"image": "x", "env": [f"TOKEN={SECRET}", "A=b"], "memory": 64}, "01JD8ZK3V5N9Q2R7T4W6X8Y123")
    state.runs.begin(Begin("01JD8ZK3V5N9Q2R7T4W6X8Y999", "web1", "01JD8ZK3V5N9Q2R7T4W6X8Y123", "2026-11-30T12:00:00Z"))
    state.close()
    return root / "inferno.db"


def refusal(path: Path, sql: str) -> UsageError:
    with pytest.raises(UsageError) as refused:
        query.answer(path, sql)
    assert "\n" not in refused.value.text
    return refused.value


def test_no_secret_in_anything_that_db_prints(path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with sqlite3.connect(path) as db:
        assert SECRET in "".join(db.iterdump()), "it is there to be found"
    db.close()
    for style in FORMATS:
        assert main(["db", "tables", *style]) == 0
        for table in [*query.tables(path), query.Table("sqlite_master", "table", 0, ["sql"])]:
            for what in ["*", "count(*)", *table.columns, *(f"quote({column})" for column in table.columns)]:
                status = main(["db", "query", f"select {what} from {table.name}", *style])
                assert status == (2 if table.name == "machines" and (what == "*" or "env" in what) else 0)
    out, err = capfd.readouterr()
    assert SECRET not in out + err
    assert "TOKEN" in out, "names are shown"
    assert "hint: the view specs has the names of environment variables, without their values" in err


@pytest.mark.parametrize(
    "sql",
    [
        "with specs as (select env from machines) select * from specs",
        "select e from (select env as e from machines) as specs",
        "select 1 from machines where env like '%hunter%'",
        "select name from machines order by env",
        "select group_concat(env) over () from machines",
        "select value from machines, json_each(env)",
        "explain select env from machines",
        "select main.machines.env from main.machines",
        "select * from machines natural join specs",
    ],
)
def test_no_detour_leads_to_a_secret(path: Path, sql: str) -> None:
    assert refusal(path, sql).text == "machines.env holds secrets: infernoctl db does not read it"


@pytest.mark.parametrize(
    "sql",
    [
        "delete from machines",
        "update runs set exit_code = 0",
        "insert into runs (run) values ('x') returning run",
        "create temp table t as select 1",
        "drop view vms",
        "attach ':memory:' as other",
        "pragma user_version = 7",
        "pragma journal_mode = delete",
        "pragma query_only = off",
        "pragma writable_schema = on",
        "vacuum",
        "vacuum into 'copy.db'",
        "begin immediate",
        "reindex",
        "analyze",
        "select load_extension('x')",
        "select fts3_tokenizer('simple')",
        "select * from dbstat",
    ],
)
def test_nothing_but_reading_is_allowed(path: Path, sql: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    before = path.read_bytes()
    assert refusal(path, sql).text == "infernoctl db only reads"
    assert path.read_bytes() == before
    assert sorted(entry.name for entry in tmp_path.iterdir()) == [path.parent.name]


def test_the_file_itself_cannot_be_written_by_what_reads_it(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(query._Guard, "allows", lambda *_: sqlite3.SQLITE_OK)
    for sql in ("delete from machines", "pragma query_only = off"):
        with pytest.raises(UsageError):
            query.answer(path, sql)
    assert len(query.answer(path, "select name from machines").rows) == 1


@pytest.mark.parametrize(
    ("sql", "says"),
    [
        ("selekt 1", 'SQL: near "selekt": syntax error'),
        ("select * from nowhere", "SQL: no such table: nowhere"),
        ("select 1; select 2", "one statement at a time"),
        ("select", "SQL: incomplete input"),
        ("", "that SQL asks for nothing"),
        ("select cast(x'ff' as text)", "SQL: Could not decode to UTF-8"),
        ("select '\0'", "SQL: "),
    ],
)
def test_bad_sql_is_one_line(path: Path, capfd: pytest.CaptureFixture[str], sql: str, says: str) -> None:
    assert main(["db", "query", sql]) == 2
    out, err = capfd.readouterr()
    assert out == ""
    assert says in err
    assert [line.split(":")[0] for line in err.splitlines()] in (["error"], ["error", "hint"])


def test_the_answer_is_a_table_csv_or_json(path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    sql = "select name, name, guest_ip, null as \"n,\x1b\", x'00ff' as b, 9e999 as f, 1.5 as r from vms"
    told = []
    for style in FORMATS:
        assert main(["db", "query", sql, *style]) == 0
        told.append(capfd.readouterr().out)
    assert told[0].splitlines()[1].split() == ["web1", "web1", "172.16.0.2", "-", "00ff", "-", "1.5"]
    assert "\x1b" not in told[0]
    [row] = json.loads(told[1])
    assert list(row) == ["name", "name_2", "guest_ip", "n,\x1b", "b", "f", "r"]
    assert list(row.values()) == ["web1", "web1", "172.16.0.2", None, "00ff", None, 1.5]
    head, line = csv.reader(io.StringIO(told[2]))
    assert head == list(row)
    assert line == ["web1", "web1", "172.16.0.2", "", "00ff", "", "1.5"]
    assert main(["db", "query", "select name from vms where false", "--csv"]) == 0
    assert capfd.readouterr().out == "name\n"
    assert main(["db", "query", sql, "--json", "--csv"]) == 2


def test_a_spec_can_be_taken_apart(path: Path) -> None:
    sql = "select value from specs, json_each(spec, '$.env') where vm = 'web1'"
    assert query.answer(path, sql).rows == [("TOKEN",), ("A",)]


def test_a_signal_ends_a_query_that_goes_on_for_ever(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begun = threading.Event()
    real = query.open_readonly

    def opened(database: Path) -> sqlite3.Connection:
        db = real(database)
        db.set_trace_callback(lambda sql: begun.set() if "recursive" in sql else None)
        return db

    def interrupt() -> None:
        begun.wait()
        os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(query, "open_readonly", opened)
    thread = threading.Thread(target=interrupt, daemon=True)  # else it would outlive a failure
    thread.start()
    endless = "with recursive n(i) as (select 1 union all select i + 1 from n) select count(*) from n"
    with pytest.raises(KeyboardInterrupt):
        query.answer(path, endless)
    thread.join()


def test_without_a_database_none_is_made(tmp_path: Path) -> None:
    path = tmp_path / "inferno.db"
    with pytest.raises(UsageError, match="does not exist"):
        query.tables(path)
    assert not path.exists()


def test_a_damaged_file_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "inferno.db"
    path.write_bytes(b"x" * 8192)
    with pytest.raises(InfernoError, match="not a database"):
        query.tables(path)
