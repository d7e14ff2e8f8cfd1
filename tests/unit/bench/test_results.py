"""The file of results: what is written is read again, a damaged line costs only itself."""

from __future__ import annotations

import json
from pathlib import Path

from tests.bench import results
from tests.bench.results import Run
from tests.bench.row import Result

LIST = Result("list", "infernoctl list / python", 2, "", 1.3, (1.3, 1.2, 1.4, 1.3, 1.3), "57 ms / 44 ms")
SIZE = Result("kiln-size", "kiln's binary", 1.5, "MiB", 0.6, (0.6,))
RUN = Run("2026-11-30T10:41:07Z", "9c17e65" * 5, True, {"cores": 2}, {"list": LIST, "kiln-size": SIZE}, {"boot": "why"})


def test_runs_are_added_and_read_in_order(tmp_path: Path) -> None:
    path = tmp_path / "new/results.ndjson"
    later = Run("2026-12-01T00:00:00Z", "", False, {})
    results.append(RUN, path)
    results.append(later, path)
    assert results.read(path) == ([RUN, later], [])


def test_a_row_is_kept_with_its_range_its_samples_and_its_bar(tmp_path: Path) -> None:
    results.append(RUN, tmp_path / "r")
    [kept] = [json.loads(line) for line in (tmp_path / "r").read_text().splitlines()]
    assert kept["rows"][0] == {
        "id": "list",
        "value": 1.3,
        "low": 1.2,
        "high": 1.4,
        "samples": [1.3, 1.2, 1.4, 1.3, 1.3],
        "unit": "",
        "bar": 2,
        "what": "infernoctl list / python",
        "detail": "57 ms / 44 ms",
    }


def test_a_damaged_line_costs_only_itself(tmp_path: Path) -> None:
    path = tmp_path / "r"
    results.append(RUN, path)
    whole = path.read_text()
    path.write_text(f'{whole[:50]}\n{{"rows": 1}}\n[]\n{whole}')
    assert results.read(path) == ([RUN], [1, 2, 3])


def test_a_run_begins_with_the_commit_and_the_facts_of_the_machine() -> None:
    run = results.begin()
    assert run.at.endswith("Z")
    assert set(run.machine) == {"cores", "processor", "kernel", "python", "load"}
    assert run.machine["cores"] >= 1
    assert (run.rows, run.failed) == ({}, {})
