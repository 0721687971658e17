"""Runs a learner's function on given inputs and writes down what happens, in plain values.

The probe knows the inputs and nothing else: neither what should come out nor how it will be compared. What it gives
back holds no object of the learner's and can be pickled.
"""

import contextlib
import copy
import linecache
import re
import sys
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ssdseg_course.checking.exercise import Arguments, Function, call
from ssdseg_course.checking.values import Plain, same, to_plain, type_in_words, with_article

OURS = (__package__, "ssdseg_course.sandboxed")  # where no learner's code is


class WrongAnswer(Exception):
    """Raised by an exercise's `run` for what cannot be judged at all; the message says what is wrong with it."""


@dataclass(frozen=True)
class Failure:
    """An error that came out of the learner's function.

    Attributes:
        error: the error's type, "ValueError".
        message: what the error says.
        function: the learner's function that the error passed last; another one where the checked one called it.
        line_number: the line in that function's cell or file, from 1.
        line: the text of that line, "" where it is not known.
    """

    error: str
    message: str
    function: str
    line_number: int
    line: str


@dataclass(frozen=True)
class Outcome:
    """What one call came to.

    Attributes:
        value: what came back, None where it is no collection of numbers or an error came instead.
        type_name: what kind of thing came back.
        failure: the error, if one came.
        changed: places of the arguments that the function changed.
        shared: places of the arguments in whose memory stands what came back.
    """

    value: Plain | None
    type_name: str
    failure: Failure | None
    changed: tuple[int, ...]
    shared: tuple[int, ...] = ()


def no_array(outcomes: Sequence[Outcome], things: int) -> str:
    """What a function gives where others could want an array: "a list", "an EagerTensor"; "" where it gives arrays.

    Args:
        outcomes: of a function whose values are right.
        things: how many it returns together, so that a tuple of them is meant.
    """
    numbers = [outcome for outcome in outcomes if isinstance(outcome.value, np.ndarray) and outcome.value.ndim]
    if things > 1 or not numbers or numbers[0].type_name.startswith("array of"):
        return ""
    return with_article(numbers[0].type_name)


def probe(
    function: Function, cases: Sequence[Arguments], run: Callable[[Function, Arguments], object] = call
) -> list[Outcome]:
    """Run the function once for each case, in the exercise's way."""
    # A warning or a message on stderr stays visible but moves to stdout: nbgrader takes stderr for a failed check.
    with contextlib.redirect_stderr(sys.stdout):
        return [_call(function, arguments, run) for arguments in cases]


def _call(function: Function, arguments: Arguments, run: Function) -> Outcome:
    given = copy.deepcopy(arguments)
    try:
        returned = run(function, given)
        value, type_name, failure = to_plain(returned), type_in_words(returned), None
        shared = tuple(k for k, argument in enumerate(given) if _share(returned, argument))
    except (Exception, SystemExit) as error:
        value, type_name, failure, shared = None, "", describe(error, function), ()
    changed = tuple(k for k, (now, before) in enumerate(zip(given, arguments, strict=True)) if _differ(now, before))
    return Outcome(value, type_name, failure, changed, shared)


def _share(returned: Any, argument: Any) -> bool:
    parts = returned if type(returned) in (tuple, list) else [returned]
    return isinstance(argument, np.ndarray) and any(
        isinstance(part, np.ndarray) and np.may_share_memory(part, argument) for part in parts
    )


def _differ(now: Any, before: Any) -> bool:
    if before is None or isinstance(before, str) or callable(before):  # no numbers, and nothing can change it
        return False
    if isinstance(before, dict):
        return now.keys() != before.keys() or any(_differ(now[key], before[key]) for key in before)
    if isinstance(before, np.ndarray) and before.dtype.kind in "bu":  # pictures, too, which are many numbers
        return not np.array_equal(now, before)
    now, before = to_plain(now), to_plain(before)
    return now is None or not same(now, before)


def describe(error: BaseException, function: Function) -> Failure:
    """An error, and the last line of the learner's own code that it passed: not one deep inside NumPy."""
    # Without our own; what remains is none where the call itself failed, as with a missing argument.
    frames = [
        (frame, line)
        for frame, line in traceback.walk_tb(error.__traceback__)
        if not frame.f_globals.get("__name__", "").startswith(OURS) and "site-packages" not in frame.f_code.co_filename
    ]
    scope = getattr(function, "__globals__", None)
    own = [(frame, line) for frame, line in frames if frame.f_globals is scope] or frames[:1]
    name, line_number, line = getattr(function, "__name__", "function"), 0, ""
    if own:
        frame, line_number = own[-1]
        name = frame.f_code.co_name
        line = linecache.getline(frame.f_code.co_filename, line_number).strip()
    return Failure(type(error).__name__, _message(error), name, line_number, line)


def _message(error: BaseException) -> str:
    """What an error says; of Keras's pages the paragraph that says what is wrong."""
    paragraphs = re.sub(r"\x1b\[[0-9;]*m", "", str(error)).split("\n\n")
    if paragraphs[0].startswith("Exception encountered when calling") and len(paragraphs) > 1:
        return paragraphs[1]
    return paragraphs[0]
