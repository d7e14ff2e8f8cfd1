"""Our NamedTuple beside the one of `typing`: the same class body, the same behaviour."""

import copy
import pickle
import typing
from typing import Any

import pytest

from inferno.base.named_tuple import NamedTuple


class Ours(NamedTuple):
    """A point."""

    x: int
    y: int = 2
    label: str = "there"

    @property
    def total(self) -> int:
        return self.x + self.y


class Typings(typing.NamedTuple):
    """A point."""

    x: int
    y: int = 2
    label: str = "there"

    @property
    def total(self) -> int:
        return self.x + self.y


class Even(Ours):
    def __new__(cls, half: int) -> "Even":
        return super().__new__(cls, 2 * half)


@pytest.mark.parametrize("kind", [Ours, Typings])
def test_values_come_by_position_by_name_and_by_default(kind: Any) -> None:
    assert kind(1) == kind(1, 2) == kind(x=1) == kind(1, label="there") == kind(y=2, x=1) == (1, 2, "there")
    assert kind(1, 5).total == 6
    assert (kind._fields, kind._field_defaults) == (("x", "y", "label"), {"y": 2, "label": "there"})
    assert kind.__match_args__ == kind._fields


@pytest.mark.parametrize("kind", [Ours, Typings])
@pytest.mark.parametrize("values, named", [((), {}), ((1, 2, "a", 4), {}), ((1,), {"x": 1}), ((1,), {"z": 1})])
def test_values_that_do_not_fit_are_refused(kind: Any, values: tuple[object, ...], named: dict[str, object]) -> None:
    with pytest.raises(TypeError, match=r"__new__|Ours"):
        kind(*values, **named)


@pytest.mark.parametrize("kind", [Ours, Typings])
def test_a_value_is_replaced_in_a_copy_and_by_its_name_only(kind: Any) -> None:
    value = kind(1)
    assert value._replace(y=9) == (1, 9, "there")
    assert value._asdict() == {"x": 1, "y": 2, "label": "there"}
    with pytest.raises(ValueError, match="z"):
        value._replace(z=1)
    with pytest.raises(AttributeError):
        value.x = 3
    with pytest.raises(AttributeError):
        value.other = 3


@pytest.mark.parametrize("kind", [Ours, Typings])
def test_a_value_is_shown_copied_and_pickled_as_it_is(kind: Any) -> None:
    value = kind(1)
    assert repr(value) == f"{kind.__name__}(x=1, y=2, label='there')"
    for other in (copy.copy(value), copy.deepcopy(value), pickle.loads(pickle.dumps(value))):
        assert (other, type(other)) == (value, kind)


def test_a_subclass_has_the_fields_of_its_base_and_may_make_them_of_something_else() -> None:
    assert Even(3)._replace(y=1) == (6, 1, "there")
    assert (Even(3).x, Even(3)._asdict()) == (6, {"x": 6, "y": 2, "label": "there"})
    with pytest.raises(AttributeError):
        Even(3).other = 1  # type: ignore[attr-defined]


def test_a_field_without_a_default_may_not_follow_one_with_a_default() -> None:
    with pytest.raises(TypeError, match="follows"):
        type(NamedTuple)("Wrong", (NamedTuple,), {"__annotations__": {"a": int, "b": int}, "a": 1})
