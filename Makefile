# Needs Python >= 3.11 and make; everything else goes into a virtual environment in $(VENV).

VENV ?= .venv
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11 python; do \
	"$$p" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 && echo "$$p" && break; done)
ARGS ?=

BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

export PIP_DISABLE_PIP_VERSION_CHECK := 1
export MPLBACKEND := Agg

.PHONY: help install demo benchmark test test-all fuzz survive endure lint format types docs serve-docs check-site \
	publish-docs snippets tutorials lock clean

help:  ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: $(STAMP)  ## Make the virtual environment, with the exact versions of requirements.lock

$(STAMP): requirements.lock pyproject.toml
	@test -n "$(PYTHON)" || { echo "Python 3.11 or later is needed; name one: make PYTHON=/path/to/python3" >&2; exit 1; }
	"$(PYTHON)" -c 'import sys; v = sys.version_info; sys.exit(v < (3, 11) and f"Python 3.11 or later is needed, this is {v[0]}.{v[1]}")'
	test -x "$(BIN)/python" || "$(PYTHON)" -m venv "$(VENV)"
	"$(BIN)/python" -m pip install --quiet --requirement requirements.lock
	"$(BIN)/python" -m pip install --quiet --no-deps --no-build-isolation --editable .
	"$(BIN)/python" -c 'from simatch import _native; _native.available()'  # compiles it, so that no command has to
	@touch "$@"

demo: $(STAMP)  ## Train a network on digits and write a page with what it learned
	"$(BIN)/simatch" demo $(ARGS)

benchmark: $(STAMP)  ## Measure speed, accuracy and memory, beside other software
	"$(BIN)/python" -m benchmarks $(ARGS)

test: $(STAMP)  ## Run the tests and the examples in docstrings
	"$(BIN)/python" -m pytest $(ARGS)

test-all: $(STAMP)  ## Run the slow tests too
	"$(BIN)/python" -m pytest -m "" $(ARGS)

fuzz: $(STAMP)  ## Read ten thousand damaged files
	"$(BIN)/python" tests/fuzz.py $(ARGS)

survive: $(STAMP)  ## Kill long runs at 100 random moments; the weights must be those of runs that were not killed
	"$(BIN)/python" -m pytest -m slow -n 0 -s tests/test_surviving.py

endure: $(STAMP)  ## Run the long tests of memory and files: 1,000 epochs, 1,000 batch sizes
	"$(BIN)/python" -m pytest -m slow --numprocesses=0 tests/test_endure.py $(ARGS)

lint: $(STAMP)  ## Check style and formatting
	"$(BIN)/ruff" check
	"$(BIN)/ruff" format --check

format: $(STAMP)  ## Format, and repair what can be repaired
	"$(BIN)/ruff" check --fix
	"$(BIN)/ruff" format

types: $(STAMP)  ## Check types
	"$(BIN)/pyright" --pythonpath "$(BIN)/python"

docs: $(STAMP)  ## Build the documentation in site/, a folder that needs no server and no internet
	NO_MKDOCS_2_WARNING=1 "$(BIN)/python" -m mkdocs build --strict

serve-docs: $(STAMP)  ## Show the documentation at http://127.0.0.1:8000, built anew after every edit
	NO_MKDOCS_2_WARNING=1 "$(BIN)/python" -m mkdocs serve

check-site: docs  ## Look at every page of site/ in a headless Chromium: widths, requests, errors, formulas
	"$(BIN)/python" docs/_site/browser.py site $(ARGS)

publish-docs: docs  ## Put site/ into the folder TO as one version beside earlier ones, with a page that lists them
	@test -n "$(TO)" || { echo "Name a folder: make publish-docs TO=/path/to/folder" >&2; exit 1; }
	"$(BIN)/python" docs/_site/publish.py site "$(TO)"

snippets: $(STAMP)  ## Run the Python of all pages and tutorials
	"$(BIN)/python" -m pytest -m "" tests/test_pages.py tests/test_tutorials.py $(ARGS)

# The tools of notebooks are 43 packages (98 MB) that nothing else needs, so `make install` leaves them out.
tutorials: $(STAMP)  ## Run all tutorials and write their pages, figures and notebooks; ARGS names some
	"$(BIN)/python" -m pip install --quiet --constraint requirements.lock --no-build-isolation --editable '.[tutorials]'
	"$(BIN)/python" docs/tutorials/_build.py $(ARGS)

# Resolved anew for the oldest Python that is supported: run it with PYTHON=python3.11. The library itself, which its
# extras name, is left out, as are the tools that pip-compile leaves out of its own accord.
lock: $(STAMP)  ## Write requirements.lock anew from pyproject.toml
	CUSTOM_COMPILE_COMMAND="make lock" "$(BIN)/pip-compile" --quiet --upgrade --strip-extras \
		--extra dev --extra docs --no-emit-index-url --no-emit-find-links --no-emit-trusted-host \
		--unsafe-package simatch --unsafe-package pip --unsafe-package setuptools --unsafe-package distribute \
		--output-file requirements.lock pyproject.toml
	@! grep -nE '^-|://|@ ' requirements.lock || { echo "requirements.lock names a place, not only versions" >&2; exit 1; }

clean:  ## Remove the virtual environment and everything built
	rm -rf "$(VENV)" build dist site .pytest_cache .ruff_cache .hypothesis
	find src tests -name __pycache__ -type d -prune -exec rm -rf {} +
