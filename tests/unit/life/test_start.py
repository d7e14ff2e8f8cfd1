"""Where the log of a run begins: behind all that was said before it."""

from __future__ import annotations

import contextlib
import json

import pytest

from inferno.base.errors import UsageError
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
        release=lambda: None,
    )
    with pytest.raises(FileNotFoundError):
        start.launch_it(begun)
    begun.undo.pop_all()
    collector_client.release(host.paths)
    collector_client.sync(host.settings)
    assert len(messages(vm.log)) == 5001
    assert begun.log_position == vm_logs.end(host.paths, "web")


def test_what_a_start_brings_is_what_was_asked_last_and_not_what_the_version_has(host: LogHost) -> None:
    vm = host.vm("web")
    saved = {
        "image": "box",
        "dns": ["192.0.2.1"],
        "dns_search": ["."],
        "dns_option": ["rotate"],
        "add_host": ["db=::1"],
    }
    begun = start.Start(
        Instance(host.settings, "web", vm.slot, vm.ulid, saved), host.paths.version("X"), {}, contextlib.ExitStack()
    )
    brought = json.loads(begun.brought.start)
    assert brought["etc_resolv"] == {"nameservers": ["192.0.2.1"], "search": [], "options": ["rotate"]}
    assert brought["etc_hosts"] == [{"address": "::1", "names": ["db"]}]
    assert brought["run"] == begun.brought.run
    assert begun.brought.unreachable == []


def test_what_cannot_be_brought_is_said_before_anything_is_made(host: LogHost) -> None:
    vm = host.vm("web")
    saved = {"image": "box", "add_host": [f"host{number}:192.0.2.1" for number in range(2000)]}
    begun = start.Start(
        Instance(host.settings, "web", vm.slot, vm.ulid, saved), host.paths.version("X"), {}, contextlib.ExitStack()
    )
    before = sorted(host.paths.root.rglob("*"))
    for step in start.STEPS:
        with pytest.raises(UsageError, match="more than 64 KiB of name servers and hosts"):
            step.act(begun)
    assert sorted(host.paths.root.rglob("*")) == before
