"""From the one source of a lesson to its two notebooks.

`solutions/NN_topic/NN_topic.py`, text in jupytext's percent format, becomes the executed `NN_topic.ipynb` beside it,
and that becomes, through nbgrader's own generator, the learner's `lessons/NN_topic/NN_topic.ipynb`.

    python -m ssdseg_course.authoring build [LESSON ...]
    python -m ssdseg_course.authoring check [LESSON ...]

Everything but the outputs depends on the source alone, cell ids too, so that a change of one cell is a change of one
cell in the notebooks, and drift can be told from noise.
"""

import argparse
import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import jupytext
import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from nbformat import NotebookNode
from nbgrader.converters import GenerateAssignment
from rich.progress import Progress, TaskID

from ssdseg_course.exercises import exercises_of
from ssdseg_course.grading.nbgrader_course import course_config, run_nbgrader
from ssdseg_course.manifest import LESSONS, ROOT, Lesson, find_lesson
from ssdseg_course.prose import as_learners_read_it
from ssdseg_course.work.backups import back_up
from ssdseg_course.work.workspace import NotebookError, has_work, read_notebook
from ssdseg_ref.data.photographs import FOLDER as PHOTOGRAPHS
from ssdseg_ref.keeping import write_whole

METADATA = {
    "kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"},
    "language_info": {"name": "python", "file_extension": ".py", "mimetype": "text/x-python"},
}
NBGRADER_DEFAULTS = {"grade": False, "solution": False, "task": False, "schema_version": 3}
WIDGET = "application/vnd.jupyter.widget-view+json"
CELL_TIMEOUT = 1800  # seconds; lesson 8 trains a network
KERNEL_ARGUMENTS = ["--HistoryManager.hist_file=:memory:", "--log-level=ERROR"]


class LessonError(Exception):
    """A lesson that cannot be built; the message names the file and the cell."""


def build(lesson: Lesson, root: Path = ROOT, progress: Callable[[int, int], None] | None = None) -> Path | None:
    """Write both notebooks of a lesson; neither, if a cell fails.

    Args:
        lesson: which.
        root: the repository.
        progress: called with (cells run, cells) after each cell of code.

    Returns:
        the copy of a learner's notebook that held work, if one stood there.

    Raises:
        LessonError: if a cell of the solution raises an error.
    """
    solution = read_source(lesson, root)
    _execute(solution, lesson.source(root), progress)
    learners = make_learners(solution, lesson)
    kept = _keep_work(lesson.notebook(root), root)
    write_whole(lesson.solution(root), nbformat.writes(solution) + "\n")
    write_whole(lesson.notebook(root), learners)
    return kept


def check_drift(lesson: Lesson, root: Path = ROOT) -> list[str]:
    """What in a lesson's notebooks no longer comes from its source, in words; nothing if all is well.

    Outputs do not count: pictures change with the version of matplotlib.
    """
    source = read_source(lesson, root)
    learners = make_learners(source, lesson)
    differences = []
    for path, wanted in (
        (lesson.solution(root), source),
        (lesson.notebook(root), nbformat.reads(learners, as_version=4)),
    ):
        if path.exists():
            differences += _differences(path, wanted, nbformat.read(path, as_version=4))
        else:
            differences.append(f"{path} is missing")
    if not differences and lesson.notebook(root).read_text(encoding="utf-8") != learners:
        differences.append(f"{lesson.notebook(root)} is not the text that nbgrader writes; has it been run?")
    return differences


def read_source(lesson: Lesson, root: Path = ROOT) -> NotebookNode:
    """The notebook that a source stands for: not executed, with reproducible ids, and all facts of its exercises.

    Raises:
        ValueError: if its prose names an exercise that the lesson does not have.
    """
    notebook = jupytext.reads(lesson.source(root).read_text(encoding="utf-8"), fmt="py:percent")
    points = {f'check("{exercise.id}"': {"points": exercise.points} for exercise in exercises_of(lesson)}
    notebook.metadata = nbformat.from_dict(METADATA)
    notebook.nbformat_minor = 5
    for position, cell in enumerate(notebook.cells):
        cell.metadata.pop("lines_to_next_cell", None)  # jupytext's note on the layout of the text
        cell.id = _cell_id(position, cell)
        if cell.cell_type == "markdown":
            cell.source = as_learners_read_it(cell.source, lesson, root)
        if "nbgrader" in cell.metadata:
            written = cell.metadata.nbgrader
            graded = written.get("grade", False)
            worth = points.get(cell.source.partition(",")[0], {}) if graded else {}
            cell.metadata.nbgrader = {**NBGRADER_DEFAULTS, "locked": graded, **worth, **written}
    return notebook


def _cell_id(position: int, cell: NotebookNode) -> str:
    grade_id = cell.metadata.get("nbgrader", {}).get("grade_id")
    return grade_id or f"cell-{position:03d}"


def make_learners(solution: NotebookNode, lesson: Lesson) -> str:
    """The text of the learner's notebook, as `nbgrader generate_assignment` makes it."""
    with tempfile.TemporaryDirectory(prefix="ssdseg-authoring-") as folder, _environment_kept():
        course = Path(folder)
        config = course_config(course, lesson.name)
        config.GenerateAssignment.no_database = True
        config.SaveCells.enabled = False
        lesson.solution(course).parent.mkdir(parents=True)
        nbformat.write(solution, lesson.solution(course))
        run_nbgrader(GenerateAssignment, config)
        return lesson.notebook(course).read_text(encoding="utf-8")


@contextmanager
def _environment_kept() -> Iterator[None]:
    """Undo what nbgrader_config.py says in the environment, or no lesson that is built after this one would train."""
    before = dict(os.environ)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def _execute(notebook: NotebookNode, source: Path, progress: Callable[[int, int], None] | None) -> None:
    code_cells = [cell for cell in notebook.cells if cell.cell_type == "code"]

    def report(cell: NotebookNode, **_: Any) -> None:
        if progress:
            progress(code_cells.index(cell) + 1, len(code_cells))

    client = NotebookClient(
        notebook,
        timeout=CELL_TIMEOUT,
        resources={"metadata": {"path": str(source.parent)}},
        record_timing=False,  # a time of day is another one in every build
        store_widget_state=False,
        coalesce_streams=True,
        extra_arguments=KERNEL_ARGUMENTS,
        on_cell_executed=report,
    )
    try:
        client.execute(env=os.environ | {PHOTOGRAPHS: ""})  # stand-ins: outputs are committed
    except CellExecutionError as error:
        failed = next(cell for cell in notebook.cells if _has_error(cell))
        raise LessonError(f"{source}: cell {failed.id} raises {error.ename}: {error.evalue}") from None
    notebook.metadata = nbformat.from_dict(METADATA)  # execution has added the version of Python
    for cell in code_cells:
        cell.outputs = [output for output in map(_without_widget, cell.outputs) if output is not None]


def _has_error(cell: NotebookNode) -> bool:
    return any(output.output_type == "error" for output in cell.get("outputs", []))


def _without_widget(output: NotebookNode) -> NotebookNode | None:
    """The output without its widget, whose id is new in every run; None if nothing else than its name is left."""
    if WIDGET not in output.get("data", {}):
        return output
    del output.data[WIDGET]
    return output if set(output.data) - {"text/plain"} else None


def _differences(path: Path, wanted: NotebookNode, found: NotebookNode) -> list[str]:
    """How a notebook differs from what it should be, a sentence a cell; outputs aside."""
    wanted_cells = {cell.id: cell for cell in wanted.cells}
    found_cells = {cell.id: cell for cell in found.cells}
    differences = [f"{path}: cell {name} is missing" for name in wanted_cells if name not in found_cells]
    differences += [f"{path}: cell {name} is not in the source" for name in found_cells if name not in wanted_cells]
    for name in wanted_cells.keys() & found_cells.keys():
        differences += [
            f"{path}: cell {name} has another {part} than its source"
            for part in ("cell_type", "source", "metadata")
            if wanted_cells[name][part] != found_cells[name][part]
        ]
    if not differences and list(wanted_cells) != list(found_cells):
        differences.append(f"{path}: the cells stand in another order than in the source")
    if wanted.metadata != found.metadata:
        differences.append(f"{path}: the metadata of the notebook differ")
    return sorted(differences)


def _keep_work(notebook: Path, root: Path) -> Path | None:
    """Copy a notebook that somebody has worked in, or that cannot be read; gives the copy."""
    if not notebook.exists():
        return None
    try:
        return back_up(notebook, root) if has_work(read_notebook(notebook)) else None
    except NotebookError:
        return back_up(notebook, root)


def main(arguments: list[str] | None = None) -> int:
    """The command line; gives the exit status."""
    parser = argparse.ArgumentParser(prog="python -m ssdseg_course.authoring", description=__doc__.splitlines()[0])
    parser.add_argument(
        "action", choices=["build", "check"], help="write the notebooks, or see whether they have drifted"
    )
    parser.add_argument("lessons", nargs="*", metavar="LESSON", help='"1" or "01_anchors"; all without one')
    options = parser.parse_args(arguments)
    try:
        lessons = [find_lesson(name) for name in options.lessons] or LESSONS
        return _build_all(lessons) if options.action == "build" else _check_all(lessons)
    except (LessonError, ValueError) as error:
        print(error, file=sys.stderr)
        return 1


def _build_all(lessons: Sequence[Lesson]) -> int:
    with Progress() as bars:
        for lesson in lessons:
            bar = bars.add_task(lesson.name, total=None)
            kept = build(lesson, progress=partial(_move, bars, bar))
            if kept:
                bars.console.print(f"{lesson.name}: somebody has worked in it, a copy is kept: {kept}")
    return 0


def _move(bars: Progress, bar: TaskID, done: int, cells: int) -> None:
    bars.update(bar, completed=done, total=cells)


def _check_all(lessons: Sequence[Lesson]) -> int:
    differences = [difference for lesson in lessons for difference in check_drift(lesson)]
    for difference in differences:
        print(difference)
    if differences:
        print("run `make lessons` to build the notebooks anew")
    return 1 if differences else 0


if __name__ == "__main__":
    sys.exit(main())
