# make demo   the whole job on a simulated company
# make test   the tests
# Everything else is below; each target installs what it needs first.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
WORKERS ?= 2

.DEFAULT_GOAL := demo
.PHONY: demo test lint bench soak install system lock docs clean

demo: install
	@$(BIN)/leadscore demo --home .leadscore/demo

test: install
	@$(BIN)/pytest -n $(WORKERS) --dist loadfile -q

lint: install
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

bench: install
	@$(BIN)/pytest tests/benchmarks -q -m benchmark_suite --benchmark-quiet

# Slow proofs; minutes, not seconds.
soak: install
	@$(BIN)/pytest -q -s -m soak

docs: install
	@$(BIN)/python -m tests.written_docs

install: system $(INSTALLED)

# One look at what the system must have; prints the line that installs what is missing.
system:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	  || { echo "leadscore needs python3, 3.11 or newer ($$($(PYTHON) --version 2>&1 || echo none found)). On Debian: apt-get install -y python3 python3-venv"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -c 'import venv, ensurepip' 2>/dev/null \
	  || { echo "leadscore needs python3-venv. On Debian: apt-get install -y python3-venv"; exit 1; }
	@$(PYTHON) -c 'import ctypes; ctypes.CDLL("libgomp.so.1")' 2>/dev/null || test "$$(uname)" != Linux \
	  || { echo "leadscore needs libgomp1 (LightGBM's threads). On Debian: apt-get install -y libgomp1"; exit 1; }

# uv fills the environment in seconds; where it cannot be had, pip does the same more slowly.
$(INSTALLED): requirements.lock pyproject.toml
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing into $(VENV) (once)"
	@if $(BIN)/python -m uv --version >/dev/null 2>&1 || $(BIN)/python -m pip install -q --disable-pip-version-check uv; then \
	  $(BIN)/python -m uv pip sync -q --compile-bytecode --python $(BIN)/python --require-hashes requirements.lock \
	  && $(BIN)/python -m uv pip install -q --python $(BIN)/python --no-deps --no-build-isolation -e . ; \
	else \
	  $(BIN)/python -m pip install -q --disable-pip-version-check --no-deps --require-hashes -r requirements.lock \
	  && $(BIN)/python -m pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e . ; \
	fi
	@touch $(INSTALLED)

# Renew the lock: hashes, no address of any index, one file for Python 3.11 to 3.13.
lock: system
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m uv --version >/dev/null 2>&1 || $(BIN)/python -m pip install -q uv
	@$(BIN)/python -m uv pip compile pyproject.toml --extra spark --extra bench --extra dev --universal --python-version 3.11 \
	  --generate-hashes --no-header -q -o requirements.lock

clean:
	rm -rf $(VENV) .leadscore build *.egg-info .ruff_cache .mypy_cache .hypothesis
