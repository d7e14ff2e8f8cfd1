"""One INFERNO_ROOT at a time has the network: the first that starts a VM, until nothing of it is left there."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from inferno.base.errors import UsageError
from inferno.cli.main import main
from inferno.life import admission, network_owner
from inferno.life.instance import Instance
from inferno.life.reconcile import network_removals
from inferno.net import nft, tap
from inferno.sandbox import cgroup
from inferno.settings import Settings, load_settings
from inferno.state import paths
from inferno.state.paths import HostPaths, Paths
from inferno.state.slot import Slot
from tests.at_once import at_once
from tests.known import ULID, known_vm
from tests.netlab import Namespace

SPAWN = multiprocessing.get_context("spawn")
SIZE = cgroup.Limits(1, 64)
OTHER_ULID = "01JD8ZK3V5N9Q2R7T4W6X8Y0ZZ"


@pytest.fixture(autouse=True)
def shared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the roots of this test share, and cgroup v2 as files: of which VMs run."""
    share(tmp_path, monkeypatch.setattr)


def share(tmp_path: Path, put: object = setattr) -> None:
    assert callable(put)
    put(paths, "HOST", HostPaths(tmp_path / "host"))
    put(cgroup, "_MOUNT", tmp_path / "cgroup")


def root(tmp_path: Path, name: str) -> Settings:
    (tmp_path / name).mkdir(exist_ok=True)
    known = {"INFERNO_ROOT": str(tmp_path / name), "INFERNO_DISK_RESERVE": "0", "INFERNO_OVERCOMMIT": "allow"}
    return load_settings(known, tmp_path / "absent")


@pytest.fixture
def first(tmp_path: Path) -> Settings:
    return root(tmp_path, "first")


@pytest.fixture
def second(tmp_path: Path) -> Settings:
    return root(tmp_path, "second")


def runs(settings: Settings, tmp_path: Path, ulid: str = ULID, populated: int = 1) -> None:
    leaf = tmp_path / "cgroup" / cgroup.SLICE / ulid
    leaf.mkdir(parents=True, exist_ok=True)
    (leaf / "cgroup.events").write_text(f"populated {populated}\nfrozen 0\n")
    Paths(settings.root).version(ulid).dir.mkdir(parents=True, exist_ok=True)


def started(settings: Settings) -> None:
    """A start that has come to its end."""
    admission.admit(settings, "web", ULID, SIZE)()


def noted() -> str:
    return paths.HOST.network_root.read_text()


def refusal(settings: Settings) -> UsageError:
    before = paths.noted_root()
    with pytest.raises(UsageError) as refused:
        admission.admit(settings, "web", OTHER_ULID, SIZE)
    assert paths.noted_root() == before
    return refused.value


def test_the_first_start_notes_its_root_for_root_alone(first: Settings) -> None:
    started(first)
    assert noted() == f"{first.root}\n"
    assert paths.HOST.network_root.stat().st_mode & 0o777 == 0o600
    assert paths.HOST.dir.stat().st_mode & 0o777 == 0o700
    started(first)
    assert sorted(path.name for path in paths.HOST.dir.iterdir()) == ["root", "starts"]


def test_a_second_root_is_refused_by_the_name_of_the_first_while_a_vm_runs(
    first: Settings, second: Settings, tmp_path: Path
) -> None:
    started(first)
    runs(first, tmp_path)
    error = refusal(second)
    assert error.text.startswith(f"the INFERNO_ROOT {first.root} has this host's network of VMs: version {ULID} runs")
    assert error.hint and f"/sys/fs/cgroup/{cgroup.parent(ULID)}/cgroup.kill" in error.hint
    with pytest.raises(UsageError, match=str(first.root)):
        network_owner.check(second)
    started(first)
    runs(first, tmp_path, populated=0)
    started(second)
    assert noted() == f"{second.root}\n"


@pytest.mark.parametrize("word", [None, "gone", "a file", "", "relative"])
def test_a_vm_of_another_root_counts_whatever_the_note_says(
    first: Settings, second: Settings, tmp_path: Path, word: str | None
) -> None:
    if word is not None:
        paths.HOST.dir.mkdir(parents=True)
        (tmp_path / "a file").touch()
        paths.HOST.network_root.write_text(word if word in ("", "relative") else f"{tmp_path / word}\n")
    runs(first, tmp_path)
    assert " has this host's network of VMs: version " in refusal(second).text
    started(first)
    assert noted() == f"{first.root}\n"


def test_links_bind_mounts_and_a_moved_folder_are_the_same_root(first: Settings, tmp_path: Path) -> None:
    started(first)
    runs(first, tmp_path)
    (tmp_path / "link").symlink_to(first.root)
    started(root(tmp_path, "link"))
    assert noted() == f"{first.root}\n"
    first.root.rename(tmp_path / "moved")
    started(root(tmp_path, "moved"))
    assert noted() == f"{tmp_path / 'moved'}\n"


def test_a_copy_of_a_root_is_another_root(first: Settings, tmp_path: Path) -> None:
    started(first)
    runs(first, tmp_path)
    shutil.copytree(first.root, tmp_path / "copy")
    assert refusal(root(tmp_path, "copy")).text.startswith(f"the INFERNO_ROOT {first.root} has ")


@pytest.mark.root
def test_a_bind_mount_is_the_same_root(first: Settings, tmp_path: Path) -> None:
    started(first)
    runs(first, tmp_path)
    bound = root(tmp_path, "bound")
    subprocess.run(["mount", "--bind", first.root, bound.root], check=True)
    try:
        started(bound)
    finally:
        subprocess.run(["umount", bound.root], check=True)
    assert noted() == f"{first.root}\n"


def test_a_path_with_odd_bytes_is_noted_and_known_again(second: Settings, tmp_path: Path) -> None:
    odd = root(tmp_path, os.fsdecode(b"a\nb\xff"))
    started(odd)
    runs(odd, tmp_path)
    started(odd)
    assert refusal(second).text.startswith(f"the INFERNO_ROOT {odd.root} has")


def about_to_start(folder: Path, name: str) -> Callable[[], str]:
    """A start of a VM in the root `name`; its answer is the refusal, if it is refused."""
    share(folder)
    settings = root(folder, name)

    def start() -> str:
        try:
            admission.admit(settings, "web", ULID, SIZE)
        except UsageError as refused:
            return refused.text
        return ""

    return start


def test_of_starts_of_many_roots_at_one_instant_those_of_one_root_win(tmp_path: Path) -> None:
    names = ["first", "second", "third"] * 2
    refusals = at_once(about_to_start, [(tmp_path, name) for name in names])
    winner = Path(noted().strip())
    refused = f"the INFERNO_ROOT {winner} has this host's network of VMs: it starts or stops a VM just now"
    assert refusals == ["" if name == winner.name else refused for name in names]
    started(root(tmp_path, "fourth"))


def hold(folder: Path, told: Connection) -> None:
    share(folder)
    network_owner.take(root(folder, "first"))
    told.send("taken")
    signal.pause()


def test_what_a_killed_command_held_is_free_again(second: Settings, tmp_path: Path) -> None:
    here, there = SPAWN.Pipe()
    holder = SPAWN.Process(target=hold, args=(tmp_path, there))
    holder.start()
    assert here.recv() == "taken"
    assert "it starts or stops a VM just now" in refusal(second).text
    assert holder.pid is not None
    os.kill(holder.pid, signal.SIGKILL)
    holder.join()
    started(second)


def test_a_removal_under_way_keeps_the_network(first: Settings, second: Settings) -> None:
    started(first)
    with network_owner.at_work(first) as ours:
        assert ours
        with network_owner.at_work(first) as ours_too:  # of another VM
            assert ours_too
        assert "it starts or stops a VM just now" in refusal(second).text
    started(second)
    with network_owner.at_work(first) as ours:
        assert not ours


def test_what_is_left_of_a_killed_writer_of_the_note_is_removed(first: Settings) -> None:
    paths.HOST.dir.mkdir(parents=True)
    (paths.HOST.dir / ".root.x.tmp").touch()
    started(first)
    assert sorted(path.name for path in paths.HOST.dir.iterdir()) == ["root", "starts"]


def test_list_and_status_say_who_has_the_network(
    first: Settings,
    second: Settings,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    known_vm(second.root)
    monkeypatch.setenv("INFERNO_ROOT", str(second.root))
    monkeypatch.setattr(sys, "__stderr__", sys.stderr)
    line = f"no VM of {second.root} can start: the INFERNO_ROOT {first.root} has this host's network of VMs: "
    for words in (["list"], ["status", "web1"]):
        assert (main(words), capsys.readouterr().err) == (0, "")
    started(first)
    for words in (["list"], ["status", "web1"]):
        assert (main(words), capsys.readouterr().err) == (0, "")
    runs(first, tmp_path)
    for words in (["list"], ["status", "web1"]):
        assert main(words) == 0
        assert capsys.readouterr().err.startswith(line)


@pytest.fixture
def network() -> Iterator[None]:
    """A network namespace for this test."""
    host = Namespace()
    with host.inside():
        yield
    host.close()


@pytest.mark.root
def test_a_tap_that_is_left_keeps_the_network_until_its_root_is_gone(
    first: Settings, second: Settings, network: None
) -> None:
    started(first)
    tap.ensure(Slot(0), "web1", 800_000, 800_000)
    error = refusal(second)
    assert error.text == f"the INFERNO_ROOT {first.root} has this host's network of VMs: the TAP of web1 is left"
    assert error.hint == f"start VMs there, or free it: INFERNO_ROOT={first.root} infernoctl stop web1"
    first.root.rmdir()
    started(second)


@pytest.mark.root
def test_a_vm_of_a_root_that_has_no_network_takes_none_away(first: Settings, second: Settings, network: None) -> None:
    """Not even in the moment in which the first's TAP is there, and nobody has it open yet."""
    started(first)
    tap.ensure(Slot(0), "web1", 800_000, 800_000)
    nft.ensure(Slot(0))
    for removal in network_removals(Instance(second, "web2", Slot(0), ULID)):
        removal()
    assert tap.matches(Slot(0), "web1", 800_000, 800_000)
    assert nft.matches(Slot(0))
    for removal in network_removals(Instance(first, "web1", Slot(0), ULID)):
        removal()
    with contextlib.suppress(FileNotFoundError):
        assert not nft.matches(Slot(0))
    assert tap.names() == []
