"""`infernoctl doctor`: whether this host is fit for production, what is not, and the command that fixes it."""

from __future__ import annotations

from typing import NamedTuple

from inferno.console.answer import print_json
from inferno.console.typed import Typed
from inferno.settings import load_settings
from inferno.watch.doctor import diagnosis
from inferno.watch.doctor.rule import NEEDED, Finding


class Report(NamedTuple):
    """Whether every rule that must hold does, as far as it can be known; and what was found, rule by rule."""

    fit: bool
    findings: list[Finding]


def doctor(typed: Typed) -> int:
    """Exit 1 when a rule that must hold does not."""
    found = []
    for finding in diagnosis.diagnose(load_settings()):
        found.append(finding)
        if not typed.flag("json"):
            _show(finding)
    broken = [each for each in found if each.must and each.state == "fails"]
    if typed.flag("json"):
        print_json(Report(not broken, found))
    else:
        advice = sum(each.state == "fails" for each in found) - len(broken)
        print(
            f"\nrules broken: {len(broken)} that must hold, {advice} of advice"
            if broken or advice
            else "\nevery rule holds"
        )
    return 1 if broken else 0


def _show(finding: Finding) -> None:
    word = {"fails": "FAILS" if finding.must else "advice"}.get(finding.state, finding.state)
    number = "-" if finding.rule == NEEDED else str(finding.rule)
    print(f"{word:<8}{number:>2}  {finding.what}")
    if finding.problem:
        print(f"            {finding.problem}")
    if finding.state == "fails":
        print(f"            why:  {finding.why}")
    if finding.fix:
        print(f"            fix:  {finding.fix}")
