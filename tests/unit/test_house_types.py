"""What crosses a package has a type: a dict of anything is taken apart where it came from."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]
LOOSE = re.compile(r"\b(?:dict|Mapping)\[str, Any\]")
TYPED_BY_A_PERSON = "what was typed, by the names of options; each has the type of its option's row"
DOIT = "doit calls it so"
# Files where a public name may have one, and why.
ALLOWED = {
    "inferno/console/options.py": TYPED_BY_A_PERSON,
    "inferno/console/typed.py": TYPED_BY_A_PERSON,
    "inferno/cli/task_verbs.py": TYPED_BY_A_PERSON,
    "inferno/spec/option_row.py": TYPED_BY_A_PERSON,
    "inferno/spec/create_options.py": TYPED_BY_A_PERSON,
    "tasks/engine/asked.py": TYPED_BY_A_PERSON,
    "tasks/engine/main.py": TYPED_BY_A_PERSON,
    "inferno/image/manifest.py": "what an archive or a registry says; it stays in this package",
    "tasks/pipeline.py": DOIT,
    "tasks/engine/dodo_loader.py": DOIT,
    "tasks/engine/info.py": DOIT,
    "tasks/engine/inputs.py": DOIT,
    "tasks/engine/loader.py": DOIT,
    "tasks/engine/reporter.py": DOIT,
}


def loose(tree: ast.AST, way: str = "") -> Iterator[str]:
    """The public functions, methods and fields of a module that have a dict of anything in their types."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            yield from loose(node, f"{way}{node.name}.")
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and _is_public(node.name):
            every = node.args
            given = [*every.posonlyargs, *every.args, *every.kwonlyargs, every.vararg, every.kwarg]
            types = [arg.annotation for arg in given if arg] + [node.returns]
            if any(LOOSE.search(ast.unparse(kind)) for kind in types if kind):
                yield f"{way}{node.name}"
        elif isinstance(node, ast.AnnAssign) and LOOSE.search(ast.unparse(node.annotation)):
            name = ast.unparse(node.target)
            yield from [f"{way}{name}"] if not name.startswith("_") else []


def _is_public(name: str) -> bool:
    return not name.startswith("_") or (name.startswith("__") and name.endswith("__"))


def test_no_dict_of_anything_crosses_a_package() -> None:
    files = sorted(path for folder in ("inferno", "tasks") for path in (CHECKOUT / folder).rglob("*.py"))
    found = {str(path.relative_to(CHECKOUT)): list(loose(ast.parse(path.read_text()))) for path in files}
    assert {path: names for path, names in found.items() if names and path not in ALLOWED} == {}
    assert [path for path in ALLOWED if not found.get(path)] == [], "no longer needed"


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("def f(x: dict[str, Any]) -> int: ...", ["f"]),
        ("def f(x: int) -> list[dict[str, Any]] | None: ...", ["f"]),
        ("def f(*x: int, **y: Mapping[str, Any]) -> int: ...", ["f"]),
        (
            "class A:\n    x: dict[str, Any]\n    def __init__(self, y: dict[str, Any]) -> None: ...",
            ["A.x", "A.__init__"],
        ),
        ("X: dict[str, Any] = {}", ["X"]),
        ("def _f(x: dict[str, Any]) -> int: ...", []),
        ("class _A:\n    x: dict[str, Any]", []),
        ("def f(x: dict[str, object]) -> dict[str, int]:\n    y: dict[str, Any] = {}", []),
    ],
)
def test_what_crosses_is_seen(text: str, names: list[str]) -> None:
    assert list(loose(ast.parse(text))) == names
