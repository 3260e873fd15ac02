# Two commands for a newcomer: `make demo` and `make test`. Both make the environment first (`make setup`).
PYTHON ?= $(shell command -v python3.11 || command -v python3)
PIP = .venv/bin/python -m pip
LABELS ?=

.PHONY: demo test lint setup clean

demo: setup
	.venv/bin/littoral compare mnist --preset article --epochs 1 --seeds 1 $(if $(LABELS),--labels-per-class $(LABELS))

test: setup
	.venv/bin/python -m pytest

lint: setup
	.venv/bin/ruff format --check .
	.venv/bin/ruff check .
	.venv/bin/mypy
	.venv/bin/lint-imports

setup: .venv/.done

.venv/.done: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "littoral needs Python 3.11 or later, got " + sys.version.split()[0] + "; call make PYTHON=/path/to/python3.11")'
	$(PYTHON) -m venv .venv
	$(PIP) install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@touch $@

clean:
	rm -rf .venv
