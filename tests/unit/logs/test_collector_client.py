"""The collector's life: it comes with the first VM, goes with the last, and a restart or a kill tears no line."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from inferno.cli.main import main
from inferno.logs import collector_client
from inferno.settings import load_settings
from inferno.wire.shared import LOG_SOCKET
from tests.loghost import LogHost, ended, eventually, memory_kib, messages, numbered

pytestmark = pytest.mark.root


def test_lines_reach_the_vms_log_and_the_combined_one(host: LogHost) -> None:
    web, db = host.vm("web"), host.vm("db")
    web.say(web.line("one"), web.line("two"))
    db.say(db.line("three"))
    assert messages(web.log) == ["one", "two"]
    assert messages(db.log) == ["three"]
    assert messages(host.paths.combined_log) == ["one", "two", "three"]
    record = json.loads(db.log.read_text())
    assert (record["vm_name"], record["vm_id"]) == ("db", db.ulid)
    assert {path.stat().st_mode & 0o777 for path in host.paths.logs.iterdir()} == {0o640}


def test_it_ends_when_nobody_can_reach_it_and_leaves_no_socket(host: LogHost) -> None:
    vm = host.vm("web")
    pid = host.pid()
    vm.say(vm.line("hello"))
    assert host.pid() == pid
    vm.unlink()
    ended(pid)
    assert not host.paths.collector_socket.exists()
    assert collector_client.status(host.paths) is None
    collector_client.sync(host.settings)


def test_killed_it_is_back_at_once_and_nobody_has_to_ask(host: LogHost) -> None:
    vm = host.vm("web")
    before = (vm.version.jail / LOG_SOCKET).stat().st_ino
    pids = [host.pid()]
    for number in range(2):
        os.kill(pids[-1], signal.SIGKILL)
        ended(pids[-1])
        vm.say(vm.line(f"mine {number}"))
        pids.append(host.pid())
    assert len(set(pids)) == 3
    assert (vm.version.jail / LOG_SOCKET).stat().st_ino == before
    assert messages(vm.log) == ["mine 0", "mine 1"]
    told = [text for text in messages(host.paths.combined_log) if "mine" not in text]
    assert (
        told
        == ["the log collector was killed by signal 9, and was started anew: what was not written is sent again"] * 2
    )


def test_when_both_its_processes_are_killed_the_next_start_replaces_them(host: LogHost) -> None:
    vm = host.vm("web")
    pid = host.pid()
    for each in (guard_of(pid), pid):
        os.kill(each, signal.SIGKILL)
        ended(each)
    before = (vm.version.jail / LOG_SOCKET).stat().st_ino
    assert not collector_client.ensure_running(host.settings), "none ran: there is nothing to wait for"
    assert host.pid()
    collector_client.release(host.paths)
    assert (vm.version.jail / LOG_SOCKET).stat().st_ino != before
    vm.say(vm.line("again"))
    assert messages(vm.log) == ["again"]


def test_one_of_another_inferno_is_replaced_by_the_next_start(host: LogHost) -> None:
    vm = host.vm("web")
    with vm.peer() as peer:
        assert peer.stdin is not None
        vm.tell(peer, vm.line("to the old one"))
        collector_client.ensure_running(host.settings)
        pid = host.pid()
        (host.paths.collector / "protocol").write_text("inferno-log/0")
        assert collector_client.ensure_running(host.settings), "what the old one has may be on its way to the log"
        collector_client.release(host.paths)
        ended(pid)
        peer.stdin.close()
    assert host.pid() != pid
    collector_client.ensure_running(host.settings)
    collector_client.release(host.paths)
    vm.say(vm.line("to the new one"))
    assert messages(vm.log) == ["to the old one", "to the new one"]


def guard_of(pid: int) -> int:
    """Its parent."""
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def test_one_that_always_dies_is_given_up(host: LogHost) -> None:
    host.vm("web")
    guard = guard_of(host.pid())
    for _ in range(5):
        pid = host.pid()
        os.kill(pid, signal.SIGKILL)
        ended(pid)
    ended(guard)
    assert collector_client.status(host.paths) is None


def test_a_signal_to_the_one_that_watches_ends_both(host: LogHost) -> None:
    vm = host.vm("web")
    vm.say(vm.line("before"))
    pid = host.pid()
    guard = guard_of(pid)
    os.kill(guard, signal.SIGTERM)
    ended(pid)
    ended(guard)
    assert not host.paths.collector_socket.exists()


def test_a_stale_socket_of_before_a_reboot_is_replaced(host: LogHost) -> None:
    vm = host.vm("web", link=False)
    host.paths.collector.mkdir(parents=True)
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(host.paths.collector_socket))
        dead.listen()
    os.link(host.paths.collector_socket, vm.version.jail / LOG_SOCKET)
    collector_client.ensure_running(host.settings)
    vm.link()
    vm.say(vm.line("up"))
    assert messages(vm.log) == ["up"]


def test_starters_at_once_get_one_collector_and_leave_none(host: LogHost) -> None:
    """Each links and unlinks again and again, while the collector wants to end whenever nobody is there."""
    vms = [host.vm(f"web{number}", link=False) for number in range(4)]
    program = textwrap.dedent("""
        import os, sys
        from pathlib import Path
        from inferno.logs import collector_client
        from inferno.settings import load_settings
        from inferno.state.paths import Paths
        from inferno.wire.shared import LOG_SOCKET
        settings = load_settings()
        root = os.open(sys.argv[1], os.O_RDONLY)
        for _ in range(25):
            collector_client.ensure_running(settings)
            collector_client.link_into(Paths(settings.root), root)
            assert collector_client.status(Paths(settings.root)), "linked to nobody"
            os.unlink(LOG_SOCKET, dir_fd=root)

    """)
    env = {**os.environ, "INFERNO_ROOT": str(host.paths.root)}
    for vm in vms:
        host.paths.started(vm.name).unlink()  # or a new collector links itself where the racer just took it away
    racers = [subprocess.Popen([sys.executable, "-c", program, str(vm.version.jail)], env=env) for vm in vms]
    assert [racer.wait(60) for racer in racers] == [0, 0, 0, 0]
    eventually(lambda: collector_client.status(host.paths) is None)
    assert not host.paths.collector_socket.exists()


def test_a_starter_that_is_killed_keeps_no_collector(host: LogHost) -> None:
    program = (
        "from inferno.logs import collector_client; from inferno import settings; import os\n"
        "collector_client.ensure_running(settings.load_settings()); print('up', flush=True); os.read(0, 1)"
    )
    env = {**os.environ, "INFERNO_ROOT": str(host.paths.root)}
    command = [sys.executable, "-c", program]
    with subprocess.Popen(command, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as starter:
        assert starter.stdout is not None
        assert starter.stdout.readline() == b"up\n"
        pid = host.pid()
        starter.kill()
    ended(pid)


def test_it_holds_nothing_of_its_starter(host: LogHost, tmp_path: Path) -> None:
    with (tmp_path / "held").open("w") as held:
        os.set_inheritable(held.fileno(), True)
        host.vm("web")
        proc, opened = Path(f"/proc/{host.pid()}"), set()
        for path in (proc / "fd").iterdir():
            with contextlib.suppress(FileNotFoundError):  # closed meanwhile
                opened.add(os.readlink(path))
    assert not [path for path in opened if path.endswith("held") or "/pts/" in path]
    assert os.readlink(proc / "cwd") == "/"
    fields = (proc / "stat").read_text().rpartition(")")[2].split()
    assert fields[3] == fields[1]  # in a session of its own, which the one that watches over it leads
    assert memory_kib(host.pid()) < 32 << 10


def test_a_restart_loses_no_line_and_tears_none(host: LogHost) -> None:
    vms = [host.vm("web"), host.vm("db")]
    peers = [numbered(vm, 30_000) for vm in vms]
    pids = set()
    for _ in range(5):
        pids.add(host.pid())
        assert collector_client.restart(host.settings)
        collector_client.sync(host.settings)
    assert len(pids) == 5
    for peer in peers:
        peer.communicate(timeout=30)
    collector_client.sync(host.settings)
    for vm in vms:
        assert messages(vm.log) == [str(number) for number in range(30_000)]
    assert len(messages(host.paths.combined_log)) == 60_000


def test_a_killed_one_tears_no_line(host: LogHost) -> None:
    """Who keeps nothing loses what was in its queues; the lines before and after are whole and in order."""
    vm = host.vm("web")
    with numbered(vm, 30_000):
        for _ in range(3):
            eventually(lambda: vm.log.exists() and vm.log.stat().st_size > 0)
            pid = host.pid()
            os.kill(pid, signal.SIGKILL)
            ended(pid)
            assert host.pid() != pid
    collector_client.sync(host.settings)
    found = [int(text) for text in messages(vm.log)]
    assert found == sorted(set(found))
    assert found[-1] == 29_999


def test_it_ends_with_its_root_and_makes_none_anew(tmp_path: Path) -> None:
    host = LogHost(tmp_path / "root")
    host.vm("web")
    pid = host.pid()
    subprocess.run(["rm", "-rf", host.paths.root], check=True)  # the collector may be faster with its socket
    ended(pid)
    assert not host.paths.root.exists()


def test_the_command_restarts_it(
    host: LogHost, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("INFERNO_ROOT", str(host.paths.root))
    vm = host.vm("web")
    pid = host.pid()
    assert main(["logs", "restart"]) == 0
    ended(pid)
    assert host.pid() != pid
    vm.say(vm.line("here"))
    assert main(["logs", "status"]) == 0
    assert main(["logs", "tail", "--vm", "web"]) == 0
    restarted, running, combined, web, line = capsys.readouterr().out.splitlines()
    assert restarted == "the log collector was restarted"
    assert running.startswith(f"collector: runs (pid {host.pid()}, ")
    assert (combined.split()[:3], web.split()[:3]) == (["(all)", "1", "files"], ["web", "1", "files"])
    assert line == "2026-11-24T14:17:02.123Z web stdout here"


def test_it_has_the_settings_of_its_starter() -> None:
    given = {"HOME": "/root", "INFERNO_UID_BASE": "900000", "INFERNO_LOG_MAX_FILES": "2", "INFERNO_JAIL_UID": "123"}
    for settings in (load_settings({}, Path("/nonexistent")), load_settings(given, Path("/nonexistent"))):
        assert load_settings(settings.environ(), Path("/nonexistent")) == settings
