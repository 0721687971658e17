"""`ssdseg grade` and `ssdseg doctor` as people type them."""

import contextlib
import subprocess
import sys

import pytest
import submissions
from learners import LESSON, cell_of, handed_out, save
from sandboxes import needs_sandbox
from typer.testing import CliRunner

from ssdseg_course.cli import app
from ssdseg_course.cli.demo import show_grading
from ssdseg_course.grading import nbgrader_course, sandbox
from ssdseg_course.grading.sandbox import NO_BUBBLEWRAP, SandboxError
from ssdseg_course.work.workspace import notebook_text, read_notebook


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
    ],
)
def test_bad_input_is_one_sentence(arguments, words, tmp_path):
    (tmp_path / "empty").mkdir()
    assert words in ssdseg(tmp_path, "grade", *arguments, status=1)


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
