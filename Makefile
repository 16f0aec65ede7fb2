# make run: the program; make test: the tests; make test-all: also the slow ones; make check: format,
# lint and types.
# make test-ray: the Ray backend on a cluster of two nodes on this machine; test-slurm: a real Slurm;
# test-gpu: an NVIDIA GPU (benchmarks/README.md).
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PYTEST := $(BIN)/python -m pytest -q -n auto --maxprocesses 4 --dist worksteal

RAY := build/ray
WHEELS := build/wheels
GPU_PYTHON ?= 3.12
GPU_ARGS ?=
PICTURES_ARGS ?=

# Says which torch of $(PYTHON) serves as well as a download of 5 GB, or fails; a venv has none to lend.
HAS_TORCH = $(PYTHON) -c 'import sys; assert sys.prefix == sys.base_prefix; import torch, torchvision; \
	assert tuple(map(int, torch.__version__.split(".")[:2])) >= (2, 6); \
	print("Using torch", torch.__version__, "of", sys.executable, "(5 GB less to download)")' 2>/dev/null

.PHONY: run test test-all test-ray test-slurm test-gpu test-gpu-offline gpu-wheels faults check docs pictures clean

run: $(VENV)/.installed
	@$(BIN)/cifar-tui

test: $(VENV)/.installed-test
	$(PYTEST) -m "not slow"

test-all: $(VENV)/.installed-test
	$(PYTEST)

test-ray: $(VENV)/.installed-test
	@test -d $(RAY)/ray || $(BIN)/python -m pip install --quiet --disable-pip-version-check \
		-q --upgrade --target $(RAY) 'ray>=2.40' || echo "Ray cannot be installed for this Python: skipped."
	@test ! -d $(RAY)/ray || PYTHONPATH=$(CURDIR):$(CURDIR)/$(RAY) \
		$(BIN)/python -m pytest -q tests/queue/ray/try_ray.py

test-slurm: $(VENV)/.installed-test
	CIFAR_TUI_TEST_SLURM=1 $(BIN)/python -m pytest -q tests/queue/slurm

test-gpu: $(VENV)/.installed-test
	$(BIN)/python -m benchmarks.gpu $(GPU_ARGS)

gpu-wheels: $(VENV)/.installed-test
	@mkdir -p $(WHEELS)
	@$(BIN)/python -c 'import tomllib; project = tomllib.load(open("pyproject.toml", "rb"))["project"]; wanted = project["dependencies"] + project["optional-dependencies"]["test"]; there = ("torch", "numpy", "matplotlib", "ruff", "mypy", "types-"); print("\n".join(name for name in wanted if not name.startswith(there)))' > $(WHEELS)/needed.txt
	$(BIN)/python -m pip download --quiet --disable-pip-version-check --only-binary=:all: \
		--python-version $(GPU_PYTHON) -d $(WHEELS) -r $(WHEELS)/needed.txt

test-gpu-offline:
	@$(PYTHON) -m pip install --quiet --disable-pip-version-check --no-index --no-deps --upgrade \
		--target build/site $(WHEELS)/*.whl
	PYTHONPATH=$(CURDIR):$(CURDIR)/build/site $(PYTHON) -m benchmarks.gpu $(GPU_ARGS)

faults: $(VENV)/.installed-test
	$(BIN)/python -m tests.faults

check: $(VENV)/.installed-test
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

docs: $(VENV)/.installed-test
	$(BIN)/python -m benchmarks.reference docs/reference.md

pictures: $(VENV)/.installed-test
	TEXTUAL_COLOR_SYSTEM=truecolor $(BIN)/python -m benchmarks.pictures $(PICTURES_ARGS)

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(0 if v >= (3, 11) else "cifar-tui needs Python 3.11 or newer, and %s is %d.%d: run make with PYTHON=/path/to/python3.11." % (sys.executable, v[0], v[1]))'
	@if $(HAS_TORCH); then $(PYTHON) -m venv --system-site-packages $(VENV); else $(PYTHON) -m venv $(VENV); fi

$(VENV)/.installed: pyproject.toml | $(VENV)/bin/python
	@echo "Installing cifar-tui into $(VENV) (this takes a few minutes the first time where torch is to be downloaded)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -e .
	@touch $@

$(VENV)/.installed-test: pyproject.toml | $(VENV)/bin/python
	@echo "Installing cifar-tui with its test tools into $(VENV)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[test]'
	@touch $@ $(VENV)/.installed

clean:
	rm -rf $(VENV) build *.egg-info
