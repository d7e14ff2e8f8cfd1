"""A new collector makes itself known to the VMs that run already: kiln waits for the socket's name to appear."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

from inferno.base.errors import InfernoError
from inferno.logs import collector_client
from inferno.sandbox import cgroup, jail
from inferno.settings import Settings
from inferno.state.paths import Paths, VersionDir


def relink(settings: Settings) -> None:
    """Link the socket into the jail of every VM that runs, or is being launched."""
    paths = Paths(settings.root)
    for version in _versions(paths):
        # One that ended meanwhile, or a jail that was made so that nothing can be linked: its own loss.
        with contextlib.suppress(OSError, InfernoError), jail.opened(version) as root:
            collector_client.link_into(paths, root)


def _versions(paths: Paths) -> Iterator[VersionDir]:
    """By the kernel's word, and by the links that are there from just before a launch."""
    found = set(cgroup.running())
    with contextlib.suppress(FileNotFoundError):
        for name in os.listdir(paths.vms):
            with contextlib.suppress(OSError):
                found.add(os.path.basename(os.readlink(paths.started(name))))
    return (paths.version(ulid) for ulid in sorted(found) if ulid.isalnum())
