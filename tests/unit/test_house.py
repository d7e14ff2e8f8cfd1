"""Rules that no linter knows: sizes, who starts programs, who prints, words that must not be committed."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]
CODE = ("inferno", "tasks", "rig", "tests", "tools", "kiln", "guest")
TEXT = (*CODE, "docs", "templates", ".ci")
ROOT_FILES = ("Makefile", "dodo.py", "README.md", "CHANGELOG.md", "pyproject.toml", "Cargo.toml")
MAX_FUNCTION_LINES, MAX_FILE_LINES = 50, 400


def python_files(*folders: str) -> list[Path]:
    return sorted(path for folder in folders for path in (CHECKOUT / folder).rglob("*.py"))


@cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(), filename=str(path))


def imports(path: Path) -> Iterator[str]:
    """Every module that the file imports by its whole name, at its top or inside a function."""
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module


def where(path: Path, node: ast.AST | None = None) -> str:
    line = f":{node.lineno}" if isinstance(node, ast.stmt | ast.expr) else ""
    return f"{path.relative_to(CHECKOUT)}{line}"


def test_the_library_knows_no_doit() -> None:
    assert [where(path) for path in python_files("inferno") for name in imports(path) if name.startswith("doit")] == []


def test_the_package_of_tasks_is_imported_by_neither_of_its_names() -> None:
    """`tasks` is a name of other projects too, and nobody but inferno.task_modules knows where the package lies."""
    files = [CHECKOUT / "dodo.py", *python_files("inferno", "tasks", "tests", "tools", "docs")]
    named = [where(p) for p in files for name in imports(p) if name.split(".")[0] in ("tasks", "inferno_tasks")]
    assert named == [], "inferno.task_modules.load"


def test_one_module_starts_programs() -> None:
    starters = [where(p) for p in python_files("inferno", "tasks") for name in imports(p) if name == "subprocess"]
    assert starters == ["inferno/base/processes.py"]


def test_the_library_prints_nothing_and_never_exits() -> None:
    talks = [
        where(path, node)
        for path in python_files("inferno")
        if not {"cli", "console"} & set(path.parts) and path.name != "__main__.py"  # a program of its own
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.Call) and ast.unparse(node.func) in ("print", "exit", "sys.exit")
    ]
    assert talks == []


def test_functions_are_short() -> None:
    long = [
        f"{where(path, node)} {node.name} has {length} lines"
        for path in python_files(*CODE)
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (length := (node.end_lineno or 0) - node.lineno + 1) > MAX_FUNCTION_LINES
    ]
    assert long == []


def test_files_are_short() -> None:
    files = [*python_files(*CODE), *(p for c in ("kiln", "guest") for p in (CHECKOUT / c / "src").rglob("*.rs"))]
    lengths = {where(path): path.read_text().split("#[cfg(test)]")[0].count("\n") for path in files}
    assert {path: lines for path, lines in lengths.items() if lines > MAX_FILE_LINES} == {}


def test_no_module_is_a_grab_bag() -> None:
    bags = [where(p) for p in python_files("inferno", "tasks") if p.stem in ("utils", "util", "helpers", "misc")]
    assert bags == []


def test_heavy_libraries_are_imported_only_by_what_uses_them() -> None:
    heavy = {"pydantic", "docker", "rich", "jinja2", "pyroute2", "sqlite_utils", "ulid"}
    # wire and its like are made of pydantic models; they are themselves imported inside functions.
    models = {"inferno/wire/models.py"}
    eager = [
        f"{where(path)}: {name}"
        for path in python_files("inferno", "tasks")
        if where(path) not in models
        for node in parsed(path).body
        for name in top_level_names(node)
        if name in heavy
    ]
    assert eager == []


def top_level_names(node: ast.stmt) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name.split(".")[0] for alias in node.names]
    if isinstance(node, ast.ImportFrom) and node.module:
        return [node.module.split(".")[0]]
    return []


def texts() -> Iterator[tuple[Path, str]]:
    found = [CHECKOUT / name for name in ROOT_FILES]
    found += [path for folder in TEXT for path in (CHECKOUT / folder).rglob("*")]
    for path in found:
        if path.is_file() and not {"target", "__pycache__"} & set(path.parts):
            try:
                yield path, path.read_text()
            except UnicodeDecodeError:
                continue


# Written apart, so that this file passes its own tests.
UNFINISHED = re.compile(r"\b(?:TO" + r"DO|FIX" + r"ME|XX" + r"X)\b")
REGISTRY = re.compile(r"\b(?:pypi|pythonhosted|crates|npmjs|deb\.debian|security\.debian)\." + r"(?:org|io|com)\b")
WORKPLACE = re.compile(r"(?<![\w.])/(?:wo" + r"rk/|tmp/help" + r"ers)")


@pytest.mark.parametrize(
    ("pattern", "why"),
    [
        (UNFINISHED, "what is missing belongs into an issue"),
        (REGISTRY, "pip, cargo and apt know where their registries are"),
        (WORKPLACE, "a path of one machine"),
    ],
    ids=["unfinished", "registries", "workplace"],
)
def test_words_that_are_not_committed(pattern: re.Pattern[str], why: str) -> None:
    found = [f"{where(path)}: {match[0]} ({why})" for path, text in texts() for match in pattern.finditer(text)]
    assert found == []


# "There is no VM" is plain English; "it is" before "no VM" is not.
NOT_PLAIN = re.compile(
    r"\b(?:who" + r"ever|See the mod" + r"ule)\b"
    r"|(?<!there )(?<!There )(?<!where )\bis " + r"no (?!longer\b|more\b|good\b|slower\b|such\b)"
)


def test_prose_is_plain() -> None:
    prose = [(path, text) for path, text in texts() if path.suffix in (".py", ".rs", ".md")]
    assert [
        f"{where(path)}: {text[m.start() : m.end() + 20]!r}" for path, text in prose for m in NOT_PLAIN.finditer(text)
    ] == []
