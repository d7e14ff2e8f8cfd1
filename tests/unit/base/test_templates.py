"""Texts with holes: a value is written as the text's language has it, or refused; none becomes a statement."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import jinja2
import pytest

from inferno.base import nft_text, ssh_text, templates
from inferno.base.errors import InfernoError

RULESET = "nft.ruleset.nft"
VALUES: dict[str, Any] = {
    "table": "inferno",
    "marker": "ruleset_0123",
    "network": "172.16.0.0/16",
    "vms": [{"tap": "inf0", "guest": "172.16.0.2"}, {"tap": "inf7", "guest": "172.16.0.30"}],
}
# What somebody would write who wants a statement of their own to be run.
HOSTILE = [
    'inf0"; flush ruleset; "',
    "inf0\nflush ruleset",
    "inf0; flush ruleset",
    "inf0 } ; table inet mine {",
    "inf0 # nothing more",
    "{{ table }}",
    "inf0\\",
    "inf0\0",
    "inf\u00fc",
    "",
    "x" * 300,
]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where templates are, for those that a test writes."""
    monkeypatch.setattr(templates, "FOLDER", tmp_path)
    return tmp_path


def test_the_rules_are_filled() -> None:
    text = templates.render(RULESET, VALUES)
    assert 'elements = { "inf0" . 172.16.0.2, "inf7" . 172.16.0.30, }' in text
    assert "ip saddr 172.16.0.0/16 masquerade" in text
    assert not re.search(r"\{\{|\{%|%\}|\}\}", text)
    assert text.endswith("}\n")


def test_no_vms_are_no_elements() -> None:
    assert "elements =" not in templates.render(RULESET, {**VALUES, "vms": []})


@pytest.mark.parametrize("value", HOSTILE)
@pytest.mark.parametrize("hole", ["table", "marker", "network", "tap", "guest"])
def test_no_hole_of_the_rules_takes_a_statement(hole: str, value: str) -> None:
    vm = {"tap": "inf0", "guest": "172.16.0.2"}
    values = {**VALUES, hole: value} if hole in VALUES else {**VALUES, "vms": [{**vm, hole: value}]}
    with pytest.raises(InfernoError, match=r"^templates/nft\.ruleset\.nft: nft cannot write "):
        templates.render(RULESET, values)


@pytest.mark.parametrize("missing", sorted(VALUES))
def test_a_value_that_is_not_given_is_an_error(missing: str) -> None:
    with pytest.raises(jinja2.UndefinedError, match=missing):
        templates.render(RULESET, {name: value for name, value in VALUES.items() if name != missing})


@pytest.mark.parametrize(
    "hole", ["{{ x }}", "{{ x | string }}{{ x }}", "{{ (x | string) ~ x }}", "{{ x | string | upper }}", "{{ 1 + 1 }}"]
)
def test_a_hole_without_a_filter_of_its_language_is_an_error(folder: Path, hole: str) -> None:
    (folder / "text.nft").write_text(hole)
    with pytest.raises(jinja2.TemplateError):
        templates.render("text.nft", {"x": "y"})


def test_a_language_that_is_not_known_is_an_error(folder: Path) -> None:
    (folder / "text.sh").write_text("rm {{ x }}")
    with pytest.raises(KeyError, match="sh"):
        templates.render("text.sh", {"x": "/"})


def test_a_template_that_is_missing_is_told(folder: Path) -> None:
    with pytest.raises(InfernoError, match=f"templates/absent.nft is missing from {folder}"):
        templates.render("absent.nft", {})


@pytest.mark.parametrize(
    ("name", "value", "written"),
    [
        ("name", "ruleset_12", "ruleset_12"),
        ("string", "a VM's rules: {x}; #1", '"a VM\'s rules: {x}; #1"'),
        ("interface", "br-0a@1.5", '"br-0a@1.5"'),
        ("number", 0, "0"),
        ("number", 65535, "65535"),
        ("address", "172.16.0.2", "172.16.0.2"),
        ("address", "fe80::1", "fe80::1"),
        ("address", "172.16.0.0/16", "172.16.0.0/16"),
    ],
)
def test_nft_gets_a_value_as_it_reads_it(name: str, value: object, written: str) -> None:
    assert nft_text.FILTERS[name](value) == written


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("name", "1st"),
        ("name", "a-b"),
        ("name", 7),
        ("string", 'x"'),
        ("string", "x\\"),
        ("string", "x\n"),
        ("interface", "inf*"),
        ("interface", "x" * 16),
        ("interface", ".."),
        ("interface", "a/b"),
        ("interface", None),
        ("number", -1),
        ("number", "1"),
        ("number", True),
        ("number", 1.5),
        ("address", 1),
        ("address", "172.16.0.2 drop"),
        ("address", "172.16.0.1/16"),
        ("address", "host.example"),
    ],
)
def test_nft_gets_nothing_that_it_would_read_otherwise(name: str, value: object) -> None:
    with pytest.raises(ValueError, match="nft cannot write"):
        nft_text.FILTERS[name](value)


@pytest.mark.parametrize(
    ("name", "value", "written"),
    [
        ("word", "web-1.a_b", "web-1.a_b"),
        ("command", ["sh", "-c", 'echo "$x"; y'], "sh -c 'echo \"$x\"; y'"),
        ("command", ["/Büro, 100 %/x", "%h"], "'/Büro, 100 %%/x' %%h"),
    ],
)
def test_ssh_gets_a_value_as_it_reads_it(name: str, value: object, written: str) -> None:
    assert ssh_text.FILTERS[name](value) == written


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("word", "web1\n    ProxyCommand sh"),
        ("word", "web1 web2"),
        ("word", "*"),
        ("word", "-oProxyCommand=sh"),
        ("word", ""),
        ("word", None),
        ("command", ["/root\n    User x"]),
        ("command", ["a\0b"]),
        ("command", []),
    ],
)
def test_ssh_gets_nothing_that_it_would_read_otherwise(name: str, value: object) -> None:
    with pytest.raises(ValueError, match="ssh cannot write"):
        ssh_text.FILTERS[name](value)


def kept(path: Path, values: dict[str, Any] = VALUES) -> tuple[str, bool]:
    """The rules by way of a kept text, in a process of its own, and whether that imported jinja2."""
    code = (
        "import pathlib, sys\nfrom inferno.base import templates\n"
        f"text = templates.render_kept({RULESET!r}, {values!r}, pathlib.Path({str(path)!r}))\n"
        "print(text + str('jinja2' in sys.modules), end='')"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    text, _, imported = said.rpartition("\n")
    return f"{text}\n", imported == "True"


def test_a_text_that_was_kept_is_taken_without_jinja2(tmp_path: Path) -> None:
    path, text = tmp_path / "kept", templates.render(RULESET, VALUES)
    assert kept(path) == (text, True)
    assert kept(path) == (text, False)
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_kept_text_of_other_values_is_not_taken(tmp_path: Path) -> None:
    path, other = tmp_path / "kept", {**VALUES, "vms": []}
    kept(path, other)
    assert kept(path) == (templates.render(RULESET, VALUES), True)
    assert kept(path, other)[1], "one text is kept, the last"


@pytest.mark.parametrize("damage", ["cut", "changed", "empty", "no text", "not there"])
def test_a_kept_text_that_is_damaged_is_made_again(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "kept"
    text, _ = kept(path)
    whole = path.read_bytes()
    damaged = {"cut": whole[:-300], "changed": whole.replace(b" drop", b""), "empty": b"", "no text": b"\xff\xfe"}
    path.unlink()
    if damage in damaged:
        path.write_bytes(damaged[damage])
    assert kept(path) == (text, True)
    assert path.read_bytes() == whole


def test_a_kept_text_that_cannot_be_written_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert templates.render_kept(RULESET, VALUES, tmp_path / "file/kept") == templates.render(RULESET, VALUES)
