"""A fresh notebook is what nbgrader makes, without nbgrader."""

import subprocess
import sys

import pytest

from ssdseg_course.manifest import LESSONS, ROOT
from ssdseg_course.work.fresh import handed_out
from ssdseg_course.work.workspace import NotebookError


@pytest.mark.parametrize("lesson", LESSONS, ids=lambda lesson: lesson.name)
def test_it_is_to_the_letter_what_nbgrader_writes(lesson):
    assert handed_out(lesson, ROOT) == lesson.notebook().read_text(encoding="utf-8")


def test_without_the_solution_it_cannot_be_made(tmp_path):
    with pytest.raises(NotebookError, match=r"01_anchors.ipynb: there is no such file"):
        handed_out(LESSONS[1], tmp_path)


def test_it_needs_nothing_that_takes_seconds_to_import():
    code = (
        "import sys, ssdseg_course.work.versions\n"
        "sys.exit(', '.join({'nbgrader', 'nbformat', 'numpy'} & set(sys.modules)) or None)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
