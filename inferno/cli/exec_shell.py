"""`infernoctl exec` and `shell`: a command in a VM that runs, with our standard streams and signals as its own.

The exit status is the command's; 127, 126 and 125 when it cannot be executed, as Docker has them; 1 when the VM does
not run or its guest does not answer.
"""

from __future__ import annotations

import contextlib
import dataclasses
import getopt
import os
from collections.abc import Iterator

from inferno.base.errors import UsageError
from inferno.base.requirements import need_root
from inferno.life import running_guest, status
from inferno.life.instance import Instance
from inferno.reach import command, session
from inferno.reach.command import Command
from inferno.reach.guest import Guest
from inferno.settings import load_settings
from inferno.state import names

_LONG = {
    "interactive": "-i",
    "tty": "-t",
    "user=": "-u",
    "workdir=": "-w",
    "env=": "-e",
    "detach": "-d",
}
_SHORT = "itdu:w:e:"


@contextlib.contextmanager
def opened(name: str) -> Iterator[Guest]:
    """The guest of the VM of that name. Raises UsageError for a name that no VM has, InfernoError unless it runs."""
    need_root()
    settings = load_settings()
    with running_guest.opened(Instance.of(settings, status.row(settings, names.check_name(name)))) as found:
        yield found


def run(words: list[str]) -> int:
    """`exec NAME [-it|-d] [-u USER] [-w DIR] [-e K=V] [--] CMD…`: options before the name or after it."""
    given, rest = _options("exec", words)
    if not rest:
        raise UsageError("exec needs the name of a VM, and a command", "infernoctl exec NAME -- CMD")
    name, *rest = rest
    more, args = _options("exec", rest)
    given += more
    if not args:
        raise UsageError(f"exec: what is to run in {name}?", f"infernoctl exec {name} -- CMD")
    flags = {flag for flag, _ in given}
    stdin, tty = "-i" in flags, "-t" in flags
    asked = _command(given, args)
    if stdin and tty and not os.isatty(0):
        raise UsageError("-t with -i wants a terminal on standard input", "leave -t out: infernoctl exec -i …")
    if "-d" in flags and (stdin or tty):
        raise UsageError("-d leaves the command to itself: nobody is there for -i or -t")
    with opened(name) as found:
        if "-d" in flags:
            command.leave(found.root, dataclasses.replace(asked, detach=True))
            return 0
        return session.run(found, asked, stdin=stdin, tty=tty)


def shell(words: list[str]) -> int:
    """`shell NAME [-u USER] [-w DIR] [-e K=V]`: with a terminal when standard input is one."""
    given, rest = _options("shell", words, mixed=True)
    if len(rest) != 1:
        raise UsageError("shell needs the name of one VM", "a command and its words: infernoctl exec NAME -- CMD")
    if any(flag == "-d" for flag, _ in given):
        raise UsageError("shell: -d leaves nobody to talk to", "infernoctl exec -d")
    asked = _command(given, ["sh"])
    with opened(rest[0]) as found:
        return session.shell(found, asked, tty=os.isatty(0))


def _options(verb: str, words: list[str], *, mixed: bool = False) -> tuple[list[tuple[str, str]], list[str]]:
    """Options, by their short names, up to the first word that is none, and the words from there on.

    `mixed`: options may follow other words.
    """
    try:
        found, rest = (getopt.gnu_getopt if mixed else getopt.getopt)(words, _SHORT, list(_LONG))
    except getopt.GetoptError as error:
        from inferno.console import suggest

        raise suggest.option(verb, error, _LONG) from None
    short = {f"--{long.rstrip('=')}": flag for long, flag in _LONG.items()}
    return [(short.get(flag, flag), value) for flag, value in found], rest


def _command(given: list[tuple[str, str]], args: list[str]) -> Command:
    last = dict(given)
    env = [_env(value) for flag, value in given if flag == "-e"]
    asked = Command(tuple(args), tuple(word for word in env if word), last.get("-w"), last.get("-u"))
    asked.body()  # refuses what cannot be said
    return asked


def _env(word: str) -> str | None:
    """NAME=value; NAME alone is the caller's own, when there is one."""
    name, equals, _ = word.partition("=")
    if not name:
        raise UsageError(f"--env {word!r} is not NAME=value")
    if equals:
        return word
    return f"{name}={os.environ[name]}" if name in os.environ else None
