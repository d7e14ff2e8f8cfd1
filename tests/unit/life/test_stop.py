"""Bad values of stop, restart and destroy are refused before anything is asked of a VM."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pexpect
import pytest

from inferno.cli.main import main
from inferno.life import stop as ending
from inferno.sandbox import cgroup
from inferno.state.database import State
from inferno.state.paths import VersionDir
from tests.guestlab import GuestLab, supervise
from tests.known import ULID, known_vm

BIN = Path(sys.executable).parent


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """An INFERNO_ROOT that knows a VM `web1`."""
    folder = tmp_path / "root"
    folder.mkdir()
    return known_vm(folder)


@pytest.mark.root
@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("stop web1 --timeout -1", "--timeout -1 is out of range"),
        ("stop web1 --timeout nan", "--timeout nan is out of range"),
        ("stop web1 --timeout 1e9", "out of range"),
        ("stop web1 --timeout soon", "'soon' is not a number"),
        ("stop web1 --signal NOPE", "'NOPE' is not a signal"),
        ("stop web1 --signal 0", "'0' is not a signal"),
        ("stop web1 --signal 65", "'65' is not a signal"),
        ("start web1 --detatch", "did you mean --detach?"),
        ("stop web1 --klil", "did you mean --kill?"),
        ("restart web1 --timeout inf", "out of range"),
        ("destroy web1", "there is no terminal"),
        ("destroy web2 --yes", "did you mean 'web1'?"),
        ("stop web2", "did you mean 'web1'?"),
    ],
)
def test_bad_values_are_one_line_and_change_nothing(root: Path, tmp_path: Path, words: str, says: str) -> None:
    before = sorted(path for path in root.rglob("*") if ".db" not in path.name)
    done = subprocess.run(
        [BIN / "infernoctl", *words.split()],
        env={**os.environ, "INFERNO_ROOT": str(root)},
        cwd=tmp_path,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2, done
    assert [line for line in done.stderr.splitlines() if line.startswith("error: ")] == done.stderr.splitlines()[:1]
    assert says in done.stderr
    assert sorted(path for path in root.rglob("*") if ".db" not in path.name and path.name != "locks") == before
    state = State(root / "inferno.db")
    assert state.names() == ["web1"]
    state.close()


@pytest.mark.root
@pytest.mark.parametrize("answer", ["n", "", "yess"])
def test_destroy_asks_on_a_terminal_and_takes_only_yes(root: Path, tmp_path: Path, answer: str) -> None:
    env = {**os.environ, "INFERNO_ROOT": str(root)}
    program = str(BIN / "infernoctl")
    child = pexpect.spawn(program, ["destroy", "web1"], env=env, cwd=tmp_path, encoding="utf-8", timeout=60)
    child.expect_exact("destroy web1, its versions and its log? [y/N] ")
    child.sendline(answer)
    child.expect(pexpect.EOF)
    assert child.wait() == 1
    assert "error: destroy:web1: web1 stays as it is" in str(child.before)


@pytest.mark.root
@pytest.mark.parametrize(
    ("trap", "says"), [("", None), ("trap '' TERM;", "kiln did not end within 0.2 s of SIGTERM, and was killed")]
)
def test_a_kiln_that_had_to_be_killed_is_told_of(
    hierarchy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trap: str, says: str | None
) -> None:
    if says:
        monkeypatch.setattr(ending, "KILN_END_S", 0.2)
    (hierarchy / cgroup.SLICE / ULID).mkdir(parents=True)
    script = ["sh", "-c", f"{trap} echo up; exec sleep 1000"]
    with subprocess.Popen(script, stdout=subprocess.PIPE, start_new_session=True) as kiln:
        assert kiln.stdout is not None
        kiln.stdout.readline()
        cgroup.add(ULID, kiln.pid)
        assert ending.end(VersionDir(tmp_path / ULID), ending.Request(1, kill=True)) == (
            says,
            "its guest did not answer",
        )
    cgroup.remove(ULID)


@pytest.mark.parametrize(
    ("given", "timeout_s", "kill"),
    [
        ({}, 10, False),
        ({"timeout": 0}, 0, False),
        ({"kill": True}, 0, True),
        ({"kill": True, "timeout": 5}, 5, True),
        ({"kill": True, "timeout": 0}, 0, True),
        ({"kill": True, "signal": "INT"}, 10, True),
        ({"kill": True, "signal": "INT", "timeout": 5}, 5, True),
    ],
)
def test_how_long_a_stop_waits(given: dict[str, object], timeout_s: float, kill: bool) -> None:
    request = ending.Request.of("stop:web1", **given)  # type: ignore[arg-type]  # as the parser hands it over
    assert (request.timeout_s, request.kill) == (timeout_s, kill)


@pytest.mark.root
@pytest.mark.parametrize(
    ("after", "kill", "timeout_s", "asked", "killed", "overdue"),
    [
        ("exit 7", True, 60.0, True, False, ""),  # it ends when it is asked
        (":", True, 0.1, True, True, "its process did not end within 0.1 s of SIGTERM"),  # it is asked, and goes on
        (":", False, 0.1, True, False, "its process did not end within 0.1 s of SIGTERM"),  # the same, and its VM ends
        ("exit 7", True, None, False, True, ""),  # --kill alone
    ],
)
def test_kill_asks_first(
    hierarchy: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
    after: str,
    kill: bool,
    timeout_s: float | None,
    asked: bool,
    killed: bool,
    overdue: str,
) -> None:
    """A real init, which runs a process that notes that it was asked; in place of kiln stands what runs that init."""
    monkeypatch.setattr(ending, "KILN_END_S", 0.2)
    (hierarchy / cgroup.SLICE / ULID).mkdir(parents=True)
    short = tempfile.mkdtemp()  # a socket's path has 107 bytes at most
    request.addfinalizer(lambda: shutil.rmtree(short))
    version = VersionDir(Path(short, ULID))
    version.jail.parent.mkdir()
    note = tmp_path / "asked"
    script = f"trap 'touch {note}; {after}' TERM; while :; do sleep 1000 & wait; done"
    lab = GuestLab(version.jail, supervise(), script)
    try:
        cgroup.add(ULID, lab.pid)
        said = ending.end(version, ending.Request.of("stop:web1", kill=kill, timeout=timeout_s))
        assert note.exists() == asked
        assert (said.because is not None, said.overdue) == (killed, overdue)
    finally:
        lab.kill()
    cgroup.remove(ULID)


@pytest.mark.root
def test_a_vm_that_runs_is_not_destroyed_without_force(
    hierarchy: Path, root: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("INFERNO_ROOT", str(root))
    (hierarchy / cgroup.SLICE / ULID).mkdir(parents=True)
    with subprocess.Popen(["sleep", "1000"]) as running:
        cgroup.add(ULID, running.pid)
        status = main(["destroy", "web1", "--yes"])
        assert running.poll() is None
        running.kill()
    assert status == 2
    assert capfd.readouterr().err.splitlines() == [
        "error: web1 runs",
        "hint: infernoctl stop web1, first; or --force, which kills it",
    ]
    state = State(root / "inferno.db")
    assert state.names() == ["web1"]
    state.close()
    cgroup.remove(ULID)
