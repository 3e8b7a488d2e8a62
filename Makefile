# Every target creates the virtual environment it needs; a fresh machine needs Python 3.11 or newer and nothing else.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.tightrope-installed
DEMO ?= runs/demo

.PHONY: help demo test quick long check format bench clean

help:
	@echo "make demo    train a GAN on embedded real images and write a report (a few minutes)"
	@echo "make test    all tests"
	@echo "make quick   the tests that take no more than seconds each"
	@echo "make long    the same checks at full length (an hour)"
	@echo "make check   format, lint, types, tests"
	@echo "make bench   benchmarks; each prints its ratio against a baseline of the same run"

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	@touch $(STAMP)

demo: $(STAMP)
	@rm -rf $(DEMO)
	$(BIN)/tightrope train digits --method r3gan --gamma 1 --gamma-final 0.3 --learning-rate 5e-4 --learning-rate-final 5e-5 \
		--schedule-images 384000 --latent 32 --steps 6000 --evaluate-every 1500 --out $(DEMO)

test: $(STAMP)
	$(BIN)/python -m pytest -q -n auto -m "not long"

quick: $(STAMP)
	$(BIN)/python -m pytest -q -n auto -m "not slow and not long"

long: $(STAMP)
	$(BIN)/python -m pytest -q -n auto -m long

format: $(STAMP)
	$(BIN)/ruff format src tests examples benchmarks studies
	$(BIN)/ruff check --fix src tests examples benchmarks studies

check: $(STAMP)
	$(BIN)/ruff format --check src tests examples benchmarks studies
	$(BIN)/ruff check src tests examples benchmarks studies
	$(BIN)/mypy
	$(BIN)/python -m pytest -q -n auto -m "not long"

bench: $(STAMP)
	@for script in benchmarks/*.py; do echo "== $$script"; OMP_NUM_THREADS=1 $(BIN)/python $$script || exit 1; done

clean:
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache
