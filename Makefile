# Everything a new machine needs is Python, make and a network; uv brings the rest.

UV := $(shell scripts/find-uv)
RUN := .venv/bin/python
SPACE := nexception
DEMO := --dataset digits --width tiny --val-fraction 0.25 --min-epochs 1 --max-epochs 4 --eta 2

.PHONY: search test acceptance test-all lint docs lowest quality bench gpu faults fuzz setup help

help: ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

search: setup ## a real search on embedded images, 3 minutes; SPACE=resnet for another base
	$(RUN) -m nas.search $(DEMO) --space $(SPACE) --budget 3m

test: setup ## the quick tests
	$(RUN) -m pytest -q -n 2 --dist loadfile --no-loadscope-reorder

acceptance: setup ## what README and docs tell to type, and DeepCAVE in a browser; needs redis-server and Chromium
	$(RUN) -m pytest -q -n 2 --dist loadfile --no-loadscope-reorder -m acceptance

test-all: setup ## all of them, the slow ones too, but those that need a GPU
	$(RUN) -m pytest -q -m "not gpu"

bench: setup ## speed of this machine's CPU, written into docs/performance.md; half an hour
	$(RUN) -m benchmarks.performance

gpu: setup ## the tests that need a GPU, and its speed, written into docs/performance.md; 12 minutes
	$(RUN) -m benchmarks.gpu

quality: setup ## does the default search still choose well? races on a problem of each kind
	$(RUN) -m benchmarks.quality.gate

lint: setup ## ruff, mypy and the directions of imports
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .
	$(RUN) -m mypy
	.venv/bin/lint-imports --no-cache

docs: setup ## the documentation as a site, site/index.html; warnings are errors
	$(RUN) -m sphinx --fail-on-warning --keep-going --quiet --builder html docs site

lowest: ## the quick tests with the oldest Python and dependencies that are allowed, in .venv-lowest
	uv=$(or $(UV),$$(scripts/install-uv)) && $$uv venv --clear --python 3.10 .venv-lowest && \
	VIRTUAL_ENV=.venv-lowest $$uv pip install --resolution lowest-direct --editable . --group test
	.venv-lowest/bin/python -m pytest -q -n 2 --dist loadfile --no-loadscope-reorder

faults: setup ## kill, fill, flip and freeze real searches; 6 to 40 minutes
	$(RUN) -m tests.faults.campaign --kills 100

fuzz: setup ## random and hostile input for every parser; 10 minutes
	$(RUN) -m tests.security.fuzz --minutes 10

setup: .venv/.synced ## the environment, from the lock file

.venv/.synced: pyproject.toml uv.lock .python-version
	@echo "setting up .venv, once: about 3.6 GB to download (most of it PyTorch with CUDA), twice that on the disk"
	$(if $(UV),$(UV),$$(scripts/install-uv)) sync --frozen
	@# Read by every command and trial process, also where they may not write it.
	$(RUN) -m compileall -q -x '/\.venv/' nas search_spaces analysis
	@touch $@
