"""How a VM ended is read out of a jail whose owner may be hostile, and kept."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from inferno.base import files, records
from inferno.life import exit_status
from inferno.life.exit_status import ExitStatus
from inferno.sandbox import cgroup
from inferno.state.paths import Paths, VersionDir

ULID = "01JD8ZK3V5N9Q2R7T4W6X8Y0AB"
KILLED = "kiln was killed, by SIGKILL or another signal that it could not note"
GOLDEN = Path(__file__).parents[2] / "contract/exit_status.json"


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    made = Paths(tmp_path)
    made.vm("web1").mkdir(parents=True)
    made.started("web1").symlink_to(f"../kiln/{ULID}")
    return made


@pytest.fixture
def version(paths: Paths) -> VersionDir:
    made = paths.version(ULID)
    made.jail.mkdir(parents=True)
    return made


def golden() -> ExitStatus:
    return records.read(ExitStatus, GOLDEN)


def say(version: VersionDir, **changes: Any) -> None:
    """As kiln would, but for `changes`."""
    (version.jail / "exit_status.json").write_text(json.dumps({**json.loads(GOLDEN.read_text()), **changes}))


def test_kilns_word_is_kept_when_its_jail_goes(paths: Paths, version: VersionDir) -> None:
    said = golden()
    (version.jail / "exit_status.json").write_bytes(GOLDEN.read_bytes())
    assert exit_status.last(paths, "web1") == said
    assert exit_status.record(paths, "web1", version) == exit_status.record(paths, "web1", version) == said
    (version.jail / "exit_status.json").unlink()
    version.jail.rmdir()
    assert exit_status.last(paths, "web1") == said
    paths.started("web1").unlink()
    assert exit_status.last(paths, "web1") == said
    exit_status.forget(paths, "web1")
    exit_status.forget(paths, "web1")
    assert exit_status.last(paths, "web1") is None


def test_what_another_command_puts_away_meanwhile_is_found(paths: Paths, version: VersionDir) -> None:
    say(version)
    kept, made = paths.vm("web1") / "exit_status.json", paths.vm("web1") / "made"
    os.mkfifo(kept)

    def put_away() -> None:
        with kept.open("w"):  # here it is looked for there, and not there yet
            made.write_bytes(GOLDEN.read_bytes())
            made.rename(kept)
            files.remove_tree(version.jail)

    other = threading.Thread(target=put_away, daemon=True)
    other.start()
    assert exit_status.last(paths, "web1") == golden()
    other.join()


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"exit_code": 42, "signal": None}, 42),
        ({"exit_code": 0, "signal": None}, 0),
        ({"exit_code": None, "signal": 9}, 137),
        ({"exit_code": None, "signal": 15, "vm_signal": 9}, 143),
        ({"exit_code": None, "signal": None, "vm_signal": 9}, 137),
        ({"exit_code": None, "signal": None, "vm_exit_code": 1}, 125),
    ],
)
def test_the_code_is_the_process_s_own(paths: Paths, version: VersionDir, fields: dict[str, Any], code: int) -> None:
    say(version, **fields)
    status = exit_status.last(paths, "web1")
    assert status is not None
    assert exit_status.code(status) == code


def test_no_word_is_told_as_such(paths: Paths, version: VersionDir) -> None:
    status = exit_status.record(paths, "web1", version)
    assert status.vm_error == "it left no exit status: it was cut off with the host"
    assert status.started_at.endswith("Z")
    assert (status.exit_code, status.oom_killed, exit_status.code(status)) == (None, False, 125)
    kept = json.loads((paths.vm("web1") / "exit_status.json").read_text())
    assert kept.keys() == json.loads(GOLDEN.read_text()).keys() | {"run"}


@pytest.mark.parametrize("said", [True, False])
def test_which_run_it_was_is_the_hosts_to_say(paths: Paths, version: VersionDir, said: bool) -> None:
    version.start.write_bytes((GOLDEN.parent / "start.json").read_bytes())
    if said:
        say(version, run="01JD8ZK3V5N9Q2R7T4W6X8Y0AC")
    assert exit_status.last(paths, "web1").run == "01JD8ZM0G7C4R1X6B9T2W5Y8HE"
    assert exit_status.record(paths, "web1", version).run == "01JD8ZM0G7C4R1X6B9T2W5Y8HE"
    version.start.unlink()
    assert exit_status.last(paths, "web1").run == "01JD8ZM0G7C4R1X6B9T2W5Y8HE"


def test_a_run_of_the_release_before_has_no_id(paths: Paths, version: VersionDir) -> None:
    say(version)
    kept = exit_status.record(paths, "web1", version)._asdict()
    assert kept.pop("run") is None
    (paths.vm("web1") / "exit_status.json").write_text(json.dumps(kept))
    assert exit_status.last(paths, "web1").run is None


def test_who_knows_why_there_is_no_word_is_heard_first(paths: Paths, version: VersionDir) -> None:
    said = exit_status.record(paths, "web1", version, "kiln was killed by SIGSYS")
    assert said.vm_error == "it left no exit status: kiln was killed by SIGSYS"
    assert exit_status.record(paths, "web1", version) == exit_status.last(paths, "web1") == said


def test_of_a_killed_kiln_its_cgroup_is_left(
    paths: Paths, version: VersionDir, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / cgroup.SLICE / ULID).mkdir(parents=True)
    monkeypatch.setattr(cgroup, "_MOUNT", tmp_path)
    assert exit_status.record(paths, "web1", version).vm_error == f"it left no exit status: {KILLED}"


def test_a_word_that_was_not_finished_is_told_as_such(paths: Paths, version: VersionDir) -> None:
    (version.jail / "exit_status.json.tmp").write_text("{")
    assert "is the disk full?" in exit_status.record(paths, "web1", version).vm_error


@pytest.mark.parametrize(
    ("events", "says"),
    [
        ("max 3\noom 0\noom_kill 0\n", KILLED),
        ("max 3\noom 1\noom_kill 2\noom_group_kill 1\n", "killed by the host: it used more memory than its limit"),
        ("max 0\noom 0\noom_kill 2\n", "killed by the host: the host had no memory left"),
    ],
)
def test_whose_memory_ran_out_is_told(
    paths: Paths, version: VersionDir, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, events: str, says: str
) -> None:
    leaf = tmp_path / cgroup.SLICE / ULID
    leaf.mkdir(parents=True)
    (leaf / "memory.events").write_text(events)
    monkeypatch.setattr(cgroup, "_MOUNT", tmp_path)
    assert says in exit_status.record(paths, "web1", version).vm_error


def _symlink(name: Path) -> None:
    name.symlink_to("/etc/passwd")


def _fifo(name: Path) -> None:
    os.mkfifo(name)


def _directory(name: Path) -> None:
    name.mkdir()


def _huge(name: Path) -> None:
    with name.open("wb") as file:
        file.truncate(1 << 40)


def _text(text: str) -> Callable[[Path], None]:
    def make(name: Path) -> None:
        name.write_text(text)

    return make


def _with(**changes: Any) -> Callable[[Path], None]:
    return _text(json.dumps({**json.loads(GOLDEN.read_text()), **changes}))


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (_symlink, "left no exit status"),
        (_fifo, "not a regular file"),
        (_directory, "not a regular file"),
        (_huge, "too large"),
        (_text(""), "is not JSON"),
        (_text("[" * 16_000), "is not JSON"),
        (_text("\0"), "is not JSON"),
        (_text("[]"), "it is a list, not an object"),
        (_text("{}"), "error is missing"),
        (_with(more=1), "more is not a field that this Inferno knows"),
        (_with(exit_code=256), "exit_code is out of range: 0 to 255"),
        (_with(exit_code=-1), "exit_code is out of range"),
        (_with(exit_code=True), "exit_code is true or false, not an integer"),
        (_with(exit_code=1.0), "exit_code is a number"),
        (_with(exit_code="1"), "exit_code is a string"),
        (_with(signal=0), "signal is out of range: 1 to 64"),
        (_with(signal=65), "signal is out of range"),
        (_with(oom_killed=None), "oom_killed is null"),
        (_with(oom_killed=1), "oom_killed is an integer"),
        (_with(error=["x"]), "error is a list"),
        (_with(**{"\x1b[2J" + "x" * 9000: 1}), "\\x1b[2Jxxx"),
    ],
)
def test_what_a_hostile_jail_says_is_no_status(
    paths: Paths, version: VersionDir, make: Callable[[Path], None], says: str
) -> None:
    make(version.jail / "exit_status.json")
    status = exit_status.record(paths, "web1", version)
    assert says in status.vm_error
    assert exit_status.code(status) == 125


def test_texts_are_safe_to_show(paths: Paths, version: VersionDir) -> None:
    say(version, error="\x1b[2J" + "x" * 5000, vm_error="two\nlines")
    status = exit_status.record(paths, "web1", version)
    assert "\x1b" not in status.error
    assert len(status.error) < 500
    assert status.vm_error == "two lines"


def test_a_jail_that_is_a_symlink_is_not_entered(paths: Paths, version: VersionDir, tmp_path: Path) -> None:
    say(version)
    version.jail.rename(tmp_path / "elsewhere")
    version.jail.symlink_to(tmp_path / "elsewhere")
    assert "left no exit status" in exit_status.record(paths, "web1", version).vm_error


@pytest.mark.parametrize("text", ["", "[]", "{}", "{"])
def test_a_kept_status_that_was_damaged_is_none(paths: Paths, text: str) -> None:
    (paths.vm("web1") / "exit_status.json").write_text(text)
    assert exit_status.last(paths, "web1") is None
