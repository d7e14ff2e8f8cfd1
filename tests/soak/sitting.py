"""A sitting: trials of one soak, one after another, until as many were made as are wanted in all."""

from __future__ import annotations

import contextlib
import secrets
import subprocess
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.soak.soaks import Soak
from tests.soak.tally import Outcome, Tally

CHECKOUT = Path(__file__).resolve().parents[2]
SEED_BITS = 32
MAX_DETAIL = 2000  # characters; the end of an error says most

Say = Callable[[str], None]


class PlaceError(Exception):
    """What the trials share cannot be made, so that none is tried."""


class Sitting:
    """Runs trials of a soak in its place, which is made when it is first needed, and anew after a failure."""

    def __init__(self, soak: Soak, say: Say) -> None:
        self._soak, self._say = soak, say
        self._stack = contextlib.ExitStack()
        self._place: Any = None
        self._ready = False

    def prepare(self) -> None:
        """Make the place, unless it is there. Raises PlaceError: that is not the failure of a trial."""
        if self._ready:
            return
        try:
            self._place = self._stack.enter_context(self._soak.place())
        except Exception as error:
            raise PlaceError(f"{self._soak.name}: the place of the trials: {error}") from error
        self._ready = True

    def attempt(self, seed: int) -> tuple[Outcome, str]:
        """One trial: how it ended, and in what words. A failure's traceback is told as well."""
        try:
            return "passed", self._soak.trial(seed, self._place)
        except Exception as error:
            self._say("".join(traceback.format_exception(error)).rstrip())
            self.close()
            return "failed", f"{type(error).__name__}: {error}"[-MAX_DETAIL:]

    def close(self) -> None:
        """End the place."""
        self._ready = False
        self._stack.close()

    def __enter__(self) -> Sitting:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def go_on(soak: Soak, tally: Tally, until: int, say: Say) -> None:
    """Trials with new seeds until the tally has `until`; each is told in a line."""
    commit = commit_of(CHECKOUT)
    with Sitting(soak, say) as sitting:
        while len(tally.trials) < until:
            sitting.prepare()
            seed, began = secrets.randbits(SEED_BITS), time.monotonic()
            outcome, detail = sitting.attempt(seed)
            made = tally.add(seed, outcome, detail, commit, time.monotonic() - began)
            say(f"{soak.name} {made.trial}/{until}, seed {seed}: {outcome} in {made.seconds} s: {brief(detail)}")


def repeat(soak: Soak, seed: int, say: Say) -> Outcome:
    """The trial of one seed, which is not tallied."""
    with Sitting(soak, say) as sitting:
        sitting.prepare()
        outcome, detail = sitting.attempt(seed)
    say(f"{soak.name}, seed {seed}: {outcome}: {brief(detail)}")
    return outcome


def brief(detail: str) -> str:
    """Its first line, shortened."""
    line, _, more = detail.partition("\n")
    return f"{line[:150]} …" if more or len(line) > 150 else line


def commit_of(checkout: Path) -> str:
    """The commit that is tried, with a + behind it when files differ from it; `unknown` outside of git."""
    git = ["git", "-c", f"safe.directory={checkout}", "-C", checkout]
    done = subprocess.run([*git, "rev-parse", "--short=12", "HEAD"], capture_output=True, text=True, check=False)
    if done.returncode:
        return "unknown"
    changed = subprocess.run([*git, "diff", "--quiet", "HEAD"], check=False).returncode
    return done.stdout.strip() + ("+" if changed else "")
