# What people do every day. Needs Python 3.11, 3.12 or 3.13 and make; every target makes .venv/ first if it has to.
#
#   make run VIDEOS=archive OUT=out     analyze files or folders (without VIDEOS: a demo clip);
#                                       more options in ARGS="--workers 4 --sample-fps 2"
#   make test-quick                     while one works: make lint, and the quick tests of the steps, the tables, the
#                                       imports and the documents; a minute and a half
#   make test                           everything that CI checks: make lint, make types and all tests, those on a
#                                       Flink cluster included, which they make (Java, Maven, Go; root for three hosts)
#   make test-flink                     only those on a Flink cluster
#   make flink-up, make flink-down      such a cluster with an S3 server, to try things on; it says how to reach it
#   make format                         let ruff correct what it can
#   make venv, make bench, make clean   only the environment; measurements; remove builds and caches

VENV   ?= .venv
# What `python3` is, if it fits; else the newest that does.
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11 python; do \
            $$p -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null && \
            echo $$p && break; done)
VIDEOS ?=
OUT    ?= out
ARGS   ?=
# Processes that the tests run in, besides the one for the Flink cluster, which mostly waits.
JOBS   ?= 2

BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed

.PHONY: help venv run test test-quick test-flink all-tests parts flink-up flink-down lint format types bench trust clean

help:
	@sed -n '/^#/!q; s/^# \{0,1\}//p' Makefile

venv: $(STAMP)

# Made again when pyproject.toml changes. Where the Python we start from has a dlib of its own (built with CUDA, say),
# .venv sees that one; otherwise it gets dlib-bin, the ready wheel.
$(STAMP): pyproject.toml
	@if [ -z "$(PYTHON)" ]; then \
	  echo "facelog needs Python 3.11, 3.12 or 3.13, and none was found. Install one, or say where it is: make venv PYTHON=/path/to/python3.12"; \
	  exit 1; fi
	@echo "Making $(VENV) with $$($(PYTHON) --version): about 4 GB, a few minutes the first time."
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
	@echo "look into it in a browser: $(BIN)/facelog serve $(OUT)"

COUNT_FAILED = import sys, pandas; \
  print(pandas.read_parquet(sys.argv[1] + "/videos", columns=["status"]).status.isin(["corrupt", "failed"]).sum())

# Types beside the tests, since both wait now and then.
test: lint parts
	@$(MAKE) --no-print-directory -j2 types all-tests

SHARED_OUT = -n $$(($(JOBS) + 1)) --no-loadscope-reorder

# With files of bytecode, whatever the shell says: the tests start Python a hundred times.
PYTEST = PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest

all-tests: venv
	@$(PYTEST) $(SHARED_OUT) $(ARGS)

QUICK = tests/schemas tests/transforms tests/models/detectors tests/test_imports.py tests/test_docs.py tests/test_doctests.py \
  --ignore tests/transforms/job/test_contents.py

test-quick: lint
	@$(PYTEST) -n $(JOBS) -m 'not slow and not multiprocess and not flink and not browser' $(QUICK) $(ARGS)

test-flink: venv parts
	@$(PYTEST) tests/flink $(ARGS)

# Flink, Beam's job server and an S3 server. Without them, the tests that need them are skipped and say so.
parts: venv
	@PYTHON=$(BIN)/python deploy/flink_cluster/get.sh || true

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
	@$(BIN)/mypy --no-error-summary

# Those that need neither arguments nor a cluster.
BENCHMARKS = speed memory runtimes files storage scaling

bench: venv
	@for name in $(BENCHMARKS); do echo "== $$name"; $(BIN)/python -m benchmarks.$$name $(ARGS) || exit 1; done

# Damaged files, read by the real runner; then kills, a machine that fails, and files from strangers.
trust: venv
	@$(BIN)/python -m benchmarks.fuzz --variants 1000 $(ARGS)
	@$(BIN)/python -m benchmarks.trust

# Results (OUT) and .venv stay.
clean:
	@rm -rf build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
	@find . -name __pycache__ -not -path './$(VENV)/*' -prune -exec rm -rf {} +
