"""The message with the secrets of one start (tests/contract/secrets.json): one line of JSON, in no file.

It goes from the starter over a socket to kiln, and from there to init, behind start.json.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence

from inferno.base.errors import UsageError
from inferno.wire.shared import MAX_SECRETS_BYTES


def text(files: Mapping[str, bytes], env: Sequence[str]) -> bytes:
    """The line: what is in each file, by its name in the guest, and NAME=value words.

    Raises UsageError when it is longer than kiln takes.
    """
    held = [{"name": name, "content": base64.b64encode(data).decode()} for name, data in files.items()]
    fields = {"files": held, "env": list(env)}
    line = json.dumps(fields, separators=(",", ":"), ensure_ascii=False).encode() + b"\n"
    if len(line) > MAX_SECRETS_BYTES:
        raise UsageError(
            f"the secrets and variables of one start take {len(line) >> 10} KiB, and at most "
            f"{MAX_SECRETS_BYTES >> 10} KiB are handed to a guest",
            "files count for a third more than they have",
        )
    return line
