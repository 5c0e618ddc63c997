# Every target installs what it needs first, and installs it once: nothing has to be run before it.
# `PYTHON=python3.12 make test` uses another interpreter for .venv.

PYTHON ?= python3
PYTEST_ARGS ?=
BIN := .venv/bin
JS := tests/support/js
OIDC := tests/support/oidc
EDITORS := tests/support/editors
BENCH := tests/bench
OUT ?= $(BENCH)/build/bench.json
FUZZ := tests/fuzz
SOAK := tests/soak
MUTANTS := tests/mutants
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check

export PYTHON
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
# Coverage counts what child processes run, too. `make test PYTEST_ARGS=tests/policy` measures a part, which no gate can
# judge.
TESTS := -m pytest --numprocesses=auto --dist=worksteal
GATE := $(if $(PYTEST_ARGS),true,.ci/coverage $(BIN))

.PHONY: help install install-dev run test test-core cover pythons mindeps check format audit abuse bench bench-quick bench-tools fuzz fuzz-seeds fuzz-sessions mutants soak docs reference man lock deb clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: .venv/.installed ## make .venv with what the daemon needs, from the hash-pinned lock files

install-dev: .venv/.installed-dev ## the same, with what tests, types and lint need

run: .venv/.installed ## start the daemon with its playground on config/demo.yaml, and print the address
	@exec $(BIN)/compartmentd serve --dev --config config/demo.yaml

test: .venv/.installed-dev .venv/.installed-docs $(JS)/node_modules/.installed $(OIDC)/node_modules/.installed $(EDITORS)/node_modules/.installed $(BENCH)/peers/node/node_modules/.installed ## run every test (unit, protocol, real clients, browser), and check coverage
	@.ci/need chromium libatomic1 prometheus nginx haproxy caddy
	@.ci/need gcc libc6-dev libssl-dev faketime
	@.ci/need systemd debhelper debootstrap
	@PYTHON=/usr/bin/python3 .ci/need python3-venv
	@rm -rf .coverage
	$(BIN)/coverage run $(TESTS) $(PYTEST_ARGS)
	@$(GATE)

test-core: .venv/.installed-dev ## run the tests that need Python alone, in well under two minutes
	$(BIN)/python $(TESTS) -m "not slow" $(PYTEST_ARGS)

cover: .venv/.installed-dev ## the same, and check coverage: 95 % of the package, 100 % of policy and tokens
	@rm -rf .coverage
	$(BIN)/coverage run $(TESTS) -m "not slow" $(PYTEST_ARGS)
	@$(GATE)

pythons: ## run the fast tests under every supported Python that is found, each in an environment of its own
	@.ci/pythons

mindeps: ## run the fast tests with the lowest versions of dependencies that pyproject.toml allows
	@.ci/mindeps

bench: bench-tools ## measure ours beside its peers, in some minutes; OUT=FILE says where the JSON goes, the plot beside it
	@$(BIN)/python -m tests.bench --out $(OUT) --plot $(basename $(OUT)).svg

bench-quick: bench-tools ## the same table, in about two minutes
	@$(BIN)/python -m tests.bench --quick --out $(OUT) --plot $(basename $(OUT)).svg

bench-tools: .venv/.installed-bench $(BENCH)/peers/node/node_modules/.installed
	@.ci/need gcc libc6-dev libssl-dev nginx libnginx-mod-nchan
	@$(BIN)/python -m tests.bench --prepare

fuzz: .venv/.installed-fuzz ## feed random bytes to every reader: TIME=60 seconds each, ONLY="TARGET …", JOBS=2
	@$(BIN)/python -m tests.fuzz --seconds $(or $(TIME),60) --jobs $(or $(JOBS),1) $(if $(ONLY),--only $(ONLY))

# The same mutations of the committed seeds every time, by the plain mutator: what it finds is the change's own.
fuzz-seeds: .venv/.installed-dev ## the committed seeds and a fixed number of their mutations to every reader, in a minute
	@$(BIN)/python -m tests.fuzz --plain --seed 1 --inputs $(or $(INPUTS),20000) --seconds 7 --jobs 2

soak: .venv/.installed-dev ## everything at once for TIME=3600 seconds, judged by what memory and descriptors do; OUT=FILE
	@$(BIN)/python -m tests.soak --seconds $(or $(TIME),3600) --out $(if $(filter command line,$(origin OUT)),$(OUT),$(SOAK)/build/soak.json)

fuzz-sessions: .venv/.installed-dev ## run the whole server beside a model of it: EXAMPLES=2000 stories of up to 40 steps
	@STATEFUL_EXAMPLES=$(or $(EXAMPLES),2000) $(BIN)/python -m pytest -q --timeout=0 -m "not slow" tests/fuzz/test_stateful.py

mutants: .venv/.installed-mutants ## change the code in small ways, and list what no test notices: MODULES="policy tokens.claims", SAMPLE=60
	@$(BIN)/python -m pytest -q $(MUTANTS)/check_mutations.py
	@$(BIN)/python -m tests.mutants $(or $(MODULES),policy tokens) $(if $(SAMPLE),--sample $(SAMPLE))

audit: .venv-audit/.installed ## ask the registries about every locked package; ends with 3 where they give no data
	@.ci/audit .venv-audit/bin

check: .venv/.installed-dev ## types, lint and format
	$(BIN)/mypy
	$(BIN)/ruff check
	$(BIN)/ruff format --check

format: .venv/.installed-dev ## put the code into the house format
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

abuse: .venv/.installed-dev ## attack a daemon in some sixty ways, well-behaved clients beside, and print the table; NAMES="A5 floods" for some
	@$(BIN)/python -m tests.abuse $(NAMES)

docs: .venv/.installed-docs ## build the documentation into dist/docs; a warning is an error
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

reference: .venv/.installed ## write what is generated: docs/reference from the code's tables, and the schemas for editors
	$(BIN)/python -m docs.generate

man: .venv/.installed ## write config/man/compartmentd.1, the man page, from the command line's help
	$(BIN)/python -m compartmentd.cli.manual > config/man/compartmentd.1.new
	@mv config/man/compartmentd.1.new config/man/compartmentd.1

# The hashes of every file that is installed are in the lock files: --require-hashes takes nothing else. The
# package itself is installed as a link to this tree, by the build backend that the lock names.
.venv/.installed: requirements.lock requirements-build.lock pyproject.toml
	@.ci/need python3-venv
	@echo "installing into .venv, once"
	@$(PYTHON) -m venv .venv
	@$(PIP) --require-hashes --only-binary :all: -r requirements.lock -r requirements-build.lock
	@$(PIP) --no-deps --no-build-isolation --editable .
	@touch $@

.venv/.installed-dev: .venv/.installed requirements-dev.lock
	@$(PIP) --require-hashes --only-binary :all: -r requirements-dev.lock
	@touch $@

.venv/.installed-bench: .venv/.installed requirements-bench.lock
	@$(PIP) --require-hashes --only-binary :all: -r requirements-bench.lock
	@touch $@

.venv/.installed-fuzz: .venv/.installed-dev requirements-fuzz.lock
	@$(PIP) --require-hashes --only-binary :all: -r requirements-fuzz.lock
	@touch $@

.venv/.installed-mutants: .venv/.installed-dev requirements-mutants.lock
	@$(PIP) --require-hashes --only-binary :all: -r requirements-mutants.lock
	@touch $@

.venv-audit/.installed: requirements-audit.lock
	@$(PYTHON) -m venv .venv-audit
	@.venv-audit/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes --only-binary :all: -r $<
	@touch $@

.venv/.installed-docs: .venv/.installed requirements-docs.lock
	@$(PIP) --require-hashes --only-binary :all: -r requirements-docs.lock
	@touch $@

# The provider, and the newest language server, run on a Node that is one of the provider's packages: they want a newer
# one than distributions have.
%/node_modules/.installed: %/package.json %/package-lock.json
	@.ci/need nodejs npm
	@cd $* && npm ci --ignore-scripts --no-audit --no-fund
	@touch $@

UPGRADE ?= --upgrade
COMPILE := .venv-lock/bin/pip-compile --quiet $(UPGRADE) --strip-extras --generate-hashes \
    --no-emit-options --no-emit-index-url --no-emit-find-links

lock: ## resolve the lock files anew; UPGRADE= keeps the versions that still fit, after a change of dependencies
	$(PYTHON) -m venv .venv-lock
	.venv-lock/bin/python -m pip install --quiet pip-tools
	$(COMPILE) --output-file=requirements.lock pyproject.toml
	$(COMPILE) --constraint=requirements.lock --extra=dev --extra=otel --extra=lsp --output-file=requirements-dev.lock pyproject.toml
	$(COMPILE) --constraint=requirements-dev.lock --extra=bench --output-file=requirements-bench.lock pyproject.toml
	$(COMPILE) --constraint=requirements-dev.lock --extra=fuzz --output-file=requirements-fuzz.lock pyproject.toml
	$(COMPILE) --constraint=requirements-dev.lock --extra=mutants --output-file=requirements-mutants.lock pyproject.toml
	$(COMPILE) --constraint=requirements-dev.lock --output-file=requirements-build.lock requirements-build.in
	$(COMPILE) --constraint=requirements-dev.lock --output-file=requirements-docs.lock requirements-docs.in
	$(COMPILE) --constraint=requirements-dev.lock --output-file=requirements-audit.lock requirements-audit.in
	rm -r .venv-lock

deb: ## build the Debian package, with an environment of its own, into dist/
	@.ci/need debhelper
	@PYTHON=/usr/bin/python3 .ci/need python3-venv
	debian/build dist

clean: ## remove everything that the other targets made
	rm -rf .venv .venv-* .coverage dist $(JS)/node_modules $(OIDC)/node_modules $(EDITORS)/node_modules .mypy_cache .ruff_cache .pytest_cache .hypothesis
	rm -rf $(FUZZ)/build $(MUTANTS)/build $(SOAK)/build $(BENCH)/build $(BENCH)/peers/node/node_modules
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
