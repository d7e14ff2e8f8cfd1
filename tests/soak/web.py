"""What the soaks that cut a command short share: a rig with one VM at rest, and how long its commands usually take."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass

from tests.rig import prepared
from tests.rig.convergence import SERVER, serves_again
from tests.rig.pool import runs, set_up
from tests.rig.typed import Host

# What is typed behind `infernoctl`.
WORDS = {"start": "start web --detach", "stop": "stop web"}


@dataclass(frozen=True)
class Web:
    """The host, all that is there while its VM does not run, and the seconds that a start and a stop take."""

    host: Host
    at_rest: set[str]
    usual_s: dict[str, float]

    def begin(self, verb: str, storage: str) -> None:
        """Bring the VM to where `verb` has something to do."""
        if verb == "stop":
            self.host.sh(f"INFERNO_STORAGE={storage} infernoctl start web --detach")

    def converges(self, verb: str, storage: str) -> None:
        """The next command ends well, a whole life after it too, and then nothing is there that was not at rest."""
        if verb == "stop":
            self.host.type("stop web")
            self.host.check_inventory(self.at_rest)
        self.host.sh(f"INFERNO_STORAGE={storage} infernoctl start web --detach")
        assert self.host.states()["web"] == "running"
        self.host.type("stop web")
        assert runs(self.host) == {}
        serves_again(self.host, self.at_rest)


@contextlib.contextmanager
def web() -> Iterator[Web]:
    """The place of these soaks: a rig in which the VM has run with its scratch on a pool and in a file."""
    prepared.build_artifacts()
    with prepared.rig(prepared.extra()) as rig:
        host = Host(rig)
        host.create("web", SERVER)
        set_up(host)
        usual_s = {}
        for storage in ("file", "lvm"):
            for verb, words in WORDS.items():
                began = time.monotonic()
                host.sh(f"INFERNO_STORAGE={storage} infernoctl {words}")
                usual_s[verb] = time.monotonic() - began
        host.sh("sync")
        yield Web(host, host.inventory(), usual_s)
