# make repro     set everything up and run the pipeline; ends with the metrics and the path of the report
# make test      set everything up and run the tests
# make test-all  the slow ones too
# make setup     only the set-up: system packages, a virtual environment in .venv, the sample data
# make grid      the experiments of the report: models x qualities x frames per second x seeds, as one table; stopped, it
#                goes on. A part of it: make grid MODELS=meso4,mesoinception4 QUALITIES=77 FRAMES_PER_SECOND=null SEEDS=1
# make seeds     three seeds trained at quality 77 and three at 10, as one table
# make bench     the benchmarks of mozcodec
# make throughput      images per second of training, loading and inference
# make throughput-gpu  the same on a GPU, over models, batch sizes and precisions: one table, out/gpu/gpu.md
# make study-scaling   mozcodec's study of DCT sizes, on the crops of make repro: docs/scaling.*
# make sample OUT=folder   the sample videos, made anew (about 10 minutes)
PYTHON ?= python3
VENV ?= .venv
BIN := $(abspath $(VENV))/bin
IN_VENV := PATH="$(BIN):$$PATH"
MOZCODEC := packages/mozcodec
COMMA := ,
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
	@start=$$(date +%s); echo "test: everything not marked slow (about 8 minutes on 2 cores)"; \
	$(IN_VENV) ruff check && $(IN_VENV) mypy packages/mozcodec/src packages/evaluation/src packages/detector/src tools && \
	$(IN_VENV) python -m pytest -m "not slow" && echo "test: done in $$(( $$(date +%s) - start )) s"

test-all: setup
	@start=$$(date +%s); echo "test-all: the slow tests too (about 40 minutes on 2 cores)"; \
	$(IN_VENV) python -m pytest && echo "test-all: done in $$(( $$(date +%s) - start )) s"

MODELS ?= meso4,mesoinception4,efficientnet_b4,multi_attention
QUALITIES ?= 77,60,15,10
# of all videos; null: the frames_real and frames_fake of params.yaml. The sample has 25 frames a second
FRAMES_PER_SECOND ?= null,25
SEEDS ?= 1,2,3
# says above a table that its faces are synthetic, where they are
DATASET = $(if $(wildcard data/dataset.json),--dataset data/dataset.json)

grid: setup
	@$(IN_VENV) sh -c 'detector grid model=$(MODELS) quality=$(QUALITIES) faces.frames_per_second=$(FRAMES_PER_SECOND) \
	seed=$(SEEDS) && evaluation grid out/experiments/experiments.csv $(DATASET) --out out/grid.md --csv out/grid.csv \
	$(if $(findstring $(COMMA),$(FRAMES_PER_SECOND)),--versus faces.frames_per_second)'

seeds: setup
	@$(IN_VENV) sh -c 'detector grid quality=77,10 seed=1,2,3 --out out/seeds && \
	evaluation grid out/seeds/experiments.csv $(DATASET) --versus quality --out out/seeds.md --csv out/seeds.csv'

bench: setup
	$(IN_VENV) python $(MOZCODEC)/benchmarks/benchmark.py encode

throughput: setup
	@$(IN_VENV) python -m tools throughput

throughput-gpu bench-gpu: setup
	@$(IN_VENV) python -m tools.throughput_gpu --out out/gpu

study-scaling: setup
	@$(IN_VENV) python $(MOZCODEC)/benchmarks/study.py --faces out/faces

OUT ?= out/sample

sample: setup
	@$(IN_VENV) python -m tools sample $(OUT) --workers 2

setup: $(VENV)/.complete $(VENV)/.data
	@git config user.email >/dev/null || ! git rev-parse --git-dir >/dev/null 2>&1 || { git config user.name experiment; git config user.email experiment@localhost; \
	echo "setup: git knew no name to commit under, which dvc exp run --queue needs: this clone now uses \"experiment\""; }

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

.PHONY: repro test test-all grid seeds sample bench throughput throughput-gpu bench-gpu study-scaling setup
