"""Which Firecracker is still supported, by the table, and who says so."""

from __future__ import annotations

import datetime
from pathlib import Path

import pytest

from inferno.artifact import cache, firecracker, support
from inferno.artifact.firecracker import Vmm
from inferno.base import records

SUMMER = datetime.date(2026, 7, 1)


@pytest.mark.parametrize(
    ("version", "today", "said"),
    [
        ("1.12.1", SUMMER, "1.12.1 has had no support since 2025-12-17"),
        ("1.11.0", SUMMER, "older than any"),
        ("1.16.1", SUMMER, None),
        ("1.16.1", datetime.date(2026, 12, 3), "may have no support since 2026-12-03"),
        ("1.17.0", SUMMER, None),
        ("2.0.0", SUMMER, None),
    ],
)
def test_by_the_table(version: str, today: datetime.date, said: str | None) -> None:
    found = support.lapse(version, today)
    assert (said is None and found is None) or (said is not None and found is not None and said in found.text)


def test_the_calendar_alone_makes_no_release_certain_to_be_without_support() -> None:
    far = datetime.date(2999, 1, 1)
    for (major, minor), end in support.ENDS.items():
        version, before = f"{major}.{minor}.0", end - datetime.timedelta(1)
        found = support.lapse(version, far)
        assert found is not None
        assert found.is_certain == ((major, minor) not in support.OPEN)
        assert (support.lapse(version, before), support.lapse(version, end)) == (None, found)


def test_what_is_pinned_is_in_the_table() -> None:
    for pinned in (firecracker.RELEASE.version, firecracker.WHEEL.version):
        major, minor = pinned.split(".")[:2]
        assert (int(major), int(minor)) in support.ENDS


def test_what_is_fetched_first_has_no_announced_end() -> None:
    """So that a fresh install does not fail its own doctor on a day to come."""
    lapse = support.lapse(firecracker.RELEASE.version, datetime.date(2999, 1, 1))
    assert lapse is None or not lapse.is_certain


def test_a_folders_release_is_looked_up(tmp_path: Path) -> None:
    assert firecracker.lapse(tmp_path) is None
    records.write(tmp_path / "vmm.json", Vmm("1.12.1", "a test", {}))
    found = firecracker.lapse(tmp_path)
    assert found is not None
    assert "1.12.1 has had no support" in found.text
    assert "(from a test)" in found.text


def test_what_is_taken_from_the_cache_is_what_was_hashed(tmp_path: Path) -> None:
    (tmp_path / "source").write_bytes(b"good")
    digest = "770e607624d689265ca6c44884d0807d9b054d23c473c106c72be9de08b7376c"
    cache.store(tmp_path / "cache", tmp_path / "source", digest)
    target = tmp_path / "out" / "program"
    assert cache.take(tmp_path / "cache", digest, target, 0o755)
    kept = tmp_path / "cache" / "sha256" / digest
    kept.write_bytes(b"evil")
    assert not cache.take(tmp_path / "cache", digest, tmp_path / "out" / "other", 0o755)
    assert not kept.exists()
    assert [path.name for path in target.parent.iterdir()] == ["program"]
    assert target.read_bytes() == b"good", "a copy, which the cache's owner does not reach"


def test_what_killed_installs_left_goes_and_what_others_write_stays(tmp_path: Path) -> None:
    (tmp_path / "source").write_bytes(b"new")
    left = tmp_path / ".program.abc.tmp"
    left.write_bytes(b"half")
    handle, busy = cache._new(tmp_path / "program")
    with open(handle, "wb"):
        cache.install(tmp_path / "source", tmp_path / "program", 0o755)
        assert not left.exists()
        assert Path(busy).exists()
