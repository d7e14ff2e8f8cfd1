"""Records: what is read is what the type says, or an error names the place and the field."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import pytest

from inferno.base import records
from inferno.base.records import BadRecordError


class Part(NamedTuple):
    digest: str
    size: int = 0


@dataclass(frozen=True, slots=True)
class Asked:
    image: str
    words: list[str] = field(default_factory=list)


class Whole(NamedTuple):
    name: str
    flag: bool
    code: Annotated[int, range(256)] | None
    share: float
    kind: Literal["file", "lvm"]
    pair: tuple[int, int]
    lines: tuple[str, ...]
    parts: list[Part]
    by_name: dict[str, Part]
    asked: Asked
    either: int | str
    anything: object = None
    later: str | None = None


GOOD: dict[str, Any] = {
    "name": "web1",
    "flag": True,
    "code": 255,
    "share": 1,
    "kind": "lvm",
    "pair": [1, 2],
    "lines": ["a", "é"],
    "parts": [{"digest": "d", "size": 3}],
    "by_name": {"x": {"digest": "e", "size": 0}},
    "asked": {"image": "nginx", "words": ["w"]},
    "either": "text",
    "anything": {"deep": [None, 1.5]},
    "later": None,
}


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    found = records.of(Whole, GOOD, "here")
    assert found.parts == [Part("d", 3)]
    assert found.asked == Asked("nginx", ["w"])
    assert found.pair == (1, 2)
    assert records.plain(found) == GOOD
    assert list(records.plain(found)) == list(Whole._fields)
    assert records.write(tmp_path / "it.json", found, 0o600)
    assert not records.write(tmp_path / "it.json", found, 0o600)
    assert (tmp_path / "it.json").stat().st_mode & 0o777 == 0o600
    assert records.read(Whole, tmp_path / "it.json") == found


def test_what_may_be_missing_has_its_default() -> None:
    found = records.of(Asked, {"image": "x"}, "here")
    assert found == Asked("x")
    assert records.of(Part, {"digest": "d"}, "here").size == 0


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"name": 1}, "name is an integer, not a string"),
        ({"name": None}, "name is null, not a string"),
        ({"flag": 1}, "flag is an integer, not true or false"),
        ({"code": True}, "code is true or false, not an integer"),
        ({"code": 1.0}, "code is a number, not an integer"),
        ({"code": 256}, "code is out of range: 0 to 255"),
        ({"code": -1}, "code is out of range: 0 to 255"),
        ({"share": "1"}, "share is a string, not a number"),
        ({"share": True}, "share is true or false, not a number"),
        ({"kind": "ext4"}, "kind is not one of file, lvm"),
        ({"kind": ["file"]}, "kind is not one of file, lvm"),
        ({"pair": [1]}, "pair has 1 entries, not 2"),
        ({"pair": [1, "2"]}, "pair.[1] is a string, not an integer"),
        ({"lines": "a"}, "lines is a string, not a list"),
        ({"lines": ["a", None]}, "lines.[1] is null, not a string"),
        ({"parts": [{"digest": "d"}, {"size": 1}]}, "parts.[1].digest is missing"),
        ({"by_name": []}, "by_name is a list, not an object"),
        ({"by_name": {"a\nb": {"digest": 1}}}, "by_name.a\\nb.digest is an integer, not a string"),
        ({"asked": {"image": "x", "words": [1]}}, "asked.words.[0] is an integer, not a string"),
        ({"asked": {"image": "x", "memory": 1}}, "asked.memory is not a field that this Inferno knows"),
        ({"either": []}, "either is a list, not a string"),
        ({"more\x1b": 1}, "more\\x1b is not a field that this Inferno knows"),
    ],
)
def test_what_is_wrong_is_named_by_place_and_field(change: dict[str, Any], says: str) -> None:
    with pytest.raises(BadRecordError) as caught:
        records.of(Whole, {**GOOD, **change}, "/a/version.json")
    assert caught.value.text == f"/a/version.json: {says}"


@pytest.mark.parametrize("name", ["name", "asked", "pair"])
def test_what_is_missing_is_named(name: str) -> None:
    with pytest.raises(BadRecordError, match=f"here: {name} is missing"):
        records.of(Whole, {key: value for key, value in GOOD.items() if key != name}, "here")


@pytest.mark.parametrize("text", [b"", b"{", b"\xff", b"[" * 100_000, b"NaN", b'{"digest": "d", "size": Infinity}'])
def test_what_is_not_json_is_said_to_be_none(text: bytes) -> None:
    with pytest.raises(BadRecordError, match="here is not JSON"):
        records.parse(Part, text, "here")


def test_what_is_not_an_object_is_not_a_record() -> None:
    with pytest.raises(BadRecordError, match=r"here: it is a list, not an object"):
        records.parse(Part, b"[]", "here")


def test_another_releases_fields_are_left_out_where_that_is_allowed() -> None:
    text = json.dumps({**GOOD, "new": 1, "asked": {"image": "x", "memory": 1}})
    found = records.parse(Whole, text, "here", newer=True)
    assert found.asked == Asked("x")
    with pytest.raises(BadRecordError, match=r"asked\.memory|new"):
        records.parse(Whole, text, "here")


def test_an_error_shows_no_value() -> None:
    with pytest.raises(BadRecordError) as caught:
        records.of(Asked, {"image": "x", "words": ["ok", {"PASSWORD": "s3cret"}]}, "here")
    assert "s3cret" not in caught.value.text
    assert "PASSWORD" not in caught.value.text


def test_a_type_that_json_has_not_is_refused_where_it_is_written() -> None:
    class Odd(NamedTuple):
        path: Path

    with pytest.raises(TypeError, match="a record cannot hold"):
        records.of(Odd, {"path": "/"}, "here")


def test_reading_records_loads_no_heavy_module() -> None:
    """`infernoctl list` reads some."""
    code = (
        "import sys; import inferno.base.records; print([m for m in ('dataclasses', 'pydantic') if m in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout == "[]\n"
