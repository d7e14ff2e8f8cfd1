"""Which records of a log are wanted."""

from __future__ import annotations

import datetime
import re
from dataclasses import dataclass

from inferno.base import moments
from inferno.base.errors import UsageError
from inferno.logs.log_record import LEVELS, SOURCES, Record

# The image's process speaks by these.
_PROCESS = ("stdout", "stderr")
_ALL = "all"


@dataclass(frozen=True, slots=True)
class Query:
    """`level` is the lowest wanted; times are as in a record (UTC, RFC 3339), `since` included, `until` not.

    `notices`: what Inferno tells of the log itself (`Record.is_notice`) is wanted beside the sources.
    """

    sources: frozenset[str] = frozenset(SOURCES)
    notices: bool = False
    level: str = LEVELS[0]
    since: str = ""
    until: str = ""
    grep: re.Pattern[str] | None = None

    def everything(self) -> bool:
        return self == Query()

    def wants(self, record: Record) -> bool:
        """A line that is not a record has none of the fields: those see it who ask for everything, or for notices."""
        return (
            (record.source in self.sources or (self.notices and record.is_notice))
            and LEVELS.index(record.level if record.level in LEVELS else LEVELS[-1]) >= LEVELS.index(self.level)
            and record.timestamp >= self.since
            and (not self.until or record.timestamp < self.until)
            and (self.grep is None or self.grep.search(record.data.decode(errors="replace")) is not None)
        )

    def newer_than(self) -> float:
        """`since` in seconds since 1970."""
        return _seconds(self.since) if self.since else 0

    def ends_at(self) -> float | None:
        """`until` in seconds since 1970, where there is one."""
        return _seconds(self.until) if self.until else None


def query(given: dict[str, str], *, of_process: bool = False) -> Query:
    """From options: source (several by comma, or all), level, since, until, grep. Raises UsageError.

    A `since` later than `until` has no line between them, and is not an error: so Docker has it.
    `of_process`: without a source and a level, what the image's process printed is wanted, and notices; else every
    source is. A level asks every source, since the process's lines have only two of the four.
    """
    of_process = of_process and not {"source", "level"} & given.keys()
    sources = _sources(given["source"]) if "source" in given else frozenset(_PROCESS if of_process else SOURCES)
    level = given.get("level", LEVELS[0])
    if level not in LEVELS:
        raise UsageError(f"--level {level!r} is none of {', '.join(LEVELS)}")
    since, until = _time("--since", given.get("since")), _time("--until", given.get("until"))
    try:
        grep = re.compile(given["grep"]) if "grep" in given else None
    except (re.error, OverflowError, RecursionError) as error:
        raise UsageError(f"--grep {given['grep']!r}: {error}", "it is a regular expression, as Python's re") from None
    return Query(sources, of_process, level, since, until, grep)


def _sources(text: str) -> frozenset[str]:
    chosen = frozenset(text.split(","))
    if unknown := sorted(chosen - {*SOURCES, _ALL}):
        known = ", ".join((*SOURCES, _ALL))
        raise UsageError(f"--source {unknown[0]!r} is none of {known}", "several are joined by commas")
    return frozenset(SOURCES) if _ALL in chosen else chosen


def _seconds(at: str) -> float:
    return datetime.datetime.fromisoformat(at).timestamp()


def _time(option: str, text: str | None) -> str:
    """As a record has it. Raises UsageError for what is not a moment, which names the forms."""
    if text is None:
        return ""
    try:
        at = moments.parse(text, datetime.datetime.now(datetime.UTC))
    except ValueError:
        raise UsageError(f"{option} {text!r} is not a time", f"write it as {moments.FORMS}") from None
    return f"{at.replace(tzinfo=None).isoformat(timespec='microseconds')}Z"
