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
from ssdseg_course.grading.uploads import uploads
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
        self.wrong = set()  # ids of exercises of which no answer is right

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
            Report(
                exercise.id,
                exercise.name in written and exercise.id not in self.wrong,
                exercise.points,
                (f"well {said}",),
                work.seed,
                said,
            )
            for exercise in exercises_of(lesson)
            if work.only in ("", exercise.id)
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


# A table of due dates.

DUE = """
percent_per_day = 10
largest_percent = 50
free_days = 1
[due]
1 = 2026-11-24T10:00:00Z
2 = 2026-11-26T10:00:00Z
10 = 2026-12-26T10:00:00Z
[extensions.cy]
1 = 2026-11-30T10:00:00Z
"""


def test_a_table_of_due_dates_takes_points_by_nbgraders_own_column_and_keeps_the_raw_score(term, grader):
    hand_in(term, "ada", timestamp="2026-11-27 09:00:00 UTC")  # three days late, one of them free
    hand_in(term, "bob", timestamp="2026-11-24 10:00:00 UTC")
    hand_in(term, "cy", timestamp="2026-11-29 10:00:00 UTC")
    hand_in(term, "dee", timestamp="2026-12-24 10:00:00 UTC")
    (term / "due_dates.toml").write_text(DUE)
    tally = run(term)
    columns = ("raw_score", "late_submission_penalty", "score")
    found = {student: tuple(grades(term)[student, NAME][name] for name in columns) for student, _ in grades(term)}
    assert found == {
        "ada": ("100.0", "20.0", "80.0"),
        "bob": ("100.0", "0.0", "100.0"),
        "cy": ("100.0", "0.0", "100.0"),
        "dee": ("100.0", "50.0", "50.0"),
    }
    assert tally.standings["ada", NAME].late == "3 days late, 1 of them free"
    assert "after 20 less for being late" in page(term, "ada")
    assert "3 days late, 1 of them free" in page(term, "ada")
    assert "days late" not in page(term, "bob")
    with gradebook(term) as book:
        submission = book.find_submission(NAME, "cy")
        assert (submission.score, submission.late_submission_penalty) == (100, 0)
        assert submission.duedate.isoformat() == "2026-11-30T10:00:00"
        assert book.find_submission(NAME, "ada").total_seconds_late == (3 * 24 - 1) * 3600


def test_a_table_that_changes_counts_at_once_and_free_days_reach_across_lessons(term, grader):
    hand_in(term, "ada", timestamp="2026-11-25 09:00:00 UTC")
    hand_in(term, "ada", find_lesson("2").solution().read_text(), "02_matching", "2026-11-27 09:00:00 UTC")
    run(term)
    (term / "due_dates.toml").write_text(DUE)

    def scores() -> tuple:
        tally = run(term)
        assert tally.graded == 0
        rows = grades(term)
        return tally.penalties, rows["ada", NAME]["score"], rows["ada", "02_matching"]["score"]

    assert scores() == (1, "100.0", "90.0")
    assert scores() == (0, "100.0", "90.0")
    (term / "due_dates.toml").write_text(DUE.replace("free_days = 1", "free_days = 0"))
    assert scores() == (1, "90.0", "90.0")
    (term / "due_dates.toml").write_text(DUE.replace("= 10", "= 0"))
    assert scores() == (2, "100.0", "100.0")


def test_where_no_time_is_noted_the_files_own_counts_and_a_new_one_grades_nothing_again(term, grader):
    notebook = hand_in(term, "ada") / f"{NAME}.ipynb"
    os.utime(notebook, (1795773600, 1795773600))  # 2026-11-27 10:00 UTC: three days late
    (term / "due_dates.toml").write_text(DUE)
    run(term)
    assert grades(term)["ada", NAME]["score"] == "80.0"
    assert grades(term)["ada", NAME]["timestamp"] == "2026-11-27 10:00:00"
    os.utime(notebook, (0, 0))
    assert run(term).unchanged == 1


def test_who_has_an_extension_and_handed_in_nothing_is_named(term, grader):
    hand_in(term, "ada")
    (term / "due_dates.toml").write_text(DUE)
    assert "due_dates.toml: cy has an extension, and nothing was graded" in run(term).notes


def test_a_bad_table_of_due_dates_stops_before_anything_is_graded(term, grader):
    hand_in(term, "ada")
    (term / "due_dates.toml").write_text("[due]\n9x = 1")
    with pytest.raises(ValueError, match=r"due_dates\.toml, line 2: there is no lesson '9x'"):
        run(term)
    assert grader.graded == 0


# One exercise anew.

OTHER = "01.anchor_sizes"


def mark_by_hand(term):
    """What a grader has done in the formgrader: points by hand for one exercise, comments on two."""
    with gradebook(term) as book:
        book.find_grade(f"check_{TARGET}", NAME, NAME, "ada").manual_score = 7
        book.find_comment(TARGET, NAME, NAME, "ada").manual_comment = "Nearly!"
        book.find_comment("anchor_sizes", NAME, NAME, "ada").manual_comment = "Look again."
        book.db.commit()


def test_one_exercise_is_scored_anew_and_all_else_stays(term, grader, monkeypatch):
    for student in ("ada", "bob"):
        hand_in(term, student)
    hand_in(term, "cy", UNTOUCHED)
    run(term)
    mark_by_hand(term)
    before = {one.student: one for one in run(term).records}
    monkeypatch.setattr(grading, "course_digest", lambda: "the check was mended")
    grader.wrong = {OTHER, "01.grid_centers"}  # the second would lose its points if it were scored
    tally = run(term, lesson=LESSON, exercise=OTHER)
    assert [(one.student, one.exercise, one.after) for one in tally.changes] == [("ada", OTHER, 0), ("bob", OTHER, 0)]
    assert (tally.graded, tally.not_graded) == (3, [])
    for record in tally.records:
        for new, old in zip(record.results, before[record.student].results, strict=True):
            assert new == old or (new.exercise == OTHER and not new.passed)
    assert tally.standings["ada", NAME].marks[TARGET].points == 7
    assert "Nearly!" in page(term, "ada")
    assert "Look again." in page(term, "ada")
    with gradebook(term) as book:
        grade = book.find_grade(f"check_{TARGET}", NAME, NAME, "ada")
        assert (grade.manual_score, grade.needs_manual_grade) == (7, False)
    autograded = parse_notebook((term / "autograded" / "bob" / NAME / f"{NAME}.ipynb").read_text(), "")
    wrong = [cell for cell in autograded["cells"] if "ename" in str(cell.get("outputs"))]
    assert [grade_id(cell) for cell in wrong] == ["check_anchor_sizes"]
    assert run(term).unchanged == 3  # what was not scored anew is not graded again


def test_comments_stay_when_all_is_graded_again(term, grader):
    hand_in(term, "ada")
    run(term)
    mark_by_hand(term)
    assert run(term, again=True).graded == 1
    assert "Nearly!" in page(term, "ada")
    (result,) = uploads(term, "moodle", LESSON, None, None, None)
    assert "anchor_sizes: Look again." in result.text
    assert f"{TARGET}: Nearly!" in result.text


def test_what_has_changed_or_was_never_graded_is_not_scored_in_one_exercise(term, grader):
    for student in ("ada", "bob", "dee"):
        hand_in(term, student)
    run(term)
    before = grades(term)
    hand_in(term, "ada", UNTOUCHED)
    hand_in(term, "cy")
    shutil.rmtree(term / "submitted" / "dee")
    tally = run(term, lesson=LESSON, exercise=OTHER)
    assert [(one.student, one.reason) for one in tally.not_graded] == [
        ("ada", "it is not what was graded: grade it as a whole, without --exercise")
    ]
    assert tally.notes == [
        f"cy, {NAME}: left out: it was never graded as a whole",
        f"dee, {NAME}: left out: it is not in the folder",
    ]
    assert grades(term) == before


def test_an_exercise_scored_anew_is_written_whole_or_not_at_all(term, grader, monkeypatch):
    hand_in(term, "ada")
    run(term)
    grader.wrong = {OTHER}
    with monkeypatch.context() as patch:
        patch.setattr(books, "update", lambda *_: 1 / 0)
        tally = run(term, lesson=LESSON, exercise=OTHER)
    assert "ZeroDivisionError" in tally.not_graded[0].reason
    assert grades(term)["ada", NAME]["score"] == "100.0"
    assert len(run(term, lesson=LESSON, exercise=OTHER).changes) == 1


# Pseudonyms.


def test_an_anonymous_term_shows_no_name_in_anything_that_is_written(term, grader, tmp_path_factory):
    key = tmp_path_factory.mktemp("private") / "key.csv"
    hand_in(term, "Lovelace, Ada (5678)")
    (term / "submitted" / "Byron_George.ipynb").write_text(UNTOUCHED)
    shutil.move(
        term / "submitted" / "Lovelace, Ada (5678)" / NAME / f"{NAME}.ipynb",
        term / "submitted" / "Lovelace, Ada (5678)" / NAME / "Adas Anchors.ipynb",
    )
    tally = run(term, key=key)
    assert sorted(record.earned for record in tally.records) == [0, 100]
    assert any("Adas Anchors.ipynb was taken for" in note for note in tally.notes)  # told, and not written
    written = [path for path in term.rglob("*") if path.is_file() and "submitted" not in path.parts]
    for path in written:
        for name in ("Lovelace", "288e57ef", "Anchors.ipynb", "Byron", "George"):
            assert name not in str(path)
            assert name.encode() not in path.read_bytes(), (path, name)
    assert run(term, key=key).unchanged == 2  # the same pseudonyms
    (file,) = uploads(term, "moodle", None, None, None, key)
    assert {line.split(",")[0] for line in file.text.splitlines()[1:]} == {
        "Lovelace-Ada-5678-288e57ef",
        "Byron_George",
    }
    assert {one.student for one in file.changes} == {record.student for record in tally.records}


def test_a_term_is_anonymous_from_its_beginning_or_never_and_with_one_key(term, grader, tmp_path_factory):
    private = tmp_path_factory.mktemp("private")
    hand_in(term, "ada")
    run(term, key=private / "key.csv")
    with pytest.raises(GradebookError, match="give the key to them, --anonymous KEY"):
        run(term)
    with pytest.raises(GradebookError, match=r"no pseudonym of .*other\.csv"):
        run(term, key=private / "other.csv")
    assert not (private / "other.csv").exists()


def test_a_term_with_names_does_not_become_anonymous(term, grader):
    hand_in(term, "ada")
    run(term)
    with pytest.raises(GradebookError, match="ada is in the gradebook"):
        run(term, key=term / "key.csv")


def test_a_key_beside_the_gradebook_is_warned_of(term, grader):
    hand_in(term, "ada")
    assert "keep this key elsewhere" in run(term, key=term / "key.csv").notes[0]


def test_a_dry_run_of_an_upload_needs_a_gradebook(term):
    (term / "gradebook.db").unlink()
    with pytest.raises(GradebookError, match="there is no gradebook"):
        uploads(term, "canvas", None, None, None, None)
    assert not (term / "gradebook.db").exists()


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
