"""The locks: they pin all that pyproject.toml leads to, by hash, name no index, and are what runs these tests."""

from __future__ import annotations

import re
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from rig import venv

CHECKOUT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())
RUN, DEV = "requirements.lock", "requirements-dev.lock"
PIN = re.compile(r"^([a-z0-9-]+)==(\S+)((?: \\\n    --hash=sha256:[0-9a-f]{64})+)$", re.MULTILINE)


def pins(*locks: str) -> dict[str, str]:
    """Name -> version."""
    return {name: version for lock in locks for name, version, _ in PIN.findall((CHECKOUT / lock).read_text())}


def not_pinned(wanted: list[str], pinned: dict[str, str]) -> list[str]:
    """What is asked for and not in the lock, or in a version that does not fit."""
    needs = [(each, pinned.get(canonicalize_name(each.name))) for each in map(Requirement, wanted)]
    return [str(each) for each, version in needs if version is None or version not in each.specifier]


def needs_of(name: str) -> list[str]:
    """What an installed package says it needs on this Python."""
    found = map(Requirement, metadata.requires(name) or [])
    return [str(each) for each in found if not each.marker or each.marker.evaluate({"extra": ""})]


@pytest.mark.parametrize("lock", [RUN, DEV])
def test_a_lock_is_pins_with_hashes_and_nothing_else(lock: str) -> None:
    text = (CHECKOUT / lock).read_text()
    assert PIN.findall(text)
    assert re.fullmatch(r"#[^\n]*", PIN.sub("", text).strip())
    assert not re.search(r"://|\b(index-url|find-links|trusted-host)\b", text)


def test_the_locks_hold_what_the_project_asks_for() -> None:
    project = PROJECT["project"]
    assert not_pinned(project["dependencies"], pins(RUN)) == []
    tools = [*project["optional-dependencies"]["dev"], *PROJECT["build-system"]["requires"]]
    assert not_pinned(tools, pins(RUN, DEV)) == []


@pytest.mark.parametrize("locks", [(RUN,), (RUN, DEV)], ids=["run", "dev"])
def test_the_locks_hold_what_those_ask_for_in_turn(locks: tuple[str, ...]) -> None:
    pinned = pins(*locks)
    assert [(name, missing) for name in pinned if (missing := not_pinned(needs_of(name), pinned))] == []


def test_no_package_is_pinned_twice() -> None:
    assert set(pins(RUN)) & set(pins(DEV)) == set()


def test_these_tests_run_on_what_the_locks_pin() -> None:
    pinned = pins(RUN, DEV)
    assert {name: metadata.version(name) for name in pinned} == pinned


def test_the_rig_takes_all_but_linters_of_the_locks() -> None:
    taken = {name: version for name, version, _ in PIN.findall(venv.pins())}
    left_out = set(pins(RUN, DEV)) - set(taken)
    assert set(pins(RUN)) <= set(taken)
    assert {"pytest", "pexpect", "hatchling"} <= set(taken)
    assert {"ruff", "mypy"} <= left_out


@pytest.mark.parametrize(
    ("wanted", "pinned", "missing"),
    [
        (["doit==0.37.*"], {"doit": "0.37.1"}, []),
        (["doit==0.37.*"], {"doit": "0.38"}, ["doit==0.37.*"]),
        (["python_ulid>=3"], {"python-ulid": "4.1"}, []),
        (["jinja2"], {}, ["jinja2"]),
    ],
)
def test_what_is_not_pinned_is_seen(wanted: list[str], pinned: dict[str, str], missing: list[str]) -> None:
    assert not_pinned(wanted, pinned) == missing
