# The commands of this project; CI runs the same ones. `make help` lists them.
SHELL := /bin/bash
.DEFAULT_GOAL := help
PYTHON := .venv/bin/python
FOOTAGE ?=
REGISTRY ?=
TAG ?=
PYTHON_IMAGE ?=
TARGETS ?=
KILL ?=
export DVC_NO_ANALYTICS := 1
# Idle OpenMP threads sleep instead of spinning: on shared cores spinning halves everybody's speed.
export OMP_WAIT_POLICY := PASSIVE
export GOMP_SPINCOUNT := 0
# Without bytecode each process that a test starts would compile all of its modules.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help setup demo test test-all check format lock compile reference up down pretrain bench clean images rehearsal browser checkov kubectl milvus promtool rtsp

help:  ## List the commands.
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

setup: .venv/.installed  ## Build .venv from requirements.lock (about a minute).

.venv/.installed: requirements.lock pyproject.toml
	@infra/setup.sh
	@touch $@

demo: setup  ## Run the whole system once on this machine; FOOTAGE=video.avi searches your own footage.
	@$(PYTHON) -m pipelines.demo $(if $(FOOTAGE),--footage "$(FOOTAGE)")

test: setup browser kubectl milvus promtool rtsp  ## Run all tests except the slow ones.
	OMP_NUM_THREADS=1 $(PYTHON) -m pytest -n 2 --dist loadfile -m "not slow" $(PYTEST_ARGS)

test-all: setup browser kubectl milvus promtool rtsp  ## Run all tests, including the slow ones that train for quality.
	$(PYTHON) -m pytest $(PYTEST_ARGS)

check: setup checkov kubectl  ## Check style, types, layers, lock, compiled pipelines, manifests.
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
	.venv/bin/lint-imports
	infra/check_lock.sh
	.venv/bin/personsearch pipeline compile --check
	$(PYTHON) infra/check_manifests.py

format: setup  ## Format the code and fix what ruff can fix.
	.venv/bin/ruff check --fix .
	.venv/bin/ruff format .

lock: setup  ## Resolve pyproject.toml into requirements.lock again.
	.venv/bin/uv $(shell cat infra/lock.args) -q pyproject.toml -o requirements.lock
	.venv/bin/uv $(shell cat infra/docker/gpu.args) -q infra/docker/gpu.in -o infra/docker/gpu.lock

compile: setup  ## Write the compiled pipelines.
	.venv/bin/personsearch pipeline compile

images:  ## Build the container images with docker or buildah; REGISTRY=, TAG=, PYTHON_IMAGE=, TARGETS=.
	@REGISTRY="$(REGISTRY)" TAG="$(TAG)" PYTHON_IMAGE="$(PYTHON_IMAGE)" TARGETS="$(TARGETS)" infra/build_images.sh

rehearsal: setup milvus  ## Run both pipelines in the images, beside real engines; KILL="train index-shard" kills steps.
	@$(PYTHON) infra/rehearse.py $(if $(KILL),--kill $(KILL))

reference: setup  ## Write docs/settings.md and docs/commands.md.
	$(PYTHON) infra/write_reference.py

up: setup  ## Start MLflow, Milvus Lite's server, serving and the promoter in the background.
	@.venv/bin/personsearch up

down: setup  ## Stop the services that `make up` or `make demo` started.
	@.venv/bin/personsearch down

PRETRAINING := data/pretraining
PRETRAINING_PEOPLE := --identities-val 200 --identities-test 240 --cameras 150
pretrain: setup  ## Rebuild weights/: synthetic people, a small CLIP and CTLG's towers from scratch (5 hours).
	.venv/bin/personsearch data synthesize $(PRETRAINING)/raw $(PRETRAINING_PEOPLE) \
	  --identities-train 60000 --images-per-identity 2 --seed 2027
	.venv/bin/personsearch data synthesize $(PRETRAINING)/further-raw $(PRETRAINING_PEOPLE) \
	  --identities-train 90000 --images-per-identity 1 --seed 2030
	.venv/bin/personsearch data prepare $(PRETRAINING)/raw $(PRETRAINING)/prepared
	.venv/bin/personsearch data prepare $(PRETRAINING)/further-raw $(PRETRAINING)/further-prepared
	.venv/bin/personsearch train recipes/tiny/pretrain-image.yaml --dataset $(PRETRAINING)/prepared --out $(PRETRAINING)/image
	.venv/bin/personsearch train recipes/tiny/pretrain.yaml --dataset $(PRETRAINING)/prepared --out $(PRETRAINING)/run
	.venv/bin/personsearch train recipes/tiny/pretrain-further.yaml --dataset $(PRETRAINING)/further-prepared --out $(PRETRAINING)/further
	rm -rf weights/tiny-clip && cp -r $(PRETRAINING)/further/bundle weights/tiny-clip
	.venv/bin/personsearch train recipes/tiny/ctlg-pretrain.yaml --dataset $(PRETRAINING)/prepared --out $(PRETRAINING)/ctlg
	rm -rf weights/tiny-ctlg && cp -r $(PRETRAINING)/ctlg/bundle weights/tiny-ctlg

bench: setup milvus  ## Print the tables behind every performance claim in docs/ but those of pretraining (40 minutes).
	@for benchmark in $(filter-out %/pretraining_arms.py,$(sort $(wildcard benchmarks/*.py))); do echo "== $$benchmark"; $(PYTHON) $$benchmark || exit 1; done

browser:
	@infra/require_browser.sh

rtsp:
	@infra/require_rtsp.sh

kubectl: setup
	@infra/require_kubectl.sh

promtool:
	@infra/require_promtool.sh

checkov: setup
	@infra/install_checkov.sh

milvus: setup
	@$(PYTHON) tests/servers/install_milvus.py

# The installation's folder may hold files of others too: only what runs write is removed from it.
INSTALLATION := $(or $(PERSONSEARCH_HOME),var)
WRITTEN := api_key api_keys.json audit.jsonl audit.migrated.jsonl audit-heads calibrations data-repository demo dvc-remote footage gallery installation_id logs milvus.db milvus.db.lock mlflow-artifacts \
  mlflow.db models pipelines promoter.json rehearsal services.json services.lock watch
clean: down  ## Stop the services and remove what runs have written (keeps .venv).
	@if [ -f "$(INSTALLATION)/demo/junction.avi" ]; then find "$(INSTALLATION)/videos" -samefile "$(INSTALLATION)/demo/junction.avi" -delete; fi
	@if [ -d "$(INSTALLATION)/videos" ]; then find "$(INSTALLATION)/videos" -type d -empty -delete; fi
	rm -rf $(foreach name,$(WRITTEN),"$(INSTALLATION)/$(name)") demo
	@if [ -d "$(INSTALLATION)" ]; then rmdir --ignore-fail-on-non-empty "$(INSTALLATION)"; fi
