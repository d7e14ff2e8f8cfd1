"""What a start reads of this host's files: theirs whom root trusts, of a bounded size, and shown by no refusal."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from inferno.base.errors import UsageError
from inferno.life import secrets, start
from inferno.life.instance import Instance
from inferno.settings import Settings, load_settings
from inferno.spec.create_options import Spec
from tests.loghost import LogHost

HUNTER = "hunter2-of-the-tests"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load_settings({"INFERNO_ROOT": str(tmp_path / "root"), "HOME": str(tmp_path)}, tmp_path / "none")


def brought(settings: Settings, *fixed: str, secret: tuple[str, ...] = (), files: tuple[Path, ...] = ()) -> object:
    """The message, read; None where there is none."""
    spec = Spec("box", secret=list(secret), at_start=[str(path) for path in files])
    message = secrets.of_start(spec, fixed, settings)
    return None if message is None else json.loads(message)


def test_files_and_variables_are_as_they_are_now(settings: Settings, tmp_path: Path) -> None:
    assert brought(settings) is None
    (tmp_path / "key").write_bytes(b"\0\xff")
    (tmp_path / "empty").write_bytes(b"")
    (tmp_path / "env").write_text("A=1\nB='2'\nNOWHERE\nFIXED=file\n")
    (tmp_path / "more").write_text("A=last\n")
    asked = (f"key={tmp_path}/key", f"empty={tmp_path}/empty")
    found = brought(settings, "FIXED", secret=asked, files=(tmp_path / "env", tmp_path / "more"))
    held = [{"name": "key", "content": "AP8="}, {"name": "empty", "content": ""}]
    assert found == {"files": held, "env": ["A=last", "B='2'"]}
    (tmp_path / "key").write_bytes(b"new")
    assert brought(settings, secret=asked[:1]) == {"files": [{"name": "key", "content": "bmV3"}], "env": []}


def test_what_is_not_there_yet_is_told_with_its_option(tmp_path: Path) -> None:
    (tmp_path / "key").touch()
    (tmp_path / "link").symlink_to("nowhere")
    spec = Spec("box", secret=[f"key={tmp_path}/key", "db", f"l={tmp_path}/link"], at_start=[f"{tmp_path}/env"])
    assert secrets.missing(spec) == [
        "/etc/inferno/secrets/db (--secret db)",
        f"{tmp_path}/link (--secret l)",
        f"{tmp_path}/env (--env-file --at-start)",
    ]
    assert secrets.missing(Spec("box")) == []


class Odd(NamedTuple):
    """What lies where a secret is to be, made by a shell script in its folder; and what is said of it."""

    make: str
    says: str


ODD = {
    "missing": Odd("", "No such file"),
    "folder": Odd("mkdir it", "not a regular file"),
    "fifo": Odd("mkfifo it", "not a regular file"),
    "device": Odd("mknod -m 600 it c 1 5 2>&- || ln -s /dev/mem it", "not a regular file"),
    "link to nowhere": Odd("ln -s nowhere it", "No such file"),
    "link to itself": Odd("ln -s it it", "too many links"),
    "too large": Odd("head -c 524289 /dev/zero > it", "more than 512 KiB"),
    "endless": Odd("truncate -s 1T it", "more than 512 KiB"),
    "anybody's to write": Odd("touch it; chmod 666 it", "may write to"),
    "in anybody's folder": Odd("mkdir -m 777 f; touch f/x; ln -s f/x it", "may write to"),
}


@pytest.mark.parametrize("name", ODD)
def test_what_is_no_file_for_a_secret_is_one_line(settings: Settings, tmp_path: Path, name: str) -> None:
    subprocess.run(["sh", "-c", ODD[name].make], cwd=tmp_path, check=True)
    with pytest.raises(UsageError) as caught:
        brought(settings, secret=(f"db={tmp_path}/it",))
    assert caught.value.text.startswith("--secret db: ")
    assert ODD[name].says in caught.value.text
    assert "\n" not in caught.value.text
    if name != "too large":
        with pytest.raises(UsageError, match=r"^--env-file: "):
            brought(settings, files=(tmp_path / "it",))


@pytest.mark.root
def test_a_file_of_somebody_else_is_refused_and_the_trusted_users_is_not(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "key").write_text("x")
    os.chown(tmp_path / "key", 1234, 1234)
    with pytest.raises(UsageError, match=r"--secret db: .*/key belongs to uid 1234") as caught:
        brought(settings, secret=(f"db={tmp_path}/key",))
    assert caught.value.hint is not None
    trusting = trusting_settings(tmp_path)
    assert brought(trusting, secret=(f"db={tmp_path}/key",))
    os.symlink("/etc/shadow", tmp_path / "link")
    os.lchown(tmp_path / "link", 1235, 1235)
    with pytest.raises(UsageError, match="belongs to uid 1235"):
        brought(trusting, secret=(f"db={tmp_path}/link",))


def trusting_settings(tmp_path: Path) -> Settings:
    (tmp_path / "env-of-host").write_text("INFERNO_TRUST_UID=1234\n")
    return load_settings({"INFERNO_ROOT": str(tmp_path / "root"), "HOME": str(tmp_path)}, tmp_path / "env-of-host")


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (f"A=1\nexport B={HUNTER}\n".encode(), "line 2: there is space in the name"),
        (f"-----BEGIN {HUNTER}\n".encode(), "line 1: there is space in the name"),
        (f"={HUNTER}\n".encode(), "line 1: there is no name"),
        (f"A={HUNTER}\0\n".encode(), "line 1: it holds a NUL byte"),
        (f"A={HUNTER}\xff".encode("latin-1"), "line 1: it is not UTF-8"),
        (f"A={HUNTER * 60_000}".encode(), "more than 1024 KiB"),
    ],
    ids=["space", "key", "no name", "NUL", "latin-1", "too large"],
)
def test_no_refusal_of_a_file_of_variables_shows_a_value(
    settings: Settings, tmp_path: Path, data: bytes, says: str
) -> None:
    (tmp_path / "env").write_bytes(data)
    with pytest.raises(UsageError) as caught:
        brought(settings, files=(tmp_path / "env",))
    told = f"{caught.value.text} {caught.value.hint}"
    assert says in told
    assert HUNTER not in told


def test_no_core_file_has_them(tmp_path: Path) -> None:
    (tmp_path / "key").write_text(HUNTER)
    program = (
        "import os, resource, sys; from inferno.life import secrets; from inferno.settings import load_settings;"
        "from inferno.spec.create_options import Spec; resource.setrlimit(resource.RLIMIT_CORE, (1 << 20, 1 << 20));"
        "held = secrets.of_start(Spec('box', secret=[f'a={sys.argv[1]}']), (), load_settings({'HOME': '/'}));"
        "os.abort()"
    )
    pid = os.posix_spawn(sys.executable, [sys.executable, "-c", program, str(tmp_path / "key")], {"PYTHONPATH": "."})
    _, status = os.waitpid(pid, 0)
    assert os.WIFSIGNALED(status)
    assert not os.WCOREDUMP(status)


def begun(host: LogHost, number: int | None, saved: dict[str, object]) -> start.Start:
    if not host.vms:
        host.vm("web")
    vm = host.vms[0]
    made = Instance(host.settings, "web", vm.slot, vm.ulid, {"image": "box", **saved})
    record = type("Record", (), {"spec": Spec("box", env=["FIXED"])})()
    return start.Start(made, host.paths.version("X"), record, contextlib.ExitStack(), number)


@pytest.mark.root
@pytest.mark.parametrize("number", [None, 1])
def test_a_guest_that_takes_none_is_not_started_without(host: LogHost, tmp_path: Path, number: int | None) -> None:
    made = begun(host, number, {"secret": [f"a={tmp_path}/missing"]})
    before = sorted(host.paths.root.rglob("*"))
    for step in start.STEPS:
        with pytest.raises(UsageError, match="was made before secrets could be handed over"):
            step.act(made)
    assert sorted(host.paths.root.rglob("*")) == before
    assert json.loads(begun(host, number, {}).brought.start)["run"]


@pytest.mark.root
def test_a_start_brings_them_beside_start_json_and_not_in_it(host: LogHost, tmp_path: Path) -> None:
    (tmp_path / "env").write_text(f"TOKEN={HUNTER}\nFIXED=file\n")
    found = begun(host, 2, {"at_start": [str(tmp_path / "env")]}).brought
    assert json.loads(found.start)["secrets"] is True
    assert HUNTER not in found.start.decode() + repr(found)
    assert found.secrets is not None
    assert json.loads(found.secrets) == {"files": [], "env": [f"TOKEN={HUNTER}"]}
    (tmp_path / "env").unlink()
    made = begun(host, 2, {"at_start": [str(tmp_path / "env")]})
    before = sorted(host.paths.root.rglob("*"))
    for step in start.STEPS:
        with pytest.raises(UsageError, match=r"--env-file: .*No such file"):
            step.act(made)
    assert sorted(host.paths.root.rglob("*")) == before
