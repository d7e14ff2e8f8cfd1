"""The collector's process. It runs isolated and without site (-I -S): it loads nothing that it does not need."""

import contextlib
import os
import resource
import socket
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))  # to find this package

from inferno import collector, config
from inferno.collector import relink
from inferno.collector.serve import Server

# How long the old collector may take to write out what it got.
_PATIENCE_S = 5


def main(listener: int, name: int, links: int, old: int | None = None) -> None:
    """What `Server` wants, and a connection to the collector that this one replaces, all of them descriptors."""
    os.umask(0o027)
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    settings = config.load()
    server = Server(settings, socket.socket(fileno=listener), name, links)
    relink.relink(settings)
    if old is not None:
        end(socket.socket(fileno=old))
    server.serve()


def end(old: socket.socket) -> None:
    """Have the old collector end, and wait for it: what it has to write comes before what this one gets."""
    with old, contextlib.suppress(OSError):
        old.settimeout(_PATIENCE_S)
        old.sendall(collector.END)
        old.recv(1)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
