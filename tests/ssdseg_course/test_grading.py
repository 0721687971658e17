"""Grading with plain nbgrader: what is right earns its points, and nothing else does."""

import os
import shutil
import subprocess
import sys
import sysconfig

import pytest
from tiny_course import TINY, make_tiny_course

from ssdseg_course.authoring import build
from ssdseg_course.exercises import exercises_of
from ssdseg_course.grading.nbgrader_course import GradingError, grade_in_temporary_course
from ssdseg_course.manifest import LESSONS, ROOT


@pytest.mark.parametrize("module", ["grading", "grading.grader", "grading.doctor", "grading.rehearsal"])
def test_who_looks_at_one_notebook_waits_for_neither_nbgrader_nor_a_kernel_nor_a_database(module):
    heavy = "{'nbgrader', 'nbconvert', 'nbclient', 'jupyter_client', 'sqlalchemy', 'distributed'}"
    code = f"import sys, ssdseg_course.{module}; print(sorted({heavy} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.fixture(scope="module")
def course(tmp_path_factory):
    """A course with the tiny lesson."""
    root = make_tiny_course(tmp_path_factory.mktemp("course"))
    build(TINY, root)
    return root


def test_points_are_given_by_exercise(course, tmp_path):
    one_wrong = tmp_path / "one_wrong.ipynb"
    one_wrong.write_text(TINY.solution(course).read_text().replace("[x / cols, y / rows]", "[y / rows, x / cols]"))
    noisy = tmp_path / "noisy.ipynb"
    warning = "import sys; print('a warning', file=sys.stderr)\\n\",\n    \"    y, x = np.mgrid"
    noisy.write_text(TINY.solution(course).read_text().replace("y, x = np.mgrid", warning, 1))
    steps = []
    scores = grade_in_temporary_course(
        TINY,
        {"solution": TINY.solution(course), "untouched": TINY.notebook(course), "wrong": one_wrong, "noisy": noisy},
        progress=lambda *step: steps.append(step),
        root=course,
    )
    assert scores == {"solution": (30, 30), "untouched": (0, 30), "wrong": (20, 30), "noisy": (30, 30)}
    assert steps == [(0, 4), (1, 4), (2, 4), (3, 4), (4, 4)]


def test_a_submission_that_is_no_notebook_is_named(course, tmp_path):
    broken = tmp_path / "broken.ipynb"
    broken.write_text("{")
    with pytest.raises(GradingError, match="broken"):
        grade_in_temporary_course(TINY, {"broken": broken}, root=course)


def nbgrader(folder, *arguments) -> str:
    """Run the `nbgrader` command there, as an instructor does."""
    path = os.pathsep.join([sysconfig.get_path("scripts"), os.environ["PATH"]])
    done = subprocess.run(
        [sys.executable, "-m", "nbgrader", *arguments],
        cwd=folder,
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(
    "lesson",
    [
        TINY,
        *(pytest.param(LESSONS[number], marks=pytest.mark.full) for number in (1,)),
        *(pytest.param(LESSONS[number], marks=pytest.mark.slow) for number in (0, 5, 8, 9)),
    ],
    ids=lambda lesson: lesson.name,
)
def test_plain_nbgrader_gives_the_solution_all_points_and_the_untouched_lesson_none(lesson, course, tmp_path):
    root = course if lesson is TINY else ROOT
    points = 30 if lesson is TINY else sum(exercise.points for exercise in exercises_of(lesson))
    shutil.copy(ROOT / "nbgrader_config.py", tmp_path)
    shutil.copytree(root / "solutions" / lesson.name, tmp_path / "solutions" / lesson.name)
    for student, notebook in (("ada", lesson.solution(root)), ("bob", lesson.notebook(root))):
        folder = tmp_path / "submitted" / student / lesson.name
        folder.mkdir(parents=True)
        shutil.copy(notebook, folder)
    nbgrader(tmp_path, "generate_assignment", lesson.name, "--force")
    assert lesson.notebook(tmp_path).read_bytes() == lesson.notebook(root).read_bytes()
    nbgrader(tmp_path, "autograde", lesson.name)
    nbgrader(tmp_path, "export")
    header, *rows = [line.split(",") for line in (tmp_path / "grades.csv").read_text().splitlines()]
    grades = [dict(zip(header, row, strict=True)) for row in rows]
    assert {grade["student_id"]: float(grade["score"]) for grade in grades} == {"ada": points, "bob": 0}
    assert not list((tmp_path / "autograded").rglob("*.py"))
