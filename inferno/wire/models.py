"""What crosses from the host to kiln, init and Firecracker, as pydantic models: strict, unknown fields refused.

The shapes are fixed by the golden files in tests/contract, which the Rust tests read too. All defaults live here:
the Rust side has none. Importing this module imports pydantic, so only actions that render configs do.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from inferno.wire import shared

# Firecracker's own reading of Linux limits: firecracker/src/vmm/src/vmm_config/machine_config.rs, MAX_SUPPORTED_VCPUS.
MAX_VCPUS = 32
GUEST_CID = 3
# What each word is for: docs/how-it-starts.md.
BOOT_ARGS = (
    "console=ttyS0 8250.nr_uarts=1 quiet reboot=k panic=-1 random.trust_cpu=on swiotlb=noforce nomodule "
    "dummy.numdummies=0 rdinit=/inferno/init"
)

Port = Annotated[int, Field(ge=1, lt=2**32 - 1)]


Init = Literal["auto", "process", "inferno"]


class Wire(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Log(Wire):
    debug: bool


class Rlimit(Wire):
    """A resource limit, setrlimit(2), by Docker's name for it; None is unlimited."""

    name: Literal[
        "as",
        "core",
        "cpu",
        "data",
        "fsize",
        "locks",
        "memlock",
        "msgqueue",
        "nice",
        "nofile",
        "nproc",
        "rss",
        "rtprio",
        "rttime",
        "sigpending",
        "stack",
    ]
    soft: Annotated[int, Field(ge=0, lt=2**64)] | None
    hard: Annotated[int, Field(ge=0, lt=2**64)] | None


class Process(Wire):
    """`user` is Docker's: empty, or NAME|UID[:GROUP|GID], which init resolves inside the guest's root.

    `init` says who is PID 1: the process, Inferno's init, or the process where it is or executes an init system.
    """

    args: Annotated[list[str], Field(min_length=1)]
    env: list[str]
    cwd: str
    user: str
    rlimits: list[Rlimit] = []
    tty: bool = False
    stdin: bool = False
    init: Init = "auto"


class Ip(Wire):
    interface: str
    address: str
    prefix_len: Annotated[int, Field(ge=0, le=32)]
    gateway: str


class OverlayRoot(Wire):
    kind: Literal["overlay"] = "overlay"
    base: str = "/dev/vda"
    base_fs: str = "erofs"
    scratch: str = "/dev/vdb"
    scratch_fs: str = "ext4"


class DeviceRoot(Wire):
    kind: Literal["ext4"] = "ext4"
    device: str


class Tmpfs(Wire):
    """A file system in the guest's memory. `mode` None is that of the folder it covers, 1777 where there is none.

    `options` are tmpfs(5)'s; programs, set-user-id bits and devices are of no effect unless `flags` say so.
    """

    path: str
    mode: Annotated[int, Field(ge=0, le=0o7777)] | None
    options: list[Annotated[str, Field(pattern="^(size|nr_inodes|nr_blocks|uid|gid)=[0-9]+%?$")]]
    flags: list[Literal["ro", "exec", "suid", "dev", "noatime", "nodiratime", "strictatime"]]


class Host(Wire):
    address: str
    names: list[str]


class File(Wire):
    """A file init writes into the guest; `mode` is the permission bits."""

    path: str
    mode: Annotated[int, Field(ge=0, le=0o7777)]
    content: str


class Run(Wire):
    """run.json, read by init. `id` is the VM's name: an initrd serves every version that boots the same process."""

    format: Annotated[int, Field(ge=shared.RUN_FORMAT, le=shared.RUN_FORMAT)] = shared.RUN_FORMAT
    id: str
    hostname: str
    machine_id: Annotated[str, Field(pattern="^[0-9a-f]{32}$")]
    process: Process
    ips: list[Ip]
    root: Annotated[OverlayRoot | DeviceRoot, Field(discriminator="kind")]
    read_only: bool = False
    tmpfs: list[Tmpfs] = []
    volumes: list[str] = []
    etc_hosts: list[Host]
    ssh_keys: list[str] = []
    files: list[File]
    log: Log
    vsock_stdout_port: Port = shared.STDOUT_PORT
    vsock_exit_port: Port = shared.EXIT_REPORT_PORT
    vsock_api_port: Port = shared.API_PORT


class Vmm(Wire):
    path: str
    args: list[str]


class Kiln(Wire):
    """kiln.json, read by kiln; paths are as seen inside the jail."""

    format: Annotated[int, Field(ge=shared.KILN_FORMAT, le=shared.KILN_FORMAT)] = shared.KILN_FORMAT
    id: str
    firecracker: Vmm
    vsock_uds_path: str = f"/{shared.VSOCK_SOCKET}"
    vsock_stdout_port: Port = shared.STDOUT_PORT
    vsock_exit_port: Port = shared.EXIT_REPORT_PORT
    log_socket_path: str = f"/{shared.LOG_SOCKET}"
    notify_socket_path: str = f"/{shared.NOTIFY_SOCKET}"
    exit_status_path: str = f"/{shared.EXIT_STATUS}"
    log: Log
    console_ring_kib: int = 64
    log_ring_kib: int = 256


class BootSource(Wire):
    kernel_image_path: str = "/vmlinux"
    initrd_path: str = "/initrd.cpio"
    boot_args: str


class Drive(Wire):
    """`cache_type` Unsafe: guest flushes are not passed on, right for a base that is read-only and a scratch that
    is thrown away."""

    drive_id: str
    path_on_host: str
    is_root_device: bool = False
    is_read_only: bool
    cache_type: Literal["Unsafe", "Writeback"] = "Unsafe"
    io_engine: Literal["Sync"] = "Sync"


class Machine(Wire):
    vcpu_count: Annotated[int, Field(ge=1, le=MAX_VCPUS)]
    mem_size_mib: Annotated[int, Field(ge=1)]
    smt: bool = False
    track_dirty_pages: bool = False


class NetworkInterface(Wire):
    iface_id: str = "eth0"
    host_dev_name: str
    guest_mac: str


class Vsock(Wire):
    guest_cid: int = GUEST_CID
    uds_path: str = f"/{shared.VSOCK_SOCKET}"


class Entropy(Wire):
    pass


class Firecracker(Wire):
    """firecracker.json. Firecracker ignores unknown top-level keys in silence, so they are refused here."""

    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        frozen=True,
        alias_generator=lambda name: name.replace("_", "-"),
        populate_by_name=True,
    )
    boot_source: BootSource
    drives: list[Drive]
    machine_config: Machine
    network_interfaces: list[NetworkInterface]
    vsock: Vsock = Vsock()
    entropy: Entropy = Entropy()


def dump(model: Wire) -> str:
    """The model as a file's text: indented JSON, in the order of the fields; same model, same bytes."""
    return model.model_dump_json(indent=2, by_alias=True) + "\n"
