"""What the worker can still do once it has given up what it had, asked of the kernel; and who ends it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import inferno
from inferno.base import files, processes
from inferno.image import worker_process
from inferno.image.worker_cell import MOUNTS, cell
from inferno.image.worker_limits import guarded

pytestmark = pytest.mark.root
UID = 61234
PROBE = f"""
import json, os, resource, socket, sys
from inferno.image.layers import confine
confine.confine({UID}, 5)
found = dict(ids=[os.getresuid(), os.getresgid(), os.getgroups()], pid=os.getpid())
for folder in ("/tmp", "/var/tmp", "/dev/shm"):
    try:
        os.close(os.open(folder + "/escaped", os.O_CREAT | os.O_WRONLY))
        found[folder] = "written"
    except OSError as error:
        found[folder] = error.strerror
os.write(int(sys.argv[1]), b"written by number")
os.close(os.open(f"/proc/self/fd/{{sys.argv[1]}}", os.O_RDWR))
try:
    os.mkdir("/x")
except OSError as error:
    found["here"] = error.strerror
found["root"], found["dev"] = os.listdir("/"), os.listdir("/dev")
found["etc"] = os.listdir("/etc") if os.path.exists("/etc") else []
found["processes"] = [name for name in os.listdir("/proc") if name.isdigit()]
found["interfaces"] = [name for _, name in socket.if_nameindex()]
found["oom"] = open("/proc/self/oom_score_adj").read().strip()
found["status"] = [l for l in open("/proc/thread-self/status").read().splitlines() if l.startswith(("Cap", "NoNew"))]
try:
    os.setuid(0)
except OSError as error:
    found["setuid"] = error.strerror
print(json.dumps(found))
"""


def test_a_confined_worker_writes_its_open_files_and_nothing_else(tmp_path: Path) -> None:
    with files.nameless(tmp_path) as given:
        os.fchown(given, UID, UID)
        argv = [sys.executable, "-c", PROBE, str(given)]
        done = subprocess.run(argv, pass_fds=[given], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        found = json.loads(done.stdout)
        assert os.pread(given, 100, 0) == b"written by number"
    here = [str(Path(inferno.__file__).resolve()).split("/")[1]]
    assert found["ids"] == [[UID] * 3, [UID] * 3, []]
    assert found["pid"] == 1
    nothing = "No such file or directory"
    assert {found["/var/tmp"], found["/dev/shm"]} == {nothing}
    assert found["/tmp"] in (nothing, "Read-only file system"), "the latter where a checkout lies in there"
    assert found["here"] == "Read-only file system"
    assert set(found["root"]) <= {"dev", "etc", "lib", "lib64", "proc", "usr", *sys.base_prefix.split("/")[1:2], *here}
    assert found["etc"] in ([], ["ld.so.cache"])
    assert found["dev"] == ["null"]
    assert found["processes"] == ["1"], "of the host it sees none"
    assert found["interfaces"] == ["lo"]
    assert found["oom"] == "1000"
    assert {f"{kind}:\t{0:016x}" for kind in ("CapPrm", "CapEff", "CapAmb")} < set(found["status"])
    assert "NoNewPrivs:\t1" in found["status"]
    assert found["setuid"] == "Operation not permitted"
    (tmp_path / "host").write_text("writes as before")


@pytest.mark.parametrize(
    ("script", "timeout_s", "says"),
    [
        ("dd if=/dev/zero of=/proc/self/fd/{file} bs=64k count=400; exec sleep 60", 60, "takes more than 8 MiB"),
        ("exec sleep 60", 0.3, "too long"),
    ],
)
def test_one_that_takes_too_much_is_ended(script: str, timeout_s: float, says: str, tmp_path: Path) -> None:
    with files.nameless(tmp_path) as given:
        argv = ["sh", "-c", script.format(file=given)]
        with (
            subprocess.Popen(argv, pass_fds=[given], stderr=subprocess.DEVNULL) as worker,
            guarded(worker, [given], timeout_s, 8 << 20) as guard,
        ):
            assert worker.wait(30) == -signal.SIGKILL
    assert guard.reason is not None and says in guard.reason


def test_one_that_ends_by_itself_is_left_alone(tmp_path: Path) -> None:
    with files.nameless(tmp_path) as given, subprocess.Popen(["true"]) as worker:
        with guarded(worker, [given], 60, 1) as guard:
            worker.wait()
        assert (guard.reason, worker.returncode) == (None, 0)


# A worker that was taken over: its first process clears the signal of its parent's end, starts others that do too, ends
# none of them, and holds on to its output for ever.
TAKEN_OVER = f"""
import ctypes, os, signal, sys, time
from inferno.image.layers import confine
sys.stdin.read()
confine.confine({UID}, 60)
prctl = ctypes.CDLL(None).prctl
for _ in range(3):
    prctl(1, 0, 0, 0, 0)
    if os.fork() == 0:
        os.setsid()
        prctl(1, 0, 0, 0, 0)
os.write(1, b"up\\n")
signal.pause()
"""


@pytest.mark.parametrize("mounts", [MOUNTS, ()], ids=["in a cgroup", "without one"])
def test_one_that_was_taken_over_ends_with_all_that_it_started(mounts: tuple[Path, ...]) -> None:
    argv = [sys.executable, "-c", TAKEN_OVER]
    with processes.spawn(argv, stdin=processes.PIPE, stdout=processes.PIPE) as worker:
        assert worker.stdin and worker.stdout
        with cell(worker, mounts) as held:
            if mounts:
                assert held.leaf is not None, "this host has cgroup v2 nowhere"
            worker.stdin.close()
            assert worker.stdout.read(6) == b"up\nup\n"
        assert worker.stdout.read().replace(b"up\n", b"") == b"", "all who held the pipe are gone"
        assert worker.wait(30) == -signal.SIGKILL
    assert held.leaf is None or not held.leaf.exists()


def test_what_a_killed_command_left_is_ended_by_the_next() -> None:
    """A cgroup of a command that is gone, with a process in it."""
    mount = next(path for path in MOUNTS if (path / "cgroup.procs").exists())
    with subprocess.Popen(["true"]) as gone:
        pass
    left = mount / f"inferno-image-{gone.pid}-1"
    left.mkdir()
    with subprocess.Popen(["sleep", "1000"]) as orphan:
        (left / "cgroup.procs").write_text(str(orphan.pid))
        with subprocess.Popen(["true"]) as worker, cell(worker):
            pass
        assert orphan.wait(30) == -signal.SIGKILL
    assert not left.exists()


def test_a_reader_ends_in_its_time_whoever_holds_the_pipe() -> None:
    reader, writer = os.pipe()
    os.write(writer, b"one\ntwo\nhalf")
    try:
        assert list(worker_process.lines(reader, time.monotonic() + 0.3)) == [b"one", b"two"]
    finally:
        os.close(reader)
        os.close(writer)
