"""The one parser of options: how they may be written, and how what cannot be read is refused."""

import pytest

from inferno.base.errors import UsageError
from inferno.console.options import Option, parse, split_command

TABLE = (
    Option("all", "", bool, short="a"),
    Option("tty", "", bool, short="t"),
    Option("env", "", list, short="e"),
    Option("env_file", "", list),
    Option("lines", "", int, short="n"),
    Option("format", "", choices=("table", "json")),
    Option("init", "", choices=("auto", "inferno"), bare="inferno"),
)


@pytest.mark.parametrize(
    ("line", "given", "others"),
    [
        ("", {}, []),
        ("web1 --all", {"all": True}, ["web1"]),
        ("-at web1 web2", {"all": True, "tty": True}, ["web1", "web2"]),
        ("-n 5", {"lines": 5}, []),
        ("-n5 -an6", {"lines": 6, "all": True}, []),
        ("--lines=5 --lines 7", {"lines": 7}, []),
        ("--li -5", {"lines": -5}, []),
        ("-e A=1 --env=B=2 -eC", {"env": ["A=1", "B=2", "C"]}, []),
        ("--env -t", {"env": ["-t"]}, []),
        ("--env= --env-file f", {"env": [""], "env_file": ["f"]}, []),
        ("--format json -", {"format": "json"}, ["-"]),
        ("a -- --all -n b", {}, ["a", "--all", "-n", "b"]),
        ("--", {}, []),
    ],
)
def test_options_are_read_in_any_of_their_forms(line: str, given: dict[str, object], others: list[str]) -> None:
    assert parse("verb", TABLE, line.split(), among=None) == (given, others)


def test_options_end_where_the_words_of_somebody_else_begin() -> None:
    words = ["-a", "web1", "-t", "ls", "-n", "--", "x"]
    assert parse("verb", TABLE, words) == ({"all": True}, words[1:])
    assert parse("verb", TABLE, words, among=1) == ({"all": True, "tty": True}, ["web1", "ls", "-n", "--", "x"])
    assert parse("verb", TABLE, ["web1", "--", "ls", "-n"], among=1) == ({}, ["web1", "ls", "-n"])
    assert split_command(["a", "--", "b", "--", "c"]) == (["a"], ["b", "--", "c"])
    assert split_command(["a"]) == (["a"], None)


@pytest.mark.parametrize(
    ("line", "text", "hint"),
    [
        ("--al x --lnies 5", "verb: there is no option --lnies", "did you mean --lines?"),
        ("--en x", "verb: the option --en is ambiguous", "did you mean --env or --env-file?"),
        ("--=x", "verb: there is no option --", "infernoctl verb --help"),
        ("-x", "verb: there is no option -x", "infernoctl verb --help"),
        ("-ax", "verb: there is no option -x", "infernoctl verb --help"),
        ("--all=yes", "verb: --all takes no value", "infernoctl verb --help"),
        ("--lines", "verb: --lines needs a value", "infernoctl verb --help"),
        ("-an", "verb: -n needs a value", "infernoctl verb --help"),
        ("--lines many", "verb: --lines 'many' is not a number", None),
        ("-n", "verb: -n needs a value", "infernoctl verb --help"),
        ("--format yaml", "verb: --format 'yaml' is not one of table, json", "infernoctl verb --help"),
    ],
)
def test_what_cannot_be_read_is_refused_in_one_line(line: str, text: str, hint: str | None) -> None:
    with pytest.raises(UsageError) as refused:
        parse("verb", TABLE, line.split(), among=None)
    assert (refused.value.text, refused.value.hint) == (text, hint)


def test_an_option_that_may_stand_alone_takes_its_value_by_the_equals_sign_only() -> None:
    assert parse("verb", TABLE, ["--init", "auto"], among=None) == ({"init": "inferno"}, ["auto"])
    assert parse("verb", TABLE, ["--init=auto", "--init"]) == ({"init": "inferno"}, [])
    assert parse("verb", TABLE, ["--ini=auto"]) == ({"init": "auto"}, [])
    with pytest.raises(UsageError, match="--init 'x' is not one of auto, inferno"):
        parse("verb", TABLE, ["--init=x"])
    with pytest.raises(UsageError, match="--init '' is not one of"):
        parse("verb", TABLE, ["--init="])


def test_a_task_is_sent_to_the_help_of_its_verb() -> None:
    with pytest.raises(UsageError) as refused:
        parse("create:web1", TABLE, ["-x"])
    assert refused.value.hint == "infernoctl task help create"


def test_doit_takes_every_option() -> None:
    from doit.cmdparse import CmdOption

    for option in TABLE:
        taken = CmdOption(option.for_doit())
        assert (taken.name, taken.long, taken.short) == (option.name, option.long, option.short)
