"""One question to a Docker Engine on a socket of this host: what it has under a name.

Every create asks it, also one that changes nothing; the docker SDK, which does the rest, takes longer to import than
such a create takes (docs/dependencies.md).
"""

from __future__ import annotations

import json
import os
import socket

from inferno.base.errors import UsageError

DEFAULT = "/var/run/docker.sock"
_TIMEOUT_S = 20
_MAX_ANSWER_BYTES = 16 << 20
_UNIX = "unix://"


def path() -> str | None:
    """The engine's socket; None when DOCKER_HOST names one elsewhere."""
    host = os.environ.get("DOCKER_HOST") or _UNIX + DEFAULT
    return host.removeprefix(_UNIX) if host.startswith(_UNIX) else None


def inspect(path: str, name: str) -> dict[str, object] | None:
    """The image as `docker image inspect` shows it; None for none. Raises UsageError when the engine does not answer.

    `name` is NAME:TAG, NAME@DIGEST or an id, of the letters that these may have.
    """
    try:
        status, body = _get(path, f"/images/{name}/json")
        found = json.loads(body) if status == 200 else None
        if status == 404 or isinstance(found, dict):
            return found
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise UsageError(f"the Docker Engine does not answer: {reason}", "is dockerd running?") from None
    except (ValueError, IndexError, RecursionError):
        status = 0
    raise UsageError(f"the Docker Engine answers otherwise than one does (status {status})", "is dockerd running?")


def _get(path: str, what: str) -> tuple[int, bytes]:
    """HTTP/1.0 (RFC 1945): the answer ends with the connection, and comes in one piece."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(_TIMEOUT_S)
        connection.connect(path)
        connection.sendall(f"GET {what} HTTP/1.0\r\nHost: docker\r\n\r\n".encode())
        answer = bytearray()
        while piece := connection.recv(1 << 16):
            answer += piece
            if len(answer) > _MAX_ANSWER_BYTES:
                raise ValueError
    head, _, body = bytes(answer).partition(b"\r\n\r\n")
    return int(head.split(None, 2)[1]), body
