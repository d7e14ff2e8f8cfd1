"""`infernoctl init`: the data folder, the database and the log collector, before the first VM.

Each is made by the first command that needs it, too. Who types this learns beforehand what would keep them from it.
"""

from __future__ import annotations

import contextlib

from inferno.base.errors import UsageError
from inferno.base.requirements import need_root
from inferno.console.typed import Typed
from inferno.logs import collector_client
from inferno.sandbox import cgroup
from inferno.settings import load_settings
from inferno.state.database import State
from inferno.state.paths import Paths


def init(_typed: Typed) -> int:
    """What is there already stays as it is. Raises UsageError for anybody but root, and where nothing can be made."""
    need_root()
    settings = load_settings()
    paths = Paths(settings.root)
    try:
        for folder in (paths.root, paths.vms, paths.images, paths.logs):
            folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        hint = "INFERNO_ROOT says where: infernoctl env"
        raise UsageError(f"{error.filename} cannot be made: {error.strerror}", hint) from None
    print(f"data folder: {paths.root}")
    with contextlib.closing(State(settings.db_path)) as state:
        print(f"database: {settings.db_path}, VMs: {len(state.names())}")
    collector_client.ensure_running(settings)
    collector_client.release(paths)
    print("log collector: runs" if cgroup.running() else "log collector: can be started, and runs while VMs do")
    return 0
