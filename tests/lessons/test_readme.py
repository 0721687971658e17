"""What the README says of the lessons and of the commands is so."""

import re

import pytest
from typer.main import get_command

from ssdseg_course import EXERCISES
from ssdseg_course.cli import app
from ssdseg_course.exercises import exercises_of
from ssdseg_course.manifest import LESSONS, ROOT
from ssdseg_course.prose import minutes_of

README = (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("lesson", LESSONS, ids=lambda lesson: lesson.name)
def test_the_table_of_lessons_has_each_with_its_exercises_and_minutes(lesson):
    row = next(line for line in README.splitlines() if line.startswith("|") and f"/{lesson.name}.ipynb)" in line)
    assert row.startswith(f"| [{lesson.number} ")
    assert row.endswith(f"| {len(exercises_of(lesson))} | {minutes_of(lesson)} |")
    assert (ROOT / f"lessons/{lesson.name}/{lesson.name}.ipynb").exists()


def test_every_command_that_it_names_exists():
    named = set(re.findall(r"\bssdseg ([a-z]+)\b", README))
    assert named
    assert named <= set(get_command(app).commands)


def test_every_exercise_that_it_names_exists():
    named = set(re.findall(r"\b\d\d\.[a-z]\w+", README))
    assert named
    assert named <= set(EXERCISES)


def test_every_file_that_it_links_to_exists():
    for target in re.findall(r"\]\(([^)#:]+)\)", README):
        assert (ROOT / target).exists(), target
