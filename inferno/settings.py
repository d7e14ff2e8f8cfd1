"""Settings, all of them: flags > environment > /etc/inferno/env > the defaults in the rows below.

Names of environment variables are the predecessor's, so that its users' files keep working.
"""
# No `from __future__ import annotations`: the rows are read from the annotations of Settings.

import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from inferno.base import settings_file
from inferno.base.errors import UsageError
from inferno.base.named_tuple import NamedTuple
from inferno.base.setting_row import READERS, Counts, Setting

ENV_FILE = Path("/etc/inferno/env")
CHECKOUT = Path(__file__).resolve().parent.parent
# Asked while this is loaded: a process that then gives up root may not look into root's home any more.
IS_CHECKOUT = (CHECKOUT / "pyproject.toml").exists()

# Of options, not of settings: what holds when create or stop is not told.
DEFAULT_VCPUS = 1
DEFAULT_MEMORY_MIB = 128
DEFAULT_STOP_TIMEOUT_S = 10
# Where scratch disks are. Not chosen by what is there: a pool that is missing for once is an error, and no reason to
# fill another disk.
FILE, LVM = "file", "lvm"
# What bases are compressed by: nothing, but where it takes much out (docs/images.md), or always lz4.
AUTO, LZ4 = "auto", "lz4"
ALLOW, REFUSE = "allow", "refuse"
DEBUG, INFO, WARNING, ERROR = "debug", "info", "warning", "error"
QUIET_LEVELS = (WARNING, ERROR)  # as --quiet: no progress, only results and what is wrong


def _is_ipv4(text: str) -> bool:
    parts = text.split(".")
    return len(parts) == 4 and all(part in map(str, range(256)) for part in parts)


def _root(values: Mapping[str, str], _: Mapping[str, Any]) -> Path:
    return Path(values.get("HOME") or "/root", ".local/share/inferno")


def _share_dir(_values: Mapping[str, str], _: Mapping[str, Any]) -> Path:
    return CHECKOUT / "artifacts" if IS_CHECKOUT else Path("/usr/share/inferno")


def _database(_values: Mapping[str, str], known: Mapping[str, Any]) -> Path:
    return Path(known["root"], "inferno.db")


class Settings(NamedTuple):
    """What holds for one command. Paths are absolute; sizes carry their unit in the name. A row for each field."""

    root: Annotated[
        Path,
        Setting(
            "INFERNO_ROOT",
            Counts.PLACE,
            "where VMs, images, logs and the database are; `/var/lib/inferno` in production",
            _root,
            shown="`~/.local/share/inferno`",
        ),
    ]
    share_dir: Annotated[
        Path,
        Setting(
            "INFERNO_SHARE_DIR",
            Counts.ARTIFACT,
            "where kiln, init, firecracker, jailer and the kernel are; `/usr/share/inferno` when installed",
            _share_dir,
            shown="`artifacts/` of the checkout",
        ),
    ]
    db_path: Annotated[
        Path, Setting("DB_PATH", Counts.PLACE, "the database", _database, shown="`$INFERNO_ROOT/inferno.db`")
    ]
    log_level: Annotated[
        str,
        Setting(
            "LOG_LEVEL",
            Counts.VERSION,
            "[how much commands print](#how-much-is-said): `debug`, `info`, `warning` or `error`",
            INFO,
            choices=(DEBUG, INFO, WARNING, ERROR),
        ),
    ]
    trust_uid: Annotated[
        int | None,
        Setting(
            "INFERNO_TRUST_UID",
            Counts.PLACE,
            "a user whose folders root trusts like its own: [weaker](trust-boundaries.md); read from the file alone",
            None,
            1,
            2**31,
            of_file=True,
        ),
    ]
    storage: Annotated[
        str,
        Setting(
            "INFERNO_STORAGE",
            Counts.START,
            "[where scratch disks are](storage.md): `file` or `lvm`",
            FILE,
            choices=(FILE, LVM),
        ),
    ]
    vg_name: Annotated[
        str,
        Setting("VG_NAME", Counts.START, "with `lvm`, the only volume group that Inferno uses", "inferno_rootfs_vg"),
    ]
    # A pool that runs full stops every guest that writes: dm-thin holds their I/O for a minute, then fails it.
    pool_max_percent: Annotated[
        int, Setting("INFERNO_POOL_MAX_PERCENT", Counts.START, "how full its pool may be, to start a VM", 90, 1, 100)
    ]
    rootfs_size_mb: Annotated[
        int,
        Setting("ROOTFS_SIZE_MB", Counts.VERSION, "the size of a scratch disk, in MiB", 5120, 16, 16 << 20),
    ]
    # Half of what mke2fs gives by default, 16384: with that a disk of 5 GiB is full of files at 327,680 of them, and
    # node_modules alone may hold as many. 8192 costs a thirty-second part of the disk.
    scratch_bytes_per_inode: Annotated[
        int,
        Setting(
            "INFERNO_SCRATCH_BYTES_PER_INODE",
            Counts.VERSION,
            "a scratch disk has room for [one file](storage.md#how-many-files) per this many bytes",
            8192,
            1024,
            64 << 20,
        ),
    ]
    memory_reserve_mib: Annotated[
        int,
        Setting("INFERNO_MEMORY_RESERVE", Counts.START, "MiB [not for VMs](how-it-starts.md#room)", 256, 0, 1 << 30),
    ]
    overcommit: Annotated[
        str,
        Setting(
            "INFERNO_OVERCOMMIT",
            Counts.START,
            "whether VMs may start that need more memory than the host has: `refuse` or `allow`",
            REFUSE,
            choices=(REFUSE, ALLOW),
        ),
    ]
    disk_reserve_mib: Annotated[
        int, Setting("INFERNO_DISK_RESERVE", Counts.START, "MiB to stay free for files of scratch", 512, 0, 1 << 30)
    ]
    # Above what /etc/subuid hands out by default on Debian (100000 + 65536 each for the first users), below nspawn's
    # 524288..1879048191, collisions being merely possible.
    uid_base: Annotated[
        int,
        Setting(
            "INFERNO_UID_BASE",
            Counts.START,
            "the first uid and gid of the range that VMs run as, one for each slot",
            800_000,
            1000,
            2**31,
        ),
    ]
    jail_uid: Annotated[
        int | None,
        Setting(
            "INFERNO_JAIL_UID",
            Counts.START,
            "one uid for all VMs instead: [weaker](trust-boundaries.md)",
            None,
            1,
            2**31,
        ),
    ]
    jail_gid: Annotated[int | None, Setting("INFERNO_JAIL_GID", Counts.START, "the same, for the gid", None, 1, 2**31)]
    firecracker: Annotated[
        Path | None,
        Setting("INFERNO_FIRECRACKER", Counts.ARTIFACT, "a binary to use instead of the fetched one, 1.12 or newer"),
    ]
    jailer: Annotated[Path | None, Setting("INFERNO_JAILER", Counts.ARTIFACT, "the same, for the jailer")]
    unsupported_firecracker: Annotated[
        str,
        Setting(
            "INFERNO_UNSUPPORTED_FIRECRACKER",
            Counts.ARTIFACT,
            "whether to use an unsupported release if the pinned one cannot be fetched: `allow` or `refuse`",
            ALLOW,
            choices=(ALLOW, REFUSE),
        ),
    ]
    ssh_keys: Annotated[
        tuple[str, ...],
        Setting(
            "INFERNO_SSH_KEYS",
            Counts.VERSION,
            "public keys, or files of them, comma-separated, for VMs [without keys](reaching-in.md#ssh) of their own",
            (),
        ),
    ]
    # None by default: to whom a guest's questions go is not for us to choose.
    dns: Annotated[
        tuple[str, ...],
        Setting(
            "INFERNO_DNS",
            Counts.START,
            "name servers of guests, comma-separated, [if they reach none of this host's](create-options.md#names)",
            default=(),
            each=_is_ipv4,
        ),
    ]
    start_timeout_s: Annotated[
        int, Setting("INFERNO_START_TIMEOUT", Counts.START, "seconds within which a VM's process must run", 60, 1, 3600)
    ]
    image_max_age_s: Annotated[
        int | None,
        Setting(
            "INFERNO_IMAGE_MAX_AGE",
            Counts.IMAGE,
            "seconds after which a tag is [looked up again](images.md#when-it-is-looked-up-again)",
            None,
            0,
            2**31,
        ),
    ]
    image_compression: Annotated[
        str,
        Setting(
            "INFERNO_IMAGE_COMPRESSION",
            Counts.IMAGE,
            "whether [bases are compressed](images.md#from-layers-to-the-base): `auto` or `lz4`",
            AUTO,
            choices=(AUTO, LZ4),
        ),
    ]
    insecure_registries: Annotated[
        tuple[str, ...],
        Setting("INFERNO_INSECURE_REGISTRIES", Counts.IMAGE, "registries without TLS, `HOST:PORT`, by comma", ()),
    ]
    # An image beyond these is refused while it is read: a few kilobytes can describe any size.
    image_max_mib: Annotated[
        int,
        Setting(
            "INFERNO_IMAGE_MAX_MB",
            Counts.IMAGE,
            "how much an image [may take](images.md#what-is-refused): MiB unpacked",
            65_536,
            1,
            16 << 20,
        ),
    ]
    image_max_entries: Annotated[
        int, Setting("INFERNO_IMAGE_MAX_ENTRIES", Counts.IMAGE, "the same, in entries", 2_000_000, 1, 1 << 30)
    ]
    image_timeout_s: Annotated[
        int, Setting("INFERNO_IMAGE_TIMEOUT", Counts.IMAGE, "the same, in seconds", 3600, 1, 86_400)
    ]
    log_max_size_mb: Annotated[
        int,
        Setting(
            "INFERNO_LOG_MAX_SIZE_MB",
            Counts.LOGS,
            "[size limit](logs.md#the-files) of one log file, in MiB",
            100,
            1,
            1 << 19,
        ),
    ]
    log_max_files: Annotated[
        int, Setting("INFERNO_LOG_MAX_FILES", Counts.LOGS, "how many files of each log are kept", 5, 2, 1000)
    ]
    # journald takes 10,000 lines in 30 s of a service (RateLimitBurst=); a VM may be many services, and the collector
    # takes 500,000 a second with one processor.
    log_max_rate: Annotated[
        int,
        Setting(
            "INFERNO_LOG_MAX_RATE",
            Counts.LOGS,
            "[lines a second](logs.md#a-vm-that-floods) that a VM may log; 0 for no limit",
            10_000,
            0,
            1 << 30,
        ),
    ]

    @property
    def worker_uid(self) -> int:
        """The user (and group) that reads images: the one below the VMs' range, and nobody else."""
        return self.uid_base - 1

    def environ(self) -> dict[str, str]:
        """The environment in which `load_settings` finds the same settings, whatever the settings file says of those
        that an environment may give."""
        return {row.name: self.text(field) for field, _, row in ROWS if not row.of_file}

    def text(self, field: str) -> str:
        """One setting as it would be written."""
        value = getattr(self, field)
        return ",".join(value) if isinstance(value, tuple) else "" if value is None else str(value)


# The rows, with the field and the type of each.
ROWS: tuple[tuple[str, Any, Setting], ...] = tuple(
    (field, row.__origin__, row.__metadata__[0]) for field, row in Settings.__annotations__.items()
)
# Variables of the bash version that mean nothing here, and what to do instead.
GONE: dict[str, str] = {
    "ROOTFS_VG_NAME": "VG_NAME names the one volume group, with the pool of scratch disks",
    "INFERNO_LOG_MAX_AGE_DAYS": "logs have no age limit: INFERNO_LOG_MAX_SIZE_MB and INFERNO_LOG_MAX_FILES bound them",
}
# What else is read from the environment, and from nowhere else.
BESIDE: dict[str, str] = {
    "INFERNO_REGISTRY_PASSWORD": "the password of `--creds`",
    "INFERNO_DEBUG": "`1` shows a traceback for a bug",
    "XDG_CACHE_HOME": "default `~/.cache`",
}


def load_settings(environ: Mapping[str, str] | None = None, env_file: Path = ENV_FILE) -> Settings:
    """Read the settings. Raises UsageError for a value that cannot be used, or an env file others may write."""
    of_file = settings_file.read(env_file)
    values = {**of_file, **(os.environ if environ is None else environ)}
    known: dict[str, Any] = {}
    for field, kind, row in ROWS:
        text = (values.get(row.name) or "").strip()
        if row.of_file and text != of_file.get(row.name, ""):
            raise UsageError(f"{row.name} is read from {env_file} alone", f"unset {row.name}")
        if text:
            known[field] = READERS[kind](row, text)
        else:
            known[field] = row.default(values, known) if callable(row.default) else row.default
    _check_folder(known["root"])
    return Settings(**known)


class Explained(NamedTuple):
    """One setting as it is written, and where it comes from: `environment`, the settings file's path, or `default`."""

    name: str
    value: str
    source: str


def explain_settings(environ: Mapping[str, str] | None = None, env_file: Path = ENV_FILE) -> list[Explained]:
    """All settings in force. Raises UsageError as `load_settings` does."""
    here, file = os.environ if environ is None else environ, settings_file.read(env_file)

    def source(name: str) -> str:
        if not {**file, **here}.get(name):
            return "default"
        return "environment" if name in here else str(env_file)

    known = load_settings(here, env_file)
    return [Explained(row.name, known.text(field), source(row.name)) for field, _, row in ROWS]


def level(environ: Mapping[str, str] | None = None, env_file: Path = ENV_FILE) -> str:
    """LOG_LEVEL alone, without a look at the other settings. Raises UsageError."""
    row = next(row for field, _, row in ROWS if field == "log_level")
    values = {**settings_file.read(env_file), **(os.environ if environ is None else environ)}
    return str(READERS[str](row, (values.get(row.name) or INFO).strip()))


def unknown_names(environ: Mapping[str, str] | None = None, env_file: Path = ENV_FILE) -> list[str]:
    """The variables that nothing reads: INFERNO_… ones that are misspelt or of another release, and those of GONE."""
    named = {*settings_file.read(env_file), *(os.environ if environ is None else environ)}
    unread = {name for name in named if name.startswith("INFERNO_") and name not in _NAMES and name not in BESIDE}
    return sorted({*unread, *(named & set(GONE))})


def meant_by(name: str) -> str | None:
    """The variable that is meant by an unknown INFERNO_… name, if one is like it."""
    from inferno.base import guess

    known = [each.removeprefix("INFERNO_") for each in (*_NAMES, *BESIDE) if each.startswith("INFERNO_")]
    near = guess.near(name.removeprefix("INFERNO_"), known)
    return f"INFERNO_{near}" if near else None


_NAMES = frozenset(row.name for _, _, row in ROWS)


def _check_folder(root: Path) -> None:
    """Raise UsageError where no folder is, nor can be: all that looks would take it for an empty one."""
    try:
        if stat.S_ISDIR(os.stat(root).st_mode):
            return
    except NotADirectoryError:
        pass
    except OSError:  # not there yet, or not ours to see
        return
    raise UsageError(f"INFERNO_ROOT={root} cannot be made: a file is in its place", "unset it or correct it")
