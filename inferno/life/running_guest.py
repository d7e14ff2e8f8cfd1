"""The guest of a VM that runs, for those who reach into it: found by its version's jail."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from inferno.base.errors import InfernoError, UsageError
from inferno.life.instance import Instance
from inferno.reach.guest import Guest
from inferno.sandbox import jail


@contextlib.contextmanager
def opened(vm: Instance) -> Iterator[Guest]:
    """The VM's guest. Raises InfernoError when it does not run, UsageError for anybody but root."""
    version = vm.running()
    if version is None:
        raise not_running(vm.name)
    with contextlib.ExitStack() as held:
        try:
            root = held.enter_context(jail.opened(version))
        except PermissionError:
            raise UsageError("only root reaches into VMs", "use sudo") from None
        except FileNotFoundError:  # it was stopped between the two looks
            raise not_running(vm.name) from None
        yield Guest(vm.name, version.ulid, root)


def not_running(name: str) -> InfernoError:
    """The error for a VM that has no guest now."""
    return InfernoError(f"{name} does not run", f"infernoctl start {name} --detach")
