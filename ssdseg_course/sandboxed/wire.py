"""How outcomes leave the sandbox: as text that can hold plain numbers and words, and nothing else.

What is read here was written by a process that a hostile answer may have taken over: every part is looked at, nothing
is unpickled or evaluated, and sizes are bounded before anything is made.
"""

import base64
import json
import math
import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from ssdseg_course.checking.probe import Failure, Outcome
from ssdseg_course.checking.values import Plain

LONGEST_TEXT = 2000  # characters of an error's message or line
MOST_SIDES, MOST_NUMBERS = 8, 2**23
DEEPEST = 8  # tuples in tuples
MOST_PARTS = 100_000  # lists and tables in a text, whatever they hold
UNPRINTABLE = "\N{REPLACEMENT CHARACTER}"
DTYPE = re.compile(r"[<>|=]?(i1|i2|i4|i8|u1|u2|u4|u8|f2|f4|f8|f16)")


class WireError(ValueError):
    """What came out of the sandbox is not a list of outcomes."""


def write_report(outcomes: Sequence[Outcome], trouble: str) -> bytes:
    """The text of what `probe` saw, and of what had stopped before; see `read_report`."""
    return json.dumps(
        {"outcomes": [_written(outcome) for outcome in outcomes], "trouble": trouble[:LONGEST_TEXT]}
    ).encode()


def read_report(content: bytes, cases: int) -> tuple[list[Outcome], str]:
    """What `probe` saw, out of its text; and what had stopped while the function was defined, "" if nothing.

    Args:
        content: the text.
        cases: how many outcomes there should be.

    Raises:
        WireError: if it is anything else.
    """
    if content.count(b"[") + content.count(b"{") > MOST_PARTS:
        raise WireError("it has far too many parts")
    try:
        report = json.loads(content)
        parts = report["outcomes"]
        if not isinstance(parts, list) or len(parts) != cases:
            raise WireError(f"it should hold {cases} outcomes")
        return [_read(part) for part in parts], clean_text(report["trouble"])
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError, MemoryError) as error:
        raise WireError(f"what came out of the sandbox cannot be read: {type(error).__name__}") from error


def _written(outcome: Outcome) -> dict[str, object]:
    failure = outcome.failure
    return {
        "value": None if outcome.value is None else _written_value(outcome.value),
        "type_name": _cut(outcome.type_name),
        "failure": failure and [_cut(part) if isinstance(part, str) else part for part in vars(failure).values()],
        "changed": list(outcome.changed),
        "shared": list(outcome.shared),
    }


def _written_value(value: Plain) -> object:
    if isinstance(value, tuple):
        return [_written_value(part) for part in value]
    array = np.ascontiguousarray(value)
    data = base64.b64encode(array.tobytes()).decode()
    return {"dtype": array.dtype.str, "shape": list(value.shape), "data": data}


def _read(part: Any) -> Outcome:
    value, failure = part["value"], part["failure"]
    return Outcome(
        value=None if value is None else _read_value(value),
        type_name=clean_text(part["type_name"]),
        failure=None if failure is None else _read_failure(*failure),
        changed=tuple(_natural(place) for place in part["changed"]),
        shared=tuple(_natural(place) for place in part.get("shared", ())),
    )


def _read_failure(error: Any, message: Any, function: Any, line_number: Any, line: Any) -> Failure:
    error, message, function, line = map(clean_text, (error, message, function, line))
    return Failure(error, message, function, _natural(line_number), line)


def _read_value(value: Any, depth: int = 0) -> Plain:
    if isinstance(value, list):
        if depth == DEEPEST:
            raise WireError("too deep")
        return tuple(_read_value(part, depth + 1) for part in value)
    if not DTYPE.fullmatch(value["dtype"]):
        raise WireError("not an array of numbers")
    shape = tuple(_natural(side) for side in value["shape"])
    if len(shape) > MOST_SIDES or math.prod(side or 1 for side in shape) > MOST_NUMBERS:
        raise WireError("too large")  # also where a side of 0 makes it empty: somebody may go through the others
    array = np.frombuffer(base64.b64decode(value["data"], validate=True), np.dtype(value["dtype"]))
    return array.reshape(shape).copy()


def _natural(value: object) -> int:
    if type(value) is not int or not 0 <= value < 2**31:
        raise WireError("not a natural number")
    return value


def clean_text(value: object) -> str:
    """A text that a hostile process has given, without letters that would move a terminal's cursor.

    Raises:
        WireError: if it is not a text, or too long.
    """
    if not isinstance(value, str) or len(value) > LONGEST_TEXT:
        raise WireError("not a text of that length")
    return "".join(letter if letter.isprintable() or letter == "\n" else UNPRINTABLE for letter in value)


def _cut(text: str) -> str:
    return str(text)[:LONGEST_TEXT]
