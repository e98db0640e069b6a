SHELL := /bin/bash
.DEFAULT_GOAL := help
CACHE := $(or $(POINTSMAN_CACHE),$(or $(XDG_CACHE_HOME),$(HOME)/.cache)/pointsman)
VENV := $(CACHE)/venv/$(shell sha256sum requirements/dev.txt | cut -c1-12)
PY := $(VENV)/bin/python
export PATH := $(VENV)/bin:$(PATH)
export PYTHONPATH := operator

$(VENV)/.ok: requirements/dev.txt
	@python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Pointsman needs Python 3.11 or newer; this is $$(python3 --version)."; exit 1; }
	@rm -rf $(VENV) && python3 -m venv $(VENV)
	@$(VENV)/bin/pip install --quiet --require-hashes -r requirements/dev.txt
	@touch $@

.PHONY: venv
venv: $(VENV)/.ok  ## the virtual environment, from the hashed lock file
	@ln -sfn $(VENV) .venv

.PHONY: help
help:  ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## */|/' | column -t -s '|'

.PHONY: cluster-up
cluster-up: $(VENV)/.ok  ## start the local cluster (BARE=1: API server and controllers only)
	@$(PY) -m hack.cluster up $(if $(BARE),--bare)

.PHONY: cluster-down
cluster-down: $(VENV)/.ok  ## stop the local cluster and leave the machine as it was (BARE=1: the bare one)
	@$(PY) -m hack.cluster down $(if $(BARE),--bare)

.PHONY: cluster-status
cluster-status: $(VENV)/.ok  ## say what runs
	@$(PY) -m hack.cluster status
