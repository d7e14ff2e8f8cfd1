"""What is known of a VM and of its last run, as a few small files that may be handed on: no secret is among them.

`infernoctl debug` makes one when it is asked to. One is kept by itself when a run ends badly, before its cgroup and its
jail go: vms/<name>/debug/<run>.tar, the newest three, readable by root alone. All is bounded: of the log so many
records from its end are looked at, and the rest are small files of the kernel's and of ours.
"""

from __future__ import annotations

import contextlib
import io
import itertools
import os
import platform
import time
from pathlib import Path

from inferno import __version__
from inferno.base import files, processes, records
from inferno.base.errors import InfernoError
from inferno.life import run_history
from inferno.life.exit_status import ExitStatus
from inferno.life.instance import Instance
from inferno.life.redaction import Redaction, setting, variables_of
from inferno.logs import read
from inferno.logs.log_record import Record, parse
from inferno.sandbox import cgroup
from inferno.settings import explain_settings
from inferno.state.database import if_there
from inferno.state.paths import VersionDir
from inferno.version import versions

KEPT = 3
# Of its process nothing: what that prints is its user's own.
_SOURCES = frozenset({"kernel", "init", "kiln", "firecracker", "collector"})
_LINES, _LOOKED_AT, _LINE_CHARS = 400, 20_000, 2000
_CGROUP = (
    "cgroup.events", "memory.events", "memory.current", "memory.peak", "memory.max", "memory.stat", "memory.pressure",
    "cpu.stat", "cpu.max", "io.stat", "io.max", "pids.current", "pids.peak", "pids.max",
)  # fmt: skip
_HOST = ("/proc/version", "/proc/meminfo", "/proc/loadavg", "/proc/pressure/memory", "/etc/os-release")
# Of a spec what names, sizes and switches are. Commands, variables and keys may hold secrets, as any field to come may.
_SPEC = (
    "image", "platform", "vcpus", "memory", "tty", "interactive", "stop_signal", "read_only", "tmpfs", "ulimit",
    "cpu_weight", "io_max",
)  # fmt: skip
_RULES_S = 5.0
Files = dict[str, str]


def gather(vm: Instance, version: VersionDir | None, status: ExitStatus | None) -> Files:
    """By name, what is known now: of `version`, which runs or ran last, and of how that ended."""
    variables = variables_of(version) if version else []
    with if_there(vm.settings.db_path) as state:
        row = state.vm(vm.name) if state else None
    asked = (row.spec or {}).get("env") if row else None
    variables += [word for word in asked if isinstance(word, str)] if isinstance(asked, list) else []
    redaction = Redaction(variables)
    found = {
        "about.txt": _about(vm, version, status),
        "log.txt": "".join(f"{_line(record, redaction)}\n" for record in _lines(vm)),
        "settings.txt": "".join(f"{setting(each)}\n" for each in explain_settings()),
        "host.txt": _host(vm),
        "rules.txt": _rules(),
    }
    if version is not None:
        found |= {f"cgroup/{name}": text for name in _CGROUP if (text := cgroup.read(version.ulid, name))}
        found["version.json"] = _version(version, variables)
        for name in ("firecracker.json", "kiln.json"):
            with contextlib.suppress(OSError):
                found[name] = version.file(name).read_text()
    return {name: redaction.text(text) for name, text in found.items()}


def archive(name: str, found: Files) -> bytes:
    """As a tar archive, in which all is below `name`."""
    import tarfile

    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as packed:
        for path, text in sorted(found.items()):
            entry, data = tarfile.TarInfo(f"{name}/{path}"), text.encode(errors="replace")
            entry.size, entry.mode, entry.mtime = len(data), 0o600, int(time.time())
            packed.addfile(entry, io.BytesIO(data))
    return out.getvalue()


def keep(vm: Instance, version: VersionDir, status: ExitStatus) -> None:
    """Keep one of a run that ended badly; what goes wrong here is not a reason to leave the run as it is."""
    folder = vm.paths.debug(vm.name)
    with contextlib.suppress(OSError, InfernoError, ValueError):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        name = status.run if status.run and status.run.isalnum() else version.ulid
        files.write(folder / f"{name}.tar", archive(vm.name, gather(vm, version, status)), 0o600)
        for old in kept(vm)[KEPT:]:
            old.unlink(missing_ok=True)


def kept(vm: Instance) -> list[Path]:
    """Those that were kept by themselves, the newest first."""
    found = list(vm.paths.debug(vm.name).glob("[!.]*.tar"))
    return sorted(found, key=lambda path: (path.stat().st_mtime, path.name), reverse=True)


def _about(vm: Instance, version: VersionDir | None, status: ExitStatus | None) -> str:
    lines = [
        f"inferno {__version__}",
        f"vm {vm.name}, slot {vm.slot.number}, uid {vm.uid}, version {version.ulid if version else '-'}",
        f"running {', '.join(map(str, cgroup.pids(version.ulid))) if version else ''}",
        f"written {time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime())}",
        *(f"last run: {key} {value}" for key, value in (status._asdict() if status else {}).items()),
    ]
    for run in itertools.islice(run_history.history(vm), 10):
        lines.append(f"run {run.run}: {run.started_at} to {run.ended_at}, {run.exit_code}, {run.reason}")
    return "".join(f"{line}\n" for line in lines)


def _lines(vm: Instance) -> list[Record]:
    looked_at = map(parse, itertools.islice(read.backwards(vm.paths.log(vm.name)), _LOOKED_AT))
    last = list(itertools.islice((record for record in looked_at if record.source in _SOURCES), _LINES))
    return last[::-1]


def _line(record: Record, redaction: Redaction) -> str:
    """Cut once no secret is in it: the first part of one that the cut went through would not be found."""
    return f"{record.timestamp} {record.source} {record.level} {redaction.text(record.text())[:_LINE_CHARS]}"


def _version(version: VersionDir, variables: list[str]) -> str:
    record = versions.read(version)
    if record is None:
        return "it cannot be read\n"
    spec = record.spec.to_json()
    shown = {
        **{key: getattr(record, key) for key in ("ulid", "name", "slot", "image", "exec_name", "files", "created_at")},
        "spec": {key: spec[key] for key in _SPEC if key in spec},
        "variables": sorted(word.partition("=")[0] for word in variables),
    }
    return records.text(shown)


def _host(vm: Instance) -> str:
    disk = os.statvfs(vm.settings.root)
    free_mib = disk.f_bavail * disk.f_frsize >> 20
    lines = [f"{platform.platform()}, {os.cpu_count()} processors\n", f"{vm.settings.root}: {free_mib} MiB free\n"]
    for path in _HOST:
        with contextlib.suppress(OSError):
            lines.append(f"\n== {path}\n{Path(path).read_text(errors='replace')}")
    return "".join(lines)


def _rules() -> str:
    """Our rules on this host; why there are none, where there are none."""
    try:
        done = processes.run(["nft", "list", "table", "inet", "inferno"], check=False, timeout=_RULES_S)
    except InfernoError as error:
        return f"{error.text}\n"
    return (done.stdout or done.stderr).decode(errors="replace")
