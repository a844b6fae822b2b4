# geo_nav: every target works from a fresh clone; `make help` lists them.
SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help setup demo test lint docs clean

# Length of the demo's flight in seconds (600 is the whole flight).
DURATION ?= 180
# Further words for `geo-nav demo` and for pytest.
DEMO_ARGS ?=
PYTEST_ARGS ?=

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' Makefile

setup: ## system packages, .venv, libraries, ROS 2, workspace; only what is missing
	@bash scripts/setup.sh

demo: setup ## fly DURATION=180 seconds without GPS through the real nodes, then report (build/demo)
	@source scripts/env.sh && geo-nav demo --duration $(DURATION) $(DEMO_ARGS)

lint: setup ## ruff and mypy
	@source scripts/env.sh && ruff check . && ruff format --check . && mypy

test: lint ## ruff, mypy, and all tests (PYTEST_ARGS='-k fusion' for some)
	@source scripts/env.sh && python -m pytest $(PYTEST_ARGS)

# mkdocs and its theme announce their successors at every build; what they say is in docs/dependencies.md.
docs: setup ## the documentation as a site (build/site/index.html)
	@source scripts/env.sh && NO_MKDOCS_2_WARNING=1 DISABLE_MKDOCS_2_WARNING=true mkdocs build --strict

clean: ## builds, worlds and reports; .venv stays
	rm -rf build install log
