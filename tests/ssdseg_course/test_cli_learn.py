"""`ssdseg lab`, `check`, `progress` and `hint` on a learner's course folder."""

import os
import re
import signal
import subprocess
import sys
import time

import pytest
from learners import LESSON, cell_of, handed_out, insert_behind, new_cell, right_answers, save, small, with_answers
from typer.testing import CliRunner

from ssdseg_course.check import hints_given
from ssdseg_course.cli import app, learn
from ssdseg_course.exercises import exercises_of
from ssdseg_course.manifest import LESSONS, find_lesson
from ssdseg_course.prose import minutes_of
from ssdseg_course.work import standing
from ssdseg_course.work.results import LessonResult, Result, State
from ssdseg_course.work.workspace import read_notebook

PLAIN = {"COLUMNS": "150", "NO_COLOR": "1"}


@pytest.fixture
def course(tmp_path, monkeypatch):
    """A course folder with lesson 1 as it was handed out, and nothing else."""
    save(small(handed_out()), tmp_path)
    monkeypatch.chdir(tmp_path)
    hints_given.clear()
    return tmp_path


def ssdseg(*arguments, **options):
    return CliRunner().invoke(app, list(arguments), env=PLAIN, **options)


def half_solved() -> dict:
    right = right_answers()
    wrong = right["anchor_sizes"].replace("height, width = image_size", "width, height = image_size")
    return with_answers(small(handed_out()), grid_centers=right["grid_centers"], anchor_sizes=wrong)


def row(output: str, *words: str) -> bool:
    """Whether a line of a table holds these words, in that order."""
    return any(re.search(r".*\b".join(map(re.escape, words)), line) for line in output.splitlines())


@pytest.fixture(scope="module")
def half(tmp_path_factory):
    """What `ssdseg check 1` prints, as a program of its own, on a lesson that is half solved."""
    root = tmp_path_factory.mktemp("half")
    notebook = half_solved()
    insert_behind(notebook, "cell-imports", new_cell("1 / 0", "fails"))
    save(notebook, root)
    command = [sys.executable, "-m", "ssdseg_course", "check", "1"]
    env = {**os.environ, **PLAIN}
    return subprocess.run(command, cwd=root / "lessons", env=env, capture_output=True, text=True, check=False)


class TestCheck:
    def test_a_table_tells_points_and_state_of_each_exercise(self, half):
        assert row(half.stdout, "01.grid_centers", "Where anchors sit", "10 of 10", "passed")
        assert row(half.stdout, "01.anchor_sizes", "0 of 20", "not right yet")
        assert row(half.stdout, "01.coverage", "0 of 15", "not written yet")
        assert row(half.stdout, "together", "10 of 100")

    def test_the_first_thing_to_mend_is_told_in_full(self, half):
        after = half.stdout.partition("The first thing to mend:")[2]
        assert "✗ 01.anchor_sizes  0/20" in after
        assert "image_size is (height, width)" in after

    def test_a_cell_that_stops_is_named_with_its_error(self, half):
        line = "the cell that begins with `1 / 0` stopped: ZeroDivisionError: division by zero."
        assert line in half.stdout

    def test_the_exit_status_says_that_points_are_missing(self, half):
        assert half.returncode == 1
        assert "Traceback" not in half.stderr

    def test_without_colour_the_output_is_plain(self, half):
        assert "\x1b" not in half.stdout + half.stderr

    def test_with_all_points_the_exit_status_is_0(self, course, monkeypatch):
        results = tuple(Result(exercise, State.PASSED, "") for exercise in exercises_of(LESSON))
        monkeypatch.setattr(standing, "run_lesson", lambda *_: LessonResult(results, ()))
        done = ssdseg("check", "01_anchors")
        assert done.exit_code == 0
        assert row(done.output, "together", "100 of 100")
        assert "mend" not in done.output
        assert "Next: lesson 2, Matching and coding" in done.output
        assert "`ssdseg lab 2`" in done.output

    def test_after_the_last_lesson_the_network_is_to_be_assembled(self, course, monkeypatch):
        last = save(handed_out(), course, LESSONS[-1])
        results = tuple(Result(exercise, State.PASSED, "") for exercise in exercises_of(LESSONS[-1]))
        monkeypatch.setattr(standing, "run_lesson", lambda *_: LessonResult(results, ()))
        assert "this was the last lesson: `ssdseg assemble`" in ssdseg("check", str(last)).output

    @pytest.mark.parametrize(("name", "status"), [("01.grid_centers", 0), ("1.1", 0), ("01.anchor_sizes", 1)])
    def test_an_exercise_is_checked_alone_without_a_run_of_the_notebook(self, course, monkeypatch, name, status):
        monkeypatch.setattr(standing, "run_lesson", None)
        save(half_solved(), course)
        done = ssdseg("check", name)
        assert done.exit_code == status
        assert ("✗" if status else "✓") in done.output
        assert "01." in done.output

    def test_ids_of_exercises_are_whole_in_80_columns(self, course, monkeypatch):
        for lesson in LESSONS:
            save(handed_out(), course, lesson)
            results = tuple(Result(exercise, State.UNWRITTEN, "") for exercise in exercises_of(lesson))
            monkeypatch.setattr(standing, "run_lesson", lambda *_, results=results: LessonResult(results, ()))
            output = CliRunner().invoke(app, ["check", str(lesson.number)], env={**PLAIN, "COLUMNS": "80"}).output
            assert [exercise.id for exercise in exercises_of(lesson) if exercise.id not in output] == []
            assert max(map(len, output.splitlines())) <= 80

    def test_without_a_lesson_those_are_checked_that_were_begun(self, course, monkeypatch):
        checked = []
        nothing = LessonResult(tuple(Result(exercise, State.UNWRITTEN, "") for exercise in exercises_of(LESSON)), ())
        monkeypatch.setattr(standing, "run_lesson", lambda lesson, *_: checked.append(lesson.name) or nothing)
        assert "not begun a lesson yet" in ssdseg("check").output
        save(half_solved(), course)
        save(handed_out(), course, find_lesson("02"))
        assert ssdseg("check").exit_code == 1
        assert checked == ["01_anchors"]

    def test_of_several_lessons_a_damaged_one_does_not_keep_the_others_from_being_checked(self, course, monkeypatch):
        checked = []
        real = standing.run_lesson

        def run(lesson, *arguments):
            if lesson != LESSON:
                return real(lesson, *arguments)
            checked.append(lesson.name)
            return LessonResult((), ())

        monkeypatch.setattr(standing, "run_lesson", run)
        save(half_solved(), course)
        save(handed_out(), course, LESSONS[0]).write_text("{")
        done = ssdseg("check")
        assert done.exit_code == 1
        assert checked == ["01_anchors"]
        assert "00_tour.ipynb: the file is damaged" in done.stderr.replace("\n", "")

    @pytest.mark.parametrize(
        ("arguments", "sentence"),
        [
            (["check", "99"], "there is no lesson '99'; there are: 00_tour, 01_anchors"),
            (["check", "3"], "lesson 3 is not in this course yet"),
            (["compare", "3"], "lesson 3 is not in this course yet"),
            (["lab", "3"], "lesson 3 is not in this course yet"),
            (["start", "."], "holds a course already; `ssdseg update`, in that folder,"),
            (["check", "1.9"], "lesson 1 has the exercises 1.1 to 1.7"),
            (["check", "01.coverage", "--watch"], "--watch is for whole lessons: ssdseg check 1 --watch"),
            (["hint", "01.grid"], "there is no exercise '01.grid'; did you mean 01.grid_centers"),
            (["hint", "11"], "there is no lesson '11'"),
            (["update"], "is not a git clone"),
            (["update", "--from", "nowhere"], "nowhere: no course there"),
        ],
    )
    def test_what_cannot_be_done_is_answered_in_one_sentence(self, course, arguments, sentence):
        done = ssdseg(*arguments)
        assert done.exit_code == 1
        assert done.stderr.startswith("ssdseg: ")
        assert sentence in done.stderr.replace("\n", "")
        assert "Traceback" not in done.stderr


def test_an_update_that_was_stopped_half_way_is_told(course):
    (course / ".ssdseg").mkdir()
    (course / ".ssdseg" / "update.json").write_text("{}")
    assert "`ssdseg update` puts your answers back" in ssdseg("hint", "1.1").stderr.replace("\n", " ")


class TestWatch:
    def test_it_checks_at_once_and_again_when_code_is_saved_and_ctrl_c_ends_it_quietly(self, course):
        path = save(half_solved(), course)
        env = {**os.environ, **PLAIN, "PYTHONUNBUFFERED": "1"}
        command = [sys.executable, "-m", "ssdseg_course", "check", "1", "--watch"]
        with subprocess.Popen(command, cwd=course, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as watching:
            os.set_blocking(watching.stdout.fileno(), False)
            output = self.wait_for(watching, "waiting for you to save", "")
            assert "10 of 100" in output

            draft = path.with_name(".~01_anchors.ipynb")  # as JupyterLab saves: beside it, then renamed
            better = with_answers(half_solved(), anchor_sizes=right_answers()["anchor_sizes"])
            save(better, course / "elsewhere").rename(draft)
            draft.replace(path)
            output = self.wait_for(watching, "waiting for you to save", "")
            assert "30 of 100" in output

            watching.send_signal(signal.SIGINT)
            rest, errors = watching.communicate(timeout=30)
        assert watching.returncode == 0
        assert not rest
        assert b"Traceback" not in errors

    @staticmethod
    def wait_for(watching, words: str, output: str) -> str:
        deadline = time.monotonic() + 60
        while words not in output and time.monotonic() < deadline:
            time.sleep(0.05)
            output += (watching.stdout.read() or b"").decode()
        assert words in output, output
        return output


class TestProgress:
    @pytest.fixture
    def runs(self, monkeypatch):
        """Counts the runs of notebooks, which a stand-in makes quick."""
        runs = []
        first, *others = exercises_of(LESSON)
        results = (Result(first, State.PASSED, ""), *(Result(exercise, State.WRONG, "") for exercise in others))

        def run(lesson, *_):
            runs.append(lesson.name)
            return LessonResult(results, ())

        monkeypatch.setattr(standing, "run_lesson", run)
        return runs

    def test_untouched_lessons_cost_nothing(self, course, runs):
        done = ssdseg("progress")
        assert done.exit_code == 0
        assert row(done.output, "1", "Anchors: where a detector looks", str(minutes_of(find_lesson("01"))), "0 of 100")
        assert row(done.output, "3", "Depthwise", str(minutes_of(find_lesson("03"))), "not here yet")
        assert runs == []

    def test_a_lesson_is_run_once_and_then_known(self, course, runs):
        save(half_solved(), course)
        for _ in range(2):
            assert row(ssdseg("progress").output, "Anchors", "10 of 100")
        assert runs == ["01_anchors"]

    def test_a_check_spares_the_run(self, course, runs):
        save(half_solved(), course)
        ssdseg("check", "1")
        ssdseg("progress")
        assert runs == ["01_anchors"]

    def test_a_lesson_that_needs_tensorflow_is_not_run_but_what_was_found_last_is_shown(self, course, monkeypatch):
        lesson = find_lesson("07")
        first, *others = exercises_of(lesson)
        results = (Result(first, State.PASSED, ""), *(Result(exercise, State.WRONG, "") for exercise in others))
        monkeypatch.setattr(standing, "run_lesson", lambda *_: LessonResult(results, ()))
        notebook = read_notebook(lesson.notebook())
        cell_of(notebook, first.name)["source"] = "an answer"
        save(notebook, course, lesson)
        unknown = ssdseg("progress").output
        assert "lesson 7 has not been checked yet: `ssdseg check 7`" in unknown
        assert row(unknown, "DeepLabV3", "0 of 100")

        ssdseg("check", "7")
        monkeypatch.setattr(standing, "run_lesson", None)
        assert "lesson 7" not in ssdseg("progress").output
        cell_of(notebook, first.name)["source"] = "another answer"
        save(notebook, course, lesson)
        changed = ssdseg("progress").output
        assert "lesson 7 has changed since its last check: `ssdseg check 7`" in changed
        assert row(changed, "DeepLabV3", f"{first.points} of 100")
        assert f"{others[0].id}, " in ssdseg("hint", "7").output

    def test_a_change_in_one_lesson_makes_no_other_unknown(self, course, runs):
        last = LESSONS[-1]
        save(read_notebook(last.notebook()), course, last)  # it builds a network out of the others' answers
        save(half_solved(), course)
        assert "has not been checked" not in ssdseg("progress").output
        assert runs == ["01_anchors"]

    def test_what_is_next_is_told_with_the_command_that_opens_it(self, course, runs):
        save(half_solved(), course)
        next_one = exercises_of(LESSON)[1]
        line = f"next: {next_one.id}, {next_one.title.lower()} (about {next_one.minutes} minutes): `ssdseg lab 1`"
        assert line in ssdseg("progress").output

    def test_a_damaged_notebook_is_told_and_the_others_are_shown(self, course, runs):
        save(half_solved(), course)
        save(handed_out(), course, LESSONS[0]).write_text("")
        done = ssdseg("progress")
        assert done.exit_code == 0
        assert "00_tour.ipynb: the file is empty; `ssdseg reset 0` writes a fresh one" in done.output
        assert row(done.output, "Anchors", "10 of 100")


class TestHint:
    def test_hints_grow_stronger_from_one_command_to_the_next(self, course):
        hints = exercises_of(LESSON)[0].hints
        for name, number in (("01.grid_centers", 1), ("1.1", 2), ("01.grid_centers", 3), ("01.grid_centers", 3)):
            hints_given.clear()  # as in another process
            last = ", the last one" if number == 3 else ""
            assert f"hint {number} of 3{last}: {hints[number - 1]}" in ssdseg("hint", name).output

    def test_for_a_lesson_it_is_about_the_first_exercise_that_is_open(self, course):
        assert "01.grid_centers, where anchors sit" in ssdseg("hint", "1").output

    def test_a_number_behind_the_last_exercise_is_no_exercise(self, course):
        done = ssdseg("hint", "1.8")
        assert done.exit_code == 1
        assert "lesson 1 has the exercises 1.1 to 1.7" in done.stderr


class TestLab:
    @pytest.fixture
    def started(self, monkeypatch):
        """The commands that are started, each of which ends with status 3."""
        commands = []

        class Jupyter:
            def __init__(self, command, **_):
                commands.append(command)

            def wait(self):
                return 3

        monkeypatch.setattr(learn.subprocess, "Popen", Jupyter)
        monkeypatch.setattr(learn.signal, "signal", lambda *_: None)
        return commands

    def test_a_lesson_opens_with_all_lessons_in_the_file_browser(self, course, started):
        assert ssdseg("lab", "1").exit_code == 3
        root = f"--ServerApp.root_dir={course / 'lessons'}"
        assert started == [[sys.executable, "-m", "jupyterlab", root, str(LESSON.notebook(course))]]

    def test_without_a_lesson_the_folder_opens(self, course, started):
        ssdseg("lab")
        assert started[0][-1] == str(course / "lessons")

    def test_a_damaged_notebook_is_told_before_anything_starts(self, course, started):
        LESSON.notebook(course).write_text("{")
        assert "`ssdseg reset 1`" in ssdseg("lab", "1").stderr.replace("\n", "")
        assert started == []


def test_help_answers_without_anything_heavy():
    heavy = ["tensorflow", "matplotlib", "jupyter_client", "nbformat", "nbgrader", "IPython"]
    code = f"import sys; import ssdseg_course.cli; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("command", ["start", "lab", "check", "progress", "hint", "compare", "reset", "update"])
def test_every_command_says_what_it_is_for(command):
    done = ssdseg(command, "--help")
    assert done.exit_code == 0
    assert f" {command} " in done.output.splitlines()[1]
