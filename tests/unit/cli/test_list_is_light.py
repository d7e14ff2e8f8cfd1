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
    assert HEAVY & set(loaded) == set()


def test_named_tuples_that_list_loads_have_no_annotations_as_strings(loaded: dict[str, str | None]) -> None:
    """typing.NamedTuple compiles each annotation that is a string, and the first compile() of a process alone costs
    12 million instructions, 3 ms: as much as all of our own modules."""
    wrong = []
    for name, path in loaded.items():
        if not name.startswith("inferno.") or path is None:
            continue
        tree = ast.parse(Path(path).read_text())
        strings = any(isinstance(node, ast.ImportFrom) and node.module == "__future__" for node in tree.body)
        tuples = [
            node.name
            for node in tree.body
            if isinstance(node, ast.ClassDef) and any(ast.unparse(base) == "NamedTuple" for base in node.bases)
        ]
        wrong += [f"{name}: {tuple_}" for tuple_ in tuples if strings]
    assert wrong == []
