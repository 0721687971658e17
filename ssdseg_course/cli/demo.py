"""`ssdseg demo`: the course in two minutes."""

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from ssdseg_course.cli import console
from ssdseg_course.cli.data import WAREHOUSE, open_samples
from ssdseg_course.cli.networks import scores_table
from ssdseg_ref.keeping import whole_file

NETWORK = "lesson"
GALLERY_SCENES = (10, 33, 37, 41)  # of the test split
GALLERY_DPI = 110


def demo(
    out: Annotated[Path, typer.Option(help="Where the picture goes.")] = Path("out/gallery.png"),
) -> None:
    """Detect and segment in scenes that the network has never seen, draw a gallery, and grade the first lesson."""
    out.parent.mkdir(parents=True, exist_ok=True)  # or say at once that it cannot be
    console.import_keras()
    _show_network(out)
    _show_grading()


def _show_network(out: Path) -> None:
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


def _show_grading() -> None:
    from ssdseg_course.grading.nbgrader_course import grade_in_temporary_course
    from ssdseg_course.manifest import find_lesson

    lesson = find_lesson("01_anchors")
    submissions = {"the solution": lesson.solution(), "the untouched lesson": lesson.notebook()}
    with console.progress(f"grading {lesson.name}") as update:
        grades = grade_in_temporary_course(lesson, submissions, update)
    table = Table("handed in", title=f"{lesson.title}, graded by nbgrader")
    table.add_column("points", justify="right")
    for student, (score, full) in grades.items():
        table.add_row(student, f"{score:g} of {full:g}")
    console.output.print(table)
