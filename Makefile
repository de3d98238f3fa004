# Everything a person or a machine types; `make` lists it.
.DEFAULT_GOAL := help
.PHONY: help setup lean browser run test lint soak simulate bench accept clean

BIN := .venv/bin
# Two workers fill two cores, and each keeps one ttnn process of about 1.3 GB; tests of one file
# stay together because they share its device.
WORKERS ?= 2
ARGS ?=
export PYTHON

help: ## List the targets
	@sed -n 's/^\([a-z]*\):.*## /  make \1\t/p' $(MAKEFILE_LIST) | expand -t 14
	@echo
	@echo "  Options go through ARGS: make run ARGS='--batch 16 --effort quick'"

setup: ## Make .venv, or bring it up to date, for all targets
	@sh scripts/set-up.sh dev

lean: ## The same with what a search of the studies needs, and no more
	@sh scripts/set-up.sh studies

run: lean ## Search ResNet-50 on the mock n150, or on a card if there is one
	@$(BIN)/autosched run studies/resnet50.py $(ARGS)

lint: setup ## Ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

browser: ## Look for the browser that a test opens the report in; as root, install Debian's
	@sh scripts/find-browser.sh

test: lint browser ## Lint, then the quick tests
	$(BIN)/pytest -n $(WORKERS) --dist loadfile $(ARGS)

soak: setup ## The tests that take minutes
	$(BIN)/pytest -m soak $(ARGS)

simulate: setup ## Execute ttnn's kernels on the simulator: tests, then random candidates
	@$(BIN)/autosched doctor --device simulator
	$(BIN)/pytest -m simulator
	@$(BIN)/autosched simulate $(ARGS)

bench: setup ## Compare baselines and samplers on ready-made studies
	@$(BIN)/python -m tests.accept start
	@$(BIN)/autosched bench studies/resnet18.py studies/resnet50.py $(ARGS)

accept: setup ## Run what the project promises, or some of it: ARGS='bound speed'
	@$(BIN)/python -m tests.accept $(ARGS)

clean: ## Remove .venv and caches; databases and studies stay
	rm -rf .venv .mypy_cache .pytest_cache .ruff_cache .hypothesis dist
	find autosched db studies tests -name __pycache__ -type d -prune -exec rm -rf {} +
