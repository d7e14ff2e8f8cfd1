"""What a command says of its environment before it begins: variables that nothing reads, and LOG_LEVEL."""

import os
import sys
from pathlib import Path
from subprocess import CompletedProcess, run

import pytest

from inferno.base.debug import without_secrets
from tests.conftest import CHECKOUT

BIN = Path(sys.executable).parent


def type_in(root: Path, line: str, **env: str) -> CompletedProcess[str]:
    program, *words = line.split()
    known = {**os.environ, "INFERNO_ROOT": str(root), **env}
    cwd = CHECKOUT if program == "doit" else root
    return run([BIN / program, *words], env=known, cwd=cwd, check=False, capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize("line", ["infernoctl list", "doit list"])
def test_a_variable_that_nothing_reads_gets_one_warning(tmp_path: Path, line: str) -> None:
    done = type_in(tmp_path, line, INFERNO_STORGE="lvm")
    assert (done.returncode, done.stderr) == (
        0,
        "warning: INFERNO_STORGE is not a setting; did you mean INFERNO_STORAGE?\n",
    )
    assert type_in(tmp_path, line, INFERNO_STORGE="lvm", LOG_LEVEL="error").stderr == ""


def test_a_variable_of_the_bash_version_is_told_what_to_do_instead(tmp_path: Path) -> None:
    said = type_in(tmp_path, "infernoctl list", ROOTFS_VG_NAME="vg", INFERNO_LOG_MAX_AGE_DAYS="30").stderr.splitlines()
    assert len(said) == 2 and "INFERNO_LOG_MAX_FILES bound them" in said[0] and "VG_NAME names the one" in said[1]


def test_a_task_warns_once_too(tmp_path: Path) -> None:
    said = type_in(tmp_path, "infernoctl task image oci:/nowhere", INFERNO_XYZZY="1").stderr
    assert (
        said.count("warning: ") == said.count("warning: INFERNO_XYZZY is not a setting; infernoctl env has all\n") == 1
    )


@pytest.mark.parametrize("line", ["infernoctl list", "doit list", "infernoctl env"])
def test_a_level_that_is_not_one_is_refused(tmp_path: Path, line: str) -> None:
    done = type_in(tmp_path, line, LOG_LEVEL="loud")
    assert done.returncode == 2
    assert done.stderr.startswith("error: LOG_LEVEL='loud' is not debug, info, warning or error\n")


@pytest.mark.parametrize("words", ["version", "--help", "list --help"])
def test_help_is_given_under_any_settings(tmp_path: Path, words: str) -> None:
    assert type_in(tmp_path, f"infernoctl {words}", LOG_LEVEL="loud").returncode == 0


@pytest.mark.root
def test_debug_tells_what_is_run_and_decided_but_no_secrets(tmp_path: Path) -> None:
    line = "infernoctl create web1 --image registry.invalid/x --creds me:hunter2 --env KEY=hunter3"
    done = type_in(tmp_path, line, LOG_LEVEL="debug", VG_NAME="pool")
    told = [line for line in done.stderr.splitlines() if line.startswith("debug: ")]
    assert [line for line in told if "settings: " in line and "VG_NAME=pool (environment)" in line], done.stderr
    assert [line for line in told if "image registry.invalid/x is not here" in line], done.stderr
    assert "hunter" not in done.stderr + done.stdout
    assert "debug: " not in type_in(tmp_path, line).stderr


@pytest.mark.root
@pytest.mark.parametrize("level", ["warning", "error"])
def test_a_higher_level_is_as_quiet(tmp_path: Path, level: str) -> None:
    line = "infernoctl task image oci:/nowhere"
    assert ".  image:oci:/nowhere" in type_in(tmp_path, line).stderr
    quiet = type_in(tmp_path, line, LOG_LEVEL=level).stderr
    assert quiet == type_in(tmp_path, f"{line} --quiet").stderr
    assert quiet.startswith("error: ")


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("skopeo copy --src-creds me:pw docker://h/i", "skopeo copy --src-creds … docker://h/i"),
        ("x --password='a b' --token t -p 1", "x --password=… --token … -p 1"),
        ("pip download https://me:pw@h/simple", "pip download https://…@h/simple"),
        ("nft -f - --authfile /proc/self/fd/3", "nft -f - --authfile /proc/self/fd/3"),
    ],
)
def test_secrets_are_left_out_of_command_lines(line: str, shown: str) -> None:
    assert without_secrets(line) == shown
