"""Where a learner's work is, and how it is read and written without harm.

Learners write into `lessons/NN_topic/NN_topic.ipynb` itself. Notebooks are read here as plain json: nbformat takes a
second to import, which is a third of what a check takes.
"""

import hashlib
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ssdseg_course.manifest import PACKAGED, ROOT, Lesson
from ssdseg_course.words import cut

CHECKING = "SSDSEG_CHECKING"  # set in the environment of a notebook that a check runs, where nobody is watching
CHECK_CALL = re.compile(r"""check\(\s*["'](\d\d\.(\w+))["']\s*,\s*\2\s*\)""")  # the cell that checks an answer
PROVIDED_ID = "cell-"  # how the id of a cell begins that is neither the learner's nor nbgrader's

Notebook = dict[str, Any]  # as json has it
Cell = dict[str, Any]


class NotebookError(ValueError):
    """A learner's notebook that cannot be used; the message names the file and the way out."""


class LessonMissingError(NotebookError):
    """A lesson that this course does not have (yet)."""


def being_checked() -> bool:
    """Whether this process runs a notebook for a check: figures need not be drawn, and hints do not count."""
    return CHECKING in os.environ


def course_root() -> Path:
    """The course folder: the nearest one at or above the working directory, else the repository of this installation.

    Raises:
        NotebookError: if there is none.
    """
    here = Path.cwd()
    for folder in (here, *here.parents, ROOT):
        if holds_course(folder) and folder != PACKAGED:  # nobody writes into the installation
            return folder
    raise NotebookError(
        f"{here}: no course here or above; go to the folder that holds `lessons`, with cd, or make one: "
        "`ssdseg start FOLDER`"
    )


def holds_course(folder: Path) -> bool:
    """Whether there are lessons in that folder."""
    return any((folder / "lessons").glob("[0-9][0-9]_*/"))


def read_notebook(path: Path, remedy: str = "") -> Notebook:
    """Read a notebook; the source of each cell is one string.

    Args:
        path: the file.
        remedy: what to do where it cannot be read, the end of a sentence.

    Raises:
        NotebookError: if the file is missing, empty, or no notebook.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise NotebookError(f"{path}: there is no such notebook{remedy}") from None
    except UnicodeDecodeError:
        raise NotebookError(f"{path}: the file is damaged, it is not a text{remedy}") from None
    return parse_notebook(text, str(path), remedy)


def parse_notebook(text: str, name: str, remedy: str = "") -> Notebook:
    """The notebook that a file's text stands for; see `read_notebook`, which names the file in its errors."""
    if not text.strip():
        raise NotebookError(f"{name}: the file is empty{remedy}")
    try:
        notebook: Notebook = json.loads(text)
    except (json.JSONDecodeError, RecursionError):
        raise NotebookError(f"{name}: the file is damaged, it is not a notebook{remedy}") from None
    if not _is_notebook(notebook):
        raise NotebookError(f"{name}: the file is not a notebook of Jupyter's format 4{remedy}")
    for cell in notebook["cells"]:
        cell["source"] = "".join(cell["source"])
    return notebook


def _is_notebook(content: object) -> bool:
    if not (isinstance(content, dict) and content.get("nbformat") == 4 and isinstance(content.get("cells"), list)):
        return False
    return all(isinstance(cell, dict) and _is_cell(cell) for cell in content["cells"])


def _is_cell(cell: Cell) -> bool:
    source = cell.get("source")
    is_text = isinstance(source, str) or (isinstance(source, list) and all(isinstance(line, str) for line in source))
    return is_text and isinstance(cell.get("metadata"), dict) and isinstance(cell.get("cell_type"), str)


def read_lesson(lesson: Lesson, root: Path) -> Notebook:
    """Read the learner's notebook of a lesson.

    Raises:
        LessonMissingError: if it is not in this course.
        NotebookError: if it cannot be read, with the command that gives a fresh one.
    """
    path = lesson.notebook(root)
    if not path.parent.is_dir() and not lesson.source(root).exists():
        raise LessonMissingError(f"{path}: there is no such notebook; lesson {lesson.number} is not in this course yet")
    return read_notebook(path, f"; `ssdseg reset {lesson.number}` writes a fresh one")


def notebook_text(notebook: Notebook) -> str:
    """The text of a notebook's file, as nbformat writes it: a cell that did not change changes no line."""
    cells = [{**cell, "source": cell["source"].splitlines(keepends=True)} for cell in notebook["cells"]]
    content = {**notebook, "cells": cells}
    return json.dumps(content, ensure_ascii=False, indent=1, sort_keys=True, separators=(",", ": ")) + "\n"


def grade_id(cell: Cell) -> str | None:
    """What nbgrader calls the cell; for an answer that is the name of its function."""
    name: str | None = cell["metadata"].get("nbgrader", {}).get("grade_id")
    return name


def is_answer(cell: Cell) -> bool:
    """Whether the cell is one that the learner is asked to fill in."""
    return bool(cell["metadata"].get("nbgrader", {}).get("solution"))


def is_written(cell: Cell) -> bool:
    """Whether an answer's cell is no longer the stub that was handed out: nbgrader has left its checksum there."""
    return is_answer(cell) and cell["metadata"]["nbgrader"].get("checksum") != checksum(cell)


def checksum(cell: Cell) -> str:
    """nbgrader's own checksum of a cell (`nbgrader.utils.compute_checksum`), which takes two seconds to import."""
    nbgrader = cell["metadata"]["nbgrader"]
    grade, solution = bool(nbgrader.get("grade")), bool(nbgrader.get("solution"))
    locked = not solution and (grade or bool(nbgrader.get("locked")))
    parts = [cell["source"], cell["cell_type"], str(grade), str(solution), str(locked), nbgrader.get("grade_id", "")]
    if grade:
        parts.append(str(float(nbgrader.get("points", 0))))
    return hashlib.md5("".join(parts).encode(), usedforsecurity=False).hexdigest()


def is_own(cell: Cell) -> bool:
    """Whether the learner has added this cell, and not left it blank."""
    provided = str(cell.get("id", "")).startswith(PROVIDED_ID) or "nbgrader" in cell["metadata"]
    return not provided and bool(cell["source"].strip())


def has_work(notebook: Notebook) -> bool:
    """Whether there is anything of the learner's in it: an answer, or a cell of their own."""
    return any(is_written(cell) or is_own(cell) for cell in notebook["cells"])


def code_cells(notebook: Notebook) -> Iterator[tuple[int, Cell]]:
    """The cells of code that are not blank, with their places in the notebook."""
    for place, cell in enumerate(notebook["cells"]):
        if cell["cell_type"] == "code" and cell["source"].strip():
            yield place, cell


def cell_in_words(notebook: Notebook, place: int) -> str:
    """A cell as a reader finds it: its first line, and the heading that it stands under."""
    first_line = notebook["cells"][place]["source"].strip().splitlines()[0]
    above = "\n".join(cell["source"] for cell in notebook["cells"][:place] if cell["cell_type"] == "markdown")
    headings = [line.lstrip("# ") for line in above.splitlines() if line.startswith("#")]
    under = f', under "{headings[-1].split("  ·")[0].strip()}"' if headings else ""
    return f"the cell that begins with `{cut(first_line, 60)}`{under}"
