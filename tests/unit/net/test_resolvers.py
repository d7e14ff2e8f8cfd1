"""Which name servers a guest is told of: those asked for, else the host's that it reaches, else those of a setting."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from inferno.net import resolvers
from inferno.net.resolvers import Found
from inferno.settings import Settings, load_settings
from inferno.spec.create_options import Spec
from inferno.wire.start import Resolv

SETTINGS = load_settings({"HOME": "/nowhere"}, Path("/nowhere"))
# As systemd-resolved writes the file that others read.
STUB = "nameserver 127.0.0.53\noptions edns0 trust-ad\nsearch .\n"


def found(tmp_path: Path, text: str, *behind: str, spec: Spec | None = None, settings: Settings = SETTINGS) -> Found:
    paths = [tmp_path / f"behind{number}" for number in range(len(behind) + 1)]
    for path, content in zip(paths, behind, strict=False):
        path.write_text(content)
    paths[-1].unlink(missing_ok=True)
    host = tmp_path / "resolv.conf"
    host.write_text(text)
    return resolvers.of_start(spec or Spec("box"), settings, host, tuple(paths))


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("", Resolv([], [], [])),
        ("nameserver 9.9.9.9\nnameserver 127.0.0.53\nnameserver 8.8.4.4\n", Resolv(["9.9.9.9", "8.8.4.4"], [], [])),
        ("nameserver 9.9.9.9\nsearch a.example b.example\nsearch c.example\n", Resolv(["9.9.9.9"], ["c.example"], [])),
        ("nameserver 9.9.9.9\nsearch a.example\ndomain b.example\n", Resolv(["9.9.9.9"], ["b.example"], [])),
        ("nameserver 9.9.9.9\nsearch .\n", Resolv(["9.9.9.9"], [], [])),
        ("options ndots:1 edns0\n# nameserver 1.1.1.1\n;nameserver 1.1.1.1\nnameserver\nsortlist x\noptions rotate\n",
         Resolv([], [], ["ndots:1", "edns0", "rotate"])),
        ("nameserver 9.9.9.9 # ours\n\tnameserver\t1.1.1.1\n", Resolv(["9.9.9.9", "1.1.1.1"], [], [])),
    ],
)  # fmt: skip
def test_the_hosts_file(tmp_path: Path, text: str, wanted: Resolv) -> None:
    assert found(tmp_path, text) == (wanted, [])


@pytest.mark.parametrize(
    "server",
    ["127.0.0.1", "127.0.1.1", "127.0.0.53", "127.1", "0x7f.1", "2130706433", "0.0.0.0", "::1", "[::1]", "::",
     "2001:db8::53", "fe80::1%eth0", "::ffff:127.0.0.1", "169.254.169.254", "172.16.0.1", "224.0.0.251", "nonsense",
     "9.9.9.9\0", "９.9.9.9"],
)  # fmt: skip
def test_one_that_a_guest_does_not_reach_is_left_out(tmp_path: Path, server: str) -> None:
    assert found(tmp_path, f"nameserver {server}\nnameserver 9.9.9.9\n").resolv.nameservers == ["9.9.9.9"]
    assert found(tmp_path, f"nameserver {server}\n", "nameserver 10.9.8.7\n").resolv.nameservers == ["10.9.8.7"]
    assert found(tmp_path, f"nameserver {server}\n") == (Resolv([], [], []), [server])


def test_behind_a_stub_is_the_file_that_says_whom_it_asks(tmp_path: Path) -> None:
    upstream = "nameserver 10.9.8.7\nsearch corp.example\n"
    assert found(tmp_path, STUB, upstream) == (Resolv(["10.9.8.7"], ["corp.example"], []), [])
    assert found(tmp_path, STUB, STUB, upstream).resolv.nameservers == ["10.9.8.7"]
    assert found(tmp_path, "search x.example\n", upstream).resolv.nameservers == ["10.9.8.7"]
    mixed = "nameserver 127.0.0.53\nnameserver 9.9.9.9\n"
    assert found(tmp_path, mixed, upstream).resolv.nameservers == ["9.9.9.9"]


def test_a_setting_is_taken_where_the_host_has_none(tmp_path: Path) -> None:
    settings = SETTINGS._replace(dns=("198.51.100.1", "198.51.100.2"))
    for text in ("", STUB, "nameserver fe80::1%eth0\n"):
        assert found(tmp_path, text, settings=settings).resolv.nameservers == ["198.51.100.1", "198.51.100.2"]
    assert found(tmp_path, STUB, settings=settings).resolv.options == ["edns0", "trust-ad"]
    assert found(tmp_path, "nameserver 9.9.9.9", settings=settings).resolv.nameservers == ["9.9.9.9"]
    assert found(tmp_path, STUB, "nameserver 10.9.8.7", settings=settings).resolv.nameservers == ["10.9.8.7"]


def test_what_was_asked_for_comes_before_all_each_kind_by_itself(tmp_path: Path) -> None:
    host = "nameserver 9.9.9.9\nsearch a.example\noptions ndots:1\n"
    settings = SETTINGS._replace(dns=("198.51.100.1",))
    for spec, wanted in [
        (Spec("box", dns=["127.0.0.1"]), Resolv(["127.0.0.1"], ["a.example"], ["ndots:1"])),
        (
            Spec("box", dns_search=["b.example", "c.example"]),
            Resolv(["9.9.9.9"], ["b.example", "c.example"], ["ndots:1"]),
        ),
        (Spec("box", dns_search=["."]), Resolv(["9.9.9.9"], [], ["ndots:1"])),
        (Spec("box", dns_option=["rotate"]), Resolv(["9.9.9.9"], ["a.example"], ["rotate"])),
    ]:
        assert found(tmp_path, host, spec=spec, settings=settings) == (wanted, [])
    assert found(tmp_path, STUB, spec=Spec("box", dns=["1.1.1.1"])).unreachable == []


def test_a_host_without_the_file_or_with_another_programs_bytes(tmp_path: Path) -> None:
    nothing = (Resolv([], [], []), [])
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    os.mkfifo(tmp_path / "pipe")
    for odd in (
        tmp_path / "none",
        tmp_path / "dangling",
        tmp_path / "loop",
        tmp_path / "pipe",
        tmp_path,
        Path("/dev/zero"),
    ):
        assert resolvers.of_start(Spec("box"), SETTINGS, odd, (odd,)) == nothing
    (tmp_path / "bytes").write_bytes(b"nameserver 9.9.9.9\nsearch \xff\xfe\n" + b"\0" * 1_000_000)
    assert resolvers.of_start(Spec("box"), SETTINGS, tmp_path / "bytes", ()).resolv.nameservers == ["9.9.9.9"]


@pytest.mark.root
def test_an_address_of_the_host_itself_is_one_that_no_guest_reaches(tmp_path: Path) -> None:
    """In a network of its own, where the host has 192.0.2.1, and not 192.0.2.2."""
    (tmp_path / "resolv.conf").write_text("nameserver 192.0.2.1\nnameserver 192.0.2.2\n")
    program = f"""
import subprocess, pathlib
from inferno.net import resolvers
from inferno.settings import load_settings
from inferno.spec.create_options import Spec
for words in ("link set lo up", "addr add 192.0.2.1/32 dev lo"):
    subprocess.run(["ip", *words.split()], check=True)
settings = load_settings({{"HOME": "/nowhere"}}, pathlib.Path("/nowhere"))
path = pathlib.Path({str(tmp_path / "resolv.conf")!r})
print(*resolvers.of_start(Spec("box"), settings, path, ()).resolv.nameservers)
"""
    words = ["unshare", "--net", sys.executable, "-c", program]
    done = subprocess.run(words, cwd=Path(__file__).parents[3], capture_output=True, text=True, check=True)
    assert done.stdout == "192.0.2.2\n"
