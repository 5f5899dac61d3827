# Crossfade's commands. `make up` and `make test` need nothing but Python 3.11+ and this folder.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
EXTRAS := ai,embedded,fleet,tracing,mqtt,track,bench,dev
# Where torch comes from, if not from the ordinary index. Its CPU build saves gigabytes on a machine without a GPU:
#   make setup TORCH_INDEX=https://download.pytorch.org/whl/cpu
TORCH_INDEX ?=

.PHONY: setup up down test check eval bench evidence proof clean docs chaos chaos-random soak browser audit fuzz

setup: $(READY)

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and f"Crossfade needs Python 3.11 or newer, {sys.executable} is {sys.version.split()[0]}; try: make PYTHON=python3.12")'
	@echo "Installing into $(VENV); the first time that takes minutes."
	$(PYTHON) -m venv $(VENV)
	$(if $(TORCH_INDEX),$(BIN)/python -m pip install -q -c constraints.txt --index-url $(TORCH_INDEX) torch)
	$(BIN)/python -m pip install -q -c constraints.txt -e '.[$(EXTRAS)]'
	@touch $@

up: setup
	$(BIN)/crossfade up

down: setup
	$(BIN)/crossfade down

# Three runs, each whatever the ones before said: what needs few parts, one process more than there are cores, for much of
# it waits; what needs a whole stack, one process a core, the longest files first; what measures, with the machine for
# itself. In each three tests may be wrong once, and are shown: docs/decisions.md.
CORES = $$($(BIN)/python -c 'import os; print(os.cpu_count())')
PYTEST = $(BIN)/python -m pytest -q --reruns 1 --max-suite-reruns 3 --rerun-show-tracebacks --max-worker-restart 0
test: setup
	@failed=0; \
	$(PYTEST) -m "beside and not alone" -n $$(($(CORES) + 1)) --dist loadfile || failed=$$?; \
	$(PYTEST) -m "not beside and not alone" -n $(CORES) --dist loadfile --no-loadscope-reorder || failed=$$?; \
	$(PYTEST) -m alone || failed=$$?; \
	exit $$failed

check: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

eval: setup
	$(BIN)/python -m ai.demo.evaluate

# What docs/performance.md shows, measured again: two hours on 2 cores. `crossfade bench` names all suites.
SUITES ?= cpu rate overhead growth judge load baseline client backend
bench: setup
	$(BIN)/crossfade bench $(SUITES)

# What the tests of the ramp promise, by simulation: two minutes for the tests, ten for whole ramps; see docs/evidence.md.
evidence: setup
	$(BIN)/python -m benchmarks.evidence
	$(BIN)/python -m benchmarks.ramp_simulation

# A healthy Triton earns all requests, each of nine planted faults is caught: half an hour, see docs/proof.md.
proof: setup
	$(BIN)/python -m benchmarks.proof

# The pages that are made from the code: settings, commands, API.
docs: setup
	$(BIN)/python -m docs.making

# The console, as a real browser shows it (Debian's chromium); the pictures in docs/img are made again.
browser: setup
	$(BIN)/python -m pytest tests/browser
	$(BIN)/python -m tests.browser.pictures

# Every fault, lie and flood of docs/reliability.md on the real stack, on loopback: a quarter of an hour.
chaos: setup
	$(BIN)/python -m tests.chaos

# Ten minutes of faults at random, planned from a seed, and the check of all that was kept of them.
chaos-random: setup
	$(BIN)/python -m tests.chaos.random_run

# Half of what the stack carries, with a fault a minute and nothing that may grow: two hours.
soak: setup
	$(BIN)/python -m tests.chaos.soak

# What is installed is what was pinned, and no advisory knows a hole in it; that half asks PyPI, see SECURITY.md.
audit: setup
	$(BIN)/python -m tests.security.audit

# Spoiled pictures, answers and requests, 100,000 of each: a quarter of an hour; see docs/fuzzing.md.
fuzz: setup
	$(BIN)/python -m tests.fuzz --json benchmarks/results/fuzz.json

clean:
	rm -rf $(VENV) var build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache .schemathesis
