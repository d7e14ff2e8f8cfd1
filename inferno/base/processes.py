"""The one place that starts other programs: argument lists only, standard input closed, a clean environment.

A failure carries the command line as one could paste it, what the program said, and what its status means.
"""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from typing import IO, Any

from inferno.base import debug, interruption
from inferno.base.errors import InfernoError, MissingToolError
from inferno.base.named_tuple import NamedTuple

Arg = str | os.PathLike[str]
PIPE, DEVNULL, STDOUT = subprocess.PIPE, subprocess.DEVNULL, subprocess.STDOUT
Popen = subprocess.Popen

# Root's usual search path comes last, so that a user's own tools win, but `ip` and `nft` are found from any shell.
_SBIN = "/usr/local/sbin:/usr/sbin:/sbin"
_PASSED_ON = (
    "PATH",
    "HOME",
    "USER",
    "TMPDIR",
    "XDG_CACHE_HOME",
    "XDG_RUNTIME_DIR",
    "SSL_CERT_FILE",
    "DOCKER_CONFIG",
)
# Which Debian package brings a tool, for the hint of a MissingToolError.
PACKAGES = {
    "ip": "iproute2",
    "nft": "nftables",
    "mkfs.erofs": "erofs-utils",
    "mke2fs": "e2fsprogs",
    "lvs": "lvm2",
    "lvcreate": "lvm2",
    "lvremove": "lvm2",
    "skopeo": "skopeo",
    "cargo": "cargo (1.85 or newer)",
    "cc": "gcc",
    "ld": "binutils",
    "make": "make",
    "dpkg-deb": "dpkg",
    "strip": "binutils",
}


class Result(NamedTuple):
    """What a program left behind; status is negative (-n) for a death by signal n, as in subprocess."""

    status: int
    stdout: bytes
    stderr: bytes


class CommandError(InfernoError):
    """A program failed. `result` holds its status and output."""

    def __init__(self, argv: Sequence[Arg], result: Result, hint: str | None = None) -> None:
        self.result = result
        said = (result.stderr.strip() or result.stdout.strip()).decode(errors="replace")
        last = f": {said.splitlines()[-1]}" if said else ""
        super().__init__(f"{os.path.basename(os.fspath(argv[0]))} {_meaning(result.status)}{last}", hint)
        import shlex

        self.command_line = shlex.join(os.fspath(a) for a in argv)
        self.output = said


def _meaning(status: int) -> str:
    if status >= 0:
        return f"ended with status {status}"
    try:
        return f"was killed by {signal.Signals(-status).name}"
    except ValueError:
        return f"was killed by signal {-status}"


def clean_env(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment programs get: the few variables they need, LC_ALL=C (so that output is stable), and `extra`."""
    env = {k: os.environ[k] for k in _PASSED_ON if k in os.environ}
    env["PATH"] = f"{env.get('PATH', '/usr/bin:/bin')}:{_SBIN}"
    env["LC_ALL"] = "C.UTF-8"
    env.update(extra or {})
    return env


def find(tool: Arg, package: str | None = None) -> str:
    """Return the path of `tool`; raise MissingToolError, naming the Debian package, when it is not installed."""
    name = os.fspath(tool)
    path = shutil.which(name, path=clean_env()["PATH"])
    if path is None:
        package = package or PACKAGES.get(os.path.basename(name), os.path.basename(name))
        raise MissingToolError(f"{name} is not installed", f"install the package {package}")
    return path


def run(
    argv: Sequence[Arg],
    *,
    input: bytes | None = None,
    env: Mapping[str, str] | None = None,
    cwd: Arg | None = None,
    check: bool = True,
    timeout: float | None = None,
    hint: str | None = None,
    pass_fds: Sequence[int] = (),
) -> Result:
    """Run a program to its end. `timeout` is in seconds.

    Raises MissingToolError when it is not installed, CommandError when `check` and its status is not 0,
    InfernoError when it ran out of time.
    """
    path = find(argv[0])
    words = [path, *(os.fspath(word) for word in argv[1:])]
    debug.command("run", words)
    with subprocess.Popen(
        words, stdin=PIPE, stdout=PIPE, stderr=PIPE, env=clean_env(env), cwd=cwd, pass_fds=pass_fds
    ) as process:
        try:
            with interruption.ends(process):
                stdout, stderr = process.communicate(input if input is not None else b"", timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            raise InfernoError(f"{os.path.basename(path)} did not end within {timeout} s", hint) from None
        except BaseException:
            process.kill()
            raise
    interruption.check()
    result = Result(process.returncode, stdout, stderr)
    if result.status:
        debug.say(f"{os.path.basename(path)} {_meaning(result.status)}")
    if check and result.status != 0:
        raise CommandError(argv, result, hint)
    return result


def spawn(
    argv: Sequence[Arg],
    *,
    stdin: int | IO[Any] | None = DEVNULL,
    stdout: int | IO[Any] | None = None,
    stderr: int | IO[Any] | None = None,
    env: Mapping[str, str] | None = None,
    whole_env: Mapping[str, str] | None = None,
    cwd: Arg | None = None,
    pass_fds: Sequence[int] = (),
    new_session: bool = False,
    user: int | None = None,
    group: int | None = None,
    extra_groups: Sequence[int] | None = None,
    preexec: Callable[[], None] | None = None,
    die_with_parent: bool = False,
) -> subprocess.Popen[bytes]:
    """Start a program and return at once. `whole_env` replaces the environment, `env` adds to the clean one.

    With `die_with_parent` the kernel kills it when the thread that started it ends, however that ends: prctl(2).
    """
    if die_with_parent:
        preexec = dying_with_parent(signal.SIGKILL)
    words = [find(argv[0]), *(os.fspath(word) for word in argv[1:])]
    debug.command("start", words)
    return subprocess.Popen(
        words,
        stdin=stdin,
        stdout=stdout,
        stderr=stderr,
        env=dict(whole_env) if whole_env is not None else clean_env(env),
        cwd=cwd,
        pass_fds=pass_fds,
        start_new_session=new_session,
        user=user,
        group=group,
        extra_groups=extra_groups,
        preexec_fn=preexec,  # noqa: PLW1509  # safe with threads: each calls nothing but a C function that is loaded
    )


def wait(process: Popen[bytes], timeout_s: float) -> int | None:
    """Wait for a child's end; return its status, or None when it still runs after so many seconds.

    `Popen.wait` with a timeout looks again and again, at last every 50 ms; here the kernel tells.
    """
    if process.returncode is None:
        descriptor = os.pidfd_open(process.pid)
        try:
            poll = select.poll()
            poll.register(descriptor, select.POLLIN)
            if not poll.poll(timeout_s * 1000):
                return None
        finally:
            os.close(descriptor)
    return process.wait()


def limit_files(process: Popen[bytes], size: int) -> None:
    """From now on the program can make no file longer than so many bytes: setrlimit(2)."""
    with contextlib.suppress(ProcessLookupError):  # ended already
        import resource

        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (size, size))


def dying_with_parent(number: signal.Signals) -> Callable[[], None]:
    """What a child does between fork and exec, to be sent a signal when the thread that started it ends: prctl(2).

    The library is loaded before, not in there.
    """
    import ctypes

    prctl, pr_set_pdeathsig = ctypes.CDLL(None).prctl, 1  # include/uapi/linux/prctl.h
    return lambda: prctl(pr_set_pdeathsig, number, 0, 0, 0) and None
