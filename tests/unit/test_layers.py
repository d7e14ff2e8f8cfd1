"""Who may import whom: packages lie in layers, and every arrow between them goes down."""

import ast
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]
# From the ground up. A package may import what is in a layer below its own; packages in one layer do not know each
# other. `life` joins those below it: it freezes by reach what disk takes a snapshot of.
LAYERS = (
    ("base",),
    ("settings",),
    ("spec",),
    ("state",),
    ("wire",),
    ("artifact", "image", "reach"),
    ("disk", "net", "sandbox"),
    ("version",),
    ("logs",),
    ("life",),
    ("watch",),
    ("console",),
    ("tasks",),
    ("task_modules",),  # finds the tasks, for what is above it
    ("cli", "pipeline"),  # the faces: infernoctl, and what a dodo.py of somebody's own imports
)
FLOOR = {package: floor for floor, packages in enumerate(LAYERS) for package in packages}
MAX_ENTRIES = 21  # at the top of inferno/: as many as one takes in at a look


class Tree:
    """The modules of a checkout, by their dotted names."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.modules = {
            ".".join((path.parent if path.stem == "__init__" else path.with_suffix("")).relative_to(root).parts): path
            for folder in ("inferno", "tasks", "rig")
            for path in sorted((root / folder).rglob("*.py"))
        }

    def imports(self, module: str) -> Iterator[tuple[str, int]]:
        """What a module imports, wherever in it, with the line; the names of modules in its strings count too."""
        path = self.modules[module]
        home = module.split(".") if path.stem == "__init__" else module.split(".")[:-1]
        for node in ast.walk(ast.parse(path.read_text(), filename=str(path))):
            if isinstance(node, ast.Import):
                yield from ((alias.name, node.lineno) for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                above = home[: len(home) - node.level + 1] if node.level else []
                package = ".".join([*above, *([node.module] if node.module else [])])
                for alias in node.names:
                    inner = f"{package}.{alias.name}"
                    yield (inner if inner in self.modules else package), node.lineno
            elif isinstance(node, ast.Constant) and "." in str(node.value) and node.value in self.modules:
                yield str(node.value), node.lineno  # for importlib
            elif isinstance(node, ast.Call) and ast.unparse(node.func) in ("task_modules.load", "load") and node.args:
                yield f"tasks.{ast.literal_eval(node.args[0])}", node.lineno  # inferno.task_modules

    def arrows(self) -> dict[tuple[str, str], list[str]]:
        """From package to package, each with the lines that draw it."""
        found = defaultdict(list)
        for module, path in self.modules.items():
            for target, line in self.imports(module):
                ends = package_of(module), package_of(target)
                if target.split(".")[0] in ("inferno", "tasks", "rig", "tests") and ends[0] != ends[1]:
                    found[ends].append(f"{path.relative_to(self.root)}:{line} imports {target}")
        return found

    def wrong(self) -> list[str]:
        """The arrows that do not go down."""
        return [
            line
            for (package, target), lines in sorted(self.arrows().items())
            if package != "rig" and target != "inferno" and FLOOR.get(target, len(LAYERS)) >= FLOOR.get(package, -1)
            for line in lines
        ]

    def circle(self) -> list[str]:
        """Modules that import each other in a loop, if there are any. A package is not one of the modules in it."""
        done: set[str] = set()

        def visit(module: str, trail: list[str]) -> list[str]:
            if module in trail:
                return [*trail[trail.index(module) :], module]
            if module in done:
                return []
            for target, _ in self.imports(module):
                if target in self.modules and (found := visit(target, [*trail, module])):
                    return found
            done.add(module)
            return []

        return next((found for module in self.modules if (found := visit(module, []))), [])


def package_of(module: str) -> str:
    """`inferno` itself, which knows its version; a package or module at its top; `tasks`; `rig`."""
    first, *rest = module.split(".")
    return rest[0] if first == "inferno" and rest else first


@pytest.fixture(scope="module")
def tree() -> Tree:
    return Tree(CHECKOUT)


def test_every_arrow_goes_down(tree: Tree) -> None:
    assert tree.wrong() == []


def test_no_module_imports_itself_by_a_detour(tree: Tree) -> None:
    assert tree.circle() == []


def test_every_package_is_in_one_layer(tree: Tree) -> None:
    packages = {package_of(module) for module in tree.modules} - {"inferno", "rig"}
    assert packages == set(FLOOR)
    assert sum(map(len, LAYERS)) == len(FLOOR)


def test_the_rig_is_a_tool_of_its_own(tree: Tree) -> None:
    assert [line for (package, _), lines in tree.arrows().items() if package == "rig" for line in lines] == []


def test_the_name_of_the_rig_is_its_own() -> None:
    """pytest's importlib mode calls a package by its path below the topmost folder with an __init__.py: `tests/` has
    none, so `tests/rig` would be imported as `rig`, in the tool's place."""
    assert not (CHECKOUT / "tests/rig/__init__.py").exists()


def test_nothing_of_the_product_knows_the_rig_or_the_tests(tree: Tree) -> None:
    arrows = tree.arrows().items()
    assert [lines for (package, target), lines in arrows if package != "rig" and target in ("rig", "tests")] == []


def test_packages_say_what_they_are_for_and_import_nothing(tree: Tree) -> None:
    for path in tree.modules.values():
        if path.name == "__init__.py":
            first, *rest = ast.parse(path.read_text()).body
            assert ast.get_docstring(ast.Module([first], [])), path
            assert not [node for node in rest if not isinstance(node, ast.Assign)], path


def test_the_top_of_the_library_is_taken_in_at_a_look() -> None:
    entries = [path.name for path in (CHECKOUT / "inferno").iterdir() if path.name != "__pycache__"]
    assert len(entries) <= MAX_ENTRIES, entries


@pytest.mark.parametrize(
    ("path", "text", "wrong"),
    [
        ("inferno/disk/scratch.py", "from inferno.state import paths", False),
        ("inferno/disk/scratch.py", "from inferno import life", True),
        ("inferno/disk/scratch.py", "import inferno.life", True),
        ("inferno/disk/scratch.py", "def f():\n    from inferno.life.start import run", True),
        ("inferno/disk/scratch.py", "if TYPE_CHECKING:\n    from ..life import start", True),
        ("inferno/disk/scratch.py", "import_module('inferno.life.start')", True),
        ("inferno/disk/scratch.py", "from inferno.net import tap", True),  # of the same layer
        ("inferno/console/help.py", "from tasks.start import launch", True),
        ("inferno/console/help.py", "from inferno import task_modules\ntask_modules.load('start')", True),
        ("inferno/cli/main.py", "from inferno import task_modules\ntask_modules.load('start')", False),
        ("inferno/watch/thing.py", "load('start')", True),
        ("tasks/start.py", "from . import create", False),
        ("tasks/start.py", "from inferno.cli import main", True),
        ("inferno/new/thing.py", "from inferno.base import errors", True),  # of a package in no layer
    ],
)
def test_what_goes_up_is_seen(tmp_path: Path, path: str, text: str, wrong: bool) -> None:
    names = ("life/start", "net/tap", "state/paths", "base/errors", "cli/main", "task_modules")
    for name in (*(f"inferno/{name}.py" for name in names), "inferno/life/__init__.py", "tasks/create.py", path):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text if name == path else "")
    assert bool(Tree(tmp_path).wrong()) is wrong


def test_a_circle_is_seen(tmp_path: Path) -> None:
    for name, target in (("one", "two"), ("two", "three"), ("three", "one")):
        (tmp_path / "inferno/base").mkdir(parents=True, exist_ok=True)
        (tmp_path / f"inferno/base/{name}.py").write_text(f"from inferno.base import {target}\n")
    assert len(Tree(tmp_path).circle()) == 4
