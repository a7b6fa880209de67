# The two commands a newcomer needs: `make demo` and `make test`. Everything else is for developers.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
export OMP_NUM_THREADS ?= 1

.PHONY: demo test test-slow mutate lint doctest examples bench bench-smoke docs install clean

demo: $(READY)  ## train on the bundled S&P 500 bars and say honestly what was found
	$(BIN)/sktrain train --dataset sp500 --model gru --out runs/demo

test: $(READY)  ## the whole default suite, doctests included
	$(BIN)/python -m pytest -n 2 --dist loadfile tests
	$(BIN)/python -m pytest -q --doctest-modules --ignore=sktrain/__main__.py sktrain

test-slow: $(READY)
	$(BIN)/python -m pytest -n 2 --dist loadfile -m slow tests

mutate: $(READY)  ## mutation testing of spans, splits, labels and persistence; MUTATE="--sample 50" for a sample
	$(BIN)/python tests/mutation.py $(MUTATE)

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/mypy

examples: $(READY)
	set -e; for example in examples/plot_*.py; do echo "== $$example"; MPLBACKEND=Agg $(BIN)/python $$example; done

bench: $(READY)  ## every benchmark at full size; writes benchmarks/results/*.json
	set -e; for bench in benchmarks/bench_*.py; do echo "== $$bench"; $(BIN)/python $$bench; done

bench-smoke: $(READY)
	set -e; for bench in benchmarks/bench_*.py; do echo "== $$bench"; $(BIN)/python $$bench --smoke; done

docs: $(READY)
	$(BIN)/sphinx-build -W --keep-going -q -b html docs site

install: $(READY)

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -c "import sys; sys.exit(0 if sys.version_info >= (3, 11) else 'sktrain needs Python 3.11 or newer, this is ' + sys.version)"
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[all,dev]'
	touch $@

clean:
	rm -rf $(VENV) build dist runs *.egg-info
