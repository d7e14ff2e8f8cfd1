"""`infernoctl logs`: what VMs said, from the files that the log collector writes; and the collector itself."""

from __future__ import annotations

import dataclasses
import difflib
import itertools
import json
import sys
from collections.abc import Callable, Iterable, Iterator

from inferno.base.errors import UsageError
from inferno.console.arguments import read_options
from inferno.life import status
from inferno.logs import collector_client, keep, read, vm_logs
from inferno.logs.query import Query, query
from inferno.logs.record import Record, parse
from inferno.settings import Settings, load_settings
from inferno.state import names
from inferno.state.paths import Paths

_LINES = 20
_SELECT = ["vm=", "source=", "level=", "since=", "until=", "grep=", "json"]


def verb(words: list[str]) -> int:
    """`logs [tail|show] [NAME]`, and what is about the collector. Raises UsageError."""
    action, rest = (words[0], words[1:]) if words and words[0] in _ACTIONS else ("tail", words)
    run, long, short = _ACTIONS[action]
    given, names_given = read_options("logs", rest, long, short)
    if "vm=" in long and "vm" not in given and names_given:
        given["vm"], *names_given = names_given
    if names_given:
        raise UsageError(f"logs {action}: what is {names_given[0]!r}?", "infernoctl logs --help")
    try:
        settings = load_settings()
        if action == "tail" and words[:1] == [given.get("vm")]:
            _check_action(settings, words[0])
        collector_client.revive(settings)
        return run(settings, given)
    except PermissionError:
        raise UsageError("the logs of VMs are root's", "use sudo") from None


def _check_action(settings: Settings, word: str) -> None:
    """A first word that no VM has may be a misspelt action."""
    near = difflib.get_close_matches(word, _ACTIONS, 1)
    try:
        _name(settings, {"vm": word})
    except UsageError:
        if near:
            raise UsageError(f"logs: {word!r} is no VM, and nothing to do", f"did you mean {near[0]}?") from None
        raise


def _tail(settings: Settings, given: dict[str, str]) -> int:
    """The last lines, and those that follow."""
    count = _count(given)
    return _last(settings, given, _LINES if count is None else count)


def _show(settings: Settings, given: dict[str, str]) -> int:
    """All lines, or so many of the last, and those that follow."""
    log, wanted, count = vm_logs.of(Paths(settings.root), _name(settings, given)), query(given), _count(given)
    if count is not None:
        return _last(settings, given, count)
    if _follows(given):
        return _follow(settings, given, wanted, 0)
    collector_client.sync(settings)
    _print_all(_wanted(map(parse, read.forwards(log, wanted.newer_than())), wanted), "json" in given)
    return 0


def _last(settings: Settings, given: dict[str, str], count: int) -> int:
    log, wanted = vm_logs.of(Paths(settings.root), _name(settings, given)), query(given)
    collector_client.sync(settings)
    until = read.end(log)
    found = _wanted(map(parse, read.backwards(log, until=until)), wanted)
    _print_all(reversed(list(itertools.islice(found, count))), "json" in given)
    return _follow(settings, given, wanted, until) if _follows(given) else 0


def _status(settings: Settings, given: dict[str, str]) -> int:
    """The collector, and what is kept."""
    paths = Paths(settings.root)
    running, found = collector_client.status(paths), keep.kept(paths)
    if "json" in given:
        shown = [dataclasses.asdict(each) for each in found]
        print(json.dumps({"collector": running, "logs": shown, "directory": str(paths.logs)}))
        return 0
    if running:
        said = ", ".join(f"{key} {running[key]}" for key in ("pid", "connections", "bytes", "refused"))
        print(f"collector: runs ({said})")
    else:
        print("collector: does not run; `start` starts it, and it ends when no VM can reach it")
    for each in found:
        print(f"{each.vm or '(all)':<16} {each.files:>4} files {each.bytes:>14,} bytes")
    return 0


def _restart(settings: Settings, _: dict[str, str]) -> int:
    """A new collector, to which the VMs that run go over. No line is lost."""
    ran = collector_client.restart(settings)
    print("the log collector was restarted" if ran else "the log collector was started; without VMs it ends again")
    return 0


def _clear(settings: Settings, given: dict[str, str]) -> int:
    """Delete logs: of one VM, or all of them."""
    paths = Paths(settings.root)
    name = _name(settings, given)
    chosen = [paths.log(name)] if name else [vm_logs.of(paths, each.vm) for each in keep.kept(paths)]
    count = sum(keep.clear(log) for log in chosen)
    print(f"{count} log files deleted")
    return 0


_ACTIONS: dict[str, tuple[Callable[[Settings, dict[str, str]], int], list[str], str]] = {
    "tail": (_tail, [*_SELECT, "lines=", "follow"], "n:f"),
    "show": (_show, [*_SELECT, "lines=", "follow"], "n:f"),
    "status": (_status, ["json"], ""),
    "restart": (_restart, [], ""),
    "clear": (_clear, ["vm="], ""),
}


def _name(settings: Settings, given: dict[str, str]) -> str | None:
    """The VM asked for; a log that was kept is enough. Raises UsageError, with a guess."""
    if "vm" not in given:
        return None
    name = names.check_name(given["vm"])
    if not keep.exists(Paths(settings.root), name):
        status.row(settings, name)
    return name


def _count(given: dict[str, str]) -> int | None:
    text = given.get("n", given.get("lines"))
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise UsageError(f"-n {text!r} is no number of lines")
    return int(text)


def _follows(given: dict[str, str]) -> bool:
    return "follow" in given or "f" in given


def _follow(settings: Settings, given: dict[str, str], wanted: Query, since: int) -> int:
    """For ever: a VM that is stopped may be started again."""
    sys.stdout.flush()
    with vm_logs.follow(Paths(settings.root), given.get("vm"), since) as follower:
        for record in _wanted(follower, wanted):
            _print(record, "json" in given)
            if not follower.pending():
                sys.stdout.flush()
    return 0


def _wanted(records: Iterable[Record], wanted: Query) -> Iterator[Record]:
    return filter(None if wanted.everything() else wanted.wants, records)


def _print_all(records: Iterable[Record], as_json: bool) -> None:
    for record in records:
        _print(record, as_json)


def _print(record: Record, as_json: bool) -> None:
    if as_json:
        line = record.json()
        print(line if line.isprintable() else json.dumps(json.loads(line)))  # a terminal may act on U+009B
    else:
        at = f"{record.timestamp[:23]}Z" if record.timestamp else "-"
        print(f"{at} {record.vm_name or '-'} {record.source:<6} {record.text()}")
