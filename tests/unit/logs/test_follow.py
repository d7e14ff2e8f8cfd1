"""What follows a log to a moment, in this process."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from inferno.logs import vm_logs
from inferno.state.paths import Paths
from tests.loghost import line

ULID = "01ARZ3NDEKTSV4RRFFQ69G5FAV"


@pytest.mark.parametrize("busy", [False, True])
def test_following_ends_at_a_moment_whether_lines_come_or_not(tmp_path: Path, busy: bool) -> None:
    paths = Paths(tmp_path)
    log = paths.log("web")
    log.parent.mkdir(parents=True)
    log.write_bytes(line(ULID, "one") + line(ULID, "two"))
    heard = 0
    with open(log, "ab", buffering=0) as file, vm_logs.follow(paths, "web", 0, until=time.time() + 0.2) as follower:
        for heard, _ in enumerate(follower, 1):  # noqa: B007
            if busy:
                file.write(line(ULID, "more"))
    assert heard >= 2


def test_without_a_log_it_ends_at_its_moment_too(tmp_path: Path) -> None:
    with vm_logs.follow(Paths(tmp_path), "web", 0, until=time.time() + 0.01) as follower:
        assert list(follower) == []
