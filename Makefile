# What one can do here. Each line hands over to a script of its own; there is nothing clever in this file.
.PHONY: help setup demo test check bench clean

help: ## print this list
	@grep -hE '^[a-z]+:.*## ' Makefile | sed -E 's/^([a-z]+):[^#]*## /  make \1\t/' | expand -t 16

setup: ## install what is missing (apt, Rust, .venv, erofs-utils); instant when nothing is
	@tools/setup

demo: setup ## build everything, boot an nginx image (or IMAGE=REF) as a microVM, curl it, take it down
	@tools/demo $(IMAGE)

check: setup ## format, lint, types, unit and contract tests; needs neither root nor network
	@tools/check

test: setup ## everything `check` does, and the tests that need root and the rig
	@tools/test

bench: setup ## measure; prints a table of ratios, fails nothing
	@.venv/bin/python -m tests.bench

clean: ## remove what was built in this checkout (caches under ~/.cache/inferno stay)
	rm -rf .venv artifacts target .mypy_cache .pytest_cache .ruff_cache
