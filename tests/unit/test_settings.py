"""Settings: flags over environment over the file over defaults; a file that others may write is refused."""

from pathlib import Path
from typing import Any

import pytest

from inferno.base.errors import UsageError
from inferno.base.setting_row import Setting
from inferno.settings import BESIDE, ROWS, Settings, explain_settings, load_settings, meant_by, unknown_names


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
def test_what_is_not_a_file_of_text_is_refused_in_one_line(tmp_path: Path) -> None:
    path = env_file(tmp_path, "")
    path.write_bytes(b"VG_NAME=\xff\n")
    with pytest.raises(UsageError, match="is not UTF-8"):
        load_settings({}, path)
    with pytest.raises(UsageError, match="cannot be read: Is a directory"):
        load_settings({}, tmp_path)


@pytest.mark.root
def test_each_setting_says_where_it_comes_from(tmp_path: Path) -> None:
    file = env_file(tmp_path, "VG_NAME=pool\nINFERNO_LOG_MAX_FILES=7\nROOTFS_SIZE_MB=64\n")
    found = {each.name: each[1:] for each in explain_settings({"ROOTFS_SIZE_MB": "128", "VG_NAME": ""}, file)}
    assert found["INFERNO_LOG_MAX_FILES"] == ("7", str(file))
    assert found["ROOTFS_SIZE_MB"] == ("128", "environment")
    assert found["LOG_LEVEL"] == ("info", "default")


@pytest.mark.parametrize(("field", "kind", "row"), ROWS, ids=[field for field, _, _ in ROWS])
def test_each_row_is_enough_to_read_its_setting(tmp_path: Path, field: str, kind: Any, row: Setting) -> None:
    """What the row says is in bounds is taken, what is not is refused by the variable's name."""

    def read(text: str) -> Any:
        if row.of_file:
            (tmp_path / "env").write_text(f"{row.name}={text}\n")
            return getattr(load_settings({"HOME": "/root"}, tmp_path / "env"), field)
        return getattr(load_settings({"HOME": "/root", row.name: text}, tmp_path / "absent"), field)

    assert row.doc and (row.shown or not callable(row.default))
    assert read("") == read("  ") == getattr(load_settings({"HOME": "/root"}, tmp_path / "absent"), field)
    if kind in (int, int | None):
        assert row.low < row.high
        assert (read(str(row.low)), read(f" {row.high} ")) == (row.low, row.high)
        bad = [str(row.low - 1), str(row.high + 1), "many", "-1", "1.5", "1_0", "²", "١٠", "9" * 5000]
    elif row.choices:
        assert row.default in row.choices
        assert [read(word) for word in row.choices] == list(row.choices) == [read(w.upper()) for w in row.choices]
        bad = [f"{row.choices[0]}x", ",".join(row.choices)]
    elif row.each:
        assert read(" 192.0.2.1, 0.0.0.0,,") == ("192.0.2.1", "0.0.0.0")
        bad = [
            "a",
            "192.0.2",
            "192.0.2.256",
            "192.0.2.1.1",
            "::1",
            "192.0.2.1 192.0.2.2",
            "192.0.2.1,x",
            "192.0.2.²",
            "1.1.1.0001",
        ]
    elif kind == tuple[str, ...]:
        assert read(" a, b,,") == ("a", "b")
        bad = []
    else:
        assert read("/srv/a/../b") == (Path("/srv/b") if kind in (Path, Path | None) else "/srv/a/../b")
        bad = []
    for text in bad:
        with pytest.raises(UsageError, match=f"^{row.name}="):
            read(text)


def test_the_fields_are_the_rows() -> None:
    assert Settings._fields == tuple(field for field, _, _ in ROWS)
    assert len({row.name for _, _, row in ROWS}) == len(ROWS)


def test_what_is_in_force_can_be_handed_on(tmp_path: Path) -> None:
    given = {"INFERNO_SSH_KEYS": "a,b", "INFERNO_JAIL_UID": "123", "INFERNO_STORAGE": "lvm", "LOG_LEVEL": "DEBUG"}
    for environ in ({}, given):
        settings = load_settings(environ, tmp_path / "absent")
        assert load_settings(settings.environ(), tmp_path / "absent") == settings


def test_variables_that_nothing_reads_are_found(tmp_path: Path) -> None:
    known = {row.name: "" for _, _, row in ROWS} | dict.fromkeys(BESIDE, "") | {"INFERNAL": "", "VG_NAMES": ""}
    assert unknown_names({**known, "INFERNO_STORGE": "lvm", "INFERNO_": ""}, tmp_path / "absent") == [
        "INFERNO_",
        "INFERNO_STORGE",
    ]
    assert (meant_by("INFERNO_STORGE"), meant_by("INFERNO_XYZZY")) == ("INFERNO_STORAGE", None)


def test_variables_of_the_bash_version_that_mean_nothing_are_found(tmp_path: Path) -> None:
    assert unknown_names({"ROOTFS_VG_NAME": "vg", "VG_NAME": "vg"}, tmp_path / "absent") == ["ROOTFS_VG_NAME"]


@pytest.mark.root
def test_variables_in_the_file_are_looked_at_too(tmp_path: Path) -> None:
    assert unknown_names({}, env_file(tmp_path, "INFERNO_RAM=1\nOTHERS=2\n")) == ["INFERNO_RAM"]


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
