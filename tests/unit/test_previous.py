"""VMs that the release before started are reached after an update: this host, and kiln and init of that release."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from inferno.life import exit_status
from inferno.logs import collector_client
from inferno.reach import copy, guest, vsock
from inferno.reach.guest import Guest
from inferno.reach.unpack import How
from inferno.wire import start
from inferno.wire.shared import EXIT_REPORT_PORT
from tests import previous
from tests.guestlab import GuestLab
from tests.kilnlab import guest as connected
from tests.kilnlab import launched, record
from tests.loghost import DEADLINE_S, LogHost, Vm

REPORT = {"exit_code": 42, "signal": None, "oom_killed": False, "error": None}
KEY = "00112233445566778899aabbccddeeff"  # by which kiln knows init's report

pytestmark = [pytest.mark.root, pytest.mark.slow]


@pytest.fixture(scope="module")
def built() -> Path:
    return previous.examples()


@pytest.fixture
def lab(built: Path, tmp_path: Path) -> Iterator[GuestLab]:
    made = GuestLab(tmp_path / "root", built / "supervise", "trap 'exit 42' TERM; while :; do sleep 1000 & wait; done")
    yield made
    made.kill()


@pytest.fixture
def before(lab: GuestLab) -> Iterator[Guest]:
    root = os.open(lab.folder, os.O_RDONLY | os.O_DIRECTORY)
    yield Guest("web1", "-", root)
    os.close(root)


def test_its_guest_is_asked_and_entered(lab: GuestLab, before: Guest) -> None:
    assert guest.ping(before, DEADLINE_S) > 0
    assert guest.status(before, DEADLINE_S).state == "running"
    done = lab.exec("sh", "-c", "cat; echo $A >&2; exit 7", given=b"given", env=["A=b"])
    assert (done.returncode, done.stdout, done.stderr) == (7, b"given", b"b\n")
    assert lab.exec("no-such-program").returncode == 127


def test_files_go_to_its_guest_and_come_back(before: Guest, tmp_path: Path) -> None:
    (tmp_path / "here").mkdir()
    (tmp_path / "here/file").write_text("text")
    (tmp_path / "there").mkdir()
    copy.into(before, str(tmp_path / "here"), str(tmp_path / "there"), How())
    copy.out(before, str(tmp_path / "there/here/file"), str(tmp_path / "back"), How())
    assert (tmp_path / "back").read_text() == "text"


def test_its_process_is_stopped(lab: GuestLab, before: Guest) -> None:
    vsock.request(before.root, "POST", "/v1/signal", {"signal": 15}, timeout_s=DEADLINE_S)
    lab.wait_for_end()
    report = json.loads((lab.folder / "report.json").read_text())
    assert (report["exit_code"], report["signal"]) == (42, None)


def report(vm: Vm, body: str) -> None:
    """Report the process's end as init does, and wait for kiln's answer."""
    head = f"POST /exit HTTP/1.1\r\nAuthorization: Bearer {KEY}\r\nContent-Length: {len(body)}\r\n\r\n"
    with connected(vm, EXIT_REPORT_PORT) as kiln:
        kiln.settimeout(DEADLINE_S)
        kiln.sendall((head + body).encode())
        assert kiln.recv(4096).startswith(b"HTTP/1.1 200 ")


def test_its_kiln_brings_lines_and_exit_status_home(host: LogHost, built: Path) -> None:
    busybox = shutil.which("busybox")
    assert busybox is not None
    vm, contract = host.vm("web"), built / "contract"
    assert start.format_for(contract / "kiln.json") is None
    with launched(vm, (built / "timed", Path(busybox)), contract) as kiln:
        with connected(vm) as connection:
            connection.sendall(f'{{"type":"hello","key":"{KEY}"}}\n{{"type":"started","pid":42}}\n'.encode())
            connection.sendall(record("from before"))
            connection.sendall(b'{"type":"end"}\n')
        report(vm, '{"exit_code":42,"signal":null,"oom_killed":false,"error":null}')
        (vm.version.jail / "go").write_text("end\n")
        assert kiln.wait(DEADLINE_S) == 42
    collector_client.sync(host.settings)
    records = [json.loads(line) for line in vm.log.read_text().splitlines()]
    assert [one["message"] for one in records if one["source"] == "stdout"] == ["from before"]
    assert not [one for one in records if "run" in one or one["source"] == "collector"]
    ended = exit_status.record(host.paths, "web", vm.version)
    assert (ended.exit_code, ended.vm_exit_code, ended.run) == (42, 0, None)
