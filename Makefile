# `make` lists what can be made. Everything runs in .venv, which is made from requirements/dev.txt.
.DEFAULT_GOAL := help
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
LOCK_VENV := .venv-lock
# What checks the image and deploy/ has many packages, which the worker's own must not meet.
DEPLOY_VENV := .venv-deploy
AUDIT_VENV := .venv-audit
SOURCES := $(wildcard worker demo chaos tests benchmarks scripts examples deploy)
# Pure tests share nothing. Of the others each file is run by one process, which has its own broker.
PURE_TESTS := tests/unit tests/contract tests/fuzz tests/project
OTHER_TESTS := tests/component tests/acceptance
DEPLOY_TESTS := tests/deploy tests/acceptance
AUDITED := $(wildcard requirements/*.txt)
SAMPLES := worker/http/page/samples
PARALLEL := --numprocesses logical --maxprocesses 8
BY_FILE := --numprocesses logical --maxprocesses 4 --dist loadfile

export PYTHON
ARGS ?=
KEEP ?=
SECONDS ?= 60
TARGET ?=
INPUT ?=
DATABASE ?=

.PHONY: help try demo check test chaos test-zoo test-deploy fuzz image dashboards dashboards-picture sbom audit lint format bench bench-check bench-peers version build lock clean

help: ## This list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{ printf "  make %-18s %s\n", $$1, $$2 }'
	@echo 'Variables: PYTHON=python3.12 (3.11 to 3.13), KEEP=1 (demo: leave it running), ARGS="..." (more arguments)'

try: $(STAMP) ## Photographs (or ARGS='your.jpg ...') through a real model, without Kafka
	@model=$$(GLOG_minloglevel=2 $(BIN)/python -W ignore -m demo.model) && \
		$(BIN)/classify-worker predict --format table --model "$$model" $(or $(ARGS),$(SAMPLES)) && \
		printf '%s\n' "The model is $$model, and the command $(BIN)/classify-worker, as in" \
			"$(BIN)/classify-worker serve --model $$model" >&2

demo: $(STAMP) ## Photographs through real Kafka, a real model and back (KEEP=1 leaves it running)
	$(BIN)/python -m demo $(if $(KEEP),--keep) $(ARGS)

check: lint ## Linters, types and the pure unit tests: under a minute, before each commit
	$(BIN)/python -m pytest -q $(PARALLEL) tests/unit $(ARGS)

test: $(STAMP) ## All tests, against a real Kafka broker and in a real browser (ARGS: some of them)
	scripts/chromium.sh
	scripts/clients.sh
ifeq ($(strip $(ARGS)),)
	$(BIN)/python -m pytest $(PARALLEL) $(PURE_TESTS)
	$(BIN)/python -m pytest $(BY_FILE) $(OTHER_TESTS)
else
	$(BIN)/python -m pytest $(ARGS)
endif

chaos: $(STAMP) ## Faults by a seed on real Kafka and real workers, then a checker (ARGS='--help')
	$(BIN)/python -m chaos $(ARGS)

test-zoo: $(STAMP) ## All 80 models of the zoo: exported, loaded, compared with plain Paddle (up to an hour)
	$(BIN)/python -m pytest -m zoo tests/component/zoo $(ARGS)

fuzz: $(STAMP) ## Look for inputs that break something (SECONDS=600, TARGET=job; INPUT=FILE: that one again)
	$(BIN)/python -m tests.support.fuzz --seconds $(SECONDS) $(if $(TARGET),--target $(TARGET)) \
		$(if $(INPUT),--input $(INPUT)) $(ARGS)

image: $(DEPLOY_VENV)/.packages ## The container image and the list of what is in it (starts a Docker Engine where none runs)
	SYFT=$(DEPLOY_VENV)/bin/syft scripts/with_engine.sh scripts/image.sh --save $(ARGS)

test-deploy: $(STAMP) $(DEPLOY_VENV)/.packages $(AUDIT_VENV)/.packages ## The image, and what is in deploy/, really run (starts a Docker Engine where none runs)
	scripts/podman.sh
	scripts/prometheus.sh
	SYFT=$(DEPLOY_VENV)/bin/syft scripts/with_engine.sh bash -c \
		'scripts/image.sh && $(BIN)/python -m pytest -m deploy $(DEPLOY_TESTS) $(ARGS)'

dashboards: $(STAMP) ## Write Grafana's dashboards, from deploy/grafana/source
	$(BIN)/python -m deploy.grafana.source

dashboards-picture: $(STAMP) ## Pictures of the dashboards (needs npm, Chromium; ARGS='--prometheus HOST:PORT --minutes 30 overview')
	$(BIN)/python -m deploy.grafana.render $(ARGS)

sbom: $(AUDIT_VENV)/.packages ## What the locked environments consist of, as CycloneDX, in out/sbom
	for lock in runtime headless; do \
		$(AUDIT_VENV)/bin/python -W ignore scripts/sbom.py requirements/$$lock.txt out/sbom/$$lock.cdx.json; \
	done

audit: $(AUDIT_VENV)/.packages ## Known vulnerabilities of all locked packages (DATABASE=all.zip: without a network)
	$(AUDIT_VENV)/bin/python scripts/audit.py $(if $(DATABASE),--database $(DATABASE)) $(AUDITED)

lint: $(STAMP) ## Style, types and architecture
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/mypy $(SOURCES)
	$(BIN)/lint-imports

format: $(STAMP) ## Format the code and mend what ruff can
	$(BIN)/ruff check --fix $(SOURCES)
	$(BIN)/ruff format $(SOURCES)

bench: $(STAMP) ## The worker against the limit: backends, codecs, Kafka, latency (ARGS='--models all --sections all')
	$(BIN)/python -m benchmarks $(ARGS)

bench-check: $(STAMP) ## Ratios of the last `make bench` against the committed ones: exit code 1 if one is worse
	$(BIN)/python -m benchmarks.check $(ARGS)

bench-peers: $(STAMP) ## The worker beside PaddleX, its service, a plain consumer and FastStream (ARGS='--help')
	$(BIN)/python -W ignore -m benchmarks.peers $(ARGS)

version: ## Set the version, as in make version VERSION=0.2.0
	scripts/set_version.sh "$(VERSION)"

build: $(STAMP) ## Wheel and source distribution in dist/, their metadata checked
	rm -rf dist
	$(BIN)/python -m build --no-isolation
	$(BIN)/python -m twine check --strict dist/*

lock: ## Re-make the lock files: packages from pyproject.toml, Kafka's jars
	"$${PYTHON:-python3}" -m venv $(LOCK_VENV)
	$(LOCK_VENV)/bin/python -m pip install --quiet 'uv>=0.9'
	scripts/lock.sh $(LOCK_VENV)/bin/uv
	$(MAKE) $(STAMP)
	$(BIN)/python scripts/lock_jars.py

clean: ## Remove the virtual environments and what tools left behind (not the user's cache)
	rm -rf $(VENV) $(LOCK_VENV) $(DEPLOY_VENV) $(AUDIT_VENV) build dist out .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(STAMP): $(VENV)/.packages pyproject.toml
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --disable-pip-version-check -e .
	$(BIN)/python -m compileall -q worker demo
	env -u PYTHONDONTWRITEBYTECODE $(BIN)/classify-worker submit --help >/dev/null  # compiles what commands load
	touch $@

$(VENV)/.packages: requirements/dev.txt requirements/zoo.txt scripts/venv.sh
	scripts/venv.sh $(VENV)
	touch $@

$(DEPLOY_VENV)/.packages: requirements/deploy.txt
$(AUDIT_VENV)/.packages: requirements/audit.txt
$(DEPLOY_VENV)/.packages $(AUDIT_VENV)/.packages:
	"$${PYTHON:-python3}" -m venv --clear $(@D)
	$(@D)/bin/python -m pip install --quiet --no-compile --disable-pip-version-check \
		--require-hashes --only-binary :all: -r $<
	touch $@
