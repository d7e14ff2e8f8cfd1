"""The first moments of a command: how much it is to say, and what is said of the variables it was given."""

from __future__ import annotations

import functools

from inferno.base import debug, waiting
from inferno.base.errors import UsageError
from inferno.console.errors import say
from inferno.settings import DEBUG, ERROR, GONE, explain_settings, level, meant_by, unknown_names


@functools.cache
def begin() -> None:
    """Warn of variables that nothing reads, and begin to tell of what is run if that is wanted. Once per process.

    Bad settings are refused by those that load them: `version` and `--help` work with any.
    """
    waiting.tell = say
    try:
        wanted = level()
        unknown = unknown_names()
        if wanted == DEBUG:
            debug.tell = _tell
            chosen = [f"{one.name}={one.value} ({one.source})" for one in explain_settings() if one.source != "default"]
            debug.say(f"settings: {', '.join(chosen)}")
    except UsageError:
        return
    if unknown and wanted != ERROR:
        for name in unknown:
            meant = None if name in GONE else meant_by(name)
            other = f"did you mean {meant}?" if meant else GONE.get(name, "infernoctl env has all")
            say(f"warning: {name} is not a setting; {other}")


def _tell(what: str) -> None:
    say(f"debug: {what}")
