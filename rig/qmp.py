"""QEMU's monitor (QMP): commands, their answers, and the events between them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from rig.program import RigError
from rig.sockets import connected

ANSWER_WITHIN_S = 60


class Monitor:
    """A connection to the monitor that listens at `path`; what it has to say must come within a minute."""

    def __init__(self, path: Path) -> None:
        self._socket = connected(path)
        self._socket.settimeout(ANSWER_WITHIN_S)
        self._lines = self._socket.makefile("r")
        self._next()
        self.call("qmp_capabilities")

    def call(self, name: str, **arguments: Any) -> Any:
        """One command; returns its answer. Raises RigError with QEMU's words."""
        self._socket.sendall(json.dumps({"execute": name, "arguments": arguments}).encode() + b"\n")
        while True:
            answer = self._next()
            if "error" in answer:
                raise RigError(f"QEMU: {name}: {answer['error']['desc']}")
            if "return" in answer:
                return answer["return"]

    def migrate(self, name: str, file: Path) -> None:
        """`migrate` to or `migrate-incoming` from a file, to its end; the memory stays in its own file."""
        capabilities = [{"capability": word, "state": True} for word in ("x-ignore-shared", "events")]
        self.call("migrate-set-capabilities", capabilities=capabilities)
        self.call(name, uri=f"file:{file}")
        while True:
            answer = self._next()
            status = answer["data"]["status"] if answer.get("event") == "MIGRATION" else ""
            if status == "completed":
                return
            if status == "failed":
                raise RigError(f"QEMU: {name} failed")

    def _next(self) -> dict[str, Any]:
        try:
            line = self._lines.readline()
        except TimeoutError:
            raise RigError(f"QEMU said nothing for {ANSWER_WITHIN_S} s") from None
        if not line:
            raise RigError("QEMU ended")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def close(self) -> None:
        self._lines.close()
        self._socket.close()
