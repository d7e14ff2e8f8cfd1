"""The collector's process. It runs isolated and without site (-I -S): it loads nothing that it does not need."""

import os
import resource
import socket
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))  # to find this package

from inferno import config
from inferno.collector import relink
from inferno.collector.serve import Server


def main(listener: int, links: int) -> None:
    os.umask(0o027)
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    settings = config.load()
    server = Server(settings, socket.socket(fileno=listener), links)
    relink.relink(settings)
    server.serve()


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
