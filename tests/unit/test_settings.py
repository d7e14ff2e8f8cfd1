"""Settings: flags over environment over the file over defaults; a file that others may write is refused."""

from pathlib import Path

import pytest

from inferno.base.errors import UsageError
from inferno.settings import explain_settings, load_settings


def env_file(tmp_path: Path, text: str, mode: int = 0o644) -> Path:
    path = tmp_path / "env"
    path.write_text(text)
    path.chmod(mode)
    return path


def test_defaults(tmp_path: Path) -> None:
    settings = load_settings({"HOME": "/home/ann"}, tmp_path / "absent")
    assert settings.root == Path("/home/ann/.local/share/inferno")
    assert settings.db_path == settings.root / "inferno.db"
    assert settings.rootfs_size_mb == 5120
    assert settings.jail_uid is None


@pytest.mark.root
def test_environment_beats_the_file_and_the_file_beats_defaults(tmp_path: Path) -> None:
    path = env_file(tmp_path, "# ours\nexport INFERNO_ROOT='/srv/a'\nVG_NAME=vg\nROOTFS_SIZE_MB=100\n")
    settings = load_settings({"INFERNO_ROOT": "/srv/b"}, path)
    assert settings.root == Path("/srv/b")
    assert settings.vg_name == "vg"
    assert settings.rootfs_size_mb == 100


@pytest.mark.root
def test_a_file_that_others_may_write_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="others than root"):
        load_settings({}, env_file(tmp_path, "VG_NAME=x\n", 0o664))


@pytest.mark.root
def test_the_file_is_data_and_never_run(tmp_path: Path) -> None:
    settings = load_settings({}, env_file(tmp_path, "VG_NAME=$(touch pwned)\n"))
    assert settings.vg_name == "$(touch pwned)"
    with pytest.raises(UsageError, match="env:1"):
        load_settings({}, env_file(tmp_path, "touch pwned\n"))


@pytest.mark.root
def test_each_setting_says_where_it_comes_from(tmp_path: Path) -> None:
    file = env_file(tmp_path, "VG_NAME=pool\nINFERNO_LOG_MAX_FILES=7\nROOTFS_SIZE_MB=64\n")
    found = {each.name: each[1:] for each in explain_settings({"ROOTFS_SIZE_MB": "128", "VG_NAME": ""}, file)}
    assert found["INFERNO_LOG_MAX_FILES"] == ("7", str(file))
    assert found["ROOTFS_SIZE_MB"] == ("128", "environment")
    assert found["LOG_LEVEL"] == ("info", "default")


@pytest.mark.parametrize("text", ["x", "-1", "99999999999"])
def test_numbers_out_of_range_are_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(UsageError, match="ROOTFS_SIZE_MB"):
        load_settings({"ROOTFS_SIZE_MB": text}, tmp_path / "absent")


def test_a_root_that_can_be_no_folder_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    for root in (file, file / "below"):
        with pytest.raises(UsageError, match="a file is in its place"):
            load_settings({"INFERNO_ROOT": str(root)}, tmp_path / "absent")


def test_a_relative_root_needs_a_folder_to_start_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    assert load_settings({"INFERNO_ROOT": "here"}, tmp_path / "absent").root == gone / "here"
    gone.rmdir()
    with pytest.raises(UsageError, match="the folder this runs in is gone"):
        load_settings({"INFERNO_ROOT": "here"}, tmp_path / "absent")
