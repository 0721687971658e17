"""Says before it is handed in what grading would make of an answer: for `ssdseg check` and `ssdseg doctor`."""

import os
import re
from collections.abc import Collection
from pathlib import Path

from ssdseg_course.grading.grader import Rehearsed, rehearse
from ssdseg_course.grading.sandbox import LARGEST_BESIDE, MOST_BESIDE
from ssdseg_course.work.workspace import Notebook, code_cells, grade_id, is_answer, is_written

DEEPEST = 3  # folders below that of the notebook
HOW_TO_MEND = (
    "grading runs your own cells in an empty folder, with what you hand in beside the notebook, with the course's "
    "libraries alone and without a network: put what the answer needs into the notebook, or beside it."
)
NEEDS_FILES = "it needs what stands beside the notebook: hand in {files} with it"
# What reaches beyond the cell that it stands in. All else is the same wherever it runs.
REACHING = re.compile(
    r"\b(?:import|open|mine|exec|eval|globals|load\w*|getenv|environ|get_ipython|__\w+__)\b|^[ \t]*[%!]", re.MULTILINE
)

__all__ = ["HOW_TO_MEND", "NEEDS_FILES", "Rehearsed", "files_beside", "may_differ", "rehearse"]


def files_beside(notebook: Path) -> dict[str, bytes]:
    """The content of the files that stand beside a notebook and would be handed in with it, by their paths."""
    found, left = {}, LARGEST_BESIDE
    for here, folders, names in os.walk(notebook.parent):
        below = Path(here).relative_to(notebook.parent)
        folders[:] = [name for name in folders if not name.startswith((".", "__")) and len(below.parts) < DEEPEST]
        for path in (Path(here, name) for name in sorted(names) if not name.startswith(".")):
            if path.suffix == ".ipynb" or path.is_symlink() or not path.is_file() or path.stat().st_size > left:
                continue
            found[(below / path.name).as_posix()] = path.read_bytes()
            left -= path.stat().st_size
            if len(found) == MOST_BESIDE:
                return found
    return found


def may_differ(notebook: Notebook, release: Notebook) -> bool:
    """Whether grading could come to something else than a run of the notebook from its first cell to its last.

    Args:
        notebook: the learner's.
        release: as it was handed out.
    """
    handed_out = {cell["source"] for _, cell in code_cells(release)}
    return any(
        REACHING.search(cell["source"]) if is_answer(cell) else cell["source"] not in handed_out
        for _, cell in code_cells(notebook)
        if is_written(cell) or not grade_id(cell)
    )


def in_words(files: Collection[str]) -> str:
    """Names of files, or how many they are."""
    return ", ".join(sorted(files)) if len(files) <= 3 else f"the {len(files)} files that are there"
