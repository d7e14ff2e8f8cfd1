"""What creating, starting and stopping VMs needs of this host.

A front end runs `require(START)`; `doctor` runs the same checks one by one and reports them all.
"""

from __future__ import annotations

import fcntl
import os

from inferno.base.errors import UsageError
from inferno.base.requirements import Check, need_root, tool

# Firecracker refuses more (vmm/src/vmm_config/machine_config.rs, MAX_SUPPORTED_VCPUS).
MAX_VCPUS = 32
# The kernel with its page structures, the initrd and init need some 40 MiB before the image's process starts.
MIN_MEMORY_MIB = 64
_KVM_GET_API_VERSION, _KVM_API_VERSION = 0xAE00, 12  # include/uapi/linux/kvm.h


def need_kvm() -> None:
    """Raises UsageError unless /dev/kvm opens and speaks the one stable API version."""
    hint = "turn virtualisation on in the firmware (or nested, in a VM); without it: make demo runs in the rig"
    try:
        kvm = os.open("/dev/kvm", os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        raise UsageError("this host has no /dev/kvm", hint) from None
    except OSError as error:
        raise UsageError(f"/dev/kvm cannot be used: {error.strerror}", hint) from None
    try:
        version = fcntl.ioctl(kvm, _KVM_GET_API_VERSION, 0)
    except OSError as error:
        raise UsageError(f"/dev/kvm does not answer: {error.strerror}", hint) from None
    finally:
        os.close(kvm)
    if version != _KVM_API_VERSION:
        raise UsageError(f"/dev/kvm speaks API version {version}, not {_KVM_API_VERSION}", "update the kernel")


def need_cgroup() -> None:
    """Raises UsageError unless cgroup v2 has every controller that limits a VM."""
    from inferno.sandbox import cgroup

    cgroup.need_controllers(cgroup.mount())


def need_tun() -> None:
    """Raises UsageError when no TAP can be made."""
    if not os.path.exists("/dev/net/tun"):
        raise UsageError("this host has no /dev/net/tun", "load the kernel module: modprobe tun")


ROOT = Check("root", "VMs run as users of their own, in chroots, with their own network devices", need_root)
KVM = Check("/dev/kvm", "Firecracker runs guests with it", need_kvm)
CGROUP = Check("cgroup v2", "limits each VM, and says whether it runs", need_cgroup)
TUN = Check("/dev/net/tun", "the guest's network device", need_tun)
NFT = tool("nft", "fences VMs in")

CREATE = (ROOT,)
START = (ROOT, KVM, CGROUP, TUN, NFT)
STOP = (ROOT,)


def memory_mib() -> int:
    """All memory of this host, in MiB."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") >> 20


def cpus() -> int:
    """The processors this host has online."""
    return os.sysconf("SC_NPROCESSORS_ONLN")


def check_size(vcpus: int, memory: int) -> None:
    """Raise UsageError when Firecracker or this host cannot give a VM `vcpus`, or `memory` MiB."""
    _check_range("--vcpus", vcpus, 1, MAX_VCPUS, cpus(), "processors")
    _check_range("--memory", memory, MIN_MEMORY_MIB, 1 << 24, memory_mib(), "MiB of memory")


def _check_range(option: str, value: int, low: int, high: int, here: int, unit: str) -> None:
    top = min(high, here)
    if value > here:
        raise UsageError(f"{option} {value}: this host has {here} {unit}", f"{option} takes {low} to {top} here")
    if not low <= value <= high:
        raise UsageError(f"{option} {value} is out of range", f"{option} takes {low} to {top} here")
