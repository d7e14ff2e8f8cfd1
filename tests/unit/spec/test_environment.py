"""--env and --env-file, as Docker reads them (its opts/env.go and pkg/kvfile, by what they do with these lines)."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from inferno.base.errors import UsageError
from inferno.spec.create_options import asked, merge
from inferno.spec.environment import environment
from tests.asked import given


def read(tmp_path: Path, data: bytes, **here: str) -> list[str]:
    (tmp_path / "env").write_bytes(data)
    return environment([], [str(tmp_path / "env")], here)


def test_files_come_first_in_their_order_and_then_what_was_given(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("A=a\nB=a\nHERE\n")
    (tmp_path / "b").write_text("B=b\nNOWHERE\n")
    words = ["A=given", "HERE", "NOWHERE", "EMPTY="]
    found = environment(words, [str(tmp_path / "a"), str(tmp_path / "b")], {"HERE": "x=y"})
    assert found == ["A=a", "B=a", "HERE=x=y", "B=b", "A=given", "HERE=x=y", "EMPTY="]


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", []),
        (b"\xef\xbb\xbfA=1\nB=2", ["A=1", "B=2"]),
        (b"\xef\xbb\xbf# a remark\r\nA=1\r\n\r\n", ["A=1"]),
        (b"A=1\xef\xbb\xbf\n", ["A=1\ufeff"]),  # only in front is it a mark
        (b"A=1\r\nB=2\r\n", ["A=1", "B=2"]),
        (b"A=1\r\r\nB=a\rb\n", ["A=1\r", "B=a\rb"]),
        (b"  A=1\n\t# a remark\n \t \n#B=2\n", ["A=1"]),
        (b"A= 1 \nB=\t\n", ["A= 1 ", "B=\t"]),
        (b"A='1'\nB=\"$A\"\nC=a # b\nD=a\\n\n", ["A='1'", 'B="$A"', "C=a # b", "D=a\\n"]),
        (b"A=b=c\nB=\nC==\n", ["A=b=c", "B=", "C=="]),
        ("A=grüß\u2028dich\x0b\x0c\x1c\x85\n".encode(), ["A=grüß\u2028dich\x0b\x0c\x1c\x85"]),
        (b"A=1\nA=2\n", ["A=1", "A=2"]),
        (b"HERE\nNOWHERE\n  HERE\r\n", ["HERE=x", "HERE=x"]),
        (b"a.b-c/d=1\n1=2\n", ["a.b-c/d=1", "1=2"]),
    ],
)
def test_lines_of_a_file(tmp_path: Path, data: bytes, words: list[str]) -> None:
    assert read(tmp_path, data, HERE="x") == words


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"A=1\n=2\n", "line 2: there is no name before the '='"),
        (b"\n\nexport A=1\n", "line 3: there is space in the name 'export A'"),
        (b"A =1\n", "line 1: there is space in the name 'A '"),
        (b"two words\n", "line 1: there is space in the name 'two words'"),
        (b"A=1\nB=\xff\n", "line 2: it is not UTF-8"),
        ("A=1\n".encode("utf-16"), "line 1: it is not UTF-8"),
        (b"A=\0\n", "line 1: it holds a NUL byte"),
    ],
)
def test_a_line_that_is_none_is_named_by_its_number(tmp_path: Path, data: bytes, says: str) -> None:
    with pytest.raises(UsageError) as error:
        read(tmp_path, data)
    assert error.value.text == f"--env-file {tmp_path / 'env'}, {says}"


def test_files_that_cannot_be_read_are_refused(tmp_path: Path) -> None:
    for name in (tmp_path / "none", tmp_path, "", "a\0b"):
        with pytest.raises(UsageError, match=r"^--env-file '"):
            environment([], [str(name)], {})
    with pytest.raises(UsageError, match="more than 1048576 bytes"):
        environment([], ["/dev/zero"], {})


def test_a_file_may_be_a_pipe(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    os.write(writer, b"A=1\n")
    os.close(writer)
    assert environment([], [f"/dev/fd/{reader}"], {}) == ["A=1"]
    os.close(reader)


@pytest.mark.parametrize("word", ["", "=", "=x", "A=\0", "A\0"])
def test_what_is_no_variable_is_refused(word: str) -> None:
    with pytest.raises(UsageError, match="NAME=value"):
        environment([word], [], {})


def test_one_that_is_not_set_here_replaces_what_was_asked_before_by_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOWHERE", raising=False)
    saved = merge({"image": "box"}, {"env": ["A=1"]}, "web1").to_json()
    assert merge(saved, asked(given("-e", "NOWHERE")), "web1").env == []
    monkeypatch.setenv("NOWHERE", "there")
    assert merge(saved, asked(given("-e", "NOWHERE")), "web1").env == ["NOWHERE=there"]
