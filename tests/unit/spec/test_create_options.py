"""A row per field: the options, the page, what is read, and what makes a new version come from it."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest

from inferno.base.errors import UsageError
from inferno.base.named_tuple import NamedTuple
from inferno.console.verbs.table import VERBS
from inferno.spec import create_options
from inferno.spec.create_options import ROWS, Spec, merge
from inferno.spec.option_row import Place, Row, take_rows
from inferno.wire import models
from tests.asked import given, typed

PAGE = Path(__file__).resolve().parents[3] / "docs/create-options.md"
BY_NAME = {row.name: row for row in ROWS}


def table() -> str:
    """The table of docs/create-options.md."""
    lines = ["| option | asks for | unless given | ends up in |", "|---|---|---|---|"]
    for row in ROWS:
        names = [f"-{row.short}"] if row.short else []
        names += [f"--{option.long}" for option in row.options()] or ["-- CMD…"]
        value = f"[={row.metavar}]" if row.bare else f" {row.metavar}".rstrip()
        words = ", ".join(f"`{name}{value if name == f'--{row.long}' else ''}`".replace("|", r"\|") for name in names)
        default = f"`{row.otherwise}`" if row.otherwise.isupper() else row.otherwise or "–"
        help_ = row.help.replace("|", r"\|")
        lines.append(f"| {words} | {help_} | {default} | {', '.join(f'`{place}`' for place in row.places)} |")
    return "\n".join(lines)


def test_the_page_has_the_table_of_the_rows() -> None:
    assert table() in PAGE.read_text(), f"put this table into {PAGE.name}:\n{table()}"
    for place in Place:
        assert f"`{place}`" in PAGE.read_text(), f"{PAGE.name} says nothing of what ends up in {place}"


def test_every_field_has_a_row_that_says_enough() -> None:
    assert list(Spec._fields) == list(create_options.FIELDS)
    assert [row.name for row in ROWS if not row.places] == []
    assert [row.name for row in ROWS if row.kind is not bool and not row.example] == []
    assert [row.name for row in ROWS if row.opposite and row.kind is not bool] == []
    names = [option.long for option in create_options.options()]
    assert len(names) == len(set(names))
    assert [option.long for option in VERBS["create"].options][: len(names)] == names


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_an_option_changes_its_own_field_and_no_other(row: Row) -> None:
    spec = merge({"image": "busybox"}, create_options.asked(given(*typed(row))), "web1").to_json()
    before = Spec("busybox").to_json()
    assert {name for name in spec if spec[name] != before[name]} == {row.name}
    merge(spec, {}, "web1")  # what was saved can be read again


def test_what_is_typed_is_read_as_docker_reads_it(tmp_path: Path) -> None:
    (tmp_path / "env").write_text("# ours\nA=1\nB=2\n")
    words = ("-m", "1g", "--entrypoint", "/bin/sh", "--env-file", str(tmp_path / "env"), "-e", "B=3", "-t")
    asked = create_options.asked(given(*words))
    env = {"env": ["A=1", "B=2", "B=3"], "at_start": []}
    assert asked == {"memory": 1024, "entrypoint": ["/bin/sh"], **env, "tty": True}
    assert create_options.asked(given("--entrypoint", "")) == {"entrypoint": []}
    assert create_options.asked(given("--pull", "always")) == {}


def test_init_alone_is_dockers() -> None:
    assert create_options.asked(given("--init")) == {"init": "inferno"}
    assert create_options.asked(given("--init", "--image", "process")) == {"init": "inferno", "image": "process"}
    assert create_options.asked(given("--init=process")) == {"init": "process"}
    assert get_args(models.Init) == create_options.INITS


@pytest.mark.parametrize("row", [row for row in ROWS if row.opposite], ids=lambda row: row.name)
def test_a_switch_is_taken_back_by_its_opposite(row: Row) -> None:
    saved = merge({"image": "busybox"}, {row.name: True}, "web1").to_json()
    assert getattr(merge(saved, create_options.asked(given()), "web1"), row.name) is True
    assert getattr(merge(saved, create_options.asked(given(f"--{row.opposite}")), "web1"), row.name) is False
    with pytest.raises(UsageError, match=f"--{row.long} and --{row.opposite} exclude each other"):
        create_options.asked(given(f"--{row.long}", f"--{row.opposite}"))


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ({"cpu_weight": 0}, "--cpu-weight 0"),
        ({"hostname": "-x"}, "--hostname '-x'"),
        ({"workdir": "srv"}, "--workdir 'srv'"),
        ({"workdir": "/a\0"}, "NUL"),
        ({"workdir": f"/{'n' * 256}"}, "--workdir: the name 'nnn"),
        ({"workdir": "/n" * 2048}, "--workdir: the path '/n/n"),
        ({"tmpfs": [f"/{'n' * 256}"]}, "--tmpfs: the name 'nnn"),
        ({"user": ":"}, "--user ':'"),
        ({"user": "a:b:c"}, "--user 'a:b:c'"),
        ({"user": "4294967296"}, "--user '4294967296': a number is out of range"),
        ({"cmd": ["sh", "x" * 131072]}, "an argument has 131072 bytes: 'xxx"),
        ({"env": [f"A={'ü' * 65535}"]}, "a variable has 131072 bytes: 'A=üüü"),
        ({"cmd": ["a\0"]}, "NUL"),
        ({"entrypoint": ["a\0"]}, "NUL"),
        ({"env": ["A"]}, "--env 'A'"),
        ({"init": "systemd"}, "--init 'systemd'"),
        ({"tmpfs": ["/a", "b"]}, "--tmpfs 'b'"),
        ({"ulimit": ["nofile=1", "files=1"]}, "--ulimit 'files=1'"),
        ({"io_max": "x=1"}, "--io-max 'x=1'"),
        ({"secret": ["a b"]}, "--secret 'a b'"),
        ({"secret": ["a", "a=/b"]}, "--secret a is given twice"),
        ({"at_start": ["relative"]}, "--env-file: 'relative'"),
        ({"memroy": 1}, "unknown field 'memroy'"),
        ({"image": ""}, "needs an image"),
    ],
)
def test_what_cannot_be_used_is_refused(asked: dict[str, object], says: str) -> None:
    with pytest.raises(UsageError) as error:
        merge({"image": "busybox"}, asked, "web1")
    assert says in error.value.text


def test_what_just_fits_is_taken() -> None:
    fits = {"workdir": "/n" * 2047 + "n", "cmd": ["sh", "x" * 131071], "tmpfs": [f"/{'n' * 255}"], "user": "2147483647"}
    merge({"image": "busybox"}, fits, "web1")
    merge({"image": "busybox"}, {"workdir": "", "user": ""}, "web1")  # the image's again


class Tomorrow(NamedTuple):
    """What is read at start, as fields that are planned are."""

    publish: list[str] = Row("ports", (Place.START,), list, default=[], example="80:80").field()
    label: list[str] = Row("words", (Place.NOTHING,), list, default=[], example="a=b").field()
    mtu: int | None = Row("of the network", (Place.START, Place.RUN), int, example="1400").field()


def test_what_only_a_start_reads_makes_no_version() -> None:
    rows = take_rows(Tomorrow)
    assert [(row.name, row.makes_version) for row in rows] == [("publish", False), ("label", False), ("mtu", True)]
    assert Tomorrow() == ([], [], None)
    spec = Spec("busybox")
    names = {"at_start", "secret", "dns", "dns_search", "dns_option", "add_host"}
    assert set(spec.to_json()) - set(spec.of_version()) == names
    assert spec.rendered_in(Place.START) == {name: [] for name in names}
    assert spec.rendered_in(Place.NOTHING, Place.CGROUP).keys() == {"vcpus", "memory", "cpu_weight", "io_max"}


def test_what_is_done_with_the_json_of_a_spec_changes_no_other_spec() -> None:
    env = Spec("busybox").to_json()["env"]
    assert isinstance(env, list)
    env.append("A=1")
    assert Spec("busybox").env == []
