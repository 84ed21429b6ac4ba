# make repro     set everything up and run the pipeline; ends with the metrics and the path of the report
# make test      set everything up and run the tests
# make test-all  the slow ones too
# make setup     only the set-up: system packages, a virtual environment in .venv, the sample data
# make seeds     three seeds trained at quality 77 and three at 10, as one table
# make bench     the benchmarks of mozcodec
PYTHON ?= python3
VENV ?= .venv
BIN := $(abspath $(VENV))/bin
IN_VENV := PATH="$(BIN):$$PATH"
MOZCODEC := packages/mozcodec
BUILD_INPUTS := requirements.txt constraints.txt $(wildcard packages/*/pyproject.toml) $(MOZCODEC)/CMakeLists.txt \
  $(shell find $(MOZCODEC)/cmake $(MOZCODEC)/csrc -type f 2>/dev/null)

export PIP_DISABLE_PIP_VERSION_CHECK := 1

repro: setup
	@start=$$(date +%s); \
	if $(IN_VENV) dvc status --quiet; then \
	  echo "repro: nothing has changed"; $(IN_VENV) evaluation show out/metrics.json out/tables --page out/report/index.html; \
	else \
	  echo "repro: running what has changed (all of it: about 5 minutes on 2 idle cores)"; $(IN_VENV) dvc repro; \
	fi && echo "repro: done in $$(( $$(date +%s) - start )) s"

test: setup
	@start=$$(date +%s); echo "test: everything not marked slow (about 6 minutes on 2 cores)"; \
	$(IN_VENV) ruff check && $(IN_VENV) mypy packages/mozcodec/src packages/evaluation/src packages/detector/src && \
	$(IN_VENV) python -m pytest -m "not slow" && echo "test: done in $$(( $$(date +%s) - start )) s"

test-all: setup
	@start=$$(date +%s); echo "test-all: the slow tests too (about 40 minutes on 2 cores)"; \
	$(IN_VENV) python -m pytest && echo "test-all: done in $$(( $$(date +%s) - start )) s"

seeds: setup
	@$(IN_VENV) sh -c 'detector grid quality=77,10 seed=1,2,3 && \
	evaluation seeds q77=out/experiments/quality-77.seed-1.csv,out/experiments/quality-77.seed-2.csv,out/experiments/quality-77.seed-3.csv \
	  q10=out/experiments/quality-10.seed-1.csv,out/experiments/quality-10.seed-2.csv,out/experiments/quality-10.seed-3.csv \
	  --note "The faces are synthetic; nothing follows for real deepfakes." --out out/seeds.md --csv out/seeds.csv'

bench: setup
	$(IN_VENV) python $(MOZCODEC)/benchmarks/benchmark.py encode

setup: $(VENV)/.complete $(VENV)/.data

$(VENV)/.complete: $(BUILD_INPUTS)
	@start=$$(date +%s); \
	sh system-packages.sh $(PYTHON) || exit 1; \
	echo "setup: installing into $(VENV) (about 2 minutes the first time: torch, DVC, and mozjpeg is compiled)"; \
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || exit 1; \
	$(BIN)/python -m pip install -qq --requirement requirements.txt || exit 1; \
	touch $@; echo "setup: environment ready after $$(( $$(date +%s) - start )) s;  . $(VENV)/bin/activate"

$(VENV)/.data: data.dvc $(VENV)/.complete
	@echo "setup: fetching the sample videos into data/ (a few seconds)"; \
	$(IN_VENV) dvc pull --quiet data.dvc || { \
	  echo "setup: data/ differs from data.dvc. Keep yours: dvc add data. Restore the sample: dvc checkout --force data.dvc" >&2; exit 1; }; \
	touch $@

.PHONY: repro test test-all seeds bench setup
