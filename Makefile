# Two commands on a fresh machine:
#   make transcribe AUDIO=path/to/file     make test
PYTHON ?= python3
AUDIO ?=
INSTALLED := .venv/installed

.PHONY: transcribe test test-fast lint clean

transcribe: $(INSTALLED)
	.venv/bin/asr transcribe $(if $(AUDIO),"$(AUDIO)",data/sample/*.flac)

test: $(INSTALLED)
	.venv/bin/python -m pytest

test-fast: $(INSTALLED)
	.venv/bin/python -m pytest -m "not slow"

lint: $(INSTALLED)
	.venv/bin/ruff check . && .venv/bin/ruff format --check .

# PyTorch first and alone: pip then takes the build that constraints.txt names and looks for no other.
$(INSTALLED): pyproject.toml constraints.txt
	test -x .venv/bin/python || $(PYTHON) -m venv .venv
	.venv/bin/python -m pip install --quiet -c constraints.txt torch
	.venv/bin/python -m pip install --quiet -c constraints.txt -e '.[dev,text,corpora,train,serve]'
	touch $@

clean:
	rm -rf .venv
