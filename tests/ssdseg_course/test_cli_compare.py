"""`ssdseg compare` and the words of `ssdseg reset` and `ssdseg update`."""

import io
import os
import re
import subprocess
import sys

import pytest
from learners import LESSON, handed_out, right_answers, save, small, with_answers
from rich.console import Console
from typer.testing import CliRunner

from ssdseg_course import EXERCISES
from ssdseg_course.cli import app, compare, console
from ssdseg_course.work import timing
from ssdseg_course.work.record import note, recall
from ssdseg_course.work.timing import Timing

TIME = r"\S+ (s|ms|µs) \(\S+ (s|ms|µs) to \S+ (s|ms|µs)\)"
RIGHT = right_answers()
WRONG = "def anchor_sizes(scale, next_scale, aspect_ratios, image_size):\n    return 'my wrong answer'"


def ssdseg(*arguments, **options):
    return CliRunner().invoke(app, list(arguments), env={"COLUMNS": "150", "NO_COLOR": "1"}, **options)


@pytest.fixture(scope="module")
def course(tmp_path_factory):
    """Two answers right, one wrong, the others not written."""
    root = tmp_path_factory.mktemp("course")
    notebook = small(handed_out())
    answers = {"grid_centers": RIGHT["grid_centers"], "linear_scales": RIGHT["linear_scales"], "anchor_sizes": WRONG}
    save(with_answers(notebook, **answers), root)
    return root


@pytest.fixture(scope="module")
def printed(course):
    """What it prints into a pipe, where nobody can be asked."""
    command = [sys.executable, "-m", "ssdseg_course", "compare", "1"]
    env = {**os.environ, "NO_COLOR": "1"}
    done = subprocess.run(command, cwd=course, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_both_functions_are_shown_as_they_are_written(printed):
    assert RIGHT["grid_centers"] in printed
    assert "def grid_centers(rows: int, cols: int) -> np.ndarray:\n" in printed
    assert "the reference  ssdseg_ref.anchors" in printed


def test_results_and_times_are_compared_on_the_same_inputs(printed):
    assert printed.count("✓ the same results on all 1") == 2
    times = rf"yours takes {TIME}, the reference {TIME}: (about the same|\S+ times as (long|fast))\n"
    assert len(re.findall(times, printed)) == 2


def test_where_nobody_can_be_asked_what_is_not_right_yet_is_skipped_and_said_so(printed):
    assert "my wrong answer" not in printed
    assert "def coverage" not in printed
    skipped = [
        name for name in EXERCISES if name.startswith("01.") and name[3:] not in ("grid_centers", "linear_scales")
    ]
    assert f"not right yet, and skipped (--yes shows them): {', '.join(skipped)}" in printed


class TestOneOfThem:
    @pytest.fixture(autouse=True)
    def inside(self, course, monkeypatch):
        monkeypatch.chdir(course)
        monkeypatch.setattr(timing, "SECONDS_IN_ALL", 0.05)

    def test_yes_shows_what_is_not_right_yet_with_what_the_check_says(self):
        output = ssdseg("compare", "1", "--yes").output
        assert "my wrong answer" in output
        assert "✗ 01.anchor_sizes" in output
        assert "skipped" not in output

    @pytest.mark.parametrize(("answer", "shown"), [("y\n", True), ("n\n", False)])
    def test_a_learner_is_asked_about_what_is_not_right_yet(self, monkeypatch, answer, shown):
        monkeypatch.setattr(compare, "_can_ask", lambda: True)
        output = ssdseg("compare", "1", input=answer).output
        assert "01.anchor_sizes is not right yet. See the reference's answer all the same?" in output
        assert ("my wrong answer" in output) == shown

    def test_the_times_are_told_as_a_ratio_where_they_differ(self):
        slow, fast = Timing(0.004, 0.0039, 0.0042), Timing(0.002, 0.0019, 0.0021)
        told = "yours takes 4 ms (3.9 ms to 4.2 ms), the reference 2 ms (1.9 ms to 2.1 ms)"
        assert compare._times_in_words(slow, fast) == f"{told}: 2 times as long"
        assert compare._times_in_words(fast, slow).endswith(": 2 times as fast")
        assert compare._times_in_words(fast, fast).endswith(": about the same")

    @pytest.mark.parametrize(("width", "beside"), [(160, True), (80, False)])
    def test_on_a_wide_terminal_they_stand_side_by_side_and_in_colour(self, monkeypatch, width, beside):
        screen = io.StringIO()
        terminal = Console(file=screen, force_terminal=True, width=width, color_system="standard", no_color=False)
        monkeypatch.setattr(console, "output", terminal)
        ssdseg("compare", "1")
        lines = screen.getvalue().splitlines()
        head = next(line for line in lines if "yours" in line)
        assert ("the reference" in head) == beside
        assert any("\x1b[" in line and "grid_centers" in line for line in lines)

    def test_a_reference_that_the_check_wraps_is_shown_itself(self):
        output = ssdseg("compare", "1", "--yes").output
        assert "\ndef coverage(anchors" in output
        assert "lambda" not in output.partition("01.coverage")[2].partition("01.choose_anchors")[0]


def test_reset_says_where_the_old_notebook_is(tmp_path, monkeypatch):
    save(with_answers(handed_out(), **RIGHT), tmp_path)
    solution = LESSON.solution(tmp_path)
    solution.parent.mkdir(parents=True)
    solution.write_bytes(LESSON.solution().read_bytes())
    monkeypatch.chdir(tmp_path)
    for name in ("1.1", "1.1", "1.2"):
        ssdseg("hint", name)
    note(tmp_path, "hints", "02.iou", 1)
    done = ssdseg("reset", "1")
    assert done.exit_code == 0
    (backup,) = (tmp_path / "backups").iterdir()
    assert f"what you had is kept in {backup}" in done.output
    assert "there is nothing to reset" in ssdseg("reset", "1").output
    assert [recall(tmp_path, "hints", name) for name in ("01.grid_centers", "01.anchor_sizes", "02.iou")] == [
        None,
        None,
        1,
    ]


def test_update_tells_what_was_carried(tmp_path, monkeypatch):
    save(with_answers(handed_out(), **RIGHT), tmp_path / "old")
    save(handed_out(), tmp_path / "new")
    monkeypatch.chdir(tmp_path / "new")
    assert "01_anchors: 7 answers\n" in ssdseg("update", "--from", "../old").output
    save(handed_out(), tmp_path / "old")
    assert "../old: there is no work of yours in it" in ssdseg("update", "--from", "../old").output
