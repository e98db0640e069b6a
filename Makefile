SHELL := /bin/bash
.DEFAULT_GOAL := help
CACHE := $(or $(POINTSMAN_CACHE),$(or $(XDG_CACHE_HOME),$(HOME)/.cache)/pointsman)
VENV := $(CACHE)/venv/$(shell sha256sum requirements/dev.txt | cut -c1-12)
PY := $(VENV)/bin/python
export PATH := $(VENV)/bin:$(PATH)
export PYTHONPATH := operator

# The folder is named after the lock file's content, so it is built once for it: whatever the times of files, and by one at a time.
$(VENV)/.ok:
	@python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Pointsman needs Python 3.11 or newer; this is $$(python3 --version)."; exit 1; }
	@mkdir -p $(@D) && exec 9> $(@D).lock && flock 9 && { [ -e $@ ] || { python3 -m venv --clear $(@D) \
	  && $(@D)/bin/pip install --quiet --require-hashes -r requirements/dev.txt && touch $@; }; }

.PHONY: venv
venv: $(VENV)/.ok  ## the virtual environment, from the hashed lock file
	@ln -sfn $(VENV) .venv

.PHONY: test
test: lint  ## everything: lint, types, import contracts, generated files, tests (starts the clusters they need)
	@# Tests on clusters mostly wait: the others run beside them, and say what they have to say when those are done.
	@log=$$(mktemp); nice -n 19 $(PY) -m pytest -p no:cacheprovider -m "not bare and not cluster" > $$log 2>&1 & others=$$!; \
	  $(PY) -m pytest -m "bare or cluster"; clusters=$$?; wait $$others; ended=$$?; cat $$log; rm -f $$log; exit $$((clusters | ended))

.PHONY: test-full
test-full: lint  ## the same with the long runs at full size
	@POINTSMAN_FULL=1 $(PY) -m pytest

.PHONY: test-argocd
test-argocd: venv  ## a canary, a rollback and a revert in the real Argo CD, which is built first (7 min)
	@POINTSMAN_FULL=1 $(PY) -m pytest tests/gitops/test_argo_cd.py

.PHONY: test-fast
test-fast: lint  ## lint and the tests that need no cluster
	@$(PY) -m pytest -m "not bare and not cluster"

.PHONY: lint
lint: venv  ## ruff, mypy --strict, import contracts and the generated files
	@ruff check --quiet . && ruff format --check --quiet .
	@mypy
	@lint-imports --no-cache > .lint-imports.log || { cat .lint-imports.log; exit 1; }; rm -f .lint-imports.log
	@$(PY) -m pointsman.api.crd crds --check && $(PY) -m pointsman.api.crd charts/pointsman/crds --check
	@$(PY) -m hack.gitops.configmap --check

.PHONY: generate
generate: venv  ## write the generated files anew: CRDs, golden objects, and format the code
	@$(PY) -m pointsman.api.crd crds && $(PY) -m pointsman.api.crd charts/pointsman/crds
	@$(PY) -m tests.render.golden
	@$(PY) -m tests.cli.configuration
	@$(PY) -m tests.docs.reference
	@$(PY) -m tests.cli.views
	@$(PY) -m tests.cli.reference
	@$(PY) -m tests.mistakes.table
	@$(PY) -m hack.gitops.configmap
	@ruff check --quiet --fix . ; ruff format --quiet .

.PHONY: lock
lock:  ## pin the Python packages anew (needs uv)
	@uv pip compile --quiet --upgrade pyproject.toml --group dev --universal --python-version 3.11 --generate-hashes \
	  --no-emit-index-url --no-emit-find-links --custom-compile-command "make lock" -o requirements/dev.txt
	@uv pip compile --quiet --upgrade pyproject.toml --universal --python-version 3.11 --generate-hashes \
	  --no-emit-index-url --no-emit-find-links --custom-compile-command "make lock" -o requirements/operator.txt

.PHONY: help
help:  ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## */|/' | column -t -s '|'

WHICH := $(if $(filter kind,$(CLUSTER)),--kind) $(if $(BARE),--bare)

.PHONY: cluster-up
cluster-up: $(VENV)/.ok  ## start the local cluster (BARE=1: API server and controllers only; CLUSTER=kind: with Docker)
	@$(PY) -m hack.cluster up $(WHICH)

.PHONY: cluster-down
cluster-down: $(VENV)/.ok  ## stop the local cluster and leave the machine as it was (BARE=1, CLUSTER=kind)
	@$(PY) -m hack.cluster down $(WHICH)

.PHONY: cluster-status
cluster-status: $(VENV)/.ok  ## say what runs
	@$(PY) -m hack.cluster status

.PHONY: cluster-locks
cluster-locks:  ## pin the Python packages in the cluster's images anew (needs uv)
	@for folder in hack/cluster/containers/*/; do cd $(CURDIR)/$$folder && uv pip compile --quiet --upgrade --universal \
	  --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links \
	  --custom-compile-command "make cluster-locks" requirements.in -o requirements.txt || exit 1; done

.PHONY: demo
demo: venv  ## the main job on a real cluster: promoted, rolled back, aborted (KEEP=1: it stays up; CLUSTER=kind: with Docker)
	@$(PY) -m hack.demo

.PHONY: bench-controller
bench-controller: venv  ## the controller's figures beside their targets, on the bare API server (QUICK=1: small sizes; ONLY="latency writes scale rollouts")
	@$(PY) -m bench.controller $(if $(QUICK),--quick) $(ONLY)

.PHONY: bench-decisions
bench-decisions: venv  ## error rates, power and exposure of the decisions beside rules in use, and what a look costs (QUICK=1: small sizes)
	@$(PY) -m bench.decisions $(if $(QUICK),--quick) $(if $(ONLY),--only $(ONLY))

.PHONY: bench-inspector
bench-inspector: venv  ## the inspector's figures beside their targets, between trivial backends, and the agreement gate's (QUICK=1: small sizes)
	@$(PY) -m bench.inspector $(if $(QUICK),--quick); inspector=$$?; \
	  $(PY) -m bench.drift --only agreement $(if $(QUICK),--quick); exit $$((inspector | $$?))

.PHONY: bench-mirror
bench-mirror: venv  ## what users notice of a mirror, in the whole cluster (QUICK=1: small sizes)
	@$(PY) -m bench.mirror $(if $(QUICK),--quick)

.PHONY: bench-drift
bench-drift: venv  ## error rates and times of agreement, prediction drift and the drift detector beside theory (QUICK=1: small sizes)
	@$(PY) -m bench.drift $(if $(QUICK),--quick)

.PHONY: docs-tables
docs-tables: venv  ## simulate the tables of docs/choosing-a-policy.md anew (minutes)
	@$(PY) -m hack.docs.traffic

.PHONY: docs-picture
docs-picture: venv  ## draw the README's picture anew, from the report of the last `make demo`
	@$(PY) -m hack.docs.picture
