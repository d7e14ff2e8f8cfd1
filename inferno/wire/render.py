"""From what was asked and what the image says to the three files that a VM boots from.

All that goes into them is given: nothing of the host is looked at here, so that same values make same bytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, cast

from inferno.base.errors import UsageError
from inferno.spec import grammar, tmpfs, user
from inferno.spec.create_options import Spec
from inferno.state.names import host_name
from inferno.state.slot import Slot
from inferno.wire import models

# What Docker gives a process when the image says nothing (moby: oci/defaults.go, DefaultPathEnv).
_DEFAULT_PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class Image(Protocol):
    """What an image says of its process; what the user asked comes over it. `env` holds NAME=value words."""

    @property
    def entrypoint(self) -> Sequence[str]: ...
    @property
    def cmd(self) -> Sequence[str]: ...
    @property
    def env(self) -> Sequence[str]: ...
    @property
    def working_dir(self) -> str: ...
    @property
    def user(self) -> str: ...
    @property
    def volumes(self) -> Sequence[str]: ...


def process(spec: Spec, image: Image) -> models.Process:
    """Docker's rules: an entrypoint given by the user also drops the image's Cmd; later env words win.

    Raises UsageError when neither the image nor the user names a program, or the image asks for what cannot be had.
    """
    if spec.entrypoint is not None:
        args = [*spec.entrypoint, *(spec.cmd or ())]
    else:
        args = [*image.entrypoint, *(image.cmd if spec.cmd is None else spec.cmd)]
    if not args or not args[0]:
        raise UsageError(f"image {spec.image!r} names no program to run", "give one: -- CMD ARGS")
    if not spec.user:
        user.check(image.user, f"the user of image {spec.image!r},")
    grammar.check_lengths([*args, *image.env], f"image {spec.image!r}: an argument or variable")
    env = dict(word.partition("=")[::2] for word in (_DEFAULT_PATH, *image.env, *spec.env))
    return models.Process(
        args=args,
        env=[f"{name}={value}" for name, value in env.items()],
        cwd=spec.workdir or image.working_dir or "/",
        user=spec.user or image.user,
        tty=spec.tty,
        stdin=spec.interactive,
        init=cast("models.Init", spec.init),
        rlimits=[
            models.Rlimit.model_validate({"name": one.name, "soft": one.soft, "hard": one.hard})
            for one in map(grammar.ulimit, spec.ulimit)
        ],
    )


def run(
    name: str,
    spec: Spec,
    image: Image,
    slot: Slot,
    *,
    machine_id: str,
    ssh_keys: list[str],
    debug: bool = False,
) -> models.Run:
    """run.json of VM `name`; `ssh_keys` are lines for authorized_keys; `debug` has init log its own steps."""
    hostname = spec.hostname or host_name(name)
    return models.Run(
        id=name,
        hostname=hostname,
        machine_id=machine_id,
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
        etc_hosts=[models.Host(address=str(slot.guest), names=_names(hostname, name))],
        ssh_keys=ssh_keys,
        files=[],
        log=models.Log(debug=debug),
        read_only=spec.read_only,
        tmpfs=[
            models.Tmpfs.model_validate(
                {"path": one.path, "mode": one.mode, "options": list(one.options), "flags": list(one.flags)}
            )
            for one in tmpfs.each(spec.tmpfs)
        ],
        volumes=list(image.volumes),
    )


def _names(hostname: str, name: str) -> list[str]:
    """What a guest calls itself: its host name, whole first and then short as Docker writes it, and the VM's name."""
    return list(dict.fromkeys([hostname, hostname.partition(".")[0], host_name(name)]))


def kiln(version: str, *, debug: bool = False) -> models.Kiln:
    """kiln.json of the version with this ULID; `debug` has kiln log its own steps."""
    args = ["--id", version, "--no-api", "--config-file", "/firecracker.json"]
    return models.Kiln(id=version, firecracker=models.Vmm(path="/firecracker", args=args), log=models.Log(debug=debug))


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
