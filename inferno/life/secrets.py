"""Reads the secrets of one start from this host's files. They are in this process's memory alone, and soon in none.

Whoever could exchange a file, or a folder or link on the way to it, could have root hand any file of this host to a
guest: so all of these are to be root's, or the trusted user's (inferno/base/trusted.py).
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Collection
from pathlib import Path

from inferno.base import files, trusted
from inferno.base.errors import UsageError
from inferno.settings import Settings
from inferno.spec import at_start, environment
from inferno.spec.create_options import Spec
from inferno.state import guard
from inferno.wire import secrets

# What Docker allows for one is 500 KB; of a file of variables as much as create reads.
MAX_SECRET_BYTES, MAX_ENV_FILE_BYTES = 512 << 10, 1 << 20
_PR_SET_DUMPABLE = 4  # include/uapi/linux/prctl.h


def of_start(spec: Spec, fixed: Collection[str], settings: Settings) -> bytes | None:
    """The message for init; None where nothing is asked for. `fixed` are the names of variables that the version has of
    --env, which come over those of files.

    Raises UsageError, which shows nothing of what is in a file, for one that is missing, is not a regular file of
    somebody trusted, is too large, or has a line that is none.
    """
    if not spec.secret and not spec.at_start:
        return None
    _keep_out_of_cores()
    held = {}
    for name, path in map(at_start.secret, spec.secret):
        held[name] = _read(path, f"--secret {name}", MAX_SECRET_BYTES, settings)
    env: dict[str, str] = {}
    for path in spec.at_start:
        data = _read(path, "--env-file", MAX_ENV_FILE_BYTES, settings)
        for word in environment.taken(environment.words(data, path, quote=False), f"--env-file {path}"):
            name = word.partition("=")[0]
            if name not in fixed:
                env[name] = word
    return secrets.text(held, list(env.values()))


def missing(spec: Spec) -> list[str]:
    """The files that each start reads and that are not there now, each with its option: for create to tell of."""
    asked = [(one.path, f"--secret {one.name}") for one in map(at_start.secret, spec.secret)]
    asked += [(path, "--env-file --at-start") for path in spec.at_start]
    return [f"{path} ({option})" for path, option in asked if not os.path.exists(path)]


def _read(path: str, option: str, most: int, settings: Settings) -> bytes:
    uids = guard.uids(settings) | {os.geteuid()}
    try:
        trusted.check([Path(path)], uids)
        with open(files.open_regular(Path(path)), "rb") as file:
            data, owner = file.read(most + 1), os.fstat(file.fileno()).st_uid
    except UsageError as error:
        raise UsageError(f"{option}: {error.text}", error.hint) from None
    except OSError as error:
        raise UsageError(f"{option}: {path}: {error.strerror}", "each start reads it") from None
    if owner not in uids:
        raise UsageError(f"{option}: {path} belongs to uid {owner}", f"chown root: {path}")
    if len(data) > most:
        raise UsageError(f"{option}: {path} has more than {most >> 10} KiB")
    return data


def _keep_out_of_cores() -> None:
    """From here on the kernel writes this process's memory into no core file, and nobody but root traces it."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl")
