"""`ssdseg grade` and `ssdseg doctor` as people type them."""

import contextlib
import subprocess
import sys

import pytest
import submissions
from learners import LESSON, cell_of, handed_out, save
from sandboxes import needs_sandbox
from typer.testing import CliRunner

from ssdseg_course.checking.report import Report
from ssdseg_course.cli import app
from ssdseg_course.cli.demo import show_grading
from ssdseg_course.cli.grade import _exercise
from ssdseg_course.exercises import exercises_of
from ssdseg_course.grading import grading, nbgrader_course, sandbox
from ssdseg_course.grading.gradebook import gradebook_url, open_gradebook
from ssdseg_course.grading.grader import Graded
from ssdseg_course.grading.grading import read_config
from ssdseg_course.grading.names import Learner
from ssdseg_course.grading.sandbox import NO_BUBBLEWRAP, SandboxError
from ssdseg_course.work.workspace import notebook_text, parse_notebook, read_notebook


def ssdseg(folder, *arguments, status=0) -> str:
    """What a command prints, in one line."""
    with contextlib.chdir(folder):
        done = CliRunner().invoke(app, arguments)
    text = " ".join(done.output.split())
    assert done.exit_code == status, text
    return text


@needs_sandbox
def test_a_class_is_graded_and_what_could_not_be_is_said(tmp_path):
    empty = next(case for case in submissions.BROKEN if case.name == "empty")
    submissions.write_class(tmp_path / "submitted", (submissions.GOOD[0], submissions.GOOD[3], empty))
    command = [sys.executable, "-m", "ssdseg_course", "grade", "submitted", "--workers", "1"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    text = " ".join((done.stdout + done.stderr).split())
    assert done.returncode == 1, text
    assert "Traceback" not in text
    assert "100 of 100" in text
    assert "90 of 100" in text
    assert "not graded: empty 01_anchors: the file is empty" in text
    assert "2 graded, 0 unchanged since they were graded, 1 not graded" in text
    assert {path.name for path in tmp_path.iterdir()} == {
        ".ssdseg", "autograded", "class_report.md", "feedback", "gradebook.db", "grades.csv", "submitted",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("nowhere",), "nowhere: there is no such folder of submissions"),
        ((".", "--workers", "1", "--scheduler", "tcp://x:1"), "not both"),
        ((".", "--lesson", "77"), "there is no lesson '77'"),
        (("empty",), "empty: there is no submission in it"),
        ((".", "--take", "best"), "--take best: it is one of newest, oldest, named"),
        ((".", "--students", "who.csv"), "who.csv: it cannot be read"),
        ((), "which folder of submissions?"),
        ((".", "--exercise", "2.9"), "--exercise 2.9: 02_matching has exercises 2.1 to 2.7"),
        ((".", "--exercise", "02.io"), "there is no exercise '02.io'; did you mean 02.iou"),
        ((".", "--exercise", "x"), "there is no exercise 'x'"),
        ((".", "--exercise", "2.3", "--lesson", "1"), "--exercise 2.3 is not of 01_anchors: leave --lesson out"),
        ((".", "--roster", "x.csv"), "--roster belongs to --csv canvas or --csv moodle"),
        ((".", "--dry-run"), "--dry-run belongs to --csv canvas or --csv moodle"),
        ((".", "--csv", "canvas"), "--csv writes what is in the gradebook, and grades nothing: leave SUBMISSIONS out"),
        (("--csv", "blackboard"), "--csv blackboard: it is one of canvas, moodle"),
        (("--csv", "canvas"), "there is no gradebook; `ssdseg grade SUBMISSIONS` makes one"),
        (("--csv", "canvas", "--roster", "x.csv"), "x.csv: it cannot be read"),
        (("--csv", "canvas", "--anonymous", "key.csv"), "key.csv: there is no such key file"),
        ((".", "--similarity", "--again"), "--similarity: answers are only read and compared here"),
        (("empty", "--similarity"), "empty: there is no submission in it"),
    ],
)
def test_bad_input_is_one_sentence(arguments, words, tmp_path):
    (tmp_path / "empty").mkdir()
    assert words in ssdseg(tmp_path, "grade", *arguments, status=1)


@pytest.mark.parametrize(
    ("name", "exercise"),
    [("2.3", "02.greedy_match"), ("02.3", "02.greedy_match"), ("02.iou", "02.iou"), ("2.iou", "02.iou")],
)
def test_an_exercise_is_called_by_its_number_or_its_name(name, exercise):
    assert _exercise(name, None) == exercise


@pytest.fixture(scope="module")
def graded(tmp_path_factory):
    """A folder whose gradebook has one learner with points by hand; nothing was run for it."""
    folder = tmp_path_factory.mktemp("graded")
    config = read_config(folder)
    url = gradebook_url(config, None)
    with open_gradebook(url, config) as records:
        release = grading.prepare(LESSON, url, folder, config)
        reports = tuple(Report(one.id, True, one.points, (), 0) for one in exercises_of(LESSON))
        notebook = parse_notebook(release, "")
        records.record(Graded("ada", LESSON.name, reports, frozenset(), (), notebook, None), "", Learner("ada", "ada"))
    return folder


def test_a_dry_run_shows_what_would_change_and_writes_nothing(graded):
    (graded / "export.csv").write_text(f"Student,ID,SIS Login ID,Section,{LESSON.name} (7)\nAda,101,ada,A,85\n")
    before = sorted(graded.iterdir())
    text = ssdseg(graded, "grade", "--csv", "canvas", "--roster", "export.csv", "--dry-run")
    assert "ada │ 101 │ 85 │ 100" in text
    assert "canvas-01_anchors.csv would be written; --dry-run wrote nothing. Learners: 1, 1 of them with other" in text
    assert sorted(graded.iterdir()) == before


def test_the_file_for_a_platform_replaces_the_one_before_but_never_the_export(graded):
    (graded / "moodle-01_anchors.csv").write_text("ID number\nada\n")
    words = "moodle-01_anchors.csv: the file to upload would be written over it; give the export another name"
    assert words in ssdseg(graded, "grade", "--csv", "moodle", "--roster", "moodle-01_anchors.csv", status=1)
    assert "is written" in ssdseg(graded, "grade", "--csv", "moodle", "--lesson", "1")
    assert (graded / "moodle-01_anchors.csv").read_text().splitlines()[1] == "ada,ada,100,"
    assert "nothing was graded for 02_matching" in ssdseg(graded, "grade", "--csv", "moodle", "--lesson", "2", status=1)


def test_alike_answers_are_a_hint_and_what_the_solution_says_is_nobodys(tmp_path):
    own = "\n".join(f"    table_{number} = first * {number} + last ** {number} - maps" for number in range(20))
    copied = f"def linear_scales(first, last, maps):\n{own}\n    return [table_3, table_5]\n"
    for name, text in (("ada", copied), ("eve", copied.replace("table", "t")), ("bob", submissions.RIGHT)):
        save(submissions.solved(linear_scales=text), tmp_path / "submitted" / name)
    (tmp_path / "submitted" / "dee").mkdir()
    (tmp_path / "submitted" / "dee" / "01_anchors.ipynb").write_text("{")
    text = ssdseg(tmp_path, "grade", "submitted", "--similarity")
    assert "ada │ eve │ 100%" in text
    assert "01_anchors: 2 compared; pairs of 50% or more: 1." in text
    assert "not compared, for they have written fewer than 120" in text
    assert "bob" in text
    assert "not compared: dee" in text
    assert "a hint to look, and never a verdict" in text
    assert {path.name for path in tmp_path.iterdir()} == {"submitted"}


def test_where_there_is_no_sandbox_the_demo_grades_by_plain_nbgrader_and_says_so(monkeypatch, capsys):
    def no_sandbox(*_):
        raise SandboxError(NO_BUBBLEWRAP)

    def graded(lesson, hand_ins, progress):
        return {student: (7, 100) for student in hand_ins}

    monkeypatch.setattr(sandbox, "Sandbox", no_sandbox)
    monkeypatch.setattr(nbgrader_course, "grade_in_temporary_course", graded)
    show_grading()
    text = " ".join(capsys.readouterr().out.split())
    assert "graded by plain nbgrader" in text
    assert text.count("7 of 100") == 2
    assert "in the open, where `ssdseg grade` uses a sandbox: no sandbox: bubblewrap is not installed" in text
    assert "--unsafe" not in text  # an option of another command


def doctor_on(tmp_path, write, *arguments, status=0):
    """Have a notebook looked at, in a course of its own."""
    place = tmp_path / "lessons" / LESSON.name
    place.mkdir(parents=True)
    write(place)
    (notebook,) = place.iterdir()
    return ssdseg(tmp_path, "doctor", str(notebook), *arguments, status=status), notebook


def test_a_healthy_notebook_is_told_so(tmp_path):
    text, _ = doctor_on(tmp_path, submissions.GOOD[0].write)
    assert "all is well with it; 7 of 7 answers are written" in text


def test_what_would_be_mended_is_said_and_nothing_is_changed(tmp_path):
    case = next(case for case in submissions.BROKEN if case.name == "duplicated")
    text, notebook = doctor_on(tmp_path, case.write, status=1)
    assert "2 cells" in text
    assert "--repair" in text
    case.write(tmp_path)
    assert notebook.read_bytes() == (tmp_path / notebook.name).read_bytes()


def test_a_mended_notebook_has_its_answers_and_the_old_one_is_kept(tmp_path):
    case = next(case for case in submissions.BROKEN if case.name == "no-metadata")
    text, notebook = doctor_on(tmp_path, case.write, "--repair")
    assert "mended; 7 of 7 answers are written" in text
    mended = read_notebook(notebook)
    assert cell_of(mended, "linear_scales")["source"] == submissions.RIGHT
    (kept,) = (tmp_path / "backups").iterdir()
    case.write(tmp_path)
    assert kept.read_bytes() == (tmp_path / notebook.name).read_bytes()
    assert "all is well" in ssdseg(tmp_path, "doctor", str(notebook))
    assert notebook_text(mended) == notebook.read_text()


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("01_anchors.ipynb", "", "the file is empty; `ssdseg reset 1`"),
        ("01_anchors.ipynb", "{", "damaged"),
        ("essay.ipynb", "{}", "which lesson"),
    ],
)
def test_a_hopeless_notebook_is_one_sentence(name, content, words, tmp_path):
    (tmp_path / "lessons").mkdir()
    (tmp_path / name).write_text(content)
    assert words in ssdseg(tmp_path, "doctor", name, status=1)


def test_a_missing_notebook_is_named(tmp_path):
    words = "nowhere.ipynb: there is no such file, and no lesson of that number or name"
    assert words in ssdseg(tmp_path, "doctor", "nowhere.ipynb", status=1)


@pytest.mark.parametrize("name", ["1", "01", "01_anchors", "01_anchors.ipynb"])
def test_the_doctor_knows_the_learners_notebook_by_its_lesson(name, tmp_path):
    save(handed_out(), tmp_path)
    text = ssdseg(tmp_path, "doctor", name)
    assert "lessons/01_anchors/01_anchors.ipynb: all is well with it; 0 of 7 answers are written" in text


@pytest.mark.parametrize(
    ("name", "status", "words"),
    [
        ("syntax-error", 1, "01.linear_scales 0/10 Python cannot read its cell"),
        ("module-beside", 0, "01.linear_scales: it needs what stands beside the notebook: hand in helper.py with it"),
        ("wrong-early", 1, "01.map_anchors: right, judged with the course's own `anchor_sizes`"),
        ("helper-in-the-last-cell", 0, "all is well with it"),
    ],
)
def test_the_doctor_tries_answers_as_grading_will(name, status, words, tmp_path):
    case = next(case for case in (*submissions.BROKEN, *submissions.HONEST) if case.name == name)
    place = tmp_path / "lessons" / LESSON.name
    place.mkdir(parents=True)
    case.write(place)
    assert words in ssdseg(tmp_path, "doctor", str(place / f"{LESSON.name}.ipynb"), status=status)
