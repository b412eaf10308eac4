# Two commands on a fresh machine:
#   make transcribe AUDIO=path/to/file     make test
# and `make fuzz MINUTES=30` reads mutated input of every kind, far more of it than the tests do.
PYTHON ?= python3
AUDIO ?=
MINUTES ?= 30
INSTALLED := .venv/installed
# A process for each core, up to four, each with one thread; Python keeps what it has compiled, for all that these begin.
PYTEST := PYTHONDONTWRITEBYTECODE= OMP_NUM_THREADS=1 .venv/bin/python -m pytest -n auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder

.PHONY: transcribe test test-fast fuzz kills messages lint clean

transcribe: $(INSTALLED)
	.venv/bin/asr transcribe $(if $(AUDIO),"$(AUDIO)",data/sample/*.flac)

test: $(INSTALLED)
	$(PYTEST)

test-fast: $(INSTALLED)
	$(PYTEST) -m "not slow"

fuzz: $(INSTALLED)
	OMP_NUM_THREADS=1 .venv/bin/python -m tests.fuzz --minutes $(MINUTES)

# Kills commands, and processes of several that train, at random moments, and compares what the same command then makes of it.
kills: $(INSTALLED)
	OMP_NUM_THREADS=1 .venv/bin/python -m tests.kills
	OMP_NUM_THREADS=1 .venv/bin/python -m tests.kill_ranks
	OMP_NUM_THREADS=1 .venv/bin/python -m tests.kill_ranks --sharding full

# Brings the catalogue of Chinese messages up to date with the code, and compiles it.
messages: $(INSTALLED)
	.venv/bin/python -m tests.messages

lint: $(INSTALLED)
	.venv/bin/ruff check . && .venv/bin/ruff format --check .

# PyTorch first and alone: pip then takes the build that constraints.txt names and looks for no other.
$(INSTALLED): pyproject.toml constraints.txt
	test -x .venv/bin/python || $(PYTHON) -m venv .venv
	.venv/bin/python -m pip install --quiet -c constraints.txt torch
	.venv/bin/python -m pip install --quiet -c constraints.txt -e '.[dev,text,corpora,train,serve,export,speakers,rescore]'
	touch $@

clean:
	rm -rf .venv
