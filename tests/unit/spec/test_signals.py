"""One grammar of signals: for `stop --signal`, and for the StopSignal of an image."""

import json
import signal

import pytest

from inferno.base.errors import UsageError
from inferno.image import oci_config
from inferno.life.stop import Request
from inferno.spec.signals import signal_number

WORDS = {
    **dict.fromkeys(("TERM", "term", "SIGTERM", "sigterm", "15"), 15),
    **{"SIGCLD": 17, "1": 1, "64": 64, "33": 33},
    **{"RTMIN": 34, "SIGRTMIN+3": 37, "rtmin+30": 64, "SIGRTMAX": 64, "RTMAX-1": 63, "SIGRTMAX-30": 34, "RTMIN+0": 34},
}
REFUSED = (
    *(
        "0",
        "65",
        "-9",
        "+9",
        "9x",
        "9 ",
        "SIG",
        "SIG-9",
        "NONE",
        "SIGNONE",
        "CLD ",
        "DFL",
        "_IGN",
        "_BLOCK",
        "SIGSIGTERM",
    ),
    *("RTMIN+31", "RTMIN-1", "RTMAX+1", "RTMAX-31", "RTMAX+x", "RTMIN+", "RTMIN3", "RTMIN+-3", "RTMIN++3"),
    *("²", "١٥", "RTMIN+²", "RTMIN+٣", "\u017fIGTERM", "9" * 5000, "RTMIN+" + "9" * 5000),
)


@pytest.mark.parametrize(("word", "number"), WORDS.items())
def test_a_signal_goes_by_its_name_and_by_its_number(word: str, number: int) -> None:
    assert signal_number(word, "--signal") == number
    assert Request.of("stop:web1", signal=word).signal == number
    assert oci_config.parse(json.dumps({"config": {"StopSignal": word}})).stop_signal == number


@pytest.mark.parametrize("word", REFUSED)
def test_what_is_not_a_signal_is_refused_in_one_line(word: str) -> None:
    with pytest.raises(UsageError, match=r"^stop:web1: --signal .{1,300} is not a signal$"):
        Request.of("stop:web1", signal=word)
    if word:
        found = oci_config.parse(json.dumps({"config": {"StopSignal": word}}))
        assert found.stop_signal == signal.SIGTERM
        [note] = found.notes
        assert note.startswith("stop signal is not a signal, and SIGTERM stands in for it: ")
        assert len(note) < 600


def test_an_image_that_names_no_signal_gets_sigterm_and_an_option_none() -> None:
    assert oci_config.parse("{}").stop_signal == signal.SIGTERM
    with pytest.raises(UsageError, match="'' is not a signal"):
        signal_number("", "--signal")


def test_the_library_and_the_parser_know_the_same_names() -> None:
    for each in signal.valid_signals() & set(signal.Signals):
        assert signal_number(signal.Signals(each).name, "--signal") == each
