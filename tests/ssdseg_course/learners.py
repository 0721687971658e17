"""Notebooks as learners leave them behind: lesson 1, with answers, accidents and cells of their own."""

import copy
import re
from pathlib import Path

from ssdseg_course.manifest import find_lesson
from ssdseg_course.work.workspace import grade_id, notebook_text, read_notebook

LESSON = find_lesson("01")
IMPORTS = "import numpy as np\n\nfrom ssdseg_course import check, hint\nfrom ssdseg_ref.boxes import pairwise_iou"


def handed_out() -> dict:
    """Lesson 1 as it was handed out."""
    return read_notebook(LESSON.notebook())


def right_answers() -> dict[str, str]:
    """The source of each answer of lesson 1, by the name of its function."""
    cells = read_notebook(LESSON.solution())["cells"]
    sources = {grade_id(cell): cell["source"] for cell in cells if cell["metadata"].get("nbgrader", {}).get("solution")}
    return {name: re.sub(r"\n *### (BEGIN|END) SOLUTION", "", source) for name, source in sources.items()}


def with_answers(notebook: dict, **sources: str) -> dict:
    """A copy of the notebook with these answers in their places."""
    filled = copy.deepcopy(notebook)
    for name, source in sources.items():
        cell_of(filled, name)["source"] = source
    return filled


def small(notebook: dict) -> dict:
    """A copy without prose and figures, which runs in no time."""
    cells = [new_cell(IMPORTS, "cell-imports"), *(cell for cell in notebook["cells"] if grade_id(cell))]
    return {**notebook, "cells": copy.deepcopy(cells)}


def new_cell(source: str, cell_id: str = "5eed1234", cell_type: str = "code") -> dict:
    """A cell as Jupyter adds one."""
    cell = {"cell_type": cell_type, "id": cell_id, "metadata": {}, "source": source}
    return cell if cell_type == "markdown" else {**cell, "execution_count": None, "outputs": []}


def cell_of(notebook: dict, name: str) -> dict:
    """The first cell of that grade_id or id."""
    return next(cell for cell in notebook["cells"] if name in (grade_id(cell), cell.get("id")))


def course_cells(notebook: dict, cell_type: str = "code") -> list[str]:
    """Ids of the course's own cells of that type: neither answers nor checks."""
    return [cell["id"] for cell in notebook["cells"] if cell["cell_type"] == cell_type and not grade_id(cell)]


def place_of(notebook: dict, name: str) -> int:
    """Where that cell stands."""
    return notebook["cells"].index(cell_of(notebook, name))


def insert_behind(notebook: dict, name: str, *cells: dict) -> None:
    """Put cells behind another one."""
    place = place_of(notebook, name) + 1
    notebook["cells"][place:place] = cells


IMPORTING, _, EXPERIMENT = course_cells(handed_out())[:3]
"""Ids of the lesson's first cells of code."""


def save(notebook: dict, root: Path, lesson=LESSON) -> Path:
    """Write it where the lesson's notebook stands in a course folder, and give its path."""
    path = lesson.notebook(root)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(notebook_text(notebook), encoding="utf-8")
    return path
