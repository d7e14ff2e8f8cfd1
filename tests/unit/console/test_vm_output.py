"""What a VM's process writes, at a terminal of ours and in a pipe."""

from __future__ import annotations

import os
import tty

import pytest

from inferno.console import vm_output
from inferno.logs.log_record import parse

SAID = b'{"source": "stdout", "message": "\\u001b[2Jgr\\u00fcn\\ttab\\r\\u009b"}'


def test_a_terminal_gets_nothing_that_it_would_act_upon(monkeypatch: pytest.MonkeyPatch) -> None:
    ours, terminal = os.openpty()
    try:
        tty.setraw(terminal)
        monkeypatch.setattr(vm_output, "_STREAMS", {"stdout": terminal})
        vm_output.write(parse(SAID))
        assert os.read(ours, 1000).decode() == "\\x1b[2Jgrün\ttab\\r\\x9b\n"
    finally:
        os.close(ours)
        os.close(terminal)


def test_a_pipe_gets_each_byte(monkeypatch: pytest.MonkeyPatch) -> None:
    ours, pipe = os.pipe()
    try:
        monkeypatch.setattr(vm_output, "_STREAMS", {"stdout": pipe})
        vm_output.write(parse(SAID))
        assert os.read(ours, 1000).decode() == "\x1b[2Jgrün\ttab\r\x9b\n"
    finally:
        os.close(ours)
        os.close(pipe)
