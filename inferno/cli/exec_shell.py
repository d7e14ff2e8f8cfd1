"""`infernoctl exec` and `shell`: a command in a VM that runs, which gets this command's standard streams and signals.

The exit status is the command's; 127, 126 and 125 when it cannot be executed, as Docker has them; 1 when the VM does
not run or its guest does not answer.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
from collections.abc import Iterator

from inferno.base.errors import UsageError
from inferno.base.requirements import need_root
from inferno.console.errors import say
from inferno.console.typed import Typed
from inferno.life import running_guest, status
from inferno.life.instance import Instance
from inferno.reach import command, detach_keys, session
from inferno.reach.command import Command
from inferno.reach.guest import Guest
from inferno.settings import load_settings
from inferno.state import names


@contextlib.contextmanager
def opened(name: str) -> Iterator[Guest]:
    """The guest of the VM of that name. Raises UsageError for a name that no VM has, InfernoError unless it runs."""
    need_root()
    settings = load_settings()
    with running_guest.opened(Instance.of(settings, status.row(settings, names.check_name(name)))) as found:
        yield found


def exec_(typed: Typed) -> int:
    """`exec NAME [-it|-d] [-u USER] [-w DIR] [-e K=V] [--] CMD…`: options before the name or after it."""
    name, *args = typed.operands
    stdin, tty, detach = typed.flag("interactive"), typed.flag("tty"), typed.flag("detach")
    asked, keys = _command(typed, args), typed.text("detach_keys")
    leaves = detach_keys.parse(keys) if keys is not None else None
    if stdin and tty and not os.isatty(0):
        raise UsageError("-t with -i needs a terminal on standard input", "without -t: infernoctl exec -i …")
    if detach and (stdin or tty):
        raise UsageError(
            "-d cannot be combined with -i or -t", "a command that goes on by itself has no input and no terminal"
        )
    with opened(name) as found:
        if detach:
            command.leave(found.root, dataclasses.replace(asked, detach=True))
            return 0
        try:
            return session.run(found, asked, stdin=stdin, tty=tty, keys=leaves)
        except detach_keys.LeftError:
            return _say_left(args[0], name)


def shell(typed: Typed) -> int:
    """`shell NAME [-u USER] [-w DIR] [-e K=V]`: with a terminal when standard input is one."""
    asked = _command(typed, ["sh"])
    with opened(typed.name) as found:
        try:
            return session.shell(found, asked, tty=os.isatty(0))
        except detach_keys.LeftError:
            return _say_left("the shell", typed.name)


def _say_left(what: str, name: str) -> int:
    say(f"left {what} in {name}: it goes on, and what it writes is thrown away")
    return 0


def _command(typed: Typed, args: list[str]) -> Command:
    env: list[str | None] = [word for path in typed.texts("env_file") for word in _of_file(path)]
    env += [_env(word) for word in typed.texts("env")]
    asked = Command(tuple(args), tuple(word for word in env if word), typed.text("workdir"), typed.text("user"))
    asked.body()  # refuses what cannot be said
    return asked


def _of_file(path: str) -> list[str]:
    from inferno.spec import environment  # only who has such a file pays for it

    return environment.taken(environment.file_words(path), f"--env-file {path}")


def _env(word: str) -> str | None:
    """NAME=value; NAME alone is the caller's own, when there is one."""
    name, equals, _ = word.partition("=")
    if not name:
        raise UsageError(f"--env {word!r} is not NAME=value")
    if equals:
        return word
    return f"{name}={os.environ[name]}" if name in os.environ else None
