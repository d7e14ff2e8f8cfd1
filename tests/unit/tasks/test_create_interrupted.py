"""A create that a signal ends, whenever it comes: what it had made is undone, and it says so."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from inferno.base import files
from inferno.state.paths import Paths, file_name
from tests import images

pytestmark = pytest.mark.root
INFERNOCTL = Path(sys.executable).parent / "infernoctl"
# Ctrl-C while Python is in a destructor, in which it swallows what a signal's handler raises.
UNHEARD = """
import os, signal, sys
class Interrupt:
    def __del__(self):
        os.kill(os.getpid(), signal.SIGINT)
        sum(range(9))
todo = [Interrupt]
def hook(event, _):
    if event == "open" and todo and os.path.exists(sys.argv[1]):
        todo.pop()()
sys.addaudithook(hook)
from inferno.cli.main import main
sys.exit(main(sys.argv[2:]))
"""


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("INFERNO_ROOT", str(tmp_path / "root"))
    return tmp_path / "root"


@pytest.fixture
def image(tmp_path: Path) -> str:
    return f"oci:{images.busybox(tmp_path / 'layout')}"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_it_undoes_what_it_made(root: Path, image: str, number: int) -> None:
    # It gets no further than to its base, however late the signal is sent.
    with files.lock(Paths(root).lock(f"rootfs-{file_name(image)}"), "a test"):
        words = [INFERNOCTL, "create", "web1", "--image", image]
        process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert process.stderr is not None
        for line in process.stderr:
            if "rootfs" in line:
                break
        process.send_signal(number)
        process.communicate(timeout=60)
    assert process.returncode == 128 + number
    assert not (root / "vms/web1").exists()
    listed = subprocess.run([INFERNOCTL, "list", "--json"], capture_output=True, check=True)
    assert json.loads(listed.stdout) == []


def test_an_interrupt_that_python_swallows_is_one(root: Path, image: str) -> None:
    words = [sys.executable, "-c", UNHEARD, root / "images/refs", "create", "web1", "--image", image]
    done = subprocess.run(words, env=os.environ, capture_output=True, text=True, check=False)
    assert "Exception ignored" in done.stderr, done.stderr
    assert done.returncode == 128 + signal.SIGINT, done.stderr
    assert not (root / "vms/web1").exists()
