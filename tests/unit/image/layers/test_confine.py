"""What the worker can still do once it has given up what it had, asked of the kernel; and who ends it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from inferno.base import files
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
found["interfaces"] = [name for _, name in socket.if_nameindex()]
found["oom"] = open("/proc/self/oom_score_adj").read().strip()
found["status"] = [l for l in open("/proc/thread-self/status").read().splitlines() if l.startswith(("Cap", "NoNew"))]
try:
    os.setuid(0)
except OSError as error:
    found["root"] = error.strerror
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
    assert found["ids"] == [[UID] * 3, [UID] * 3, []]
    assert found["pid"] == 1
    assert {found[folder] for folder in ("/tmp", "/var/tmp", "/dev/shm")} == {"Read-only file system"}
    assert found["interfaces"] == ["lo"]
    assert found["oom"] == "1000"
    assert {f"{kind}:\t{0:016x}" for kind in ("CapPrm", "CapEff", "CapAmb")} < set(found["status"])
    assert "NoNewPrivs:\t1" in found["status"]
    assert found["root"] == "Operation not permitted"
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
