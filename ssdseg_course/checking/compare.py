"""Compares an array with the one it should be, and says the first thing that is wrong."""

from dataclasses import dataclass

import numpy as np

from ssdseg_course.checking.values import Plain, close, row_in_words, same


@dataclass(frozen=True)
class Complaint:
    """What is wrong with an answer.

    Attributes:
        lines: the facts, in words and numbers.
        advice: a sentence that helps, if the comparison knows one. Where it does not, the exercise's mutants may.
    """

    lines: tuple[str, ...]
    advice: str | None = None


def compare_arrays(value: Plain, expected: np.ndarray) -> Complaint | None:
    """The first thing that is wrong with an array: its shape, then nan and infinity, then its numbers."""
    wanted = shape_in_words(expected.shape)
    if isinstance(value, tuple):
        return Complaint((f"it should be {wanted}, and yours is a list of {len(value)} that cannot be made one array",))
    if value.shape != expected.shape:
        return Complaint((f"it should be {wanted}, and yours is {shape_in_words(value.shape)}",))
    shape_is_right = (f"shape is right: {value.shape}",) if expected.ndim else ()
    if not np.isfinite(value).all():
        return Complaint((*shape_is_right, _strange_numbers(value)), STRANGE_NUMBERS)
    agree = close(value, expected)
    if agree.all():
        return None
    return Complaint((*shape_is_right, _first_difference(value, expected, agree)), _general_advice(value, expected))


STRANGE_NUMBERS = "inf comes from dividing by 0, nan from 0 / 0 or from the root of a negative number."
WHOLE_NUMBERS = "your array holds whole numbers only ({dtype}): what stood behind the point was cut off."
OTHER_ORDER = "all the right rows are there, but in another order. Which index should move fastest?"


def shape_in_words(shape: tuple[int, ...]) -> str:
    """What a learner should see for a shape: "one number", "an array of shape (6, 2)"."""
    return f"an array of shape {tuple(shape)}" if shape else "one number"


def _strange_numbers(value: np.ndarray) -> str:
    where, row = _first(value, ~np.isfinite(value))
    return f"but {where} holds what is no number: {row_in_words(row)}" if where else f"it is {row}, which is no number"


def _first_difference(value: np.ndarray, expected: np.ndarray, agree: np.ndarray) -> str:
    where, got = _first(value, ~agree)
    _, wanted = _first(expected, ~agree)
    digits = next(d for d in (4, 6, 9, 17) if d == 17 or row_in_words(got, d) != row_in_words(wanted, d))
    got, wanted = row_in_words(got, digits), row_in_words(wanted, digits)
    if not where:
        return f"it should be {wanted} and yours is {got}"
    rows_agree = agree.all(axis=-1) if agree.ndim > 1 else agree
    count = f"{np.sum(~rows_agree)} of {rows_agree.size} differ"
    return f"but {where} should be {wanted} and yours is {got} ({count})"


def _first(array: np.ndarray, marked: np.ndarray) -> tuple[str, np.ndarray]:
    """The first row with a mark, in words ("" for a lone number), and the row itself."""
    if array.ndim == 0:
        return "", array
    index = tuple(np.argwhere(marked)[0][: max(array.ndim - 1, 1)].tolist())
    name = "entry" if array.ndim == 1 else "row"
    return f"{name} {', '.join(map(str, index))}", array[index]


def _general_advice(value: np.ndarray, expected: np.ndarray) -> str | None:
    if value.dtype.kind in "iu" and not np.array_equal(expected, np.round(expected)):
        return WHOLE_NUMBERS.format(dtype=value.dtype)
    if value.ndim and same(_sorted_rows(value), _sorted_rows(expected)):
        return OTHER_ORDER
    return None


def _sorted_rows(array: np.ndarray) -> np.ndarray:
    rows = array.reshape(len(array), -1).astype(np.float64)
    # Rounded for the order alone: columns that are equal but for the last bit must not decide it.
    return rows[np.lexsort(np.round(rows, 5).T[::-1])]
