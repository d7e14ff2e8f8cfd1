"""Which records of a log are wanted."""

from __future__ import annotations

import datetime
import re
from dataclasses import dataclass

from inferno.base import moments
from inferno.base.errors import UsageError
from inferno.logs.record import LEVELS, SOURCES, Record


@dataclass(frozen=True, slots=True)
class Query:
    """`level` is the lowest wanted; times are as in a record (UTC, RFC 3339), `since` included, `until` not."""

    sources: frozenset[str] = frozenset(SOURCES)
    level: str = LEVELS[0]
    since: str = ""
    until: str = ""
    grep: re.Pattern[str] | None = None

    def everything(self) -> bool:
        return self == Query()

    def wants(self, record: Record) -> bool:
        """A line that is not a record has none of the fields, so it is wanted only by who asks for everything."""
        return (
            record.source in self.sources
            and LEVELS.index(record.level if record.level in LEVELS else LEVELS[-1]) >= LEVELS.index(self.level)
            and record.timestamp >= self.since
            and (not self.until or record.timestamp < self.until)
            and (self.grep is None or self.grep.search(record.data.decode(errors="replace")) is not None)
        )

    def newer_than(self) -> float:
        """`since` in seconds since 1970."""
        return datetime.datetime.fromisoformat(self.since).timestamp() if self.since else 0


def query(given: dict[str, str]) -> Query:
    """From options: source (several by comma), level, since, until, grep. Raises UsageError."""
    sources = frozenset(given["source"].split(",")) if "source" in given else frozenset(SOURCES)
    if unknown := sorted(sources - set(SOURCES)):
        raise UsageError(f"--source {unknown[0]!r} is none of {', '.join(SOURCES)}", "several are joined by commas")
    level = given.get("level", LEVELS[0])
    if level not in LEVELS:
        raise UsageError(f"--level {level!r} is none of {', '.join(LEVELS)}")
    try:
        grep = re.compile(given["grep"]) if "grep" in given else None
    except re.error as error:
        raise UsageError(f"--grep {given['grep']!r}: {error}", "it is a regular expression, as Python's re") from None
    return Query(sources, level, _time("--since", given.get("since")), _time("--until", given.get("until")), grep)


def _time(option: str, text: str | None) -> str:
    """As a record has it. Raises UsageError for what is not a moment, which names the forms."""
    if text is None:
        return ""
    try:
        at = moments.parse(text, datetime.datetime.now(datetime.UTC))
    except ValueError:
        raise UsageError(f"{option} {text!r} is not a time", f"write it as {moments.FORMS}") from None
    return f"{at.replace(tzinfo=None).isoformat(timespec='microseconds')}Z"
