"""What a task's inputs are told by: files that must be there, and such as may not have been made yet."""

from __future__ import annotations

from pathlib import Path

import pytest

from inferno.errors import InfernoError
from tasks import create
from tasks.engine.inputs import Unchanged, identity, identity_if_there


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


def test_what_renders_a_vm_is_there() -> None:
    assert len(create._makers()) == len(create._MAKERS) > 1
