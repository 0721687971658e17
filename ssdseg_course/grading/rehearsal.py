"""Says before it is handed in what grading would make of an answer: for `ssdseg check` and `ssdseg doctor`."""

import os
import re
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from ssdseg_course.checking.report import Report
from ssdseg_course.grading.grader import rehearse
from ssdseg_course.grading.repair import repair
from ssdseg_course.grading.sandbox import LARGEST_BESIDE, MOST_BESIDE
from ssdseg_course.manifest import Lesson
from ssdseg_course.work.workspace import (
    Notebook,
    NotebookError,
    code_cells,
    grade_id,
    is_answer,
    is_written,
)

DEEPEST = 3  # folders below that of the notebook
FEW = 3  # files that are listed
# What reaches beyond the cell that it stands in. All else is the same wherever it runs.
REACHING = re.compile(
    r"\b(?:import|open|mine|exec|eval|globals|load\w*|getenv|environ|get_ipython|__\w+__)\b|^[ \t]*[%!]", re.MULTILINE
)


@dataclass(frozen=True)
class Rehearsed:
    """What grading would make of an answer.

    Attributes:
        report: as it would be.
        note: what else to know before it is handed in, "" if nothing.
    """

    report: Report
    note: str


def rehearsed(lesson: Lesson, root: Path, release: Notebook, endless: Collection[str]) -> dict[str, Rehearsed]:
    """What grading would make of the answers in a learner's notebook, by the ids of their exercises.

    Nothing where it could not differ from what the notebook itself comes to, or where it cannot be tried: on Windows,
    where no class is graded, and where the notebook or the sandbox cannot be used.

    Args:
        lesson: which.
        root: the course folder.
        release: the lesson's notebook as it was handed out.
        endless: ids of exercises whose answers are known not to end, and are not tried.
    """
    path = lesson.notebook(root)
    try:
        repaired = repair(path.read_bytes(), lesson, release)
        differs = repaired.remarks or _may_differ(repaired.notebook, release)
        return try_out(path, lesson, release, repaired.notebook, endless) if differs else {}
    except (NotebookError, OSError):
        return {}


def try_out(
    path: Path, lesson: Lesson, release: Notebook, notebook: Notebook, endless: Collection[str] = ()
) -> dict[str, Rehearsed]:
    """What grading would make of all answers, by the ids of their exercises; nothing on Windows.

    Args:
        path: of the learner's notebook.
        lesson: which it is of.
        release: as it was handed out.
        notebook: the learner's, as `repair` gives it.
        endless: ids of exercises whose answers are known not to end, and are not tried.

    Raises:
        SandboxError: if this system cannot run them, not even without a sandbox.
    """
    if not hasattr(os, "fork"):
        return {}
    beside = files_beside(path)
    files = ", ".join(sorted(beside)) if len(beside) <= FEW else f"the {len(beside)} files there"
    found = {}
    for report, needs_files in rehearse(lesson, release, notebook, beside, endless):
        note = report.messages[0] if report.right_but_for_helpers else ""
        note = f"it needs what stands beside the notebook: hand in {files} with it" if needs_files else note
        found[report.exercise_id] = Rehearsed(report, note)
    return found


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


def _may_differ(notebook: Notebook, release: Notebook) -> bool:
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
