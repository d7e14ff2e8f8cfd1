"""A dodo.py of somebody's own, read by stock doit in a folder with nothing else in it."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from inferno.base import files
from inferno.console.verbs.tasks import TASKS
from inferno.state.paths import Paths, file_name
from tests import images
from tests.conftest import CHECKOUT

DOIT = Path(sys.executable).parent / "doit"
NAMES = ("one", "two")
# The images are made by a task of the file's.
DODO = """
from inferno.pipeline import *

def task_build():
    return {"actions": ["cp -r made/. ."], "targets": ["one.image", "two.image"], "uptodate": [True]}

spec = {"memory": 160, "env": ["A=1"], "read_only": True, "cmd": ["sh", "-c", "echo hi"]}
for name in ("one", "two"):
    vm(name, image=f"oci:{name}.image", after="build", **spec)

def task_note():
    from doit.tools import result_dep
    return {"actions": ["echo noted >> note"], "uptodate": [result_dep("create:one")]}
"""


class Project:
    """A folder with a dodo.py, and an INFERNO_ROOT."""

    def __init__(self, folder: Path, dodo: str) -> None:
        self.folder, self.root = folder / "project", folder / "root"
        self.folder.mkdir()
        (self.folder / "dodo.py").write_text(dodo)

    def start(self, *words: str, program: Path = DOIT) -> subprocess.Popen[str]:
        env = {**os.environ, "INFERNO_ROOT": str(self.root)}
        pipe = subprocess.PIPE
        return subprocess.Popen([program, *words], env=env, cwd=self.folder, stdout=pipe, stderr=pipe, text=True)

    def run(self, *words: str, status: int = 0, program: Path = DOIT) -> subprocess.CompletedProcess[str]:
        process = self.start(*words, program=program)
        out, err = process.communicate(timeout=300)
        assert process.returncode == status, f"{words}: {process.returncode}\n{out}\n{err}"
        assert "Traceback" not in err
        return subprocess.CompletedProcess(words, status, out, err)

    def made(self, *words: str) -> list[str]:
        """What a command has really made."""
        return re.findall(r"^\.  (\S+)$", self.run(*words).stderr, re.MULTILINE)

    def vms(self) -> list[str]:
        done = self.run("list", "--json", program=DOIT.with_name("infernoctl"))
        return sorted(row["name"] for row in json.loads(done.stdout))


@pytest.fixture
def project(tmp_path: Path) -> Project:
    project = Project(tmp_path, DODO)
    for name in NAMES:
        images.busybox(project.folder / "made" / f"{name}.image", images.file("srv/a", name.encode()))
    return project


def test_only_what_the_file_declares_exists(tmp_path: Path) -> None:
    project = Project(tmp_path, 'from inferno.pipeline import *\nvm("web1", image="oci:x")\n')
    listed = [line.split()[0] for line in project.run("list", "--all").stdout.splitlines()]
    of_vms = {f"{verb}:web1" for verb, row in TASKS.items() if row.subject == "vm"}
    assert set(listed) == {*TASKS, *of_vms, "image:oci:x", "rootfs:oci:x"}
    assert "create:web2" in project.run("create:web2", status=3).stderr
    assert not project.root.exists()


@pytest.mark.parametrize(
    ("call", "said"),
    [
        ('"web1", image="oci:x", memroy=1', "there is no field 'memroy' (did you mean 'memory'?)"),
        ('"web1", image="oci:x", memory="1x"', "--memory"),
        ('"web1", image="oci:x", vcpus="two"', "--vcpus 'two' is not a number"),
        ('"web1", memory=256', "it needs an image (image=REF)"),
        ('"Web1", image="oci:x"', "VM name"),
        ('"a", image="oci:x"); vm("a", image="oci:y"', "it is declared twice"),
    ],
)
def test_a_bad_declaration_is_one_line(tmp_path: Path, call: str, said: str) -> None:
    project = Project(tmp_path, f"from inferno.pipeline import *\nvm({call})\n")
    [line] = project.run("list", status=3).stderr.strip().splitlines()
    assert line.startswith("ERROR: vm(") and said in line


def test_the_pipeline_of_the_docs_is_read_from_an_empty_folder(tmp_path: Path) -> None:
    project = Project(tmp_path, (CHECKOUT / "docs/pipeline/dodo.py").read_text())
    listed = [line.split()[0] for line in project.run("list", "--all").stdout.splitlines()]
    assert {"build", "test", "artifact", "create:app", "image:docker-daemon:app:dev"} <= set(listed)


@pytest.mark.root
def test_it_makes_what_is_declared_once_and_in_order(project: Project) -> None:
    first = project.made("-n", "4")
    assert {"build", "image:oci:one.image", "rootfs:oci:two.image", "create:one", "create:two"} <= set(first)
    assert first[0] == "build", "it comes before the images"
    assert project.vms() == list(NAMES)
    record = json.loads((project.root / "vms/one/version.json").read_text())
    spec = record["spec"]
    assert (spec["memory"], spec["env"], spec["read_only"], spec["cmd"]) == (
        160,
        ["A"],  # a version names its variables, and keeps no value
        True,
        ["sh", "-c", "echo hi"],
    )
    assert project.made() == []
    assert project.made("note") == ["note"]
    assert project.made("note") == []
    (project.folder / "dodo.py").write_text(DODO.replace('"memory": 160', '"memory": 192'))
    changed = project.made("note")
    assert set(changed) == {"config:one", "create:one", "note"}
    assert project.run("destroy").returncode == 0
    assert project.vms() == []


@pytest.mark.root
def test_what_fails_is_one_line_and_the_others_may_go_on(project: Project) -> None:
    shutil.rmtree(project.folder / "made/two.image")
    (project.folder / "made/two.image").mkdir()
    said = project.run("image:oci:two.image", status=1).stderr
    assert re.search(r"^error: image:oci:two.image: infernoctl task ended with \d+$", said, re.MULTILINE), said
    project.run("--continue", status=2)  # as doit has it where a task needs one that failed
    assert project.vms() == ["one"]


@pytest.mark.root
@pytest.mark.parametrize("threads", [[], ["-n", "4"]], ids=["serial", "threads"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_after_a_signal_nothing_is_left_and_the_next_command_works(
    project: Project, threads: list[str], number: signal.Signals
) -> None:
    """It gets no further than to a base. Its output ends when the last program that it ran has ended."""
    with files.lock(Paths(project.root).lock(f"rootfs-{file_name('oci:one.image')}"), "a test"):
        process = project.start(*threads, "create:one")
        assert process.stderr is not None
        for line in process.stderr:
            if line.startswith(".  rootfs:oci:one.image"):
                break
        process.send_signal(number)
        process.communicate(timeout=60)
    assert process.returncode != 0
    assert project.vms() == []
    assert project.made(*threads)[-1] in ("create:one", "create:two")
    assert project.vms() == list(NAMES)
    assert [*project.root.rglob("*.tmp")] == []
