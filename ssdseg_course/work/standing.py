"""Where a learner stands in a lesson: by a check that runs now, or by an earlier one that still holds."""

import hashlib
from pathlib import Path

from ssdseg_course.exercises import EXERCISES, exercises_of
from ssdseg_course.manifest import Lesson
from ssdseg_course.work.record import note, recall, surroundings
from ssdseg_course.work.results import LessonResult, Result, State
from ssdseg_course.work.running import Progress, run_lesson
from ssdseg_course.work.workspace import code_cells, grade_id, is_own, is_written, read_lesson

KIND = "checks"


def check_now(lesson: Lesson, root: Path, progress: Progress | None = None) -> LessonResult:
    """Run the lesson's notebook, and remember what came of it.

    Raises:
        NotebookError, KernelError: as `run_lesson` does.
    """
    key = _key(lesson, root)  # of what is run, even if it is saved again meanwhile
    result = run_lesson(lesson, root, progress)
    results = {one.exercise.id: {"state": one.state, "text": one.text, "cases": one.cases} for one in result.results}
    note(root, KIND, lesson.name, {"key": key, "results": results, "stops": result.stops})
    return result


def known_result(lesson: Lesson, root: Path) -> LessonResult | None:
    """What the last check said, if nothing that it depends on has changed since.

    Raises:
        NotebookError: if the notebook cannot be read.
    """
    key = _key(lesson, root)
    noted = recall(root, KIND, lesson.name)
    return last_result(lesson, root) if isinstance(noted, dict) and noted.get("key") == key else None


def last_result(lesson: Lesson, root: Path) -> LessonResult | None:
    """What the last check said, whatever has changed since; None where there was none."""
    noted = recall(root, KIND, lesson.name)
    try:
        results = tuple(
            Result(EXERCISES[name], State(one["state"]), str(one["text"]), int(one["cases"]))
            for name, one in noted["results"].items()
        )
        if not isinstance(noted["stops"], list):
            return None
        stops = tuple(map(str, noted["stops"]))
    except (TypeError, KeyError, AttributeError, ValueError):  # a record that we have not written
        return None
    complete = [one.exercise for one in results] == list(exercises_of(lesson))
    return LessonResult(results, stops) if complete else None


def _key(lesson: Lesson, root: Path) -> str:
    """Stands for everything that the result of a check depends on: once it changes, the check has to run again."""
    cells = [cell for _, cell in code_cells(read_lesson(lesson, root))]
    text = repr([(grade_id(cell), cell["source"]) for cell in cells])
    # Answers of other lessons count where the learner takes them; the course's own cells judge nothing by them.
    written = "\n".join(cell["source"] for cell in cells if is_written(cell) or is_own(cell))
    return hashlib.sha256(f"{text} {surroundings(written, lesson, root)}".encode()).hexdigest()
