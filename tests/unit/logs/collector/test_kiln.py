"""kiln and the real collector: what a guest prints, through restarts of the collector, to the end of both."""

import json
import os
import select
import shutil
import signal
import socket
import threading
from pathlib import Path

import pytest

from inferno.logs import collector_client, vm_logs
from inferno.logs.follow import End
from tests.examples import example
from tests.kilnlab import guest, launched, record
from tests.loghost import DEADLINE_S, LogHost, Vm, eventually

pytestmark = pytest.mark.root


@pytest.fixture
def programs() -> tuple[Path, Path]:
    busybox = shutil.which("busybox")
    if busybox is None:
        pytest.skip("needs busybox-static")
    return example("kiln", "timed"), Path(busybox)


def speaking(connection: socket.socket, count: int) -> threading.Thread:
    """Sends so many lines, numbered, while the test goes on."""
    text = b"".join(record(f"line {number}") for number in range(count))
    speaker = threading.Thread(target=connection.sendall, args=(text,))
    speaker.start()
    return speaker


def said(vm: Vm, source: str) -> list[str]:
    records = map(json.loads, vm.log.read_text().splitlines())
    return [record["message"] for record in records if record["source"] == source]


def test_what_a_guest_prints_arrives_whole_through_restarts_of_the_collector(
    host: LogHost, checkout: Path, programs: tuple[Path, Path]
) -> None:
    vm, count = host.vm("web"), 60_000
    with launched(vm, programs, checkout / "tests/contract") as kiln, guest(vm) as connection:
        speaker = speaking(connection, count)
        for _ in range(4):
            assert collector_client.restart(host.settings)
            collector_client.sync(host.settings)
        speaker.join()
        connection.close()
        process = os.pidfd_open(kiln.pid)
        end = End(process, select.POLLIN, lambda: kiln.poll() is not None)
        with vm_logs.follow(host.paths, "web", since=0, end=end) as follower:
            (vm.version.jail / "go").write_text("end\n")
            followed = [record.text() for record in follower if record.source == "stdout"]
        os.close(process)
        assert kiln.wait(DEADLINE_S) == 125  # without a report of init's
    assert followed == said(vm, "stdout") == [f"line {number}" for number in range(count)]
    assert said(vm, "kernel") == ["up", "over"]
    assert not said(vm, "kiln") + said(vm, "collector")


def test_a_collector_that_is_killed_again_and_again_loses_no_line_and_repeats_none(
    host: LogHost, checkout: Path, programs: tuple[Path, Path]
) -> None:
    vm, count = host.vm("web"), 60_000
    with launched(vm, programs, checkout / "tests/contract") as kiln, guest(vm) as connection:
        speaker = speaking(connection, count)
        for part in range(1, 4):
            eventually(lambda part=part: vm.log.exists() and vm.log.stat().st_size > part * 1_000_000)
            os.kill(host.pid(), signal.SIGKILL)
        speaker.join()
        connection.close()
        eventually(lambda: said(vm, "stdout")[-1:] == [f"line {count - 1}"])
        (vm.version.jail / "go").write_text("end\n")
        assert kiln.wait(DEADLINE_S) == 125
    collector_client.sync(host.settings)
    assert said(vm, "stdout") == [f"line {number}" for number in range(count)]
    assert said(vm, "kernel") == ["up", "over"]
    assert not said(vm, "kiln") + said(vm, "collector")


def test_the_last_words_of_a_kiln_that_ends_before_the_collector_is_up(
    host: LogHost, checkout: Path, programs: tuple[Path, Path]
) -> None:
    vm = host.vm("web")  # the collector's Python is not loaded yet
    with launched(vm, programs, checkout / "tests/contract") as kiln:
        (vm.version.jail / "go").write_text("end\n")
        assert kiln.wait(DEADLINE_S) == 125
    collector_client.sync(host.settings)
    assert said(vm, "kernel") == ["up", "over"]
