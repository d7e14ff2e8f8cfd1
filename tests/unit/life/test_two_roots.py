"""Two INFERNO_ROOTs on one host have the same slots: neither takes away what a running VM of the other uses."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from inferno.base.errors import InfernoError
from inferno.life.instance import Instance
from inferno.life.start import STEPS, Start
from inferno.net import nft, tap
from inferno.settings import load_settings
from inferno.state import paths
from inferno.state.paths import HostPaths
from inferno.state.slot import Slot
from tests.known import ULID, known_vm
from tests.netlab import Namespace, open_tap

pytestmark = pytest.mark.root
BIN = Path(sys.executable).parent
SLOT = Slot(0)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The other INFERNO_ROOT: its VM `web2` has slot 0, and does not run."""
    folder = tmp_path / "root"
    folder.mkdir()
    return known_vm(folder, "web2")


@pytest.fixture(autouse=True)
def nobody_noted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As when the note was deleted by hand."""
    monkeypatch.setattr(paths, "HOST", HostPaths(tmp_path / "host"))


@pytest.fixture(autouse=True)
def running() -> Iterator[Namespace]:
    """What is there of a running VM `web1` with slot 0: its TAP, in use, and its fence."""
    host = Namespace()
    with host.inside():
        tap.ensure(SLOT, "web1", 800_000, 800_000)
        nft.ensure(SLOT)
        user = open_tap(SLOT.tap)
        yield host
        os.close(user)
    host.close()


def is_whole() -> bool:
    return tap.matches(SLOT, "web1", 800_000, 800_000) and nft.matches(SLOT)


@pytest.mark.parametrize("words", ["stop web2", "stop web2 --kill", "destroy web2 --yes"])
def test_a_vm_that_does_not_run_takes_no_network_from_one_that_does(root: Path, tmp_path: Path, words: str) -> None:
    env = {**os.environ, "INFERNO_ROOT": str(root)}
    subprocess.run([BIN / "infernoctl", *words.split()], env=env, cwd=tmp_path, check=True, capture_output=True)
    assert is_whole()


@pytest.mark.parametrize("name", ["web1", "web2"])
def test_a_start_in_a_slot_that_is_in_use_is_refused_and_undoes_nothing_of_the_others(root: Path, name: str) -> None:
    settings = load_settings({"INFERNO_ROOT": str(root)})
    vm = Instance(settings, name, SLOT, ULID, {"image": "oci:/nowhere"})
    with contextlib.ExitStack() as undo:
        start = Start(vm, vm.paths.version(ULID), {}, undo)
        assert not STEPS[0].done(start)
        with pytest.raises(InfernoError, match="inf0 is in use"):
            STEPS[0].act(start)
    assert is_whole()
