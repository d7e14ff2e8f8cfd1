"""Jails are links to trusted files, laid out whole, and known to be used by what the jailer does to them."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from inferno.base.errors import InfernoError
from inferno.sandbox import cgroup, jail
from inferno.state.paths import Paths, VersionDir

ULID = "01JD8ZK3V5N9Q2R7T4W6X8Y0AB"
UID = 812_345

pytestmark = pytest.mark.root


@pytest.fixture
def version(tmp_path: Path) -> VersionDir:
    made = Paths(tmp_path).version(ULID)
    made.dir.mkdir(parents=True)
    for name, mode in {**jail.SHARED, **jail.OWN, "kiln": 0o555}.items():
        made.file(name).write_text(name)
        made.file(name).chmod(mode)
    made.scratch.write_bytes(b"")
    os.chown(made.scratch, UID, UID)
    made.scratch.chmod(0o600)
    return made


def test_a_jail_is_links_and_nothing_of_it_is_the_vms_but_the_scratch(version: VersionDir) -> None:
    jail.lay_out(version, "kiln", UID)
    assert sorted(os.listdir(version.jail)) == sorted([*jail.SHARED, *jail.OWN, "scratch.img"])
    for name in os.listdir(version.jail):
        info = os.stat(version.jail / name)
        assert info.st_ino == os.stat(version.dir / name).st_ino
        assert info.st_uid == (UID if name == "scratch.img" else 0)
    assert stat.S_IMODE(os.stat(version.jail).st_mode) == 0o700
    assert not (version.dir.parent.parent / "firecracker-kiln").exists()


def test_the_exec_file_is_never_in_the_jail(version: VersionDir) -> None:
    jail.lay_out(version, "kiln", UID)
    assert not (version.jail / "kiln").exists()


def test_an_old_jailer_finds_its_way_by_a_link(version: VersionDir) -> None:
    for _ in range(2):
        jail.lay_out(version, "firecracker-kiln", UID)
        link = version.dir.parent.parent / "firecracker-kiln"
        assert os.readlink(link) == "kiln"
        assert os.path.samefile(link / ULID / "root", version.jail)


def test_fresh_until_it_was_used(version: VersionDir) -> None:
    assert not jail.is_fresh(version, UID)
    jail.lay_out(version, "kiln", UID)
    assert jail.is_fresh(version, UID)
    os.chown(version.jail, UID, UID)  # the jailer's first act in it
    assert not jail.is_fresh(version, UID)
    jail.lay_out(version, "kiln", UID)
    assert jail.is_fresh(version, UID)


@pytest.mark.parametrize("is_read", [True, False])
def test_what_a_start_says_is_roots_and_goes_with_the_jail(version: VersionDir, is_read: bool) -> None:
    version.start.write_text("of a start that was killed")
    jail.lay_out(version, "kiln", UID)
    assert not version.start.exists()
    jail.hand_over(version, b"{}\n", UID, is_read=is_read)
    info = os.stat(version.start)
    assert (info.st_uid, stat.S_IMODE(info.st_mode), version.start.read_bytes()) == (0, 0o440, b"{}\n")
    assert info.st_gid == UID
    assert (version.jail / "start.json").exists() == is_read
    assert jail.is_fresh(version, UID) != is_read, "it is for one launch"
    jail.remove(version)
    assert not version.start.exists()


@pytest.mark.parametrize("damage", ["more", "less", "other", "remade", "mode"])
def test_what_differs_is_not_fresh(version: VersionDir, damage: str) -> None:
    jail.lay_out(version, "kiln", UID)
    if damage == "more":
        (version.jail / "kiln.pid").write_text("1")
    elif damage == "less":
        (version.jail / "vmlinux").unlink()
    elif damage == "other":
        (version.jail / "vmlinux").unlink()
        (version.jail / "vmlinux").symlink_to(version.file("vmlinux"))
    elif damage == "remade":
        version.scratch.unlink()
        version.scratch.write_bytes(b"")
    else:
        version.jail.chmod(0o755)
    assert not jail.is_fresh(version, UID)


def test_a_jail_that_ran_is_replaced_whatever_is_in_it(version: VersionDir, tmp_path: Path) -> None:
    jail.lay_out(version, "kiln", UID)
    (tmp_path / "secret").write_text("secret")
    (version.jail / "vmlinux").unlink()
    (version.jail / "vmlinux").symlink_to(tmp_path / "secret")
    (version.jail / "dev/net").mkdir(parents=True)
    (version.jail / "old_root").symlink_to("/")
    os.chown(version.jail, UID, UID)
    jail.lay_out(version, "kiln", UID)
    assert jail.is_fresh(version, UID)
    assert (tmp_path / "secret").read_text() == "secret"
    assert version.file("vmlinux").read_text() == "vmlinux"


@pytest.mark.parametrize(
    ("damage", "said"),
    [("missing", "is missing"), ("theirs", "not what create made"), ("writable", "not what create made")],
)
def test_a_broken_version_gets_no_jail(version: VersionDir, damage: str, said: str) -> None:
    file = version.file("vmlinux")
    if damage == "missing":
        file.unlink()
    elif damage == "theirs":
        os.chown(file, UID, UID)
    else:
        file.chmod(0o664)
    with pytest.raises(InfernoError, match=said):
        jail.lay_out(version, "kiln", UID)
    assert not version.jail.exists()


def test_removing_is_idempotent(version: VersionDir) -> None:
    jail.lay_out(version, "kiln", UID)
    jail.remove(version)
    jail.remove(version)
    assert not version.jail.exists()
    assert version.scratch.exists()


def test_the_jail_of_a_vm_that_runs_stays(version: VersionDir, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    jail.lay_out(version, "kiln", UID)
    leaf = tmp_path / "cgroup" / cgroup.SLICE / ULID
    leaf.mkdir(parents=True)
    (leaf / "cgroup.events").write_text("populated 1\nfrozen 0\n")
    monkeypatch.setattr(cgroup, "_MOUNT", tmp_path / "cgroup")
    for attempt in (lambda: jail.remove(version), lambda: jail.lay_out(version, "kiln", UID)):
        with pytest.raises(InfernoError, match="runs"):
            attempt()
    assert jail.is_fresh(version, UID)
