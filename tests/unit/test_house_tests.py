"""What a green run has to mean: no test passes without having run, and none by having been quick enough."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]
Rule = Callable[[str], list[str]]  # a file's text, and what in it is forbidden
CRATES = ("kiln", "guest")
NEEDS_ROOT = '#[ignore = "needs root"]'
# rustfmt's layout: attributes, the function's first line, its body, a brace below the `f`.
RUST_TEST = re.compile(
    r"^( *)#\[test\]\n((?: *#\[[^\n]*\]\n)*) *fn (\w+)\(\)[^\n]*\{\n(.*?)^\1\}$", re.MULTILINE | re.DOTALL
)
STRING = re.compile(r'r"[^"]*"|"(?:\\.|[^"\\])*"', re.DOTALL)
COMMENT = re.compile(r"//[^\n]*")
# In a shell's script: some time, after which something has happened or not. That of a poll (`do sleep 0.01; done`) only
# says how often is looked.
SOME_TIME = re.compile(r"(?<!do )\bsleep 0?\.\d")
CLOCKS = ("time.monotonic", "time.time", "time.perf_counter", "monotonic", "perf_counter")


def rust(*folders: str) -> Iterator[tuple[str, str]]:
    for crate in CRATES:
        for folder in folders:
            for path in sorted((CHECKOUT / crate / folder).rglob("*.rs")):
                yield str(path.relative_to(CHECKOUT)), path.read_text()


def python() -> Iterator[tuple[str, str]]:
    """Of the tests that need no rig."""
    tests = CHECKOUT / "tests"
    for path in [*tests.glob("*.py"), *tests.glob("unit/**/*.py"), *tests.glob("contract/*.py")]:
        if path != Path(__file__).resolve():  # it quotes what it forbids
            yield str(path.relative_to(CHECKOUT)), path.read_text()


def left_early(text: str) -> list[str]:
    """The Rust tests that can end before their end: where something is missing, that would be green."""
    tests = RUST_TEST.findall(text)
    assert len(tests) == len(re.findall(r"^ *#\[test\]$", text, re.MULTILINE)), "not as rustfmt has it"
    return [name for _, _, name, body in tests if re.search(r"\breturn\b", STRING.sub('""', COMMENT.sub("", body)))]


def without_root(text: str) -> list[str]:
    """The Rust tests that start a machine, which takes root, and do not say so."""
    return [name for _, marks, name, body in RUST_TEST.findall(text) if "Machine::" in body and NEEDS_ROOT not in marks]


def ignored(text: str) -> list[str]:
    """What tests are ignored for."""
    return re.findall(r"#\[(?:cfg_attr\(.*)?ignore.*\]", text)


def returned(text: str) -> list[str]:
    """The Python tests that can end before their end. What they define may return."""
    tests = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.FunctionDef)]
    return [test.name for test in tests if test.name.startswith("test_") and _returns(test)]


def _returns(node: ast.AST) -> bool:
    own = [child for child in ast.iter_child_nodes(node) if not isinstance(child, ast.FunctionDef | ast.ClassDef)]
    return any(isinstance(child, ast.Return) or _returns(child) for child in own)


def skipped_silently(text: str) -> list[str]:
    """Skips that do not say what is missing."""
    calls = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Call)]
    return [ast.unparse(call) for call in calls if _skips(call) and not _reason(call)]


def _skips(call: ast.Call) -> bool:
    return re.search(r"\b(skip|skipif|xfail|importorskip)$", ast.unparse(call.func)) is not None


def _reason(call: ast.Call) -> str:
    words = [keyword.value for keyword in call.keywords if keyword.arg == "reason"] or call.args[:1]
    # skipif's first argument is the condition.
    given = [word for word in words if not (isinstance(word, ast.Constant) and not word.value)]
    return (
        ast.unparse(given[0]) if given and not (ast.unparse(call.func).endswith("skipif") and not call.keywords) else ""
    )


def slept(text: str) -> list[str]:
    """Calls that let time pass."""
    calls = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Call)]
    return [ast.unparse(call) for call in calls if ast.unparse(call.func) in ("time.sleep", "sleep")]


def timed(text: str) -> list[str]:
    """Assertions about how long something took."""
    asserts = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Assert)]
    return [
        ast.unparse(each)
        for each in asserts
        for node in ast.walk(each)
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Sub) and _reads_clock(node)
    ]


def _reads_clock(node: ast.AST) -> bool:
    return any(isinstance(each, ast.Call) and ast.unparse(each.func) in CLOCKS for each in ast.walk(node))


def test_no_rust_test_ends_before_its_end() -> None:
    assert [f"{where}: {name}" for where, text in rust("src", "tests") for name in left_early(text)] == []


def test_rust_tests_that_need_root_say_so_and_nothing_else_is_ignored() -> None:
    assert [f"{where}: {name}" for where, text in rust("tests") for name in without_root(text)] == []
    found = [mark for _, text in rust("src", "tests") for mark in ignored(text)]
    assert set(found) == {NEEDS_ROOT}


def test_what_kiln_and_init_wait_for_is_chosen_in_one_place() -> None:
    elsewhere = [
        where
        for where, text in rust("src")
        if "Duration::from_" in text.partition("#[cfg(test)]")[0] and not where.endswith("src/durations.rs")
    ]
    assert elsewhere == []


@pytest.mark.parametrize("rule", [returned, skipped_silently, slept, timed], ids=lambda rule: rule.__name__)
def test_no_python_test(rule: Rule) -> None:
    assert [f"{where}: {what}" for where, text in python() for what in rule(text)] == []


def test_no_script_of_a_test_sleeps_for_some_time() -> None:
    texts = [*rust("tests", "examples"), *python()]
    assert [f"{where}: {found}" for where, text in texts for found in SOME_TIME.findall(text)] == []


RUST = """
#[test]
%sfn one() {
    %s
}
"""


@pytest.mark.parametrize(
    ("rule", "text", "found"),
    [
        (left_early, RUST % ("", "let Some(machine) = Machine::start() else { return };"), True),
        (left_early, RUST % ("", "if !is_root() {\n        return;\n    }"), True),
        (left_early, RUST % ("", 'assert_eq!(said, "return"); // no return'), False),
        (without_root, RUST % ("", "Machine::start();"), True),
        (without_root, RUST % (f"{NEEDS_ROOT}\n", "Machine::start();"), False),
        (returned, "def test_x():\n    if shutil.which('x') is None:\n        return\n    assert run('x')", True),
        (returned, "def test_x():\n    def run():\n        return 1\n    assert run()", False),
        (skipped_silently, "pytest.skip()", True),
        (skipped_silently, "pytest.skip('')", True),
        (skipped_silently, "pytest.mark.skipif(absent)", True),
        (skipped_silently, "pytest.mark.skipif(absent, reason='needs x')", False),
        (skipped_silently, "pytest.skip(f'needs {x}')", False),
        (slept, "time.sleep(0.1)", True),
        (timed, "assert time.monotonic() - began < 1", True),
        (timed, "assert time.monotonic() < deadline", False),
        (SOME_TIME.findall, "echo closed; sleep 0.1; exit", True),
        (SOME_TIME.findall, "until [ -e x ]; do sleep 0.01; done", False),
    ],
)
def test_a_rule_sees_what_it_forbids(rule: Rule, text: str, found: bool) -> None:
    assert bool(rule(text)) is found
