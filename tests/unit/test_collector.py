"""The collector: a real process on a real socket, and peers that run as a VM's uid in its jail."""

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from inferno import collector
from inferno.jail import LOG_SOCKET
from tests.loghost import LogHost, ended

pytestmark = pytest.mark.root


@pytest.fixture
def host(tmp_path: Path) -> Iterator[LogHost]:
    host = LogHost(tmp_path)
    yield host
    host.close()


def messages(log: Path) -> list[str]:
    return [json.loads(text)["message"] for text in log.read_text().splitlines()]


def test_lines_reach_the_vms_log_and_the_combined_one(host: LogHost) -> None:
    web, db = host.vm("web"), host.vm("db")
    web.say(web.line("one"), web.line("two"))
    db.say(db.line("three"))
    assert messages(web.log) == ["one", "two"]
    assert messages(db.log) == ["three"]
    assert messages(host.paths.combined_log) == ["one", "two", "three"]
    record = json.loads(db.log.read_text())
    assert (record["vm_name"], record["vm_id"]) == ("db", db.ulid)
    assert {path.stat().st_mode & 0o777 for path in host.paths.logs.iterdir()} == {0o640}


def test_it_ends_when_nobody_can_reach_it_and_leaves_no_socket(host: LogHost) -> None:
    vm = host.vm("web")
    pid = host.pid()
    vm.say(vm.line("hello"))
    assert host.pid() == pid
    vm.unlink()
    ended(pid)
    assert not host.paths.collector_socket.exists()
    assert collector.status(host.paths) is None
    collector.sync(host.settings)
    assert not collector.end(host.paths)


def test_killed_it_is_replaced_and_running_vms_are_told(host: LogHost) -> None:
    vm = host.vm("web")
    pid = host.pid()
    os.kill(pid, signal.SIGKILL)
    ended(pid)
    before = (vm.version.jail / LOG_SOCKET).stat().st_ino
    collector.ensure_running(host.settings)
    assert host.pid() != pid
    collector.release(host.paths)
    assert (vm.version.jail / LOG_SOCKET).stat().st_ino != before
    vm.say(vm.line("again"))
    assert messages(vm.log) == ["again"]
