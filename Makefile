# Everything lives in .venv; it is set up again only when pyproject.toml or constraints.txt changed.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable
NEEDS := pyproject.toml constraints.txt

.DEFAULT_GOAL := help
.PHONY: help run test lint tests bench hunt nightly gallery constraints public-api

help:
	@echo "make run    set up and start the shop; prints its address"
	@echo "make test   set up, then every check and test"
	@echo "make bench  set up, then every benchmark beside its peers"
	@echo "make hunt   kill the shop 60 times while it takes 5,000 orders (KILLS, SEED);"
	@echo "            kill its PostgreSQL 10 times (SERVER_KILLS), once for 100 s; as seven services, kill each kind of"
	@echo "            server 10 times; stop a holder of leases 10 times; kill each phase of an extraction in each way;"
	@echo "            run 200 seeds of it under two hash seeds (HASH_SEEDS)"
	@echo "make nightly  simulate the shop with 100,000 seeds and 5,000 pairs of faults (SEEDS, PAIRS)"
	@echo "make gallery  simulate the planted bugs and their cures with 2,000 seeds each (SEEDS)"

run: .venv/ready-to-run
	@$(BIN)/insula run shop.system:shop

test: lint tests

lint: .venv/ready-to-test
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

tests: .venv/ready-to-test
	$(BIN)/pytest -n 2 --dist worksteal

bench: .venv/ready-to-test
	$(BIN)/python -m benchmarks

hunt: .venv/ready-to-test
	KILLS=$${KILLS:-60} $(BIN)/pytest -q tests/faults/test_kill.py
	KILLS=10 $(BIN)/pytest -q tests/faults/test_services.py tests/faults/test_stopped_holder.py
	HUNT=1 $(BIN)/pytest -q tests/cli/test_extract.py
	OUTAGE_SECONDS=100 SERVER_KILLS=$${SERVER_KILLS:-10} $(BIN)/pytest -q tests/faults/test_postgres_kill.py
	HASH_SEEDS=$${HASH_SEEDS:-200} $(BIN)/pytest -q tests/simulation/test_hash_seeds.py

nightly: .venv/ready-to-test
	cd examples && ../$(BIN)/insula simulate shop.simulation:survival --seeds $${SEEDS:-100000} --pairs $${PAIRS:-5000}

gallery: .venv/ready-to-test
	SEEDS=$${SEEDS:-2000} $(BIN)/pytest -q -n 2 tests/simulation/test_gallery.py

public-api: .venv/ready-to-test
	$(BIN)/python tests/test_public_api.py

constraints: .venv/ready-to-test
	@$(BIN)/python -m pip install --quiet --upgrade --upgrade-strategy eager --editable ".[test,bench]"
	@head -n 1 constraints.txt > .venv/constraints.txt
	@$(BIN)/python -m pip freeze --exclude-editable >> .venv/constraints.txt
	@mv .venv/constraints.txt constraints.txt

.venv/created:
	@echo "Making a virtual environment in .venv with $(PYTHON)"
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Insula needs Python 3.11 or newer: make PYTHON=...")'
	@$(PYTHON) -m venv --clear .venv
	@touch $@

.venv/ready-to-run: .venv/created $(NEEDS)
	@echo "Installing Insula and what it stands on into .venv (once; about a minute)"
	@$(INSTALL) .
	@touch $@

.venv/ready-to-test: .venv/created $(NEEDS)
	@echo "Installing Insula with its tests and benchmarks into .venv (once; about two minutes)"
	@$(INSTALL) ".[test,bench]"
	@touch $@ .venv/ready-to-run
