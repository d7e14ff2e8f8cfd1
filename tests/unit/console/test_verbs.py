"""The table of verbs: every row says what help needs, and the code behind it takes what the row says, and no more."""

import ast
import importlib
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

import inferno.cli
from inferno import task_modules
from inferno.console import help
from inferno.console.options import HELP
from inferno.console.typed import NOUNS, read
from inferno.console.verbs.finding import find
from inferno.console.verbs.table import NAMES, VERBS
from inferno.console.verbs.tasks import TASKS, TASKS_ALONE
from inferno.console.verbs.verb import GROUPS, Verb
from inferno.life.status import STATES
from inferno.logs.log_record import LEVELS, SOURCES

stages = task_modules.load("stages")

CLI = Path(next(iter(inferno.cli.__path__)))
WIDE = 110  # an example may be longer than the rest, which is wrapped


def rows() -> Iterator[tuple[str, Verb]]:
    """Each verb and each action of one, by what is typed for it."""
    for verb in VERBS.values():
        yield verb.name, verb
        for action in verb.actions:
            yield f"{verb.name} {action.name}", action
    for verb in TASKS_ALONE.values():
        yield f"task {verb.name}", verb


ROWS = dict(rows())
RUN = {called: verb for called, verb in ROWS.items() if verb.run}


@pytest.mark.parametrize("called", ROWS)
def test_every_verb_has_a_group_a_line_an_example_and_a_page(called: str) -> None:
    verb = ROWS[called]
    assert verb.group in GROUPS
    assert verb.doc and not verb.doc.endswith(".")
    assert f"infernoctl {called.split(maxsplit=1)[0]}" in verb.examples
    assert sum(map(bool, (verb.is_task, verb.run, verb.actions))) == 1
    assert not verb.default or verb.action(verb.default)
    page = help.usage(called.split())
    assert page.startswith(f"usage: infernoctl {called}")
    assert verb.doc in page and verb.more in page and verb.examples in page
    assert max(map(len, page.splitlines())) <= WIDE
    for option in verb.options:
        assert option.help and re.search(rf"^  (-{option.short}, )?--{option.long}(\[| |$)", page, re.MULTILINE), option


def test_the_overview_has_a_line_for_every_verb() -> None:
    overview = help.usage([])
    for verb in VERBS:
        assert re.search(rf"^  {verb}( |$)", overview, re.MULTILINE), verb
    assert max(map(len, overview.splitlines())) <= 100


def test_names_and_options_are_clear() -> None:
    assert len(NAMES) == len(set(NAMES))
    for called, verb in ROWS.items():
        options = (*verb.options, HELP)
        assert len({each.name for each in options}) == len(options), called
        shorts = [each.short for each in options if each.short]
        assert len(set(shorts)) == len(shorts), called
        words = [hole.strip("[]") for hole in verb.operands.split()]
        assert all(word in NOUNS or word.islower() for word in words), called


def asked_for(module: Path) -> set[str]:
    """The options that a module asks what was typed for: typed.flag("json"). Strings alone, so that they are found."""
    found = set()
    for node in ast.walk(ast.parse(module.read_text())):
        match node:
            case ast.Call(ast.Attribute(ast.Name("typed"), "flag" | "text" | "texts"), [ast.Constant(str(name))]):
                found.add(name)
            case ast.Call(ast.Name("query"), [ast.Attribute(ast.Name("typed"), "given")]):
                found |= {"source", "level", "since", "until", "grep"}
            case ast.Call(ast.Name("_number"), [ast.Name("typed"), ast.Constant(str(name)), *_]):
                found.add(name)
    return found


@pytest.mark.parametrize("module", sorted({verb.run.split(".")[0] for verb in RUN.values()}))
def test_the_code_asks_for_the_options_in_help_and_for_no_others(module: str) -> None:
    rows = [verb for called, verb in RUN.items() if verb.run.startswith(f"{module}.") and called != "images pull"]
    assert asked_for(CLI / f"{module}.py") == {option.name for verb in rows for option in verb.options}


def test_every_verb_leads_to_code() -> None:
    for called, verb in RUN.items():
        module, function = verb.run.split(".")
        assert callable(getattr(importlib.import_module(f"inferno.cli.{module}"), function)), called
    assert set(TASKS) == set(stages._MODULES)


@pytest.mark.parametrize("called", [called for called, verb in ROWS.items() if not verb.actions])
def test_every_option_in_help_is_taken(called: str) -> None:
    found = find(called.split())
    for option in found.verb.options:
        values = [] if option.kind is bool else [option.choices[0] if option.choices else "1"]
        for flag in [f"--{option.long}", *([f"-{option.short}"] if option.short else [])]:
            assert option.name in read(found.verb, called, [flag, *values, "--help"]).given


def test_an_option_that_the_row_lacks_cannot_be_asked_for() -> None:
    with pytest.raises(KeyError):
        read(VERBS["list"], "list", []).flag("jsno")


@pytest.mark.parametrize("called", ROWS)
def test_examples_can_be_typed(called: str) -> None:
    """Each `infernoctl …` in an example is a verb with options that it takes, and as many words as it wants."""
    for line in ROWS[called].examples.splitlines():
        typed = re.split(r" {3,}", line)[0].split(" | ")[0]
        for part in re.split(r" && |; | >> ", typed):
            words = shlex.split(part)
            if "infernoctl" in words:
                found = find(words[words.index("infernoctl") + 1 :])
                if not found.verb.actions:
                    read(found.verb, found.called, found.words)


def test_lists_that_help_repeats_are_the_codes() -> None:
    options = {option.name: option for option in ROWS["logs tail"].options}
    assert set(ROWS["list"].options[2].choices) == set(STATES)
    assert set(options["level"].choices) == set(LEVELS)
    assert [word for word in SOURCES if word not in options["source"].help] == []
