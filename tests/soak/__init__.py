"""Long attacks by chance, each trial from a seed, all of them tallied: `python -m tests.soak --help`."""
