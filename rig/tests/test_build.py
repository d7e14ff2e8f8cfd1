"""What the rig does on this machine to be built: lines while a program runs, and the line that QEMU lacks."""

import os
import threading
from pathlib import Path

import pytest

from rig import cache, emulator
from rig.program import RigError, command, follow
from rig.progress import Progress, detail


class Clock:
    """An Event whose waits are over at once when `armed` is set; after `beats` of them the build goes on."""

    def __init__(self, beats: int, go_on: Path) -> None:
        self.waits: list[float | None] = []
        self.armed = threading.Event()
        self._beats, self._go_on = beats, go_on

    def wait(self, timeout: float | None = None) -> bool:
        self.armed.wait()
        self.waits.append(timeout)
        if len(self.waits) > self._beats:
            self._go_on.write_text("go on\n")
            return True
        return False

    def set(self) -> None: ...


@pytest.fixture
def fifo(tmp_path: Path) -> Path:
    os.mkfifo(tmp_path / "fifo")
    return tmp_path / "fifo"


def test_a_silent_program_is_said_to_run_every_minute(fifo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock(2, fifo)
    with Progress("QEMU", ended=clock):
        detail("[1/9] cc")
        clock.armed.set()
        follow("sh", "-c", f"read x < {fifo}; echo '[2/9] cc'", line=detail)
    said = capsys.readouterr().err.splitlines()
    assert said[:3] == ["rig: making QEMU", *["rig: making QEMU, 0:00: [1/9] cc"] * 2]
    assert said[3].startswith("rig: made QEMU in ")
    assert clock.waits == [60, 60, 60]


def test_a_terminal_is_told_every_ten_seconds(monkeypatch: pytest.MonkeyPatch, fifo: Path) -> None:
    ours, theirs = os.openpty()
    with os.fdopen(ours), os.fdopen(theirs, "w") as terminal:
        monkeypatch.setattr("sys.stderr", terminal)
        clock = Clock(1, fifo)
        with Progress("QEMU", ended=clock):
            clock.armed.set()
            follow("cat", fifo, line=detail)
    assert clock.waits == [10, 10]


def test_a_build_that_fails_says_its_last_lines() -> None:
    with pytest.raises(RigError, match=r"ended with 3:\n61\n62\n(.|\n)*100\n$"):
        follow("sh", "-c", "seq 100; exit 3", line=detail)
    with pytest.raises(RigError, match="no-such-program is not installed"):
        follow("no-such-program", line=detail)


def test_qemu_gets_its_line_where_it_belongs_or_is_refused() -> None:
    there = "case INTR:\n            do_interrupt_x86_hardirq(env, vector, 1);\n            break;\n"
    assert emulator.with_clearing(there).splitlines()[1:3] == [
        "            do_interrupt_x86_hardirq(env, vector, 1);",
        "            cs->exception_index = -1;",
    ]
    for other in ("", there + there):
        with pytest.raises(RigError, match="is another"):
            emulator.with_clearing(other)


@pytest.mark.root
def test_what_a_killed_build_left_mounted_is_unmounted_before_its_folder_goes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """shutil.rmtree would go on into it."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "kept").touch()
    monkeypatch.setattr(cache, "CACHE", tmp_path / "the cache")
    place = tmp_path / "the cache/thing-0123.tmp/a tree"
    place.mkdir(parents=True)
    command("mount", "--bind", elsewhere, place)
    made = cache.cached("thing", "0123", "a thing", lambda making: (making / "new").touch())
    assert {path.name for path in made.iterdir()} == {"new", "lock"}
    assert (elsewhere / "kept").exists()
    assert str(place.parent) not in Path("/proc/self/mounts").read_text().replace("\\040", " ")
