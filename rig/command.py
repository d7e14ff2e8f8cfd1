"""A command that runs in the rig, as a local process: signals reach it there, and a limit ends it there too."""

from __future__ import annotations

import contextlib
import secrets
import subprocess
from collections.abc import Sequence
from typing import Any

from rig.ssh import Ssh

TIMED_OUT = 124  # as timeout(1)
GRACE_S = 5


class Command(subprocess.Popen[Any]):
    """The local end of a command; its status is the command's, or 128 + n when a signal ended that."""

    def __init__(self, ssh: Ssh, words: Sequence[str], *, terminal: bool = False, **known: Any) -> None:
        self._ssh, self._id = ssh, secrets.token_hex(4)
        # In a session of its own Ctrl-C does not reach ssh, which would leave the command behind.
        known.setdefault("start_new_session", not terminal)
        super().__init__(ssh.argv(["rig-run", self._id, *words], terminal=terminal), cwd=ssh.folder, **known)

    def signal(self, name: str) -> None:
        """Send TERM, INT, KILL, … to the command's processes in the rig."""
        self._ssh.run(["rig-signal", name, self._id])

    def end(self) -> None:
        """TERM, and KILL for what is there five seconds later."""
        for name in ("TERM", "KILL"):
            self.signal(name)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.wait(GRACE_S)
                return
        self.kill()
        self.wait()

    def finish(self, timeout_s: float | None) -> int:
        """Wait for the end, at most so long; Ctrl-C goes to the command, a second one ends it."""
        try:
            return self._wait_within(timeout_s)
        except KeyboardInterrupt:
            self.signal("INT")
        try:
            return self._wait_within(timeout_s)
        except KeyboardInterrupt:
            self.end()
            return 130

    def _wait_within(self, timeout_s: float | None) -> int:
        try:
            return self.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self.end()
            return TIMED_OUT

    def collect(self, input: bytes | None, timeout_s: float) -> tuple[int, bytes, bytes]:
        """Feed it, and return its status and both streams whole; 124 and what there was when it took too long."""
        try:
            out, err = self.communicate(input, timeout_s)
        except subprocess.TimeoutExpired:
            self.end()
            out, err = self.communicate()
            return TIMED_OUT, out, err
        return self.returncode, out, err
