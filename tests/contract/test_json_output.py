"""What commands print for programs: json_output.json has the shape of each, and docs/json.md says the same.

The shapes are those of the types that the commands print. What can run without a VM is run; what needs one prints a
record of the same type by the same function.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from inferno.cli import doctor, env_version, images, logs, ping, stats, why
from inferno.console.verbs.table import VERBS
from inferno.console.verbs.verb import Verb
from inferno.image import catalog
from inferno.life import create, status
from inferno.state import query
from inferno.state.database import State
from inferno.state.runs_table import Begin, Run
from tests import images as example_images
from tests import json_shape

HERE = Path(__file__).parent
GOLDEN = HERE / "json_output.json"
PAGE = HERE.parents[1] / "docs/json.md"
BIN = Path(sys.executable).parent
SHAPES: dict[str, Any] = json.loads(GOLDEN.read_text())
TYPES: dict[str, Any] = {
    "create": create.Created,
    "list": list[status.Summary],
    "status": status.Status,
    "why": why.Why,
    "stats": list[stats.Stats],
    "top": stats.Top,
    "ping": ping.Ping,
    "runs": list[Run],
    "logs status": logs.Logs,
    "images list": list[catalog.Listed],
    "images show": catalog.Details,
    "images process": catalog.Process,
    "images exposed": list[str],
    "images prune": images.Pruned,
    "images check": dict[str, list[str]],
    "db tables": list[query.Table],
    "db query": list[dict[str, object]],
    "doctor": doctor.Report,
    "env": dict[str, env_version.InForce],
    "version": env_version.Version,
}
# What the collector wrote, as it is: kiln's record (host_log.ndjson), the VM's name, and whatever another release adds.
RECORDS = ("logs tail", "logs show")


def verbs() -> Iterator[str]:
    """The verbs, and actions of verbs, that have --json. What prints the same under two names has the first."""
    rows: list[tuple[str, Verb]] = list(VERBS.items())
    seen: set[str] = set()
    for name, verb in rows:
        rows += [(f"{name} {action.name}", action) for action in verb.actions]
        if name.split()[-1] == verb.name and any(option.long == "json" for option in verb.options):
            if verb.run not in seen:
                yield name
            seen.add(verb.run)


def table(command: str) -> str:
    lines = ["| key | type |", "|---|---|"]
    return "\n".join([*lines, *(f"| `{key}` | {kind} |" for key, kind in json_shape.rows(SHAPES[command]))])


def test_the_golden_file_has_every_command_that_prints_json() -> None:
    assert set(SHAPES) == {"create", *verbs()}
    assert set(SHAPES) == {*TYPES, *RECORDS}


@pytest.mark.parametrize("command", TYPES)
def test_a_command_prints_what_the_golden_file_says(command: str) -> None:
    assert json_shape.of_type(TYPES[command]) == SHAPES[command], (
        "a key was added, removed or retyped: see docs/json.md"
    )


def test_status_begins_with_what_list_shows() -> None:
    assert status.Status._fields[: len(status.Summary._fields)] == status.Summary._fields
    assert catalog.Details._fields[: len(catalog.Listed._fields)] == catalog.Listed._fields
    assert stats.Top._fields[: len(stats.Stats._fields)] == stats.Stats._fields


@pytest.mark.parametrize("command", SHAPES)
def test_the_page_has_each_key_of_a_command(command: str) -> None:
    section = re.search(rf"^## {command}\n(.*?)(?=^## |\Z)", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    assert section, f"{PAGE.name} has no heading for {command}"
    assert table(command) in section[1], f"put this table there:\n{table(command)}"


def test_kilns_records_are_what_logs_prints() -> None:
    for line in (HERE / "host_log.ndjson").read_text().splitlines():
        assert json_shape.wrong({**json.loads(line), "vm_name": "web1"}, SHAPES["logs show"]) == []
    assert SHAPES["logs show"] == SHAPES["logs tail"]


@pytest.fixture(scope="module")
def typed(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Types a command on a host where a VM was made and has run, and returns what it prints."""
    root = tmp_path_factory.mktemp("json")
    env = {**os.environ, "INFERNO_ROOT": str(root / "inferno"), "HOME": str(root)}

    def type_in(*words: str) -> Any:
        done = subprocess.run([BIN / "infernoctl", *words], env=env, capture_output=True, text=True, check=False)
        assert done.returncode in (0, 1) and "Traceback" not in done.stderr, done
        lines = [json.loads(line) for line in done.stdout.splitlines()]
        return lines if words[0] == "logs" and words[1] != "status" else lines[0]

    ref = f"oci:{example_images.busybox(root / 'image')}"
    created = type_in("create", "web1", "--image", ref)
    assert json_shape.wrong(created, SHAPES["create"]) == []
    state = State(root / "inferno/inferno.db")
    state.runs.begin(Begin("01JD8ZM0G7C4R1X6B9T2W5Y8HE", "web1", created["version"], "2026-11-24T14:17:02.123Z"))
    state.close()
    (root / "inferno/vms/web1/exit_status.json").write_text((HERE / "exit_status.json").read_text())
    (root / "inferno/logs").mkdir(exist_ok=True)
    line = (HERE / "host_log.ndjson").read_text().splitlines()[0].replace('"vm_id"', '"vm_name": "web1", "vm_id"')
    (root / "inferno/logs/web1.log").write_text(f"{line}\n")
    holes = {"REF": ref, "QUERY": "select name, slot, version from machines"}
    return lambda *words: type_in(*(holes.get(word, word) for word in words))


@pytest.mark.root
@pytest.mark.parametrize(
    "words",
    [
        "list",
        "status web1",
        "why web1",
        "stats",
        "runs web1",
        "logs status",
        "images list",
        "images show REF",
        "images process REF",
        "images exposed REF",
        "images check --all",
        "images prune --dry-run",
        "db tables",
        "db query QUERY",
        "doctor",
        "env",
        "version",
    ],
)
def test_what_is_printed_has_the_shape(typed: Any, words: str) -> None:
    command = " ".join(words.split()[: 2 if words.split(maxsplit=1)[0] in ("images", "logs", "db") else 1])
    found = typed(*words.split(), "--json")
    assert json_shape.wrong(found, SHAPES[command]) == []
    if command in ("list", "status"):
        assert (found[0] if command == "list" else found)["exit_code"] == 143, "143: SIGTERM ended it"
    if command not in ("stats", "images exposed", "images prune"):
        assert found, "or this says nothing about what is in it"


@pytest.mark.root
def test_each_line_of_a_log_has_the_shape(typed: Any) -> None:
    [record] = typed("logs", "show", "web1", "--json")
    assert json_shape.wrong(record, SHAPES["logs show"]) == []


@pytest.mark.parametrize(
    ("value", "shape"),
    [
        ({"a": 1}, {"a": "string"}),
        ({"a": True}, {"a": "integer"}),
        ({"a": 1.5}, {"a": "integer"}),
        ({}, {"a": "integer"}),
        ({"a": 1, "b": 2}, {"a": "integer"}),
        ({"a": None}, {"a": "integer"}),
        ([1, "x"], ["integer"]),
        ({"x": "y"}, {"*": "integer"}),
        ({"b": 1}, {"|": [{"a": "integer"}, "null"]}),
        ({}, ["integer"]),
        ([], {"a?": "integer"}),
    ],
)
def test_another_shape_is_seen(value: Any, shape: Any) -> None:
    assert json_shape.wrong(value, shape)


@pytest.mark.parametrize(
    ("value", "shape"),
    [
        ({"a": 1}, {"a": "integer", "b?": "string"}),
        ({"a": None, "b": 1}, {"a": "integer?", "b": "number"}),
        (None, {"|": [{"a": "integer"}, "null"]}),
        ({"x": [1, {}]}, {"*": ["anything"]}),
    ],
)
def test_the_same_shape_is_not(value: Any, shape: Any) -> None:
    assert json_shape.wrong(value, shape) == []
