"""`infernoctl`: what people who come from Docker type. Reading verbs are answered without doit; the others are tasks.

Exit statuses: 0 done, or nothing to do; 1 failed; 2 wrong usage, nothing changed; 127 a tool is missing;
130 and 143 ended by SIGINT and SIGTERM. `start` in the foreground ends with the status of the VM's process.
"""

from __future__ import annotations

import sys

from inferno.base import gc_tuning
from inferno.base.errors import InfernoError, UsageError
from inferno.console import streams
from inferno.console.errors import report


def main(argv: list[str] | None = None) -> int:
    """The console script's entry point."""
    if argv is None:
        gc_tuning.seldom()
    streams.fill()
    try:
        from inferno.cli import dispatch  # and all that it loads, once garbage is looked for seldom

        status = dispatch.act(sys.argv[1:] if argv is None else argv)
        streams.flush()
        return status
    except InfernoError as error:
        report(error)
        return error.status
    except PermissionError as error:
        from inferno.base import requirements

        report(requirements.denied(error))
        return UsageError.status
    except KeyboardInterrupt:
        return 130  # 128 + SIGINT
    except OSError as error:
        return streams.lost(error)
