# Parameters: set them in the environment or on the command line, as in: make run N_CUSTOMERS=1000000
export N_CUSTOMERS ?= 100000
export SEED ?= 42
export AS_OF_DATE ?=
export TRANSACTIONS ?=
export CUSTOMERS ?=
export MAPPING ?=
export REPLACE ?=
export REPLACE_LOADED ?=
export REPLACE_ORDERS ?=
export FRESH ?=
export CUSTOMER_ID ?=
export SPARK_MASTER ?= local[*]
export SPARK_DRIVER_MEMORY ?=
export SPARK_SETTINGS ?=
export THRIFT_PORT ?= 10000
export CONNECT_PORT ?= 15002
export SPARK_UI_PORT ?= 4040
export SITE_PORT ?= 8080
export HISTORY_PORT ?= 18080
# These hold texts of the user: make must not expand a `$` in them.
override STATE_DIR := $(or $(value STATE_DIR),.spark)
export STATE_DIR
$(foreach name,CUSTOMER_ID TRANSACTIONS CUSTOMERS MAPPING SPARK_SETTINGS,\
	$(eval override $(name) := $$(value $(name))))
# The environment to build. The schemas of prod have plain names; those of another begin with the prefix.
export DBT_TARGET ?= prod
ifeq ($(DBT_TARGET),prod)
override DBT_SCHEMA_PREFIX :=
else
DBT_SCHEMA_PREFIX ?= $(shell echo "$${USER:-dev}" | tr A-Z.- a-z__)
export DBT_TARGET_PATH ?= target/$(DBT_SCHEMA_PREFIX)
export DBT_LOG_PATH ?= logs/$(DBT_SCHEMA_PREFIX)
endif
export DBT_SCHEMA_PREFIX
# In STATE_DIR, the names of the lock and the record end with the environment's prefix.
SUFFIX := $(DBT_SCHEMA_PREFIX:%=-%)

PYTHON := .venv/bin/python
DBT := .venv/bin/dbt
SERVER := $(PYTHON) -m server
# Two processes, each with a server. tests/conftest.py explains which tests run together, and in which order.
PYTEST := .venv/bin/pytest --numprocesses=2 --dist=loadgroup --no-loadscope-reorder
# A PySpark step gets the token as an environment variable, because others can see its command line.
# It must not look for the server behind a proxy of the environment.
STEP = SPARK_REMOTE="sc://localhost:$(CONNECT_PORT)" no_grpc_proxy=localhost \
	SPARK_CONNECT_AUTHENTICATE_TOKEN="$$(cat "$$STATE_DIR/connect-token")" $(PYTHON)
GENERATE = $(STEP) -m ml.generate --customers "$(N_CUSTOMERS)" --seed "$(SEED)" \
	$(if $(REPLACE_LOADED),--replace-loaded)
# Paths are environment variables, so that the shell does not interpret special characters in them.
LOAD = $(STEP) -m ml.load --transactions "$$TRANSACTIONS" \
	$(if $(CUSTOMERS),--customers "$$CUSTOMERS") $(if $(MAPPING),--mapping "$$MAPPING")

LAST_RUN = $(STEP) -m server.last_run
# dbt's cache of the parsed project.
PARSED := $(or $(DBT_TARGET_PATH),target)/partial_parse.msgpack

# One lock covers all steps of an environment, because two runs would build the same tables. Two steps run at a time; with
# -j N, where N is 2 or more, N steps do.
LOCKED = python3 -m server.lock "$$STATE_DIR/at-work$(SUFFIX)" $(MAKE) --no-print-directory \
	$(if $(findstring jobserver,$(MAKEFLAGS)),,--jobs=2)

.PHONY: help run load erase needed parameters raw added erased before_ml clusters lifetime_value after_ml \
	changed_models site summary recorded forgotten test test_all test_hours bench lint up down status sql \
	history profile docs serve pictures setup setup-tests lock audit clean

help:  ## lists the commands
	@sed -n 's/^\([a-z_]*\):.*## /\1\t/p' Makefile | expand -t 12

run:  ## rebuilds what has changed (data, models, personas, lifetime value, sites), and shows a summary
	+@$(LOCKED) needed

load:  ## adds the new files of TRANSACTIONS (and CUSTOMERS) to the loaded data
	+@$(LOCKED) BEGIN=added added

erase:  ## erases the customer CUSTOMER_ID from the raw tables, and rebuilds everything
	+@$(LOCKED) BEGIN=erased forgotten

# The flow. BEGIN is the step that changes the raw tables. Without BEGIN, as in `make site`, a step uses
# the tables as they are. Several goals then run one after another, even with -j.
ifeq ($(origin BEGIN),command line)
up: parameters
$(BEGIN): up
before_ml: $(BEGIN) $(PARSED)
clusters lifetime_value: before_ml
after_ml: clusters lifetime_value
site: after_ml
summary recorded: site
forgotten: summary
else
.NOTPARALLEL:
endif

parameters: setup
	@$(PYTHON) -m server.parameters

# What has changed since the last run decides which steps are needed, and whether the last fits are kept.
# `parameters` and `up` have run, so they do not run again. Nothing follows a step that fails, even with -k.
needed: parameters up
	+@needs() { $(MAKE) --stop --old-file=parameters --old-file=up "$$@"; }; \
	case "$$($(LAST_RUN) scope)" in \
		nothing) needs summary ;; \
		page) needs site summary recorded ;; \
		models) needs changed_models site summary recorded ;; \
		data) needs BEGIN=raw summary recorded ;; \
		tables) needs BEGIN=raw FULL_REFRESH=--full-refresh summary recorded ;; \
		everything) needs BEGIN=raw FULL_REFRESH=--full-refresh FRESH=yes summary recorded ;; \
		*) exit 1 ;; \
	esac

# All environments share the raw data, and only prod changes them.
raw:
	@$(if $(DBT_SCHEMA_PREFIX),:,$(if $(TRANSACTIONS),$(LOAD),$(GENERATE)))

added:
	@$(LOAD) --append $(if $(REPLACE),--replace-changed) $(if $(REPLACE_ORDERS),--replace-orders)

erased:
	@$(STEP) -m ml.erase

# In a first run, dbt reads the project while Spark reads the data.
$(PARSED): | parameters
	@$(DBT) --quiet parse

before_ml after_ml:
	@$(DBT) build --selector $@ $(FULL_REFRESH) --exclude-resource-type unit_test

# These two steps run side by side: neither reads the other's tables, and each leaves a core idle.
clusters:
	@$(STEP) -m ml.cluster --seed "$(SEED)" $(if $(FRESH),--fresh)

lifetime_value:
	@$(STEP) -m ml.lifetime_value $(if $(FRESH),--fresh)

changed_models:
	@$(DBT) build --select state:modified+ --state "$$STATE_DIR/last-run$(SUFFIX)" --exclude-resource-type unit_test

ifeq ($(MAKELEVEL),0)
site:  ## builds the insight site, with the lineage site in it: target/site/index.html
	+@$(LOCKED) site
else
site: up
	@$(STEP) -m reports.build_site
endif

summary:
	@$(PYTHON) -m reports.summary

recorded:
	@$(LAST_RUN) record

forgotten: up  ## completes an erasure that stopped halfway: drops old builds, stored failures and logs
	@$(DBT) --quiet run-operation drop_earlier_builds
	@python3 -m server.lock "$$STATE_DIR/starting" $(SERVER) forget

test: setup-tests lint  ## lint, then the tests that most changes need, on their own ports and state
	@$(PYTEST) -m "not slow and not hours"

test_all: setup-tests lint  ## the same, and the tests of every data set, faults, load, increments, a cluster
	@$(PYTEST) -m "not hours"

test_hours: setup-tests  ## the tests with fifty kills and hundreds of hostile files
	@$(PYTEST) -m hours

bench: setup-tests  ## times each step with N_CUSTOMERS, and other tools; AGAINST=COMMIT compares runs with that commit
	@PYTHONPATH=tests $(PYTHON) -m $(if $(AGAINST),tests.bench.against "$(AGAINST)",tests.bench.bench) \
		--customers "$(N_CUSTOMERS)"

# Two at a time, the slowest first.
lint: setup-tests  ## ruff, mypy, sqlfluff and yamllint
	@printf '%s\n' "sqlfluff lint" mypy "yamllint --strict ." "ruff check" "ruff format --check" | \
		xargs -P 2 -I{} sh -c '.venv/bin/{}'

up: setup  ## starts the Spark server and waits until it answers
	@python3 -m server.lock "$$STATE_DIR/starting" $(SERVER) up

# Without `setup`: a new installation would remove the files of the running server.
down:  ## stops the Spark server and the history server; the tables stay
	@if [ -e .venv/ready ]; then $(SERVER) down; elif [ -e "$$STATE_DIR/server.pid" ]; then \
		echo "error: .venv is missing or incomplete; run make setup first, to stop the server" >&2; exit 1; fi

status: setup  ## shows what runs where, and with how much memory
	@$(SERVER) status

sql: setup  ## opens a SQL prompt on the marts
	@$(SERVER) sql

history: setup  ## starts Spark's history server: the jobs of past runs
	@$(SERVER) history

profile: setup  ## shows where the time of the last run went
	@$(PYTHON) -m server.profile_run

docs: up  ## builds the lineage site as one file: target/static_index.html
	@$(DBT) --quiet docs generate --static
	@echo "The lineage site is $${DBT_TARGET_PATH:-target}/static_index.html"

serve: setup  ## serves both sites on loopback, until Ctrl-C
	@$(PYTHON) -m server.serve "$${DBT_TARGET_PATH:-target}/site" "$(SITE_PORT)"

pictures: setup-tests  ## takes the README's pictures of the site again (needs chromium)
	@$(PYTHON) -m reports.pictures

setup: .venv/ready

setup-tests: .venv/ready-for-tests

# pip installs uv, and uv the other packages, because it is faster. pip installs everything if uv is missing
# or fails, or if pip's settings name another index, because uv does not read them.
UV := .venv/bin/uv --quiet pip install --python .venv --no-deps --require-hashes
PIP := .venv/bin/pip install --quiet --disable-pip-version-check --no-deps --require-hashes
INSTALL := install() { $(UV) -r $$1 2>/dev/null || $(PIP) -r $$1; }; install

# .venv is made again when the requirements change, and after an installation that stopped halfway. A second make
# waits for the first, and then finds .venv ready.
.venv/ready: requirements.txt requirements-java.txt requirements-uv.txt
ifndef INSTALLING
	+@python3 -m server.lock .venv.lock $(MAKE) --silent --no-print-directory INSTALLING=yes $@
else
	@python3 -c 'import sys; sys.exit(None if sys.version_info >= (3, 11) else \
		"error: Python 3.11 or newer is needed; python3 is " + sys.version.split()[0])'
	@echo "Installing the pinned requirements into .venv (once; about a minute)"
	@rm -rf .venv
	@python3 -m venv .venv
	@.venv/bin/pip config list | grep --quiet index-url || $(PIP) -r requirements-uv.txt 2>/dev/null || true
	@$(INSTALL) requirements.txt
	@$(SERVER) find-java >/dev/null 2>&1 || { $(INSTALL) requirements-java.txt; }
	@touch .venv/ready
endif

.venv/ready-for-tests: .venv/ready requirements-tests.txt
	@$(INSTALL) requirements-tests.txt
	@touch .venv/ready-for-tests

lock: setup  ## pins requirements*.in again
	@for name in requirements requirements-java requirements-tests requirements-uv; do \
		.venv/bin/uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes \
			--no-emit-index-url --no-emit-find-links --custom-compile-command "make lock" \
			$$name.in --output-file $$name.txt || exit 1; \
	done

audit: setup  ## checks the pinned packages for known vulnerabilities
	@for name in requirements requirements-java requirements-tests requirements-uv; do \
		.venv/bin/uvx pip-audit --require-hashes --disable-pip --requirement $$name.txt || exit 1; \
	done

clean: down  ## stops the server and removes the state: tables, logs, sites
	@rm -rf "$$STATE_DIR" target logs
