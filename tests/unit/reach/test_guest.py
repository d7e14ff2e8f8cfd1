"""ping, status, captured commands and the list of processes, of a real guest and of hostile ones."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from inferno.base.errors import InfernoError
from inferno.reach import capture, command, copy, frame, guest, processes
from inferno.reach.channel import Channel
from inferno.reach.command import Command, NotStartedError
from inferno.reach.guest import Guest
from inferno.reach.unpack import How, Place, unpack
from inferno.sandbox import usage
from tests import known
from tests.guestlab import DEADLINE_S, GuestLab, exec_argv, real_guest, supervise

SWITCHED = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: inferno-stream/1\r\n\r\n"
ENDED = frame.encode(frame.EXIT, b'{"exit_code": 0, "signal": null}')
FAILED = frame.encode(frame.EXIT, b'{"exit_code": 1, "signal": null}')
Answer = Callable[[socket.socket], None]
Hostile = Callable[[Answer], Guest]


@pytest.fixture
def hostile(tmp_path: Path) -> Iterator[Hostile]:
    """A guest that greets as Firecracker does, reads the request, then does as the test says."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(tmp_path / "control.sock"))
    listener.listen(1)
    root = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    threads = []

    def start(answer: Answer) -> Guest:
        def serve() -> None:
            with listener.accept()[0] as peer:
                peer.settimeout(DEADLINE_S)
                peer.recv(64)
                peer.sendall(b"OK 7\n")
                peer.recv(65536)
                try:
                    answer(peer)
                except (BrokenPipeError, ConnectionResetError):
                    return

        threads.append(threading.Thread(target=serve))
        threads[-1].start()
        return Guest("web1", "-", root)

    yield start
    for thread in threads:
        thread.join(DEADLINE_S)
    listener.close()
    os.close(root)


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guest]:
    with real_guest(tmp_path_factory.mktemp("guest") / "root") as guest:
        yield guest


def body(value: object) -> bytes:
    content = json.dumps(value).encode()
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(content), content)


@pytest.mark.root
def test_a_guest_answers_and_says_how_its_process_is(real: Guest) -> None:
    assert 0 < guest.ping(real, DEADLINE_S) < DEADLINE_S
    said = guest.status(real, DEADLINE_S)
    assert (said.state, said.exit_code) == ("running", None)
    assert said.pid is not None and said.pid > 1


@pytest.mark.root
def test_a_signal_reaches_the_process_and_nothing_else(tmp_path: Path) -> None:
    lab = GuestLab(
        tmp_path / "root", supervise(), "trap 'exit 0' HUP; trap : USR1; while :; do sleep 1000 & wait; done"
    )
    root = os.open(lab.folder, os.O_RDONLY | os.O_DIRECTORY)
    web1 = Guest("web1", "-", root)
    guest.signal(web1, signal.SIGUSR1, DEADLINE_S)
    assert guest.status(web1, DEADLINE_S).state == "running"
    guest.signal(web1, signal.SIGHUP, DEADLINE_S)
    lab.wait_for_end()
    os.close(root)
    lab.kill()


@pytest.mark.root
def test_what_a_command_says_is_captured_within_limits(real: Guest) -> None:
    def run(script: str, limit_bytes: int = 1000, timeout_s: float = DEADLINE_S) -> tuple[frame.Exit, bytes]:
        return capture.capture(real, Command(("sh", "-c", script)), limit_bytes=limit_bytes, timeout_s=timeout_s)

    assert run("echo hi; echo no >&2; exit 3") == (frame.Exit(3, None), b"hi\n")
    with pytest.raises(InfernoError, match="more than 1000 bytes"):
        run("yes")
    with pytest.raises(InfernoError, match="did not end within"):
        run("exec sleep 1000", timeout_s=0.2)
    with pytest.raises(NotStartedError, match="no-such"):
        capture.capture(real, Command(("no-such",)), limit_bytes=1, timeout_s=DEADLINE_S)


@pytest.mark.root
def test_processes_are_listed(real: Guest) -> None:
    lines = processes.listed(real)
    assert any("sleep 1000" in line for line in lines)


@pytest.mark.parametrize("answer", [{"ok": False}, [], None, {"ok": True, "more": 1}])
def test_a_ping_has_one_answer(hostile: Hostile, answer: object) -> None:
    with pytest.raises(InfernoError, match="something else"):
        guest.ping(hostile(lambda peer: peer.sendall(body(answer))), DEADLINE_S)


FINE = {"pid": 42, "state": "running", "exit_code": None, "signal": None, "uptime_ms": 1234}


@pytest.mark.parametrize(
    "change",
    [
        {"pid": "42"},
        {"pid": True},
        {"pid": -1},
        {"state": "well"},
        {"state": []},
        {"uptime_ms": None},
        {"uptime_ms": 10**400},
        {"more": 1},
    ],
)
def test_a_status_has_one_shape(hostile: Hostile, change: dict[str, object]) -> None:
    with pytest.raises(InfernoError, match="something else"):
        guest.status(hostile(lambda peer: peer.sendall(body({**FINE, **change}))), DEADLINE_S)


@pytest.mark.parametrize(
    ("sent", "says"),
    [
        (b"", "ended the stream before"),
        (frame.encode(frame.STDOUT, b"x")[:-1], "ended the stream before"),
        (frame.encode(frame.STDOUT, b"x") * 5000, "ended the stream before"),
        (b"HTTP/1.1 200 OK\r\n", "not a frame of a stream"),
        (frame.encode(frame.EXIT, b'{"exit_code": -1, "signal": null}'), "not a frame of a stream"),
        (frame.encode(frame.STDIN, b"x"), "not a frame of a stream"),
        (b"\x11\0\0\0\xff\xff\xff\xff", "not a frame of a stream"),
    ],
    ids=["nothing", "torn", "output", "http", "exit", "stdin", "huge"],
)
def test_a_stream_that_is_none_is_one_line(hostile: Hostile, tmp_path: Path, sent: bytes, says: str) -> None:
    hostile(lambda peer: peer.sendall(SWITCHED + sent))
    done = subprocess.run(exec_argv(tmp_path, "true"), capture_output=True, check=False, timeout=DEADLINE_S)
    assert done.returncode == 1
    [error] = [line for line in done.stderr.decode().splitlines() if line.startswith("error: ")]
    assert says in error
    assert "Traceback" not in done.stderr.decode()


def test_what_came_before_the_end_is_written_even_so(hostile: Hostile, tmp_path: Path) -> None:
    hostile(lambda peer: peer.sendall(SWITCHED + frame.encode(frame.STDOUT, b"x") * 5000))
    done = subprocess.run(exec_argv(tmp_path, "true"), capture_output=True, check=False, timeout=DEADLINE_S)
    assert done.stdout == b"x" * 5000


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}",
        b'HTTP/1.1 422 No\r\nContent-Length: 29\r\n\r\n{"error": "", "exit_code": 0 }',
        b'HTTP/1.1 422 No\r\nContent-Length: 34\r\n\r\n{"error": "\x1b[2J", "exit_code": [1] }',
    ],
    ids=["other", "ok", "zero", "list"],
)
def test_an_answer_that_starts_nothing_is_one_line(hostile: Hostile, tmp_path: Path, answer: bytes) -> None:
    hostile(lambda peer: peer.sendall(answer))
    done = subprocess.run(exec_argv(tmp_path, "true"), capture_output=True, check=False, timeout=DEADLINE_S)
    assert done.returncode == 1
    assert done.stderr.startswith(b"error: ")
    assert b"\x1b" not in done.stderr


@pytest.mark.parametrize(
    "found", [None, [], {}, {"found": []}, {"found": {"kind": "door"}}, {"found": {"kind": "link", "link": None}}]
)
def test_what_is_at_a_path_has_one_shape(hostile: Hostile, tmp_path: Path, found: object) -> None:
    there = hostile(lambda peer: peer.sendall(body(found)))
    with pytest.raises(InfernoError, match=r"something else|there is no"):
        copy.out(there, "/etc", str(tmp_path / "new"), How())
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("sent", "says"),
    [
        (frame.encode(frame.STDOUT, b"x" * 100), "middle of the copy"),
        (frame.encode(frame.STDOUT, b"x" * 512) + ENDED, "bad archive"),
        (frame.encode(frame.STDERR, b"no \x1b[2J\n" * 2000) + FAILED, "in the guest: no"),
        (ENDED, "bad archive: it ends too early"),
        (b"x" * 100, "not a frame of a stream"),
    ],
    ids=["cut", "garbage", "words", "nothing", "no stream"],
)
def test_a_copy_from_a_hostile_guest_is_one_line(hostile: Hostile, tmp_path: Path, sent: bytes, says: str) -> None:
    hostile(lambda peer: peer.sendall(SWITCHED + sent))
    root = os.open(tmp_path, os.O_RDONLY)
    stream, received = command.stream(root, "GET", "/v1/files", {})
    with stream, pytest.raises(InfernoError, match=says) as caught:
        unpack(Channel(stream, received).read, Place(root, b"x", None), How())
    os.close(root)
    assert caught.value.text.isprintable()
    assert len(caught.value.text) < 1000


@pytest.mark.parametrize("drip", [b"", b"x"])
def test_a_guest_that_does_nothing_or_next_to_nothing_is_not_waited_for(
    hostile: Hostile, tmp_path: Path, drip: bytes
) -> None:
    over = threading.Event()

    def answer(peer: socket.socket) -> None:
        peer.sendall(SWITCHED + frame.encode(frame.STDOUT, b"x" * 100))
        with contextlib.suppress(OSError):
            while not over.wait(0.02 if drip else DEADLINE_S):
                peer.sendall(frame.encode(frame.STDOUT, drip))

    root = hostile(answer).root
    stream, received = command.stream(root, "GET", "/v1/files", {})
    with stream, pytest.raises(InfernoError, match=r"did nothing for 0\.2 s"):
        unpack(Channel(stream, received, 0.2).read, Place(root, b"x", None), How())
    over.set()


def test_a_guest_that_sends_while_it_should_take_is_hung_up_on(hostile: Hostile, tmp_path: Path) -> None:
    def answer(peer: socket.socket) -> None:
        peer.sendall(SWITCHED)
        while True:
            peer.sendall(frame.encode(frame.STDOUT, bytes(60_000)))

    stream, received = command.stream(hostile(answer).root, "PUT", "/v1/files", {})
    with stream, pytest.raises(InfernoError, match="should take"):
        Channel(stream, received).write(b"x")


def test_a_flood_of_leave_and_empty_frames_costs_bounded_memory(hostile: Hostile, tmp_path: Path) -> None:
    frames = (frame.encode(frame.WINDOW, b"\xff\xff\xff\xff") + frame.encode(frame.STDERR)) * 500_000
    sent, measured = threading.Event(), threading.Event()

    def answer(peer: socket.socket) -> None:
        peer.sendall(SWITCHED + frames)  # and reads nothing of the endless input
        sent.set()
        measured.wait(DEADLINE_S)
        peer.sendall(frame.encode(frame.EXIT, b'{"exit_code": 5, "signal": null}'))

    hostile(answer)
    with (
        open("/dev/zero", "rb") as zeroes,
        subprocess.Popen(exec_argv(tmp_path, "cat", stdin=True), stdin=zeroes) as cat,
    ):
        assert sent.wait(DEADLINE_S)
        peak_kib = int(Path(f"/proc/{cat.pid}/status").read_text().partition("VmHWM:")[2].split()[0])
        measured.set()
        assert cat.wait(DEADLINE_S) == 5
    assert peak_kib < 32 * 1024


def test_usage_is_read_from_the_leaf(tmp_path: Path) -> None:
    leaf = tmp_path / "inferno.slice/01X"
    leaf.mkdir(parents=True)
    for name, text in {
        "cpu.stat": "usage_usec 1500000\nuser_usec 1\nthrottled_usec 250000\n",
        "cpu.max": "200000 100000\n",
        "memory.current": "1048576\n",
        "memory.max": "max\n",
        "memory.events": "low 0\noom_kill 2\n",
        "pids.current": "7\n",
        "pids.max": "18\n",
        "io.stat": "8:0 rbytes=10 wbytes=20 rios=1\n254:0 rbytes=1 wbytes=2 rios=1\n9:0\n",
    }.items():
        (leaf / name).write_text(text)
    assert usage.of("01X", tmp_path)._asdict() == {
        "cpu_s": 1.5,
        "cpu_throttled_s": 0.25,
        "cpus_max": 2.0,
        "memory_bytes": 1 << 20,
        "memory_peak_bytes": None,
        "memory_max_bytes": None,
        "oom_kills": 2,
        "tasks": 7,
        "tasks_max": 18,
        "read_bytes": 11,
        "written_bytes": 22,
    }
    assert usage.of("01Y", tmp_path).memory_bytes == 0


@pytest.mark.root
@pytest.mark.parametrize(
    ("words", "status", "says"),
    [
        ("exec web1 -- true", 1, "web1 does not run"),
        ("shell web1", 1, "web1 does not run"),
        ("attach web1", 1, "web1 does not run"),
        ("ping web1", 1, "web1 does not run"),
        ("top web1", 1, "web1 does not run"),
        ("stats web1", 1, "web1 does not run"),
        ("wait web1", 1, "web1 has not run yet"),
        ("exec web2 true", 2, "did you mean 'web1'?"),
        ("exec web1", 2, "needs the name of one VM and a command"),
        ("exec web1 --", 2, "needs the name of one VM and a command"),
        ("exec -e =x web1 true", 2, "not NAME=value"),
        ("exec -it web1 true", 2, "needs a terminal"),
        ("exec --usre x web1 true", 2, "did you mean --user?"),
        ("exec ../x true", 2, "bad VM name"),
        ("shell", 2, "needs the name"),
        ("shell web1 ls", 2, "needs the name"),
        ("ssh-config web2", 2, "did you mean 'web1'?"),
        ("cp web1:/etc /tmp", 1, "web1 does not run"),
        ("cp /etc web1:/", 1, "web1 does not run"),
        ("cp web2:/etc /tmp", 2, "did you mean 'web1'?"),
        ("cp web1:/etc web1:/tmp", 2, "between a VM and this host"),
        ("cp /etc ./a:b", 2, "between a VM and this host"),
        ("cp web1: /tmp", 2, "has no path"),
        ("cp web1:/etc", 2, "needs a source and a destination"),
        ("cp WEB:/etc /tmp", 2, "bad VM name"),
        ("ping web1 -c 0", 2, "is not a number"),
        ("ping web1 --timeout nan", 2, "is not a number"),
        ("wait web1 web2", 2, "needs the name"),
    ],
)
def test_bad_input_is_one_line(known_vm: Path, words: str, status: int, says: str) -> None:
    done = subprocess.run(
        [Path(sys.executable).parent / "infernoctl", *words.split()],
        env={**os.environ, "INFERNO_ROOT": str(known_vm)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == status, done
    assert says in done.stderr
    assert len([line for line in done.stderr.splitlines() if line.startswith("error: ")]) == 1
    assert "Traceback" not in done.stderr


@pytest.mark.root
def test_ssh_reads_the_configuration_and_asks_exec(known_vm: Path, tmp_path: Path) -> None:
    program = Path(sys.executable).parent / "infernoctl"
    env = {**os.environ, "INFERNO_ROOT": str(known_vm)}
    text = subprocess.run([program, "ssh-config"], env=env, check=True, capture_output=True, text=True).stdout
    (tmp_path / "config").write_text(text)
    ssh = shutil.which("ssh") or pytest.skip("needs ssh")
    argv = [ssh, "-F", tmp_path / "config", "-G", "web1"]
    said = subprocess.run(argv, check=True, capture_output=True, text=True).stdout
    assert "user root\n" in said
    assert f"{shlex.quote(str(program))} exec -i -u 0 web1 -- sh -c " in said
    argv = [ssh, "-F", tmp_path / "config", "web1"]
    done = subprocess.run(argv, check=False, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    assert "error: web1 does not run" in done.stderr


def test_a_place_that_would_be_a_line_of_its_own_gets_no_configuration(tmp_path: Path, known_vm: Path) -> None:
    root = tmp_path / "here\n    ProxyCommand sh"
    shutil.copytree(known_vm, root)
    argv = [Path(sys.executable).parent / "infernoctl", "ssh-config"]
    env = {**os.environ, "INFERNO_ROOT": str(root)}
    done = subprocess.run(argv, env=env, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, ""), done
    assert "error: templates/host.ssh: ssh cannot write" in done.stderr


@pytest.fixture(scope="module")
def known_vm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An INFERNO_ROOT that knows a VM `web1`, which never ran."""
    return known.known_vm(tmp_path_factory.mktemp("inferno"))
