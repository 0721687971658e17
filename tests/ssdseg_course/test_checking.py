"""What a check says at each stage, and that it cannot be talked out of it."""

import dataclasses
import pickle
import sys

import numpy as np
import pytest

from ssdseg_course import EXERCISES
from ssdseg_course.checking.compare import compare_arrays, compare_whole_numbers
from ssdseg_course.checking.exercise import Exercise
from ssdseg_course.checking.judge import judge
from ssdseg_course.checking.probe import probe
from ssdseg_course.checking.values import to_plain

GRID = EXERCISES["01.grid_centers"]
COVERAGE = EXERCISES["01.coverage"]


def right(rows, cols):
    """A right answer to spoil."""
    return np.array(GRID.reference(rows, cols))


def says(function, exercise: Exercise = GRID, seed: int = 7) -> str:
    """What the check says, its lines joined."""
    report = judge(exercise, probe(function, exercise.cases(seed)), seed)
    assert not report.passed, report
    return " ".join(str(report).split())


def test_a_report_reads_as_the_style_guide_shows_it():
    report = judge(GRID, probe(lambda rows, cols: right(rows, cols)[:, ::-1], GRID.cases(7)), 7)
    assert str(report) == (
        "✗ 01.grid_centers  0/10\n"
        "  called with rows=2, cols=3\n"
        "  shape is right: (6, 2)\n"
        "  but row 0 should be (0.1667, 0.25) and yours is (0.25, 0.1667) (6 of 6 differ):\n"
        "  this is what you get when x and y change places. Which of them runs along the columns?\n"
        '  again: check("01.grid_centers", grid_centers, seed=7)'
    )


def test_an_error_is_told_with_the_line_it_came_from():
    def grid_centers(rows, cols):
        missing = rows // 0
        return missing

    text = says(grid_centers)
    assert "it stopped with ZeroDivisionError: integer division or modulo by zero" in text
    assert "of `grid_centers`: missing = rows // 0" in text


def test_an_error_inside_numpy_is_told_with_the_line_that_called_it():
    def grid_centers(rows, cols):
        return np.stack([np.zeros(rows), np.zeros(cols + rows)])

    assert "of `grid_centers`: return np.stack([np.zeros(rows)" in says(grid_centers)


def test_a_missing_argument_is_told_without_a_line():
    def grid_centers(rows):
        return rows

    text = says(grid_centers)
    assert "takes 1 positional argument but 2 were given" in text
    assert "in line" not in text


def test_an_exit_does_not_end_the_check():
    def grid_centers(rows, cols):
        raise SystemExit("bye")

    assert "it stopped with SystemExit: bye" in says(grid_centers)


def test_a_call_of_an_unwritten_function_names_that_function():
    def anchor_sizes():
        raise NotImplementedError("not written yet")

    def grid_centers(rows, cols):
        return anchor_sizes()

    assert "it calls your `anchor_sizes`, and that one is not written yet" in says(grid_centers)


@pytest.mark.parametrize(
    ("error", "advice"),
    [
        (IndexError("index 4 is out of bounds for axis 0 with size 4"), "is the grid large enough?"),
        (ValueError("operands could not be broadcast together"), "do the shapes fit?"),
        (ValueError("something else"), None),
        (NotImplementedError("not written yet"), None),
    ],
)
def test_an_error_that_the_exercise_knows_is_told_with_advice(error, advice):
    known = (("IndexError", "is the grid large enough?"), ("broadcast", "do the shapes fit?"))

    def grid_centers(rows, cols):
        raise error

    text = says(grid_centers, dataclasses.replace(GRID, errors=known))
    if advice:
        assert f"raise error: {advice}" in text
    else:
        assert not any(sentence in text for _, sentence in known)


def test_of_several_pieces_of_advice_for_an_error_the_first_is_told():
    known = (("index 4", "the first"), ("IndexError", "the second"))

    def grid_centers(rows, cols):
        raise IndexError("index 4 is out of bounds")

    assert "the first again" in says(grid_centers, dataclasses.replace(GRID, errors=known))


def test_a_missing_return_is_named():
    assert "returned None: does every way through it end in `return`?" in says(lambda rows, cols: None)


@pytest.mark.parametrize(
    ("value", "name"),
    [("a text", "str"), ({1: 2}, "dict"), (np.array(["a"]), "array of <U1"), (object(), "object"), ([1, "a"], "list")],
)
def test_what_is_no_number_is_named(value, name):
    text = says(lambda rows, cols: value)
    assert "it should return an array of shape (6, 2), and returned something else: " + name in text


def test_a_wrong_shape_is_told_with_both_shapes():
    text = says(lambda rows, cols: right(rows, cols)[:, :1])
    assert "it should be an array of shape (6, 2), and yours is an array of shape (6, 1)" in text


def test_parts_of_different_shapes_are_told():
    text = says(lambda rows, cols: [[0.0, 1.0], [0.0]])
    assert "it should be an array of shape (6, 2), and yours is a list of 2 that cannot be made one array" in text


def test_an_array_in_place_of_a_number_is_told():
    text = says(lambda anchors, boxes, threshold: np.ones(3), COVERAGE)
    assert "it should be one number, and yours is an array of shape (3,)" in text


@pytest.mark.parametrize("strange", [np.nan, np.inf])
def test_nan_and_infinity_are_told_before_the_values(strange):
    def spoiled(rows, cols):
        answer = right(rows, cols)
        answer[-1, 1] = strange
        return answer

    text = says(spoiled)
    assert f"but row 5 holds what is no number: (0.8333, {strange})" in text
    assert "inf comes from a division by 0" in text


def test_a_lone_nan_is_told():
    assert "it is nan, which is no number" in says(lambda *arguments: np.nan, COVERAGE)


def test_fractions_that_were_cut_off_are_named_as_the_reason():
    unknown = dataclasses.replace(GRID, mutants=())
    text = says(lambda rows, cols: right(rows, cols).astype(np.int64), unknown)
    assert "when all that stands after the point is cut off: an array of int64 has no place for it" in text


@pytest.mark.parametrize(
    ("value", "expected", "advice"),
    [
        (np.floor, [1.5, 2.25], "cut off."),
        (np.round, [1.75, 2.25], "rounded to whole ones:"),
        (lambda x: np.ceil(x).astype(int), [1.25, 2.25], None),  # whole, and no fraction is what they lack
        (lambda x: np.zeros(2), [0.5, 0.25], None),
        (lambda x: np.array(3), 0.75, None),  # a count in the place of a share
        (lambda x: np.array(0), 0.75, None),
        (lambda x: np.array(1.0), 0.75, None),  # all or nothing, in the place of a share
        (lambda x: (x > 0.5).astype(int), [0.75, 0.25], None),
        (lambda x: np.round(x) + 1, [1.75, 2.25], None),
    ],
)
def test_whole_numbers_are_blamed_only_where_nothing_but_the_fractions_is_lost(value, expected, advice):
    expected = np.array(expected)
    complaint = compare_arrays(value(expected), expected)
    assert (complaint.advice is None) if advice is None else (advice in complaint.advice)


def test_advice_that_another_case_does_not_bear_out_is_not_given():
    def rounded_once(rows, cols):
        return np.round(right(rows, cols)) if (rows, cols) == (2, 3) else right(rows, cols) + 1

    assert "rounded" not in says(rounded_once)


def test_the_first_wrong_row_is_told_with_its_numbers():
    def spoiled(rows, cols):
        answer = right(rows, cols)
        answer[rows * cols // 2 :] += 0.001
        return answer

    assert "but row 3 should be (0.1667, 0.75) and yours is (0.1677, 0.751) (3 of 6 differ)" in says(spoiled)


def test_a_small_difference_is_told_with_enough_digits():
    complaint = compare_arrays(np.array([0.5, 0.12350]), np.array([0.5, 0.123456]))
    assert complaint.lines[-1] == "but entry 1 should be 0.123456 and yours is 0.1235 (1 of 2 differ)"


def test_the_right_rows_in_another_order_are_seen():
    assert "in the opposite order" in says(lambda rows, cols: right(rows, cols)[::-1])
    text = says(lambda rows, cols: right(rows, cols)[np.random.default_rng(0).permutation(rows * cols)])
    assert "but in another order. again" in text


def test_a_grid_that_is_counted_column_by_column_is_asked_for_its_fastest_index():
    rows = np.arange(24.0).reshape(-1, 2)
    turned = rows.reshape(3, 4, 2).swapaxes(0, 1).reshape(-1, 2)
    assert "Which index should move fastest?" in compare_arrays(turned, rows).advice


@pytest.mark.parametrize("right", [np.array([2, 0, 1]), np.array([2.5, 0.5]), np.array([[2, 0], [1, 3]])])
def test_indices_and_lone_numbers_are_no_rows_in_another_order(right):
    assert compare_arrays(right[::-1], right).advice is None


@pytest.mark.parametrize("wanted", [(0,), (0, 4), (0, 2, 2)])
def test_an_empty_list_is_as_good_as_an_array_without_rows(wanted):
    assert compare_arrays(np.array([]), np.empty(wanted)) is None


def test_a_whole_number_is_demanded_in_type_too():
    right = np.array(32)
    assert compare_whole_numbers(np.array(32, np.int32), right) is None
    complaint = compare_whole_numbers(np.array(32.0), right)
    assert "a whole number in type, too (int), and yours is float64: 32.0" in complaint.lines[0]
    assert "it should be 32 and yours is 31" in compare_whole_numbers(np.array(31.0), right).lines[0]


def test_of_a_long_row_the_wrong_number_alone_is_told():
    right = np.zeros((2, 10**6))
    wrong = right.copy()
    wrong[1, 7] = 2
    assert compare_arrays(wrong, right).lines[-1] == "but entry 1, 7 should be 0 and yours is 2 (1 of 2000000 differ)"


def test_an_endless_error_is_cut():
    def grid_centers(rows, cols):
        raise ValueError("x" * 10**6)

    assert len(says(grid_centers)) < 1500


def copies(array):
    return array.copy()


@pytest.mark.parametrize(
    ("array", "text"),
    [
        (np.eye(3, dtype=int)[..., None, None], "array=[[1, 0, 0], [0, 1, 0], [0, 0, 1]] of shape (3, 3, 1, 1)"),
        (np.arange(4).reshape(1, 2, 2), "array=[[0, 1], [2, 3]] of shape (1, 2, 2)"),
        (np.full((1, 1, 1, 1), 7), "array=[7] of shape (1, 1, 1, 1)"),
        (np.array([[1, 2]]), "array=[[1, 2]]"),
        (np.ones((5, 5, 1, 1)), "array=<an array of shape (5, 5, 1, 1)>"),
        (np.ones((3, 3, 2)), "array=<an array of shape (3, 3, 2)>"),
    ],
)
def test_an_argument_is_told_in_full_while_it_can_be_read(array, text):
    exercise = dataclasses.replace(GRID, reference=copies, fixed_cases=((array,),), draw=None, mutants=())
    assert f"called with {text} shape is right" in says(lambda array: array + 1, exercise)


def test_an_argument_that_fits_on_a_line_is_not_broken_over_two():
    image, kernel = np.arange(9).reshape(3, 3, 1), np.eye(3, dtype=int)[..., None, None]
    exercise = dataclasses.replace(
        GRID, reference=lambda image, kernel: 1, fixed_cases=((image, kernel),), draw=None, mutants=()
    )
    report = judge(exercise, probe(lambda image, kernel: 2, exercise.cases(0)), 0)
    assert str(report).splitlines()[1:3] == [
        "  called with image=[[0, 1, 2], [3, 4, 5], [6, 7, 8]] of shape (3, 3, 1),",
        "  kernel=[[1, 0, 0], [0, 1, 0], [0, 0, 1]] of shape (3, 3, 1, 1)",
    ]


def test_an_answer_that_is_right_only_where_the_mistake_does_not_show_is_told_in_the_case_where_it_does():
    text = says(lambda rows, cols: right(rows, cols) if (rows, cols) != (5, 1) else right(1, 5))
    assert "called with rows=5, cols=1" in text


def test_a_typical_mistake_is_found_though_some_cases_end_in_an_error():
    def swapped_and_fragile(rows, cols):
        assert cols < 4
        return right(rows, cols)[:, ::-1]

    assert "x and y change places" in says(swapped_and_fragile)


def test_changing_an_argument_is_told():
    def coverage(anchors, boxes, threshold):
        answer = COVERAGE.reference(anchors, boxes, threshold)
        boxes -= 1
        return answer

    assert "what it returns is right, but on the way it changed its argument `boxes`" in says(coverage, COVERAGE)


def test_a_wrong_value_is_told_before_a_changed_argument():
    def overwriting(anchors, boxes, threshold):
        boxes[:] = anchors[0]
        return 1.0

    assert "it should be 0.75 and yours is 1" in says(overwriting, COVERAGE)
    assert COVERAGE.reference(*COVERAGE.fixed_cases[1]) == 0.75


def test_an_answer_that_writes_over_what_it_still_needs_is_told_so():
    def corners_to_centers(boxes):
        boxes[:, 2:] -= boxes[:, :2]
        boxes[:, :2] = (boxes[:, :2] + boxes[:, 2:]) / 2
        return boxes

    text = says(corners_to_centers, EXERCISES["02.corners_to_centers"])
    assert "it is no new array, but its argument `boxes` itself, written over: whatever it reads there" in text
    text = says(lambda boxes: corners_to_centers(boxes) + 0, EXERCISES["02.corners_to_centers"])
    assert "and on the way it changed its argument `boxes`: whatever it reads there" in text


def parted(count):
    return np.arange(count), np.zeros((count, 2))


PARTED = dataclasses.replace(
    GRID, reference=parted, fixed_cases=((3,), (0,)), draw=None, mutants=(), returns=("indices", "boxes")
)


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        (lambda count: np.zeros((count, 2)), "it should return 2 things, indices and boxes, and it returned 3 things"),
        (lambda count: None, "it should return indices and boxes, and returned None"),
        (lambda count: (np.arange(count), np.ones((count, 2))), "boxes: shape is right: (3, 2) but row 0"),
        (lambda count: (np.arange(count), "boxes"), "it should return indices and boxes, and returned something else"),
    ],
)
def test_things_that_are_returned_together_are_told_by_name(wrong, sentence):
    assert sentence in says(wrong, PARTED)


def test_true_and_false_are_told_to_be_made_ones_and_zeros_where_those_are_wanted():
    marks = dataclasses.replace(GRID, reference=lambda count: np.eye(count), fixed_cases=((3,),), draw=None, mutants=())
    assert "true and false are no numbers here" in says(lambda count: np.eye(count) > 0, marks)
    assert "true and false" not in says(lambda count: True, marks)
    text = says(lambda rows, cols: right(rows, cols) > 0.5)
    assert "returned something else: array of bool again" in text


def test_of_things_that_are_returned_together_one_may_be_an_empty_list():
    assert judge(PARTED, probe(lambda count: parted(count) if count else ([], []), PARTED.cases(0)), 0).passed


def test_of_cases_with_the_same_mistake_one_that_can_be_read_is_told():
    large, small = np.ones((5, 5)), np.ones((2, 2))
    exercise = dataclasses.replace(
        GRID, reference=copies, fixed_cases=((large,), (small,)), draw=None, mutants=(), returns=()
    )
    assert "called with array=[[1, 1], [1, 1]]" in says(lambda array: array + 1, exercise)
    assert "called with array=<an array" in says(lambda array: array + 1 if len(array) > 2 else None, exercise)


class Agreeable(np.ndarray):
    """Says that it is equal to everything."""

    def __eq__(self, other):
        return np.ones(self.shape, bool)

    __array_ufunc__ = None


def test_an_object_that_agrees_with_everything_does_not_pass():
    assert "should be" in says(lambda rows, cols: np.zeros((rows * cols, 2)).view(Agreeable))


def test_an_array_that_raises_when_it_is_looked_at_does_not_stop_the_check():
    class Bomb:
        def __array__(self, dtype=None, copy=None):
            raise KeyError("boom")

    assert "returned something else: Bomb" in says(lambda rows, cols: Bomb())


def test_what_a_probe_gives_can_be_pickled():
    class Local:
        pass

    answers = iter([Local(), np.zeros((1, 2)), [np.zeros(2), np.zeros(3)]])

    def changing(rows, cols):
        return next(answers)

    outcomes = probe(changing, GRID.cases(0))
    again = pickle.loads(pickle.dumps(outcomes))
    assert [outcome.type_name for outcome in again[:3]] == ["Local", "array of float64", "list"]
    assert again[3].failure.error == "StopIteration"


def test_a_warning_goes_to_stdout_because_nbgrader_takes_stderr_for_a_failure(capsys):
    def coverage(anchors, boxes, threshold):
        np.array([1.0]) / np.array([0.0])
        return COVERAGE.reference(anchors, boxes, threshold)

    with pytest.warns(RuntimeWarning):
        probe(coverage, COVERAGE.cases(0))
    probe(lambda rows, cols: print("hello", file=sys.stderr), GRID.cases(0))
    captured = capsys.readouterr()
    assert captured.err == ""
    assert "hello" in captured.out


@pytest.mark.parametrize("value", [None, "x", b"x", {1}, True, 1j, [1, None], np.array([object()])])
def test_only_real_numbers_are_plain(value):
    assert to_plain(value) is None


@pytest.mark.parametrize("value", [1, 1.5, np.float32(1), np.ones((2, 2)), [[1, 2], [3, 4]], [np.ones(2), (1, 2)]])
def test_numbers_and_arrays_of_all_kinds_are_plain(value):
    assert type(to_plain(value)) is np.ndarray


def test_a_report_in_html_escapes_what_the_learner_wrote():
    def grid_centers(rows, cols):
        raise ValueError("<script>alert(1)</script>")

    report = judge(GRID, probe(grid_centers, GRID.cases(0)), 0)
    assert "<script>" not in report._repr_html_()
    assert "✗" in report._repr_html_()
