"""The one small integer a VM owns while it exists; its /30, MAC, TAP name and uid all follow from it.

Addresses are strings made from plain integers: importing `ipaddress` would cost every command some milliseconds.
"""

from inferno.base.named_tuple import NamedTuple
from inferno.settings import Settings

NETWORK = "172.16.0.0/16"
TAP_PREFIX = "inf"
_SUBNET_SIZE = 4  # a /30: network, gateway, guest, broadcast
SLOTS = 65536 // _SUBNET_SIZE


class _Number(NamedTuple):
    number: int


class Slot(_Number):
    """Slot `number` of 0..16383. Raises ValueError for any other: the database hands out only these."""

    __slots__ = ()

    def __new__(cls, number: int) -> "Slot":
        if not 0 <= number < SLOTS:
            raise ValueError(f"slot {number} is not in 0..{SLOTS - 1}")
        return super().__new__(cls, number)

    @property
    def subnet(self) -> str:
        return f"{_address(self.number, 0)}/{self.prefix_len}"

    @property
    def gateway(self) -> str:
        """The host's end of the TAP."""
        return _address(self.number, 1)

    @property
    def guest(self) -> str:
        return _address(self.number, 2)

    @property
    def prefix_len(self) -> int:
        return 30

    @property
    def mac(self) -> str:
        """The guest's: 06:00 (locally administered, unicast) and the four bytes of its address, so always the same."""
        return "06:00:" + ":".join(f"{int(byte):02x}" for byte in self.guest.split("."))

    @property
    def tap(self) -> str:
        """At most inf16383; the kernel takes 15 bytes."""
        return f"{TAP_PREFIX}{self.number}"

    def uid(self, settings: Settings) -> int:
        """The user this VM's jail runs as: its own, unless INFERNO_JAIL_UID forces one for all."""
        return settings.uid_base + self.number if settings.jail_uid is None else settings.jail_uid

    def gid(self, settings: Settings) -> int:
        """The group this VM's jail runs as: its own, unless INFERNO_JAIL_GID forces one for all."""
        return settings.uid_base + self.number if settings.jail_gid is None else settings.jail_gid


def from_tap(name: str) -> Slot | None:
    """The slot whose TAP is called `name`, or None when that is not a name of ours."""
    digits = name.removeprefix(TAP_PREFIX)
    if digits == name or not (digits.isascii() and digits.isdigit()) or str(int(digits)) != digits:
        return None
    return Slot(int(digits)) if int(digits) < SLOTS else None


def _address(slot: int, host: int) -> str:
    high, low = divmod(slot * _SUBNET_SIZE + host, 256)
    return f"172.16.{high}.{low}"
