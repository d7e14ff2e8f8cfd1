"""What the rig does on this machine to be built: lines while a program runs, and the line that QEMU lacks."""

import os
import threading
from pathlib import Path

import pytest

from rig import cache, emulator, system
from rig.follow import follow
from rig.program import RigError
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
        follow("sh", "-c", f"read x < {fifo}; echo '[2/9] cc'")
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
            follow("cat", fifo)
    assert clock.waits == [10, 10]


def test_a_build_that_fails_says_its_last_lines() -> None:
    with pytest.raises(RigError, match=r"ended with 3:\n61\n62\n(.|\n)*100\n$"):
        follow("sh", "-c", "seq 100; exit 3")
    with pytest.raises(RigError, match="no-such-program is not installed"):
        follow("no-such-program")


@pytest.mark.parametrize(("_file", "statement", "instead"), emulator.MENDED)
def test_qemu_is_mended_where_it_is_at_fault_or_refused(_file: str, statement: str, instead: str) -> None:
    there = f"case INTR:\n    {statement}\n    break;\n"
    after = emulator.mended(there, statement, instead)
    assert statement in after
    assert after != there
    assert after.startswith("case INTR:\n    ")
    assert after.endswith("\n    break;\n")
    for other in ("", there + there):
        with pytest.raises(RigError, match="is another"):
            emulator.mended(other, statement, instead)


def test_only_what_a_module_does_makes_a_new_recipe(tmp_path: Path) -> None:
    """QEMU takes minutes to build: a comment or an import must not cost that."""

    def of(text: str) -> str:
        module = tmp_path / "module.py"
        module.write_text(text)
        return cache.digest_of_code(module)

    before = of("def run():\n    return build(1)\n")
    assert of('"""What it is for."""\nimport os\n\ndef run():  # why\n    """How."""\n    return build(1)\n') == before
    assert of("def run():\n    return build(2)\n") != before
    assert of("OPTION = 1\n\ndef run():\n    return build(1)\n") != before


@pytest.mark.root
def test_a_build_that_is_killed_leaves_nothing_mounted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """shutil.rmtree of its folder would go on into what is mounted there: this machine's /proc, say."""
    fifo, tree = tmp_path / "fifo", tmp_path / "tree"
    os.mkfifo(fifo)
    programs = tmp_path / "bin"
    programs.mkdir()
    stand_in = programs / "mmdebstrap"  # mounts as mmdebstrap does, then waits to be killed
    stand_in.write_text(f"#!/bin/sh\nmkdir {tree}\nmount -t proc proc {tree} && echo mounted > {fifo}\nkill -9 $$\n")
    stand_in.chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    told: list[str] = []
    reader = threading.Thread(target=lambda: told.append(fifo.read_text()))
    reader.start()
    with pytest.raises(RigError, match="ended with"):
        system.install(tree)
    reader.join()
    assert told == ["mounted\n"]
    assert str(tree) not in Path("/proc/self/mounts").read_text()
    tree.rmdir()
