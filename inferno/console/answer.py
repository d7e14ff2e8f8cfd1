"""What a command answers with --json: one line, from a record. docs/json.md promises what may change in it."""

from __future__ import annotations

import json

from inferno.base import records


def print_json(answer: object) -> None:
    """Print a record, or a list or dict of records, as one line of JSON."""
    print(json.dumps(records.plain(answer)))
