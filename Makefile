# Every target creates the virtual environment it needs; a fresh machine needs Python 3.11 or newer and nothing else.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.tightrope-installed
DEMO ?= runs/demo

SOURCES := src tests examples benchmarks docs
DOCUMENTED := $(VENV)/.tightrope-documented
# The docstring linter has an environment of its own: it brings a module docstring_parser that hides ours.
LINTER := $(VENV)/docstring-linter

.PHONY: help demo lint test quick long check format docs bench clean

help:
	@echo "make demo    train a GAN on embedded real images and write a report (a few minutes)"
	@echo "make lint    format, lint, types, docstrings: about a minute the first time"
	@echo "make test    make lint, then all tests"
	@echo "make quick   the tests that take no more than seconds each"
	@echo "make long    the same checks at full length (an hour)"
	@echo "make check   make test and make docs"
	@echo "make format  put the sources into the project's format"
	@echo "make docs    the documentation, into docs/_build/html"
	@echo "make bench   one script per performance claim, each with its ratio to a baseline of the same run; TIGHTROPE_PEERS"
	@echo "             names a folder with checkouts of mimicry, GAN_stability and R3GAN; writes docs/performance.md"

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	@touch $(STAMP)

demo: $(STAMP)
	@rm -rf $(DEMO)
	$(BIN)/tightrope train digits --method r3gan --gamma 1 --gamma-final 0.3 --learning-rate 5e-4 --learning-rate-final 5e-5 \
		--schedule-images 384000 --latent 32 --steps 6000 --evaluate-every 1500 --out $(DEMO)

$(LINTER)/.installed: Makefile
	$(PYTHON) -m venv $(LINTER)
	$(LINTER)/bin/python -m pip install --quiet 'flake8>=7' 'pydoclint>=0.8'
	@touch $(LINTER)/.installed

lint: $(STAMP) $(LINTER)/.installed
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/ruff check $(SOURCES)
	$(LINTER)/bin/python -m flake8 src
	$(BIN)/mypy

test: lint
	$(BIN)/python -m pytest -q -n auto -m "not long"

quick: $(STAMP)
	$(BIN)/python -m pytest -q -n auto -m "not slow and not long"

long: $(STAMP)
	$(BIN)/python -m pytest -q -n auto -m long

format: $(STAMP)
	$(BIN)/ruff format $(SOURCES)
	$(BIN)/ruff check --fix $(SOURCES)

check: test docs

$(DOCUMENTED): $(STAMP)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[docs]'
	@touch $(DOCUMENTED)

docs: $(DOCUMENTED)
	$(BIN)/python -m sphinx --builder html --fail-on-warning --keep-going --quiet docs docs/_build/html
	@echo "documentation: docs/_build/html/index.html"

HELPERS := timing page pictures seeds_in_jax
BENCHMARKS := $(filter-out $(HELPERS),$(basename $(notdir $(wildcard benchmarks/*.py))))

bench: $(STAMP)
	@for name in $(BENCHMARKS); do \
		echo "== $$name"; OMP_NUM_THREADS=1 $(BIN)/python benchmarks/$$name.py || exit 1; done
	$(BIN)/python benchmarks/page.py

clean:
	rm -rf $(VENV) build dist docs/_build docs/api docs/causes .pytest_cache .mypy_cache .ruff_cache
