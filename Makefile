# segbook: see `make help`. Works with GNU make 3.81 and later; on Windows use the plain commands in README.md.
#
#   PYTHON=python3.12    the interpreter that .venv is built with (3.11 to 3.13)
#   PROFILE=full         quick (default, processor) or full (GPU)
#   DATASET=camvid       another data set than the one built in
#   JOBS=2               chapters to run at the same time (default: by cores and memory)
#   WORKERS=2            processes that run the tests
#   NB=06                the notebook of `make notebook`
#   TOPICS=crf           benchmarks to run instead of all
#   TRAIN="--compile"    further options for every net of `make full`
#   DATA=folder          real data that `make offline` takes along

SHELL := /bin/bash
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

PYTHON ?=
PROFILE ?=
DATASET ?=
JOBS ?=
WORKERS ?= 2
TOPICS ?=

VENV := .venv
PY := $(VENV)/bin/python
STAMP := $(VENV)/installed
# The packages of an extra of pyproject.toml, one a line: for an environment that segbook itself stays out of.
EXTRA = $(PY) -c 'import sys, tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["project"]["optional-dependencies"][sys.argv[1]], sep="\n")'
# The site and the slides need no PyTorch: their packages live in an environment of their own.
SITE_VENV := .venv-site
SITE_STAMP := $(SITE_VENV)/installed
DATA ?=

SUPPORTED := import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))
VERSION := import sys; print("%d.%d.%d" % sys.version_info[:3])

# Asking for another Python than the one .venv was built with builds it again.
ifneq ($(PYTHON),)
ifneq ($(wildcard $(PY)),)
ifneq ($(shell "$(PYTHON)" -c '$(VERSION)' 2>/dev/null),$(shell $(PY) -c '$(VERSION)' 2>/dev/null))
REBUILD := rebuild
endif
endif
endif

.PHONY: help course test lane unit notebook docs coverage lab bench full student site slides offline test-browser clean rebuild

help:
	@echo "make course    run every chapter; executed copies and an index go to runs/"
	@echo "make test      style check, unit tests, and every notebook against its stored outputs"
	@echo "make unit      the fast unit tests alone, under two minutes"
	@echo "make notebook NB=06   one notebook against its stored outputs"
	@echo "make docs      write every page and table again that is made from other files"
	@echo "make lane      two chapters on two threads with another seed, to their end"
	@echo "make coverage  which lines of segbook the unit tests run; at least 90 %"
	@echo "make lab       open JupyterLab on the first notebook, which holds the course map"
	@echo "make student   write the student, solution and clean editions to build/editions/"
	@echo "make site      build the course as a static web site in build/site/"
	@echo "make slides    write slides of every chapter to build/slides/"
	@echo "make offline   put wheels and course into build/offline/, to install without a network (DATA=folder takes data along)"
	@echo "make test-browser   move every live figure in JupyterLab in Chromium"
	@echo "make bench     run the side-by-side benchmarks"
	@echo "make full      train all nine nets in full on a GPU; records go to results/, give it again to go on"
	@echo "make clean     remove what was generated: runs/, build/, caches (data/ and .venv/ stay)"
	@echo
	@echo "Options: PROFILE=quick|full DATASET=camvid JOBS=2 PYTHON=python3.12, for example:"
	@echo "    PROFILE=full DATASET=camvid make course"

# The stamp is written last, so that an interrupted installation is taken up again by the next command.
$(STAMP): requirements.txt pyproject.toml $(REBUILD)
	@rm -f $@
	@set -e; \
	python="$(PYTHON)"; \
	if [ -z "$$python" ]; then \
	  for name in python3.13 python3.12 python3.11 python3 python; do \
	    if "$$name" -c '$(SUPPORTED)' 2>/dev/null; then python="$$name"; break; fi; \
	  done; \
	fi; \
	if [ -z "$$python" ]; then \
	  echo "segbook needs Python 3.11, 3.12 or 3.13, and none was found." >&2; \
	  echo "Install one, or name it: make course PYTHON=/path/to/python3.12" >&2; exit 1; \
	fi; \
	found="$$("$$python" -c '$(VERSION)' 2>/dev/null || true)"; \
	if [ -z "$$found" ]; then \
	  echo "PYTHON=$$python cannot be run as a Python interpreter." >&2; exit 1; \
	fi; \
	if ! "$$python" -c '$(SUPPORTED)'; then \
	  echo "$$python is Python $$found; segbook needs 3.11, 3.12 or 3.13." >&2; \
	  echo "Name another one: make course PYTHON=/path/to/python3.12" >&2; exit 1; \
	fi; \
	if [ -n "$(REBUILD)" ] || ! "$(PY)" -c '$(SUPPORTED)' 2>/dev/null; then \
	  echo "Building $(VENV) with Python $$found"; \
	  if ! "$$python" -m venv --clear "$(VENV)"; then \
	    echo "Python's venv module is missing (on Debian and Ubuntu: apt install python3-venv)." >&2; exit 1; \
	  fi; \
	fi
	$(PY) -m pip install --disable-pip-version-check -r requirements.txt
	$(PY) -m pip install --disable-pip-version-check --no-deps -e .
	$(PY) tools/lab_settings.py
	@touch $@

course: $(STAMP)
	$(PY) -m segbook run $(if $(PROFILE),--profile "$(PROFILE)") $(if $(DATASET),--dataset "$(DATASET)") $(if $(JOBS),--jobs "$(JOBS)")

# One thread a process: two busy processes with two threads each wait for one another on a small machine.
test: $(STAMP)
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	OMP_NUM_THREADS=1 OMP_WAIT_POLICY=PASSIVE $(PY) -m pytest --nbval --require-cells -n $(WORKERS) --dist loadscope

# What slow tests (child processes, whole runs) check is left to `make test`.
unit: $(STAMP)
	OMP_NUM_THREADS=1 OMP_WAIT_POLICY=PASSIVE $(PY) -m pytest tests -m "not slow" -n $(WORKERS) -q

notebook: $(STAMP)
	@test -n "$(NB)" || { echo "Which one? For example: make notebook NB=06" >&2; exit 2; }
	OMP_NUM_THREADS=1 OMP_WAIT_POLICY=PASSIVE $(PY) -m pytest --nbval --require-cells $(wildcard notebooks/$(NB)_*.ipynb)

docs: $(STAMP)
	$(PY) tools/readme.py map
	$(PY) tools/readme.py ledger
	$(PY) tools/pages.py

# Another seed and two threads for two chapters, which ones goes round with the commit; only a crash fails.
lane: $(STAMP)
	$(PY) tools/lane.py

coverage: $(STAMP)
	OMP_NUM_THREADS=1 OMP_WAIT_POLICY=PASSIVE $(PY) -m pytest tests -n $(WORKERS) --cov --cov-report=term

lab: $(STAMP)
	$(PY) -m jupyterlab --ServerApp.ip=127.0.0.1 notebooks/00_start_here.ipynb

student: $(STAMP)
	$(PY) -m segbook editions build/editions --overwrite

# TRAIN=... hands further options to every net, such as TRAIN="--compile" or, for a rehearsal on a CPU,
# TRAIN="--steps 2 --batch-size 2 --width 0.06 --size 64x96".
full: $(STAMP)
	$(PY) -m segbook train --model all --profile "$(or $(PROFILE),full)" --dataset "$(or $(DATASET),camvid)" $(TRAIN)

# The other libraries are installed here only: the course does without them, and the benchmarks without those missing.
bench: $(STAMP)
	-$(EXTRA) bench | xargs $(PY) -m pip install --disable-pip-version-check -c requirements.txt
	OMP_WAIT_POLICY=PASSIVE $(PY) tests/benchmarks $(TOPICS)

$(SITE_STAMP): pyproject.toml $(STAMP)
	@rm -f $@
	$(PY) -m venv --clear $(SITE_VENV)
	$(EXTRA) site | xargs $(SITE_VENV)/bin/python -m pip install --disable-pip-version-check -c requirements.txt
	@touch $@

site: $(SITE_STAMP)
	$(SITE_VENV)/bin/python tools/make_site.py build/site

slides: $(SITE_STAMP)
	$(SITE_VENV)/bin/python tools/make_slides.py build/slides

offline: $(STAMP)
	$(PY) tools/offline.py build/offline $(if $(DATA),--data "$(DATA)")

# Needs Chromium (CHROMIUM=path, default /usr/bin/chromium); says so when it is not there.
test-browser: $(STAMP)
	$(EXTRA) browser | xargs $(PY) -m pip install --quiet --disable-pip-version-check -c requirements.txt
	$(PY) -m pytest tests/browser -p no:xdist -rs

clean:
	rm -rf runs build dist site .cache .pytest_cache .ruff_cache .hypothesis .coverage .coverage.*
	find . -path "./$(VENV)" -prune -o -path ./.git -prune -o \
	  \( -name __pycache__ -o -name .ipynb_checkpoints -o -name '*.partial' \) -prune -exec rm -rf {} +
