# Two commands for a newcomer: `make demo` shows the program, `make test` proves it.
# Needs make and a Python 3.11 or newer with pip and venv; uv is used where it is installed.

PYTHON ?= $(firstword $(foreach name,python3 python3.13 python3.12 python3.11 python,\
	$(shell $(name) -c 'import sys; sys.version_info >= (3, 11) and print("$(name)")' 2>/dev/null)))
VENV := .venv
BIN := $(VENV)/bin
UV := $(shell command -v uv 2>/dev/null)
SOURCES := monitor exporters tests tools

.PHONY: run demo test test-all check lint types contracts simulate backtest plan kill bench bench-scrape load faults size dashboards pictures record history format clean

run: $(VENV)/.installed
	@$(BIN)/monitor tui

demo: $(VENV)/.installed
	@$(BIN)/monitor tui --demo

# Tests wait more than they compute, so there are two workers to a core; a file stays whole, for its fixtures.
PYTEST := $(BIN)/python -m pytest --numprocesses 4 --dist loadfile --no-loadscope-reorder

test: $(VENV)/.installed-dev
	$(PYTEST) -m "not whole" $(ARGS)

test-all: $(VENV)/.installed-dev
	$(PYTEST) $(ARGS)

check: lint types contracts test-all

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/ruff format --check $(SOURCES)

types: $(VENV)/.installed-dev
	$(BIN)/mypy

contracts: $(VENV)/.installed-dev
	$(BIN)/lint-imports

simulate: $(VENV)/.installed-dev
	@$(BIN)/python -m tools.simulate $(ARGS)

backtest: $(VENV)/.installed-dev
	@$(BIN)/python -m tools.backtest $(ARGS)

plan: $(VENV)/.installed-dev
	@$(BIN)/python -m tools.plan $(ARGS)

kill: $(VENV)/.installed-dev
	@$(BIN)/python -m tools.kill --kills 500 --seed 1 $(ARGS)

bench: $(VENV)/.installed-dev
	@$(BIN)/python -m tools.bench $(ARGS)

bench-scrape: $(VENV)/.installed-dev
	@$(BIN)/python -m tools.bench.scrape $(ARGS)

load: $(VENV)/.installed-dev
	@$(BIN)/python -m tools.load $(ARGS)

faults: $(VENV)/.installed-dev
	@$(BIN)/python -m tools.faults $(ARGS)

size: $(VENV)/.installed-dev
	@$(BIN)/python -m tools.size

dashboards: $(VENV)/.installed-dev
	$(BIN)/python -m tools.dashboards

pictures: $(VENV)/.installed-dev
	@$(BIN)/python -m tools.pictures $(ARGS)

history: $(VENV)/.installed-dev
	@$(BIN)/python -m tools.history

record: $(VENV)/.installed-dev
	@$(BIN)/python -m tools.record $(ARGS)

format: $(VENV)/.installed-dev
	$(BIN)/ruff check --fix $(SOURCES)
	$(BIN)/ruff format $(SOURCES)

clean:
	rm -rf $(VENV) build dist *.egg-info

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "make: no Python 3.11 or newer found: install one, or name it with PYTHON=…" >&2; exit 1; }
ifdef UV
	@UV_PYTHON_DOWNLOADS=never $(UV) venv --quiet --allow-existing --python "$$(command -v $(PYTHON))" $(VENV)
else
	@$(PYTHON) -m venv $(VENV) || { echo "make: no venv: on Debian, apt-get install python3-venv" >&2; exit 1; }
endif

ifdef UV
INSTALL := $(UV) pip install --quiet --python $(BIN)/python
else
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check
endif

$(VENV)/.installed: $(BIN)/python pyproject.toml
	@echo "installing Claude Tracker and its libraries into $(VENV), once, with $(if $(UV),uv,pip) (under a minute) …"
	@$(INSTALL) -e .
	@touch $@

$(VENV)/.installed-dev: $(BIN)/python pyproject.toml
	@echo "installing Claude Tracker, its libraries and the tools of its tests into $(VENV), once, with $(if $(UV),uv,pip) …"
	@$(INSTALL) -e '.[dev]'
	@touch $@ $(VENV)/.installed
