# Two commands for a newcomer: `make demo` and `make test`. Both make the environment first (`make setup`).
PYTHON ?= $(shell command -v python3.11 || command -v python3)
PIP = .venv/bin/python -m pip
LABELS ?=

.PHONY: demo test coverage web test-full test-timm test-runner docs docs-test notebook wheel lint setup clean bench-speed bench-labels bench-accuracy bench-peak

demo: setup
	.venv/bin/littoral compare mnist --preset swift --beside article:fused@1 --seeds 1 $(if $(LABELS),--labels-per-class $(LABELS))

# A process a core, each with whole files of tests.
test: setup
	.venv/bin/python -m pytest -n 2 --dist loadfile

# The same, and which lines of src no test reaches.
coverage: setup
	.venv/bin/python -m pytest -n 2 --dist loadfile --cov --cov-report=term-missing:skip-covered

# onnxruntime-web, for `littoral export --web` and the tests of it, which are skipped without.
web: web/node_modules/.package-lock.json

web/node_modules/.package-lock.json: web/package-lock.json
	npm ci --prefix web
	@touch $@

# Networks of every topology, fusion, pair of branches, channels and size too.
test-full: setup
	.venv/bin/python -m pytest -m "not docs"

# timm needs torchvision, which fits no CPU build of torch that pip can get: so plain torch, about 6 GB, on its own.
test-timm: .venv-timm/.done
	.venv-timm/bin/python -m pytest tests/test_timm.py

.venv-timm/.done: pyproject.toml
	$(PYTHON) -m venv .venv-timm
	.venv-timm/bin/python -m pip install --quiet --disable-pip-version-check --editable '.[timm]' beartype pytest pytest-timeout
	@touch $@

# The site, into build/site: strictly, then every link is followed. It needs no network once its packages are there.
docs: .venv/.docs
	NO_MKDOCS_2_WARNING=1 .venv/bin/mkdocs build --quiet
	.venv/bin/python tools/docsite/check.py build/site

.venv/.docs: .venv/.done
	$(PIP) install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[docs]'
	@touch $@

# Every block of README, CONTRIBUTING and docs, and every example.
docs-test: setup
	.venv/bin/python -m pytest -m docs tests/test_docs_run.py

notebook: setup
	.venv/bin/python tools/notebook.py

# Wheel and sdist, checked, and the wheel's demo in an environment that has nothing else.
wheel:
	rm -rf dist build/wheel
	$(PYTHON) -m venv build/wheel
	build/wheel/bin/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt build twine
	build/wheel/bin/python -m build --outdir dist
	build/wheel/bin/twine check --strict dist/*
	$(PYTHON) -m venv --clear build/wheel
	build/wheel/bin/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt dist/*.whl
	cd build/wheel && bin/littoral compare mnist --preset tiny --labels-per-class 20 --seeds 1 --out demo
	cd build/wheel && bin/littoral doctor

# What `littoral export --with-runner` leaves has to run where there is neither torch nor littoral.
test-runner: setup
	rm -rf .runner && mkdir .runner
	.venv/bin/littoral fit mnist --preset tiny --labels-per-class 30 --quiet --out .runner/m.safetensors
	.venv/bin/littoral export .runner/m.safetensors --out .runner/exported --with-runner --quiet
	.venv/bin/python -c "from littoral.images.builtin import load_mnist; from PIL import Image; Image.fromarray(load_mnist().images[0, :, :, 0]).resize((90, 60)).save('.runner/digit.png')"
	$(PYTHON) -m venv .runner/venv
	.runner/venv/bin/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt numpy onnxruntime pillow
	.runner/venv/bin/python .runner/exported/runtime.py .runner/digit.png
	rm -rf .runner

lint: setup
	.venv/bin/ruff format --check .
	.venv/bin/ruff check .
	.venv/bin/mypy
	.venv/bin/lint-imports
	if [ -x .venv/bin/hadolint ]; then .venv/bin/hadolint examples/serve/Dockerfile; fi

setup: .venv/.done

.venv/.done: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "littoral needs Python 3.11 or later, got " + sys.version.split()[0] + "; call make PYTHON=/path/to/python3.11")'
	$(PYTHON) -m venv .venv
	$(PIP) install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@touch $@

# What the README's tables are made of; each says at its top how long it takes, and needs ../shared (LITTORAL_SHARED).
bench-speed bench-labels bench-accuracy bench-peak: bench-%: setup
	.venv/bin/python benchmarks/$*/run.py
	.venv/bin/python benchmarks/$*/run.py page

clean:
	rm -rf .venv .venv-timm .runner
