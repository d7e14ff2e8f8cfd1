"""The page for those who come from the bash version: what it says to type can be typed, and what it names is there."""

from __future__ import annotations

import contextlib
import re
import shlex
from pathlib import Path

import pytest

from inferno.console.typed import read
from inferno.console.verbs.finding import find
from inferno.settings import GONE, ROWS
from inferno.state import query
from inferno.state.database import State

PAGE = (Path(__file__).resolve().parents[2] / "docs/coming-from-bash-inferno.md").read_text()
# All that the bash version's users could type, without its words for values.
COMMANDS = """install.sh; make build; init; create; create --volume; --vcpus; --memory; start; start --detach; stop;
stop --signal; stop --timeout; stop --kill; destroy; destroy --yes; destroy --keep-logs; list --format; list --state;
status; logs tail; logs --vm; logs show; logs --level; logs --json; logs status; logs restart; logs clear;
images process; images exposed; ping_vsock.sh; env print; version; reconcile; lvm; volume create; volume list;
volume delete; volume checkpoint; volume restore; haproxy render; haproxy reload"""
VARIABLES = """INFERNO_ROOT INFERNO_SHARE_DIR DB_PATH LOG_LEVEL VG_NAME ROOTFS_VG_NAME ROOTFS_SIZE_MB INFERNO_JAIL_UID
INFERNO_JAIL_GID INFERNO_LOG_MAX_AGE_DAYS NO_COLOR"""
HOLES = {"NAME": "web1", "REF": "nginx", "IMAGE": "nginx"}


def rows(heading: str) -> list[list[str]]:
    """The cells of the table below a heading."""
    section = re.search(rf"^## {heading}\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL)
    assert section, heading
    lines = [line for line in section[1].splitlines() if line.startswith("|")][2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


@pytest.mark.parametrize("command", [each.strip() for each in COMMANDS.split(";")])
def test_each_command_that_there_was_has_a_row(command: str) -> None:
    words = [word for word in command.split() if word not in ("logs", "images", "volume", "haproxy")] or [command]
    there = [row[0] for row in rows("Commands")]
    assert any(all(re.search(rf"(?<![\w-]){re.escape(word)}(?![\w-])", cell) for word in words) for cell in there)


TYPED = sorted(set(re.findall(r"`(infernoctl [^`]+)`", PAGE)))


@pytest.mark.parametrize("line", [row[1] for row in rows("Commands") if "infernoctl" in row[1]])
def test_each_command_that_stands_beside_it_is_taken(line: str) -> None:
    [typed] = re.findall(r"^`infernoctl ([^`]+)`$", line)
    words = [HOLES.get(word, word) for word in shlex.split(typed)]
    found = find(words)
    assert found.verb.run or found.verb.is_task, "it does something"
    read(found.verb, found.called, found.words)


@pytest.mark.parametrize("line", TYPED)
def test_each_command_that_the_text_names_is_a_verb(line: str) -> None:
    words = [HOLES.get(word, word) for word in shlex.split(line)[1:]]
    found = find(words)
    read(found.verb, found.called, [*found.words, "--help"])


def test_each_variable_has_a_row_and_what_stands_beside_it_is_read() -> None:
    table = rows("Variables")
    there = {name for row in table for name in re.findall(r"`([A-Z_]+)`", row[0])}
    assert there == set(VARIABLES.split())
    ours = {name for row in table for name in re.findall(r"`([A-Z_]+)`", row[1])}
    assert ours <= {row.name for _, _, row in ROWS}
    read_here = {row.name for _, _, row in ROWS}
    assert set(GONE) == there - read_here - {"NO_COLOR"}


QUERIES = re.findall(r"^    infernoctl db query ['\"](.+)['\"]$", PAGE, re.MULTILINE)


def test_the_page_has_queries() -> None:
    assert {"vms", "vms_versions", "network_state"} == {
        name for each in QUERIES for name in re.findall(r"(?:FROM|JOIN) (\w+)", each)
    }


@pytest.mark.parametrize("sql", QUERIES)
def test_each_query_finds_a_vm(tmp_path: Path, sql: str) -> None:
    path = tmp_path / "inferno.db"
    with contextlib.closing(State(path)) as state:
        state.reserve("web1")
        state.save("web1", {"image": "nginx", "vcpus": 1, "memory": 128}, "01JD8ZK3V5N9Q2R7T4W6X8Y123")
    answer = query.answer(path, sql)
    assert len(list(answer.rows)) == 1
