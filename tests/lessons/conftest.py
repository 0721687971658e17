import copy
import json
import os
import time
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell

from ssdseg_course.manifest import Lesson

CELL_TIMEOUT = 300  # seconds
BEFORE = f"import sys; sys.path.append({str(Path(__file__).parent)!r}); import drawn; drawn.watch()"
AFTER = "drawn.tell()"


@dataclass(frozen=True)
class Run:
    """A notebook that has been run from top to bottom in a fresh kernel.

    Attributes:
        cells: with their outputs.
        panels: what `drawn` tells of the figures.
        seconds: how long it took, the start of the kernel included.
    """

    cells: list[NotebookNode]
    panels: list[dict]
    seconds: float


@cache
def _run(path: Path) -> Run:
    notebook = copy.deepcopy(nbformat.read(path, as_version=4))
    notebook.cells = [new_code_cell(BEFORE), *notebook.cells, new_code_cell(AFTER)]
    client = NotebookClient(
        notebook,
        timeout=CELL_TIMEOUT,
        allow_errors=True,
        resources={"metadata": {"path": str(path.parent)}},
        extra_arguments=["--HistoryManager.hist_file=:memory:", "--log-level=ERROR"],
    )
    start = time.perf_counter()
    client.execute(env={**os.environ, "SSDSEG_TRAINING": "short"})
    seconds = time.perf_counter() - start
    (told,) = notebook.cells[-1].outputs
    assert told.output_type == "stream", told
    return Run(notebook.cells[1:-1], json.loads(told.text), seconds)


@pytest.fixture(scope="session")
def run_solution():
    """Runs the solution of a lesson, once for all tests."""

    def run(lesson: Lesson) -> Run:
        return _run(lesson.solution())

    return run


@pytest.fixture(scope="session")
def run_untouched():
    """Runs a lesson in which no exercise is written, once for all tests."""

    def run(lesson: Lesson) -> Run:
        return _run(lesson.notebook())

    return run
