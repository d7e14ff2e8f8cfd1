"""The rig's system: a Debian tree with all that an Inferno host needs, packed as a disk, and what boots it.

The files in host/ are laid over the tree as they are; initramfs/init is the rig's own. Made through chroot on this
machine, never under emulation, where installing would take an hour.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from rig.cache import cached, digest, digest_of_code, digest_of_files
from rig.follow import follow
from rig.program import RigError, command

HERE = Path(__file__).resolve().parent
SUITE = "trixie"
# A Debian host with every tool Inferno uses; libarchive13t64 lets mke2fs read tar, busybox is the initramfs.
# Not linux-image-cloud-amd64: it is smaller, and has none of device-mapper thin, nested KVM, or loop.
PACKAGES = [
    "systemd",
    "systemd-sysv",
    "udev",
    "dbus",
    "kmod",
    "libpam-systemd",
    "lvm2",
    "thin-provisioning-tools",
    "dmsetup",
    "nftables",
    "iproute2",
    "iputils-ping",
    "haproxy",
    "docker.io",
    "docker-cli",
    "docker-registry",
    "skopeo",
    "umoci",
    "erofs-utils",
    "e2fsprogs",
    "libarchive13t64",
    "cryptsetup-bin",
    "openssh-server",
    "python3",
    "python3-venv",
    "python3-pip",
    "curl",
    "jq",
    "procps",
    "strace",
    "git",
    "ca-certificates",
    "less",
    "psmisc",
    "socat",
    "cpio",
    "busybox-static",
    "zstd",
    "linux-image-amd64",
]
EXCLUDED = ("/usr/share/man/*", "/usr/share/doc/*", "/usr/share/locale/*", "/usr/share/info/*")
BOOT_MODULES = ("virtio_pci", "virtio_blk", "virtio_net", "ext4")
ENABLED = ("rig-net", "rig-ssh", "rig-mount", "rig-ready")
# What a test wants it starts (docker, haproxy); the rest only costs time at boot.
MASKED = [
    "getty@tty1.service",
    "getty.target",
    "serial-getty@ttyS0.service",
    "systemd-logind.service",
    "systemd-random-seed.service",
    "systemd-update-utmp.service",
    "systemd-update-utmp-runlevel.service",
    "systemd-journal-flush.service",
    "systemd-hwdb-update.service",
    "ldconfig.service",
    "systemd-sysusers.service",
    "systemd-firstboot.service",
    "systemd-tpm2-setup.service",
    "systemd-tpm2-setup-early.service",
    "systemd-pcrphase.service",
    "systemd-pstore.service",
    "lvm2-monitor.service",
    "lvm2-lvmpolld.socket",
    "blk-availability.service",
    "e2scrub_reap.service",
    "sys-kernel-debug.mount",
    "sys-kernel-tracing.mount",
    "dev-hugepages.mount",
    "dev-mqueue.mount",
    "sys-fs-fuse-connections.mount",
    "timers.target",
    "ssh.service",
]
DISABLED = ("docker.service", "docker.socket", "containerd.service", "docker-registry.service", "haproxy.service")
FOLDERS = ("var/lib/inferno", "opt/venv", "inferno", "extra", "var/rig/upper", "var/rig/work")
ROOT_BYTES = 10 << 30
# 20 GB of room after ext4's reserve and tables.
DATA_BYTES = 24 << 30
POOL_BYTES = 40 << 30


def system() -> Path:
    """The folder with tree/, root.ext4, data.ext4, pool.raw, vmlinux, initrd.img, key and key.pub."""
    recipe = digest(digest_of_code(Path(__file__)), digest_of_files(HERE / "host", HERE / "initramfs"))
    return cached("system", recipe, "the rig's Debian system", _build)


def mirror() -> str:
    """The Debian mirror of the apt sources already configured here, one-line or deb822. Raises RigError."""
    for path in [Path("/etc/apt/sources.list"), *sorted(Path("/etc/apt/sources.list.d").glob("*"))]:
        if path.suffix not in (".list", ".sources") or not path.is_file():
            continue
        for line in path.read_text().splitlines():
            found = re.match(r"(?:URIs:|deb\s+(?:\[[^]]*\]\s+)?)\s*(\S+/debian)/?(?:\s|$)", line)
            if found:
                return found[1]
    raise RigError("apt is not configured with a Debian mirror")


def _build(making: Path) -> None:
    tree = making / "tree"
    install(tree)
    command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "rig", "-f", making / "key")
    _configure(tree, (making / "key.pub").read_text())
    release = next((tree / "lib/modules").iterdir()).name
    _unpack_modules(tree, release)
    _pack_initramfs(tree, release, making)
    (making / "vmlinux").write_bytes(_elf(tree / f"boot/vmlinuz-{release}"))
    shutil.rmtree(tree / "boot")
    make_disk(making / "root.ext4", ROOT_BYTES, tree, "-J", "size=32")
    make_disk(making / "data.ext4", DATA_BYTES, None, "-J", "size=32")
    with (making / "pool.raw").open("wb") as pool:
        pool.truncate(POOL_BYTES)


def install(tree: Path) -> None:
    """Install SUITE and PACKAGES into the new folder `tree`. Raises RigError."""
    options = [f"--dpkgopt=path-exclude={path}" for path in EXCLUDED]
    options += ["--variant=minbase", "--mode=root", "--skip=output/dev", "--aptopt=APT::Install-Recommends 0"]
    packages = f"--include={','.join(PACKAGES)}"
    # What it mounts in the tree, this machine's /proc too, is in a namespace of its own: a kill leaves nothing mounted.
    alone = ("unshare", "--mount", "--propagation", "private")
    follow(*alone, "mmdebstrap", *options, packages, SUITE, tree, f"deb {mirror()} {SUITE} main")


def _configure(tree: Path, public_key: str) -> None:
    for path in sorted((HERE / "host").rglob("*")):
        if path.is_file():
            _put(tree / path.relative_to(HERE / "host"), path.read_text(), path.stat().st_mode & 0o100)
    _put(tree / "root/.ssh/authorized_keys", public_key)
    (tree / "root/.ssh").chmod(0o700)
    (tree / "etc/fstab").write_text("")
    for folder in FOLDERS:
        (tree / folder).mkdir(parents=True, exist_ok=True)
    command("chroot", tree, "ssh-keygen", "-A")
    command("chroot", tree, "systemctl", "enable", *ENABLED)
    command("chroot", tree, "systemctl", "disable", *DISABLED)
    command("chroot", tree, "systemctl", "mask", *MASKED)
    command("chroot", tree, "systemctl", "set-default", "multi-user.target")


def _put(target: Path, text: str, executable: int = 0) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)
    target.write_text(text)
    target.chmod(0o755 if executable else 0o644)


def _unpack_modules(tree: Path, release: str) -> None:
    """Drivers of real machines go, what stays is decompressed: here once, or there at every boot."""
    modules = tree / "lib/modules" / release / "kernel"
    for name in ("sound", "drivers/gpu", "drivers/media", "drivers/infiniband", "drivers/net/wireless"):
        shutil.rmtree(modules / name, ignore_errors=True)
    shutil.rmtree(modules / "drivers/net/ethernet", ignore_errors=True)
    command("find", modules, "-name", "*.ko.xz", "-exec", "xz", "-d", "-T0", "{}", "+")
    command("chroot", tree, "depmod", release)


def _pack_initramfs(tree: Path, release: str, making: Path) -> None:
    """Busybox, the modules of the root disk in their order, and a few lines of shell."""
    work = making / "initramfs"
    (work / "modules").mkdir(parents=True)
    (work / "bin").mkdir()
    shutil.copy(tree / "usr/bin/busybox", work / "bin/busybox")
    shutil.copy(HERE / "initramfs/init", work / "init")
    (work / "init").chmod(0o755)
    ordered: list[str] = []
    for module in BOOT_MODULES:
        shown = command("chroot", tree, "modprobe", "-S", release, "--show-depends", module)
        paths = [line.split()[1] for line in shown.splitlines() if line.startswith("insmod ")]
        ordered += [path for path in paths if path not in ordered]
    for path in ordered:
        shutil.copy(tree / path.lstrip("/"), work / "modules")
    (work / "modules/order").write_text("".join(f"{Path(path).name}\n" for path in ordered))
    script = 'cd "$1" && find . | LC_ALL=C sort | cpio --quiet --create --format=newc | zstd -q > "$2"'
    command("sh", "-c", script, "sh", work, making / "initrd.img")
    shutil.rmtree(work)


def _elf(bzimage: Path) -> bytes:
    """The kernel inside a bzImage, which boots directly (PVH): decompressing it under emulation takes seconds.

    Where it lies: payload_offset and payload_length of Documentation/arch/x86/boot.rst.
    """
    image = bzimage.read_bytes()
    begin = (image[0x1F1] + 1) * 512 + int.from_bytes(image[0x248:0x24C], "little")
    payload = image[begin : begin + int.from_bytes(image[0x24C:0x250], "little")]
    packed = bzimage.with_name("payload")
    packed.write_bytes(payload)
    unpacker = "zstd" if payload.startswith(b"\x28\xb5\x2f\xfd") else "xz"
    # The size that the kernel's build appends is not a part of the stream: both warn of it, and have written all.
    command("sh", "-c", f'{unpacker} -dc < "$1" > "$2" || [ -s "$2" ]', "sh", packed, bzimage.with_name("elf"))
    elf = bzimage.with_name("elf").read_bytes()
    if not elf.startswith(b"\x7fELF"):
        raise RigError(f"no ELF kernel in {bzimage.name}")
    return elf


def make_disk(path: Path, size: int, content: Path | None, *options: str) -> None:
    """A sparse ext4 of `size` bytes, holding `content`. Raises RigError, as when it does not fit."""
    path.unlink(missing_ok=True)
    with path.open("wb") as file:
        file.truncate(size)
    fill = ["-d", str(content)] if content else []
    command("mkfs.ext4", "-q", "-F", "-E", "lazy_itable_init=1,lazy_journal_init=1", *options, *fill, path)
