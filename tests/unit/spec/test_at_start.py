"""--secret and --env-file --at-start: names and paths are kept, and no file is opened."""

from __future__ import annotations

from pathlib import Path

import pytest

from inferno.base.errors import UsageError
from inferno.spec import at_start
from inferno.spec.at_start import Secret
from inferno.spec.create_options import asked, merge
from tests.asked import given


def typed(saved: dict[str, object], *words: str) -> dict[str, object]:
    """What a VM's spec is after a create with these words."""
    return merge({"image": "box", **saved}, asked(given(*words)), "web1").to_json()


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("db", Secret("db", "/etc/inferno/secrets/db")),
        ("TLS_key.pem=/srv/key", Secret("TLS_key.pem", "/srv/key")),
        ("a=/with=equals, and space", Secret("a", "/with=equals, and space")),
        ("_" * 64, Secret("_" * 64, "/etc/inferno/secrets/" + "_" * 64)),
    ],
)
def test_a_name_and_where_its_file_is(word: str, expected: Secret) -> None:
    assert at_start.secret(word) == expected


@pytest.mark.parametrize(
    "word",
    [
        *("", "=", "=/a", ".", "..", ".a", "-a", "a/b", "../a=/b", "a b=/c", "ü=/c", "a\n=/b", "_" * 65),
        *("a=", "a=b", "a=/b\0", "a=/dev/stdin", "a=/proc/self/fd/3", "a=/" + "x" * 4096, "a=/\ud800"),
        *("id=db,src=/a", "source=db,target=/x", "type=env,id=A"),
    ],
)
def test_what_is_no_secret_is_refused(word: str) -> None:
    with pytest.raises(UsageError):
        at_start.check_secrets([word])


def test_relative_files_are_those_of_the_folder_of_create(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    spec = typed({}, "--secret", "a=key", "--secret", "b", "--secret", "c=/c", "--env-file", "../env", "--at-start")
    assert spec["secret"] == [f"a={tmp_path}/key", "b", "c=/c"]
    assert spec["at_start"] == [f"{tmp_path}/../env"]
    assert spec["env"] == []


def test_each_of_them_replaces_what_was_given_before(tmp_path: Path) -> None:
    (tmp_path / "env").write_text("A=file\n")
    file = str(tmp_path / "env")
    before = typed({}, "--secret", "a", "--env-file", file, "-e", "B=2")
    assert (before["env"], before["at_start"]) == (["A=file", "B=2"], [])
    later = typed(before, "--env-file", file, "--at-start")
    assert (later["env"], later["at_start"]) == ([], [file]), "no value of the file stays in the database"
    both = typed(later, "-e", "B=3", "--env-file", "/other", "--at-start")
    assert (both["env"], both["at_start"]) == (["B=3"], ["/other"])
    assert typed(both, "-e", "B=4") == both | {"env": ["B=4"]}
    again = typed(both, "--env-file", file)
    assert (again["env"], again["at_start"]) == (["A=file"], [])
    assert typed(both, "--env-file", "", "--at-start") == both | {"at_start": []}
    assert typed(both, "--secret", "") == both | {"secret": []}
    assert typed(both, "--secret", "c") == both | {"secret": ["c"]}


def test_at_start_alone_says_what_is_missing() -> None:
    with pytest.raises(UsageError, match="--at-start needs --env-file"):
        asked(given("--at-start"))


def test_there_is_an_end_to_how_many_there_are() -> None:
    at_start.check_secrets([f"s{number}" for number in range(64)])
    with pytest.raises(UsageError, match="at most 64"):
        at_start.check_secrets([f"s{number}" for number in range(65)])
    with pytest.raises(UsageError, match="at most 16"):
        at_start.check_files(["/a"] * 17)
