# Two commands: `make demo` and `make test`. Both set up what they need first.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.DEFAULT_GOAL := help
.PHONY: help setup demo test slow bench lab lessons lint format clean

help:  ## Show what there is.
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 10

setup: $(READY)  ## Make .venv and install the versions that were tested; nothing if that is done.

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "the course needs Python 3.11 or later: make setup PYTHON=python3.12")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable ".[dev]"
	@touch $@

demo: $(READY)  ## Detect, segment, and grade the first lesson; at most two minutes.
	$(BIN)/ssdseg demo

test: $(READY)  ## Run all tests but the slow ones.
	$(BIN)/python -m pytest

slow: $(READY)  ## Run the tests that take minutes: training on real photographs.
	$(BIN)/python -m pytest -m slow -s

bench: $(READY)  ## Measure speed, next to a peer where there is one.
	$(BIN)/python -m pytest tests/benchmarks --benchmark-only --benchmark-columns=median,min,max,rounds

lab: $(READY)  ## Open the lessons in JupyterLab.
	$(BIN)/ssdseg lab

lessons: $(READY)  ## Build the notebooks of solutions/ and lessons/ from their source.
	$(BIN)/python -m ssdseg_course.authoring build

lint: $(READY)  ## Check style and formatting.
	$(BIN)/ruff check
	$(BIN)/ruff format --check

format: $(READY)  ## Mend style and formatting.
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

clean:  ## Remove what can be made again: .venv, caches, pictures.
	rm -rf $(VENV) out build *.egg-info .pytest_cache .ruff_cache
