# Targets of this project; .ci/run calls the same ones. Works with GNU make 3.81 and newer.
# Python 3.11 to 3.13 is searched for; PYTHON=python3.12 selects one. ARGS= is passed to the command of a target.

export PYTHON
VENV := .venv
PY := $(VENV)/bin/python
READY := $(VENV)/.installed
SHELL := /bin/sh
MAKEFLAGS += --no-print-directory

# Rebuild a .venv that was moved here from another folder or whose Python is missing,
ifneq ($(shell [ -x $(PY) ] && [ "$$(cat $(READY) 2>/dev/null)" = "$$(pwd -P)" ] && echo whole),whole)
.PHONY: $(READY)
endif
# or that has another Python than PYTHON.
ifneq ($(PYTHON),)
.PHONY: $(READY)
endif

# Settings of `make mock` come from its command line only, since a shell may define HOST or PORT for other purposes.
# athena-mock itself reads ATHENA_MOCK_PORT and so on from the environment. An empty setting counts as absent.
setting = $(if $(filter command,$(firstword $(origin $(1)))),$(if $(strip $($(1))),--$(2) '$(subst ','\'',$($(1)))'))
SETTINGS = $(call setting,PORT,port) $(call setting,HOST,host) $(call setting,SEED,seed) \
	$(call setting,DATASET,dataset) $(call setting,SIZE,size) $(call setting,STORE,store) \
	$(call setting,CONTRACT,contract) $(call setting,EPOCH,epoch) $(call setting,LOG_LEVEL,log-level) \
	$(call setting,ALLOWED_HOSTS,allowed-hosts) $(call setting,CORS_ORIGIN,cors-origin) \
	$(call setting,MAX_BODY,max-body) \
	$(if $(filter-out 0 false no,$(if $(call setting,QUIET,quiet),$(QUIET))),--quiet)

# TARGET also comes from the command line only.
quoted = '$(if $(filter command,$(firstword $(origin TARGET))),$(subst ','\'',$(1)))'

.DEFAULT_GOAL := help
.PHONY: help install mock test test-slow test-browser conform conform-pytest mutation-sample mutation-full \
	test-reference-backend nightly check facts fuzz bench \
	bench-growth bench-smoke code-figures docs format lock clean

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' Makefile

install: $(READY)  ## create .venv from requirements.lock (every other target does this first)
	@echo "$$($(PY) -V) in $(VENV), with $(VENV)/bin/athena-mock"

$(READY): requirements.lock pyproject.toml scripts/install.sh
	@scripts/install.sh

mock: $(READY)  ## serve the API with a dataset; PORT= HOST= SEED= DATASET= SIZE= EPOCH= STORE= ... ARGS=
	@exec $(VENV)/bin/athena-mock $(strip $(SETTINGS)) $(ARGS)

test: $(READY)  ## run the fast tests
	@$(PY) -m pytest -q -n auto --maxprocesses 8 -m "not slow and not browser" $(ARGS)

test-slow: $(READY)  ## run the slow tests
	@$(PY) -m pytest -q -n auto --maxprocesses 2 -m slow $(ARGS)

test-browser: $(READY)  ## run the tests that need Chromium
	@$(PY) -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r locks/browser.lock
	@$(PY) -m pytest -q -m browser $(ARGS)

conform: $(READY)  ## check a backend: TARGET=http://... (token in ATHENA_TOKEN), or without TARGET a new mock; ARGS=
	@scripts/conform.sh $(call quoted,$(TARGET)) $(ARGS)

conform-pytest: $(READY)  ## the checks as pytest items; ARGS="OPTIONS -- -k listAgents -x --junitxml=FILE"
	@scripts/conform.sh --pytest $(call quoted,$(TARGET)) $(ARGS)

mutation-sample: $(READY)  ## mutation test of the suite with 200 mutants; ARGS=
	@$(PY) -m conformance mutation-test --sample 200 $(ARGS)

mutation-full: $(READY)  ## the same with all mutants, and with three seeds for each conforming server; ARGS=
	@$(PY) -m conformance mutation-test $(ARGS)

test-reference-backend: $(READY)  ## bugs of the Flask backend that the suite detects; ARGS="BUG ... --workers 2"
	@$(PY) -m tests.reference_backend.run_suite $(ARGS)

nightly: $(READY)  ## what takes long: all slow tests, all mutants, all bugs of the Flask backend, the comparison with peers
	@$(MAKE) test-slow
	@$(MAKE) mutation-full
	@$(MAKE) test-reference-backend
	@$(MAKE) bench

check: $(READY)  ## lint, format, types, architecture, language, and the contract against the facts
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy
	$(PY) -m pytest -q tests/test_imports.py tests/test_contract_names.py tests/test_layout.py tests/test_language.py
	$(PY) tests/spec/facts/check_facts.py spec/openapi.yaml

facts: $(READY)  ## check the contract against the known facts of the API
	@$(PY) tests/spec/facts/check_facts.py spec/openapi.yaml

fuzz: $(READY)  ## run Schemathesis with default settings against the mock
	@$(PY) tests/fuzz/run.py $(ARGS)

bench: $(READY)  ## compare the mock with its peers, about ten minutes; ARGS="--seconds 2 --rounds 2"
	@$(PY) -m bench.compare $(ARGS)

bench-growth: $(READY)  ## cost of requests by size of the store; ARGS="--most 100000"
	@$(PY) -m bench.growth $(ARGS)

bench-smoke: $(READY)  ## a short comparison, to verify that the benchmark runs
	@$(PY) -m bench.smoke $(ARGS)

code-figures: $(READY)  ## lines, layout and language of the source; ARGS="--compare OLD NEW"
	@$(PY) scripts/code_figures.py $(ARGS)

docs: $(READY)  ## build the documentation site in build/site; ARGS=
	@$(PY) -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r locks/docs.lock
	@$(PY) -m scripts.reference_tables
	@NO_MKDOCS_2_WARNING=1 $(PY) -m mkdocs build --strict $(ARGS)

format: $(READY)  ## format the Python files
	@$(PY) -m ruff check --fix .
	@$(PY) -m ruff format .

lock:  ## write the lock files from pyproject.toml; ARGS=--upgrade updates the versions
	@scripts/lock.sh $(ARGS)

clean:  ## remove .venv and the files created by tools
	rm -rf $(VENV) .venv-bootstrap .mypy_cache .pytest_cache .ruff_cache .hypothesis build *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
