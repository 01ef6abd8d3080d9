# Every target works from a fresh clone with Python 3.11 or newer, git and make: it creates .venv with
# the standard library's venv and installs what it needs, once (the stamp files remember).

PYTHON ?= $(shell command -v python3.11 || command -v python3 || command -v python)
PYTEST_ARGS ?=
DEMO_ARGS ?=
BENCH_ARGS ?=

BIN := .venv/bin

.PHONY: help demo test lint format types imports bench clean

help:
	@echo 'make demo     train a network on handwritten digits and write digits.png'
	@echo 'make test     run the tests and the examples of the docstrings (PYTEST_ARGS=...)'
	@echo 'make lint     ruff: rules and format'
	@echo 'make types    pyright'
	@echo 'make imports  import-linter: the arrows between the layers'
	@echo 'make bench    compare with MLX, JAX and PyTorch (BENCH_ARGS=...)'

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("mlx-xla needs Python 3.11 or newer: make PYTHON=...")'
	$(PYTHON) -m venv .venv

.venv/.examples: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --editable '.[examples]'
	@touch $@

.venv/.bench: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --editable '.[bench]'
	@touch $@

# Dependency groups need pip 25.1; Python 3.11 brings an older one.
.venv/.dev: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --upgrade 'pip>=25.1'
	$(BIN)/python -m pip install --quiet --editable '.[examples]' --group dev
	@touch $@

demo: .venv/.examples
	$(BIN)/python examples/digits.py $(DEMO_ARGS)

test: .venv/.dev
	$(BIN)/python -m pytest --doctest-modules --numprocesses=auto src tests $(PYTEST_ARGS)

lint: .venv/.dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check

format: .venv/.dev
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

types: .venv/.dev
	$(BIN)/pyright --pythonpath $(BIN)/python

imports: .venv/.dev
	$(BIN)/lint-imports

bench: .venv/.bench
	$(BIN)/python bench/run.py $(BENCH_ARGS)

clean:
	rm -rf .venv .bench .hypothesis .import_linter_cache .pytest_cache .ruff_cache build dist
