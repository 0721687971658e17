# Two commands: `make demo` and `make test`. Both set up what they need first.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

# Says in one sentence, before anything is installed, where TensorFlow has no package for this Python; runs on any Python.
define FITS
import platform, sys, sysconfig
has = "TensorFlow, which the course is built on, has no package for "
way = "; take one of Python 3.11 to 3.13, such as make setup PYTHON=python3.12"
wrong = ""
if platform.python_implementation() != "CPython" or not (3, 11) <= sys.version_info[:2] <= (3, 13):
    wrong = "Python %d.%d (%s)" % (sys.version_info[0], sys.version_info[1], platform.python_implementation()) + way
elif sys.maxsize < 2 ** 32:
    wrong = "a Python of 32 bits" + way
elif sysconfig.get_config_var("Py_GIL_DISABLED"):
    wrong = "a Python without its lock" + way
elif sys.platform == "darwin" and platform.machine() == "x86_64":
    wrong = "a Mac with an Intel processor, or for a Python that runs as on one; use Binder or Colab, see README.md"
elif sys.platform.startswith("linux") and platform.libc_ver()[0] != "glibc":
    wrong = "a Linux without glibc, such as Alpine; use Debian, Ubuntu or Fedora, or a container of theirs"
sys.exit(has + wrong if wrong else 0)
endef
export FITS

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-all slow bench lab lessons site lite lint format clean

help:  ## Show what there is.
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 10

setup: $(READY)  ## Make .venv and install the versions that were tested; nothing if that is done.

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c "$$FITS"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable ".[dev]"
	@touch $@

demo: $(READY)  ## Detect, segment, and grade the first lesson; at most two minutes.
	$(BIN)/ssdseg demo

# One process per core and one more, for many tests wait for processes of their own; tests that measure time come after
# them, one by one.
TOGETHER = -n $(shell $(PYTHON) -c "import os; print(min(os.cpu_count() + 1, 8))") --dist worksteal

test: $(READY)  ## Run the tests, but those of `test-all`.
	$(BIN)/python -m pytest $(TOGETHER) -m "not alone and not full and not slow"
	$(BIN)/python -m pytest -m alone

test-all: $(READY)  ## Run all tests: also what takes longer, such as built wheels and 200 seeds.
	$(BIN)/python -m pytest $(TOGETHER) --seeds 200 -m "not alone and not slow and not part"
	$(BIN)/python -m pytest -m alone

slow: $(READY)  ## Run what `test-all` leaves out, such as a training on photographs: an hour.
	$(BIN)/python -m pytest -m slow -s

bench: $(READY)  ## Measure speed, next to a peer where there is one.
	$(BIN)/python -m pytest tests/benchmarks --benchmark-only --benchmark-columns=median,min,max,rounds

lab: $(READY)  ## Open the lessons in JupyterLab.
	$(BIN)/ssdseg lab

lessons: $(READY)  ## Build the notebooks of solutions/ and lessons/ from their source.
	$(BIN)/python -m ssdseg_course.authoring build

site: $(READY)  ## Build the course's static site into site/; offline.
	$(BIN)/python -m ssdseg_course.site site

# An environment of its own: the JupyterLab in it is older than the one of the lessons.
$(VENV)-lite/.ready: ssdseg_course/lite/requirements.txt
	$(PYTHON) -m venv $(VENV)-lite
	$(VENV)-lite/bin/python -m pip install --quiet --disable-pip-version-check --requirement $<
	@touch $@

lite: $(VENV)-lite/.ready  ## Build the page of lessons 0 to 3 in the browser's Python into site/lite/.
	$(VENV)-lite/bin/python -m ssdseg_course.lite site/lite

lint: $(READY)  ## Check style, formatting and types.
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

format: $(READY)  ## Mend style and formatting.
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

clean:  ## Remove what can be made again: .venv, caches, pictures.
	rm -rf $(VENV) $(VENV)-lite out site build *.egg-info .pytest_cache .ruff_cache .mypy_cache
