"""`ssdseg demo`: the course in two minutes."""

import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from ssdseg_course.cli import console
from ssdseg_course.cli.data import WAREHOUSE, open_samples
from ssdseg_course.cli.live import show_live
from ssdseg_course.cli.networks import scores_table
from ssdseg_course.manifest import Lesson, find_lesson
from ssdseg_ref.keeping import whole_file

NETWORK = "lesson"
GALLERY_SCENES = (10, 33, 37, 41)  # of the test split
GALLERY_DPI = 110


def demo(
    out: Annotated[Path, typer.Option(help="Where the picture goes.")] = Path("out/gallery.png"),
    live: Annotated[
        bool, typer.Option("--live", help="Instead, open a page in which the networks look through a camera.")
    ] = False,
) -> None:
    """Detect and segment in scenes that the network has never seen, draw a gallery, and grade the first lesson."""
    if live:
        show_live()
        return
    out.parent.mkdir(parents=True, exist_ok=True)  # or say at once that it cannot be
    console.import_keras()
    show_network(out)
    show_grading()


def show_network(out: Path) -> None:
    """Print what the shipped network scores on the test split, and draw what it finds in some of its scenes."""
    from ssdseg_ref import evaluation, multitask, plot

    config = multitask.SHIPPED[NETWORK]
    predictor = multitask.Predictor(multitask.load_network(NETWORK), config)
    samples, names = open_samples(WAREHOUSE, "test", config.image_size, None)
    with console.progress("detecting and segmenting") as update:
        predictions = evaluation.predict(predictor, samples, update)
    scores = evaluation.judge(predictions, samples, names)
    console.output.print(scores_table(scores, f"the joint network on {scores.images:,} test scenes"))
    figure = plot.plot_gallery(
        [samples[index] for index in GALLERY_SCENES], [predictions[index] for index in GALLERY_SCENES], names
    )
    with whole_file(out) as draft:
        figure.savefig(draft, format="png", dpi=GALLERY_DPI)
    console.output.print(f"gallery: {escape(str(out.resolve()))}", soft_wrap=True)


def show_grading() -> None:
    """Grade the solution and the untouched lesson as a class is graded here, and print their points."""
    from ssdseg_course.grading.nbgrader_course import grade_in_temporary_course
    from ssdseg_course.work.fresh import handed_out

    lesson = find_lesson("01_anchors")
    with (
        console.progress(f"grading {lesson.name}") as update,
        tempfile.TemporaryDirectory(prefix="ssdseg-demo-") as place,
    ):
        untouched = Path(place, lesson.notebook().name)  # whatever has been written into the one in lessons/
        untouched.write_text(handed_out(lesson), encoding="utf-8")
        hand_ins = {"the solution": lesson.solution(), "the untouched lesson": untouched}
        why_open = _why_no_sandbox(lesson)
        grade = grade_in_temporary_course if why_open else _grade_in_a_sandbox
        grades = grade(lesson, hand_ins, update)
    table = Table("handed in", title=f"{lesson.title}, graded by {'plain nbgrader' if why_open else '`ssdseg grade`'}")
    table.add_column("points", justify="right")
    for student, (score, full) in grades.items():
        table.add_row(student, f"{score:g} of {full:g}")
    console.output.print(table)
    if why_open:
        console.print_plain(f"Plain nbgrader ran these in the open, where `ssdseg grade` uses a sandbox: {why_open}")


def _why_no_sandbox(lesson: Lesson) -> str:
    """Why this system has no sandbox to grade in, and what to do about it; "" if it has one."""
    from ssdseg_course.grading.sandbox import Sandbox, SandboxError

    try:
        Sandbox(lesson).close()
    except SandboxError as error:
        return str(error).partition(" `--unsafe`")[0]
    return ""


def _grade_in_a_sandbox(
    lesson: Lesson, hand_ins: Mapping[str, Path], update: Callable[[int, int], None]
) -> dict[str, tuple[float, float]]:
    """Grade as `ssdseg grade` does, in a folder that is gone afterwards."""
    from ssdseg_course.grading.grading import Options, grade_folder

    with tempfile.TemporaryDirectory(prefix="ssdseg-demo-") as place:
        term = Path(place)
        for student, notebook in hand_ins.items():
            folder = term / "submitted" / student / lesson.name
            folder.mkdir(parents=True)
            shutil.copy(notebook, folder)
        tally = grade_folder(term / "submitted", term, Options(lesson, workers=len(hand_ins)), update)
    if tally.not_graded:
        raise ValueError(tally.not_graded[0].reason)
    return {record.student: (record.earned, record.points) for record in tally.records}
