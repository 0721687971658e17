import hashlib
import json
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import nbformat
import pytest
from length import LONG, of_length
from nbclient import NotebookClient
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell

from ssdseg_course.manifest import LESSONS, Lesson, find_lesson
from ssdseg_course.work.workspace import CHECKING
from ssdseg_ref.data.photographs import FOLDER as PHOTOGRAPHS
from ssdseg_ref.keeping import locked, write_whole

CELL_TIMEOUT = 300  # seconds
BEFORE = f"import sys; sys.path.append({str(Path(__file__).parent)!r}); import drawn; drawn.watch()"
AFTER = "drawn.tell()"
SKIP, SHORT, FULL = "skip", "short", "full"  # how to train, as `SSDSEG_TRAINING` says it
TRAIN = range(3, 11)  # numbers of the lessons in which networks learn
UNDRAWN = {CHECKING: "1"}


@dataclass(frozen=True)
class Run:
    """A notebook that has been run from top to bottom in a fresh kernel.

    Attributes:
        cells: with their outputs.
        panels: what `drawn` tells of the figures.
        seconds: of processor time that it took, which a busy machine does not lengthen.
        learning: the same of each cell that draws while something learns.
    """

    cells: list[NotebookNode]
    panels: list[dict]
    seconds: float
    learning: list[float]


def _run(path: Path, kept: Path, training: str = SKIP, **environment: str) -> Run:
    """The run of a notebook, kept for the other workers of pytest-xdist and for their other tests.

    While another worker runs it, this one runs those that will be wanted next.
    """
    short = [lesson for lesson in LESSONS if lesson.number not in LONG]
    others = iter([(lesson.solution(), {}) for lesson in short] + [(lesson.notebook(), UNDRAWN) for lesson in short])
    while (file := _keep_run(path, kept, training, environment)) is None:
        other, of_other = next(others, (None, {}))
        if other:
            _keep_run(other, kept, SKIP, of_other)
        else:
            time.sleep(0.2)
    notebook = nbformat.read(file, as_version=4)
    (told,) = notebook.cells[-1].outputs
    assert told.output_type == "stream", told
    return Run(notebook.cells[1:-1], **json.loads(told.text))


def _keep_run(path: Path, kept: Path, training: str, environment: dict[str, str]) -> Path | None:
    """Run a notebook if that has not been done; gives the file of the run, None while another worker is at it."""
    file = kept / f"{hashlib.sha256(path.read_bytes()).hexdigest()}-{training}.ipynb"
    lock = file.with_suffix("")
    lock.mkdir(exist_ok=True)
    try:
        with locked(lock):
            if not file.exists():
                write_whole(file, nbformat.writes(_execute(path, {"SSDSEG_TRAINING": training, **environment})))
    except ValueError:
        return None
    return file


def _execute(path: Path, environment: dict[str, str]) -> NotebookNode:
    notebook = nbformat.read(path, as_version=4)
    notebook.cells = [new_code_cell(BEFORE), *notebook.cells, new_code_cell(AFTER)]
    client = NotebookClient(
        notebook,
        timeout=CELL_TIMEOUT,
        allow_errors=True,
        resources={"metadata": {"path": str(path.parent)}},
        extra_arguments=["--HistoryManager.hist_file=:memory:", "--log-level=ERROR"],
    )
    client.execute(env=os.environ | {PHOTOGRAPHS: ""} | environment)
    return notebook


@pytest.fixture(scope="session")
def kept_runs(tmp_path_factory) -> Path:
    """A folder that all workers of this run of the tests share."""
    folder = tmp_path_factory.getbasetemp()
    folder = (folder.parent if "PYTEST_XDIST_WORKER" in os.environ else folder) / "executed_lessons"
    folder.mkdir(exist_ok=True)
    return folder


@pytest.fixture(scope="session")
def run_solution(kept_runs) -> Callable[[Lesson], Run]:
    """Runs the solution of a lesson, once for all tests, with a short training where it trains."""
    return lambda lesson: _run(lesson.solution(), kept_runs, SHORT if lesson.number in TRAIN else SKIP)


@pytest.fixture(
    params=[
        *(
            pytest.param((lesson, SKIP), marks=pytest.mark.slow if lesson.number in TRAIN else of_length(lesson))
            for lesson in LESSONS
        ),
        *(pytest.param((find_lesson(str(number)), SHORT), marks=pytest.mark.full) for number in TRAIN),
    ],
    ids=lambda run: f"{run[0].name}-{run[1]}",
)
def run(request, kept_runs) -> Run:
    """The solution of each lesson, run once for all tests; and, in the full tests, with a short training."""
    lesson, training = request.param
    return _run(lesson.solution(), kept_runs, training)


@pytest.fixture(scope="session")
def run_fully(kept_runs) -> Callable[[Lesson], Run]:
    """Runs the solution of a lesson with all that it trains."""
    return lambda lesson: _run(lesson.solution(), kept_runs, FULL)


@pytest.fixture(scope="session")
def run_untouched(kept_runs) -> Callable[[Lesson], Run]:
    """Runs a lesson in which no exercise is written, once for all tests; its figures are not drawn."""
    return lambda lesson: _run(lesson.notebook(), kept_runs, **UNDRAWN)
