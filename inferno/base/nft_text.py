"""Values as nft reads them (nft(8), LEXICAL CONVENTIONS). Each raises ValueError for what it cannot write."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

# nft's own limit for the names of tables, chains and sets: NFT_NAME_MAXLEN, include/uapi/linux/netfilter/nf_tables.h.
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,254}")
# Between double quotes nft knows no escape: neither a quote nor a backslash can be written.
_STRING = re.compile(r"[ !#-\[\]-~]{1,127}")
# What Linux takes for the name of an interface (net/core/dev.c, dev_valid_name), but for `*`, by which nft means any.
_INTERFACE = re.compile(r"[A-Za-z0-9_.@-]{1,15}")


def name(value: str) -> str:
    """The name of a table, a chain or a set."""
    return _matching(_NAME, value, "a name")


def string(value: str) -> str:
    """A quoted string of printable ASCII, such as a comment."""
    return f'"{_matching(_STRING, value, "a string")}"'


def interface(value: str) -> str:
    """The name of one network interface, quoted."""
    if value in (".", ".."):
        raise ValueError(f"nft cannot write {value!r} as an interface")
    return f'"{_matching(_INTERFACE, value, "an interface")}"'


def number(value: int) -> str:
    """A number that is not negative."""
    if type(value) is not int or value < 0:
        raise ValueError(f"nft cannot write {value!r} as a number")
    return str(value)


def address(value: str) -> str:
    """An IPv4 or IPv6 address or, with a prefix length, a network."""
    import ipaddress

    if not isinstance(value, str):  # ipaddress takes numbers for addresses too
        raise ValueError(f"nft cannot write {value!r} as an address")
    try:
        return str(ipaddress.ip_network(value) if "/" in value else ipaddress.ip_address(value))
    except ValueError:
        raise ValueError(f"nft cannot write {value!r} as an address") from None


def _matching(pattern: re.Pattern[str], value: object, what: str) -> str:
    if not isinstance(value, str) or not pattern.fullmatch(value):
        raise ValueError(f"nft cannot write {value!r} as {what}")
    return value


FILTERS: Mapping[str, Callable[[Any], str]] = {
    "name": name,
    "string": string,
    "interface": interface,
    "number": number,
    "address": address,
}
