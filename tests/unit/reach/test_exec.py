"""exec and shell against init's own loop: streams, input, back pressure, signals, terminals, ends of all kinds."""

from __future__ import annotations

import os
import signal
import subprocess
import termios
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pexpect
import pytest

from tests.guestlab import DEADLINE_S, GuestLab, exec_argv, supervise

pytestmark = pytest.mark.root


@pytest.fixture(scope="module")
def guest(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GuestLab]:
    lab = GuestLab(tmp_path_factory.mktemp("guest") / "root", supervise(), "exec sleep 1000")
    yield lab
    lab.kill()


Begin = Callable[..., "subprocess.Popen[bytes]"]


@pytest.fixture
def begin() -> Iterator[Begin]:
    """Starts a command line with pipes, which may still run when the test ends."""
    running: list[subprocess.Popen[bytes]] = []

    def start(
        argv: list[str], stdin: int = subprocess.DEVNULL, stdout: int = subprocess.PIPE, stderr: int | None = None
    ) -> subprocess.Popen[bytes]:
        running.append(subprocess.Popen(argv, stdin=stdin, stdout=stdout, stderr=stderr))
        return running[-1]

    yield start
    for process in running:
        process.kill()
        with process:
            pass


def says(process: subprocess.Popen[bytes], line: bytes) -> None:
    assert process.stdout is not None
    assert process.stdout.readline() == line


def test_output_comes_apart_and_binary_and_the_code_is_the_commands(guest: GuestLab) -> None:
    done = guest.exec("sh", "-c", r"printf 'a\0\377'; echo b >&2; exit 7")
    assert (done.stdout, done.stderr, done.returncode) == (b"a\0\xff", b"b\n", 7)
    assert guest.exec("sh", "-c", "kill -SEGV $$").returncode == 128 + signal.SIGSEGV


def test_a_command_left_to_itself_goes_on_and_says_nothing(guest: GuestLab, tmp_path: Path) -> None:
    for name in ("go", "went"):
        os.mkfifo(tmp_path / name)
    script = f"echo lost; read x < {tmp_path}/go; echo $x > {tmp_path}/went"
    done = guest.exec("sh", "-c", script, leave=True)
    assert (done.stdout, done.stderr, done.returncode) == (b"", b"", 0)
    (tmp_path / "go").write_text("on\n")
    assert (tmp_path / "went").read_text() == "on\n"
    assert guest.exec("no-such-program", leave=True).returncode == 127


def test_what_is_asked_is_what_the_command_gets(guest: GuestLab) -> None:
    done = guest.exec("sh", "-c", "echo $IMAGE $MORE $PWD; id -u", env=["MORE=x y"], cwd="/usr", user="1234")
    assert done.stdout == b"yes x y /usr\n1234\n"


@pytest.mark.parametrize(
    ("args", "how", "code"),
    [(("no-such",), {}, 127), (("/etc/passwd",), {}, 126), (("true",), {"user": "nobody-such"}, 126)],
)
def test_what_cannot_be_executed_has_dockers_code_and_one_line(
    guest: GuestLab, args: tuple[str], how: dict[str, str], code: int
) -> None:
    done = guest.exec(*args, **how)
    assert done.returncode == code
    assert done.stderr.startswith(b"error: ")
    assert done.stderr.count(b"\n") == 1


def test_without_i_there_is_no_input(guest: GuestLab, begin: Begin) -> None:
    process = begin(guest.argv("cat"), stdin=subprocess.PIPE)
    assert process.wait(DEADLINE_S) == 0


def test_input_ends_while_output_goes_on(guest: GuestLab) -> None:
    done = guest.exec("sh", "-c", "cat; echo done", given=bytes(range(256)))
    assert (done.stdout, done.returncode) == (bytes(range(256)) + b"done\n", 0)
    assert guest.exec("wc", "-c", given=b"").stdout == b"0\n"


def test_much_comes_back_as_it_went(guest: GuestLab) -> None:
    sent = os.urandom(1 << 20) * 20
    done = guest.exec("cat", given=sent)
    assert done.returncode == 0
    assert done.stdout == sent


def test_input_that_nobody_reads_is_no_reason_to_wait(guest: GuestLab) -> None:
    done = guest.exec("sh", "-c", "exec 0<&-; echo closed", given=bytes(1 << 20))
    assert (done.stdout, done.returncode) == (b"closed\n", 0)


def test_who_reads_slowly_slows_the_command(guest: GuestLab, tmp_path: Path, begin: Begin) -> None:
    count = tmp_path / "count"
    script = "echo $$; i=0; while [ $i -lt 2000 ]; do i=$((i+1)); printf '%10000s' $i; echo >> $0; done"
    process = begin(guest.argv("sh", "-c", script, str(count)))
    assert process.stdout is not None
    guest.wait_until_stuck(int(process.stdout.readline()))
    assert process.stdout.read(1) == b" "
    assert guest.exec("echo", "hi").stdout == b"hi\n"
    assert count.stat().st_size < 300
    assert len(process.stdout.read()) == 20_000_000 - 1
    assert process.wait(DEADLINE_S) == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGQUIT])
def test_signals_go_to_the_command(guest: GuestLab, number: signal.Signals, begin: Begin) -> None:
    name = number.name.removeprefix("SIG")
    script = f"trap 'echo got {name}; exit 9' {name}; echo up; while :; do sleep 1000 & wait; done"
    process = begin(guest.argv("sh", "-c", script))
    says(process, b"up\n")
    process.send_signal(number)
    says(process, f"got {name}\n".encode())
    assert process.wait(DEADLINE_S) == 9


def test_a_signal_that_kills_the_command_is_its_end(guest: GuestLab, begin: Begin) -> None:
    process = begin(guest.argv("sh", "-c", "echo up; exec sleep 1000"))
    says(process, b"up\n")
    process.send_signal(signal.SIGTERM)
    assert process.wait(DEADLINE_S) == 128 + signal.SIGTERM


def test_the_third_insistence_is_the_end(guest: GuestLab, begin: Begin) -> None:
    script = "trap 'echo no' INT; echo up; while :; do sleep 1000 & wait; done"
    process = begin(guest.argv("sh", "-c", script), stderr=subprocess.PIPE)
    says(process, b"up\n")
    for _ in range(2):
        process.send_signal(signal.SIGINT)
        says(process, b"no\n")
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=DEADLINE_S)
    assert process.returncode == 128 + signal.SIGINT
    assert b"insisted" in said


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGHUP])
def test_a_caller_that_dies_takes_the_command_along(
    guest: GuestLab, tmp_path: Path, number: signal.Signals, begin: Begin
) -> None:
    os.mkfifo(tmp_path / "told")
    script = f"trap 'echo hup > {tmp_path}/told; exit' HUP; echo up; while :; do sleep 1000 & wait; done"
    process = begin(guest.argv("sh", "-c", script))
    says(process, b"up\n")
    process.send_signal(number)
    assert (tmp_path / "told").read_text() == "hup\n"
    assert process.wait(DEADLINE_S) == -number


def test_a_reader_that_goes_ends_the_command(guest: GuestLab, begin: Begin) -> None:
    process = begin(guest.argv("yes"), stderr=subprocess.PIPE)
    says(process, b"y\n")
    assert process.stdout is not None
    process.stdout.close()
    process.stdout = None
    _, said = process.communicate(timeout=DEADLINE_S)
    assert (process.returncode, said) == (128 + signal.SIGPIPE, b"")


def test_a_full_disk_is_one_line(guest: GuestLab, begin: Begin) -> None:
    with open("/dev/full", "wb") as full:
        process = begin(guest.argv("echo", "hi"), stdout=full.fileno(), stderr=subprocess.PIPE)
        _, said = process.communicate(timeout=DEADLINE_S)
    assert (process.returncode, said) == (1, b"error: standard output cannot be written: No space left on device\n")


def test_a_guest_that_ends_ends_the_wait(tmp_path: Path, begin: Begin) -> None:
    lab = GuestLab(tmp_path / "root", supervise(), "exec sleep 1000")
    process = begin(lab.argv("sh", "-c", "echo up; exec sleep 1000"), stderr=subprocess.PIPE)
    says(process, b"up\n")
    lab.kill()
    _, said = process.communicate(timeout=DEADLINE_S)
    assert process.returncode == 1
    assert said.startswith(b"error: the guest ended the stream before the command ended\n")


def test_many_at_once(guest: GuestLab, begin: Begin) -> None:
    running = [
        begin(guest.argv("sh", "-c", f"read x; echo {n} $x", stdin=True), stdin=subprocess.PIPE) for n in range(20)
    ]
    for n, process in enumerate(running):
        out, _ = process.communicate(b"go\n", timeout=DEADLINE_S)
        assert (out, process.returncode) == (f"{n} go\n".encode(), 0)


class Terminal:
    """A terminal with a process on it, as a person has."""

    def __init__(self, argv: list[str], rows: int, cols: int) -> None:
        self.child = pexpect.spawn(argv[0], argv[1:], dimensions=(rows, cols), timeout=DEADLINE_S)
        self.child.delaybeforesend = None

    def heard_before(self, text: bytes) -> bytes:
        """Wait for the text; return what came before it."""
        self.child.expect_exact(text)
        return bytes(self.child.before)

    def ended_with(self) -> int:
        """Wait for the end of the process; its exit status."""
        self.child.expect(pexpect.EOF)
        return int(self.child.wait())

    def modes(self) -> list[Any]:
        return termios.tcgetattr(self.child.child_fd)


def modes_of_a_new_terminal() -> list[Any]:
    master, slave = os.openpty()
    try:
        termios.tcsetwinsize(slave, (24, 80))
        return termios.tcgetattr(slave)
    finally:
        os.close(master)
        os.close(slave)


Open = Callable[[list[str], int, int], Terminal]  # with as many rows and columns


@pytest.fixture
def terminal() -> Iterator[Open]:
    opened: list[Terminal] = []

    def open_terminal(argv: list[str], rows: int, cols: int) -> Terminal:
        opened.append(Terminal(argv, rows, cols))
        return opened[-1]

    yield open_terminal
    for each in opened:
        each.child.close(force=True)


def test_a_terminal_has_our_size_takes_our_keys_and_is_restored(guest: GuestLab, terminal: Open) -> None:
    script = "tty; stty size; read line; stty size; echo got $line; read again; exit 3"
    screen = terminal(guest.argv("sh", "-c", script, stdin=True, tty=True), 30, 100)
    assert b"/dev/pts/" in screen.heard_before(b"30 100\r\n")
    assert not screen.modes()[3] & (termios.ECHO | termios.ICANON | termios.ISIG)
    screen.child.setwinsize(40, 120)
    screen.child.send(b"hello\r")
    screen.heard_before(b"40 120\r\ngot hello\r\n")
    screen.child.send(b"\r")
    assert screen.ended_with() == 3
    assert screen.modes() == modes_of_a_new_terminal()


def test_a_command_that_is_left_by_the_keys_goes_on_and_never_waits_for_a_reader(
    guest: GuestLab, terminal: Open, tmp_path: Path
) -> None:
    os.mkfifo(tmp_path / "done")
    script = "echo up; read line; seq 1 100000; stty size > /dev/null && echo $line > $0; exec sleep 1000"
    screen = terminal(guest.argv("sh", "-c", script, str(tmp_path / "done"), stdin=True, tty=True, keys="\1x"), 30, 100)
    screen.heard_before(b"up\r\n")
    screen.child.send(b"typed before\r\1x")
    assert screen.ended_with() == 1
    assert b"left by the keys" in screen.child.before
    assert screen.modes() == modes_of_a_new_terminal()
    assert (tmp_path / "done").read_text() == "typed before\n"


def test_a_shells_own_key_arrives_in_a_command_at_once_and_dockers_keys_leave_it(
    guest: GuestLab, terminal: Open
) -> None:
    """A key that was held back would not come at all before the next, which the command asks for."""
    script = "stty raw -echo; echo up; head -c 1 | od -An -to1; head -c 1 | od -An -to1; exec sleep 1000"
    screen = terminal(guest.argv("sh", "-c", script, stdin=True, tty=True), 30, 100)
    screen.heard_before(b"up")
    for _ in range(2):
        screen.child.send(b"\x10")
        screen.heard_before(b"020")
    screen.child.send(b"\x11")
    assert screen.ended_with() == 1
    assert b"left by the keys" in screen.child.before
    assert screen.modes() == modes_of_a_new_terminal()


def test_the_terminal_of_the_images_process_is_attached_to_left_and_found_again(tmp_path: Path, terminal: Open) -> None:
    script = "tty; printf 'name? '; read line; stty size; echo got $line; exit 5"
    lab = GuestLab(tmp_path / "root", supervise(), script, reads="tty")
    try:
        first = terminal(exec_argv(lab.folder, attach=True), 30, 100)
        assert b"/dev/pts/" in first.heard_before(b"name? ")
        first.child.send(b"h\x10e\x10\x11")
        assert first.ended_with() == 1
        assert first.modes() == modes_of_a_new_terminal()
        second = terminal(exec_argv(lab.folder, attach=False), 40, 120)
        second.child.send(b"llo\r")
        assert b"name? " not in second.heard_before(b"40 120\r\ngot h\x10ello\r\n")
        assert second.ended_with() == 5
    finally:
        lab.kill()


def test_a_lone_first_key_arrives_and_the_next_leaves_all_the_same(tmp_path: Path, terminal: Open) -> None:
    script = "stty raw -echo; printf 'name? '; head -c 1 | od -An -to1; exec sleep 1000"
    lab = GuestLab(tmp_path / "root", supervise(), script, reads="tty")
    try:
        screen = terminal(exec_argv(lab.folder, attach=True), 30, 100)
        screen.heard_before(b"name? ")
        screen.child.send(b"\x10")
        screen.heard_before(b"020")
        screen.child.send(b"\x11")
        assert screen.ended_with() == 1
    finally:
        lab.kill()


def test_a_terminal_does_not_act_on_what_was_not_meant_for_one(guest: GuestLab, terminal: Open) -> None:
    script = "printf 'a\\tb \\033[2J\\303'; printf '\\274\\377\\n\\302\\233c' >&2; exit 4"
    screen = terminal(guest.argv("sh", "-c", script), 30, 100)
    assert screen.ended_with() == 4
    said = screen.child.before
    assert b"\x1b" not in said
    assert b"\xc2\x9b" not in said
    assert b"\\x1b[2J" in said
    assert b"\\x9bc" in said


def test_a_process_without_a_terminal_is_not_attached_to(guest: GuestLab) -> None:
    done = subprocess.run(exec_argv(guest.folder, attach=True), capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "neither a terminal nor standard input" in done.stderr


def test_the_input_of_the_images_process_is_ours_byte_for_byte(tmp_path: Path) -> None:
    lab = GuestLab(tmp_path / "root", supervise(), "printf begun >&2; cat; exit 6", reads="stdin")
    try:
        given = bytes(range(256)) * 40_000
        argv = exec_argv(lab.folder, attach=True, tty=False)
        done = subprocess.run(argv, input=given, capture_output=True, check=False, timeout=60)
        assert (done.returncode, done.stderr) == (6, b"begun")
        assert done.stdout == given
    finally:
        lab.kill()


def test_what_was_given_to_one_is_not_given_to_another(tmp_path: Path) -> None:
    lab = GuestLab(tmp_path / "root", supervise(), "cat", reads="stdin")
    try:
        argv = exec_argv(lab.folder, attach=True, tty=False)
        with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as first:
            assert first.stdin is not None
            assert first.stdout is not None
            first.stdin.write(b"one\n")
            first.stdin.flush()
            assert first.stdout.readline() == b"one\n"
            second = subprocess.run(argv, input="", capture_output=True, text=True, check=False)
            assert (second.returncode, "given to another" in second.stderr) == (1, True), second.stderr
            first.stdin.close()
            assert first.wait(DEADLINE_S) == 0
    finally:
        lab.kill()


def test_control_c_on_a_terminal_is_a_key(guest: GuestLab, terminal: Open) -> None:
    screen = terminal(guest.argv("sh", "-c", "echo up; exec sleep 1000", stdin=True, tty=True), 24, 80)
    screen.heard_before(b"up\r\n")
    screen.child.send(b"\x03")
    assert screen.ended_with() == 128 + signal.SIGINT


def test_shell_takes_the_best_there_is(guest: GuestLab) -> None:
    argv = guest.argv(shell=True)
    done = subprocess.run(argv, input=b"echo ${BASH_VERSION:+bash}\nexit 4\n", capture_output=True, check=False)
    assert (done.stdout, done.returncode) == (b"bash\n", 4)
