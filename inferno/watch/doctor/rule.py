"""A rule, and what was found about it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from inferno.base.errors import InfernoError
from inferno.base.requirements import Check

NEEDED = 0  # no rule of Firecracker's: Inferno cannot run a VM without it
State = Literal["ok", "fails", "unknown", "n/a"]


class UnknownError(InfernoError):
    """It cannot be known from here; the hint says how else."""


class NotApplicableError(InfernoError):
    """There is nothing that the rule is about; the text says why."""


@dataclass(frozen=True, slots=True)
class Rule:
    """`number` as in docs/doctor.md. A `must` that fails makes the host unfit; the others are advice."""

    number: int
    must: bool
    check: Check


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found: `problem` says what is wrong, or why it is unknown; `fix` is a command, or what else to do."""

    rule: int
    must: bool
    what: str
    why: str
    state: State
    problem: str | None = None
    fix: str | None = None


def look(rule: Rule) -> Finding:
    """Check one rule."""
    state: State = "fails"
    try:
        rule.check.probe()
    except UnknownError as error:
        state, problem, fix = "unknown", error.text, error.hint
    except NotApplicableError as error:
        state, problem, fix = "n/a", error.text, error.hint
    except InfernoError as error:
        problem, fix = error.text, error.hint
    except PermissionError as error:
        state, problem, fix = "unknown", f"only root may look at {error.filename or 'it'}", "sudo infernoctl doctor"
    except (OSError, ValueError) as error:
        state, problem, fix = "unknown", str(error), None
    else:
        return Finding(rule.number, rule.must, rule.check.what, rule.check.reason, "ok")
    return Finding(rule.number, rule.must, rule.check.what, rule.check.reason, state, problem, fix)
