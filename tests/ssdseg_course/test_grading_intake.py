"""What is taken in of a folder of submissions: each notebook of a lesson under its learner's name, and why not."""

import datetime

import pytest
from learners import LESSON, handed_out

from ssdseg_course.grading.intake import Refusal, Submission, take_in
from ssdseg_course.manifest import find_lesson
from ssdseg_course.work.workspace import notebook_text

TEXT = notebook_text(handed_out())
SECOND = find_lesson("2").notebook()


def put(path, content=TEXT):
    """Write a file, with the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    return path


def taken(folder, lesson=None) -> dict:
    """What was taken in, by (learner, lesson)."""
    found = list(take_in(folder, lesson))
    result = {(it.student, it.lesson.name if isinstance(it, Submission) else it.lesson): it for it in found}
    assert len(result) == len(found)
    return result


def test_nbgraders_folders_are_understood(tmp_path):
    put(tmp_path / "ada" / LESSON.name / f"{LESSON.name}.ipynb")
    put(tmp_path / "ada" / "02_matching" / "02_matching.ipynb", SECOND.read_text())
    put(tmp_path / "bob" / LESSON.name / f"{LESSON.name}.ipynb")
    found = taken(tmp_path)
    assert list(found) == [("ada", "01_anchors"), ("ada", "02_matching"), ("bob", "01_anchors")]
    assert all(isinstance(it, Submission) and not it.remarks for it in found.values())


def test_one_lesson_alone_can_be_wanted(tmp_path):
    put(tmp_path / "ada" / LESSON.name / f"{LESSON.name}.ipynb")
    put(tmp_path / "bob" / "02_matching" / "02_matching.ipynb", SECOND.read_text())
    found = taken(tmp_path, find_lesson("2"))
    assert isinstance(found["bob", "02_matching"], Submission)
    assert "no notebook of this lesson" in found["ada", "02_matching"].reason


@pytest.mark.parametrize("name", ["ada.ipynb", "ada/work.ipynb", "ada/a/b/final FINAL.ipynb", "ada/01_anchors-1.ipynb"])
def test_other_names_are_understood_by_what_is_in_them(name, tmp_path):
    put(tmp_path / name)
    assert isinstance(taken(tmp_path)["ada", "01_anchors"], Submission)


def test_the_notebook_of_the_right_name_counts_and_the_others_are_named(tmp_path):
    put(tmp_path / "ada" / LESSON.name / f"{LESSON.name}.ipynb", "right")
    put(tmp_path / "ada" / LESSON.name / f"{LESSON.name}-Copy1.ipynb", "wrong")
    put(tmp_path / "ada" / LESSON.name / ".ipynb_checkpoints" / f"{LESSON.name}.ipynb", "old")
    it = taken(tmp_path)["ada", "01_anchors"]
    assert it.content == b"right"
    assert "Copy1" in it.remarks[0]


def test_the_time_of_handing_in_is_nbgraders(tmp_path):
    put(tmp_path / "ada" / LESSON.name / f"{LESSON.name}.ipynb")
    put(tmp_path / "ada" / LESSON.name / "timestamp.txt", "2026-11-23 09:00:00.5 UTC")
    put(tmp_path / "bob" / LESSON.name / f"{LESSON.name}.ipynb")
    put(tmp_path / "bob" / LESSON.name / "timestamp.txt", "//9999999999999999999999h0x")
    found = taken(tmp_path)
    assert found["ada", "01_anchors"].timestamp == datetime.datetime(2026, 11, 23, 9, 0, 0, 500_000)
    assert found["bob", "01_anchors"].timestamp is None


def test_names_that_could_be_something_else_are_refused(tmp_path):
    for name in ("-rf", "a\nb", "a<b>", ".hidden", "_x"):
        put(tmp_path / name / LESSON.name / f"{LESSON.name}.ipynb")
    (tmp_path / "readme.txt").write_text("")
    found = taken(tmp_path)
    assert len(found) == 5  # what is hidden is not looked at
    assert all(isinstance(it, Refusal) and it.reason for it in found.values())
    assert not any("\n" in student for student, _ in found)


def test_a_learner_with_thousands_of_files_is_looked_at_in_part(tmp_path):
    for number in range(1100):
        put(tmp_path / "ada" / LESSON.name / f"{number}.txt", "")
    assert "more than 1,000 files" in taken(tmp_path, LESSON)["ada", "01_anchors"].reason


def test_what_can_be_no_lesson_is_named(tmp_path):
    put(tmp_path / "ada" / "essay.ipynb", '{"cells": []}')
    assert "which lesson" in taken(tmp_path)["ada", ""].reason


def test_an_empty_folder_holds_nothing(tmp_path):
    assert taken(tmp_path) == {}


def test_two_entries_of_one_learner_are_one_learners(tmp_path):
    put(tmp_path / "ada" / LESSON.name / f"{LESSON.name}.ipynb")
    put(tmp_path / "ada.ipynb")
    assert [it.student for it in take_in(tmp_path)] == ["ada", "ada"]
