"""When an artifact is up to date, and how little is read to find that out."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from inferno.artifact import crates
from inferno.artifact.made import Artifact
from inferno.base.progress import quiet
from inferno.settings import CHECKOUT, Settings, load_settings


class Made:
    """An artifact made of one file, and how often that was read."""

    def __init__(self, folder: Path) -> None:
        self.source = folder / "main.rs"
        self.source.write_text("fn main() {}")
        self.settings: Settings = load_settings(
            {"INFERNO_SHARE_DIR": str(folder), "INFERNO_ROOT": str(folder / "root")}
        )
        self.read = 0
        self.artifact = Artifact("box", ("box",), self._made_from, lambda *_: None, self._seen)
        self.artifact.make(self.settings, quiet)
        self.read = 0

    def _made_from(self, _: Settings) -> dict[str, object]:
        self.read += 1
        return {"sources": crates.digest([str(self.source)], CHECKOUT)}

    def _seen(self) -> str:
        return crates.identities([str(self.source)])

    def is_current(self) -> bool:
        return self.artifact.is_current(self.settings)


@pytest.fixture
def made(tmp_path: Path) -> Made:
    return Made(tmp_path)


def test_sources_are_not_read_while_the_file_system_says_that_none_has_changed(made: Made) -> None:
    assert made.is_current()
    assert made.read == 0


def test_sources_that_only_look_changed_are_read_and_found_to_be_the_same(made: Made) -> None:
    os.utime(made.source, ns=(1, 1))
    assert made.is_current()
    assert made.read == 1


def test_sources_that_have_changed_make_it_anew(made: Made) -> None:
    made.source.write_text("fn main() { }")
    assert not made.is_current()
    other = made.source.with_name("other.rs")
    other.write_text("fn main() {  ")
    os.replace(other, made.source)
    assert not made.is_current()


def test_a_stamp_of_an_inferno_before_is_read_too(made: Made, tmp_path: Path) -> None:
    stamp = tmp_path / "box.made.json"
    stamp.write_text(json.dumps({"sources": json.loads(stamp.read_text())["sources"]}))
    assert made.is_current()
    assert made.read == 1


def test_every_source_and_the_toolchain_are_among_what_is_looked_at(tmp_path: Path) -> None:
    """A file more, one less, and a folder more in a folder."""
    before = crates.identities(crates.sources("kiln", CHECKOUT))
    assert before == crates.identities(crates.sources("kiln", CHECKOUT))
    source = tmp_path / "kiln/src"
    (source / "deep").mkdir(parents=True)
    found = [crates.identities(crates.sources("kiln", tmp_path))]
    for name in ("main.rs", "deep/more.rs"):
        (source / name).touch()
        found.append(crates.identities(crates.sources("kiln", tmp_path)))
    assert len(set(found)) == 3
