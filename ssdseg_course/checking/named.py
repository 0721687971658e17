"""Exercises that give words, or numbers by name: how the learner's function is run, and how results compare.

Plain values hold numbers alone, so words travel as the numbers of their letters, a row for each.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ssdseg_course.checking.compare import Complaint, compare_arrays
from ssdseg_course.checking.exercise import Arguments, Function
from ssdseg_course.checking.probe import WrongAnswer
from ssdseg_course.checking.values import Plain, parts_of, to_plain, type_in_words, with_article

LONGEST_WORD = 60  # letters of a word that are shown
FIRST_LETTER, END_OF_LETTERS = 32, 0xD800
RETURNED_NONE = "does every way through it end in `return`?"


def run_named(function: Function, arguments: Arguments) -> tuple[Any, ...]:
    """Run a function that gives numbers by name, in a dict.

    Args:
        function: the learner's.
        arguments: the first of them is a dict, whose names come first in what is judged: no other order counts.

    Returns:
        (N, L) int, the letters of the names; and N things, arrays or numbers.

    Raises:
        WrongAnswer: if it is no dict from words to numbers.
    """
    returned = function(*arguments)
    if not isinstance(returned, Mapping):
        kind = type_in_words(returned)
        why = f": {RETURNED_NONE}" if returned is None else ""
        raise WrongAnswer(f"it should return a dict, from names to values, and returned {with_article(kind)}{why}")
    for name, value in returned.items():
        if not isinstance(name, str):
            raise WrongAnswer(
                f"the names in its dict should be strings, and one is {with_article(type_in_words(name))}"
            )
        if to_plain(value) is None:
            raise WrongAnswer(f"its entry {name!r} should be numbers, and is {with_article(type_in_words(value))}")
    known = [name for name in arguments[0] if name in returned]
    names = [*known, *sorted(name for name in returned if name not in arguments[0])]
    return _letters(names), tuple(to_plain(returned[name]) for name in names)


def run_words(function: Function, arguments: Arguments) -> np.ndarray:
    """Run a function that gives a list of words.

    Returns:
        (D, L) int, their letters.

    Raises:
        WrongAnswer: if it gives anything else.
    """
    returned = function(*arguments)
    words = returned.tolist() if isinstance(returned, np.ndarray) else returned
    if not isinstance(words, list | tuple):
        why = f": {RETURNED_NONE}" if returned is None else ""
        raise WrongAnswer(
            f"it should return a list of words, and returned {with_article(type_in_words(returned))}{why}"
        )
    for place, word in enumerate(words):
        if not isinstance(word, str):
            raise WrongAnswer(
                f"it should return a list of words, and entry {place} is {with_article(type_in_words(word))}"
            )
    return _letters(words)


def compare_named(value: Plain, expected: Plain) -> Complaint | None:
    """A comparison for `run_named`: the names, then what stands under each."""
    yours, right = _by_name(value), _by_name(expected)
    if yours is None or right is None:
        return Complaint(("it should return a dict, from names to values, and returned something else",), kind="type")
    missing = [name for name in right if name not in yours]
    if missing:
        return Complaint((f"{missing[0]!r} is missing from what it returns{_and_others(missing)}",), kind="missing")
    extra = [name for name in yours if name not in right]
    if extra:
        return Complaint((f"what it returns has no room for {extra[0]!r}{_and_others(extra)}",), kind="extra")
    for name, wanted in right.items():
        complaint = compare_arrays(yours[name], wanted)
        if complaint is not None:
            first, *others = complaint.lines
            return replace(complaint, lines=(f"{name!r}: {first}", *others))
    return None


def compare_words(value: Plain, expected: Plain) -> Complaint | None:
    """A comparison for `run_words`."""
    yours, right = _words(value), _words(expected)
    if yours is None or right is None:
        return Complaint(("it should return a list of words, and returned something else",), kind="type")
    if len(yours) != len(right):
        return Complaint((f"it should be a list of length {len(right)}, and yours has {len(yours)}",), kind="shape")
    wrong = [place for place, pair in enumerate(zip(yours, right, strict=True)) if pair[0] != pair[1]]
    if not wrong:
        return None
    count = f" ({len(wrong)} of {len(right)} differ)" if len(right) > 1 else ""
    place = wrong[0]
    return Complaint((f"entry {place} should be {right[place]!r} and yours is {yours[place]!r}{count}",), kind="words")


def show_named(value: Plain) -> Any:
    """A value of `run_named` as a learner looks at it."""
    return _by_name(value)


def show_words(value: Plain) -> Any:
    """A value of `run_words` as a learner looks at it."""
    return _words(value)


run_named.show = show_named  # type: ignore[attr-defined]  # a function may have attributes
run_words.show = show_words  # type: ignore[attr-defined]


def _letters(words: Sequence[str]) -> np.ndarray:
    """(D, L) int, 0 behind the end of a word."""
    letters = np.zeros((len(words), max(map(len, words), default=0)), np.int64)
    for row, word in zip(letters, words, strict=True):
        row[: len(word)] = [ord(letter) for letter in word]
    return letters


def _words(value: Plain) -> list[str] | None:
    """The words of such letters; None where it is anything else, as a hostile answer may give."""
    if isinstance(value, tuple) or value.ndim != 2:
        return None
    return ["".join(map(_letter, row[row != 0][:LONGEST_WORD])) for row in value]


def _letter(number: float) -> str:
    letter = chr(int(number)) if FIRST_LETTER <= number < END_OF_LETTERS else ""
    return letter if letter.isprintable() and letter else "\N{REPLACEMENT CHARACTER}"


def _by_name(value: Plain) -> dict[str, Any] | None:
    parts = parts_of(value)
    if len(parts) != 2:
        return None
    names, values = _words(parts[0]), parts_of(parts[1])
    return dict(zip(names, values, strict=True)) if names is not None and len(names) == len(values) else None


def _and_others(names: Sequence[str]) -> str:
    return f" (and {len(names) - 1} more)" if len(names) > 1 else ""
