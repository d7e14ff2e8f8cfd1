"""`infernoctl runs`: when a VM ran, and how each run ended."""

from __future__ import annotations

from inferno.console.answer import print_json
from inferno.console.tables import print_table
from inferno.console.typed import Typed
from inferno.life import run_history, status
from inferno.life.instance import Instance
from inferno.settings import load_settings
from inferno.state.runs_table import Run


def list_runs(typed: Typed) -> int:
    settings = load_settings()
    found = run_history.history(Instance.of(settings, status.row(settings, typed.name)))
    if typed.flag("json"):
        print_json(found)
        return 0
    print_table([_shown(run) for run in found], ("run", "version", "started", "ended", "exit", "reason"))
    return 0


def _shown(run: Run) -> dict[str, object]:
    return {
        "run": run.run,
        "version": run.version,
        "started": _second(run.started_at),
        "ended": _second(run.ended_at),
        "exit": run_history.signal_name(run.signal) if run.signal else run.exit_code,
        "reason": run.reason,
    }


def _second(time: str | None) -> str | None:
    """Without what follows the seconds."""
    return time and f"{time[:19]}Z"
