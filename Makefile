# make run   the whole platform on this machine; make test   all tests; nothing else is needed but Python >= 3.11
# make test WORKERS=3   as much of the suite waits, more workers than processors may be quicker
# make run DATA="a folder" ARGS='--set gateway.port=9000'
PYTHON ?= python3
DATA ?= var
ARGS ?=
WORKERS ?= 2
PY = .venv/bin/python

.PHONY: platform venv dbt run test lint services simulate simulate-day torture torture-gateway soak bench

PIP = $(PY) -m pip install --disable-pip-version-check -c constraints.txt

platform: .venv/platform
venv: .venv/installed
dbt: .venv-dbt/installed

.venv/platform: pyproject.toml constraints.txt
	@echo 'Installing the platform into .venv: once, 300 MB of downloads (1.1 GB of disk), a minute or two.'
	$(PYTHON) -m venv .venv
	$(PIP) -e .
	@touch $@

.venv/installed: .venv/platform
	@echo 'Installing what tests and benchmarks need beside the platform.'
	$(PIP) --quiet -e '.[test,bench]'
	@touch $@

.venv-dbt/installed: constraints-dbt.txt
	@echo 'Installing dbt into .venv-dbt, apart from ours: tests run the exported project with it.'
	$(PYTHON) -m venv .venv-dbt
	.venv-dbt/bin/python -m pip install --disable-pip-version-check --quiet -c $< dbt-core dbt-clickhouse
	@touch $@

run: platform
	$(PY) -m gcc.supervisor --config config/embedded.toml --data "$(DATA)" $(ARGS)

lint: venv
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy

test: lint
	$(PY) -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder

services: venv
	$(PY) -m tests.services

simulate: venv
	$(PY) -m tests.simulation --seed 0 --seeds 200
	$(PY) -m tests.simulation --seeds 50

simulate-day: venv
	$(PY) -m tests.simulation --seed 24 --hours 24 --jobs 20000 --burst 900 --concurrency 400 --seed-limit 3600

torture: venv
	$(PY) -m tests.torture --seconds 600 $(TORTURE)
	$(PY) -m tests.torture.fuzz --cases 1000000

torture-gateway: venv
	$(PY) -m tests.torture.gateway --minutes 60

soak: venv
	$(PY) -m bench.soak --minutes 10

bench: venv
	$(PY) -m bench.api
	$(PY) -m bench.gateway
	$(PY) -m bench.revocation
	$(PY) -m bench.start
	$(PY) -m bench.exchange
	$(PY) -m bench.sink
	$(PY) -m bench.scrape
	$(PY) -m bench.limits
	$(PY) -m bench.jobs
	$(PY) -m bench.finished
	$(PY) -m bench.claims
	$(PY) -m bench.models
	$(PY) -m bench.sync
	$(PY) -m bench.scoring
