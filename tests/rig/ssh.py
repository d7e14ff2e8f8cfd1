"""Commands in the rig, over ssh with a master connection: 70 ms each instead of 700."""

from __future__ import annotations

import shlex
import subprocess
from collections.abc import Sequence
from pathlib import Path

from tests.rig.program import RigError


class Ssh:
    """A connection to the rig's sshd at `port` of this host's loopback; its socket lies in `folder`."""

    def __init__(self, port: int, key: Path, folder: Path) -> None:
        self._options = ["-F", "none", "-i", str(key), "-p", str(port), "-o", "IdentitiesOnly=yes"]
        self._options += [
            "-o",
            "LogLevel=ERROR",
            "-o",
            "StrictHostKeyChecking=no",
            "-o",
            "UserKnownHostsFile=/dev/null",
        ]
        self._options += ["-o", f"ControlPath={folder}/ssh.sock", "-o", "BatchMode=yes"]
        self._socket = folder / "ssh.sock"
        if not self._socket.exists():
            self.open()

    def open(self) -> None:
        """The master goes into the background when it is let in; with our streams it would keep our caller waiting."""
        argv = [
            "ssh",
            *self._options,
            "-o",
            "ControlMaster=yes",
            "-o",
            "ConnectTimeout=60",
            "-N",
            "-f",
            "root@127.0.0.1",
        ]
        log = self._socket.with_name("ssh.log")
        with log.open("wb") as file:
            nothing = subprocess.DEVNULL
            done = subprocess.run(argv, stdin=nothing, stdout=nothing, stderr=file, check=False, start_new_session=True)
        if done.returncode:
            raise RigError(f"ssh into the rig: {log.read_text().strip()}")

    def argv(self, words: Sequence[str], *, terminal: bool = False) -> list[str]:
        """The command line that runs `words` in the rig."""
        return ["ssh", *self._options, *(["-t"] if terminal else []), "root@127.0.0.1", shlex.join(words)]

    def run(
        self, words: Sequence[str], *, input: bytes | None = None, timeout: float = 60
    ) -> subprocess.CompletedProcess[bytes]:
        """Run a short command of the rig's own."""
        try:
            return subprocess.run(
                self.argv(words), input=input or b"", capture_output=True, check=False, timeout=timeout
            )
        except subprocess.TimeoutExpired:
            raise RigError(f"the rig did not answer within {timeout:.0f} s: {shlex.join(words)[:200]}") from None

    def close(self) -> None:
        """End the master connection; it may have ended with the rig."""
        if self._socket.exists():
            argv = ["ssh", *self._options, "-O", "exit", "root@127.0.0.1"]
            subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, check=False)
            self._socket.unlink(missing_ok=True)
