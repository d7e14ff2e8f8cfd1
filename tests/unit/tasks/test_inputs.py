"""What a task's inputs are told by: files that must be there, and such as may not have been made yet."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from inferno import task_modules
from inferno.base.errors import InfernoError
from inferno.base.files import identity, identity_if_there
from inferno.version import plan
from tests.unit.test_layers import CHECKOUT, Tree

Unchanged = task_modules.load("engine.inputs").Unchanged
TREE = Tree(CHECKOUT)


def test_a_lost_input_is_an_error_and_not_one_more_value(tmp_path: Path) -> None:
    lost = tmp_path / "lost"
    with pytest.raises(InfernoError, match=r"lost is an input, and missing$"):
        identity(lost)
    inputs = Unchanged(lambda: {"lost": identity(lost)})
    assert inputs(None, {"inputs": {}}) is False
    assert inputs.changed({"inputs": {}}) == [f"{lost} is an input, and missing"]


def test_a_product_may_not_be_there_yet(tmp_path: Path) -> None:
    product = tmp_path / "product"
    assert identity_if_there(product) is None
    product.write_text("made")
    assert identity_if_there(product) == identity(product)


def imported(module: str, found: set[str]) -> set[str]:
    """The modules of ours that a module imports, those that they import too, and itself."""
    if module not in found:
        found.add(module)
        for name in {each for each, _ in TREE.imports(module)} & set(TREE.modules):
            imported(name, found)
    return found


def test_whatever_renders_a_vm_is_an_input() -> None:
    renders = {"inferno.wire.render", "inferno.wire.cpio"}
    found = {each for start in renders for each in imported(start, set())}
    others = {each for each in found if each.split(".")[1] in ("base", "settings")}
    here = {
        "inferno.image.oci_config",
        *(f"inferno.version.{name}" for name in ("configs", "host_facts", "initrd", "plan")),
    }
    assert {TREE.modules[name] for name in (found - others) | here if TREE.modules[name].stem != "__init__"} == set(
        plan.MAKERS
    )


def test_an_edit_of_what_renders_is_a_change(tmp_path: Path) -> None:
    copies = tuple(Path(shutil.copy(path, tmp_path)) for path in plan.MAKERS)
    for copy in copies:
        inputs = Unchanged(lambda: {"Inferno": plan.makers(copies)})
        saved = {"inputs": inputs._digests()}
        assert inputs.changed(saved) == []
        copy.write_text(f"{copy.read_text()}\n# another Inferno's")
        assert inputs.changed(saved) == ["Inferno"]
