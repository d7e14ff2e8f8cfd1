"""--dns, --dns-search, --dns-option and --add-host: what is taken, and what is refused when it is asked for."""

from __future__ import annotations

import pytest

from inferno.base.errors import UsageError
from inferno.spec import name_service
from inferno.spec.create_options import asked, merge
from inferno.spec.name_service import HostEntry
from tests.asked import given


@pytest.mark.parametrize(
    ("word", "entry"),
    [
        ("db:192.0.2.7", HostEntry("192.0.2.7", "db")),
        ("db=192.0.2.7", HostEntry("192.0.2.7", "db")),
        ("db.example.org:2001:db8::7", HostEntry("2001:db8::7", "db.example.org")),
        ("db:[2001:db8::7]", HostEntry("2001:db8::7", "db")),
        ("db=[::1]", HostEntry("::1", "db")),
        ("my_db-1:127.0.0.1", HostEntry("127.0.0.1", "my_db-1")),
    ],
)
def test_hosts(word: str, entry: HostEntry) -> None:
    assert name_service.host(word) == entry


@pytest.mark.parametrize(
    "words",
    [
        *(["--add-host", word] for word in ("db", "db:", ":192.0.2.7", "=192.0.2.7", "db:192.0.2", "db:192.0.2.256")),
        *(["--add-host", word] for word in ("db:x", "a b:192.0.2.7", "db\n:192.0.2.7", "db:192.0.2.7\n")),
        *(["--add-host", word] for word in ("#:192.0.2.7", "-db:192.0.2.7", "db:[]", "db:[192.0.2.7", "db:0")),
        *(["--dns", word] for word in ("dns.example", "192.0.2", "1.1.1.1:53", "1.1.1.1,9.9.9.9", "0", "1.1.1.1 ")),
        *(["--dns-search", word] for word in ("a b", "a..b", ".a", "-a", "a\nnameserver 6.6.6.6", "x" * 64)),
        ["--dns-search", "a." * 128],
        *(["--dns", f"fe80::1%{zone}"] for zone in ("", "a b", "eth0\nnameserver 6.6.6.6", "x" * 16, "1%1")),
        *(["--add-host", f"db:::1%{zone}"] for zone in ("a b", "eth0\n6.6.6.6 bank.example")),
        ["--add-host", "db:192.0.2.7%eth0"],
        *(["--dns-option", word] for word in ("ndots 1", "\n", "-x", "ndots:1\nnameserver 6.6.6.6", "#")),
    ],
)  # fmt: skip
def test_what_cannot_be_meant_is_refused_when_it_is_asked_for(words: list[str]) -> None:
    with pytest.raises(UsageError, match=f"^{words[0]} "):
        merge({"image": "box"}, asked(given(*words)), "web1")


def test_the_host_itself_is_not_to_be_reached_by_a_name() -> None:
    with pytest.raises(UsageError, match="guests cannot reach this host"):
        merge({"image": "box"}, asked(given("--add-host", "host.docker.internal:host-gateway")), "web1")


def test_each_may_be_repeated_and_is_taken_back_by_an_empty_word() -> None:
    words = ["--dns", "1.1.1.1", "--dns", "fe80::1%eth0", "--dns-search", "a.example.", "--dns-search", "."]
    words += ["--dns-option", "ndots:2", "--dns-option", "rotate", "--add-host", "a:192.0.2.7", "--add-host", "a=::1"]
    spec = merge({"image": "box"}, asked(given(*words)), "web1")
    assert (spec.dns, spec.dns_search) == (["1.1.1.1", "fe80::1%eth0"], ["a.example.", "."])
    assert (spec.dns_option, spec.add_host) == (["ndots:2", "rotate"], ["a:192.0.2.7", "a=::1"])
    back = given("--dns", "", "--dns-search", "", "--dns-option", "", "--add-host", "")
    assert merge(spec.to_json(), asked(back), "web1") == merge({"image": "box"}, {}, "web1")
