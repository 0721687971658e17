"""`check` and `hint`, as a learner calls them."""

import contextlib
import re
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from ssdseg_course import EXERCISES, CheckFailed, Report, check, hint
from ssdseg_course.check import hints_given, report_on
from ssdseg_course.checking.exercise import call
from ssdseg_course.checking.time_limit import TimeIsUp, time_limit
from ssdseg_course.exercises import modules_of


def grid_centers(rows, cols):
    """A right answer."""
    return [((col + 0.5) / cols, (row + 0.5) / rows) for row in range(rows) for col in range(cols)]


def test_a_right_answer_is_reported_and_printed(capsys):
    report = check("01.grid_centers", grid_centers)
    assert isinstance(report, Report)
    assert report.passed
    assert (report.earned, report.points) == (10, 10)
    captured = capsys.readouterr()
    assert captured.out == "✓ 01.grid_centers  10/10\n  right in all 11 cases\n"
    assert captured.err == ""


def test_a_wrong_answer_raises_what_the_report_says():
    with pytest.raises(CheckFailed, match=r"01\.grid_centers  0/10") as caught:
        check("01.grid_centers", lambda rows, cols: 0, seed=3)
    assert caught.value.report.seed == 3
    assert "seed=3" in str(caught.value)


def test_without_a_seed_each_check_draws_other_cases():
    seeds = set()
    for _ in range(8):
        with pytest.raises(CheckFailed) as caught:
            check("01.grid_centers", lambda rows, cols: 0)
        seeds.add(caught.value.report.seed)
    assert len(seeds) > 1


def test_an_unknown_exercise_is_answered_with_the_nearest_ones():
    with pytest.raises(ValueError, match=r"no exercise '01\.grid_center'; did you mean 01\.grid_centers"):
        check("01.grid_center", grid_centers)


def test_a_called_function_is_answered_with_how_to_write_it():
    with pytest.raises(TypeError, match=r'write check\("01\.grid_centers", grid_centers\).*no brackets.*list'):
        check("01.grid_centers", grid_centers(2, 3))


def test_an_answer_that_does_not_end_is_stopped_and_told_where_it_was(monkeypatch):
    def grid_centers(rows, cols):
        points = []
        while len(points) < rows:
            try:
                points.append(0)
                points.pop()
            except Exception:  # does not catch the alarm
                pass

    monkeypatch.setattr(sys.modules["ssdseg_course.check"], "SECONDS", 0.05)
    with pytest.raises(CheckFailed, match=r"took too long: it was stopped after 0\.0\S* seconds of work") as caught:
        check("01.grid_centers", grid_centers)
    assert re.search(r"in line \d+ of `grid_centers`: ", str(caught.value))
    assert "does every turn bring it nearer to its end?" in str(caught.value)
    assert caught.value.report.verdict == "took too long"


def work(most: float = 5.0) -> float:
    """Seconds of work until it was stopped."""
    start = time.process_time()
    with contextlib.suppress(TimeIsUp):
        while time.process_time() - start < most:
            pass
    return time.process_time() - start


def test_a_limit_counts_work_and_not_the_clock():
    with time_limit(0.05):
        time.sleep(0.1)
    with time_limit(0.05):
        assert work() < 1


def test_a_limit_inside_of_a_limit_leaves_the_outer_one_as_it_was():
    with time_limit(0.2):
        with time_limit(0.05):
            assert work() < 0.15
        assert work() < 1


def test_an_answer_that_swallows_the_alarm_is_stopped_by_the_next_one(monkeypatch):
    alarms = []

    def grid_centers(rows, cols):
        while len(alarms) < 2:
            try:
                time.sleep(60)
            except BaseException as alarm:
                alarms.append(alarm)
        raise alarms[-1]

    monkeypatch.setattr(sys.modules["ssdseg_course.check"], "SECONDS", 0.02)
    with pytest.raises(CheckFailed, match=r"seconds on the clock, in which it worked for .*: what does it wait for"):
        check("01.grid_centers", grid_centers)


def test_an_interrupt_of_the_learners_is_answered_with_a_report_too():
    def grid_centers(rows, cols):
        raise KeyboardInterrupt

    with pytest.raises(CheckFailed, match="it was interrupted"):
        check("01.grid_centers", grid_centers)


def test_no_alarm_rings_after_a_check():
    before = signal.getsignal(signal.SIGALRM)
    check("01.grid_centers", grid_centers)
    assert signal.getsignal(signal.SIGALRM) is before
    assert signal.getitimer(signal.ITIMER_REAL) == (0, 0)


def test_outside_the_main_thread_a_check_works_without_an_alarm():
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(check, "01.grid_centers", grid_centers).result().passed


def test_the_last_case_can_be_looked_at_and_tried_again():
    def swapped(rows, cols):
        return [point[::-1] for point in grid_centers(rows, cols)]

    with pytest.raises(CheckFailed):
        check("01.grid_centers", swapped)
    case = check.last()
    assert case.arguments == {"rows": 2, "cols": 3}
    np.testing.assert_array_equal(case.yours, swapped(**case.arguments))
    np.testing.assert_allclose(case.right, grid_centers(**case.arguments))
    lines = repr(case).splitlines()
    assert lines[0] == "01.grid_centers, case 1 of 11"
    assert [line.split(" = ")[0].strip() for line in lines if " = " in line] == ["rows", "cols", "yours", "right"]
    assert "case = check.last()" not in check_text("01.grid_centers", swapped)  # its numbers stand there in full


def test_a_case_too_large_to_be_told_is_offered_and_things_returned_together_have_names():
    assert "look at it: case = check.last()" in check_text("08.flip", lambda *arguments: arguments)
    case = check.last()
    case.arguments["boxes"][:] = 7
    assert not (case.arguments["boxes"] == 7).any()  # a fresh copy each time


def test_the_last_case_of_an_error_says_so_and_that_of_a_right_answer_is_its_first():
    assert "1 / 0" in check_text("01.grid_centers", lambda rows, cols: 1 / 0)
    assert check.last().yours is None
    assert "yours = it stopped with ZeroDivisionError" in repr(check.last())
    check("01.grid_centers", grid_centers)
    assert check.last().number == 1


def check_text(exercise_id, function) -> str:
    with pytest.raises(CheckFailed) as caught:
        check(exercise_id, function)
    return str(caught.value)


def iou_by_half(a, b):
    return EXERCISES["02.iou"].reference(a, b) / 2


def iou_unwritten(a, b):
    raise NotImplementedError("not written yet")


MATCHING = """
def overlaps(anchors, boxes):
    return iou(a=anchors, b=boxes)

def match_anchors(anchors, boxes, threshold):
    if not np.allclose(overlaps(anchors, boxes), right_iou(anchors, boxes)):
        return np.zeros(len(anchors), int)
    return right_matches(anchors, boxes, threshold){spoil}
"""


@pytest.mark.parametrize(
    ("iou", "spoil", "sentence", "right"),
    [
        (iou_by_half, "", "your `match_anchors` itself is right: the mistake is in your `iou` (02.iou)", True),
        (iou_unwritten, "", "your `iou` (02.iou), which it calls, is not written yet. Write that one first.", True),
        (iou_by_half, " + 5", "your `iou` (02.iou), which it calls, is not right either. Mend that one first.", False),
    ],
)
def test_a_wrong_function_that_an_answer_calls_is_named(iou, spoil, sentence, right):
    scope = {
        "np": np,
        "iou": iou,
        "right_iou": EXERCISES["02.iou"].reference,
        "right_matches": EXERCISES["02.match_anchors"].reference,
    }
    exec(MATCHING.format(spoil=spoil), scope)
    report = report_on(EXERCISES["02.match_anchors"], scope["match_anchors"], 0)
    assert sentence in " ".join(str(report).split())
    assert (report.passed, report.helpers, report.right_but_for_helpers) == (False, ("02.iou",), right)
    assert scope["iou"] is iou


def iou_in_lists(a, b):
    return EXERCISES["02.iou"].reference(a, b).tolist()


@pytest.mark.parametrize("spoil", ["", " + 5"])
@pytest.mark.parametrize("checked", [True, False])
def test_a_right_function_that_gives_a_list_is_named_where_the_answer_is_right_with_an_array(spoil, checked):
    scope = {"np": np, "iou": iou_in_lists, "right_matches": EXERCISES["02.match_anchors"].reference}
    body = f"    assert (iou(a, b) >= 0).all()\n    return right_matches(a, b, t){spoil}"
    exec(f"def match_anchors(a, b, t):\n{body}", scope)
    if checked:
        assert report_on(EXERCISES["02.iou"], scope["iou"], 0).passed
    report = report_on(EXERCISES["02.match_anchors"], scope["match_anchors"], 0)
    assert not report.passed
    assert report.right_but_for_helpers == (not spoil)
    told = "your `match_anchors` itself is right: your `iou` (02.iou), which it calls, gives a list, and an array"
    assert (told in " ".join(str(report).split())) == (not spoil)


def test_a_function_that_an_answer_does_not_call_is_not_blamed():
    scope = {"iou": iou_by_half, "right_matches": EXERCISES["02.match_anchors"].reference}
    exec("def match_anchors(a, b, t):\n    return right_matches(a, b, t) + 5", scope)
    assert report_on(EXERCISES["02.match_anchors"], scope["match_anchors"], 0).helpers == ()


def test_a_function_that_has_passed_is_not_tried_again_until_something_it_uses_changes():
    calls = []
    scope = {"right_iou": EXERCISES["02.iou"].reference, "calls": calls}
    exec("def iou(a, b):\n    calls.append(1)\n    return right_iou(a, b)", scope)
    exec("def match_anchors(a, b, t):\n    return iou(a, b)", scope)
    assert report_on(EXERCISES["02.iou"], scope["iou"], 0).passed
    seen = len(calls)
    report = report_on(EXERCISES["02.match_anchors"], scope["match_anchors"], 0)
    assert len(calls) - seen == len(EXERCISES["02.match_anchors"].cases(0))
    assert report.helpers == ()
    scope["right_iou"] = iou_by_half
    assert report_on(EXERCISES["02.match_anchors"], scope["match_anchors"], 0).helpers == ("02.iou",)


def test_hints_grow_stronger_and_the_last_one_stays(capsys):
    hints_given.clear()
    for _ in range(4):
        hint("01.grid_centers")
    lines = capsys.readouterr().out.splitlines()
    last = "hint 3 of 3, the last one"
    assert [line.partition(":")[0] for line in lines] == ["hint 1 of 3", "hint 2 of 3", last, last]
    assert lines[0].endswith(EXERCISES["01.grid_centers"].hints[0])


def test_a_hint_without_an_id_says_where_the_id_stands(capsys):
    hint()
    assert 'write hint("01.grid_centers"), with the id of your exercise' in capsys.readouterr().out


def test_the_hint_of_an_unknown_exercise_is_answered_with_the_nearest_ones():
    with pytest.raises(ValueError, match="did you mean"):
        hint("coverage")


@pytest.mark.parametrize(
    "exercise",
    [
        pytest.param(exercise, id=exercise.id, marks=() if exercise.run is call else (pytest.mark.full,))
        for exercise in EXERCISES.values()
    ],
)
def test_a_check_answers_at_once(exercise):
    """In half a second, or in some where it builds networks; held to more than that, for machines are noisy."""
    check(exercise.id, exercise.reference)
    most = 8 if exercise.draw is None else 3
    assert any(_seconds(exercise) < most for _ in range(3))


def _seconds(exercise) -> float:
    known = (value for module in modules_of(int(exercise.lesson)) for value in vars(module).values())
    for function in (*known, *(mutant.function for mutant in exercise.mutants)):
        if hasattr(function, "cache_clear"):  # it keeps the networks that it has built: as if it were the first check
            function.cache_clear()
    start = time.process_time()
    with pytest.raises(CheckFailed):  # a failure takes longest: the mutants are tried, too
        check(exercise.id, exercise.mutants[-1].function)
    return time.process_time() - start


@pytest.mark.parametrize(
    "exercise_id",
    [
        "08.joint_network",
        pytest.param("04.mobilenet_v2", marks=pytest.mark.full),
        pytest.param("05.shufflenet_v2", marks=pytest.mark.full),
    ],
)
def test_networks_that_are_kept_for_the_next_check_survive_a_cleared_session(exercise_id):
    import keras

    exercise = EXERCISES[exercise_id]
    for mutant in exercise.mutants[-3:]:
        keras.utils.clear_session()  # names of layers begin anew
        with pytest.raises(CheckFailed) as caught:
            check(exercise_id, mutant.function)
        assert mutant.sentence in " ".join(str(caught.value).split())


@pytest.mark.parametrize(
    ("statement", "unwanted"),
    [
        ("import ssdseg_course", {"numpy", "rich", "IPython"}),
        ("import ssdseg_course.cli", {"numpy", "IPython", "jupyter_client"}),
        ("from ssdseg_course import check, hint, mine, EXERCISES", {"tensorflow", "keras", "matplotlib"}),
        ("from ssdseg_course import EXERCISES; EXERCISES['01.coverage']", {"ssdseg_course.exercises.training"}),
        ("from ssdseg_course.cli.learn import hint; hint('1.1')", {"tensorflow", "IPython", "jupyter_client"}),
        ("from ssdseg_course.cli.learn import progress; progress()", {"tensorflow", "matplotlib"}),
    ],
)
def test_what_is_not_needed_is_not_imported(statement, unwanted):
    code = f"import sys\n{statement}\nsys.exit(', '.join({unwanted} & set(sys.modules)) or None)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_functions_of_the_package_are_not_lost_to_the_modules_of_their_names():
    code = (
        "import ssdseg_course.check, ssdseg_course.mine\n"
        "from ssdseg_course.check import find_exercise\n"
        "from ssdseg_course import check, mine\n"
        "assert callable(check) and callable(mine) and ssdseg_course.check is check\n"
        "assert {'EXERCISES', 'check', 'hint', 'mine'} <= set(dir(ssdseg_course))\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


class TestInANotebook:
    """In a running IPython, whose outputs a fake one records."""

    @pytest.fixture
    def cell(self):
        """Runs a cell and gives (displayed, result, error)."""
        from IPython.core.interactiveshell import InteractiveShell
        from IPython.utils.capture import capture_output

        shell = InteractiveShell.instance()
        shell.user_ns.update(check=check, grid_centers=grid_centers)

        def run(source):
            with capture_output() as captured:
                result = shell.run_cell(source)
            return captured, result

        yield run
        InteractiveShell.clear_instance()

    def test_a_report_is_shown_once_and_is_no_result(self, cell):
        # nbgrader reads a result as the number of points: there must be none.
        captured, result = cell('check("01.grid_centers", grid_centers)')
        assert result.success
        assert len(captured.outputs) == 1
        assert "✓ 01.grid_centers" in captured.outputs[0].data["text/plain"]
        assert "✓" in captured.outputs[0].data["text/html"]
        assert "Report" not in captured.stdout
        assert captured.stderr == ""

    def test_a_failure_is_shown_once_with_one_line_in_place_of_a_traceback(self, cell):
        captured, result = cell('check("01.grid_centers", lambda rows, cols: 0)')
        assert isinstance(result.error_in_exec, CheckFailed)
        assert "✗ 01.grid_centers" in captured.outputs[0].data["text/plain"]
        assert captured.stdout.strip() == "CheckFailed: 01.grid_centers is not right yet, see above"

    def test_the_line_of_an_error_is_that_of_the_cell(self, cell):
        source = (
            "def grid_centers(rows, cols):\n    one = 1\n    return one / 0\n\ncheck('01.grid_centers', grid_centers)"
        )
        captured, _ = cell(source)
        assert "in line 3 of `grid_centers`: return one / 0" in captured.outputs[0].data["text/plain"]
