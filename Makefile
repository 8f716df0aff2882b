# What people do every day. Needs Python 3.11 and make; every target makes .venv/ first if it has to.
#
#   make run VIDEOS=archive OUT=out     analyze files or folders (without VIDEOS: a demo clip);
#                                       more options in ARGS="--workers 4 --sample-fps 2"
#   make test                           everything that CI checks: make lint, make types, and the tests
#   make test-flink                     only those on a Flink cluster, which they make (Java, Maven, Go; root for three hosts)
#   make flink-up, make flink-down      such a cluster with an S3 server, to try things on; it says how to reach it
#   make format                         let ruff put right what it can
#   make venv, make bench, make clean   only the environment; measurements; remove builds and caches

VENV   ?= .venv
PYTHON ?= $(shell for p in python3.11 python3 python; do \
            $$p -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' 2>/dev/null && echo $$p && break; done)
VIDEOS ?=
OUT    ?= out
ARGS   ?=
# Processes that the tests run in.
JOBS   ?= 2

BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed

.PHONY: help venv run test test-flink flink-up flink-down lint format types bench clean

help:
	@sed -n '/^#/!q; s/^# \{0,1\}//p' Makefile

venv: $(STAMP)

# Made again when pyproject.toml changes. Where the Python we start from has a dlib of its own (built with CUDA, say),
# .venv sees that one; otherwise it gets dlib-bin, the ready wheel.
$(STAMP): pyproject.toml
	@if [ -z "$(PYTHON)" ]; then \
	  echo "facelog needs Python 3.11, and none was found. Install it, or say where it is: make venv PYTHON=/path/to/python3.11"; \
	  exit 1; fi
	@echo "Making $(VENV) with $$($(PYTHON) --version): about 3 GB, a few minutes the first time."
	@site=; if $(PYTHON) -c 'import dlib' 2>/dev/null; then site=--system-site-packages; fi; \
	$(PYTHON) -m venv $$site $(VENV)
	@$(BIN)/python -m pip install -qq --upgrade pip
	@extras=dev; $(BIN)/python -c 'import dlib' 2>/dev/null || extras=dev,dlib; \
	$(BIN)/python -m pip install -qq --editable ".[$$extras]"
	@touch $@
	@echo "Done: $(BIN)/facelog --help"

# Status 3 says that the run finished and some files could not be used: for make that is success.
run: venv
	@$(BIN)/facelog $(if $(VIDEOS),analyze $(VIDEOS),demo) --out "$(OUT)" $(ARGS) || { status=$$?; \
	[ $$status -eq 3 ] || exit $$status; \
	echo "finished, $$($(BIN)/python -c '$(COUNT_FAILED)' "$(OUT)" 2>/dev/null || echo some) files failed"; }

COUNT_FAILED = import sys, pandas; \
  print(pandas.read_parquet(sys.argv[1] + "/videos", columns=["status"]).status.isin(["corrupt", "failed"]).sum())

test: lint types test-flink
	@$(BIN)/python -m pytest -n $(JOBS) --dist worksteal --ignore tests/flink $(ARGS)

# One process, since the cluster is made once for each.
test-flink: venv
	@$(BIN)/python -m pytest tests/flink

CLUSTER = $(BIN)/python -m deploy.flink_cluster

flink-up: venv
	@$(CLUSTER) up --pool "$(abspath $(BIN))/facelog worker" $(ARGS)

flink-down: venv
	@$(CLUSTER) down $(ARGS)

lint: venv
	@$(BIN)/ruff check --quiet .
	@$(BIN)/ruff format --check --quiet .

format: venv
	@$(BIN)/ruff check --quiet --fix .
	@$(BIN)/ruff format .

types: venv
	@$(BIN)/mypy

# Those that need neither arguments nor a cluster.
BENCHMARKS = speed memory min_face storage scaling

bench: venv
	@for name in $(BENCHMARKS); do echo "== $$name"; $(BIN)/python -m benchmarks.$$name $(ARGS) || exit 1; done

# Results (OUT) and .venv stay.
clean:
	@rm -rf build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
	@find . -name __pycache__ -not -path './$(VENV)/*' -prune -exec rm -rf {} +
