"""Options that are small languages of their own."""

import pytest

from inferno.base.errors import UsageError
from inferno.spec import grammar
from inferno.spec.grammar import Ulimit


@pytest.mark.parametrize(
    ("word", "limit"),
    [("nofile=1024", Ulimit("nofile", 1024, 1024)), ("nofile=1024:2048", Ulimit("nofile", 1024, 2048)),
     ("core=-1", Ulimit("core", None, None)), ("core=0:unlimited", Ulimit("core", 0, None))],
)  # fmt: skip
def test_ulimits(word: str, limit: Ulimit) -> None:
    assert grammar.ulimit(word) == limit


@pytest.mark.parametrize(
    "word", ["", "nofile", "nofile=", "nofile=x", "nofile=2:1", "nofile=-1:5", "files=1", "cpu=-2"]
)
def test_what_is_no_ulimit_is_refused(word: str) -> None:
    with pytest.raises(UsageError, match="--ulimit"):
        grammar.ulimit(word)


def test_io_limits() -> None:
    assert grammar.io_max("rbps=10m,wiops=100") == "rbps=10485760 wiops=100"
    for word in ("", "bps=1", "rbps=", "rbps=x", "riops=10m", "riops=0"):
        with pytest.raises(UsageError, match="--io-max"):
            grammar.io_max(word)


def test_memory_is_in_mib_or_as_docker_writes_it() -> None:
    assert [grammar.mebibytes(text) for text in ("512", "512m", "2g", "2048k")] == [512, 512, 2048, 2]
    for text in ("", "m", "1k", "-1", "1.5g", "²", "9" * 5000, "1t"):
        with pytest.raises(UsageError, match="--memory"):
            grammar.mebibytes(text)
