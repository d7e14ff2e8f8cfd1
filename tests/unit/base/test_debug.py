"""Programs that are run are told of, when somebody wants to know."""

import pytest

from inferno.base import debug, processes


def test_each_program_is_told_with_its_arguments_and_how_it_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    processes.run(["true", "unheard"])
    monkeypatch.setattr(debug, "tell", told.append)
    path = processes.find("sh")
    processes.run(["sh", "-c", "exit 0"])
    processes.run(["sh", "-c", "exit 3"], check=False)
    processes.spawn(["sh", "-c", "exit 0"]).wait()
    assert told == [
        f"run: {path} -c 'exit 0'",
        f"run: {path} -c 'exit 3'",
        "sh ended with status 3",
        f"start: {path} -c 'exit 0'",
    ]
