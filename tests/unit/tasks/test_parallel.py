"""`doit -n N`: what is built at the same time, what is refused, and that no signal leaves anything."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from inferno.base import files
from inferno.state.paths import Paths, file_name
from tests import images
from tests.conftest import CHECKOUT
from tests.layout_registry import LayoutRegistry

pytestmark = pytest.mark.root
BIN = Path(sys.executable).parent
NAMES = ("a", "b")
SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Host:
    """An INFERNO_ROOT, and two images in folders."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.root = folder, folder / "root"
        self.layouts = {name: images.busybox(folder / name, images.file("srv/a", name.encode())) for name in NAMES}
        self.refs = [f"oci:{layout}" for layout in self.layouts.values()]

    def start(self, *words: str, program: str = "doit") -> subprocess.Popen[str]:
        env = {**os.environ, "INFERNO_ROOT": str(self.root)}
        pipe = subprocess.PIPE
        cwd = CHECKOUT if program == "doit" else self.folder
        return subprocess.Popen([BIN / program, *words], env=env, cwd=cwd, stdout=pipe, stderr=pipe, text=True)

    def run(self, *words: str, status: int = 0, program: str = "doit") -> subprocess.CompletedProcess[str]:
        process = self.start(*words, program=program)
        out, err = process.communicate(timeout=120)
        assert process.returncode == status, f"{words}: {process.returncode}\n{out}\n{err}"
        assert "Traceback" not in err
        return subprocess.CompletedProcess(words, status, out, err)

    def create(self, *refs: str) -> list[str]:
        """The words that create a VM of each image."""
        return [word for name, ref in zip(NAMES, refs, strict=True) for word in (f"create:{name}", "--image", ref)]

    @contextlib.contextmanager
    def bases_held_up(self) -> Iterator[None]:
        """No base is made meanwhile: its task begins, and waits for its lock."""
        with contextlib.ExitStack() as held:
            for ref in self.refs:
                held.enter_context(files.lock(Paths(self.root).lock(f"rootfs-{file_name(ref)}"), "a test"))
            yield

    def check_that_nothing_is_left(self) -> None:
        assert json.loads(self.run("list", "--json", program="infernoctl").stdout) == []
        with contextlib.closing(sqlite3.connect(self.root / "inferno.db")) as db:
            assert db.execute("select name from machines").fetchall() == []
        assert [path for path in self.root.glob("vms/*") if path.name != "kiln"] == []
        assert [*self.root.glob("vms/kiln/*"), *self.root.glob("versions/*"), *self.root.rglob("*.tmp")] == []
        assert sorted(path.name for path in (self.root / "locks").iterdir() if path.name.startswith("vm-")) == []


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


def read_until_both(process: subprocess.Popen[str], task: str) -> None:
    """Until it has said that both such tasks have begun, and neither has ended: each is held up."""
    assert process.stderr is not None
    begun = 0
    while begun < len(NAMES):
        line = process.stderr.readline()
        assert line, "it ended"
        begun += line.startswith(f".  {task}:")


def test_two_images_are_made_at_the_same_time(host: Host) -> None:
    with host.bases_held_up():
        process = host.start("-n", "2", *(f"rootfs:{ref}" for ref in host.refs))
        read_until_both(process, "rootfs")
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    assert len(set(out.split())) == 2, "each with its digest"
    assert len(list(host.root.glob("images/*/rootfs.erofs"))) == 2


def test_two_images_are_asked_for_and_fetched_at_the_same_time(host: Host) -> None:
    both = {kind: threading.Barrier(2) for kind in ("manifests", "blobs")}
    seen: set[tuple[str, str]] = set()

    def arrived(name: str, path: str) -> None:
        """The first of each kind waits for that of the other image."""
        kind = path.split("/")[3]
        if (name, kind) not in seen:
            seen.add((name, kind))
            both[kind].wait(60)

    with LayoutRegistry(host.layouts, arrived) as registry:
        host.run("-n", "2", *(f"rootfs:docker://{registry.host}/{name}:v1" for name in NAMES))
    assert len(seen) == 4


def test_vms_are_made_at_the_same_time_and_once(host: Host) -> None:
    made = [json.loads(line) for line in host.run("-n", "4", *host.create(*host.refs)).stdout.splitlines()]
    assert [each["name"] for each in made] == list(NAMES), "in the order asked for"
    assert len({each["network"]["guest_ip"] for each in made}) == 2
    said = host.run("-n", "4", "create:a", "create:b").stderr
    assert {line.split()[0] for line in said.splitlines()} == {"--"}, "all of it is on record"
    assert list(host.root.rglob("*.tmp")) == []


def test_one_that_fails_leaves_nothing_of_either(host: Host, tmp_path: Path) -> None:
    said = host.run("-n", "4", *host.create(host.refs[0], f"oci:{tmp_path}/nowhere"), status=2).stderr
    assert said.count("error: ") == 1, said
    assert json.loads(host.run("list", "--json", program="infernoctl").stdout) == []
    assert not (host.root / "vms/b").exists()


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_ends_threads_that_wait_for_another_process(host: Host, number: int) -> None:
    with host.bases_held_up():
        process = host.start("-n", "4", *host.create(*host.refs))
        read_until_both(process, "rootfs")
        process.send_signal(number)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 128 + number, err
    assert err.endswith("stopped; what this run had made is undone\n")
    assert "Traceback" not in err
    assert "error: " not in err
    assert out == ""
    host.check_that_nothing_is_left()
    host.run("-n", "2", *host.create(*host.refs))


@pytest.mark.parametrize("number", SIGNALS)
@pytest.mark.parametrize("kind", ["manifests", "blobs"])
def test_a_signal_ends_threads_that_fetch(host: Host, number: int, kind: str) -> None:
    begun, never = threading.Semaphore(0), threading.Event()

    def arrived(_name: str, path: str) -> None:
        if path.split("/")[3] == kind:
            begun.release()
            never.wait()

    with LayoutRegistry(host.layouts, arrived) as registry:
        process = host.start("-n", "4", *host.create(*(f"docker://{registry.host}/{name}:v1" for name in NAMES)))
        for _ in NAMES:
            assert begun.acquire(timeout=60)
        process.send_signal(number)
        _, err = process.communicate(timeout=60)
        never.set()
    assert process.returncode == 128 + number, err
    assert "error: " not in err
    assert err.endswith("stopped; what this run had made is undone\n")
    host.check_that_nothing_is_left()


def test_after_a_kill_the_next_command_converges(host: Host) -> None:
    with host.bases_held_up():
        process = host.start("-n", "4", *host.create(*host.refs))
        read_until_both(process, "rootfs")
        process.kill()
        process.communicate()
    host.run("-n", "4", *host.create(*host.refs))
    said = host.run("-n", "4", "create:a", "create:b").stderr
    assert {line.split()[0] for line in said.splitlines()} == {"--"}
    assert list(host.root.rglob("*.tmp")) == []
    assert len(list((host.root / "vms/kiln").iterdir())) == 2


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("-n 2 -P process create:a", "error: -P process: tasks run in threads of this process\n"),
        ("-n 2 stop:a", "error: stop:a does not run with -n: only what is built is built in parallel\n"),
        ("-n 2 create:a start:a", "error: start:a does not run with -n: "),
        ("-n -2 create:a", "error: -n -2 is not a number of threads\n"),
    ],
)
def test_what_cannot_be_parallel_is_refused_before_anything_is_changed(host: Host, words: str, says: str) -> None:
    said = host.run(*words.split(), status=2).stderr
    assert said.startswith(says)
    assert said.count("\n") == 2, "one line, and the hint"
    assert not (host.root / "locks").exists()
