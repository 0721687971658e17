"""Recording: nothing is lost or graded twice however grading ends, and nbgrader's own tools read what was written."""

import os
import signal
import sqlite3
import subprocess
import sys
import time

import nbformat
import psutil
import pytest
import submissions
from learners import LESSON
from nbgrader.api import Gradebook
from sandboxes import needs_sandbox

from ssdseg_course.grading import gradebook as books
from ssdseg_course.grading.gradebook import GradebookError, gradebook_url
from ssdseg_course.grading.grading import BusyError, Options, alone, grade_folder, read_config

PLAIN = Options(lesson=LESSON, workers=1)
TWO = submissions.GOOD[:2]
SEVERAL = 12  # submissions, enough to be in the middle of for some seconds


def folder_of(tmp_path, *cases):
    """A folder to grade in, and one of submissions in it."""
    tmp_path.chmod(0o755)
    submissions.write_class(tmp_path / "submitted", cases)
    return tmp_path / "submitted"


def rows(root) -> dict:
    """When each learner was graded, as the gradebook has it."""
    path = root / "gradebook.db"
    if not path.exists():
        return {}
    with sqlite3.connect(path) as database:
        try:
            return dict(database.execute("select student, graded_at from ssdseg_graded").fetchall())
        except sqlite3.OperationalError:
            return {}


def scores(root) -> dict:
    """Points of each learner, by nbgrader."""
    with Gradebook(f"sqlite:///{root / 'gradebook.db'}") as book:
        return {submission.student.id: submission.score for submission in book.assignment_submissions(LESSON.name)}


@pytest.fixture(scope="module")
def graded(tmp_path_factory):
    """A folder in which two learners have been graded."""
    root = tmp_path_factory.mktemp("graded")
    outcome = grade_folder(folder_of(root, *TWO, submissions.GOOD[3]), root, PLAIN)
    return root, outcome


@needs_sandbox
def test_what_is_the_same_is_not_graded_again_and_what_has_changed_is(graded):
    root, outcome = graded
    assert (outcome.graded, outcome.unchanged) == (3, 0)
    before = rows(root)
    submissions.GOOD[3].write(root / "submitted" / "bob" / LESSON.name)
    outcome = grade_folder(root / "submitted", root, PLAIN)
    assert (outcome.graded, outcome.unchanged) == (1, 2)
    after = rows(root)
    assert {name for name in after if after[name] != before[name]} == {"bob"}
    assert scores(root) == {"ada": 100, "bob": 90, "one-wrong": 90}


@needs_sandbox
def test_the_pages_are_notebooks_and_the_csv_is_nbgraders(graded):
    root, _ = graded
    page = root / "autograded" / "one-wrong" / LESSON.name / f"{LESSON.name}.ipynb"
    notebook = nbformat.read(page, as_version=4)
    nbformat.validate(notebook)
    (wrong,) = [
        output for cell in notebook.cells for output in cell.get("outputs", []) if output.output_type == "error"
    ]
    assert "should be" in "\n".join(wrong.traceback)
    header, *lines = (root / "grades.csv").read_text().splitlines()
    assert header.startswith("assignment,duedate,timestamp,student_id")
    assert {line.split(",")[3] for line in lines} == {"ada", "bob", "one-wrong"}
    assert "linear_scales" in (root / "class_report.md").read_text()


def test_settings_that_python_cannot_read_are_named(tmp_path):
    (tmp_path / "nbgrader_config.py").write_text("c = get_config()\nc.x = (\n")
    with pytest.raises(ValueError, match=r"nbgrader_config\.py, line 2"):
        read_config(tmp_path)


def start(root):
    """`ssdseg grade` in a process of its own."""
    command = [sys.executable, "-m", "ssdseg_course", "grade", "submitted", "--lesson", "1", "--workers", "2"]
    return subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def wait_for(condition, seconds=300):
    """Look again and again until it holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def end_in_the_middle(root, how: signal.Signals, more: int) -> None:
    """Grade until so many more are recorded, then send a signal; all that was started ends as well."""
    running, before = start(root), len(rows(root))
    try:
        wait_for(lambda: len(rows(root)) >= before + more or running.poll() is not None)
        family = psutil.Process(running.pid).children(recursive=True)
        running.send_signal(how)
        output = running.communicate(timeout=300)[0]
    finally:
        running.kill()
    assert running.returncode in (-signal.SIGKILL, 130), output
    wait_for(
        lambda: not [process for process in family if process.is_running() and process.status() != psutil.STATUS_ZOMBIE]
    )


@pytest.mark.full
@needs_sandbox
def test_grading_goes_on_where_it_was(tmp_path):
    """Killed in the middle, then stopped, then run to its end: every grade is there, and none was written twice."""
    cases = [submissions.Case(f"learner{number}", TWO[0].write, 100) for number in range(SEVERAL)]
    folder_of(tmp_path, *cases)
    known = {}
    for end in (signal.SIGKILL, signal.SIGINT):
        end_in_the_middle(tmp_path, end, more=2)
        now = rows(tmp_path)
        assert known.items() <= now.items()
        assert len(now) < SEVERAL
        known = now
    for place in (tmp_path, *tmp_path.glob("autograded/*/*")):
        (place / f".{'0' * 32}.half.ipynb").write_text("{")  # a kill in the middle of a write leaves this
    output = start(tmp_path).communicate(timeout=600)[0]
    assert f"{SEVERAL - len(known)} graded, {len(known)} unchanged" in output
    assert known.items() <= rows(tmp_path).items()
    assert scores(tmp_path) == {case.name: 100 for case in cases}
    assert not [path for path in tmp_path.rglob(".*") if path.is_file()], "half-written files"


def test_two_do_not_grade_in_one_folder(tmp_path):
    with alone(tmp_path), pytest.raises(BusyError, match="another `ssdseg grade`"), alone(tmp_path):
        pass
    with alone(tmp_path):
        pass


@pytest.mark.parametrize(
    ("given", "url"),
    [
        ("grades.db", "sqlite:///{cwd}/grades.db?timeout=60"),
        ("sqlite:////tmp/grades.db", "sqlite:////tmp/grades.db?timeout=60"),
        ("postgresql://me:secret@host/grades", "postgresql+psycopg://me:secret@host/grades"),
        (None, "sqlite:///{cwd}/gradebook.db?timeout=60"),
    ],
)
def test_a_gradebook_is_a_file_or_an_address(given, url, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert gradebook_url(read_config(tmp_path), given) == url.format(cwd=os.getcwd())


@pytest.mark.parametrize(
    ("given", "words"),
    [("nosuch://x", "nosuch"), ("/no/such/folder/x.db", "does not exist"), ("://x", "not the address")],
)
def test_a_gradebook_that_cannot_be_is_named(given, words, tmp_path):
    with (
        pytest.raises(GradebookError, match=words),
        books.open_gradebook(gradebook_url(read_config(tmp_path), given), read_config(tmp_path)),
    ):
        pass


def test_a_file_that_is_no_gradebook_is_left_alone(tmp_path):
    path = tmp_path / "letter.db"
    path.write_text("Dear all, " * 1000)
    config = read_config(tmp_path)
    url = gradebook_url(config, str(path))
    with pytest.raises(GradebookError, match=r"letter\.db.*not a database"), books.open_gradebook(url, config):
        pass
    assert path.read_text() == "Dear all, " * 1000


@needs_sandbox
@pytest.mark.skipif("SSDSEG_POSTGRESQL" not in os.environ, reason="SSDSEG_POSTGRESQL names no database")
def test_a_gradebook_on_postgresql_holds_the_same(tmp_path):
    url = os.environ["SSDSEG_POSTGRESQL"]
    folder = folder_of(tmp_path, *TWO, submissions.GOOD[3])
    options = Options(lesson=LESSON, workers=1, gradebook=url)
    assert grade_folder(folder, tmp_path, options).graded == 3
    assert grade_folder(folder, tmp_path, options).unchanged == 3
    lines = (tmp_path / "grades.csv").read_text().splitlines()[1:]
    assert {line.split(",")[3]: float(line.split(",")[-2]) for line in lines} == {
        "ada": 100,
        "bob": 100,
        "one-wrong": 90,
    }
    assert not (tmp_path / "gradebook.db").exists()
