# Targets of this project; .ci/run calls the same ones. Works with GNU make 3.81 and newer.
# Python 3.11 to 3.13 is searched for; PYTHON=python3.12 selects one. ARGS= is passed to the command of a target.

export PYTHON
VENV := .venv
PY := $(VENV)/bin/python
READY := $(VENV)/.ready-all
READY_MOCK := $(VENV)/.ready-mock
READY_CONFORMANCE := $(VENV)/.ready-conformance
KOTLIN := tests/clients/kotlin/node_modules/.package-lock.json
TOOLS := .venv-tools/bin
SHELL := /bin/sh
MAKEFLAGS += --no-print-directory

# Install again if .venv was moved here from another folder, if its Python is missing,
is_whole = $(shell [ -x $(PY) ] && [ "$$(cat $(1) 2>/dev/null)" = "$$(pwd -P)" ] && echo whole)
outdated := $(foreach ready,$(READY) $(READY_MOCK) $(READY_CONFORMANCE),$(if $(call is_whole,$(ready)),,$(ready)))
# or if PYTHON selects a Python.
.PHONY: $(if $(PYTHON),$(READY) $(READY_MOCK) $(READY_CONFORMANCE),$(outdated))
.NOTPARALLEL:  # only one installation into .venv at a time

# Settings of `make mock` come from its command line only, since a shell may define HOST or PORT for other purposes.
# athena-mock itself reads ATHENA_MOCK_PORT and so on from the environment. An empty setting counts as absent.
setting = $(if $(filter command,$(firstword $(origin $(1)))),$(if $(strip $($(1))),--$(2) '$(subst ','\'',$($(1)))'))
switch = $(if $(filter-out 0 false no,$(if $(call setting,$(1),$(2)),$($(1)))),--$(2))
SETTINGS = $(call setting,PORT,port) $(call setting,HOST,host) $(call setting,SEED,seed) \
	$(call setting,DATASET,dataset) $(call setting,SIZE,size) $(call setting,STORE,store) \
	$(call setting,DURABILITY,durability) \
	$(call setting,CONTRACT,contract) $(call setting,EPOCH,epoch) $(call setting,LOG_LEVEL,log-level) \
	$(call setting,ALLOWED_HOSTS,allowed-hosts) $(call setting,CORS_ORIGIN,cors-origin) \
	$(call setting,TRUSTED_PROXIES,trusted-proxies) \
	$(call setting,TLS,tls) $(call setting,TLS_CERT,tls-cert) $(call setting,TLS_KEY,tls-key) \
	$(call setting,MAX_BODY,max-body) $(call setting,CONTROL_TOKEN,control-token) \
	$(call setting,SANDBOX_MEMORY,sandbox-memory) $(call setting,SANDBOX_IDLE,sandbox-idle) \
	$(call setting,JOURNAL_MEMORY,journal-memory) $(call setting,EXECUTION_SECONDS,execution-seconds) $(call setting,RULES,rules) \
	$(call setting,TOKENS,tokens) $(call switch,REQUIRE_ACTIONS,require-actions) \
	$(call switch,NO_CONTROL,no-control) $(call switch,REQUIRE_SANDBOX,require-sandbox) \
	$(call switch,DOCUMENTED_URLS,documented-urls) $(call switch,QUIET,quiet)

# `make mock` rejects other variables of its command line. The names of its settings are those in SETTINGS.
comma := ,
space := $(comma:,=) #
mark_names = $(subst $(comma), ,$(subst call setting$(comma), @,$(subst call switch$(comma), @,$(1))))
setting_names := $(patsubst @%,%,$(filter @%,$(call mark_names,$(value SETTINGS))))
command_line := $(foreach name,$(.VARIABLES),$(if $(filter command,$(firstword $(origin $(name)))),$(name)))
unknown_settings := $(strip $(filter-out $(setting_names) ARGS PYTHON SHELL VENV,$(command_line)))
ifneq ($(and $(filter mock,$(MAKECMDGOALS)),$(unknown_settings)),)
$(error unknown setting $(unknown_settings) (expected $(subst $(space),$(comma)$(space),$(setting_names) ARGS)))
endif

# TARGET also comes from the command line only.
quoted = '$(if $(filter command,$(firstword $(origin TARGET))),$(subst ','\'',$(1)))'

.DEFAULT_GOAL := help
.PHONY: help install install-mock install-conformance mock test test-slow test-browser test-clients test-clients-all \
	test-contracts test-frontends conform conform-pytest mutation-sample mutation-full test-reference-backend test-backends nightly \
	check contract facts fuzz fuzz-control bench bench-growth bench-smoke charts code-figures docs lint-examples sbom audit newest format lock clean

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' Makefile

install: $(READY)  ## create .venv with everything for development (other targets install what they need)
	@echo "$$($(PY) -V) in $(VENV), with $(VENV)/bin/athena-mock"

install-mock: $(READY_MOCK)  ## install .venv/bin/athena-mock only

install-conformance: $(READY_CONFORMANCE)  ## install .venv/bin/athena-conformance and athena-mock only

$(READY) $(READY_MOCK) $(READY_CONFORMANCE): $(VENV)/.ready-%: locks/run.lock locks/conformance.lock requirements.lock \
		pyproject.toml setup.py scripts/install.sh
	@scripts/install.sh $*

mock: $(READY_MOCK)  ## serve the API with a dataset; PORT= HOST= SEED= DATASET= SIZE= EPOCH= STORE= ... ARGS=
	@exec $(VENV)/bin/athena-mock $(strip $(SETTINGS)) $(ARGS)

test: $(READY)  ## run the fast tests
	@$(PY) -m pytest -q -n auto --maxprocesses 8 -m "not slow and not browser and not clients" $(ARGS)

test-slow: $(READY)  ## run the slow tests
	@$(PY) -m pytest -q -n auto --maxprocesses 2 -m "slow and not clients" $(ARGS)

test-browser: $(READY)  ## run the tests that need Chromium
	@$(PY) -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r locks/browser.lock
	@$(PY) -m pytest -q -m browser $(ARGS)

test-clients: $(READY)  ## run two client generators on the published contract (Node.js 20 or newer)
	@scripts/clients.sh
	@$(PY) -m pytest -q -m "clients and not slow" tests/clients $(ARGS)

test-clients-all: $(READY)  ## run all client generators on the published contract (Node.js 20 or newer, Java 11 or newer)
	@scripts/clients.sh
	@$(MAKE) $(KOTLIN)
	@$(PY) -m pytest -q -m clients tests/clients $(ARGS)

$(KOTLIN): tests/clients/kotlin/package-lock.json
	@npm ci --prefix tests/clients/kotlin --no-audit --no-fund --ignore-scripts --loglevel=error
	@touch $@

test-contracts: $(READY)  ## serve public OpenAPI files of npm packages (Node.js 20 or newer)
	@npm ci --prefix tests/contracts/packages --no-audit --no-fund --ignore-scripts --loglevel=error
	@$(PY) -m pytest -q -m clients tests/contracts $(ARGS)

test-frontends: $(READY)  ## test clients/typescript and examples/playwright (Node.js 20 or newer, Chromium)
	@scripts/frontends.sh
	@$(PY) -m pytest -q -m clients tests/frontends $(ARGS)

conform: $(READY_CONFORMANCE)  ## check a backend: TARGET=http://... (token in ATHENA_TOKEN), or without TARGET a new mock; ARGS=
	@scripts/conform.sh $(call quoted,$(TARGET)) $(ARGS)

conform-pytest: $(READY_CONFORMANCE)  ## the checks as pytest items; ARGS="OPTIONS -- -k listAgents -x --junitxml=FILE"
	@scripts/conform.sh --pytest $(call quoted,$(TARGET)) $(ARGS)

mutation-sample: $(READY)  ## mutation test of the suite with 200 mutants; ARGS=
	@$(PY) -m conformance mutation-test --sample 200 $(ARGS)

mutation-full: $(READY)  ## the same with all mutants, and with three seeds for each conforming server; ARGS=
	@$(PY) -m conformance mutation-test $(ARGS)

test-reference-backend: $(READY)  ## bugs of the Flask backend that the suite detects; ARGS="BUG ... --workers 2"
	@$(PY) -m tests.reference_backend.run_suite $(ARGS)

test-backends: $(READY)  ## the suite on real backends of PyPI and npm (Node.js 20 or newer); ARGS="NAME --seed 1"
	@$(PY) -m tests.backends $(ARGS)

nightly: export DURABILITY_ROUNDS = 20
nightly: $(READY)  ## what takes long: all slow tests, all mutants, all bugs of the Flask backend, peers, packages
	@$(MAKE) test-slow
	@$(MAKE) test-clients-all
	@$(MAKE) test-contracts
	@$(MAKE) mutation-full
	@$(MAKE) test-reference-backend
	@$(MAKE) test-backends
	@$(MAKE) fuzz-control
	@$(MAKE) bench
	@$(MAKE) sbom
	@$(MAKE) audit
	@$(MAKE) newest

check: $(READY)  ## lint, format, types, architecture, language, and the contract against the facts
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy
	$(PY) -m pytest -q tests/test_imports.py tests/test_contract_names.py tests/test_layout.py tests/test_language.py
	$(PY) tests/spec/facts/check_facts.py spec/openapi.yaml

contract: $(READY)  ## write the published contract and the Postman collection to spec/dist
	@$(PY) -m scripts.publish_contract $(ARGS)

facts: $(READY)  ## check the contract against the known facts of the API
	@$(PY) tests/spec/facts/check_facts.py spec/openapi.yaml

fuzz: $(READY)  ## run Schemathesis with default settings against the mock
	@$(PY) -m tests.fuzz.run $(ARGS)

fuzz-control: $(READY)  ## run Schemathesis with default settings against the control API of the mock, three minutes
	@$(PY) -m tests.fuzz.control $(ARGS)

bench: $(READY)  ## compare the mock with its peers, about ten minutes; ARGS="--seconds 2 --rounds 2"
	@$(PY) -m bench.compare $(ARGS)

bench-growth: $(READY)  ## cost of requests by size of the store; ARGS="--most 100000"
	@$(PY) -m bench.growth $(ARGS)

bench-smoke: $(READY)  ## a short comparison, to verify that the benchmark runs
	@$(PY) -m bench.smoke $(ARGS)

charts: $(READY)  ## draw the charts of docs/explanation/performance.md from bench/results; ARGS=
	@$(PY) -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r locks/charts.lock
	@$(PY) -m bench.charts $(ARGS)

code-figures: $(READY)  ## lines, layout and language of the source; ARGS="--compare OLD NEW"
	@$(PY) scripts/code_figures.py $(ARGS)

docs: $(READY)  ## build the documentation site in build/site; ARGS=
	@$(PY) -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r locks/docs.lock
	@$(PY) -m scripts.reference_tables
	@NO_MKDOCS_2_WARNING=1 $(PY) -m mkdocs build --strict $(ARGS)

lint-examples: $(READY)  ## lint the Dockerfile, and validate the Compose file and the CI examples
	@scripts/tools.sh
	@$(TOOLS)/hadolint Dockerfile
	@$(TOOLS)/check-jsonschema --builtin-schema vendor.compose-spec examples/compose/compose.yaml
	@$(TOOLS)/check-jsonschema --builtin-schema vendor.github-workflows examples/github-actions/*.yml
	@$(TOOLS)/check-jsonschema --builtin-schema vendor.gitlab-ci examples/gitlab-ci/*.yml

sbom: $(READY)  ## write CycloneDX documents of the mock, the suite and the development environment to build/sbom
	@scripts/tools.sh
	@scripts/sbom.sh

audit: $(READY)  ## search the locked packages for known vulnerabilities
	@scripts/tools.sh
	@$(PY) -m scripts.audit

newest: $(READY)  ## test the newest versions of the packages that are pinned exactly; reports only
	@$(PY) -m scripts.newest

format: $(READY)  ## format the Python files
	@$(PY) -m ruff check --fix .
	@$(PY) -m ruff format .

lock:  ## write the lock files from pyproject.toml; ARGS=--upgrade updates the versions
	@scripts/lock.sh $(ARGS)

clean:  ## remove .venv and the files created by tools
	rm -rf $(VENV) .venv-bootstrap .venv-tools .venv-clients tests/clients/node_modules tests/clients/kotlin/node_modules .mypy_cache .pytest_cache .ruff_cache .hypothesis build *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
