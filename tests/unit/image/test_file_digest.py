"""A user's file that was replaced is noticed, whatever its times say; and one that was not is not read again."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from inferno.image import file_digest, local_images
from inferno.settings import load_settings
from tests import images
from tests.unit.image.test_source import oci_archive

OLD_NS = 1_000_000_000_000_000_000


@pytest.fixture
def at_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever was written before a look was written long before it."""
    monkeypatch.setattr(file_digest, "_SETTLED_NS", -(10**18))


def in_place(path: Path, data: bytes) -> None:
    path.write_bytes(data)


def renamed(path: Path, data: bytes) -> None:
    path.with_name("other").write_bytes(data)
    os.utime(path.with_name("other"), ns=(OLD_NS, OLD_NS))
    path.with_name("other").replace(path)


def made_anew(path: Path, data: bytes) -> None:
    """Often with the same inode."""
    path.unlink()
    path.write_bytes(data)


@pytest.mark.usefixtures("at_rest")
@pytest.mark.parametrize("change", [in_place, renamed, made_anew])
def test_a_file_of_the_same_size_and_time_is_another(change: Callable[[Path, bytes], None], tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"one")
    os.utime(path, ns=(OLD_NS, OLD_NS))
    first = file_digest.of(path, tmp_path / "cache")
    assert file_digest.of(path, tmp_path / "cache") == first
    change(path, b"two")
    os.utime(path, ns=(OLD_NS, OLD_NS))
    second = file_digest.of(path, tmp_path / "cache")
    assert second != first
    change(path, b"one")
    os.utime(path, ns=(OLD_NS, OLD_NS))
    assert file_digest.of(path, tmp_path / "cache") == first


@pytest.mark.usefixtures("at_rest")
def test_a_file_is_read_once(tmp_path: Path) -> None:
    """Shown by a note that lies: what is in it is taken while the file is as it was, and not after a touch."""
    path, cache = tmp_path / "file", tmp_path / "cache"
    path.write_bytes(b"one")
    digest = file_digest.of(path, cache)
    [note] = cache.iterdir()
    note.write_text(note.read_text().replace(digest, "sha256:lie"))
    assert file_digest.of(path, cache) == "sha256:lie"
    path.touch()
    assert file_digest.of(path, cache) == digest
    note.write_text("{")
    assert file_digest.of(path, cache) == digest


@pytest.mark.parametrize(
    ("changed_ns", "looked_ns", "tells"),
    [
        (10**18 + 1_234_567, 10**18 + 5 * 10**9, True),
        (10**18 + 1_234_567, 10**18 + 10**8, False),  # it may be written again within the tick
        (10**18 + 1_234_567, 10**18 - 10**9, False),  # the clock was set back
        (10**18, 10**18 + 5 * 10**9, False),  # FAT
        (10**18 + 20_000_000, 10**18 + 5 * 10**9, False),  # exFAT
    ],
)
def test_which_times_of_change_are_believed(changed_ns: int, looked_ns: int, tells: bool) -> None:
    assert file_digest._is_telling(changed_ns, looked_ns) is tells


def test_a_file_that_was_just_written_is_not_noted(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"one")
    assert file_digest.of(path, tmp_path / "cache") == file_digest.of(path, tmp_path / "cache")
    assert not (tmp_path / "cache").exists()


@pytest.mark.usefixtures("at_rest")
@pytest.mark.parametrize("change", [in_place, renamed, made_anew])
def test_an_archive_that_was_replaced_is_another_image(change: Callable[[Path, bytes], None], tmp_path: Path) -> None:
    settings = load_settings({"INFERNO_ROOT": str(tmp_path / "root"), "HOME": str(tmp_path)}, tmp_path / "none")
    texts = {}
    for word in ("/one", "/two"):
        layout = images.build(tmp_path / f"layout{word}", [[images.file("a")]], Cmd=[word])
        texts[word] = oci_archive(layout, tmp_path / "made").read_bytes()
    assert len(texts["/one"]) == len(texts["/two"])
    path = tmp_path / "image.tar"
    path.write_bytes(texts["/one"])
    os.utime(path, ns=(OLD_NS, OLD_NS))
    ref = f"oci-archive:{path}"
    first = local_images.ensure(ref, settings)
    assert local_images.unchanged(ref, settings)
    assert local_images.unchanged(ref, settings, policy=local_images.NEVER)
    change(path, texts["/two"])
    os.utime(path, ns=(OLD_NS, OLD_NS))
    for policy in local_images.POLICIES:
        assert not local_images.unchanged(ref, settings, policy=policy)
    assert local_images.ensure(ref, settings).digest != first.digest
    os.utime(path)
    assert local_images.unchanged(ref, settings), "only its times are others"
    path.unlink()
    assert local_images.unchanged(ref, settings), "what is here stays good"


def test_a_layout_with_the_same_blobs_and_another_index_is_another_image(tmp_path: Path) -> None:
    settings = load_settings({"INFERNO_ROOT": str(tmp_path / "root"), "HOME": str(tmp_path)}, tmp_path / "none")
    folder, texts = tmp_path / "layout", []
    for word in ("/one", "/two"):
        images.build(folder, [[images.file("a")]], Cmd=[word])
        texts.append((folder / "index.json").read_bytes())
    ref, path = f"oci:{folder}", folder / "index.json"
    os.utime(path, ns=(OLD_NS, OLD_NS))
    first = local_images.ensure(ref, settings).digest
    path.write_bytes(texts[0])
    os.utime(path, ns=(OLD_NS, OLD_NS))
    assert not local_images.unchanged(ref, settings)
    assert local_images.ensure(ref, settings).digest != first
