"""Where doit is Inferno's and where it is not: in the checkout, in a project of somebody else's, in an empty folder."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from inferno import task_modules
from inferno.console.verbs.tasks import TASKS
from tests import images
from tests.conftest import CHECKOUT

BIN = Path(sys.executable).parent
TRAP = "raise SystemExit('this is not a module of Inferno')\n"
# What somebody else's project looks like that has tasks too.
FOREIGN = """
def task_greet():
    "says hello"
    return {"actions": ["echo hello > said"], "targets": ["said"], "uptodate": [True]}
"""
WHERE = """
import sys
from inferno import task_modules
from inferno.cli.main import main
status = main(["task", "list"])
print(task_modules.load("stages").__file__, sorted(name for name in sys.modules if name.split(".")[0] == "tasks"))
sys.exit(status)
"""


def typed(folder: Path, *words: str | Path, **env: str) -> subprocess.CompletedProcess[str]:
    program, *rest = words
    env = {**os.environ, "INFERNO_ROOT": str(folder / "root"), **env}
    argv = [BIN / program, *rest]
    return subprocess.run(argv, cwd=folder, env=env, capture_output=True, text=True, check=False, timeout=300)


def project(folder: Path) -> Path:
    """A folder with modules that are called as ours are."""
    folder.mkdir(exist_ok=True)
    for name in ("tasks.py", "inferno_tasks.py", "engine.py"):
        (folder / name).write_text(TRAP)
    return folder


def test_a_folder_with_tasks_of_its_own_is_like_any_other(tmp_path: Path) -> None:
    folder = project(tmp_path / "project")
    for env in ({}, {"PYTHONPATH": str(folder)}):
        listed = typed(folder, "infernoctl", "task", "list", **env)
        assert (listed.returncode, listed.stderr) == (0, "")
        assert "create " in listed.stdout
    assert {path.name: path.read_text() for path in folder.glob("*.py")} == dict.fromkeys(
        ("tasks.py", "inferno_tasks.py", "engine.py"), TRAP
    )


def test_doit_of_another_project_is_stock_doit(tmp_path: Path) -> None:
    folder = project(tmp_path / "project")
    (folder / "dodo.py").write_text(FOREIGN)
    assert typed(folder, "doit", "list").stdout.split() == ["greet", "says", "hello"]
    assert typed(folder, "doit").stdout == ".  greet\n"
    assert typed(folder, "doit").stdout == "-- greet\n"
    assert (folder / "said").read_text() == "hello\n"
    unknown = typed(folder, "doit", "create:web1")
    assert (unknown.returncode, unknown.stderr.partition(":")[0]) == (3, "ERROR")
    assert list(folder.glob(".doit.db*")), "the database is doit's own"
    assert not (folder / "root").exists()


def test_doit_in_an_empty_folder_says_what_it_always_says(tmp_path: Path) -> None:
    for words in (["list"], ["create:web1"], []):
        done = typed(tmp_path, "doit", *words)
        assert done.returncode == 3
        assert done.stderr.startswith(f"ERROR: Could not find dodo file '{tmp_path}/dodo.py'.")
    assert os.listdir(tmp_path) == []


def test_nothing_is_registered_with_every_doit_of_the_environment() -> None:
    assert "entry-points" not in tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]


@pytest.mark.parametrize("name", ["tasks", "inferno_tasks"])
def test_the_tasks_are_those_beside_the_library(tmp_path: Path, name: str) -> None:
    """In a checkout they are `tasks`, installed they are `inferno_tasks`."""
    site = tmp_path / "site"
    for folder, called in (("inferno", "inferno"), ("tasks", name)):
        shutil.copytree(CHECKOUT / folder, site / called, ignore=shutil.ignore_patterns("__pycache__"))
    folder = project(tmp_path / "project")
    path = os.pathsep.join(map(str, (folder, site)))
    done = typed(folder, "python", "-c", WHERE, PYTHONPATH=path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[-1] == f"{site}/{name}/stages.py []"


def test_the_wheel_has_no_common_name_at_its_top() -> None:
    wheel = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]
    tops = {wheel["sources"].get(name, name).partition("/")[0] for name in wheel["packages"]}
    assert tops == {"inferno", task_modules._NAME}


def test_dodo_py_declares_every_verb_and_is_short() -> None:
    text = (CHECKOUT / "dodo.py").read_text()
    assert text.count("\n") <= 40
    space: dict[str, object] = {}
    exec(compile(text, "dodo.py", "exec"), space)
    creator = task_modules.load("stages").Creator
    declared = {name: value.verb for name, value in space.items() if isinstance(value, creator)}
    assert declared == {f"task_{verb}": verb for verb in TASKS}


def test_the_commands_of_doit_here_are_those_of_infernoctl_task() -> None:
    plugins = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["tool"]["doit"]["plugins"]["command"]
    commands = {command.get_name(): command.__name__ for command in task_modules.load("engine.main").Main.DOIT_CMDS}
    assert plugins == {name: f"inferno.cli.doit_plugins:{own}" for name, own in commands.items()}


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """What doit reads of a checkout, to edit."""
    folder = tmp_path / "checkout"
    folder.mkdir()
    for name in ("dodo.py", "pyproject.toml"):
        shutil.copy(CHECKOUT / name, folder)
    return folder


def test_a_verb_that_dodo_py_does_not_declare_cannot_be_named(copy: Path) -> None:
    (copy / "dodo.py").write_text((copy / "dodo.py").read_text() + "del task_stop\n")
    assert "(stop:NAME)" not in typed(copy, "doit", "list").stdout
    refused = typed(copy, "doit", "stop:web1")
    assert (refused.returncode, refused.stderr.splitlines()[0]) == (2, "error: there is no task 'stop:web1'")


OWN = """
def task_note():
    "what is noted of a version"
    return {
        "actions": ["echo made > note; echo of web1 >> note"],
        "file_dep": ["asked"],
        "targets": ["note"],
        "task_dep": ["create:web1"],
    }


def task_ask():
    return {"actions": ["echo x > asked"], "targets": ["asked"], "uptodate": [True]}
"""


@pytest.mark.root
def test_a_task_of_ones_own_may_need_one_of_ours(copy: Path, tmp_path: Path) -> None:
    layout = images.busybox(tmp_path / "layout")
    (copy / "dodo.py").write_text((copy / "dodo.py").read_text() + OWN)
    assert "what is noted of a version" in typed(copy, "doit", "list").stdout
    assert typed(copy, "doit", "note").returncode == 2, "there is no VM yet"
    made = typed(copy, "doit", "create:web1", "--image", f"oci:{layout}", "note")
    assert made.returncode == 0, made.stderr
    assert (copy / "note").read_text() == "made\nof web1\n"
    again = typed(copy, "doit", "note")
    assert (again.returncode, ".  " in again.stderr) == (0, False), again.stderr
    assert "status: up-to-date" in typed(copy, "doit", "info", "note").stdout
    assert typed(copy, "doit", "clean", "note").returncode == 0
