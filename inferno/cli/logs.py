"""`infernoctl logs`: what VMs said, from the files that the log collector writes; and the collector itself."""

from __future__ import annotations

import contextlib
import itertools
import json
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from inferno.base import guess
from inferno.base.errors import UsageError
from inferno.base.text import visible
from inferno.console.answer import print_json
from inferno.console.typed import Typed
from inferno.console.verbs.table import VERBS
from inferno.life import status as vm_status
from inferno.logs import collector_client, keep, read, vm_logs
from inferno.logs.log_record import Record, parse
from inferno.logs.query import Query, query
from inferno.settings import Settings, load_settings
from inferno.state import guard, names
from inferno.state.paths import Paths

_LINES = 20
Printer = Callable[[Record], None]


class Logs(NamedTuple):
    """The log collector, None when it does not run; the logs that are kept; and the folder that they are in."""

    collector: collector_client.CollectorStatus | None
    logs: list[keep.Kept]
    directory: str


def tail(typed: Typed) -> int:
    """The last lines, and those that follow."""
    with _reading() as settings:
        _check_action(settings, typed)
        return _shown(settings, typed, _LINES)


def show(typed: Typed) -> int:
    """All lines, or so many of the last, and those that follow."""
    with _reading() as settings:
        return _shown(settings, typed, None)


def _shown(settings: Settings, typed: Typed, usual: int | None) -> int:
    """`usual`: so many of the last, unless more, all or a time was asked for; None: all."""
    # `logs` alone is Docker's word: what the process printed. `tail` and `show` are for all that is known of a VM.
    wanted = query(typed.given, of_process=typed.called == "logs")
    printed, count = _printed(typed), _count(typed)
    if count is None and not (wanted.since or wanted.until):
        count = usual
    if count is not None and count >= 0:
        return _last(settings, typed, wanted, printed, count)
    log = _log(settings, typed)
    if typed.flag("follow"):
        return _follow(settings, typed, wanted, printed, 0)
    collector_client.sync(settings)
    for record in _wanted(map(parse, read.forwards(log, wanted.newer_than())), wanted):
        printed(record)
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
        guard.prepare(settings)
        ran = collector_client.restart(settings)
    print("the log collector was restarted" if ran else "the log collector was started; without VMs it ends again")
    return 0


def clear(typed: Typed) -> int:
    """Delete the combined log; or that of one VM; or all logs."""
    with _reading() as settings:
        guard.prepare(settings)
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
            raise UsageError(f"logs: {word!r} is neither a VM nor a verb of logs", f"did you mean {near}?") from None
        raise


def _last(settings: Settings, typed: Typed, wanted: Query, printed: Printer, count: int) -> int:
    log = _log(settings, typed)
    collector_client.sync(settings)
    until = read.end(log)
    found = _wanted(map(parse, read.backwards(log, until=until)), wanted)
    for record in reversed(list(itertools.islice(found, count))):
        printed(record)
    return _follow(settings, typed, wanted, printed, until) if typed.flag("follow") else 0


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
    """How many lines; -1 for all, None when nothing was said. Docker's word is --tail."""
    word, text = ("--tail", typed.text("tail")) if typed.text("lines") is None else ("-n", typed.text("lines"))
    if text is None:
        return None
    if text in ("all", "-1"):  # the latter is Docker's, and kubectl's
        return -1
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise UsageError(f"{word} {text!r} is not a number of lines", "all of them: all")
    return int(text)


def _follow(settings: Settings, typed: Typed, wanted: Query, printed: Printer, since: int) -> int:
    """To --until, or for ever: a VM that is stopped may be started again."""
    sys.stdout.flush()
    paths, name = Paths(settings.root), _name(settings, typed)
    with vm_logs.follow(paths, name, since, until=wanted.ends_at()) as follower:
        for record in _wanted(follower, wanted):
            printed(record)
            if not follower.pending():
                sys.stdout.flush()
    return 0


def _wanted(records: Iterable[Record], wanted: Query) -> Iterator[Record]:
    return filter(None if wanted.everything() else wanted.wants, records)


def _printed(typed: Typed) -> Printer:
    """How a record is printed. Raises UsageError for two ways at once."""
    raw, as_json, timestamps = typed.flag("raw"), typed.flag("json"), typed.flag("timestamps")
    if raw and as_json:
        raise UsageError("--raw and --json are two ways to print a line", "--json has its bytes, too: message_b64")
    if raw:
        return lambda record: _print_raw(record, timestamps, bool(typed.text("source")))
    if as_json:
        return _print_json
    return lambda record: _print_text(record, timestamps)


def _print_raw(record: Record, timestamps: bool, any_source: bool) -> None:
    """What was said, byte for byte: standard error there, and only the process's unless others are named."""
    if any_source or record.source in ("stdout", "stderr"):
        stream = sys.stderr if record.source == "stderr" else sys.stdout
        stream.buffer.write((f"{record.timestamp} ".encode() if timestamps else b"") + record.output())


def _print_json(record: Record) -> None:
    line = record.json()
    print(line if line.isprintable() else json.dumps(json.loads(line)))  # a terminal may act on U+009B


def _print_text(record: Record, timestamps: bool) -> None:
    at = record.timestamp if timestamps else f"{record.timestamp[:23]}Z"
    print(f"{visible(at) if record.timestamp else '-'} {record.vm_name or '-'} {record.source:<6} {record.text()}")
