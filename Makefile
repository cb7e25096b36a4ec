# Parameters: set them in the environment or on the command line, as in: make run N_CUSTOMERS=1000000
export N_CUSTOMERS ?= 100000
export SEED ?= 42
export AS_OF_DATE ?=
export TRANSACTIONS ?=
export CUSTOMERS ?=
export MAPPING ?=
export REPLACE_LOADED ?=
export CUSTOMER_ID ?=
export SPARK_MASTER ?= local[*]
export SPARK_DRIVER_MEMORY ?= 6g
export SPARK_SETTINGS ?=
export THRIFT_PORT ?= 10000
export CONNECT_PORT ?= 15002
export SPARK_UI_PORT ?= 4040
export SITE_PORT ?= 8080
export HISTORY_PORT ?= 18080
export STATE_DIR ?= .spark

export PATH := $(CURDIR)/.venv/bin:$(PATH)
SERVER := .venv/bin/python -m server
# A PySpark step, sent to the server's Connect door; the token stays out of the command line.
STEP = SPARK_REMOTE="sc://localhost:$(CONNECT_PORT)" \
	SPARK_CONNECT_AUTHENTICATE_TOKEN="$$(cat "$(STATE_DIR)/connect-token")" .venv/bin/python
# The shell takes a path from its environment: whatever is in it, it means itself.
LOAD = $(STEP) -m ml.load --transactions "$$TRANSACTIONS" \
	$(if $(CUSTOMERS),--customers "$$CUSTOMERS") $(if $(MAPPING),--mapping "$$MAPPING")
SITE = $(STEP) -m reports.build_site
GENERATE = $(STEP) -m ml.generate --customers "$(N_CUSTOMERS)" --seed "$(SEED)" \
	$(if $(filter yes,$(REPLACE_LOADED)),--replace-loaded)

# One at a time: two would build the same tables.
ALONE = python3 -m server.lock "$(STATE_DIR)" $(MAKE) --no-print-directory

.PHONY: help run run_alone load_alone erase_alone derive before_ml after_ml cluster_customers lifetime_value load erase test test_all bench lint up down status sql history profile docs site serve pictures setup setup-tests lock audit clean

help:  ## what there is to run
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' Makefile | expand -t 10

run:  ## everything: data, models, personas, lifetime value, the sites, and a summary
	+@$(ALONE) run_alone

run_alone: setup
	@.venv/bin/python -m server.parameters
	@$(SERVER) up
	@$(if $(TRANSACTIONS),$(LOAD),$(GENERATE))
	@$(MAKE) --no-print-directory derive

derive:
	@$(MAKE) --no-print-directory before_ml
	@$(MAKE) --no-print-directory --jobs=2 cluster_customers lifetime_value
	@$(MAKE) --no-print-directory after_ml
	@$(SITE)
	@.venv/bin/python -m reports.summary

before_ml after_ml:
	@dbt build --selector $@ --exclude-resource-type unit_test

# Neither needs the other, and each leaves a core idle.
cluster_customers:
	@$(STEP) -m ml.cluster --seed "$(SEED)"

lifetime_value:
	@$(STEP) -m ml.lifetime_value

load:  ## adds TRANSACTIONS (and CUSTOMERS) to what is loaded
	+@$(ALONE) load_alone

load_alone: setup
	@.venv/bin/python -m server.parameters
	@$(SERVER) up
	@$(LOAD) --append

erase:  ## erases CUSTOMER_ID from the raw tables, and makes everything anew without
	+@$(ALONE) erase_alone

erase_alone: setup
	@$(SERVER) up
	@$(STEP) -m ml.erase
	@$(MAKE) --no-print-directory derive
	@dbt --quiet run-operation drop_earlier_builds
	@$(SERVER) forget

test: setup-tests lint  ## lint, then the tests, on ports and state of their own
	@.venv/bin/pytest -m "not slow"

test_all: setup-tests lint
	@.venv/bin/pytest

bench: setup-tests  ## times every step at N_CUSTOMERS, on ports and state of its own, beside other ways to do it
	@PYTHONPATH=tests .venv/bin/python -m tests.bench.bench --customers "$(N_CUSTOMERS)"

lint: setup-tests  ## ruff, sqlfluff and yamllint
	@.venv/bin/ruff check
	@.venv/bin/ruff format --check
	@.venv/bin/yamllint --strict .
	@.venv/bin/sqlfluff lint

up: setup  ## starts the Spark server and waits until it answers
	@$(SERVER) up

down: setup  ## stops the Spark server and the history server; the tables stay
	@$(SERVER) down

status: setup  ## says what runs where
	@$(SERVER) status

sql: setup  ## a SQL prompt on the marts
	@$(SERVER) sql

history: setup  ## Spark's history server: the jobs of past runs
	@$(SERVER) history

profile: setup  ## says where the time of the last run went
	@.venv/bin/python -m server.profile_run

docs: setup  ## the lineage site, as one file: target/static_index.html
	@$(SERVER) up
	@dbt --quiet docs generate --static
	@echo "The lineage site is target/static_index.html"

site: setup  ## the insight site, and the lineage site in it: target/site/index.html
	@$(SERVER) up
	@$(SITE)

serve: setup  ## serves both sites on loopback, until Ctrl-C
	@.venv/bin/python -m server.serve "$${DBT_TARGET_PATH:-target}/site" "$(SITE_PORT)"

pictures: setup-tests  ## takes the README's pictures of the site anew (needs chromium)
	@.venv/bin/python -m reports.pictures

setup: .venv/ready

setup-tests: .venv/ready-for-tests

INSTALL := .venv/bin/pip install --quiet --disable-pip-version-check --no-deps --require-hashes

# Made anew when the requirements change, and after an installation that broke off half-way.
.venv/ready: requirements.txt requirements-java.txt
	@python3 -c 'import sys; sys.exit(None if sys.version_info >= (3, 11) else \
		"error: Python 3.11 or newer is needed; python3 is " + sys.version.split()[0])'
	@echo "Installing the pinned requirements into .venv (once; about a minute)"
	@rm -rf .venv
	@python3 -m venv .venv
	@$(INSTALL) -r requirements.txt
	@$(SERVER) find-java >/dev/null 2>&1 || $(INSTALL) -r requirements-java.txt
	@touch .venv/ready

.venv/ready-for-tests: .venv/ready requirements-tests.txt
	@$(INSTALL) -r requirements-tests.txt
	@touch .venv/ready-for-tests

lock:  ## pins requirements*.in anew (needs uv)
	@for name in requirements requirements-java requirements-tests; do \
		uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes \
			--no-emit-index-url --no-emit-find-links --custom-compile-command "make lock" \
			$$name.in --output-file $$name.txt; \
	done

audit:  ## looks the pinned packages up among the known vulnerabilities (needs uv, and the network)
	@for name in requirements requirements-java requirements-tests; do \
		uvx pip-audit --require-hashes --disable-pip --requirement $$name.txt || exit 1; \
	done

clean:  ## stops the server and removes the state: tables, logs, docs
	@if [ -x .venv/bin/python ]; then $(SERVER) down; fi
	@rm -rf "$(STATE_DIR)" target logs
