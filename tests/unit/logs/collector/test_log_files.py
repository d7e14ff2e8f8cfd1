"""The files that the collector writes: rotated, on a full disk, meddled with by hand."""

import contextlib
import json
import resource
from collections.abc import Iterator
from pathlib import Path

import pytest

from inferno.logs import collector_client, read, rotation, vm_logs
from inferno.logs.log_record import parse
from tests.loghost import LogHost, eventually, messages, numbered

pytestmark = pytest.mark.root


@pytest.fixture
def small(tmp_path: Path) -> Iterator[LogHost]:
    """A host whose logs are rotated every MiB, three files each."""
    host = LogHost(tmp_path, INFERNO_LOG_MAX_SIZE_MB="1", INFERNO_LOG_MAX_FILES="3")
    yield host
    host.close()


def test_rotation_is_complete_and_bounded(small: LogHost) -> None:
    vm = small.vm("web")
    with vm_logs.follow(small.paths, "web", since=0) as follower, numbered(vm, 60_000):  # 9 MB
        followed = [int(next(follower).data)]
        while followed[-1] < 59_999:  # what the follower is too slow for may be gone, as it is to be
            followed.append(int(next(follower).data))
    assert followed == sorted(set(followed))
    eventually(lambda: all(part.compressed for part in rotation.rotated(vm.log)))
    collector_client.sync(small.settings)
    for log in (vm.log, small.paths.combined_log):
        assert len(rotation.rotated(log)) == 2
        assert log.stat().st_size <= 1 << 20
        kept = [int(parse(text).data) for text in read.forwards(log)]
        assert kept == list(range(60_000 - len(kept), 60_000))
        assert len(kept) > 6000
    assert sum(path.stat().st_size for path in small.paths.logs.iterdir()) < 3 << 20


def test_a_full_disk_is_survived_and_told(host: LogHost) -> None:
    vm = host.vm("web")
    with vm.peer() as peer:
        assert peer.stdin is not None

        def say(*lines: bytes) -> None:
            with collector_reads(host):
                vm.tell(peer, *lines)

        say(vm.line("before"))
        size = vm.log.stat().st_size
        assert host.paths.combined_log.stat().st_size == size
        unlimited = resource.prlimit(host.pid(), resource.RLIMIT_FSIZE, (size + 250, resource.RLIM_INFINITY))
        say(vm.line("fits"), *(vm.line(f"lost {number}") for number in range(100)))
        say(vm.line("lost, too"))
        assert messages(vm.log) == ["before", "fits"]
        resource.prlimit(host.pid(), resource.RLIMIT_FSIZE, unlimited)
        say(vm.line("after"))
        peer.stdin.close()
    for log in (vm.log, host.paths.combined_log):
        records = [json.loads(text) for text in log.read_text().splitlines()]
        assert [record["message"] for record in records if record["source"] == "stdout"] == ["before", "fits", "after"]
        assert [record.get("dropped") for record in records] == [None, None, 101, None]


@contextlib.contextmanager
def collector_reads(host: LogHost) -> Iterator[None]:
    """Returns when the collector has read more than before, and written it."""

    def count() -> object:
        found = collector_client.status(host.paths)
        return found and found.bytes

    before = count()
    yield
    eventually(lambda: count() != before)
    collector_client.sync(host.settings)


def test_files_removed_moved_or_torn_by_hand_are_no_obstacle(host: LogHost) -> None:
    vm = host.vm("web")
    with vm.peer() as peer:
        assert peer.stdin is not None

        def say(message: str) -> None:
            vm.tell(peer, vm.line(message))
            eventually(lambda: vm.log.exists() and messages(vm.log)[-1:] == [message])

        say("one")
        vm.log.unlink()
        say("two")
        assert messages(vm.log) == ["two"]
        vm.log.rename(vm.log.with_name("elsewhere"))
        say("three")
        vm.log.unlink()
        vm.log.write_bytes(vm.line("torn")[:40])
        say("four")
        assert messages(vm.log) == ["four"]
        peer.stdin.close()
