"""What `infernoctl list` loads: it answers in a few tens of milliseconds, most of which are Python's own."""

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = {
    "doit",
    "pydantic",
    "jinja2",
    "sqlite_utils",
    "pyroute2",
    "docker",
    "rich",
    "dataclasses",
    "inspect",
    "getopt",
}
# The rows of verbs that look are what `list` is found in; all others are for help and hints.
OTHER_VERBS = {f"inferno.console.verbs.{name}" for name in ("table", "tasks", "life", "steps", "reach", "host")}
PROGRAM = """
import contextlib, io, json, sys
from inferno.cli.main import main
with contextlib.redirect_stdout(io.StringIO()):
    main(["list"])
print(json.dumps({name: getattr(module, "__file__", None) for name, module in sys.modules.items()}))
"""


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str | None]:
    env = {**os.environ, "INFERNO_ROOT": str(tmp_path_factory.mktemp("root"))}
    said = subprocess.run([sys.executable, "-c", PROGRAM], env=env, check=True, capture_output=True).stdout
    found: dict[str, str | None] = json.loads(said)
    return found


def test_list_loads_no_heavy_library(loaded: dict[str, str | None]) -> None:
    assert "inferno.life.status" in loaded
    assert (HEAVY | OTHER_VERBS) & set(loaded) == set()


def test_named_tuples_that_list_loads_compile_nothing(loaded: dict[str, str | None]) -> None:
    """Those of `typing` and `collections` compile source text, and the first compile() of a process alone costs 12
    million instructions, 3 ms."""
    wrong = [
        name
        for name, path in loaded.items()
        if name.startswith("inferno.") and path is not None and _imports_named_tuple_of_typing(Path(path))
    ]
    assert wrong == []


def _imports_named_tuple_of_typing(path: Path) -> bool:
    return any(
        isinstance(node, ast.ImportFrom)
        and node.module == "typing"
        and "NamedTuple" in {name.name for name in node.names}
        for node in ast.parse(path.read_text()).body
    )
