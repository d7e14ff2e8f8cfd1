"""What a command does before it changes anything: INFERNO_ROOT is closed to others, and others' places are refused."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from inferno.base.errors import InfernoError, UsageError
from inferno.settings import Settings, load_settings
from inferno.state import guard

EVE = 4711


def settings(root: Path, env: str = "", **variables: str) -> Settings:
    file = root.parent / "env"
    file.write_text(env)
    return load_settings({"INFERNO_ROOT": str(root), "INFERNO_SHARE_DIR": str(root.parent), **variables}, file)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    tmp_path.chmod(0o755)
    return tmp_path / "root"


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_new_root_is_its_owners_alone(root: Path) -> None:
    guard.prepare(settings(root))
    assert mode(root) == 0o700


def test_a_root_that_was_open_is_closed(root: Path) -> None:
    for name in ("vms", "images", "inferno.db", "inferno.db-wal", ".inferno.db.x.tmp"):
        (root / name).mkdir(parents=True)
    root.chmod(0o755)
    with pytest.raises(InfernoError, match="mode 0755"):
        guard.check_closed(settings(root))
    guard.prepare(settings(root))
    assert mode(root) == 0o700
    guard.check_closed(settings(root))


def test_a_folder_that_others_use_too_is_left_as_it_is(root: Path) -> None:
    (root / "vms").mkdir(parents=True)
    (root / "www").mkdir()
    root.chmod(0o755)
    guard.prepare(settings(root))
    assert mode(root) == 0o755


def test_whom_to_trust_is_read_from_the_file_alone(root: Path) -> None:
    assert guard.uids(settings(root, f"INFERNO_TRUST_UID={EVE}\n")) == {0, EVE}
    with pytest.raises(UsageError, match="INFERNO_TRUST_UID is read from"):
        settings(root, INFERNO_TRUST_UID=str(EVE))


@pytest.mark.root
@pytest.mark.parametrize("place", ["root", "root/vms/kiln", "share", "share/jailer", "share/tools/mkfs.erofs", "db"])
def test_what_somebody_else_could_exchange_is_refused_before_anything_is_made(root: Path, place: str) -> None:
    for name in ("share/jailer", "share/tools/mkfs.erofs", "db/x"):
        (root.parent / name).parent.mkdir(parents=True, exist_ok=True)
        (root.parent / name).touch()
    (root / "vms/kiln").mkdir(parents=True)
    share, database = str(root.parent / "share"), str(root.parent / "db" / "inferno.db")
    known = settings(root, INFERNO_SHARE_DIR=share, DB_PATH=database)
    guard.prepare(known)
    os.chown(root.parent / place, EVE, EVE)
    with pytest.raises(UsageError, match=f"{place} belongs to uid {EVE}"):
        guard.prepare(known)
    guard.prepare(settings(root, f"INFERNO_TRUST_UID={EVE}\n", INFERNO_SHARE_DIR=share, DB_PATH=database))


@pytest.mark.root
def test_root_runs_no_file_of_somebody_else(root: Path) -> None:
    root.mkdir()
    (root / "dodo.py").touch()
    guard.check_program(settings(root), root / "dodo.py")
    os.chown(root / "dodo.py", EVE, EVE)
    with pytest.raises(UsageError, match=r"dodo\.py belongs to uid"):
        guard.check_program(settings(root), root / "dodo.py")
