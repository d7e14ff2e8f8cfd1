"""From what was asked and what the image says to the three files that a VM boots from."""

from __future__ import annotations

import hmac
from pathlib import Path

from inferno.base.errors import UsageError
from inferno.image.oci_config import ImageConfig
from inferno.spec import grammar
from inferno.spec.fields import Spec
from inferno.state.slot import Slot
from inferno.version.versions import NO_ID
from inferno.wire import models

# What Docker gives a process when the image says nothing (moby: oci/defaults.go, DefaultPathEnv).
_DEFAULT_PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def process(spec: Spec, image: ImageConfig) -> models.Process:
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
    return models.Process(
        args=args,
        env=[f"{name}={value}" for name, value in env.items()],
        cwd=spec.workdir or image.working_dir or "/",
        user=spec.user if spec.user is not None else image.user,
        tty=spec.tty,
        stdin=spec.interactive,
        rlimits=[
            models.Rlimit.model_validate({"name": one.name, "soft": one.soft, "hard": one.hard})
            for one in map(grammar.ulimit, spec.ulimit)
        ],
    )


def run(
    name: str, spec: Spec, image: ImageConfig, slot: Slot, *, ssh_keys: list[str], debug: bool = False
) -> models.Run:
    """run.json of VM `name`; `ssh_keys` are lines for authorized_keys; `debug` has init log its own steps."""
    hostname = spec.hostname or name
    return models.Run(
        id=name,
        hostname=hostname,
        machine_id=_machine_id(name),
        process=process(spec, image),
        ips=[
            models.Ip(
                interface="eth0",
                address=str(slot.guest),
                prefix_len=slot.prefix_len,
                gateway=str(slot.gateway),
            )
        ],
        root=models.OverlayRoot(),
        etc_resolv=_resolv(),
        etc_hosts=[models.Host(address=str(slot.guest), names=list(dict.fromkeys([hostname, name])))],
        ssh_keys=ssh_keys,
        files=[],
        log=models.Log(debug=debug),
        read_only=spec.read_only,
        tmpfs=[
            models.Tmpfs(path=one.path, size_bytes=one.size_bytes, mode=one.mode, executable=one.executable)
            for one in map(grammar.tmpfs, spec.tmpfs)
        ],
    )


def kiln(*, debug: bool = False) -> models.Kiln:
    """kiln.json but for the id, which create fills in; `debug` has kiln log its own steps."""
    args = ["--id", NO_ID, "--no-api", "--config-file", "/firecracker.json"]
    return models.Kiln(id=NO_ID, firecracker=models.Vmm(path="/firecracker", args=args), log=models.Log(debug=debug))


def firecracker(spec: Spec, slot: Slot) -> models.Firecracker:
    """firecracker.json: paths are the jail's."""
    return models.Firecracker(
        boot_source=models.BootSource(boot_args=models.BOOT_ARGS),
        drives=[
            models.Drive(drive_id="base", path_on_host="/rootfs.img", is_read_only=True),
            models.Drive(drive_id="scratch", path_on_host="/scratch.img", is_read_only=False),
        ],
        machine_config=models.Machine(vcpu_count=spec.vcpus, mem_size_mib=spec.memory),
        network_interfaces=[models.NetworkInterface(host_dev_name=slot.tap, guest_mac=slot.mac)],
    )


def _machine_id(name: str, host: Path = Path("/etc/machine-id")) -> str:
    """The VM's machine-id(5): the same at every start, another for each name and host; tells nothing of the host's."""
    secret = host.read_bytes().strip() if host.exists() else b""
    return hmac.new(secret, f"inferno:{name}".encode(), "sha256").hexdigest()[:32]


def _resolv(path: Path = Path("/etc/resolv.conf")) -> models.Resolv:
    """The host's resolvers, without those on the host's own loopback, which no guest can reach; as Docker does."""
    words = [line.split() for line in (path.read_text().splitlines() if path.exists() else ())]
    servers = [w[1] for w in words if len(w) > 1 and w[0] == "nameserver" and not _loopback(w[1])]
    return models.Resolv(
        nameservers=servers,
        search=next((w[1:] for w in reversed(words) if w and w[0] == "search"), []),
        options=next((w[1:] for w in reversed(words) if w and w[0] == "options"), []),
    )


def _loopback(address: str) -> bool:
    return address.startswith("127.") or address == "::1"
