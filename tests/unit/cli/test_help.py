"""How infernoctl is asked for help, and the hints that it gives for words that it does not know."""

import json
import re
from pathlib import Path

import pytest

from inferno.cli import main, ssh_config
from inferno.settings import load_settings
from inferno.spec.create_options import Spec


@pytest.fixture(autouse=True)
def _empty_host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INFERNO_ROOT", str(tmp_path / "root"))


def typed(capfd: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    status = main.main(list(words))
    out, err = capfd.readouterr()
    return status, out, err


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
        (["images", "pull"], "infernoctl images pull IMAGE..."),
        (["list", "--state"], "infernoctl list --help"),
        (["create", "web1", "--image"], "infernoctl create --help"),
        (["create", "web1", "--e", "x"], "did you mean --entrypoint or --env or --env-file?"),
        (["exec", "--usr", "x"], "did you mean --user?"),
        (["version", "x"], "infernoctl version --help"),
        (["logs", "restart", "x"], "infernoctl logs restart --help"),
        (["list", "web1"], "infernoctl status web1"),
        (["images", "list", "nginx"], "infernoctl images show nginx"),
        (["images", "nginx"], "infernoctl images show nginx"),
        (["shell", "web1", "ls"], "infernoctl shell NAME"),
        (["", "web1"], "infernoctl --help"),
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
    assert ssh_config._user(load_settings(), Spec("oci:x", user=user)) == "root"
    assert ssh_config._user(load_settings(), Spec("oci:x", user="www-data:www")) == "www-data"
