"""Stacks of layers as mounted bases, beside what the judges of tests/stack_judges.py make of them."""

from __future__ import annotations

import tarfile
from pathlib import Path

import pytest

from tests import plain_unpacker, stack_judges
from tests.images import Member, directory, file, hard_link, symlink, whiteout

FIFO = Member("c/c", tarfile.FIFOTYPE)
# What random stacks were shrunk to where one of the judges had differed, or refused one.
FOUND = {
    "a link to what is hidden, on a way that is replaced": [
        [FIFO], [symlink("c/a", ".")],
        [Member("c", tarfile.CHRTYPE, device=(1, 3)), hard_link("n", "c/c"), whiteout("c/a/a/c")],
    ],
    "a whiteout that hides the way to another": [
        [symlink("a", "."), symlink("b", "..")], [whiteout("a/b/a/a"), whiteout("a/b")],
    ],
    "the note of an opaque folder twice, once over a link": [
        [symlink("a", "b")], [directory("a"), directory("a/lib"), Member("a/.wh..wh..opq")],
        [Member("a/.wh..wh..opq")],
    ],
    "an entry in the place of a file, behind a link over what is missing": [
        [file("b/b")], [symlink("d", "no/../b"), file("d/b/c/c")],
    ],
    "a whiteout behind a link over what is missing": [
        [symlink("d", "no/../b"), symlink("d/a", "lib")], [whiteout("d/a")],
    ],
    "a hard link to what makes room for its folder": [[file("lib")], [hard_link("lib/c", "lib")]],
    "the note of an opaque folder at a link, behind a link over what is missing": [
        [symlink("b", "."), symlink("c", "no/../b"), file("f")], [Member("c/b/.wh..wh..opq")],
    ],
    "a folder that is replaced by a file, by another path": [
        [symlink("b", "."), directory("a", mtime=1_111_111_111), file("b/a", b"x")],
    ],
    "a folder that is replaced by a link to a file, by another path": [
        [file("f")], [symlink("b", "."), directory("a", mtime=1_111_111_111), symlink("b/a", "f")],
    ],
    "a folder whose name leads to nothing when its layer ends": [
        [symlink("b", "."), directory("b/b")],
    ],
    "a folder whose name leads to a file when its layer ends": [
        [directory("c"), file("c/e"), symlink("x", "."), symlink("b", "."), directory("b/e"), symlink("x/b", "c")],
    ],
    "a folder by a name with a way back": [[directory("a/../c/d")]],
}  # fmt: skip
# How many members umoci and Docker get in each layer; None is nothing. tests/stack_judges.py says why.
FOR_OTHERS: dict[str, tuple[list[int], list[int] | None]] = {
    "a whiteout behind a link over what is missing": ([2, 1], [2, 1]),
    "the note of an opaque folder at a link, behind a link over what is missing": ([3, 0], [3, 0]),
    "a folder that is replaced by a file, by another path": ([3], [2]),
    "a folder that is replaced by a link to a file, by another path": ([1, 3], [1, 2]),
    "a folder whose name leads to nothing when its layer ends": ([2], [2]),
    "a folder whose name leads to a file when its layer ends": ([6], None),
    "a folder by a name with a way back": ([1], [1]),
}


@pytest.mark.root
@pytest.mark.parametrize("stack", FOUND.values(), ids=FOUND)
def test_stacks_that_were_found_by_chance(stack: list[list[Member]], tmp_path: Path) -> None:
    if lacks := stack_judges.lacking():
        pytest.skip(lacks)
    placed, _ = stack_judges.agree_with_plain(tmp_path, stack)
    assert placed.stack == stack


@pytest.mark.root
@pytest.mark.parametrize(("name", "lengths"), FOR_OTHERS.items(), ids=FOR_OTHERS)
def test_what_other_judges_get_of_a_stack(
    name: str, lengths: tuple[list[int], list[int] | None], tmp_path: Path
) -> None:
    placed = plain_unpacker.unpack(tmp_path, FOUND[name])
    found = [each and [*map(len, each)] for each in (placed.others, placed.for_docker)]
    assert tuple(found) == lengths


@pytest.mark.root
@pytest.mark.parametrize("seed", range(5))
def test_random_stacks_come_out_as_a_plain_unpacker_has_them(seed: int, tmp_path: Path) -> None:
    """A few; `make soak layers` goes on."""
    if lacks := stack_judges.lacking():
        pytest.skip(lacks)
    stack_judges.check(seed, tmp_path, with_umoci=False)
