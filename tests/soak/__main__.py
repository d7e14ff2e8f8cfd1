"""Soaks: attacks by chance on Inferno, too long for the gate, tallied over as many sittings as it takes.

  python -m tests.soak                      what soaks there are, and how far each is
  python -m tests.soak cuts --until 100     go on until 100 trials were made in all; Ctrl-C ends a sitting
  python -m tests.soak cuts                 the tally
  python -m tests.soak cuts --seed 77       that trial once more, for looking into a failure; it is not tallied

From make: `make soak`, `make soak cuts N=100`, `make soak cuts`, `make soak cuts SEED=77`; it builds what is missing.

A trial does what its seed says, so that a failure can be repeated. A moment within a command is drawn as a part of the
time which that command takes on this machine, measured when the sitting begins.

Each trial is a line of JSON in ~/.cache/inferno/soak/NAME.ndjson before the next begins: number, seed, outcome, detail,
commit (with a + when the checkout differs from it), seconds. A trial that was interrupted is not counted. Delete the
file to begin anew. What trials share, such as a rig, is made once per sitting, and anew after a failure.

Ends with 0 when no trial of the tally failed, 1 when one did, 2 when it was called wrongly, 125 when the place of the
trials could not be made (the rig does not start), 130 after Ctrl-C.
"""

from __future__ import annotations

import argparse
import os
import sys

from tests.soak import soaks
from tests.soak.sitting import PlaceError, go_on, repeat
from tests.soak.tally import InUseError, Tally, failures, file_of, read, summary

NO_PLACE = 125  # as rig/rig


def main(words: list[str]) -> int:
    options = _parse(words)
    if not options.name:
        return _list()
    soak = soaks.load(options.name)
    if options.needs:
        print(soak.needs)
        return 0
    wanted = options.until is not None or options.seed is not None
    if wanted and soak.needs != "nothing" and os.geteuid() != 0:
        print(f"soak: {soak.name} needs root: sudo, or `make soak`", file=sys.stderr)
        return 2
    os.umask(0o022)
    if options.seed is not None:
        return 0 if repeat(soak, options.seed, _say) == "passed" else 1
    return _sit(soak, options.until or 0)


def _parse(words: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.soak", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("name", nargs="?", choices=soaks.NAMES, metavar="NAME", help=", ".join(soaks.NAMES))
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--until", type=_count, metavar="N", help="how many trials there shall be in all")
    how.add_argument("--seed", type=int, help="repeat one trial")
    how.add_argument("--needs", action="store_true", help="print what the soak needs: nothing, root, or rig")
    options = parser.parse_args(words)
    if not options.name and (options.until is not None or options.seed is not None or options.needs):
        parser.error(f"which soak? {', '.join(soaks.NAMES)}")
    return options


def _count(word: str) -> int:
    number = int(word)
    if number < 1:
        raise argparse.ArgumentTypeError("at least 1")
    return number


def _list() -> int:
    for name in soaks.NAMES:
        print(f"{name:8}{soaks.load(name).says.splitlines()[0]}")
        if trials := read(file_of(name)):
            print(f"{'':8}{summary(trials)}")
    print("\nmake soak NAME N=100 goes on until 100 were tried; python -m tests.soak --help says more")
    return 0


def _sit(soak: soaks.Soak, until: int) -> int:
    """Go on until so many were tried, and tell the tally."""
    file = file_of(soak.name)
    try:
        if until:
            with Tally(file) as tally:
                go_on(soak, tally, until, _say)
    finally:
        _say(f"{soak.name}: {summary(read(file))}")
        _say(f"the tally: {file}")
    return 1 if failures(read(file)) else 0


def _say(text: str) -> None:
    print(text, flush=True)


def run(words: list[str]) -> int:
    """`main`, and what its errors mean to a shell."""
    try:
        return main(words)
    except InUseError as error:
        print(f"soak: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    except PlaceError as error:
        print(f"soak: {error}", file=sys.stderr)
        return NO_PLACE


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
