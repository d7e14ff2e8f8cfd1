"""From what was asked and what the image says to the three files that a VM boots from."""

from __future__ import annotations

import hmac
from pathlib import Path

from inferno import wire, words
from inferno.errors import UsageError
from inferno.image.config import ImageConfig
from inferno.slot import Slot
from inferno.spec import Spec
from inferno.version import NO_ID

# What Docker gives a process when the image says nothing (moby: oci/defaults.go, DefaultPathEnv).
_DEFAULT_PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def process(spec: Spec, image: ImageConfig) -> wire.Process:
    """Docker's rules: an entrypoint given by the user also drops the image's Cmd; later env words win.

    Raises UsageError when neither the image nor the user names a program.
    """
    if spec.entrypoint is not None:
        args = [*spec.entrypoint, *(spec.cmd or ())]
    else:
        args = [*image.entrypoint, *(image.cmd if spec.cmd is None else spec.cmd)]
    if not args:
        raise UsageError(f"image {spec.image!r} names no program to run", "give one: -- CMD ARGS")
    env = dict(word.partition("=")[::2] for word in (_DEFAULT_PATH, *image.env, *spec.env))
    return wire.Process(
        args=args,
        env=[f"{name}={value}" for name, value in env.items()],
        cwd=spec.workdir or image.working_dir or "/",
        user=spec.user if spec.user is not None else image.user,
        tty=spec.tty,
        stdin=spec.interactive,
        rlimits=[
            wire.Rlimit.model_validate({"name": one.name, "soft": one.soft, "hard": one.hard})
            for one in map(words.ulimit, spec.ulimit)
        ],
    )


def run(name: str, spec: Spec, image: ImageConfig, slot: Slot, *, ssh_keys: list[str], debug: bool = False) -> wire.Run:
    """run.json of VM `name`; `ssh_keys` are lines for authorized_keys; `debug` has init log its own steps."""
    hostname = spec.hostname or name
    return wire.Run(
        id=name,
        hostname=hostname,
        machine_id=_machine_id(name),
        process=process(spec, image),
        ips=[
            wire.Ip(
                interface="eth0",
                address=str(slot.guest),
                prefix_len=slot.prefix_len,
                gateway=str(slot.gateway),
            )
        ],
        root=wire.OverlayRoot(),
        etc_resolv=_resolv(),
        etc_hosts=[wire.Host(address=str(slot.guest), names=list(dict.fromkeys([hostname, name])))],
        ssh_keys=ssh_keys,
        files=[],
        log=wire.Log(debug=debug),
        read_only=spec.read_only,
        tmpfs=[
            wire.Tmpfs(path=one.path, size_bytes=one.size_bytes, mode=one.mode, executable=one.executable)
            for one in map(words.tmpfs, spec.tmpfs)
        ],
    )


def kiln(*, debug: bool = False) -> wire.Kiln:
    """kiln.json but for the id, which create fills in; `debug` has kiln log its own steps."""
    args = ["--id", NO_ID, "--no-api", "--config-file", "/firecracker.json"]
    return wire.Kiln(id=NO_ID, firecracker=wire.Vmm(path="/firecracker", args=args), log=wire.Log(debug=debug))


def firecracker(spec: Spec, slot: Slot) -> wire.Firecracker:
    """firecracker.json: paths are the jail's."""
    return wire.Firecracker(
        boot_source=wire.BootSource(boot_args=wire.BOOT_ARGS),
        drives=[
            wire.Drive(drive_id="base", path_on_host="/rootfs.img", is_read_only=True),
            wire.Drive(drive_id="scratch", path_on_host="/scratch.img", is_read_only=False),
        ],
        machine_config=wire.Machine(vcpu_count=spec.vcpus, mem_size_mib=spec.memory),
        network_interfaces=[wire.NetworkInterface(host_dev_name=slot.tap, guest_mac=slot.mac)],
    )


def _machine_id(name: str, host: Path = Path("/etc/machine-id")) -> str:
    """The VM's machine-id(5): the same at every start, another for each name and host; tells nothing of the host's."""
    secret = host.read_bytes().strip() if host.exists() else b""
    return hmac.new(secret, f"inferno:{name}".encode(), "sha256").hexdigest()[:32]


def _resolv(path: Path = Path("/etc/resolv.conf")) -> wire.Resolv:
    """The host's resolvers, without those on the host's own loopback, which no guest can reach; as Docker does."""
    words = [line.split() for line in (path.read_text().splitlines() if path.exists() else ())]
    servers = [w[1] for w in words if len(w) > 1 and w[0] == "nameserver" and not _loopback(w[1])]
    return wire.Resolv(
        nameservers=servers,
        search=next((w[1:] for w in reversed(words) if w and w[0] == "search"), []),
        options=next((w[1:] for w in reversed(words) if w and w[0] == "options"), []),
    )


def _loopback(address: str) -> bool:
    return address.startswith("127.") or address == "::1"
