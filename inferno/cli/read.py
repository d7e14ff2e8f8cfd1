"""The verbs that only look: list, status, why, env, version. No doit, no heavy library: they answer in milliseconds."""

from __future__ import annotations

import getopt
import json
from typing import Any

from inferno import __version__, config, names
from inferno.errors import UsageError
from inferno.paths import Paths


def options(verb: str, words: list[str], long: list[str], short: str = "") -> tuple[dict[str, str], list[str]]:
    """Options and other words, in any order. Raises UsageError with a guess for an unknown option."""
    try:
        found, rest = getopt.gnu_getopt(words, short, [*long, "help"])
    except getopt.GetoptError as error:
        import difflib

        near = difflib.get_close_matches(error.opt, [word.rstrip("=") for word in long], 1)
        raise UsageError(f"{verb}: {error.msg}", f"did you mean --{near[0]}?" if near else None) from None
    given = {flag.lstrip("-"): value for flag, value in found}
    if "help" in given:
        from inferno.cli import act

        print(act.usage([verb]))
        raise SystemExit(0)
    return given, rest


def one_name(verb: str, rest: list[str]) -> str:
    if len(rest) != 1:
        raise UsageError(f"{verb} needs the name of one VM", f"infernoctl {verb} NAME")
    return names.check_name(rest[0])


def list_vms(words: list[str]) -> int:
    given, rest = options("list", words, ["json", "format=", "state="])
    if rest:
        raise UsageError(f"list takes no name: {rest[0]!r}", f"infernoctl status {rest[0]}")
    if given.get("format", "table") not in ("table", "json"):
        raise UsageError(f"--format {given['format']!r} is neither table nor json")
    from inferno import vm

    found = vm.list_all(config.load())
    if "state" in given:
        found = [row for row in found if row["state"] == given["state"]]
    if "json" in given or given.get("format") == "json":
        print(json.dumps(found))
        return 0
    table(found, ("name", "state", "image", "vcpus", "memory", "ip", "version"))
    return 0


def table(rows: list[dict[str, Any]], columns: tuple[str, ...]) -> None:
    """Rows of the named columns, aligned, with a head."""
    cells = [[column.upper() for column in columns]]
    cells += [["-" if row.get(c) is None else str(row[c]) for c in columns] for row in rows]
    widths = [max(len(line[i]) for line in cells) for i in range(len(columns))]
    for line in cells:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def status(words: list[str]) -> int:
    given, rest = options("status", words, ["json", "format="])
    from inferno import vm

    found = vm.status(config.load(), one_name("status", rest))
    if "json" in given or given.get("format") == "json":
        print(json.dumps(found))
    else:
        width = max(map(len, found))
        for key, value in found.items():
            print(f"{key:<{width}}  {'-' if value is None else value}")
    return 0


def why(words: list[str]) -> int:
    """What made the current version, and what is different now."""
    _, rest = options("why", words, [])
    settings = config.load()
    name = one_name("why", rest)
    from inferno import vm
    from inferno.version import why

    row = vm.row(settings, name)
    paths = Paths(settings.root)
    print(f"{name} is version {row.version}")
    for line in why.told(paths, str(row.version)):
        print(f"  built because  {line}")
    for line in why.pending(settings, name):
        print(f"  out of date    {line}")
    return 0


def env(words: list[str]) -> int:
    given, _ = options("env", words, ["json"])
    settings = config.load()
    values = {field: getattr(settings, field) for field in settings._fields}
    if "json" in given:
        print(json.dumps({k: v if isinstance(v, int | None) else str(v) for k, v in values.items()}))
    else:
        for key, value in values.items():
            print(f"{key} = {'' if value is None else value}")
    return 0


def version(words: list[str]) -> int:
    print(f"infernoctl {__version__}")
    return 0
