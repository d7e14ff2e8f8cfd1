"""The verbs that only look: list, status, why, env, version. No doit, no heavy library: they answer in milliseconds."""

from __future__ import annotations

import json
import os

from inferno import __version__
from inferno.base.errors import UsageError
from inferno.base.text import visible
from inferno.console.arguments import no_more, one_name, one_of, read_options
from inferno.console.errors import say
from inferno.console.tables import print_table
from inferno.settings import explain_settings, load_settings
from inferno.state.paths import Paths


def list_vms(words: list[str]) -> int:
    given, rest = read_options("list", words, ["json", "format=", "state="])
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
        found = [row for row in found if row.state == given["state"]]
    rows = [row._asdict() for row in found]
    if as_json:
        print(json.dumps(rows))
        return 0
    print_table(rows, ("name", "state", "image", "vcpus", "memory", "ip", "version"))
    return 0


def status(words: list[str]) -> int:
    given, rest = read_options("status", words, ["json", "format="])
    as_json = one_of("format", given.get("format", "human"), ("human", "json")) == "json" or "json" in given
    from inferno.life import status

    found = status.status(load_settings(), one_name("status", rest))._asdict()
    if as_json:
        print(json.dumps(found))
    else:
        width = max(map(len, found))
        for key, value in found.items():
            print(f"{key:<{width}}  {'-' if value is None else visible(str(value))}")
    return 0


def why(words: list[str]) -> int:
    """What made the current version, and what is different now."""
    given, rest = read_options("why", words, ["json"])
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
    given, rest = read_options("env", words, ["json"])
    no_more("env", [] if rest == ["print"] else rest)
    found = explain_settings()
    if "json" in given:
        print(json.dumps({each.name: {"value": each.value, "source": each.source} for each in found}))
    else:
        print_table([{**each._asdict(), "value": each.value or None} for each in found], ("name", "value", "source"))
    return 0


def version(words: list[str]) -> int:
    given, rest = read_options("version", words, ["json"])
    no_more("version", rest)
    print(json.dumps({"version": __version__}) if "json" in given else f"infernoctl {__version__}")
    return 0
