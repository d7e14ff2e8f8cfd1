"""The verbs that only look: list, status, why, env, version. No doit, no heavy library: they answer in milliseconds."""

from __future__ import annotations

import getopt
import json
import os
from collections.abc import Sequence
from typing import Any

from inferno import __version__
from inferno.base.errors import UsageError
from inferno.base.text import visible
from inferno.console.errors import say
from inferno.settings import explain_settings, load_settings
from inferno.state import names
from inferno.state.paths import Paths


def options(verb: str, words: list[str], long: list[str], short: str = "") -> tuple[dict[str, str], list[str]]:
    """Options and other words, in any order. Raises UsageError with a guess for an unknown option."""
    try:
        found, rest = getopt.gnu_getopt(words, short, long)
    except getopt.GetoptError as error:
        from inferno.console import suggest

        raise suggest.option(verb, error, long) from None
    return {flag.lstrip("-"): value for flag, value in found}, rest


def no_more(verb: str, rest: list[str]) -> None:
    """Raises UsageError for words that mean nothing to the verb."""
    if rest:
        raise UsageError(f"{verb}: what is {rest[0]!r}?", f"infernoctl {verb} --help")


def one_of(option: str, word: str, known: Sequence[str]) -> str:
    """Raises UsageError unless the option's word is one of those known."""
    if word not in known:
        raise UsageError(f"--{option} {word!r} is none of {', '.join(known)}")
    return word


def one_name(verb: str, rest: list[str]) -> str:
    if len(rest) != 1:
        raise UsageError(f"{verb} needs the name of one VM", f"infernoctl {verb} NAME")
    return names.check_name(rest[0])


def list_vms(words: list[str]) -> int:
    given, rest = options("list", words, ["json", "format=", "state="])
    if rest:
        raise UsageError(f"list takes no name: {rest[0]!r}", f"infernoctl status {rest[0]}")
    as_json = one_of("format", given.get("format", "table"), ("table", "json")) == "json" or "json" in given
    from inferno.life import status

    if "state" in given:
        one_of("state", given["state"], status.STATES)
    settings = load_settings()
    if os.geteuid() != 0 and not settings.db_path.exists():
        say(f"no VM was ever made under {settings.root}; those of root: sudo infernoctl list")
    found = status.list_all(settings)
    if "state" in given:
        found = [row for row in found if row["state"] == given["state"]]
    if as_json:
        print(json.dumps(found))
        return 0
    table(found, ("name", "state", "image", "vcpus", "memory", "ip", "version"))
    return 0


def table(rows: list[dict[str, Any]], columns: tuple[str, ...]) -> None:
    """Rows of the named columns, aligned, with a head."""
    cells = [[column.upper() for column in columns]]
    cells += [["-" if row.get(c) is None else visible(str(row[c])) for c in columns] for row in rows]
    widths = [max(len(line[i]) for line in cells) for i in range(len(columns))]
    for line in cells:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def status(words: list[str]) -> int:
    given, rest = options("status", words, ["json", "format="])
    as_json = one_of("format", given.get("format", "human"), ("human", "json")) == "json" or "json" in given
    from inferno.life import status

    found = status.status(load_settings(), one_name("status", rest))
    if as_json:
        print(json.dumps(found))
    else:
        width = max(map(len, found))
        for key, value in found.items():
            print(f"{key:<{width}}  {'-' if value is None else visible(str(value))}")
    return 0


def why(words: list[str]) -> int:
    """What made the current version, and what is different now."""
    given, rest = options("why", words, ["json"])
    settings = load_settings()
    name = one_name("why", rest)
    from inferno.life import status
    from inferno.version import why as reasons

    row = status.row(settings, name)
    because, changed = reasons.told(Paths(settings.root), str(row.version)), reasons.pending(settings, name)
    if "json" in given:
        print(json.dumps({"name": name, "version": row.version, "built_because": because, "out_of_date": changed}))
        return 0
    print(f"{name} is version {row.version}")
    for line in because:
        print(f"  built because  {visible(line)}")
    for line in changed:
        print(f"  out of date    {visible(line)}")
    return 0


def env(words: list[str]) -> int:
    """`env print` is the predecessor's."""
    given, rest = options("env", words, ["json"])
    no_more("env", [] if rest == ["print"] else rest)
    found = explain_settings()
    if "json" in given:
        print(json.dumps({each.name: {"value": each.value, "source": each.source} for each in found}))
    else:
        table([{**each._asdict(), "value": each.value or None} for each in found], ("name", "value", "source"))
    return 0


def version(words: list[str]) -> int:
    given, rest = options("version", words, ["json"])
    no_more("version", rest)
    print(json.dumps({"version": __version__}) if "json" in given else f"infernoctl {__version__}")
    return 0
