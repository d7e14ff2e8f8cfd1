"""How other programs are started and waited for."""

from __future__ import annotations

from inferno.base import processes


def test_the_end_of_a_child_is_an_event_and_its_status_stays() -> None:
    child = processes.spawn(["sh", "-c", "read line; exit 3"], stdin=processes.PIPE)
    assert processes.wait(child, 0.01) is None
    assert child.stdin is not None
    child.stdin.close()
    assert processes.wait(child, 20) == 3
    assert processes.wait(child, 0) == 3
