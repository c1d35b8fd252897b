# The verbs of this project; each is one line that calls a tool.

PYTHON ?= python3
BIN := .venv/bin

help:  ## print this list
	@sed -n 's/^\([a-z-]*\):.*## /make \1	/p' $(MAKEFILE_LIST)

setup: .venv/ready  ## install everything at its locked version and digest into .venv

demo: setup  ## tell the story of a cancellation on a system started for it
	$(BIN)/adieu demo

up: setup  ## run the whole system in the foreground
	$(BIN)/adieu up

test: setup  ## run every test that needs no containers (13 minutes on two cores)
	$(BIN)/pytest $(WORKERS) --dist worksteal --ignore tests/containers

test-containers: setup  ## run the image and the compose files, and break them (13 minutes; needs Docker, and Prometheus or a Debian)
	$(BIN)/pytest $(WORKERS) --dist loadfile tests/containers --timeout 600

chaos: setup  ## break a system on purpose, by SEED=n, and check that nothing was lost
	$(BIN)/python -m chaos --seed $(or $(SEED),1)

check: setup  ## check format, rules, types, imports and generated documents
	$(BIN)/ruff format --check && $(BIN)/ruff check && $(BIN)/mypy && $(BIN)/lint-imports && $(BIN)/adieu documents --check && $(BIN)/python -m services.requests.diagram --check

bench: setup  ## measure it beside the least that the same work costs, and draw the charts (20 minutes)
	$(BIN)/python -m bench --charts

bench-soak: setup  ## whether memory grows under an hour of load
	$(BIN)/python -m bench.soak

format: setup  ## format the code and mend what can be mended
	$(BIN)/ruff check --fix && $(BIN)/ruff format

lock: setup  ## renew requirements.lock
	$(BIN)/uv pip compile $(COMPILE) --upgrade pyproject.toml --output-file requirements.lock

chaos-deep: setup  ## a million seeds of the simulation, and every pair of crashes
	$(BIN)/python -m chaos.simulation --pairs && $(BIN)/python -m chaos.simulation --seeds 1000000

teeth: setup  ## damage it in one place after the other, and see which test, simulation or chaos finds it
	$(BIN)/python -m chaos.teeth

clean:  ## forget the local system: its data, secrets and mail
	rm -rf .adieu

# Each has engines of its own.
WORKERS := --numprocesses logical --maxprocesses 4

COMPILE := --quiet --group dev --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --no-emit-index-url

# pip brings the locked uv, and uv the rest: 13 s instead of 33 by pip alone, under the same digests.
.venv/ready: requirements.lock pyproject.toml
	$(PYTHON) -m venv .venv
	sed -n '/^uv==/,/[^\\]$$/p' requirements.lock > .venv/uv.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes --requirement .venv/uv.lock
	$(BIN)/uv pip sync --quiet --python $(BIN)/python --link-mode copy --compile-bytecode --require-hashes requirements.lock
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --offline --editable .
	touch $@

.PHONY: help setup demo up test test-containers check bench bench-soak chaos chaos-deep teeth format lock clean
