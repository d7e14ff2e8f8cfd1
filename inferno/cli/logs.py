"""`infernoctl logs`: what VMs said, from the files that the log collector writes; and the collector itself."""

from __future__ import annotations

import contextlib
import itertools
import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from inferno.base.errors import UsageError
from inferno.console import guess
from inferno.console.answer import print_json
from inferno.console.typed import Typed
from inferno.console.verbs.table import VERBS
from inferno.life import status as vm_status
from inferno.logs import collector_client, keep, read, vm_logs
from inferno.logs.query import Query, query
from inferno.logs.record import Record, parse
from inferno.settings import Settings, load_settings
from inferno.state import names
from inferno.state.paths import Paths

_LINES = 20


class Logs(NamedTuple):
    """The log collector, None when it does not run; the logs that are kept; and the folder that they are in."""

    collector: collector_client.CollectorStatus | None
    logs: list[keep.Kept]
    directory: str


def tail(typed: Typed) -> int:
    """The last lines, and those that follow."""
    with _reading() as settings:
        _check_action(settings, typed)
        count = _count(typed)
        return _last(settings, typed, _LINES if count is None else count)


def show(typed: Typed) -> int:
    """All lines, or so many of the last, and those that follow."""
    with _reading() as settings:
        log, wanted, count = _log(settings, typed), query(typed.given), _count(typed)
        if count is not None:
            return _last(settings, typed, count)
        if typed.flag("follow"):
            return _follow(settings, typed, wanted, 0)
        collector_client.sync(settings)
        _print_all(_wanted(map(parse, read.forwards(log, wanted.newer_than())), wanted), typed.flag("json"))
        return 0


def status(typed: Typed) -> int:
    """The collector, and what is kept."""
    with _reading() as settings:
        paths = Paths(settings.root)
        running, found = collector_client.status(paths), keep.kept(paths)
    if typed.flag("json"):
        print_json(Logs(running, found, str(paths.logs)))
        return 0
    if running:
        said = ", ".join(f"{key} {getattr(running, key)}" for key in ("pid", "connections", "bytes", "refused"))
        print(f"collector: runs ({said})")
    else:
        print("collector: does not run; it runs while VMs do")
    for each in found:
        print(f"{each.vm or '(all)':<16} {each.files:>4} files {each.bytes:>14,} bytes")
    return 0


def restart(_: Typed) -> int:
    """A new collector, to which the VMs that run go over. No line is lost."""
    with _reading() as settings:
        ran = collector_client.restart(settings)
    print("the log collector was restarted" if ran else "the log collector was started; without VMs it ends again")
    return 0


def clear(typed: Typed) -> int:
    """Delete the combined log; or that of one VM; or all logs."""
    with _reading() as settings:
        paths, name = Paths(settings.root), _name(settings, typed)
        if typed.flag("all") and name:
            raise UsageError(f"logs clear --all does not take {name!r}", f"infernoctl logs clear {name}")
        every = [each.vm for each in keep.kept(paths)] if typed.flag("all") else [name]
        chosen = [vm_logs.of(paths, each) for each in every]
        count = sum(keep.clear(log) for log in chosen)
    print(f"{count} log files deleted")
    return 0


@contextlib.contextmanager
def _reading() -> Iterator[Settings]:
    """The settings, once a collector runs where one is needed. Raises UsageError for who may not read the logs."""
    try:
        settings = load_settings()
        collector_client.revive(settings)
        yield settings
    except PermissionError:
        raise UsageError("only root may read the logs of VMs", "use sudo") from None


def _check_action(settings: Settings, typed: Typed) -> None:
    """The first word after `logs`, when no VM has that name, may be a misspelt action."""
    if typed.called != "logs" or not typed.operands:
        return
    try:
        _name(settings, typed)
    except UsageError:
        word, actions = typed.operands[0], [each.name for each in VERBS["logs"].actions]
        if near := guess.near(word, actions):
            raise UsageError(f"logs: {word!r} is neither a VM nor a verb of logs", f"did you mean {near[0]}?") from None
        raise


def _last(settings: Settings, typed: Typed, count: int) -> int:
    log, wanted = _log(settings, typed), query(typed.given)
    collector_client.sync(settings)
    until = read.end(log)
    found = _wanted(map(parse, read.backwards(log, until=until)), wanted)
    _print_all(reversed(list(itertools.islice(found, count))), typed.flag("json"))
    return _follow(settings, typed, wanted, until) if typed.flag("follow") else 0


def _name(settings: Settings, typed: Typed) -> str | None:
    """The VM asked for; a log that was kept is enough. Raises UsageError, with a guess."""
    word, operands = typed.text("vm"), typed.operands
    if word is not None and operands:
        raise UsageError(f"{typed.called} does not take {operands[0]!r}", "the VM is named by --vm or alone, once")
    if word is None and not operands:
        return None
    name = names.check_name(operands[0] if word is None else word)
    if not keep.exists(Paths(settings.root), name):
        vm_status.row(settings, name)
    return name


def _log(settings: Settings, typed: Typed) -> Path:
    return vm_logs.of(Paths(settings.root), _name(settings, typed))


def _count(typed: Typed) -> int | None:
    text = typed.text("lines")
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise UsageError(f"-n {text!r} is not a number of lines")
    return int(text)


def _follow(settings: Settings, typed: Typed, wanted: Query, since: int) -> int:
    """For ever: a VM that is stopped may be started again."""
    sys.stdout.flush()
    with vm_logs.follow(Paths(settings.root), _name(settings, typed), since) as follower:
        for record in _wanted(follower, wanted):
            _print(record, typed.flag("json"))
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
