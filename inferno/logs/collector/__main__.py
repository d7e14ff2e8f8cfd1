"""The collector's processes. They run isolated and without site (-I -S): they load nothing that they do not need.

The one that is started only watches over the other, which serves, and puts a new one in its place when that is
killed: the listening socket stays open, so who was connected connects again and sends what was not written.
"""

import contextlib
import os
import resource
import signal
import socket
import sys
import time
from collections.abc import Callable

sys.path.insert(0, os.path.abspath(f"{os.path.dirname(__file__)}/../../.."))  # to find this package

from inferno.logs import collector_client
from inferno.logs.collector import notices, relink
from inferno.logs.collector.server import Server
from inferno.settings import load_settings

# How long the old collector may take to write out what it got.
_PATIENCE_S = 5
# One that ends sooner than this, so many times in a row, would always end: then nobody replaces it.
_SHORT_LIFE_S, _SHORT_LIVES = 1.0, 5


def main(listener: int, name: int, links: int, old: int | None = None) -> None:
    """What `Server` wants, and a connection to the collector that this one replaces, all of them descriptors."""
    os.umask(0o027)
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))

    def serve(died: str | None) -> None:
        settings = load_settings()
        server = Server(settings, socket.socket(fileno=listener), name, links)
        if died is None:
            relink.relink(settings)
            if old is not None:
                end(socket.socket(fileno=old))
        else:
            server.say(notices.anew(died))
        server.serve()

    watch_over(serve)


def watch_over(serve: Callable[[str | None], None]) -> None:
    """Run `serve` in a process of its own until one ends well; each is told how the one before it died."""
    died, short_lives = None, 0
    while short_lives < _SHORT_LIVES:
        began = time.monotonic()
        child = os.fork()
        if child == 0:
            serve(died)
            return
        signal.signal(signal.SIGTERM, _to(child))
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        if status == 0:
            return
        died = f"was killed by signal {-status}" if status < 0 else "failed"
        short_lives = short_lives + 1 if time.monotonic() - began < _SHORT_LIFE_S else 0


def end(old: socket.socket) -> None:
    """Have the old collector end, and wait for it: what it has to write comes before what this one gets."""
    with old, contextlib.suppress(OSError):
        old.settimeout(_PATIENCE_S)
        old.sendall(collector_client.END)
        old.recv(1)


def _to(pid: int) -> Callable[[int, object], None]:
    """A handler that passes the signal on."""

    def handle(number: int, _: object) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)

    return handle


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
