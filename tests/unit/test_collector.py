"""The collector: a real process on a real socket, and peers that run as a VM's uid in its jail."""

import contextlib
import json
import os
import resource
import signal
import socket
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from inferno import collector, logs
from inferno.cgroup import SLICE
from inferno.collector import chain
from inferno.errors import InfernoError
from inferno.jail import LOG_SOCKET
from inferno.logs import read
from inferno.logs.record import parse
from tests.loghost import CONNECT, DEADLINE_S, PEER, LogHost, Vm, ended, eventually

pytestmark = pytest.mark.root


@pytest.fixture
def host(tmp_path: Path) -> Iterator[LogHost]:
    host = LogHost(tmp_path)
    yield host
    host.close()


def messages(log: Path) -> list[str]:
    return [json.loads(text)["message"] for text in log.read_text().splitlines()]


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
    assert collector.status(host.paths) is None
    collector.sync(host.settings)
    assert not collector.end(host.paths)


def test_killed_it_is_replaced_and_running_vms_are_told(host: LogHost) -> None:
    vm = host.vm("web")
    pid = host.pid()
    os.kill(pid, signal.SIGKILL)
    ended(pid)
    before = (vm.version.jail / LOG_SOCKET).stat().st_ino
    collector.ensure_running(host.settings)
    assert host.pid() != pid
    collector.release(host.paths)
    assert (vm.version.jail / LOG_SOCKET).stat().st_ino != before
    vm.say(vm.line("again"))
    assert messages(vm.log) == ["again"]


def test_a_stale_socket_of_before_a_reboot_is_replaced(host: LogHost) -> None:
    vm = host.vm("web", link=False)
    host.paths.collector.mkdir(parents=True)
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(host.paths.collector_socket))
        dead.listen()
    os.link(host.paths.collector_socket, vm.version.jail / LOG_SOCKET)
    collector.ensure_running(host.settings)
    vm.link()
    vm.say(vm.line("up"))
    assert messages(vm.log) == ["up"]


def test_starters_at_once_get_one_collector_and_leave_none(host: LogHost) -> None:
    """Each links and unlinks again and again, while the collector wants to end whenever nobody is there."""
    vms = [host.vm(f"web{number}", link=False) for number in range(4)]
    program = textwrap.dedent("""
        import os, sys
        from pathlib import Path
        from inferno import collector, config, jail
        from inferno.paths import Paths
        settings = config.load()
        root = os.open(sys.argv[1], os.O_RDONLY)
        for _ in range(25):
            collector.ensure_running(settings)
            collector.link_into(Paths(settings.root), root)
            assert collector.status(Paths(settings.root)), "linked to nobody"
            os.unlink(jail.LOG_SOCKET, dir_fd=root)
    """)
    env = {**os.environ, "INFERNO_ROOT": str(host.paths.root)}
    for vm in vms:
        host.paths.started(vm.name).unlink()  # or a new collector links itself where the racer just took it away
    racers = [subprocess.Popen([sys.executable, "-c", program, str(vm.version.jail)], env=env) for vm in vms]
    assert [racer.wait(60) for racer in racers] == [0, 0, 0, 0]
    eventually(lambda: collector.status(host.paths) is None)
    assert not host.paths.collector_socket.exists()


def test_a_starter_that_is_killed_keeps_no_collector(host: LogHost) -> None:
    program = (
        "from inferno import collector, config; import os\n"
        "collector.ensure_running(config.load()); print('up', flush=True); os.read(0, 1)"
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
        proc = Path(f"/proc/{host.pid()}")
        opened = {os.readlink(path) for path in (proc / "fd").iterdir()}
    assert not [path for path in opened if path.endswith("held") or "/pts/" in path]
    assert os.readlink(proc / "cwd") == "/"
    fields = (proc / "stat").read_text().rpartition(")")[2].split()
    assert fields[3] == str(host.pid())  # the leader of a session of its own
    assert memory_kib(host.pid()) < 32 << 10


def memory_kib(pid: int, field: str = "VmRSS") -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith(f"{field}:")))


def test_lines_that_are_not_the_vms_are_refused_counted_and_told(host: LogHost) -> None:
    web, db = host.vm("web"), host.vm("db")
    forged = [
        db.line("in another's name"),
        web.line("x").replace(b'"source": "stdout"', b'"source": "collector"'),
        web.line("x").replace(b"}\n", b', "vm_name": "db"}\n'),
        web.line("x").replace(b'"vm_id"', b'"vm_id": "' + db.ulid.encode() + b'", "vm_id"'),
        web.line("\x1b[2J"),
        web.line("nul \0 nul"),
        web.line("not utf-8 ?").replace(b"?", b"\xff"),
        web.line("half").replace(b'"}', b""),
        web.line("escape \\ud800"),
        web.line("two").replace(b"}\n", b"} {}\n"),
        b"\n",
        b"{}\n",
        b"x" * (10 << 20) + b"\n",
        b"\r\n\r\n",
    ]
    good = [web.line("before"), web.line('gr\u00fc\u00df dich \\u001b[2J \\u0000 \\\\ \\" \\n')]
    web.say(good[0], *forged, good[1], *[b"\n"] * 1000)
    records = [json.loads(text) for text in web.log.read_bytes().splitlines()]
    own = [record["message"] for record in records if record["source"] == "stdout"]
    assert own == ["before", 'grüß dich \x1b[2J \0 \\ " \n']
    told = [record for record in records if record["source"] == "collector"]
    assert sum(record["dropped"] for record in told) == len(forged) + 1 + 1000
    assert all((record["vm_name"], record["level"]) == ("web", "warn") for record in told)
    assert "one began: {" in told[0]["message"]
    assert not db.log.exists()
    found = collector.status(host.paths)
    assert found is not None
    assert found["refused"] == len(forged) + 1 + 1000
    assert memory_kib(host.pid(), "VmHWM") < 64 << 10


def test_who_is_no_vm_is_not_heard(host: LogHost) -> None:
    vm = host.vm("web")
    for uid in (65534, host.settings.uid_base + 16000, host.settings.uid_base - 1):
        with vm.peer(CONNECT + "print(s.recv(1), flush=True)", uid=uid) as peer:
            assert peer.stdout is not None
            assert peer.stdout.read() == b"b''\n"
    assert not host.paths.combined_log.exists()


def test_a_jail_full_of_connections_keeps_nobody_out(host: LogHost) -> None:
    hostile, web = host.vm("hostile"), host.vm("web")
    program = (
        "import contextlib\n"
        + CONNECT
        + textwrap.dedent("""
        kept = []
        for _ in range(900):
            t = socket.socket(socket.AF_UNIX)
            t.connect("vm_logs.sock")
            kept.append(t)
            with contextlib.suppress(BrokenPipeError):
                t.send(b"x" * 1000)
        print("full", flush=True)
        sys.stdin.read()
    """)
    )
    with hostile.peer(program) as peer:
        assert peer.stdout is not None
        assert peer.stdout.readline() == b"full\n"
        web.say(web.line("here"))
        assert messages(web.log) == ["here"]
        found = collector.status(host.paths)
        assert found is not None
        assert found["connections"] == 4
        peer.communicate(timeout=DEADLINE_S)


def test_a_flood_delays_nobody_and_a_sync_ends(host: LogHost) -> None:
    flooder, web = host.vm("flooder"), host.vm("web")
    flood = f"{CONNECT}\nwhile True: s.sendall({flooder.line('x' * 80)!r} * 400)"
    with flooder.peer(flood) as flooding, web.peer() as peer:
        assert peer.stdin is not None
        for number in range(10):
            peer.stdin.write(web.line(str(number)))
            peer.stdin.flush()
            began = time.monotonic()
            eventually(
                lambda number=number: web.log.exists() and messages(web.log) == list(map(str, range(number + 1)))
            )
            assert time.monotonic() - began < 1
        began = time.monotonic()
        collector.sync(host.settings)
        assert time.monotonic() - began < 1
        assert memory_kib(host.pid(), "VmHWM") < 64 << 10
        peer.stdin.close()
        flooding.kill()
    assert set(messages(flooder.log)) == {"x" * 80}


# Numbered lines, sent as kiln sends its: whole lines anew on the next connection, found by its name.
NUMBERED = """
import os, socket, sys, time
os.setgroups([]); os.setgid(int(sys.argv[1])); os.setuid(int(sys.argv[1]))
def connect():
    while True:
        s = socket.socket(socket.AF_UNIX)
        try:
            s.connect("vm_logs.sock")
            return s
        except OSError:
            s.close()
            time.sleep(0.001)
s = connect()
print("connected", flush=True)
template = TEMPLATE
number = 0
while number < COUNT:
    chunk = b"".join(template.replace(b"NUMBER", str(n).encode()) for n in range(number, min(number + 50, COUNT)))
    sent = 0
    try:
        while sent < len(chunk):
            sent += s.send(chunk[sent:sent + 1000])
    except OSError:
        s.close()
        s = connect()
    number += chunk[:sent].count(b"\\n")
"""


def numbered(vm: Vm, count: int) -> subprocess.Popen[bytes]:
    template = vm.line("NUMBER")
    return vm.peer(NUMBERED.replace("TEMPLATE", repr(template)).replace("COUNT", str(count)))


def test_a_restart_loses_no_line_and_tears_none(host: LogHost) -> None:
    vms = [host.vm("web"), host.vm("db")]
    peers = [numbered(vm, 30_000) for vm in vms]
    pids = set()
    for _ in range(5):
        pids.add(host.pid())
        assert collector.end(host.paths)
        collector.ensure_running(host.settings)
        collector.release(host.paths)
        collector.sync(host.settings)
    assert len(pids) == 5
    for peer in peers:
        peer.communicate(timeout=30)
    collector.sync(host.settings)
    for vm in vms:
        assert messages(vm.log) == [str(number) for number in range(30_000)]
    assert len(messages(host.paths.combined_log)) == 60_000


def test_a_killed_one_tears_no_line(host: LogHost) -> None:
    """What is in its queues is lost; the lines before and after are whole and in order."""
    vm = host.vm("web")
    with numbered(vm, 30_000):
        for _ in range(3):
            eventually(lambda: vm.log.exists() and vm.log.stat().st_size > 0)
            pid = host.pid()
            os.kill(pid, signal.SIGKILL)
            ended(pid)
            collector.ensure_running(host.settings)
            collector.release(host.paths)
            assert host.pid() != pid
    collector.sync(host.settings)
    found = [int(text) for text in messages(vm.log)]
    assert found == sorted(set(found))
    assert found[-1] == 29_999


@pytest.fixture
def small(tmp_path: Path) -> Iterator[LogHost]:
    """A host whose logs are rotated every MiB, three files each."""
    host = LogHost(tmp_path, INFERNO_LOG_MAX_SIZE_MB="1", INFERNO_LOG_MAX_FILES="3")
    yield host
    host.close()


def test_rotation_is_complete_and_bounded(small: LogHost) -> None:
    vm = small.vm("web")
    with logs.follow(small.paths, "web", since=0) as follower, numbered(vm, 60_000):  # 9 MB
        followed = [int(next(follower).data)]
        while followed[-1] < 59_999:  # what the follower is too slow for may be gone, as it is to be
            followed.append(int(next(follower).data))
    assert followed == sorted(set(followed))
    eventually(lambda: all(part.compressed for part in chain.rotated(vm.log)))
    collector.sync(small.settings)
    for log in (vm.log, small.paths.combined_log):
        assert len(chain.rotated(log)) == 2
        assert log.stat().st_size <= 1 << 20
        kept = [int(parse(text).data) for text in read.forwards(log)]
        assert kept == list(range(60_000 - len(kept), 60_000))
        assert len(kept) > 6000
    assert sum(path.stat().st_size for path in small.paths.logs.iterdir()) < 3 << 20


def test_a_full_disk_is_survived_and_told(host: LogHost) -> None:
    vm = host.vm("web")
    with vm.peer() as peer:
        assert peer.stdin is not None

        def say(*lines: bytes) -> None:
            assert peer.stdin is not None
            with collector_reads(host):
                peer.stdin.write(b"".join(lines))
                peer.stdin.flush()

        say(vm.line("before"))
        size = vm.log.stat().st_size
        assert host.paths.combined_log.stat().st_size == size
        unlimited = resource.prlimit(host.pid(), resource.RLIMIT_FSIZE, (size + 250, resource.RLIM_INFINITY))
        say(vm.line("fits"), *(vm.line(f"lost {number}") for number in range(100)))
        say(vm.line("lost, too"))
        assert messages(vm.log) == ["before", "fits"]
        resource.prlimit(host.pid(), resource.RLIMIT_FSIZE, unlimited)
        say(vm.line("after"))
        peer.stdin.close()
    for log in (vm.log, host.paths.combined_log):
        records = [json.loads(text) for text in log.read_text().splitlines()]
        assert [record["message"] for record in records if record["source"] == "stdout"] == ["before", "fits", "after"]
        assert [record.get("dropped") for record in records] == [None, None, 101, None]


@contextlib.contextmanager
def collector_reads(host: LogHost) -> Iterator[None]:
    """Returns when the collector has read more than before, and written it."""

    def count() -> object:
        found = collector.status(host.paths)
        return found and found["bytes"]

    before = count()
    yield
    eventually(lambda: count() != before)


def test_files_removed_moved_or_torn_by_hand_are_no_obstacle(host: LogHost) -> None:
    vm = host.vm("web")
    with vm.peer() as peer:
        assert peer.stdin is not None

        def say(message: str) -> None:
            assert peer.stdin is not None
            peer.stdin.write(vm.line(message))
            peer.stdin.flush()
            eventually(lambda: vm.log.exists() and messages_of_whole(vm.log)[-1:] == [message])

        say("one")
        vm.log.unlink()
        say("two")
        assert messages(vm.log) == ["two"]
        vm.log.rename(vm.log.with_name("elsewhere"))
        say("three")
        vm.log.unlink()
        vm.log.write_bytes(vm.line("torn")[:40])
        say("four")
        assert vm.log.read_bytes().count(b"\n") == 2
        peer.stdin.close()


def messages_of_whole(log: Path) -> list[str]:
    return [parse(text).data.decode() for text in read.forwards(log)]


@pytest.mark.parametrize("trap", ["directory", "symlink", "fifo"])
def test_a_trap_in_the_jail_harms_only_that_vm(host: LogHost, tmp_path: Path, trap: str) -> None:
    hostile, web = host.vm("hostile"), host.vm("web")
    name = hostile.version.jail / LOG_SOCKET
    outside = tmp_path / "outside"
    outside.write_text("untouched")
    name.unlink()
    {
        "directory": name.mkdir,
        "symlink": lambda: name.symlink_to(outside),
        "fifo": lambda: os.mkfifo(name),
    }[trap]()
    assert collector.end(host.paths)
    collector.ensure_running(host.settings)
    collector.release(host.paths)
    collector.sync(host.settings)  # then it has made itself known
    web.say(web.line("here"))
    assert messages(web.log) == ["here"]
    assert outside.read_text() == "untouched"
    assert [entry.name for entry in hostile.version.jail.iterdir()] == [LOG_SOCKET]
    if trap == "directory":
        with pytest.raises(InfernoError, match="cannot be linked"):
            hostile.link()
        name.rmdir()
        name.touch()


UNIFIED = Path("/sys/fs/cgroup/unified")


def test_where_vms_share_a_uid_their_cgroups_tell_them_apart(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    root = next((path for path in (UNIFIED.parent, UNIFIED) if (path / "cgroup.procs").exists()), None)
    if root is None or not (root / "cgroup.controllers").exists():
        pytest.skip("cgroup v2 is not mounted here")
    host = LogHost(tmp_path, INFERNO_JAIL_UID="12345", INFERNO_JAIL_GID="12345")
    for name in ("web", "db"):
        vm = host.vm(name)
        leaf = root / SLICE / vm.ulid
        request.addfinalizer(lambda leaf=leaf: os.removedirs(leaf))
        vm.version.record.write_text(json.dumps({"name": name}))
        leaf.mkdir(parents=True)
        collector.sync(host.settings)  # it is up: what a process was that has ended since, nobody can tell it
        enter = f"open({str(leaf / 'cgroup.procs')!r}, 'w').write('0')\n"
        with vm.peer(enter + PEER) as peer:
            peer.communicate(vm.line(f"I am {name}"), timeout=DEADLINE_S)
        eventually(lambda vm=vm: vm.log.exists())
        assert messages(vm.log) == [f"I am {name}"]
    host.close()
