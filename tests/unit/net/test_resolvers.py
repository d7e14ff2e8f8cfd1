"""Which name servers a guest is told of: the host's, but for those that only the host reaches."""

from pathlib import Path

import pytest

from inferno.net import resolvers
from inferno.wire.start import Resolv


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", Resolv([], [], [])),
        ("nameserver 9.9.9.9\nnameserver 127.0.0.53\nnameserver ::1\nnameserver fe80::1%eth0\n",
         Resolv(["9.9.9.9", "fe80::1%eth0"], [], [])),
        ("search a.example b.example\nsearch c.example\n", Resolv([], ["c.example"], [])),  # resolv.conf(5): the last
        ("options ndots:1 edns0\n# nameserver 1.1.1.1\nnameserver\nsortlist x\n", Resolv([], [], ["ndots:1", "edns0"])),
    ],
)  # fmt: skip
def test_the_hosts_file(tmp_path: Path, text: str, found: Resolv) -> None:
    (tmp_path / "resolv.conf").write_text(text)
    assert resolvers.of_host(tmp_path / "resolv.conf") == found


def test_a_host_without_the_file_or_with_another_programs_bytes(tmp_path: Path) -> None:
    assert resolvers.of_host(tmp_path / "none") == Resolv([], [], [])
    (tmp_path / "bytes").write_bytes(b"nameserver 9.9.9.9\nsearch \xff\xfe\n")
    assert resolvers.of_host(tmp_path / "bytes").nameservers == ["9.9.9.9"]
