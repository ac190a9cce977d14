# `make demo` and `make test` work from nothing: they make .venv, install the pinned set, and go on.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-all lint audit format notebooks clean

help:  ## what there is to run
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

setup: $(READY)  ## make the environment and install everything, pinned

$(READY): pyproject.toml constraints.txt requirements-learn2learn.txt
	@$(PYTHON) -c 'import sys; sys.exit(0 if (3, 11) <= sys.version_info < (3, 14) else "Python " + sys.version.split()[0] + " was found, but 3.11 to 3.13 is needed. Try: make $(MAKECMDGOALS) PYTHON=python3.12")'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --disable-pip-version-check --quiet --constraint constraints.txt --editable '.[dev]'
	@$(BIN)/python -m pip install --disable-pip-version-check --quiet --no-deps --requirement requirements-learn2learn.txt \
	  > $(VENV)/learn2learn.log 2>&1 || echo "Goes on without learn2learn, which needs a C compiler: learner.engine=learn2learn is off and its tests are skipped (why: $(VENV)/learn2learn.log)."
	@touch $@

demo: $(READY)  ## the main job: five terms per class, a classifier, its score
	$(BIN)/python -m fewshot.run +task=medical_terms shots=5

test: $(READY)  ## the fast tests
	$(BIN)/python -m pytest -n 2

test-all: $(READY)  ## all tests, the slow ones too
	$(BIN)/python -m pytest -n 2 -m 'slow or not slow'

lint: $(READY)  ## formatting, lint, types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

audit:  ## known vulnerabilities of the pinned set, by pip-audit; needs PyPI's own index
	@test -x $(VENV)/audit/bin/pip-audit || ($(PYTHON) -m venv $(VENV)/audit && $(VENV)/audit/bin/pip install --quiet pip-audit)
	$(VENV)/audit/bin/pip-audit --requirement constraints.txt --no-deps --disable-pip

format: $(READY)  ## rewrite the formatting
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

notebooks: $(READY)  ## execute the notebooks in place
	$(BIN)/python notebooks/execute.py

clean:  ## remove the environment and caches
	rm -rf $(VENV) build dist .pytest_cache .ruff_cache .mypy_cache
