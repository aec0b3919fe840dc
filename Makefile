# make quickstart   train a YOLO on generated data, quantize it to INT8, evaluate both and draw predictions
# make test         the whole test suite
# make native       build the optional native operators (DETECTRON2_NATIVE=cuda: CUDA ones too)
# make lint         ruff and mypy
# make bench        time operators, models, loader, evaluation and imports
#
# All of them work in $(VENV), which is made at first use. PYTHON names the interpreter to make it with.

PYTHON ?= python3
VENV ?= .venv
PYTEST_ARGS ?=
PYTEST_WORKERS ?= auto
BENCH_ARGS ?=

# Threads that wait spin for microseconds and then sleep: spinning on is several times slower where something else uses the
# cores too, sleeping at once half as fast where nothing does.
GOMP_SPINCOUNT ?= 1000
export GOMP_SPINCOUNT

VENV_PYTHON := $(VENV)/bin/python
INSTALLED := $(VENV)/.installed
PIP := $(VENV_PYTHON) -m pip --quiet --quiet --disable-pip-version-check --no-input
NATIVE_FOLDERS := detectron2/layers/csrc third_party/quantization/functional/csrc projects/YOLO/yolo/nms/csrc
NATIVE_SOURCES := $(shell find $(NATIVE_FOLDERS) -type f) setup.py
NATIVE_LIBRARIES := detectron2/_native_cpu.so third_party/quantization/_native_cpu.so \
  projects/YOLO/yolo/nms/_native_cpu.so

.PHONY: quickstart test native lint bench install
.DELETE_ON_ERROR:

quickstart: install
	$(VENV_PYTHON) tools/quickstart.py

# Inference engines bring threads and libraries of their own, so what loads them has its own processes. Each part is spread
# over the cores by files, PYTEST_WORKERS=0 runs it in one process. Status 5: no test was chosen.
TESTS := "tests --ignore=tests/third_party" "tests/third_party --ignore=tests/third_party/quantization" \
  "tests/third_party/quantization"
test: install
	@failed=0; for part in $(TESTS); do \
	  $(VENV_PYTHON) -m pytest -n $(PYTEST_WORKERS) --maxprocesses 4 --dist loadfile $$part $(PYTEST_ARGS) || { rest=$$?; test $$rest -eq 5 || failed=1; }; \
	done; exit $$failed

lint: install
	PATH="$(abspath $(VENV))/bin:$$PATH" dev/lint.sh

bench: install
	$(VENV_PYTHON) -m tools.bench $(BENCH_ARGS)

native: $(INSTALLED)
	$(VENV_PYTHON) setup.py --quiet build_ext --inplace

install: $(INSTALLED) $(NATIVE_LIBRARIES)

$(INSTALLED): pyproject.toml setup.py
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' \
	  || { echo "$(PYTHON) is older than Python 3.10: name a newer one, make PYTHON=python3.12"; exit 1; }
	@test -x $(VENV_PYTHON) || $(PYTHON) -m venv $(VENV)
	@echo "Installing into $(VENV): some minutes, most of them for PyTorch"
	@$(PIP) install --upgrade pip
	@$(PIP) install --editable ".[dev,native,video,export]"
	@touch $@

# The package works without: a missing compiler or a failed build costs speed only.
$(NATIVE_LIBRARIES) &: $(NATIVE_SOURCES) | $(INSTALLED)
	@if command -v $${CXX:-g++} > /dev/null; then \
	  $(VENV_PYTHON) setup.py --quiet build_ext --inplace && touch $(NATIVE_LIBRARIES) \
	    || echo "The native operators did not build (above); plain PyTorch and torchvision are used."; \
	else \
	  echo "No C++ compiler ($${CXX:-g++}): plain PyTorch and torchvision are used instead of native operators."; \
	fi
