"""What the course remembers: hints given and results of checks, and never one that is no longer true."""

import json

import pytest
from learners import (
    IMPORTING,
    LESSON,
    cell_of,
    handed_out,
    insert_behind,
    new_cell,
    right_answers,
    save,
    small,
    with_answers,
)

from ssdseg_course.check import hint, hints_given
from ssdseg_course.exercises import exercises_of
from ssdseg_course.manifest import LESSONS
from ssdseg_course.work import record, standing
from ssdseg_course.work.record import note, recall, record_path
from ssdseg_course.work.results import LessonResult, Result, State
from ssdseg_course.work.standing import check_now, known_result
from ssdseg_course.work.workspace import CHECKING

NOTHING = LessonResult(tuple(Result(exercise, State.UNWRITTEN, "") for exercise in exercises_of(LESSON)), ("a cell",))


def test_what_is_noted_is_recalled(tmp_path):
    note(tmp_path, "hints", "01.coverage", 2)
    note(tmp_path, "hints", "01.grid_centers", 1)
    assert recall(tmp_path, "hints", "01.coverage") == 2
    assert recall(tmp_path, "hints", "02.iou") is None
    assert recall(tmp_path, "checks", "01.coverage") is None


@pytest.mark.parametrize("content", ["", "{", "[]", "3", '{"hints": 3}', "\x00"])
def test_a_broken_record_is_no_disaster(tmp_path, content):
    record_path(tmp_path).parent.mkdir()
    record_path(tmp_path).write_text(content)
    assert recall(tmp_path, "hints", "01.coverage") is None
    note(tmp_path, "hints", "01.coverage", 1)
    assert recall(tmp_path, "hints", "01.coverage") == 1


def test_a_record_that_cannot_be_written_is_no_disaster(tmp_path):
    (tmp_path / ".ssdseg").write_text("a file where the folder should be")
    note(tmp_path, "hints", "01.coverage", 1)
    assert recall(tmp_path, "hints", "01.coverage") is None


class TestHints:
    """In the folder of a lesson, as a notebook calls them."""

    @pytest.fixture(autouse=True)
    def lesson_folder(self, tmp_path, monkeypatch):
        monkeypatch.chdir(save(handed_out(), tmp_path).parent)
        hints_given.clear()

    def test_they_count_on_in_the_next_process(self, tmp_path, capsys):
        hint("01.coverage")
        hints_given.clear()
        hint("01.coverage")
        assert [line[:13] for line in capsys.readouterr().out.splitlines()] == ["hint 1 of 3: ", "hint 2 of 3: "]
        assert recall(tmp_path, "hints", "01.coverage") == 2

    def test_a_check_that_runs_the_notebook_uses_none_up(self, tmp_path, monkeypatch):
        monkeypatch.setenv(CHECKING, "1")
        hint("01.coverage")
        assert not record_path(tmp_path).exists()

    def test_outside_of_the_lessons_nothing_is_noted(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        hint("01.coverage")
        assert not record_path(tmp_path).exists()

    @pytest.mark.parametrize("noted", [-5, 99, "two", None, [1]])
    def test_a_senseless_number_in_the_record_gives_some_hint(self, tmp_path, capsys, noted):
        note(tmp_path, "hints", "01.coverage", noted)
        hint("01.coverage")
        assert capsys.readouterr().out.startswith("hint ")


class TestResults:
    """Of a check that has been run, with a stand-in for the run."""

    @pytest.fixture
    def root(self, tmp_path, monkeypatch):
        monkeypatch.setattr(standing, "run_lesson", lambda *_: NOTHING)
        save(handed_out(), tmp_path)
        check_now(LESSON, tmp_path)
        return tmp_path

    def test_what_was_found_is_known(self, root):
        assert known_result(LESSON, root) == NOTHING

    def test_outputs_and_prose_are_no_reason_to_check_again(self, root):
        notebook = handed_out()
        cell_of(notebook, IMPORTING)["execution_count"] = 3
        insert_behind(notebook, "grid_centers", new_cell("a thought", cell_type="markdown"))
        save(notebook, root)
        assert known_result(LESSON, root) == NOTHING

    @pytest.mark.parametrize(
        "notebook",
        [
            with_answers(handed_out(), coverage=right_answers()["coverage"]),
            with_answers(handed_out(), **{IMPORTING: "import numpy"}),
            small(handed_out()),
        ],
        ids=["an answer", "a cell of the course", "cells deleted"],
    )
    def test_other_code_is_a_reason(self, root, notebook):
        save(notebook, root)
        assert known_result(LESSON, root) is None

    def test_another_version_of_the_course_is_a_reason(self, root, monkeypatch):
        monkeypatch.setattr(record, "course_version", lambda: "another")
        assert known_result(LESSON, root) is None

    def test_a_module_of_the_learners_is_a_reason(self, root):
        (LESSON.notebook(root).parent / "helper.py").write_text("x = 1")
        assert known_result(LESSON, root) is None

    def test_a_notebook_whose_functions_are_used_is_a_reason(self, root):
        notebook = handed_out()
        insert_behind(notebook, IMPORTING, new_cell('from ssdseg_course import mine; iou = mine("02.iou")'))
        save(notebook, root)
        check_now(LESSON, root)
        assert known_result(LESSON, root) == NOTHING
        other = LESSONS[2]
        save(with_answers(handed_out(), coverage="x"), root, other)
        assert known_result(LESSON, root) is None

    @pytest.mark.parametrize("part", ["key", "results", "stops"])
    @pytest.mark.parametrize("value", [None, 3, {"01.coverage": {"state": "splendid"}}])
    def test_a_record_that_makes_no_sense_is_not_believed(self, root, part, value):
        record = json.loads(record_path(root).read_text())
        record["checks"][LESSON.name][part] = value
        record_path(root).write_text(json.dumps(record))
        assert known_result(LESSON, root) is None
