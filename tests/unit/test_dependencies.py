"""Each dependency has its row in docs/dependencies.md, and is imported by what asks for it."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

CHECKOUT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())
OURS = {"inferno", "inferno_tasks", "tasks", "tests", "rig", "tools"}
# docker raises its errors, and has no name of its own for them.
BY_ANOTHER = {"requests": "docker"}
# Programs, what pytest loads by itself, and types for mypy: no module of ours imports them.
NOT_IMPORTED = {"pytest-timeout", "pytest-xdist", "coverage", "ruff", "mypy", "hatchling"}


def names(wanted: list[str]) -> set[str]:
    return {canonicalize_name(Requirement(each).name) for each in wanted}


def imported(*folders: str) -> set[str]:
    """The packages of others that modules there import, as an index calls them."""
    tops = set()
    for path in (path for folder in folders for path in (CHECKOUT / folder).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                tops |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                tops.add(node.module.partition(".")[0])
    owners = packages_distributions()
    others = tops - OURS - sys.stdlib_module_names
    return {canonicalize_name(name) for top in others for name in owners.get(top, [top])}


def rows() -> set[str]:
    page = (CHECKOUT / "docs/dependencies.md").read_text()
    return {name for row in re.findall(r"^\| ([a-z][^|]*) \|", page, re.MULTILINE) for name in row.split(", ")}


RUN = names(PROJECT["project"]["dependencies"])
DEV = names([*PROJECT["project"]["optional-dependencies"]["dev"], *PROJECT["build-system"]["requires"]])


def test_each_dependency_has_its_row_and_each_row_its_dependency() -> None:
    assert rows() - {"library"} == RUN | DEV


def test_what_inferno_asks_for_is_what_it_imports() -> None:
    assert imported("inferno", "tasks") - set(BY_ANOTHER) == RUN
    assert set(BY_ANOTHER.values()) <= RUN


def test_tests_and_tools_import_what_is_asked_for() -> None:
    found = imported("tests", "rig", "tools")
    assert found - set(BY_ANOTHER) <= RUN | DEV
    assert DEV - found == NOT_IMPORTED | {name for name in DEV if name.startswith("types-")}


def test_list_imports_none_of_them(tmp_path: Path) -> None:
    owners = packages_distributions()
    tops = {top for top, found in owners.items() if {canonicalize_name(name) for name in found} & RUN}
    assert {"doit", "jinja2", "pydantic", "sqlite_utils", "ulid"} <= tops
    code = f"import sys; from inferno.cli.main import main; main(['list']); print({tops!r} & set(sys.modules))"
    env = {**os.environ, "INFERNO_ROOT": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "set()"
