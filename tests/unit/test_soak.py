"""Soaks: a tally that goes on where it was, places made anew after a failure, and the words of the command line."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.soak import __main__ as front
from tests.soak import sitting, soaks
from tests.soak.sitting import PlaceError
from tests.soak.soaks import Soak
from tests.soak.tally import InUseError, Tally, Trial, failures, read, summary


class Attack:
    """A soak whose trials are told how to end; it counts the places it made and those it left."""

    def __init__(self, *ends: Exception | None) -> None:
        self.ends, self.seeds = list(ends), list[int]()
        self.made = self.left = 0

    @contextlib.contextmanager
    def place(self) -> Iterator[str]:
        self.made += 1
        try:
            yield f"place {self.made}"
        finally:
            self.left += 1

    def trial(self, seed: int, place: str) -> str:
        self.seeds.append(seed)
        if end := self.ends.pop(0):
            raise end
        return f"in {place}"

    @property
    def soak(self) -> Soak:
        return Soak("attack", "One.", "nothing", self.place, self.trial)


def test_a_tally_goes_on_where_it_was(tmp_path: Path) -> None:
    told: list[str] = []
    first, second = Attack(None, None), Attack(None)
    for attack, until in ((first, 2), (second, 3)):
        with Tally(tmp_path / "x/attack.ndjson") as tally:
            sitting.go_on(attack.soak, tally, until, told.append)
    lines = [json.loads(line) for line in (tmp_path / "x/attack.ndjson").read_text().splitlines()]
    assert [(line["trial"], line["outcome"], line["detail"]) for line in lines] == [
        (1, "passed", "in place 1"), (2, "passed", "in place 1"), (3, "passed", "in place 1")
    ]  # fmt: skip
    assert [line["seed"] for line in lines] == first.seeds + second.seeds
    assert len({line["seed"] for line in lines}) == 3
    assert told[2].startswith(f"attack 3/3, seed {second.seeds[0]}: passed in 0.0 s: in place 1")
    assert (first.made, first.left) == (1, 1)


def test_nothing_is_tried_beyond_what_is_wanted(tmp_path: Path) -> None:
    with Tally(tmp_path / "t") as tally:
        sitting.go_on(Attack(None, None).soak, tally, 2, print)
        never = Attack()
        sitting.go_on(never.soak, tally, 2, print)
    assert never.made == 0


def test_after_a_failure_the_place_is_a_new_one(tmp_path: Path) -> None:
    attack = Attack(None, AssertionError("left over:\n+ a tap"), None, None)
    told: list[str] = []
    with Tally(tmp_path / "t") as tally:
        sitting.go_on(attack.soak, tally, 4, told.append)
    assert [trial.detail for trial in tally.trials] == [
        "in place 1", "AssertionError: left over:\n+ a tap", "in place 2", "in place 2"
    ]  # fmt: skip
    assert (attack.made, attack.left) == (2, 2)
    assert "Traceback" in told[1]
    assert f"seed {attack.seeds[1]}: failed in 0.0 s: AssertionError: left over: …" in told[2]
    assert [trial.seed for trial in failures(read(tmp_path / "t"))] == [attack.seeds[1]]


def test_a_place_that_cannot_be_made_is_no_failure_of_a_trial(tmp_path: Path) -> None:
    def broken() -> contextlib.AbstractContextManager[None]:
        raise OSError("no QEMU")

    with Tally(tmp_path / "t") as tally, pytest.raises(PlaceError, match="no QEMU"):
        sitting.go_on(Soak("x", "", "rig", broken, lambda seed, place: ""), tally, 1, print)
    assert read(tmp_path / "t") == []


def test_an_interrupted_trial_is_not_counted(tmp_path: Path) -> None:
    class Interrupted(Attack):
        def trial(self, seed: int, place: str) -> str:
            if self.seeds:
                raise KeyboardInterrupt
            return super().trial(seed, place)

    attack = Interrupted(None)
    with Tally(tmp_path / "t") as tally, pytest.raises(KeyboardInterrupt):
        sitting.go_on(attack.soak, tally, 9, print)
    assert [trial.trial for trial in read(tmp_path / "t")] == [1]
    assert attack.left == 1


def test_a_line_that_was_not_finished_is_taken_off(tmp_path: Path) -> None:
    with Tally(tmp_path / "t") as tally:
        tally.add(1, "passed", "", "abc", 1)
    whole = (tmp_path / "t").read_bytes()
    for torn in (whole + whole[:-1], whole + b"{"):
        (tmp_path / "t").write_bytes(torn)
        assert len(read(tmp_path / "t")) == 1
        with Tally(tmp_path / "t") as tally:
            assert (tmp_path / "t").read_bytes() == whole
            assert tally.add(2, "passed", "", "abc", 1).trial == 2
    (tmp_path / "t").write_bytes(whole[:-1])
    with Tally(tmp_path / "t") as tally:
        assert tally.trials == []


def test_a_line_that_is_no_trial_is_refused(tmp_path: Path) -> None:
    (tmp_path / "t").write_text('{"trial": 1}\n')
    with pytest.raises(ValueError, match="t: "):
        read(tmp_path / "t")


def test_two_sittings_of_a_soak_are_one_too_many(tmp_path: Path) -> None:
    with Tally(tmp_path / "t"), pytest.raises(InUseError):
        Tally(tmp_path / "t")
    with Tally(tmp_path / "t"):
        pass


def test_the_summary_names_the_seeds_of_failures() -> None:
    trials = [Trial(n, seed, "failed" if seed > 8 else "passed", "", "abc+", 1) for n, seed in enumerate((7, 8, 9), 1)]
    assert summary(trials) == "3 tried, 2 passed, 1 failed; seeds of failures: 9 (at abc+)"
    assert summary(trials[:2]) == "2 tried, 2 passed, 0 failed"


def test_the_commit_is_told_apart_from_one_with_changes(tmp_path: Path) -> None:
    git = ["git", "-C", tmp_path, "-c", "user.name=x", "-c", "user.email=x"]
    assert sitting.commit_of(tmp_path) == "unknown"
    (tmp_path / "f").write_text("1")
    for words in (["init", "-q"], ["add", "f"], ["commit", "-qm", "one"]):
        subprocess.run([*git, *words], check=True)
    commit = sitting.commit_of(tmp_path)
    assert len(commit) == 12
    (tmp_path / "f").write_text("2")
    assert sitting.commit_of(tmp_path) == f"{commit}+"


def test_every_soak_is_listed_and_has_its_parts(checkout: Path) -> None:
    parts = {"__init__", "__main__", "sitting", "soaks", "tally", "web"}
    found = {path.stem for path in (checkout / "tests/soak").glob("*.py")} - parts
    assert found == set(soaks.NAMES)
    for soak in map(soaks.load, soaks.NAMES):
        assert soak.says.splitlines()[0].endswith(".")
        assert soak.needs in ("nothing", "root", "rig")
        assert callable(soak.place)
        assert callable(soak.trial)


def cli(home: Path, *words: str, program: tuple[str, ...] = (sys.executable, "-m", "tests.soak")) -> tuple[int, str]:
    env = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    cwd = Path(__file__).resolve().parents[2]
    done = subprocess.run(
        [*program, *words],
        cwd=cwd,
        env={**env, "XDG_CACHE_HOME": str(home)},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


@pytest.mark.root
def test_a_soak_in_two_sittings_from_the_command_line(tmp_path: Path) -> None:
    assert cli(tmp_path, "layers", "--until", "2")[0] == 0
    status, said = cli(tmp_path, "layers", "--until", "3")
    assert status == 0
    line, total, where = said.splitlines()
    assert line.startswith("layers 3/3, seed ")
    assert total == "layers: 3 tried, 3 passed, 0 failed"
    file = tmp_path / "inferno/soak/layers.ndjson"
    assert where == f"the tally: {file}"
    seed = json.loads(file.read_text().splitlines()[0])["seed"]
    status, said = cli(tmp_path, "layers", "--seed", str(seed))
    assert status == 0
    assert said.startswith(f"layers, seed {seed}: passed: the same by the plain unpacker")
    assert len(read(file)) == 3


def test_a_tally_with_a_failure_ends_with_1(tmp_path: Path) -> None:
    with Tally(tmp_path / "inferno/soak/cuts.ndjson") as tally:
        tally.add(5, "passed", "", "abc", 1)
    assert cli(tmp_path, "cuts")[0] == 0
    with Tally(tmp_path / "inferno/soak/cuts.ndjson") as tally:
        tally.add(6, "failed", "", "abc", 1)
    status, said = cli(tmp_path, "cuts")
    assert status == 1
    assert "2 tried, 1 passed, 1 failed; seeds of failures: 6 (at abc)" in said
    status, said = cli(tmp_path)
    assert status == 0
    assert "2 tried, 1 passed, 1 failed" in said
    assert [line.split()[0] for line in said.splitlines() if line[:1].strip()][: len(soaks.NAMES)] == [*soaks.NAMES]


@pytest.mark.parametrize("words", [["nope"], ["--until", "3"], ["cuts", "--until", "0"], ["cuts", "--until", "x"]])
def test_what_means_nothing_is_refused(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        front.run(words)
    assert ended.value.code == 2
    assert "error: " in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "command"),
    [
        (["soak", "cuts", "N=100"], "tools/soak cuts --until 100"),
        (["soak", "cuts", "SEED=7"], "tools/soak cuts --seed 7"),
        (["soak", "cuts"], "tools/soak cuts"),
        (["soak"], "tools/soak"),
        (["rig-full", "layers", "leaks"], "tools/rig-full layers leaks"),
        (["rig-full"], "tools/rig-full"),
    ],
)
def test_make_hands_the_words_on_and_makes_nothing_of_them(words: list[str], command: str, tmp_path: Path) -> None:
    status, said = cli(tmp_path, *words, program=("make", "--dry-run", "--no-print-directory"))
    assert status == 0
    assert [line.split() for line in said.splitlines() if line != ":"] == [["tools/setup"], command.split()]
