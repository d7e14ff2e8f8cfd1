"""Progress as a terminal gets it, and as a pipe does: a child draws on each."""

import os
import sys
from subprocess import PIPE, run

import pexpect

DRAW = """
from inferno.console.progress import Show
now = 0.0
show = Show(lambda: now)
show.quiet = {quiet}
now = 1.0
show("fetch \\x1b[31mred", 5 << 20, 10 << 20)
now = 2.0
show("unpack " + "x" * 300, 7 << 20)
show.close()
"""
# A build of 100 s whose compiler prints a line a second.
LONG = """
from inferno.console.progress import Show
now = 0.0
show = Show(lambda: now)
for second in range(1, 101):
    now = float(second)
    show("kernel", second, detail=f"CC {{second}}.o")
show.close()
"""


def drawn(terminal: bool, quiet: bool = False, script: str = DRAW, **env: str) -> str:
    words = [sys.executable, "-c", script.format(quiet=quiet)]
    env = {**os.environ, "TERM": "xterm", **env}
    if not terminal:
        return run(words, env=env, check=True, stderr=PIPE, text=True, timeout=60).stderr
    child = pexpect.spawn(words[0], words[1:], env=env, encoding="utf-8", timeout=60)
    child.expect(pexpect.EOF)
    assert child.wait() == 0
    return str(child.before)


def test_a_terminal_gets_one_line_that_moves() -> None:
    said = drawn(terminal=True)
    assert said.startswith("\r\x1b[K   fetch \\x1b[31mred 5 of 10 MiB\r\x1b[K   unpack xxx")
    assert said.endswith("\r\x1b[K"), "cleared at the end"
    assert max(map(len, said.replace("\x1b[K", "").split("\r"))) == 79, "of 80 columns"


def test_others_get_a_line_per_stage() -> None:
    plain = f"   fetch \\x1b[31mred 5 of 10 MiB\n   unpack {'x' * 300} 7 MiB\n"
    assert drawn(terminal=False) == plain
    assert drawn(terminal=True, TERM="dumb") == plain.replace("\n", "\r\n")


def test_quiet_is_silent() -> None:
    assert drawn(terminal=True, quiet=True) == drawn(terminal=False, quiet=True) == ""


def test_a_stage_that_goes_on_says_so_every_minute_where_there_is_no_terminal() -> None:
    assert drawn(terminal=False, script=LONG) == "   kernel: CC 1.o\n   kernel: CC 61.o (1:00)\n"


def test_a_terminal_sees_each_second_of_a_long_stage() -> None:
    said = drawn(terminal=True, script=LONG)
    lines = said.removesuffix("\r\x1b[K").split("\r\x1b[K")[1:]
    assert lines[:1] + lines[-1:] == ["   kernel: CC 1.o", "   kernel: CC 100.o (1:39)"]
    assert len(lines) == 100
