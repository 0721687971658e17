"""Plain values: what is left of an answer once nothing of the learner's own making clings to it.

A list, a tuple, a tensor or an array becomes a fresh NumPy array of real numbers, and a list of arrays of different
shapes a tuple of such arrays. An object that answers `==` or pretends to be an array as it likes does not get through.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

Plain = np.ndarray | tuple[Any, ...]

REAL_NUMBERS = "iuf"  # NumPy's kinds: signed, unsigned, floating


def to_plain(value: Any) -> Plain | None:
    """The plain form of whatever a function gave back; None where it is no collection of real numbers."""
    try:
        array = np.array(value, subok=False)
    except Exception:  # parts of different shapes, or an object whose __array__ raises whatever it likes
        array = None
    if array is not None and array.dtype.kind in REAL_NUMBERS:
        return array
    if not isinstance(value, list | tuple):
        return None
    parts = tuple(to_plain(part) for part in value)
    return None if any(part is None for part in parts) else parts


def type_in_words(value: Any) -> str:
    """What kind of thing came back, as a learner calls it: "str", "array of bool", "tuple with an array of bool"."""
    dtype = getattr(value, "dtype", None)
    if isinstance(value, list | tuple):
        strange = [type_in_words(part) for part in value if to_plain(part) is None]
        return f"{type(value).__name__} with {with_article(strange[0])}" if strange else type(value).__name__
    is_array = isinstance(dtype, np.dtype) and not isinstance(value, np.generic)
    return f"array of {dtype}" if is_array else type(value).__name__


def with_article(kind: str) -> str:
    """ "an array", "a list"; None has none."""
    if kind == "NoneType":
        return "None"
    return f"{'an' if kind[0] in 'aeioAEIO' else 'a'} {kind}"


def parts_of(value: Plain) -> list[Plain]:
    """The things that were returned together: of one shape, they have become one array."""
    return list(value) if isinstance(value, tuple) or value.ndim else [value]


def in_words_together(names: Sequence[str]) -> str:
    """ "image, boxes and mask"."""
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last


def close(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Where two arrays of one shape agree.

    Loosely enough for float32 against float64, and far more tightly than any mistake worth a sentence.
    """
    return np.isclose(a.astype(np.float64), b.astype(np.float64), rtol=1e-4, atol=1e-6, equal_nan=True)


def same(a: Plain | None, b: Plain | None) -> bool:
    """Whether two plain values have the same structure and close numbers."""
    if a is None or b is None:
        return a is b
    if isinstance(a, tuple) or isinstance(b, tuple):
        return (
            isinstance(a, tuple)
            and isinstance(b, tuple)
            and len(a) == len(b)
            and all(same(*parts) for parts in zip(a, b, strict=True))
        )
    return a.shape == b.shape and bool(close(a, b).all())


def number_in_words(number: float, digits: int = 4) -> str:
    """A number as short as it can be: 0.25, 3, 1e-05."""
    return f"{float(number):.{digits}g}"


def row_in_words(row: np.ndarray, digits: int = 4) -> str:
    """A number, or numbers in brackets: (0.5, 0.25)."""
    if np.ndim(row) == 0:
        return number_in_words(float(row), digits)
    return f"({', '.join(row_in_words(part, digits) for part in row)})"
