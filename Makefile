# `make help` lists the targets. PYTHON is the interpreter to use (3.11 or newer, with venv).
PYTHON ?= python3
CONFIG ?= otari.yaml
VENV := .venv
BIN := $(VENV)/bin

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help run build test check bench e2e e2e-real nightly prices reference lock clean

help: ## list the targets
	@sed -n 's/^\([a-z0-9-]*\):.*## \(.*\)/  make \1\t\2/p' $(firstword $(MAKEFILE_LIST)) | expand -t 20

run: build $(CONFIG) ## build if needed and start the gateway with otari.yaml
	@exec ./otari.pyz --config $(CONFIG)

# Only if it is missing: this file belongs to whoever runs the gateway.
otari.yaml:
	cp otari.yaml.example $@

build: ## build otari.pyz, unless it is up to date
	@PYTHON="$(PYTHON)" scripts/build_zipapp.sh

# What was compiled is kept, whatever the environment says: the workers and the programs that tests start want it again.
test: $(VENV)/installed ## run the tests in parallel; fails when there are none
	PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest tests --ignore=tests/e2e --ignore=tests/e2e_real -n auto

check: $(VENV)/installed ## formatting, lint, types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

bench: $(VENV)/installed build ## measure against the yardstick proxy of the same run
	$(BIN)/python benchmarks/run.py

# Two files at a time: each has a gateway of its own, on a port that the system chooses. In the order of their names the
# few long tests do not come last.
e2e: $(VENV)/installed build ## drive the built file with real clients
	@scripts/e2e_tools.sh
	$(BIN)/python -m pytest tests/e2e -n 2 --dist loadfile --no-loadscope-reorder

e2e-real: $(VENV)/installed build ## the same against a real model server
	$(BIN)/python scripts/e2e_real.py

# The same tests in their long form; a failure names the seed that repeats it.
nightly: $(VENV)/installed build ## the long runs: 200 kills, 2,000 histories of the ledger, many examples of every law
	OTARI_KILL_ROUNDS=200 $(BIN)/python -m pytest tests/e2e/test_kill.py
	OTARI_FILE_MIB=1024 $(BIN)/python -m pytest tests/e2e/test_files.py
	OTARI_BATCH_LINES=100000 $(BIN)/python -m pytest tests/e2e/test_batches_killed.py
	OTARI_SEEDS=2000 OTARI_STEPS=200 $(BIN)/python -m pytest tests/store/test_simulation.py tests/store/test_ledger_machine.py
	$(BIN)/python -m pytest tests --ignore=tests/e2e --ignore=tests/e2e_real -n auto --hypothesis-profile nightly

# Everything that tests and checks need, as locked; the token tables; and this tree itself, importable as it is.
$(VENV)/installed: requirements/run.txt requirements/dev.txt setup.cfg pyproject.toml scripts/pack_tokens.py
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes \
		--requirement requirements/run.txt --requirement requirements/dev.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	$(BIN)/python scripts/pack_tokens.py config
	@touch $@

# After a new genai-prices has been locked. Look at the difference before committing it: it is what people will be charged.
prices: $(VENV)/installed ## extract the shipped default prices anew
	$(BIN)/python scripts/extract_prices.py config/prices.json

reference: $(VENV)/installed ## write docs/api-reference.md and docs/translation.md from what they are about
	$(BIN)/python scripts/write_api_reference.py
	$(BIN)/python -m scripts.write_translation_matrix

# New versions of everything that we build on. Needs pip-tools; look at the difference before committing it.
lock: ## resolve requirements/*.in anew
	cd requirements && for name in run dev build clients; do \
		CUSTOM_COMPILE_COMMAND="make lock" pip-compile --quiet --upgrade --generate-hashes --allow-unsafe --strip-extras \
			--no-emit-index-url --no-emit-find-links --no-emit-options --output-file $$name.txt $$name.in || exit 1; \
	done

clean: ## remove what was built and installed here
	rm -rf build otari.pyz $(VENV) config/*.pk *.egg-info .hypothesis .mypy_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
