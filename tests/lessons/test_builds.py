"""Two builds of a lesson are the same to the last byte, but for the outputs of the cells that are tagged `timed`."""

import shutil

import nbformat
import pytest

from ssdseg_course.authoring import build
from ssdseg_course.manifest import Lesson, find_lesson


def built(lesson: Lesson, root) -> tuple[str, bytes]:
    """The solution without its times, and the learner's notebook, both built in a folder of their own."""
    lesson.source(root).parent.mkdir(parents=True)
    shutil.copy(lesson.source(), lesson.source(root))
    build(lesson, root)
    solution = nbformat.read(lesson.solution(root), as_version=4)
    for cell in solution.cells:
        if "timed" in cell.metadata.get("tags", ()):
            cell.outputs = []
    return nbformat.writes(solution), lesson.notebook(root).read_bytes()


@pytest.mark.parametrize(
    "number",  # one in NumPy that takes times, one in Keras
    [pytest.param("2", marks=pytest.mark.full), pytest.param("6", marks=pytest.mark.slow)],
)
def test_a_second_build_gives_the_same_bytes_but_for_times(number, tmp_path):
    lesson = find_lesson(number)
    assert built(lesson, tmp_path / "one") == built(lesson, tmp_path / "other")
