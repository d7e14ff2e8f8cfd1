# What one can do here. Each line hands over to a script of its own; there is nothing clever in this file.
.PHONY: help setup demo check check-root test rig-full soak coverage bench bench-compare clean

help: ## print this list
	@grep -hE '^[a-z-]+:.*## ' Makefile | sed -E 's/^([a-z-]+):[^#]*## /  make \1\t/' | expand -t 20

setup: ## install what is missing (apt, Rust, .venv, erofs-utils); instant when nothing is
	@tools/setup

demo: setup ## build everything, boot an nginx image (or IMAGE=REF) as a microVM, curl it, take it down
	@tools/demo "$$IMAGE"

check: setup ## format, lint, types, unit and contract tests; needs neither root nor network
	@tools/check

check-root: setup ## the tests that need root here and no rig
	@tools/check-root

test: ## the gate: everything `check` does, and the tests that need root and the rig
	@tools/test

rig-full: setup ## rig tests that are too long for the gate; `make rig-full layers`: those in files of that name
	@tools/rig-full $(WORDS)

soak: setup ## attacks by chance, tallied, to be continued: `make soak cuts N=100`, or SEED=…; alone it lists them
	@tools/soak $(WORDS) $(if $(N),--until $(N)) $(if $(SEED),--seed $(SEED))

coverage: setup ## which lines and branches the tests run, the rig's left out; a table, and no verdict
	@tools/coverage

bench: setup ## measure (all, or ROW...); prints a table of ratios, fails nothing
	@.venv/bin/python -m tests.bench $(ROWS) $(WORDS)

bench-compare: setup ## two runs of bench side by side (the last two, or RUNS="A B")
	@.venv/bin/python -m tests.bench.compare $(RUNS)

clean: ## remove what was built in this checkout (caches under ~/.cache/inferno stay)
	rm -rf .venv artifacts target .mypy_cache .pytest_cache .ruff_cache

# What stands behind one of these is a word for it, and nothing to make. Last in the file, so that no word is made.
ifneq (,$(filter bench rig-full soak,$(firstword $(MAKECMDGOALS))))
WORDS := $(wordlist 2,$(words $(MAKECMDGOALS)),$(MAKECMDGOALS))
.PHONY: $(WORDS)
$(WORDS): ; @:
endif
