"""What --user takes, beside what init makes of it: guest/src/user.rs, of which the golden table is."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from inferno.base.errors import UsageError
from inferno.spec import user

INIT = (Path(__file__).resolve().parents[3] / "guest/src/user.rs").read_text()
# (spec, what becomes of it: "-" where init refuses it) of init's own table.
INITS = re.findall(r'^        \("([^"\\]*)", "([^"]*)", "[^"]*"\),$', INIT, re.MULTILINE)


def taken(word: str) -> bool:
    try:
        user.check(word, "--user")
    except UsageError as error:
        assert error.text.startswith("--user '") and error.hint and len(error.text) < 200
        return False
    return True


def test_whatever_init_can_make_something_of_is_taken() -> None:
    assert len(INITS) > 50
    assert [spec for spec, made in INITS if made != "-" and not taken(spec)] == []


@pytest.mark.parametrize(
    "word",
    [
        *("4294967296", "2147483648", "1:4294967295", "-1", "1:-1", "+2147483648", "9" * 5000, "0" * 10 + "9" * 10),
        *("1:2:3", "a:b:", "::", " 1", "1 ", "a :b", "a: b", "\tweb", "web\n", "a\0", "we\x1bb", "\u00a0web"),
    ],
)
def test_what_no_image_can_make_good_is_refused(word: str) -> None:
    assert not taken(word)


@pytest.mark.parametrize(
    "word", ["", "0", "-0", "+101", "0" * 100, "2147483647:2147483647", ":adm", "web:", "a b", "web$", "DOM\\web", "ü"]
)
def test_what_an_image_may_have_is_taken(word: str) -> None:
    assert taken(word)


def test_init_has_the_same_bound() -> None:
    assert "const MAX_ID: u32 = i32::MAX as u32;" in INIT and user.MAX_ID == 2**31 - 1
