"""One case of a check, to be looked at: what the function was called with, what it gave, and what is right."""

import copy
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ssdseg_course.checking.exercise import Exercise
from ssdseg_course.checking.judge import AnswerKey
from ssdseg_course.checking.probe import Outcome
from ssdseg_course.checking.values import Plain, parts_of

DIGITS = 6
PRINTED = 80  # numbers of an array that are printed; of a larger one the shape


@dataclass(frozen=True, repr=False)
class Case:
    """A case of a check.

    `function(**case.arguments)` calls a function with the same arguments again; they are copied each time, so that
    nothing that it does to them is kept.

    Attributes:
        exercise_id: the exercise.
        number: of the case, from 1.
        count: how many cases the check had.
        yours: what your function gave: a number, an array, or a dict of things that are returned together, by name;
            None where it stopped with an error.
        right: what is right, in the same form.
        error: the error that it stopped with, "" if none.
    """

    exercise_id: str
    number: int
    count: int
    _arguments: dict[str, Any] = field(repr=False)
    yours: Any
    right: Any
    error: str = ""

    @property
    def arguments(self) -> dict[str, Any]:
        """What the function was called with, by the names of its arguments."""
        return copy.deepcopy(self._arguments)

    def __repr__(self) -> str:
        rows = [*self._arguments.items()]
        rows.append(("yours", self.error or self.yours))
        rows.append(("right", self.right))
        width = max(len(name) for name, _ in rows)
        lines = [f"{self.exercise_id}, case {self.number} of {self.count}"]
        for name, value in rows:
            text = _printed(value).replace("\n", "\n" + " " * (width + 5))
            lines.append(f"  {name:{width}} = {text}")
        return "\n".join(lines)


def case_of(key: AnswerKey, number: int, outcome: Outcome) -> Case:
    """The case of that number, from 0, as a learner looks at it.

    Args:
        key: of the exercise and a seed.
        number: of the case.
        outcome: what the learner's function gave.
    """
    exercise = key.exercise
    failure = outcome.failure
    return Case(
        exercise.id,
        number + 1,
        len(key.cases),
        dict(zip(exercise.argument_names, copy.deepcopy(key.cases[number]), strict=True)),
        _readable(exercise, outcome.value),
        _readable(exercise, key.right(number)),
        f"it stopped with {failure.error}: {failure.message}" if failure else "",
    )


def _readable(exercise: Exercise, value: Plain | None) -> Any:
    """A plain value, as a learner thinks of it."""
    if value is None:
        return None
    show = getattr(getattr(exercise.run, "func", exercise.run), "show", None)
    if show:
        return show(value)
    if len(exercise.returns) > 1 and len(parts_of(value)) == len(exercise.returns):
        return {name: _unwrapped(part) for name, part in zip(exercise.returns, parts_of(value), strict=True)}
    return _unwrapped(value)


def _unwrapped(value: Plain) -> Any:
    if isinstance(value, tuple):
        return [_unwrapped(part) for part in value]
    return value.item() if value.ndim == 0 else value


def _printed(value: Any) -> str:
    if isinstance(value, np.ndarray):
        if value.size > PRINTED:
            return f"<an array of shape {value.shape}>"
        text = np.array2string(value, precision=DIGITS, suppress_small=True, separator=", ").replace("\n\n", "\n")
        return text if value.ndim < 2 and value.size else f"{text}  shape {value.shape}"
    if isinstance(value, dict):
        return "\n".join(f"{key}: {_printed(part)}" for key, part in value.items())
    if type(value) in (list, tuple) and any(isinstance(part, np.ndarray) for part in value):
        return "\n".join(map(_printed, value))
    if callable(value):
        return getattr(value, "__name__", repr(value))
    return str(value) if isinstance(value, str) else repr(value)
