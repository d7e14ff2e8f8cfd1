"""What --help says, the verbs do: each option on a page is taken; and words that say nothing get a useful hint."""

import ast
import json
import re
from pathlib import Path

import pytest

from inferno.cli import exec_shell, logs, main, ssh_config
from inferno.console import help, help_pages
from inferno.console.verbs import READING, VERBS
from inferno.settings import load_settings

OPTION = re.compile(r"^  (?:-(\w), )?--([a-z-]+)( \S+)?", re.MULTILINE)
# What an option is given when the page shows that it wants something.
VALUES = {
    "format": "json",
    "state": "running",
    "timeout": "1",
    "count": "1",
    "lines": "1",
    "level": "warn",
    "since": "1h",
}


@pytest.fixture(autouse=True)
def _empty_host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INFERNO_ROOT", str(tmp_path / "root"))


def typed(capfd: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    status = main.main(list(words))
    out, err = capfd.readouterr()
    return status, out, err


def test_every_verb_has_a_page_and_a_line() -> None:
    overview = help.usage([])
    assert set(main._VERBS) == set(READING)
    assert set(help_pages.PAGES) == set(READING)
    for verb in [*READING, *VERBS]:
        assert re.search(rf"^  {verb}( |$)", overview, re.MULTILINE), verb
        assert help.usage([verb]).startswith("usage: infernoctl ")
    assert max(map(len, overview.splitlines())) <= 100
    assert max(len(line) for page in help_pages.PAGES.values() for line in page.splitlines()) <= 110


@pytest.mark.parametrize("verb", sorted(set(help_pages.PAGES) - {"images"}))
def test_every_option_on_a_page_is_taken(capfd: pytest.CaptureFixture[str], verb: str) -> None:
    for short, long, value in OPTION.findall(help_pages.PAGES[verb]):
        if long == "follow":
            continue  # it would: for ever
        given = [VALUES.get(long, "stdout" if long == "source" else "x")] if value else []
        for flag in [f"--{long}", *([f"-{short}"] if short else [])]:
            for words in ([flag, *given], ["show", flag, *given]) if verb == "logs" else ([flag, *given],):
                err = typed(capfd, verb, *words)[2]
                assert "not recognized" not in err and "needs a value" not in err and "takes no" not in err, (flag, err)


def taken() -> list[tuple[str, str]]:
    """The long options in the source: `read_options("VERB", words, ["long", "wants="])`; and the tables."""
    found = [("exec", long) for long in exec_shell._LONG] + [
        ("logs", o) for _, long, _ in logs._ACTIONS.values() for o in long
    ]
    for path in Path(main.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            match node:
                case ast.Call(ast.Name("read_options"), [ast.Constant(str(verb)), _, ast.List(long), *_]):
                    found += [(verb.split()[0], str(ast.literal_eval(item))) for item in long]
    return found


def test_every_option_that_is_taken_is_on_its_page() -> None:
    options = taken()
    assert {verb for verb, _ in options} >= {"list", "status", "cp", "ping", "images", "env", "attach", "doctor"}
    assert [(verb, o) for verb, o in options if f"--{o.rstrip('=')}" not in help_pages.PAGES[verb]] == []


@pytest.mark.parametrize("verb", ["list", "logs", "stop", "create", "images"])
def test_help_is_asked_for_in_any_way(capfd: pytest.CaptureFixture[str], verb: str) -> None:
    page = typed(capfd, "help", verb)
    assert page[0] == 0 and page[1].startswith(f"usage: infernoctl {verb}") and page[2] == ""
    for words in ([verb, "--help"], [verb, "-h"], [verb, "web1", "--help"], ["--help", verb]):
        assert typed(capfd, *words) == page, words


def test_help_for_a_guests_program_is_its_own(capfd: pytest.CaptureFixture[str]) -> None:
    assert "usage:" not in typed(capfd, "exec", "web1", "ls", "--help")[1]
    assert "usage:" not in typed(capfd, "create", "web1", "--", "ls", "--help")[1]
    assert typed(capfd, "exec", "--help")[1].startswith("usage: infernoctl exec")


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (["ps"], "infernoctl list"),
        (["web1", "start"], "the verb comes first: infernoctl start web1"),
        (["start:web1"], "infernoctl start web1"),
        (["--json", "list"], "the verb comes first"),
        (["LIST"], "did you mean list?"),
        (["strat", "web1"], "did you mean start?"),
        (["help", "crate"], "did you mean create?"),
        (["logs", "tial"], "did you mean tail?"),
        (["images", "pul"], "did you mean pull?"),
        (["images", "pull"], "infernoctl images pull --help"),
        (["list", "--state"], "infernoctl list --help"),
        (["create", "web1", "--image"], "infernoctl create --help"),
        (["create", "web1", "--e", "x"], "did you mean --entrypoint or --env or --env-file?"),
        (["exec", "--usr", "x"], "did you mean --user?"),
        (["version", "x"], "infernoctl version --help"),
        (["logs", "restart", "x"], "infernoctl logs --help"),
    ],
)
def test_words_that_say_nothing_get_a_hint(capfd: pytest.CaptureFixture[str], words: list[str], hint: str) -> None:
    status, out, err = typed(capfd, *words)
    assert (status, out) == (2, "")
    assert len([line for line in err.splitlines() if line.startswith("error: ")]) == 1
    assert f"hint: {hint}" in err


@pytest.mark.parametrize(
    "words",
    [
        ["list", "--state", "gone"],
        ["list", "--format", "yaml"],
        ["status", "web1", "--format", "yaml"],
        ["ping", "web1", "--count", "0"],
        ["logs", "-n", "many"],
        ["ssh-config", "--user", "me\n    ProxyCommand sh"],
        ["create", "web1", "--image", "oci:x", "--memory", "1x"],
        ["create", "web1", "--image", "oci:x", "--memory", "1k"],
        ["create", "web1", "--image", "oci:x", "--user", "a:b:c"],
        ["create", "web1", "--image", "oci:x", "--ulimit", "nofile=²"],
        ["create", "web1", "--image", "oci:x", "--io-max", "riops=" + "9" * 5000],
        ["create", "web1", "--image", "oci:x", "--tty", "--no-tty"],
        ["create", "web1", "--image", "oci:x", "-i", "--no-interactive"],
    ],
)
def test_bad_values_are_refused(capfd: pytest.CaptureFixture[str], words: list[str]) -> None:
    status, out, err = typed(capfd, *words)
    assert (status, out) == (2, "")
    assert err.startswith("error: ")


def test_env_says_where_each_setting_comes_from(capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    found = json.loads(typed(capfd, "env", "--json")[1])
    assert found["INFERNO_ROOT"] == {"value": str(tmp_path / "root"), "source": "environment"}
    assert found["INFERNO_LOG_MAX_FILES"] == {"value": "5", "source": "default"}
    assert re.search(r"^INFERNO_ROOT +\S+ +environment$", typed(capfd, "env", "print")[1], re.MULTILINE)


@pytest.mark.root
def test_a_name_cannot_steer_the_terminal(capfd: pytest.CaptureFixture[str]) -> None:
    err = typed(capfd, "images", "pull", "oci:/nowhere\x1b[31m")[2]
    assert "\x1b" not in err and r"/nowhere\x1b[31m" in err


@pytest.mark.parametrize("user", ["me\n    ProxyCommand sh", "-oProxyCommand=sh", "1000", "", None])
def test_who_an_image_says_it_is_cannot_configure_ssh(user: str | None) -> None:
    assert ssh_config._user(load_settings(), {"user": user}) == "root"
    assert ssh_config._user(load_settings(), {"user": "www-data:www"}) == "www-data"
