"""Every path below INFERNO_ROOT, composed in one place (the tree is drawn in docs/how-a-vm-is-built.md); and those that
all INFERNO_ROOTs of a host share, until it reboots."""

import os
from pathlib import Path

from inferno.base.named_tuple import NamedTuple


class HostPaths(NamedTuple):
    """What all INFERNO_ROOTs of this host share, in a folder that root alone can enter."""

    dir: Path

    @property
    def network_lock(self) -> Path:
        return self.dir / "network"

    @property
    def network_root(self) -> Path:
        """The path of the INFERNO_ROOT that has the network of VMs (inferno/life/network_owner.py)."""
        return self.dir / "root"

    @property
    def starts(self) -> Path:
        """The table of VMs that are being started (inferno/state/starts.py)."""
        return self.dir / "starts"


HOST = HostPaths(Path("/run/inferno"))


def is_noted(root: Path) -> bool | None:
    """Whether `root` is the INFERNO_ROOT that is noted as the one with the network, by whichever path; None where none
    is noted, or the note is not ours to see."""
    noted = noted_root()
    if noted is None:
        return None
    try:
        return os.path.samestat(os.stat(noted), os.stat(root))
    except OSError:
        return False


def noted_root() -> Path | None:
    """The path that is noted, whether or not a folder is still there."""
    try:
        text = HOST.network_root.read_bytes()
    except OSError:
        return None
    path = Path(os.fsdecode(text.removesuffix(b"\n")))
    return path if path.is_absolute() else None


class VersionDir(NamedTuple):
    """One version, vms/kiln/<ULID>: the trusted files of root's, and the jail `root/` that the VM's uid owns."""

    dir: Path

    @property
    def ulid(self) -> str:
        return self.dir.name

    @property
    def jail(self) -> Path:
        return self.dir / "root"

    @property
    def record(self) -> Path:
        return self.dir / "version.json"

    @property
    def start(self) -> Path:
        """What this run was started with, beside the jail; as long as anything of the run is left."""
        return self.dir / "start.json"

    @property
    def scratch(self) -> Path:
        return self.dir / "scratch.img"

    @property
    def base(self) -> Path:
        return self.dir / "rootfs.img"

    @property
    def run_json(self) -> Path:
        """What init is told; a copy for people: the guest reads the one in the initrd."""
        return self.dir / "initramfs/inferno/run.json"

    def unfinished(self, name: str) -> Path:
        """Where the version of VM `name` is made, before it gets its own name."""
        return self.dir.with_name(f"{self.ulid}.{name}.tmp")

    def file(self, name: str) -> Path:
        """A trusted file beside the jail: firecracker, vmlinux, initrd.cpio, kiln.json, firecracker.json …"""
        return self.dir / name


def file_name(text: str) -> str:
    """Any text as the name of a file, one to one but for texts beyond what a name can hold, which are hashed."""
    import hashlib  # neither is needed to list VMs, and both cost milliseconds
    from urllib.parse import quote

    name = quote(text, safe="")
    return name if len(name) <= 200 else f"{name[:100]}~{hashlib.sha256(text.encode()).hexdigest()}"


class Paths(NamedTuple):
    """Where things live below `root` (INFERNO_ROOT)."""

    root: Path

    @property
    def task_db(self) -> Path:
        return self.root / "tasks.db"

    @property
    def digest_key(self) -> Path:
        """By which digests of secrets are made (inferno/version/sealing.py)."""
        return self.root / "digest.key"

    @property
    def images(self) -> Path:
        return self.root / "images"

    @property
    def store(self) -> Path:
        return self.root / "store"

    @property
    def vms(self) -> Path:
        return self.root / "vms"

    @property
    def versions(self) -> Path:
        return self.vms / "kiln"

    @property
    def locks(self) -> Path:
        return self.root / "locks"

    @property
    def logs(self) -> Path:
        return self.root / "logs"

    @property
    def ruleset(self) -> Path:
        """The nftables rules as they were last loaded, to be loaded again without jinja2."""
        return self.root / "ruleset.nft"

    @property
    def combined_log(self) -> Path:
        return self.logs / "vm_combined.log"

    @property
    def collector(self) -> Path:
        """The collector's own directory, 0700: its socket, its lock."""
        return self.root / "run" / "logs"

    @property
    def collector_socket(self) -> Path:
        return self.collector / "vm_logs.sock"

    def image(self, digest: str) -> Path:
        """The directory of an image; `digest` is hex, or `sha256:` and hex."""
        return self.images / digest.removeprefix("sha256:")

    def ref(self, ref: str) -> Path:
        """The stamp that says which digest a reference meant when it was last resolved."""
        return self.images / "refs" / f"{file_name(ref)}.json"

    def base_note(self, ref: str) -> Path:
        """Which base a reference means, noted when that was made (inferno/image/base.py)."""
        return self.images / "rootfs" / f"{file_name(ref)}.json"

    def stored(self, digest: str, name: str) -> Path:
        """The trusted copy of a file, known by the sha256 of its content."""
        return self.store / digest.removeprefix("sha256:") / name

    def version(self, ulid: str) -> VersionDir:
        return VersionDir(self.versions / ulid)

    def vm(self, name: str) -> Path:
        return self.vms / name

    def vm_record(self, name: str) -> Path:
        """What the database knows of the VM (inferno/state/vm_record.py)."""
        return self.vm(name) / "spec.json"

    def owned(self, name: str) -> Path:
        """A link for each version of the VM's."""
        return self.root / "versions" / name

    def current(self, name: str) -> Path:
        return self.vm(name) / "current"

    def current_record(self, name: str) -> Path:
        """version.json of the VM's current version: a link to that file, put here when all else of a create is done."""
        return self.vm(name) / "version.json"

    def debug(self, name: str) -> Path:
        """What was kept of runs that ended badly (inferno/life/debug_bundle.py)."""
        return self.vm(name) / "debug"

    def started(self, name: str) -> Path:
        """The link to the version launched last, as long as anything of that run is left."""
        return self.vm(name) / "started"

    def lock(self, name: str) -> Path:
        return self.locks / name

    def vm_lock(self, name: str) -> Path:
        return self.locks / f"vm-{name}"

    def log(self, name: str) -> Path:
        return self.logs / f"{name}.log"
