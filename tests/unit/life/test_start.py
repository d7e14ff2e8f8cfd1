"""Where the log of a run begins: behind all that was said before it."""

from __future__ import annotations

import contextlib

import pytest

from inferno.life import start
from inferno.life.instance import Instance
from inferno.logs import collector_client, vm_logs
from tests.loghost import DEADLINE_S, LogHost, eventually, messages

pytestmark = pytest.mark.root


def test_last_words_of_the_run_before_are_not_shown_as_this_ones(host: LogHost) -> None:
    vm = host.vm("web")
    with vm.peer() as peer:
        vm.tell(peer, vm.line("first"))
        eventually(lambda: vm.log.exists() and messages(vm.log) == ["first"])
        host.paths.started("web").unlink()  # nothing is left of that run but lines on their way to the log
        peer.communicate(b"".join(vm.line(f"old {number}") for number in range(5000)), timeout=DEADLINE_S)
    # Whose version has no jail: the start goes no further than that.
    begun = start.Start(
        Instance(host.settings, "web", vm.slot, vm.ulid, {"image": "box"}),
        host.paths.version("X"),
        {},
        contextlib.ExitStack(),
    )
    with pytest.raises(FileNotFoundError):
        start.launch_it(begun)
    begun.undo.pop_all()
    collector_client.release(host.paths)
    collector_client.sync(host.settings)
    assert len(messages(vm.log)) == 5001
    assert begun.log_position == vm_logs.end(host.paths, "web")
