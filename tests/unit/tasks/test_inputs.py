"""What a task's inputs are told by: files that must be there, and such as may not have been made yet."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from inferno.base.errors import InfernoError
from inferno.base.files import identity, identity_if_there
from inferno.version import configs, host_facts, initrd, plan
from inferno.wire import models, render, shared
from tasks.engine.inputs import Unchanged


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


def test_what_renders_a_vm_is_there_and_an_input(tmp_path: Path) -> None:
    assert {Path(module.__file__) for module in (render, host_facts, initrd, configs, models, shared)} == set(
        plan.MAKERS
    )
    copies = tuple(Path(shutil.copy(path, tmp_path)) for path in plan.MAKERS)
    for copy in copies:
        inputs = Unchanged(lambda: {"Inferno": plan.makers(copies)})
        saved = {"inputs": inputs._digests()}
        assert inputs.changed(saved) == []
        copy.write_text(f"{copy.read_text()}\n# another Inferno's")
        assert inputs.changed(saved) == ["Inferno"]
