"""Where the values of a guest's environment lie, and that nobody else reads them: asked as another user, really."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from inferno.base.errors import UsageError
from inferno.life import start
from inferno.life.instance import Instance
from inferno.sandbox import jail
from inferno.settings import load_settings
from inferno.state.database import State
from inferno.state.paths import VersionDir
from tests import images

pytestmark = pytest.mark.root
SECRET = "hunter2-tr0ub4dor"
# As another user, with the folders above opened: which files of a tree hold these bytes.
_SEARCH = """
import os, sys
for folder, _, names in os.walk(sys.argv[1]):
    print("seen", folder)
    for name in names:
        path = os.path.join(folder, name)
        try:
            found = os.path.isfile(path) and sys.argv[2].encode() in open(path, "rb").read()
        except PermissionError:
            continue
        if found:
            print("found", path)
"""


def typed(root: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """What infernoctl answers."""
    program = Path(sys.executable).with_name("infernoctl")
    env = {**os.environ, "INFERNO_ROOT": str(root)}
    return subprocess.run([program, *words], env=env, cwd="/", capture_output=True, text=True, check=True)


def found_by_another(root: Path, text: str, uid: int = 65534, gid: int = 65534) -> tuple[int, list[str]]:
    """How many folders below `root` that user sees, and which files with the text it can read."""
    done = subprocess.run(
        ["/usr/bin/python3", "-c", _SEARCH, root, text],
        user=uid,
        group=gid,
        extra_groups=[],
        cwd="/",
        capture_output=True,
        text=True,
        check=True,
    )
    lines = done.stdout.splitlines()
    return sum(line.startswith("seen") for line in lines), [line for line in lines if line.startswith("found")]


@pytest.fixture
def place() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:  # tmp_path is below what only root may enter
        os.chmod(folder, 0o755)
        yield Path(folder)


def test_no_other_user_finds_a_secret(place: Path) -> None:
    root, secrets = place / "root", place / "secrets"
    layout = f"oci:{images.busybox(place / 'layout')}"
    secrets.write_text(f"TOKEN={SECRET}\n")
    secrets.chmod(0o600)
    told = typed(root, "create", "web1", "--image", layout, "--env-file", str(secrets))
    changed = typed(root, "create", "web1", "--env", f"TOKEN=new-{SECRET}", "--env", f"KEY={SECRET}")
    why = typed(root, "why", "web1")
    assert "env: TOKEN, KEY" in changed.stderr
    assert "env: TOKEN, KEY" in why.stdout
    assert not [done for done in (told, changed, why) if SECRET in done.stdout + done.stderr]
    current = (root / "vms/web1/current").resolve(strict=True)
    for record in (current / "version.json", root / "vms/web1/version.json"):
        assert "TOKEN" in record.read_text()
        assert SECRET not in record.read_text()
    again = json.loads(typed(root, "create", "web1").stdout)
    assert again["version"] == current.name, "what is typed is compared with the digests in the record"
    version = VersionDir(current)
    version.scratch.touch()
    jail.lay_out(version, json.loads(version.record.read_text())["exec_name"], 812_345)
    jail.hand_over(version, b"{}", 812_345, is_read=True)
    mine = {path for path in root.rglob("*") if path.is_file() and SECRET.encode() in path.read_bytes()}
    assert {path.name for path in mine} >= {"initrd.cpio", "run.json", "spec.json", "inferno.db"}
    assert found_by_another(root, SECRET) == (0, [])
    root.chmod(0o755)  # as a release before left it
    version.jail.chmod(0o755)
    seen, found = found_by_another(root, SECRET)
    assert seen > 10
    assert found == []
    _, found = found_by_another(root, SECRET, 812_345, 812_345)
    assert {Path(line).name for line in found} == {"initrd.cpio"}, "what it boots from, and nothing else"
    typed(root, "create", "web1")
    assert root.stat().st_mode & 0o777 == 0o700


def test_what_each_start_reads_is_in_no_file_of_inferno(place: Path) -> None:
    root, files = place / "root", place / "files"
    files.mkdir()
    for name, text in {"db": SECRET, "env": f"TOKEN={SECRET}\n"}.items():
        (files / name).write_text(text)
    layout = f"oci:{images.busybox(place / 'layout')}"
    asked = ("--secret", f"db={files}/db", "--env-file", str(files / "env"), "--at-start")
    told = [
        typed(root, "create", "web1", "--image", layout, *asked),
        typed(root, "status", "web1", "--json"),
        typed(root, "why", "web1"),
        typed(root, "db", "query", "select name, spec from machines", "--json"),
        typed(root, "debug", "web1", "-o", str(place / "bundle")),
    ]
    first = json.loads(told[0].stdout)["version"]
    (files / "db").write_text(f"another {SECRET}")
    changed = ("--secret", "other", "--env-file", str(files / "db"), "--at-start")
    later = typed(root, "create", "web1", *changed)
    assert json.loads(later.stdout)["version"] == first, "it makes no version"
    missing = "/etc/inferno/secrets/other (--secret other)"
    assert f"warning: web1 cannot start before these files are there: {missing}\n" in later.stderr
    assert "warning" not in told[0].stderr
    typed(root, "create", "web1", *asked)
    assert not [done for done in told if SECRET in done.stdout + done.stderr]
    held = [path for path in (*root.rglob("*"), place / "bundle") if path.is_file()]
    assert {"inferno.db", "initrd.cpio", "run.json", "spec.json", "bundle"} <= {path.name for path in held}
    assert [path for path in held if SECRET.encode() in path.read_bytes()] == []
    assert f"{files}/db" in (root / "vms/web1/spec.json").read_text()
    for row in (root / "vms/kiln").glob("*/version.json"):
        assert str(files) not in row.read_text()
    vm = instance(root, "web1")
    start.check_brought(vm)
    (files / "db").unlink()
    with pytest.raises(UsageError, match=r"--secret db: .*/db: No such file"):
        start.check_brought(vm)  # as restart does, before it stops anything


def instance(root: Path, name: str) -> Instance:
    settings = load_settings({"INFERNO_ROOT": str(root), "HOME": "/"}, root / "none")
    with contextlib.closing(State(settings.db_path)) as state:
        row = state.vm(name)
    assert row is not None
    return Instance.of(settings, row)
