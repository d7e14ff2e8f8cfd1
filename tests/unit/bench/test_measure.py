"""How the benchmark measures: pairs in turn, ratios pair by pair, at least five, by a clock that the test moves."""

from __future__ import annotations

import sys

import pytest

from tests.bench import measure
from tests.bench.measure import BenchError, Side, Stopwatch, walls


class Machine:
    """A machine whose time passes only where the test says so. `log` has what was done, in order."""

    def __init__(self) -> None:
        self.time = 0.0
        self.used = 0.0
        self.log: list[str] = []

    def side(self, name: str, *seconds: float) -> Side:
        """Work that takes these seconds, one run after the other, half of each on a processor."""
        left = list(seconds)

        def work() -> None:
            self.log.append(name)
            spent = left.pop(0)
            self.time += spent
            self.used += spent / 2

        return Side(work, lambda: self._around(f"before {name}"), lambda: self._around(f"after {name}"))

    def _around(self, what: str) -> None:
        self.log.append(what)
        self.time += 1000
        self.used += 1000

    @property
    def watch(self) -> Stopwatch:
        return Stopwatch(lambda: self.time, lambda: self.used, lambda: self.log.append("settle"))


@pytest.fixture
def machine() -> Machine:
    return Machine()


def test_pairs_run_in_turn_after_one_that_is_not_counted(machine: Machine) -> None:
    machine.watch.pairs(machine.side("a", *[1] * 6), machine.side("b", *[1] * 6), 5)
    assert [each for each in machine.log if " " not in each] == ["a", "b", "settle", *"ababababab"]


def test_what_is_before_and_after_a_run_is_around_each_and_not_timed(machine: Machine) -> None:
    pairs = machine.watch.pairs(machine.side("a", 9, 1, 2, 3, 4, 5), machine.side("b", 9, 1, 1, 1, 1, 1), 5)
    assert machine.log[:6] == ["before a", "a", "after a", "before b", "b", "after b"]
    assert [each.wall for each in pairs.ours] == [1, 2, 3, 4, 5]
    assert [each.cpu for each in pairs.ours] == [0.5, 1, 1.5, 2, 2.5]


def test_what_comes_after_a_run_comes_after_one_that_failed_too(machine: Machine) -> None:
    side = machine.side("a")  # has no seconds left
    with pytest.raises(IndexError):
        machine.watch.spent(side)
    assert machine.log[-1] == "after a"


def test_work_that_failed_is_the_reason_whatever_comes_after_it(machine: Machine) -> None:
    def nothing_to_remove() -> None:
        raise BenchError("no VM named second7")

    with pytest.raises(IndexError):
        machine.watch.spent(Side(machine.side("a").work, after=nothing_to_remove))
    with pytest.raises(BenchError, match="no VM named second7"):
        machine.watch.spent(Side(machine.side("a", 1).work, after=nothing_to_remove))


def test_the_ratios_are_those_of_the_pairs_not_of_the_medians() -> None:
    pairs = walls([1, 2, 30, 4, 5], [1, 1, 10, 8, 2])
    assert pairs.ratios() == (1, 2, 3, 0.5, 2.5)


def test_samples_follow_one_that_is_not_counted(machine: Machine) -> None:
    assert [each.wall for each in machine.watch.samples(machine.side("a", 9, 1, 2, 3, 4, 5))] == [1, 2, 3, 4, 5]


@pytest.mark.parametrize(
    "few", [lambda: walls([1] * 4, [1] * 4).ratios(), lambda: measure.several([1] * 4)], ids=["pairs", "samples"]
)
def test_less_than_five_are_refused(few: object) -> None:
    assert callable(few)
    with pytest.raises(BenchError, match="at least 5"):
        few()


def test_sides_of_unequal_length_are_no_pairs() -> None:
    with pytest.raises(BenchError, match="6 samples of one side and 5 of the other"):
        walls([1] * 6, [1] * 5).ratios()


def test_the_remark_has_the_medians_of_both_sides(machine: Machine) -> None:
    pairs = machine.watch.pairs(machine.side("a", 9, 1, 2, 3, 4, 50), machine.side("b", *[0.05] * 6), 5)
    assert (
        pairs.measured("; more").detail == "3.00 s / 50 ms; of processors 1.50 s / 25 ms, 60.00 (20.00–1000.00); more"
    )
    assert walls([1] * 5, [2] * 5).measured().detail == "1.00 s / 2.00 s"


def test_commands_keep_byte_code_and_do_not_see_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    monkeypatch.setenv("INFERNO_IMAGE_COMPRESSION", "lz4")
    monkeypatch.setenv("LOG_LEVEL", "debug")
    show = (
        "import os, sys; print(sys.dont_write_bytecode, sorted(n for n in os.environ if n.startswith(('INF', 'LOG_'))))"
    )
    assert measure.run([sys.executable, "-c", show]) == "False []\n"
    told = measure.run([sys.executable, "-c", show], measure.environment(INFERNO_ROOT="/x"))
    assert told == "False ['INFERNO_ROOT']\n"


def test_a_command_that_fails_is_an_error_with_its_last_line() -> None:
    fail = "import sys; print('one\\ntwo\\nhint: three\\n', file=sys.stderr); sys.exit(3)"
    with pytest.raises(BenchError, match=r"ended with 3: two$"):
        measure.command([sys.executable, "-c", fail]).work()


def test_a_command_that_is_not_there_is_an_error() -> None:
    with pytest.raises(BenchError, match=r"^no-such-program-here is not installed$"):
        measure.run(["no-such-program-here"])
