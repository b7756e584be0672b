# forebay: two commands to begin with: `make demo` and `make test`. `make help` lists the rest.
SHELL := /bin/bash
.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
# two at once: most tests wait for a broker, a scheduler or a browser
JOBS ?= 2
BIN := $(VENV)/bin
export UV_CACHE_DIR := $(CURDIR)/.cache/uv
export GX_ANALYTICS_ENABLED := false
STAMP := $(VENV)/.installed
UV_VERSION := 0.13.9

.PHONY: help setup demo up demo-up down test test-fast test-slow check format docs docs-site bench sim chaos lock clean

help: ## this list
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(STAMP) ## a .venv in this folder, from pinned requirements

$(STAMP): requirements.txt requirements-dev.txt pyproject.toml
	@$(PYTHON) tools/preflight.py
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@test -x $(BIN)/uv || { echo "installing uv $(UV_VERSION) into $(VENV)"; $(BIN)/python -m pip install -q --disable-pip-version-check --no-cache-dir uv==$(UV_VERSION); }
	@echo "installing the pinned requirements into $(VENV) (some 280 packages; 30 s to a few minutes)"
	@$(BIN)/uv pip install -q --compile-bytecode --require-hashes -r requirements.txt -r requirements-dev.txt
	@$(BIN)/uv pip install -q --compile-bytecode --no-deps -e .
	@touch $@

demo: setup ## the whole job on real data, and its proof
	@$(BIN)/python tools/demo.py

up: setup ## leave Airflow and the broker running, with whatever runs this project's home holds
	@$(BIN)/python tools/up.py up

demo-up: setup ## the same in the demo's home, with the demo's runs
	@$(BIN)/python tools/up.py demo-up

down: ## stop what `make up` or `make demo-up` left running
	@test ! -x $(BIN)/python || $(BIN)/python tools/up.py down

test: setup ## every test that CI runs, with real Kafka and a real S3 API
	@$(BIN)/python -m pytest -n $(JOBS) --durations 40

test-fast: setup ## unit tests only
	@$(BIN)/python -m pytest -m "not kafka and not s3 and not airflow and not chaos and not browser and not slow and not long"

test-slow: setup ## the slow tier: about half an hour on two quiet cores, beside what `make test` runs (CONTRIBUTING.md says what)
	@$(BIN)/python -m pytest -m long -n $(JOBS) --timeout 3600 -o faulthandler_timeout=3500 --durations 20

check: setup ## format, lint, types, layers
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@PYTHONPATH=include:plugins $(BIN)/lint-imports

format: setup ## write the formatter's and the linter's fixes
	@$(BIN)/ruff format . && $(BIN)/ruff check --fix .

docs: setup ## generate the reference pages, the JSON Schema and README's blocks
	@$(BIN)/python tools/generate_docs.py
	@$(BIN)/python tools/readme.py

docs-site: setup ## the pages of docs/ as a site in build/site; a link that leads nowhere is an error
	@test -x .cache/docs/bin/python || $(PYTHON) -m venv .cache/docs
	@$(BIN)/uv pip install -q --python .cache/docs/bin/python --require-hashes -r requirements-docs.txt
	@NO_MKDOCS_2_WARNING=1 .cache/docs/bin/mkdocs build -q && echo "build/site/index.html"

bench: setup ## measure against the ceiling and against plain scripts; writes docs/benchmarks.md
	@$(BIN)/python tools/bench.py

sim: setup ## a million simulated histories of the publish protocol (about an hour)
	@$(BIN)/python tools/sim.py --seeds 0:1000000 --jobs $$(nproc 2>/dev/null || echo 2)

chaos: setup ## more than a thousand kills, and broken brokers; writes docs/trials.md (about an hour and a half; FAULTS='kill-*' for some)
	@$(BIN)/python -m tests.chaos.runner --trials 9 --faults $(if $(FAULTS),$(FAULTS),'*' '!kill-*' '!run-kill-*')
	@$(if $(FAULTS),true,$(BIN)/python -m tests.chaos.runner --trials 40 --faults 'kill-*' 'run-kill-*')

lock: ## compile requirements*.in into pinned requirements with hashes
	@$(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes --no-header --no-emit-index-url --no-annotate -q requirements.in -o requirements.txt
	@$(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes --no-header --no-emit-index-url --no-annotate -q requirements-dev.in -o requirements-dev.txt
	@$(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes --no-header --no-emit-index-url --no-annotate -q requirements-docs.in -o requirements-docs.txt

clean: down ## undo everything: processes, .venv, caches, forebay's homes, the demo's drops
	@rm -rf drops/flights drops/weather drops/weather_json; rmdir drops 2>/dev/null || true
	@rm -rf $(VENV) .cache .forebay .forebay-demo .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis build *.egg-info include/*.egg-info
	@find . -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null; echo "clean"
