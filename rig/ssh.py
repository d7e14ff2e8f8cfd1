"""Commands in the rig, over ssh with a master connection: 70 ms each instead of 700."""

from __future__ import annotations

import shlex
import subprocess
from collections.abc import Sequence
from pathlib import Path

from rig.program import RigError

# All but the files, which lie in the folder that ssh runs in: in paths it expands %, ${} and ~, and splits words, and a
# socket's path has 107 bytes at most (unix(7)), of which ssh takes 17 for a name that it renames.
_OPTIONS = (
    *("-F", "none", "-o", "IdentitiesOnly=yes", "-o", "LogLevel=ERROR", "-o", "BatchMode=yes"),
    *("-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null"),
    *("-i", "ssh.key", "-o", "ControlPath=ssh.sock"),
)
_HOST = "root@127.0.0.1"


class Ssh:
    """A connection to the rig's sshd at `port` of this host's loopback; its files lie in `folder`."""

    def __init__(self, port: int, key: Path, folder: Path) -> None:
        self.folder = folder
        self._ssh = ["ssh", *_OPTIONS, "-p", str(port)]
        if not (folder / "ssh.key").is_symlink():
            (folder / "ssh.key").symlink_to(key.absolute())
        self._socket = folder / "ssh.sock"
        if not self._socket.exists():
            self.open()

    def open(self) -> None:
        """The master goes into the background when it is let in; with our streams it would keep our caller waiting."""
        argv = [*self._ssh, "-o", "ControlMaster=yes", "-o", "ConnectTimeout=60", "-N", "-f", _HOST]
        log = self.folder / "ssh.log"
        nothing = subprocess.DEVNULL
        with log.open("wb") as file:
            done = subprocess.run(
                argv,
                stdin=nothing,
                stdout=nothing,
                stderr=file,
                check=False,
                cwd=self.folder,
                start_new_session=True,
            )
        if done.returncode:
            raise RigError(f"ssh into the rig: {log.read_text().strip()}")

    def argv(self, words: Sequence[str], *, terminal: bool = False) -> list[str]:
        """The command line that runs `words` in the rig; itself it is to run in `folder`."""
        return [*self._ssh, *(["-t"] if terminal else []), _HOST, shlex.join(words)]

    def run(
        self, words: Sequence[str], *, input: bytes | None = None, timeout: float = 60
    ) -> subprocess.CompletedProcess[bytes]:
        """Run a short command of the rig's own."""
        try:
            return subprocess.run(
                self.argv(words),
                input=input or b"",
                capture_output=True,
                check=False,
                timeout=timeout,
                cwd=self.folder,
            )
        except subprocess.TimeoutExpired:
            raise RigError(f"the rig did not answer within {timeout:.0f} s: {shlex.join(words)[:200]}") from None

    def close(self) -> None:
        """End the master connection; it may have ended with the rig."""
        if self._socket.exists():
            argv = [*self._ssh, "-O", "exit", _HOST]
            subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, check=False, cwd=self.folder)
            self._socket.unlink(missing_ok=True)
