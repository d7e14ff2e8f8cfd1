"""Run in the rig: verbs that ask a guest, all at once, for each way in which evil/init.c answers; JSON of what came.

Each verb is a process of its own, forked once all is imported: starting Python under emulation would
count against its deadline.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import sys
import time
from pathlib import Path
from typing import Any

from inferno.base.errors import InfernoError
from inferno.cli.main import main
from inferno.life import status
from inferno.life.instance import Instance
from inferno.reach import vsock
from inferno.sandbox import jail
from inferno.settings import load_settings

TOLD_PORT = 6666
VERBS = {
    "ping": ["ping", "evil"],
    "stats": ["stats", "evil"],
    "top": ["top", "evil"],
    "exec": ["exec", "evil", "--", "true"],
    "shell": ["shell", "evil"],
    "out": ["cp", "evil:/etc/passwd", "/tmp/stolen"],
    "into": ["cp", "/etc/hostname", "evil:/tmp"],
}
# A guest that says nothing has 30 s to start a command; tests/unit/reach/test_vsock.py has less patience with it.
QUICK = ("ping", "stats", "out", "into")
SILENT = "nd"
# How long all verbs of one way are waited for before the next way is told; what takes longer goes on beside it.
TURN_S = 2.0
# The longest deadline of a verb is 30 s; a busy machine adds its own. Only a verb that hangs is waited for so long.
LONGEST_S = 100.0
WAYS = sys.argv[1]


class Call:
    """One verb, running."""

    def __init__(self, way: str, verb: str) -> None:
        self.way, self.verb, self.began = way, verb, time.monotonic()
        self.said = Path(f"/tmp/call-{way}-{verb}")
        self.pid = os.fork()
        if self.pid == 0:
            self._run()
        self.process = os.pidfd_open(self.pid)
        self.result: dict[str, Any] | None = None

    def _run(self) -> None:
        said = os.open(self.said, os.O_RDWR | os.O_CREAT | os.O_TRUNC)
        os.dup2(os.open("/dev/null", os.O_RDONLY), 0)
        os.dup2(said, 1)
        os.dup2(said, 2)
        status = 255
        try:
            status = main(VERBS[self.verb])
            sys.stdout.flush()
            sys.stderr.flush()
        finally:
            os._exit(status)

    def wait(self, until: float) -> None:
        left_s = max(until - time.monotonic(), 0)
        if self.result is None and select.select([self.process], [], [], left_s)[0]:
            status = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
            self.result = {"status": status, "took_s": round(time.monotonic() - self.began, 2)}


def tell(root: int, way: str) -> None:
    """Firecracker gives a guest two seconds to take a connection, and this one may be busy with floods."""
    for attempt in range(10):
        with contextlib.suppress(InfernoError), vsock.connect(root, TOLD_PORT, time.monotonic() + 10) as told:
            told.sendall(way.encode())
            assert told.recv(1) == way.encode()
            return
        print(f"{way}: {attempt}", file=sys.stderr)
    raise SystemExit(f"{way}: it takes no connection any more")


def all_calls() -> list[Call]:
    settings = load_settings()
    running = Instance.of(settings, status.row(settings, "evil")).running()
    assert running is not None
    calls = []
    with jail.opened(running) as root:
        for way in WAYS:
            tell(root, way)
            turn = [Call(way, verb) for verb in (QUICK if way in SILENT else VERBS)]
            for call in turn:
                call.wait(turn[0].began + TURN_S)
            calls += turn
    return calls


def finished() -> list[dict[str, Any]]:
    found = []
    for call in all_calls():
        call.wait(call.began + LONGEST_S)
        if call.result is None:
            os.kill(call.pid, 9)
        shown = call.said.read_text(errors="replace")
        call.said.unlink()
        found.append({"way": call.way, "verb": call.verb, "said": shown, **(call.result or {"status": None})})
    return found


print(json.dumps(finished()))
