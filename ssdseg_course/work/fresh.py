"""A lesson's notebook as it is handed out, made from the executed solution in a moment.

nbgrader's generator, which `authoring` calls to write `lessons/`, gives the same text (a test compares them) and takes
two seconds to import.
"""

import re

from ssdseg_course.manifest import Lesson
from ssdseg_course.work.workspace import Cell, NotebookError, checksum, is_answer, notebook_text, read_notebook

STUB = 'raise NotImplementedError("not written yet")  # your code goes here'  # nbgrader_config.py says the same
SOLUTION = re.compile(r"^([ \t]*)### BEGIN SOLUTION\n.*?^[ \t]*### END SOLUTION$", re.MULTILINE | re.DOTALL)


def handed_out(lesson: Lesson, root) -> str:
    """The text of the learner's notebook, with stubs where the answers are.

    Args:
        lesson: which.
        root: the course folder.

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
