"""What a guest is to ask for names, and the names it is to know, as Docker's --dns… and --add-host write them."""

from __future__ import annotations

import re

from inferno.base.errors import UsageError
from inferno.base.named_tuple import NamedTuple

# RFC 1123's labels, and the underscore, which names in use have.
_DOMAIN = (
    r"(?=.{1,254}$)[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?(\.[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?)*\.?"
)
_OPTION = r"[A-Za-z0-9][A-Za-z0-9_.:-]{0,254}"
_ZONE = r"[A-Za-z0-9._-]{1,15}"  # an interface's name: IFNAMSIZ, without its NUL
_GATEWAY = "host-gateway"


class HostEntry(NamedTuple):
    """A line of /etc/hosts: an IPv4 or IPv6 address, and a name for it."""

    address: str
    name: str


def given(words: list[str]) -> list[str]:
    """The words, without empty ones: `--dns ''` alone takes all back."""
    return [word for word in words if word]


def server(word: str) -> str:
    """The address of a name server. Raises UsageError."""
    return _address(word, f"--dns {word!r}")


def search(word: str) -> str:
    """A domain in which names are looked for; `.` is none, so that the host's are not taken. Raises UsageError."""
    if word != "." and not re.fullmatch(_DOMAIN, word):
        raise UsageError(f"--dns-search {word!r} is not a domain", "for example example.org, or . for none")
    return word


def option(word: str) -> str:
    """An option of resolv.conf(5), whichever the image's resolver knows. Raises UsageError."""
    if not re.fullmatch(_OPTION, word):
        raise UsageError(f"--dns-option {word!r} is not an option of resolv.conf", "for example ndots:2")
    return word


def host(word: str) -> HostEntry:
    """NAME:IP or NAME=IP; an IPv6 address may be in brackets. Raises UsageError."""
    name, _, address = word.partition("=") if "=" in word else word.partition(":")
    if address == _GATEWAY:
        raise UsageError(
            f"--add-host {word!r}: guests cannot reach this host, so there is no address to give",
            "a service for guests runs in a VM, or on another machine: name that address",
        )
    if not re.fullmatch(_DOMAIN, name):
        raise UsageError(f"--add-host {word!r}: {name!r} is not a host name", "NAME:IP, for example db:192.0.2.7")
    if len(address) > 2 and address[0] == "[" and address[-1] == "]":
        address = address[1:-1]
    return HostEntry(_address(address, f"--add-host {word!r}"), name)


def _address(text: str, what: str) -> str:
    import ipaddress  # some milliseconds, which only those pay who ask for names

    try:
        found = str(ipaddress.ip_address(text))
        _, percent, zone = text.partition("%")
        if percent and not re.fullmatch(_ZONE, zone):  # ipaddress takes anything, a newline too
            raise ValueError
    except ValueError:
        raise UsageError(f"{what}: {text!r} is not an IP address") from None
    return found
