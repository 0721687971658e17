"""Answers that are a dict of settings, not an array: they leave the sandbox as the letters of their json.

So whatever a learner's function gives is numbers, words, and lists and dicts of these, and nothing of it is run.
"""

import json
from collections.abc import Callable, Mapping
from pathlib import PurePath
from typing import Any

import numpy as np

from ssdseg_course.checking.exercise import Arguments, Function
from ssdseg_course.checking.probe import WrongAnswer
from ssdseg_course.checking.values import Plain

LONGEST = 20_000  # letters

Setting = Callable[[str, Any], Any]  # from its name and what was given, the value; raises ValueError with a sentence


def run_settings(function: Function, arguments: Arguments) -> np.ndarray:
    """What a function gives, a dict, as the bytes of its json.

    Raises:
        WrongAnswer: if it is no dict of words, numbers, and lists of these.
    """
    given = function(*arguments)
    name = getattr(function, "__name__", "the answer")
    if not isinstance(given, dict):
        raise WrongAnswer(f"`{name}` should return a dict of settings, and returned {type(given).__name__}")
    try:
        text = json.dumps(given, default=_plain)
    except (TypeError, ValueError, RecursionError) as error:
        raise WrongAnswer(f"`{name}` should return words and numbers, and lists of these: {error}") from error
    if len(text) > LONGEST:
        raise WrongAnswer(f"`{name}` returns far too much: {len(text):,} letters")
    return np.frombuffer(text.encode(), np.uint8)


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    if isinstance(value, PurePath):
        return str(value)
    raise TypeError(f"there is no place for {type(value).__name__}")


def read_settings(result: Plain, known: Mapping[str, Setting]) -> dict[str, Any]:
    """The settings that `run_settings` has written, each looked at.

    Args:
        result: the bytes, or whatever else a sandbox has given.
        known: name to what makes a value of what was given.

    Raises:
        ValueError: a sentence, if a setting is unknown or makes no value, or this is none of `run_settings`'s.
    """
    try:
        assert isinstance(result, np.ndarray)
        given = json.loads(result.astype(np.uint8).tobytes()[:LONGEST])
        assert isinstance(given, dict)
    except (AssertionError, ValueError, RecursionError) as error:
        raise ValueError("this is no dict of settings") from error
    unknown = [name for name in given if name not in known]
    if unknown:
        raise ValueError(f"there is no setting {unknown[0]!r}; there are {', '.join(known)}")
    return {name: known[name](name, value) for name, value in given.items()}


def number(low: float, high: float) -> Setting:
    """A number from `low` to `high`."""

    def read(name: str, value: Any) -> float:
        if not _is_number(value) or not low <= value <= high:
            raise ValueError(f"{name} is a number from {low:g} to {high:g}, got {value!r}")
        return float(value)

    return read


def whole(low: int, high: int) -> Setting:
    """A whole number from `low` to `high`."""

    def read(name: str, value: Any) -> int:
        if not _is_number(value) or value != int(value) or not low <= value <= high:
            raise ValueError(f"{name} is a whole number from {low} to {high}, got {value!r}")
        return int(value)

    return read


def one_of(*choices: Any) -> Setting:
    """One of some words or truths."""

    def read(name: str, value: Any) -> Any:
        if not any(value == choice and type(value) is type(choice) for choice in choices):
            raise ValueError(f"{name} is {' or '.join(map(repr, choices))}, got {value!r}")
        return value

    return read


def several(each: Setting, fewest: int, most: int) -> Setting:
    """A list of values, as a tuple."""

    def read(name: str, value: Any) -> tuple[Any, ...]:
        if not isinstance(value, list) or not fewest <= len(value) <= most:
            how_many = str(fewest) if fewest == most else f"{fewest} to {most}"
            raise ValueError(f"{name} holds {how_many} values, got {value!r}")
        return tuple(each(f"each of {name}", one) for one in value)

    return read


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < float("inf")
