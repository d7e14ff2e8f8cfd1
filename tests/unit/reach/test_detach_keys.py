"""The keys that leave a terminal: Docker's words for them, and what of what is typed is the guest's."""

from __future__ import annotations

import itertools

import pytest

from inferno.base.errors import UsageError
from inferno.reach.detach_keys import DEFAULT, LeavingKeys, parse


@pytest.mark.parametrize(
    ("text", "keys"),
    [
        ("", DEFAULT),
        ("ctrl-p,ctrl-q", DEFAULT),
        ("a", b"a"),
        ("ctrl-a,x,X,1", b"\x01xX1"),
        ("ctrl-@,ctrl-z,ctrl-[,ctrl-\\,ctrl-],ctrl-^,ctrl-_", b"\x00\x1a\x1b\x1c\x1d\x1e\x1f"),
        ("DEL", b"\x7f"),
        ("~,.", b"~."),
    ],
)
def test_keys_are_written_as_docker_has_them(text: str, keys: bytes) -> None:
    assert parse(text) == keys


@pytest.mark.parametrize("text", [",", "a,", "ctrl-", "ctrl-A", "ctrl-1", "Ctrl-a", "del", "ab", "ctrl-aa", "ü", "a b"])
def test_what_is_not_a_key_is_one_line(text: str) -> None:
    with pytest.raises(UsageError, match="is not a key"):
        parse(text)


def typed(keys: LeavingKeys, *pieces: bytes) -> bytes:
    """What the guest gets of these, with nothing released between them."""
    return b"".join(map(keys.pass_on, pieces))


@pytest.mark.parametrize("keys", [b"\x10\x11", b"aab", b"abab", b"x"])
def test_everything_else_arrives_in_order_however_it_is_cut(keys: bytes) -> None:
    """Every word of the keys' own letters and another, of up to five, in two pieces, with a pause between or not."""
    for length, pause in itertools.product(range(1, 6), (False, True)):
        for letters in itertools.product([*sorted(set(keys)), ord("z")], repeat=length):
            word = bytes(letters)
            for at in range(length + 1):
                leaving = LeavingKeys(keys)
                got = leaving.pass_on(word[:at])
                passed = leaving.release() if pause else b""
                if not leaving.left:
                    got += passed + leaving.pass_on(word[at:])
                assert leaving.left == (keys in word)
                if not leaving.left:
                    assert got + leaving.release() == word
                elif not pause:
                    assert got == word[: word.index(keys)]
                else:
                    assert word.startswith(got)


@pytest.mark.parametrize("pieces", [(b"a\x10", b"b"), (b"\x10", b"\x10", b"\x1b[A"), (b"\x11\x10", b"\r\x11")])
def test_keys_that_are_not_held_back_are_the_guests_at_once(pieces: tuple[bytes, ...]) -> None:
    leaving = LeavingKeys(holds=False)
    for piece in pieces:
        assert (leaving.pass_on(piece), leaving.holding, leaving.left) == (piece, False, False)


@pytest.mark.parametrize("pieces", [(b"a\x10", b"\x11b"), (b"a", b"\x10\x10", b"\x11")])
def test_keys_that_are_not_held_back_leave_too(pieces: tuple[bytes, ...]) -> None:
    leaving = LeavingKeys(holds=False)
    assert typed(leaving, *pieces) == b"".join(pieces).partition(b"\x11")[0]
    assert leaving.left


def test_nothing_is_held_but_the_front_of_the_keys() -> None:
    leaving = LeavingKeys()
    assert (leaving.pass_on(b"ab\x10"), leaving.holding) == (b"ab", True)
    assert (leaving.release(), leaving.holding) == (b"\x10", False)
    assert (leaving.pass_on(b"\x11"), leaving.left) == (b"", True)
