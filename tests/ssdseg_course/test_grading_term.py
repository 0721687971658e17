"""A term in which people hand in as they do: grades, due dates, comments, feedback and nbgrader's own tools.

What an answer does is not asked here: a grader that knows no sandbox takes every answer for right that was written.
"""

import contextlib
import csv
import json
import os
import shutil

import pytest
from learners import LESSON, handed_out, right_answers, with_answers
from nbgrader.api import Gradebook
from nbgrader.apps.api import NbGraderAPI
from nbgrader.coursedir import CourseDirectory
from nbgrader.plugins import LateSubmissionPlugin
from nbgrader.utils import notebook_hash
from sqlalchemy.exc import DataError, OperationalError
from traitlets.config import Config

from ssdseg_course.checking.report import Report
from ssdseg_course.cli.grade import show
from ssdseg_course.exercises import exercises_of
from ssdseg_course.grading import cluster, grading
from ssdseg_course.grading import gradebook as books
from ssdseg_course.grading.gradebook import GradebookError, Records, gradebook_url, open_gradebook
from ssdseg_course.grading.grader import Graded, NotGraded
from ssdseg_course.grading.grading import Options, grade_folder, read_config
from ssdseg_course.grading.repair import repair
from ssdseg_course.manifest import LESSONS, ROOT, find_lesson
from ssdseg_course.work.workspace import NotebookError, grade_id, is_written, notebook_text, parse_notebook

NAME = LESSON.name
TARGET = "linear_scales"
RIGHT = notebook_text(with_answers(handed_out(), **right_answers()))
UNTOUCHED = notebook_text(handed_out())
HOSTILE = "\x1b[2J\ud800\u202e<b>[red]:bomb:"


class Grader:
    """In the place of the cluster: an answer is right where it was written."""

    def __init__(self):
        self.graded = 0
        self.says = {}  # by learner: an error to raise, or texts to say

    def future(self, work):
        said = self.says.get(work.student, "")
        if isinstance(said, Exception):
            raise said
        lesson = find_lesson(work.lesson)
        try:
            notebook = repair(work.content, lesson, parse_notebook(work.release, "")).notebook
        except NotebookError as error:
            return NotGraded(work.student, work.lesson, f"{error}{said}")
        written = frozenset(grade_id(cell) for cell in notebook["cells"] if is_written(cell))
        reports = tuple(
            Report(exercise.id, exercise.name in written, exercise.points, (f"well {said}",), work.seed, said)
            for exercise in exercises_of(lesson)
        )
        remarks = (*work.remarks, *([said] if said else []))
        return Graded(work.student, work.lesson, reports, written, remarks, notebook, work.timestamp)


@pytest.fixture
def grader(monkeypatch):
    """The grader that knows no sandbox."""
    grader = Grader()

    class Future:
        def __init__(self, work):
            self.work = work

        def result(self):
            return grader.future(self.work)

    def grade_all(client, works):
        for work in works:
            grader.graded += 1
            yield work, cluster.result_of(Future(work), work)

    monkeypatch.setattr(cluster, "grade_all", grade_all)
    monkeypatch.setattr(cluster, "connected", lambda *_: contextlib.nullcontext())
    return grader


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """A gradebook that knows two lessons, and their notebooks as they are handed out: nbgrader takes seconds for it."""
    folder = tmp_path_factory.mktemp("prepared")
    config = read_config(folder)
    url = gradebook_url(config, None)
    with open_gradebook(url, config):
        return folder / "gradebook.db", {
            lesson: grading.prepare(lesson, url, folder, config) for lesson in (LESSON, find_lesson("2"))
        }


@pytest.fixture
def empty_term(tmp_path, prepared):
    """A folder for a term, as the documentation has it made; nbgrader is asked for each lesson."""
    shutil.copy(ROOT / "nbgrader_config.py", tmp_path)
    shutil.copy(prepared[0], tmp_path)
    return tmp_path


@pytest.fixture
def term(empty_term, prepared, monkeypatch):
    """The same, where nbgrader knows the lessons."""
    monkeypatch.setattr(grading, "prepare", lambda lesson, *_: prepared[1][lesson])
    return empty_term


def hand_in(term, student, text=RIGHT, lesson=NAME, timestamp=""):
    """Put a notebook where nbgrader collects it."""
    folder = term / "submitted" / student / lesson
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{lesson}.ipynb").write_text(text)
    if timestamp:
        (folder / "timestamp.txt").write_text(timestamp)
    return folder


def run(term, **options):
    """Grade all that was handed in."""
    return grade_folder(term / "submitted", term, Options(workers=1, **options))


def gradebook(term):
    """The gradebook of a term, for nbgrader's own functions."""
    return Gradebook(f"sqlite:///{term / 'gradebook.db'}", "ssdseg")


def grades(term) -> dict:
    """The table of grades, by (learner, lesson)."""
    with (term / "grades.csv").open(newline="") as file:
        return {(row["student_id"], row["assignment"]): row for row in csv.DictReader(file)}


def page(term, student, lesson=NAME) -> str:
    """What a learner gets back."""
    return (term / "feedback" / student / lesson / f"{lesson}.html").read_text()


def test_what_was_not_graded_has_no_grade_in_the_table(term, grader):
    hand_in(term, "ada")
    hand_in(term, "bob", UNTOUCHED)
    hand_in(term, "ada", find_lesson("2").notebook().read_text(), "02_matching")
    run(term)
    found = {key: (row["raw_score"], row["score"], row["max_score"]) for key, row in grades(term).items()}
    assert found == {
        ("ada", NAME): ("100.0", "100.0", "100.0"),
        ("bob", NAME): ("0.0", "0.0", "100.0"),
        ("ada", "02_matching"): ("0.0", "0.0", "100.0"),
        ("bob", "02_matching"): ("", "", "100.0"),
    }


def test_an_earlier_grade_stays_where_what_came_later_cannot_be_graded(term, grader):
    hand_in(term, "ada")
    run(term)
    hand_in(term, "ada", "")
    tally = run(term)
    assert [refused.reason for refused in tally.not_graded] == ["the file is empty"]
    assert grades(term)["ada", NAME]["score"] == "100.0"


LATE = "c.LateSubmissionPlugin.penalty_method = 'zero'\n"


def test_a_due_date_that_is_set_later_or_extended_counts_at_once(term, grader):
    with (term / "nbgrader_config.py").open("a") as config:
        config.write(LATE)
    hand_in(term, "ada", timestamp="2026-11-25 10:00:00 UTC")
    hand_in(term, "bob", timestamp="2026-11-23 10:00:00 UTC")
    run(term)

    def now() -> tuple:
        tally = run(term)
        assert (tally.graded, tally.unchanged) == (0, 2)
        rows = grades(term)
        return tally.penalties, rows["ada", NAME]["score"], rows["bob", NAME]["score"]

    assert now() == (0, "100.0", "100.0")
    with gradebook(term) as book:
        book.update_or_create_assignment(NAME, duedate="2026-11-24 10:00:00 UTC")
    assert now() == (1, "0.0", "100.0")
    assert "after 100 less for being late" in page(term, "ada")
    assert "less for being late" not in page(term, "bob")
    with gradebook(term) as book:
        book.grant_extension(NAME, "ada", days=2)
    assert now() == (1, "100.0", "100.0")
    assert "less for being late" not in page(term, "ada")


def test_who_is_late_when_graded_loses_what_nbgraders_plugin_says_and_who_has_no_time_is_not_late(term, grader):
    with (term / "nbgrader_config.py").open("a") as config:
        config.write(LATE)
    with gradebook(term) as book:
        book.update_or_create_assignment(NAME, duedate="2026-11-24 10:00:00 UTC")
    hand_in(term, "ada", timestamp="2026-11-25 10:00:00 UTC")
    hand_in(term, "bob")
    assert run(term).graded == 2
    columns = ("raw_score", "late_submission_penalty", "score")
    found = {student: tuple(grades(term)[student, NAME][name] for name in columns) for student in ("ada", "bob")}
    assert found == {"ada": ("100.0", "100.0", "0.0"), "bob": ("100.0", "0.0", "100.0")}


def test_a_submission_whose_writing_fails_half_way_leaves_nothing(term, grader, monkeypatch):
    for name in ("ada", "bob"):
        hand_in(term, name)

    def stop(*_):
        raise OperationalError("insert", {}, Exception("disk I/O error"))

    with monkeypatch.context() as patch:
        patch.setattr(books, "insert", stop)
        with pytest.raises(GradebookError, match=r"gradebook\.db.*disk I/O error"):
            run(term)
    with gradebook(term) as book:
        assert book.assignment_submissions(NAME) == []
    assert run(term).graded == 2
    assert [grades(term)[student, NAME]["score"] for student in ("ada", "bob")] == ["100.0", "100.0"]


def test_changed_points_of_an_exercise_are_noticed(empty_term, grader):
    term = empty_term
    hand_in(term, "ada")
    hand_in(term, "bob", UNTOUCHED)
    run(term)
    source = term / "solutions" / NAME
    source.unlink()  # a link to the course's own
    source.mkdir()
    notebook = json.loads(LESSON.solution().read_text())
    check = next(
        cell for cell in notebook["cells"] if cell["metadata"].get("nbgrader", {}).get("grade_id") == f"check_{TARGET}"
    )
    before = check["metadata"]["nbgrader"]["points"]
    check["metadata"]["nbgrader"]["points"] = before + 5
    (source / f"{NAME}.ipynb").write_text(json.dumps(notebook))
    tally = run(term)
    assert tally.graded == 2
    assert {record.student: (record.earned, record.points) for record in tally.records} == {
        "ada": (105, 105),
        "bob": (0, 105),
    }
    assert (grades(term)["ada", NAME]["score"], grades(term)["ada", NAME]["max_score"]) == ("105.0", "105.0")
    assert f"{before + 5}/{before + 5}" in page(term, "ada")
    assert f"{before + 5}/{before + 5}" in (term / "autograded" / "ada" / NAME / f"{NAME}.ipynb").read_text()


def test_a_source_without_a_graded_cell_is_named(empty_term, grader):
    term = empty_term
    hand_in(term, "ada")
    (term / "solutions" / NAME).mkdir(parents=True)
    notebook = json.loads(LESSON.solution().read_text())
    notebook["cells"] = [
        cell for cell in notebook["cells"] if cell["metadata"].get("nbgrader", {}).get("grade_id") != TARGET
    ]
    (term / "solutions" / NAME / f"{NAME}.ipynb").write_text(json.dumps(notebook))
    with pytest.raises(grading.GradingError, match=f"cells of {TARGET} are missing"):
        run(term)


def test_a_grade_given_by_hand_stays_and_is_marked_for_a_look(term, grader):
    hand_in(term, "ada", UNTOUCHED)
    run(term)
    with gradebook(term) as book:
        book.find_grade(f"check_{TARGET}", NAME, NAME, "ada").manual_score = 7
        book.db.commit()
    tally = run(term, again=True)
    assert (tally.graded, tally.unchanged) == (1, 0)
    with gradebook(term) as book:
        grade = book.find_grade(f"check_{TARGET}", NAME, NAME, "ada")
        assert (grade.manual_score, grade.auto_score, grade.needs_manual_grade, grade.score) == (7, 0, True, 7)


def test_feedback_shows_comments_and_points_given_by_hand(term, grader):
    hand_in(term, "ada", UNTOUCHED)
    run(term)
    assert "0 of 100 points" in page(term, "ada")
    with gradebook(term) as book:
        grade = book.find_grade(f"check_{TARGET}", NAME, NAME, "ada")
        grade.manual_score, grade.extra_credit = 7, 1
        book.find_comment(TARGET, NAME, NAME, "ada").manual_comment = "Nearly!\n<script>alert(1)</script>"
        book.db.commit()
    assert run(term).graded == 0
    text = page(term, "ada")
    assert "<strong>8 of 100 points</strong>" in text
    assert "8/10" in text
    assert "given by hand; the check gave 0" in text
    assert "Nearly!\n&lt;script&gt;" in text


def api(term, **exchange) -> NbGraderAPI:
    """nbgrader, as its formgrader uses it in a term's folder."""
    config = read_config(term)
    config.merge(Config({"Exchange": exchange}))
    return NbGraderAPI(CourseDirectory(config=config), config=config)


def test_the_formgrader_shows_the_lessons_and_what_was_graded(term, grader):
    hand_in(term, "ada", timestamp="2026-11-25 10:00:00 UTC")
    hand_in(term, "प्रिया")
    run(term)
    nbgrader = api(term)
    assert [entry["name"] for entry in nbgrader.get_assignments()] == [lesson.name for lesson in LESSONS]
    lesson = nbgrader.get_assignment(NAME)
    assert (lesson["num_submissions"], lesson["max_score"], lesson["average_score"]) == (2, 100, 100)
    assert nbgrader.get_autograded_students(NAME) == {"ada", "प्रिया"}
    assert {entry["student"]: entry["autograded"] for entry in nbgrader.get_submissions(NAME)} == {
        "ada": True,
        "प्रिया": True,
    }


def test_feedback_is_released_by_nbgrader_and_found_by_who_has_handed_in(term, grader, tmp_path_factory):
    exchange = tmp_path_factory.mktemp("exchange")
    exchange.chmod(0o777)
    folder = hand_in(term, "ada", timestamp="2026-11-25 10:00:00 UTC")
    (folder / "submission_secret.txt").write_text("0123456789abcdef")
    hand_in(term, "bob")  # not by nbgrader's exchange
    run(term)
    nbgrader = api(term, root=str(exchange))
    for _ in range(2):
        result = nbgrader.release_feedback(NAME)
        assert result["success"], result
        name = notebook_hash(secret="0123456789abcdef", notebook_id=NAME)
        assert (exchange / "ssdseg" / "feedback" / f"{name}.html").read_text() == page(term, "ada")
        result = nbgrader.generate_feedback(NAME, force=True)  # nbgrader's own page of it
        assert result["success"], result
        run(term)
    assert (term / "feedback" / "ada" / NAME / "timestamp.txt").read_text() == "2026-11-25 10:00:00.000000 UTC"


def test_names_reach_the_gradebook_and_the_table_safely(term, grader):
    for name in ("Lovelace, Ada (5678)", "=1+1", "José", "<b>Bo"):
        hand_in(term, name)
    run(term)
    names = {row["last_name"] for row in grades(term).values()}
    assert names == {"Lovelace, Ada (5678)", "'=1+1", "", "‹b›Bo"}
    (term / "students.csv").write_text("id,first_name,last_name,email\ns1,José,Núñez,j@x.org\njosé,J,N,\n")
    tally = run(term, students=term / "students.csv")
    assert tally.unchanged == 3
    assert grades(term)["josé", NAME]["first_name"] == "J"


def test_a_name_that_nbgrader_has_stays(term, grader):
    hand_in(term, "-ada-")
    run(term)
    student = next(iter(grades(term)))[0]
    with gradebook(term) as book:
        book.update_or_create_student(student, first_name="Ada", last_name="L")
    run(term)
    assert grades(term)[student, NAME]["last_name"] == "L"


# What one submission breaks costs only that one.


@pytest.mark.parametrize(
    "error", [RecursionError(HOSTILE), MemoryError(), cluster.SandboxError(HOSTILE), OSError(28, "x")]
)
def test_an_error_of_a_worker_costs_one_submission(error, term, grader):
    for name in ("ada", "bob", "cy"):
        hand_in(term, name)
    grader.says["bob"] = error
    tally = run(term)
    assert tally.graded == 2
    (refused,) = tally.not_graded
    assert refused.student == "bob"
    refused.reason.encode()


@pytest.mark.parametrize("name", ["record", "graded_notebook", "feedback_page"])
@pytest.mark.parametrize(
    "error", [RuntimeError(HOSTILE), DataError("insert", {}, Exception(HOSTILE)), OSError(36, "File name too long")]
)
def test_an_error_while_recording_costs_one_submission(name, error, term, grader, monkeypatch):
    for student in ("ada", "bob", "cy"):
        hand_in(term, student)
    place = Records if name == "record" else grading
    real = getattr(place, name)

    def breaking(*arguments):
        student = next(refused.student for refused in arguments if hasattr(refused, "student"))
        if student == "bob":
            raise error
        return real(*arguments)

    monkeypatch.setattr(place, name, breaking)
    tally = run(term)
    assert tally.graded == (3 if name == "feedback_page" else 2)
    (refused,) = tally.not_graded
    assert refused.student == "bob"
    refused.reason.encode()
    monkeypatch.setattr(place, name, real)
    tally = run(term)
    assert (tally.graded + tally.unchanged, tally.not_graded) == (3, [])
    assert page(term, "bob")


@pytest.mark.parametrize(
    "error", [OSError(28, "No space left on device"), OperationalError("x", {}, Exception("locked"))]
)
def test_a_full_disk_and_a_lost_gradebook_end_it_with_a_sentence(error, term, grader, monkeypatch):
    hand_in(term, "ada")

    def breaking(*_):
        raise error

    monkeypatch.setattr(Records, "record", breaking)
    with pytest.raises((GradebookError, OSError), match=r"No space|locked"):
        run(term)


def test_a_plugin_that_fails_is_named(term, grader, monkeypatch):
    hand_in(term, "ada", timestamp="2026-11-25 10:00:00 UTC")
    run(term)
    with gradebook(term) as book:
        book.update_or_create_assignment(NAME, duedate="2026-11-24 10:00:00 UTC")
    monkeypatch.setattr(LateSubmissionPlugin, "late_submission_penalty", lambda *_: 1 / 0)
    with pytest.raises(GradebookError, match="plugin for what being late costs stopped with ZeroDivisionError"):
        run(term)


def test_what_goes_away_while_others_are_graded_is_named(term, grader, monkeypatch):
    for name in ("ada", "bob"):
        hand_in(term, name)

    def connected(*_):
        shutil.rmtree(term / "submitted" / "ada")
        return contextlib.nullcontext()

    monkeypatch.setattr(cluster, "connected", connected)
    tally = run(term)
    assert tally.graded == 1
    assert "can no longer be read" in tally.not_graded[0].reason


def test_no_text_of_a_submission_reaches_the_terminal_or_a_file_as_it_is(term, grader, capsys):
    hand_in(term, f"x{HOSTILE}".replace("\ud800", "\udce4").replace("<b>", ""))
    hand_in(term, "bob", UNTOUCHED)
    hand_in(term, "cy", json.dumps({"nbformat": "\ud800\x1b[2J", "cells": [], "metadata": {}}))
    (term / "submitted" / "a\x1b]0;x\x07.py").write_text("")
    for student in [*(path.name for path in (term / "submitted").iterdir()), "bob", "cy"]:
        grader.says[student] = HOSTILE
    grader.says["bob"] = HOSTILE
    tally = run(term)
    show(tally, term)
    printed = capsys.readouterr().out
    texts = [printed, page(term, "bob"), (term / "class_report.md").read_text(), (term / "grades.csv").read_text()]
    for text in texts:
        text.encode()
        assert not set(text) & set("\x1b\ud800\u202e\x07")
    assert "<b>" not in page(term, "bob")
    assert "[red]:bomb:" in printed
    assert "not graded: cy" in printed


def test_one_file_of_two_learners_is_said(term, grader, capsys):
    folder = hand_in(term, "ada")
    (term / "submitted" / "bob").mkdir()
    os.link(folder / f"{NAME}.ipynb", term / "submitted" / "bob" / f"{NAME}.ipynb")
    tally = run(term)
    assert tally.graded == 2
    show(tally, term)
    assert "ada and bob handed in one and the same file (a hard link)" in capsys.readouterr().out


def test_a_file_beside_the_notebook_that_changes_is_graded_again(term, grader):
    folder = hand_in(term, "ada")
    (folder / "helper.py").write_text("x = 1")
    assert run(term).graded == 1
    assert run(term).graded == 0
    (folder / "helper.py").write_text("x = 2")
    assert run(term).graded == 1


def test_a_folder_without_nbgraders_settings_gets_no_links(term, grader):
    (term / "nbgrader_config.py").unlink()
    hand_in(term, "ada")
    run(term)
    assert not (term / "solutions").exists()
