"""`infernoctl kill`: a signal to the process of a VM that runs, and nothing more."""

from __future__ import annotations

from inferno.cli.exec_shell import opened
from inferno.console.typed import Typed
from inferno.reach import guest
from inferno.spec.signals import signal_number

_ANSWER_S = 2.0


def kill(typed: Typed) -> int:
    """Each VM gets it, one after the other; the first that cannot be reached ends the command."""
    number = signal_number(typed.text("signal") or "", "kill: --signal")
    for name in typed.operands:
        with opened(name) as found:
            guest.signal(found, number, _ANSWER_S)
        print(name)
    return 0
