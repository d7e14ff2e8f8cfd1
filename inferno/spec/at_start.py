"""What is named at create and read by each start alone: files with secrets, and files of variables.

Nothing here opens them: a version, the database and the records know names and paths, and never what is in a file.
"""

import os
import re

from inferno.base.errors import UsageError
from inferno.base.named_tuple import NamedTuple
from inferno.spec import grammar

# Where the file of a secret is that is asked for by its name alone.
HOST = "/etc/inferno/secrets"
MAX_SECRETS, MAX_FILES = 64, 16
# As Docker's, section "secrets", but that none begins with a dot or a hyphen.
_NAME = r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}"  # compiled when there is one: `list` loads this
_MAX_PATH_BYTES = 4095  # PATH_MAX less its NUL: include/uapi/linux/limits.h
# What is there is another file for another process: a shell's <(…), a terminal.
_OF_A_PROCESS = ("/dev/", "/proc/")
# Keys of Docker's long form, id=NAME,src=FILE.
_LONG_FORM = ("id", "source", "src", "type", "target")


class Secret(NamedTuple):
    """`name` is that of the file in the guest, `path` an absolute one of this host."""

    name: str
    path: str


def given(words: list[str]) -> list[str]:
    """NAME and NAME=FILE words with each FILE absolute, without empty words: `--secret ''` alone takes all back."""
    return [word if _file(word) is None else f"{_name(word)}={_absolute(_file(word) or '')}" for word in words if word]


def secret(word: str) -> Secret:
    """NAME=FILE, or NAME for the host's own file of that name. Raises UsageError."""
    name, file = _name(word), _file(word)
    if name in _LONG_FORM and file is not None and "," in file:
        raise UsageError(f"--secret {word!r}: this form is not taken", "--secret NAME=FILE")
    if not re.fullmatch(_NAME, name):
        hint = "letters, digits, '_', '.' and '-', at most 64; not '.' or '-' first"
        raise UsageError(f"--secret {word!r}: {name!r} is not a name of a secret", hint)
    if file is None:
        return Secret(name, f"{HOST}/{name}")
    _check_path(file, f"--secret {name}")
    return Secret(name, file)


def check_secrets(words: list[str]) -> None:
    """Raise UsageError unless each is a secret, and none is asked for twice."""
    if len(words) > MAX_SECRETS:
        raise UsageError(f"--secret is given {len(words)} times, and a VM has at most {MAX_SECRETS}")
    names = [secret(word).name for word in words]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice:
        raise UsageError(f"--secret {twice} is given twice", "one file for each name")


def files(words: list[str]) -> list[str]:
    """The files of variables, absolute, without empty words: `--env-file '' --at-start` takes all back."""
    return [_absolute(word) for word in words if word]


def check_files(paths: list[str]) -> None:
    """Raise UsageError for what is not a path of a file that each start can read."""
    if len(paths) > MAX_FILES:
        raise UsageError(f"--at-start with {len(paths)} files: each start reads at most {MAX_FILES}")
    for path in paths:
        _check_path(path, "--env-file")


def _name(word: str) -> str:
    return word.partition("=")[0]


def _file(word: str) -> str | None:
    _, equals, file = word.partition("=")
    return file if equals else None


def _absolute(path: str) -> str:
    """From the folder of now; an empty one stays, and is refused. `..` stays as it is: a link may be before it."""
    return os.path.join(os.getcwd(), path) if path else path


def _check_path(path: str, option: str) -> None:
    grammar.check_text([path])
    if not path.startswith("/") or "\0" in path or len(path.encode()) > _MAX_PATH_BYTES:
        raise UsageError(f"{option}: {path[:80]!r} is not a path of a file")
    if path.startswith(_OF_A_PROCESS):
        raise UsageError(f"{option} {path}: each start reads the file anew, and this one is not there then", "a file")
