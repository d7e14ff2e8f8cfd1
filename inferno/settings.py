"""Settings and defaults, all of them: flags > environment > /etc/inferno/env > the defaults below.

Names of environment variables are the predecessor's, so that its users' files keep working.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from inferno.base.errors import UsageError

ENV_FILE = Path("/etc/inferno/env")
CHECKOUT = Path(__file__).resolve().parent.parent
# Asked while this is loaded: a process that then gives up root may not look into root's home any more.
IS_CHECKOUT = (CHECKOUT / "pyproject.toml").exists()

DEFAULT_VCPUS = 1
DEFAULT_MEMORY_MIB = 128
DEFAULT_START_TIMEOUT_S = 60
DEFAULT_STOP_TIMEOUT_S = 10
DEFAULT_ROOTFS_SIZE_MB = 5120
# Where scratch disks are. Not chosen by what is there: a pool that is missing for once is an error, and no reason to
# fill another disk.
FILE, LVM = "file", "lvm"
STORAGES = (FILE, LVM)
# A pool that runs full stops every guest that writes: dm-thin holds their I/O for a minute, then fails it.
DEFAULT_POOL_MAX_PERCENT = 90
DEFAULT_LOG_MAX_SIZE_MB = 100
DEFAULT_LOG_MAX_FILES = 5
# An image beyond these is refused while it is read: a few kilobytes can describe any size.
DEFAULT_IMAGE_MAX_MIB = 65_536
DEFAULT_IMAGE_MAX_ENTRIES = 2_000_000
DEFAULT_IMAGE_TIMEOUT_S = 3600
# What bases are compressed by: nothing, but where it takes much out (docs/images.md), or always lz4.
AUTO, LZ4 = "auto", "lz4"
COMPRESSIONS = (AUTO, LZ4)
# The first uid (and gid) of the range VMs run as: above what /etc/subuid hands out by default on Debian
# (100000 + 65536 each for the first users), below nspawn's 524288..1879048191 collisions being merely possible.
DEFAULT_UID_BASE = 800_000


class Settings(NamedTuple):
    """What holds for one command. Paths are absolute; sizes carry their unit in the name."""

    root: Path
    share_dir: Path
    db_path: Path
    log_level: str
    vg_name: str
    rootfs_size_mb: int
    uid_base: int
    jail_uid: int | None
    jail_gid: int | None
    firecracker: Path | None
    jailer: Path | None
    storage: str = FILE
    pool_max_percent: int = DEFAULT_POOL_MAX_PERCENT
    start_timeout_s: int = DEFAULT_START_TIMEOUT_S
    image_max_mib: int = DEFAULT_IMAGE_MAX_MIB
    image_max_entries: int = DEFAULT_IMAGE_MAX_ENTRIES
    image_timeout_s: int = DEFAULT_IMAGE_TIMEOUT_S
    image_max_age_s: int | None = None  # after which a tag is asked for again; None: only on request
    image_compression: str = AUTO
    insecure_registries: tuple[str, ...] = ()
    log_max_size_mb: int = DEFAULT_LOG_MAX_SIZE_MB
    log_max_files: int = DEFAULT_LOG_MAX_FILES
    ssh_keys: tuple[str, ...] = ()  # public keys, or files of them, for VMs that are given none

    @property
    def worker_uid(self) -> int:
        """The user (and group) that reads images: the one below the VMs' range, and nobody else."""
        return self.uid_base - 1

    def environ(self) -> dict[str, str]:
        """The environment in which `load_settings` finds the same settings, whatever the settings file says."""
        return {
            name: ",".join(value) if isinstance(value, tuple) else "" if value is None else str(value)
            for field, name in _VARIABLES.items()
            for value in [getattr(self, field)]
        }


_VARIABLES = {
    "root": "INFERNO_ROOT",
    "share_dir": "INFERNO_SHARE_DIR",
    "db_path": "DB_PATH",
    "log_level": "LOG_LEVEL",
    "vg_name": "VG_NAME",
    "rootfs_size_mb": "ROOTFS_SIZE_MB",
    "uid_base": "INFERNO_UID_BASE",
    "jail_uid": "INFERNO_JAIL_UID",
    "jail_gid": "INFERNO_JAIL_GID",
    "firecracker": "INFERNO_FIRECRACKER",
    "jailer": "INFERNO_JAILER",
    "storage": "INFERNO_STORAGE",
    "pool_max_percent": "INFERNO_POOL_MAX_PERCENT",
    "start_timeout_s": "INFERNO_START_TIMEOUT",
    "image_max_mib": "INFERNO_IMAGE_MAX_MB",
    "image_max_entries": "INFERNO_IMAGE_MAX_ENTRIES",
    "image_timeout_s": "INFERNO_IMAGE_TIMEOUT",
    "image_max_age_s": "INFERNO_IMAGE_MAX_AGE",
    "image_compression": "INFERNO_IMAGE_COMPRESSION",
    "insecure_registries": "INFERNO_INSECURE_REGISTRIES",
    "log_max_size_mb": "INFERNO_LOG_MAX_SIZE_MB",
    "log_max_files": "INFERNO_LOG_MAX_FILES",
    "ssh_keys": "INFERNO_SSH_KEYS",
}


def load_settings(environ: Mapping[str, str] | None = None, env_file: Path = ENV_FILE) -> Settings:
    """Read the settings. Raises UsageError for a value that cannot be used, or an env file others may write."""
    values = {**_read_env_file(env_file), **(os.environ if environ is None else environ)}

    def path(name: str, default: Path) -> Path:
        text = os.path.expanduser(values.get(name) or default)
        try:
            return Path(os.path.abspath(text))
        except FileNotFoundError:
            raise UsageError(f"{name}={text}: the folder this runs in is gone", "cd to another") from None

    def maybe_path(name: str) -> Path | None:
        return path(name, Path()) if values.get(name) else None

    home = values.get("HOME") or "/root"
    root = path("INFERNO_ROOT", Path(home, ".local/share/inferno"))
    _check_folder(root)
    return Settings(
        root=root,
        share_dir=path("INFERNO_SHARE_DIR", _default_share_dir()),
        db_path=path("DB_PATH", root / "inferno.db"),
        log_level=values.get("LOG_LEVEL", "info").lower(),
        vg_name=values.get("VG_NAME", "inferno_rootfs_vg"),
        rootfs_size_mb=_integer(values, "ROOTFS_SIZE_MB", 16, 16 << 20) or DEFAULT_ROOTFS_SIZE_MB,
        uid_base=_integer(values, "INFERNO_UID_BASE", 1000, 2**31) or DEFAULT_UID_BASE,
        jail_uid=_integer(values, "INFERNO_JAIL_UID", 1, 2**31),
        jail_gid=_integer(values, "INFERNO_JAIL_GID", 1, 2**31),
        firecracker=maybe_path("INFERNO_FIRECRACKER"),
        jailer=maybe_path("INFERNO_JAILER"),
        storage=_choice(values, "INFERNO_STORAGE", STORAGES),
        pool_max_percent=_integer(values, "INFERNO_POOL_MAX_PERCENT", 1, 100) or DEFAULT_POOL_MAX_PERCENT,
        start_timeout_s=_integer(values, "INFERNO_START_TIMEOUT", 1, 3600) or DEFAULT_START_TIMEOUT_S,
        image_max_mib=_integer(values, "INFERNO_IMAGE_MAX_MB", 1, 16 << 20) or DEFAULT_IMAGE_MAX_MIB,
        image_max_entries=_integer(values, "INFERNO_IMAGE_MAX_ENTRIES", 1, 1 << 30) or DEFAULT_IMAGE_MAX_ENTRIES,
        image_timeout_s=_integer(values, "INFERNO_IMAGE_TIMEOUT", 1, 86_400) or DEFAULT_IMAGE_TIMEOUT_S,
        image_max_age_s=_integer(values, "INFERNO_IMAGE_MAX_AGE", 0, 2**31),
        image_compression=_choice(values, "INFERNO_IMAGE_COMPRESSION", COMPRESSIONS),
        insecure_registries=tuple(_words(values, "INFERNO_INSECURE_REGISTRIES")),
        log_max_size_mb=_integer(values, "INFERNO_LOG_MAX_SIZE_MB", 1, 1 << 19) or DEFAULT_LOG_MAX_SIZE_MB,
        log_max_files=_integer(values, "INFERNO_LOG_MAX_FILES", 2, 1000) or DEFAULT_LOG_MAX_FILES,
        ssh_keys=tuple(_words(values, "INFERNO_SSH_KEYS")),
    )


class Explained(NamedTuple):
    """One setting as it is written, and where it comes from: `environment`, the settings file's path, or `default`."""

    name: str
    value: str
    source: str


def explain_settings(environ: Mapping[str, str] | None = None, env_file: Path = ENV_FILE) -> list[Explained]:
    """All settings in force. Raises UsageError as `load_settings` does."""
    here, file = os.environ if environ is None else environ, _read_env_file(env_file)

    def source(name: str) -> str:
        if not {**file, **here}.get(name):
            return "default"
        return "environment" if name in here else str(env_file)

    return [Explained(name, value, source(name)) for name, value in load_settings(here, env_file).environ().items()]


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


def _default_share_dir() -> Path:
    return CHECKOUT / "artifacts" if IS_CHECKOUT else Path("/usr/share/inferno")


def _integer(values: Mapping[str, str], name: str, low: int, high: int) -> int | None:
    text = values.get(name)
    if not text:
        return None
    try:
        number = int(text)
    except ValueError:
        number = low - 1
    if not low <= number <= high:
        raise UsageError(f"{name}={text!r} is not a number from {low} to {high}", f"unset {name} or correct it")
    return number


def _choice(values: Mapping[str, str], name: str, choices: tuple[str, ...]) -> str:
    """The first is the default."""
    text = values.get(name) or choices[0]
    if text not in choices:
        raise UsageError(f"{name}={text!r} is not {' or '.join(choices)}", f"unset {name} or correct it")
    return text


def _words(values: Mapping[str, str], name: str) -> list[str]:
    return [word.strip() for word in (values.get(name) or "").split(",") if word.strip()]


def _read_env_file(path: Path) -> dict[str, str]:
    """NAME=value lines, `#` comments, optional quotes; read as data, never run by a shell."""
    try:
        with path.open() as file:
            info = os.fstat(file.fileno())
            if info.st_mode & 0o022 or info.st_uid != 0:
                raise UsageError(f"{path} can be written by others than root", f"chown root {path}; chmod go-w {path}")
            lines = file.read().splitlines()
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except PermissionError:
        return {}
    values = {}
    for number, line in enumerate(lines, 1):
        text = line.strip().removeprefix("export ")
        if not text or text.startswith("#"):
            continue
        name, equals, value = text.partition("=")
        if not equals or not name.isidentifier():
            raise UsageError(f"{path}:{number}: not NAME=value: {text!r}")
        values[name] = value.strip().strip("\"'")
    return values
