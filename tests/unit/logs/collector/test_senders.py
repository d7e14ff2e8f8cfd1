"""What the collector takes from whom: forgers, floods, strangers, jails full of traps."""

import json
import os
import textwrap
from pathlib import Path

import pytest

from inferno.base.errors import InfernoError
from inferno.logs import collector_client
from inferno.logs.collector.handshake import REFUSED, VERSION, line
from inferno.sandbox.cgroup import SLICE
from inferno.wire.shared import LOG_SOCKET
from tests.loghost import CONNECT, DEADLINE_S, PEER, LogHost, eventually, memory_kib, messages

pytestmark = pytest.mark.root


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
    found = collector_client.status(host.paths)
    assert found is not None
    assert found.refused == len(forged) + 1 + 1000
    assert memory_kib(host.pid(), "VmHWM") < 64 << 10


def test_records_of_another_release_are_kept_with_the_fields_that_this_one_does_not_know(host: LogHost) -> None:
    web = host.vm("web")
    web.say(web.line("before"), web.line("newer").replace(b"}\n", b', "boot": 7}\n'), web.line("after"))
    assert messages(web.log) == ["before", "newer", "after"]
    assert [json.loads(text).get("boot") for text in web.log.read_bytes().splitlines()] == [None, 7, None]


def test_a_kiln_of_another_version_is_told_so_and_the_vm_goes_on(host: LogHost) -> None:
    web = host.vm("web")
    stranger = CONNECT + """s.sendall(b'{"protocol": "inferno-log/9"}\\n'); print(s.recv(8), s.recv(8), flush=True)"""
    with web.peer(stranger) as peer:
        assert peer.stdout is not None
        assert peer.stdout.read() == f"{REFUSED!r} b''\n".encode()
    [record] = [json.loads(text) for text in web.log.read_bytes().splitlines()]
    assert (record["source"], record["vm_name"], record["level"]) == ("collector", "web", "warn")
    assert "inferno-log/9" in record["message"] and "logs restart" in record["message"]
    web.say(line(VERSION), web.line("here"))
    assert messages(web.log)[1:] == ["here"]


def test_lines_name_their_run_or_are_of_the_release_before(host: LogHost) -> None:
    web = host.vm("web")
    run = "01JD8ZM0G7C4R1X6B9T2W5Y8HE"
    of_now = web.line("now").replace(b', "message"', f', "run": "{run}", "message"'.encode())
    for version, said in ((VERSION - 1, web.line("before")), (VERSION, of_now)):
        web.say(line(version), said)
    records = [json.loads(text) for text in web.log.read_bytes().splitlines()]
    assert [(record["message"], record.get("run")) for record in records] == [("before", None), ("now", run)]


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
        found = collector_client.status(host.paths)
        assert found is not None
        assert found.connections == 4
        peer.communicate(timeout=DEADLINE_S)


def test_a_flood_delays_nobody_and_a_sync_ends(host: LogHost) -> None:
    flooder, web = host.vm("flooder"), host.vm("web")
    flood = f"{CONNECT}\nwhile True: s.sendall({flooder.line('x' * 80)!r} * 400)"
    with flooder.peer(flood) as flooding, web.peer() as peer:
        assert peer.stdin is not None
        for number in range(10):
            web.tell(peer, web.line(str(number)))
            eventually(
                lambda number=number: web.log.exists() and messages(web.log) == list(map(str, range(number + 1)))
            )
        collector_client._ask(host.paths, collector_client.SYNC)  # raises when it is not answered in time
        assert memory_kib(host.pid(), "VmHWM") < 64 << 10
        peer.stdin.close()
        flooding.kill()
    assert set(messages(flooder.log)) == {"x" * 80}


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
    assert collector_client.restart(host.settings)
    collector_client.sync(host.settings)  # then it has made itself known
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
        collector_client.sync(host.settings)  # it is up: what a process was that has ended since, nobody can tell it
        enter = f"open({str(leaf / 'cgroup.procs')!r}, 'w').write('0')\n"
        with vm.peer(enter + PEER) as peer:
            vm.tell(peer, vm.line(f"I am {name}"))
            eventually(lambda vm=vm: vm.log.exists())  # it must be there until it is looked at
            peer.communicate(timeout=DEADLINE_S)
        assert messages(vm.log) == [f"I am {name}"]
    host.close()
