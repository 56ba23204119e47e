# What a developer and CI run. `make help` lists the targets.

PYTHON ?= python3
ARGS ?=
VENV := .venv
RUN := $(VENV)/bin/python
DEPENDENCIES := $(VENV)/.dependencies
PROJECT := $(VENV)/.project
KAFKA := $(VENV)/.kafka
BENCHMARKS := $(filter-out benchmarks/soak.py,$(wildcard benchmarks/[!_]*.py))

.DEFAULT_GOAL := help
.PHONY: help setup demo demo-proxies test coverage check bench schemas docs soak jars lock clean prerequisites languages

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 14

setup: prerequisites $(PROJECT) $(KAFKA) ## install everything here, in .venv and ~/.cache

demo: setup ## watch real tokens die in three regions
	@$(RUN) -m revocation demo $(ARGS)

demo-proxies: languages setup ## watch Envoy, nginx and Traefik refuse after one logout
	@$(RUN) -m examples.behind_proxies $(ARGS)

test: setup ## run all tests in three processes; ARGS="-k name" for some
	@$(RUN) -m pytest --numprocesses 3 --dist loadfile \
	  --no-loadscope-reorder --durations 25 $(ARGS)

coverage: setup ## branch coverage of what tests run in their own process
	@$(RUN) -m pytest --numprocesses 3 --dist loadfile --cov --cov-report= \
	  tests/unit tests/contract tests/stations tests/recipe/test_vectors.py $(ARGS)
	@echo "the pure modules:"
	@$(RUN) -m coverage report --fail-under 100 --skip-covered --show-missing \
	  --include "$$($(RUN) -m tests.structure.pure)"
	@echo "all modules:"
	@$(RUN) -m coverage report --skip-covered

check: prerequisites $(PROJECT) ## lint, format and types
	@$(RUN) -m ruff check .
	@$(RUN) -m ruff format --check .
	@$(RUN) -m mypy
	@$(RUN) -m mypy tests/typing/service.py

bench: setup ## run all benchmarks; ARGS=--quick for a few seconds of each
	@number=0; failed=; for script in $(BENCHMARKS); do \
	  number=$$((number + 1)); \
	  echo "== $$number of $(words $(BENCHMARKS)): $$script"; \
	  $(RUN) "$$script" $(ARGS) || failed="$$failed $$script"; \
	done; \
	if [ -n "$$failed" ]; then echo "failed:$$failed" >&2; exit 1; fi

schemas: setup ## write schemas/ anew: JSON Schemas, AsyncAPI, OpenAPI, test vectors
	@$(RUN) -m revocation schemas export schemas
	@$(RUN) -m tests.recipe.vectors

docs: setup ## write docs/reference/ anew: every setting and metric
	@$(RUN) -m tests.reference

soak: setup ## ten minutes of load on a sidecar while its store and rules change
	@$(RUN) benchmarks/soak.py $(ARGS)

jars: prerequisites $(PROJECT) ## write the list of Kafka's jars and their sums
	@$(RUN) -m tests.embedded.jar_list

lock: prerequisites $(PROJECT) ## write requirements.lock; ARGS=--upgrade for newer
	@$(RUN) -m uv pip compile pyproject.toml --quiet --universal \
	  --python-version 3.11 --all-extras --group dev --generate-hashes \
	  --no-emit-index-url --no-header $(ARGS) --output-file requirements.lock

clean: ## end the local system here and remove all that was made
	@if [ -e .revocation/state.json ]; then $(RUN) -m revocation embedded down; fi
	rm -rf $(VENV) .coverage* .revocation .hypothesis .mypy_cache .pytest_cache .ruff_cache dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Says what is missing before minutes of installation, not after.
prerequisites:
	@command -v $(PYTHON) > /dev/null || { \
	  echo "no $(PYTHON) on the PATH: install Python 3.11, 3.12 or 3.13" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' || { \
	  echo "$(PYTHON) is $$($(PYTHON) --version): this needs Python 3.11, 3.12 or 3.13;" \
	    "install one and name it: make PYTHON=python3.12 ..." >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2> /dev/null || { \
	  echo "$(PYTHON) has no venv: apt-get install python3-venv, or the like" >&2; exit 1; }
	@$(PYTHON) -c 'import platform as p, sys; sys.exit((p.system(), p.libc_ver()[0]) \
	    != ("Linux", "glibc") or p.machine() not in ("x86_64", "aarch64"))' || { \
	  echo "this needs Linux with glibc on x86-64 or ARM64: for other machines there are" \
	    "no packages of Java and Valkey; use a container of such a Linux" >&2; exit 1; }

# One is enough; the demo says so itself where the other is missing.
languages:
	@command -v node > /dev/null || command -v go > /dev/null || { \
	  echo "neither node nor go on the PATH: the services behind the proxies need one:" \
	    "apt-get install nodejs golang-go, or the like" >&2; exit 1; }

# From scratch: what a changed lock no longer names must not stay installed.
$(DEPENDENCIES): requirements.lock
	@echo "installing the packages of requirements.lock into $(VENV)"
	@$(PYTHON) -m venv --clear $(VENV)
	@$(RUN) -m pip install --quiet --disable-pip-version-check --require-hashes \
	  --requirement requirements.lock
	@touch $@

$(PROJECT): $(DEPENDENCIES) pyproject.toml
	@$(RUN) -m pip install --quiet --disable-pip-version-check --no-deps \
	  --no-build-isolation --editable .
	@touch $@

$(KAFKA): $(PROJECT) revocation/local/jars.sha256
	@$(RUN) -m revocation embedded fetch
	@touch $@
