# The two commands: `make demo` to look at Keystead, `make test` to prove it. Each makes .venv itself.

VENV := .venv
BIN := $(VENV)/bin
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
INSTALL := $(BIN)/python -m pip install -qq --disable-pip-version-check
PIN := $(BIN)/pip-compile --quiet --no-config --generate-hashes --strip-extras --allow-unsafe --no-annotate --no-header \
	--no-emit-index-url --no-emit-trusted-host --no-emit-find-links --no-emit-options

# Beside the Caddy that is installed: versions differ in what they pass on. Where there is none for this machine, tests are skipped.
CADDIES := $(VENV)/caddy-2.10.2 $(VENV)/caddy-2.11.7

# Where it is set, each of a thousand commands and servers that are tested would compile the whole source again.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test quick check words caddies pythons parts mutants format bench pins clean

# Keystead for a look: its own secrets, one account, mails shown in the terminal, gone when stopped.
demo: $(VENV)/demo
	@$(BIN)/python -m webapp demo

# Whatever else is installed of the Pythons that Keystead runs on: `make pythons` tries all, without browsers and clocks.
PYTHONS ?= $(shell for p in python3.11 python3.12 python3.13 python3.14; do $$p -c '' 2>/dev/null && echo $$p; done)

# Everything. Without Chromium or Firefox their tests are skipped, aloud; with CI=true a skip is a failure.
# Three at a time, also on two cores: whoever waits for a server or a deadline leaves the processor to the others.
test: check caddies
	@$(BIN)/python -c 'import platform; print("Tested on Python", platform.python_version())'
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest $(BESIDE) -m "not clock and not uncounted" --ignore=tests/browser
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report
	$(BIN)/python -m pytest $(BESIDE) -m "uncounted and not clock" --ignore=tests/browser
	$(BIN)/python -m pytest $(BESIDE) tests/browser
	$(BIN)/python -m pytest -m clock $$(grep -rl --include='*.py' 'mark\.clock' tests)

BESIDE := -n 3 --dist worksteal

# What needs neither a browser nor a server: units and operations, in a few seconds.
quick: $(VENV)/test
	$(BIN)/python -m pytest -q -n 2 tests/unit tests/accounts tests/web

# The parts that need no browser and look at no clock, on each Python that is installed, in an environment of its own.
pythons:
	@test -n "$(PYTHONS)" || { echo "No Python from 3.11 on was found. Name some: make pythons PYTHONS='/path/to/python3.13 …'"; exit 1; }
	@for python in $(PYTHONS); do \
		version=$$($$python -c 'import sys; print("%d.%d" % sys.version_info[:2])') && echo "Python $$version" && \
		$(MAKE) --no-print-directory VENV=.venv-$$version PYTHON=$$python parts || exit 1; \
	done

parts: $(VENV)/test
	$(BIN)/python -m pytest -q -n 2 -m "not clock" --ignore=tests/browser

# Each answer of docs/security.md taken away in turn: the tests that it names must notice. Takes some minutes.
mutants: $(VENV)/test
	$(BIN)/python -m tests.proofs.mutants --jobs 2

# Style, types, and which room may import which.
check: $(VENV)/test
	$(BIN)/ruff format --check --quiet .
	$(BIN)/ruff check --quiet .
	$(BIN)/mypy
	$(BIN)/lint-imports

# What is made of the words in the code: the catalogues that are translated, and docs/words.md.
words: $(VENV)/test
	$(BIN)/python -m tests.catalogues
	$(BIN)/python -m tests.words

caddies: $(CADDIES)

format: $(VENV)/test
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# Key logons of Keystead and of others, side by side, on a machine that does nothing else: docs/speed.md.
bench: $(VENV)/test
	$(BIN)/python -m bench.peers

# Pin anew what pyproject.toml asks for. The index that pip is set up with is used, and not written down.
pins: $(VENV)/test
	$(INSTALL) pip-tools
	$(PIN) --upgrade --output-file requirements.txt pyproject.toml
	$(PIN) --upgrade --extra dev --constraint requirements.txt --output-file requirements-dev.txt pyproject.toml

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .coverage .coverage.* dist

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "Keystead needs Python 3.11 or newer. Install it, or name it: make PYTHON=/path/to/python3.12"; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { echo "Could not make $(VENV). On Debian and Ubuntu: apt install python3-venv"; rm -rf $(VENV); exit 1; }

$(VENV)/demo: requirements.txt | $(BIN)/python
	@echo "Installing what Keystead needs (the first time only) ..."
	@$(INSTALL) --require-hashes -r requirements.txt
	@touch $@

$(CADDIES): $(VENV)/caddy-%: tests/deploy/caddy-%.txt | $(BIN)/python
	@echo "Installing Caddy $* for the tests (the first time only) ..."
	@rm -rf $@
	@$(INSTALL) --require-hashes --no-deps --only-binary :all: --target $@ -r $< && touch $@ || echo "Not to be had: its tests are skipped."

$(VENV)/test: requirements-dev.txt pyproject.toml | $(BIN)/python
	@echo "Installing what Keystead and its tests need (the first time only) ..."
	@$(INSTALL) --require-hashes -r requirements-dev.txt
	@$(INSTALL) --no-deps --no-build-isolation --editable .
	@touch $@ $(VENV)/demo
