"""A lesson's notebook as it is handed out, made from the executed solution in a moment.

nbgrader's generator, which `authoring` calls to write `lessons/`, gives the same text (a test compares them) and takes
two seconds to import.
"""

import re
from pathlib import Path

from ssdseg_course.manifest import ROOT, Lesson
from ssdseg_course.work.workspace import Cell, NotebookError, checksum, is_answer, notebook_text, read_notebook
from ssdseg_ref.keeping import write_whole

STUB = 'raise NotImplementedError("not written yet")  # your code goes here'  # nbgrader_config.py says the same
SOLUTION = re.compile(r"^([ \t]*)### BEGIN SOLUTION\n.*?^[ \t]*### END SOLUTION$", re.MULTILINE | re.DOTALL)
KEPT = Path(".ssdseg") / "handed_out"  # in a folder that `ssdseg start` has made: each lesson as it was handed out


def handed_out(lesson: Lesson, root: Path = ROOT) -> str:
    """The text of the learner's notebook, with stubs where the answers are.

    Args:
        lesson: which.
        root: of the solutions.

    Raises:
        NotebookError: if the solution's notebook, from which it is made, is missing or damaged.
    """
    path = lesson.solution(root)
    if not path.exists():
        raise NotebookError(
            f"{path}: there is no such file, and fresh notebooks are made from it; get {path.name} again from where "
            "you got the course"
        )
    notebook = read_notebook(path, "; get it again from where you got the course")
    return notebook_text({**notebook, "cells": [_emptied(cell) for cell in notebook["cells"]]})


def hand_out(lesson: Lesson, root: Path, text: str) -> None:
    """Write a learner's notebook; where `ssdseg start` has made the folder, keep a copy that nobody works in."""
    write_whole(lesson.notebook(root), text)
    if (root / KEPT).is_dir():
        keep(lesson.name, root, text)


def keep(name: str, root: Path, text: str) -> None:
    """Keep a lesson as it was handed out: against that, an update sees what the learner has changed."""
    write_whole(root / KEPT / f"{name}.ipynb", text)


def kept(name: str, root: Path) -> str | None:
    """The lesson of that name as it was handed out; None where no copy was kept."""
    path = root / KEPT / f"{name}.ipynb"
    return path.read_text(encoding="utf-8") if path.exists() else None


def _emptied(cell: Cell) -> Cell:
    """The cell without answer and outputs, with the marks that nbgrader gives it."""
    cell = {**cell, "metadata": dict(cell["metadata"])}
    if cell["cell_type"] == "code":
        cell.update(outputs=[], execution_count=None)
    if "nbgrader" not in cell["metadata"]:
        return cell
    if is_answer(cell):
        cell["source"] = SOLUTION.sub(lambda found: found[1] + STUB, cell["source"])
    marks = cell["metadata"]["nbgrader"] = {**cell["metadata"]["nbgrader"], "cell_type": cell["cell_type"]}
    cell["metadata"]["deletable"] = False
    if marks["locked"]:
        cell["metadata"]["editable"] = False
    marks["checksum"] = checksum(cell)
    return cell
