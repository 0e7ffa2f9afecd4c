# The few habits of this project. `make demo` and `make test` work from a fresh clone; they need Python 3.11
# or newer (PYTHON=python3.12 names another) and make their own virtual environment.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet

.PHONY: help demo test web page lint check format share clean

help:
	@echo 'make demo    compress the sample picture, compare it with JPEG, WebP and AVIF, into demo-out/'
	@echo 'make test    run the tests; TORCH=1 installs PyTorch and runs those of training as well,'
	@echo '             COVERAGE=1 tells which lines they ran, ARGS=… goes to pytest (-rs: why are tests skipped?)'
	@echo 'make web     build the decoder for browsers and Node in web/, and run its tests; needs Node 20 and npm'
	@echo 'make page    lay the decoder for browsers beside the page of glissando serve'
	@echo 'make lint    ruff, mypy and the import rules (installs PyTorch, whose types mypy reads)'
	@echo 'make check   both'
	@echo 'make format  let ruff format the code'
	@echo 'make share   write the manual page and the completions of shells anew, from the help of the commands'
	@echo 'make clean   remove the virtual environment and everything generated'

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed" if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)

# Each stamp stands for one set of installed dependencies.
$(VENV)/.runtime: pyproject.toml | $(BIN)/python
	$(PIP) install -e .
	@touch $@

$(VENV)/.dev: pyproject.toml constraints-dev.txt | $(BIN)/python
	$(PIP) install -c constraints-dev.txt -e '.[dev]'
	@touch $@

$(VENV)/.train: pyproject.toml constraints-dev.txt | $(BIN)/python
	$(PIP) install -c constraints-dev.txt -e '.[dev,train]'
	@touch $@

TEST_STAMP := $(VENV)/$(if $(TORCH),.train,.dev)

demo: $(VENV)/.runtime
	$(BIN)/python samples/demo.py

test: $(TEST_STAMP)
	$(BIN)/python -m pytest $(if $(COVERAGE),--cov --cov-report=term:skip-covered) $(ARGS)

web:
	cd web && npm ci --no-audit --no-fund && npm test

PAGE_DECODER := src/glissando/serve/page/glissando-web
page: $(VENV)/.runtime
	cd web && npm ci --no-audit --no-fund && npm run build
	rm -rf $(PAGE_DECODER)
	mkdir -p $(PAGE_DECODER)
	cp -R web/dist/site/. $(PAGE_DECODER)
	$(BIN)/python -m glissando models --web $(PAGE_DECODER)/models

lint: $(VENV)/.train
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/lint-imports

check: lint test

format: $(VENV)/.dev
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

share: $(VENV)/.runtime
	$(BIN)/python -m glissando.cli.manual > share/man/man1/glissando.1
	$(BIN)/glissando completion bash > share/bash-completion/completions/glissando
	$(BIN)/glissando completion zsh > share/zsh/site-functions/_glissando
	$(BIN)/glissando completion fish > share/fish/vendor_completions.d/glissando.fish

clean:
	rm -rf $(VENV) web/node_modules web/dist demo-out .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis .coverage
