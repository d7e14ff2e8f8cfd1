"""The options of the verbs that are tasks, as doit's CmdOption takes them (see `options`)."""

from __future__ import annotations

from inferno.console.options import Table, row
from inferno.settings import DEFAULT_STOP_TIMEOUT_S
from inferno.spec import grammar

# How an image is to be had.
_ACCESS: Table = [
    row("pull", "when to ask a registry: missing (not here; the default), always, never", metavar="WHEN"),
    row("platform", "OS/ARCH[/VARIANT], when the image is made for several (this host's)", metavar="PLATFORM"),
    row("creds", "the registry's user; the password is asked for, or INFERNO_REGISTRY_PASSWORD", metavar="USER[:PASS]"),
    row("authfile", "a file as `docker login` writes it (~/.docker/config.json)", metavar="FILE"),
]
_CREATE: Table = [
    row(
        "image",
        "what to boot: NAME[:TAG] or docker-daemon: docker:// oci: oci-archive: docker-archive:",
        metavar="REF",
    ),
    row("vcpus", "virtual CPUs (1)", int, "N"),
    row("memory", "guest memory in MiB (128); or 512m, 2g", grammar.mebibytes, "MIB", short="m"),
    row("entrypoint", "replaces the image's entrypoint, and drops its command", metavar="PROGRAM"),
    row(
        "env",
        "after the image's own; NAME alone takes the value it has here; may be repeated",
        list,
        "NAME[=VALUE]",
        short="e",
    ),
    row("env_file", "a file of such lines; may be repeated", list, "FILE", long="env-file"),
    row("workdir", "where the process starts, an absolute path", metavar="DIR", short="w"),
    row("user", "NAME|UID[:GROUP|GID] the process runs as", metavar="USER", short="u"),
    row("tty", "a terminal for the process: start -i, attach -i", bool, short="t"),
    row("no_tty", "none: takes --tty back", bool, long="no-tty"),
    row("interactive", "standard input for the process, from a pipe too: start -i, attach -i", bool, short="i"),
    row("no_interactive", "none: takes --interactive back", bool, long="no-interactive"),
    row(
        "ssh_key",
        "a public key, or a file of them, that lets people in; may be repeated",
        list,
        "FILE|KEY",
        long="ssh-key",
    ),
    row("hostname", "the guest's host name (the VM's name)", metavar="NAME"),
    row("read_only", "the guest cannot write to its root file system", bool, long="read-only"),
    row("writable", "it can: takes --read-only back", bool),
    row("tmpfs", "a file system in the guest's memory; may be repeated", list, "PATH[:size=64m,mode=1777,exec]"),
    row("ulimit", "a limit of the process's; may be repeated", list, "NAME=SOFT[:HARD]"),
    row("cpu_weight", "share of busy processors, 1 to 10000 (100)", int, "N", long="cpu-weight"),
    row("io_max", "limits of disk I/O a second: rbps=10m,wbps=10m,riops=N,wiops=N", metavar="LIMITS", long="io-max"),
    *_ACCESS,
]
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
