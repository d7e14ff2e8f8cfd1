"""The options of the verbs that are tasks, as doit's CmdOption takes them (see `options`)."""

from __future__ import annotations

from inferno.console.options import Table, row
from inferno.settings import DEFAULT_STOP_TIMEOUT_S
from inferno.spec import fields

_FIELDS: Table = [
    row(each.name, each.help, each.kind, each.metavar, long=each.long, short=each.short) for each in fields.options()
]
# How an image is to be had.
_HAD: Table = [
    row("pull", "when to ask a registry: missing (not here; the default), always, never", metavar="WHEN"),
    row("creds", "the registry's user; the password is asked for, or INFERNO_REGISTRY_PASSWORD", metavar="USER[:PASS]"),
    row("authfile", "a file as `docker login` writes it (~/.docker/config.json)", metavar="FILE"),
]
_ACCESS: Table = [*(each for each in _FIELDS if each["name"] == "platform"), *_HAD]
_CREATE: Table = [*_FIELDS, *_HAD]
_START: Table = [
    row("detach", "return when the image's process runs; else follow its output to its end", bool, short="d"),
    row(
        "interactive",
        "our terminal, or our input, becomes that of the process (create --tty, create -i)",
        bool,
        short="i",
    ),
]
_TIMEOUT = row(
    "timeout",
    f"how long its process may take, before SIGKILL ({DEFAULT_STOP_TIMEOUT_S})",
    float,
    "SECONDS",
    short="t",
)
_STOP: Table = [
    _TIMEOUT,
    row("signal", "what its process is sent, instead of the image's own stop signal", metavar="NAME|N", short="s"),
    row("kill", "ask nobody: the VM is gone at once", bool),
]
_DESTROY: Table = [row("yes", "do not ask", bool), row("keep_logs", "its log stays", bool, long="keep-logs")]

OPTIONS: dict[str, Table] = {
    "image": _ACCESS,
    "rootfs": _ACCESS,
    "create": _CREATE,
    "start": _START,
    "stop": _STOP,
    "restart": [_TIMEOUT],
    "destroy": _DESTROY,
}
