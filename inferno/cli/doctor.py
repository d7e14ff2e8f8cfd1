"""`infernoctl doctor`: whether this host is fit for production, what is not, and the command that mends it."""

from __future__ import annotations

import dataclasses
import json

from inferno.base.errors import UsageError
from inferno.console.arguments import read_options
from inferno.settings import load_settings
from inferno.watch.doctor import diagnosis
from inferno.watch.doctor.rule import NEEDED, Finding


def verb(words: list[str]) -> int:
    """Exit 1 when a rule that must hold does not."""
    given, rest = read_options("doctor", words, ["json"])
    if rest:
        raise UsageError(f"doctor looks at the whole host: what is {rest[0]!r}?", "infernoctl doctor")
    found = []
    for finding in diagnosis.diagnose(load_settings()):
        found.append(finding)
        if "json" not in given:
            _show(finding)
    broken = [each for each in found if each.must and each.state == "fails"]
    if "json" in given:
        print(json.dumps({"fit": not broken, "findings": [dataclasses.asdict(each) for each in found]}))
    else:
        advice = sum(each.state == "fails" for each in found) - len(broken)
        print(f"\n{len(broken)} that must be mended, {advice} that should be" if broken or advice else "\nall is well")
    return 1 if broken else 0


def _show(finding: Finding) -> None:
    word = {"fails": "FAILS" if finding.must else "advice"}.get(finding.state, finding.state)
    number = "-" if finding.rule == NEEDED else str(finding.rule)
    print(f"{word:<8}{number:>2}  {finding.what}")
    if finding.problem:
        print(f"            {finding.problem}")
    if finding.state == "fails":
        print(f"            why:  {finding.why}")
    if finding.mend:
        print(f"            mend: {finding.mend}")
