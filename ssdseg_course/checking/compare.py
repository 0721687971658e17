"""Compares an array with the one it should be, and says the first thing that is wrong."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import permutations
from typing import Any

import numpy as np

from ssdseg_course.checking.values import Plain, close, in_words_together, parts_of, row_in_words


@dataclass(frozen=True)
class Complaint:
    """What is wrong with an answer.

    Attributes:
        lines: the facts, in words and numbers.
        advice: a sentence that helps, if the comparison knows one. Where it does not, the exercise's mutants may.
        kind: of the mistake, in a word; of several cases with one kind of mistake, the one that reads best is told.
        everywhere: whether the advice is about the answer as a whole: then every wrong case has to bear it out.
        part: number of the thing that is wrong, of those that are returned together.
    """

    lines: tuple[str, ...]
    advice: str | None = None
    kind: str = ""
    everywhere: bool = False
    part: int | None = None


def compare_arrays(value: Plain, expected: np.ndarray) -> Complaint | None:
    """The first thing that is wrong with an array: its shape, then nan and infinity, then its numbers."""
    wanted = shape_in_words(expected.shape)
    if isinstance(value, tuple):
        yours = f"a list of {len(value)} that cannot be made one array"
        return Complaint((f"it should be {wanted}, and yours is {yours}",), kind="shape")
    if value.shape != expected.shape and not _nothing(value, expected):
        return Complaint((f"it should be {wanted}, and yours is {shape_in_words(value.shape)}",), kind="shape")
    shape_is_right = (f"shape is right: {value.shape}",) if expected.ndim else ()
    if not np.isfinite(value).all():
        return Complaint((*shape_is_right, _strange_numbers(value)), STRANGE_NUMBERS, "strange numbers")
    if value.shape != expected.shape:
        return None
    agree = close(value, expected)
    if agree.all():
        return None
    advice = _cut_off(value, expected) or _other_order(value, expected)
    lines = (*shape_is_right, _first_difference(value, expected, agree))
    return Complaint(lines, advice, "numbers", everywhere=True)


def compare_whole_numbers(value: Plain, expected: np.ndarray) -> Complaint | None:
    """As `compare_arrays`, of whole numbers in type, too: 32 and not 32.0, for what a later step takes no float for."""
    complaint = compare_arrays(value, expected)
    if complaint is not None or isinstance(value, tuple) or value.dtype.kind in "iu":
        return complaint
    what = "a whole number" if expected.ndim == 0 else "whole numbers"
    first = value.reshape(-1)[:1]
    example = f": {float(first[0])}" if first.size else ""
    return Complaint(
        (f"its value is right, but it should be {what} in type, too (int), and yours is {value.dtype}{example}",),
        WHOLE_ARRAY if expected.ndim > 1 else WHOLE,
        kind="type",
    )


def compare_parts(
    value: Plain, expected: Plain, names: Sequence[str], compare: Callable[[Plain, Any], Complaint | None]
) -> Complaint | None:
    """The first thing that is wrong with things that are returned together, told by its name.

    Args:
        value: what came back.
        expected: what should have.
        names: of the things, in order.
        compare: of one of them.
    """
    parts = parts_of(value)
    if len(parts) != len(names):
        yours = f"{len(parts)} things" if len(parts) != 1 else "one"
        if isinstance(value, np.ndarray):  # perhaps one of them alone: an array is as many things as it has rows
            yours += f" ({shape_in_words(value.shape)})"
        lines = (f"it should return {len(names)} things, {in_words_together(names)}, and it returned {yours}",)
        return Complaint(lines, f"return them together: `return {', '.join(names)}`.", kind="shape")
    for place, (part, wanted) in enumerate(zip(parts, parts_of(expected), strict=True)):
        complaint = compare(part, wanted)
        if complaint is not None:
            return replace(complaint, part=place)
    return None


LONGEST_ROW = 12  # numbers of a row that is told in full

WHOLE = (
    "sides, numbers of channels and indices are whole numbers, and what uses them takes no float: `//` of whole "
    "numbers gives one, and so does `int(...)` in the end."
)
WHOLE_ARRAY = "what uses them takes no floats: `.astype(np.int32)` makes whole numbers of an array."
STRANGE_NUMBERS = (
    "inf comes from a division by 0, from the logarithm of 0 or from a number too large, as exp(1000) is; nan from 0 / "
    "0, inf - inf, 0 * inf or the root of a negative number."
)
CUT_OFF = "yours is what remains of the right numbers when all that stands after the point is cut off{why}."
ROUNDED = "yours are the right numbers, rounded to whole ones: the fraction is wanted, too."
OTHER_ORDER = "all the right rows are there, but in another order."
OTHER_INDEX = "all the right rows are there, but in another order. Which index should move fastest?"
REVERSED = "all the right rows are there, but in the opposite order: the last one comes first."
ORDERS = {OTHER_ORDER, OTHER_INDEX, REVERSED}


def shape_in_words(shape: tuple[int, ...]) -> str:
    """What a learner should see for a shape: "one number", "an array of shape (6, 2)"."""
    return f"an array of shape {tuple(shape)}" if shape else "one number"


def value_in_words(value: Plain) -> str:
    """What a learner should see for what is wanted: "one number", "2 things: one number and an array of shape (3,)"."""
    if not isinstance(value, tuple):
        return shape_in_words(value.shape)
    return f"{len(value)} things: {in_words_together([value_in_words(part) for part in value])}"


def _nothing(value: np.ndarray, expected: np.ndarray) -> bool:
    """An empty list, for an array without rows: there is nothing that could be wrong with its rows."""
    return value.shape == (0,) and expected.shape[:1] == (0,)


def _strange_numbers(value: np.ndarray) -> str:
    where, row = _first(value, ~np.isfinite(value))
    return f"but {where} holds what is no number: {row_in_words(row)}" if where else f"it is {row}, which is no number"


def _first_difference(value: np.ndarray, expected: np.ndarray, agree: np.ndarray) -> str:
    where, got = _first(value, ~agree)
    _, wanted = _first(expected, ~agree)
    digits = next(d for d in (4, 6, 9, 17) if d == 17 or row_in_words(got, d) != row_in_words(wanted, d))
    yours, right = row_in_words(got, digits), row_in_words(wanted, digits)
    if not where:
        return f"it should be {right} and yours is {yours}"
    rows_agree = agree.all(axis=-1) if where.startswith("row") else agree
    count = f"{np.sum(~rows_agree)} of {rows_agree.size} differ"
    return f"but {where} should be {right} and yours is {yours} ({count})"


def _first(array: np.ndarray, marked: np.ndarray) -> tuple[str, np.ndarray]:
    """The first row with a mark, or the number in a long one: its place in words ("" for a lone number), and itself."""
    if array.ndim == 0:
        return "", array
    is_row = array.ndim > 1 and array.shape[-1] <= LONGEST_ROW
    index = tuple(np.argwhere(marked)[0][: array.ndim - is_row].tolist())
    return f"{'row' if is_row else 'entry'} {', '.join(map(str, index))}", array[index]


def _cut_off(value: np.ndarray, expected: np.ndarray) -> str | None:
    """Advice where nothing but the fractions of the right numbers is lost."""
    if np.array_equal(expected, np.round(expected)) or not np.array_equal(value, np.round(value)):
        return None
    is_whole_array = value.dtype.kind in "iu" and value.ndim > 0
    tells = (np.abs(value) > 1).any()  # zeros and ones come from elsewhere: from a count, or a comparison
    why = f": an array of {value.dtype} has no place for it" if is_whole_array else ""
    if (tells or is_whole_array) and close(value, np.trunc(expected)).all():
        return CUT_OFF.format(why=why)
    return ROUNDED if tells and close(value, np.round(expected)).all() else None


def _other_order(value: np.ndarray, expected: np.ndarray) -> str | None:
    """Advice where a list of rows has the right ones in another order; indices and lone numbers are no such rows."""
    if value.ndim != 2 or value.shape[1] < 2 or "f" not in (value.dtype.kind, expected.dtype.kind):
        return None
    mine, right = _sorted_rows(value), _sorted_rows(expected)
    if not close(value[mine], expected[right]).all():
        return None
    order = np.empty(len(value), int)  # of the right rows, as yours stand
    order[mine] = right
    if np.array_equal(order, np.arange(len(value))[::-1]):
        return REVERSED
    return OTHER_INDEX if _is_grid_turned(order) else OTHER_ORDER


def _sorted_rows(rows: np.ndarray) -> np.ndarray:
    """Places of the rows, sorted."""
    # Rounded for the order alone: columns that are equal but for the last bit must not decide it.
    return np.lexsort(np.round(rows.astype(np.float64), 5).T[::-1])


def _is_grid_turned(order: np.ndarray) -> bool:
    """Whether rows that count the cells of some grid have been counted along its axes in another order."""
    count = len(order)
    sides = [side for side in range(1, count + 1) if count % side == 0]
    shapes = {(a, b, count // (a * b)) for a in sides for b in sides if count % (a * b) == 0}
    return any(
        np.array_equal(order, np.arange(count).reshape(shape).transpose(axes).ravel())
        for shape in shapes
        for axes in permutations(range(3))
        if axes != (0, 1, 2) and not np.array_equal(order, np.arange(count))
    )
