"""Compares what a learner's function gave with what the reference gives, and finds the words for the difference.

The judge sees plain values only. It never calls the learner's code, so that no code of the learner's can talk to it.
"""

import copy
import textwrap
from collections.abc import Callable, Sequence

import numpy as np

from ssdseg_course.checking.compare import Complaint, shape_in_words
from ssdseg_course.checking.exercise import Arguments, Exercise
from ssdseg_course.checking.probe import Failure, Outcome, WrongAnswer
from ssdseg_course.checking.report import Report
from ssdseg_course.checking.values import Plain, row_in_words, same, to_plain

WIDTH = 110
NO_BREAK = "\N{NO-BREAK SPACE}"  # where a line should not be broken
FEW_ROWS, FEW_NUMBERS = 4, 16


class AnswerKey:
    """The cases of an exercise, and what the reference and the mutants give for them: each worked out once, when asked.

    Attributes:
        exercise: what was asked.
        seed: of the cases.
        cases: the arguments, a tuple a case.
    """

    def __init__(self, exercise: Exercise, seed: int):
        self.exercise = exercise
        self.seed = seed
        self.cases = exercise.cases(seed)
        self._known: dict[tuple[Callable, int], Plain] = {}

    def value(self, function: Callable, number: int) -> Plain:
        """What the reference or a mutant gives in the case of that number."""
        known = (function, number)
        if known not in self._known:
            self._known[known] = to_plain(self.exercise.run(function, copy.deepcopy(self.cases[number])))
        return self._known[known]


def judge(exercise: Exercise, outcomes: Sequence[Outcome], seed: int, key: AnswerKey | None = None) -> Report:
    """The report on an answer.

    Args:
        exercise: what was asked.
        outcomes: what `probe` saw for `exercise.cases(seed)`, in that order.
        seed: of the cases.
        key: of the exercise and the seed, where many answers to the same cases are judged.
    """
    key = key or AnswerKey(exercise, seed)
    cases = key.cases
    for number, (arguments, outcome) in enumerate(zip(cases, outcomes, strict=True)):
        complaint = _complaint(key, number, outcome)
        if complaint is not None:
            advice = _mutant_sentence(key, outcomes, outcome) or complaint.advice
            return _failed(exercise, arguments, complaint, advice, seed)
    for arguments, outcome in zip(cases, outcomes, strict=True):
        if outcome.changed:
            complaint = _about_changes(exercise, outcome)
            return _failed(exercise, arguments, complaint, complaint.advice, seed)
    messages = (f"right in all {len(cases)} cases",) if len(cases) > 1 else ()
    return Report(exercise.id, True, exercise.points, messages, seed)


def _complaint(key: AnswerKey, number: int, outcome: Outcome) -> Complaint | None:
    """The first thing that is wrong with what came back, stage by stage."""
    exercise = key.exercise
    if outcome.failure is not None:
        return _about_failure(exercise, outcome.failure)
    expected = key.value(exercise.reference, number)
    if outcome.value is None:
        return _about_type(outcome, expected)
    return exercise.compare(outcome.value, expected)


def _about_failure(exercise: Exercise, failure: Failure) -> Complaint:
    # Keras raises the same error for a loop over its tensors; a stub's is raised by the line itself.
    if failure.error == "NotImplementedError" and (not failure.line or failure.line.startswith("raise")):
        if failure.function == exercise.name:
            return Complaint(("not written yet: put your code where the function says `raise NotImplementedError`",))
        return Complaint((f"it calls your `{failure.function}`, and that one is not written yet",))
    if failure.error == WrongAnswer.__name__:
        return Complaint((failure.message,))
    error = f"{failure.error}: {failure.message}" if failure.message else failure.error
    lines = [f"it stopped with {error}"]
    if failure.line:
        lines.append(f"in line {failure.line_number} of `{failure.function}`: {failure.line}")
    return Complaint(tuple(lines), next((advice for words, advice in exercise.errors if words in error), None))


def _about_type(outcome: Outcome, expected: Plain) -> Complaint:
    wanted = shape_in_words(expected.shape) if isinstance(expected, np.ndarray) else "a tuple of numbers"
    if outcome.type_name == "NoneType":
        return Complaint(
            (f"it should return {wanted}, and returned None",), "does every way through it end in `return`?"
        )
    return Complaint((f"it should return {wanted}, and returned something else: {outcome.type_name}",))


def _about_changes(exercise: Exercise, outcome: Outcome) -> Complaint:
    names = " and ".join(f"`{exercise.argument_names[k]}`" for k in outcome.changed)
    return Complaint(
        (f"what it returns is right, but on the way it changed its argument {names}",),
        "whoever called it may still need that as it was: work on a copy.",
    )


def _mutant_sentence(key: AnswerKey, outcomes: Sequence[Outcome], wrong: Outcome) -> str | None:
    """The sentence of the typical mistake that gives the learner's values, wherever the learner's function gave any."""
    if wrong.value is None:
        return None
    answered = [(number, outcome.value) for number, outcome in enumerate(outcomes) if outcome.value is not None]
    for mutant in key.exercise.mutants:
        if all(same(value, key.value(mutant.function, number)) for number, value in answered):
            return mutant.sentence
    return None


def _failed(exercise: Exercise, arguments: Arguments, complaint: Complaint, advice: str | None, seed: int) -> Report:
    messages = [*_call_in_words(exercise, arguments), *complaint.lines]
    if advice:
        messages[-1] += ":"
        messages.append(advice)
    if exercise.draw is not None:
        messages.append(again(exercise, seed))
    lines = ("\n".join(textwrap.wrap(message, WIDTH, break_long_words=False)) for message in messages)
    messages = tuple(line.replace(NO_BREAK, " ") for line in lines)
    return Report(exercise.id, False, exercise.points, messages, seed, advice or "")


def again(exercise: Exercise, seed: int) -> str:
    """How to see the same cases once more."""
    return f'again: check("{exercise.id}", {exercise.name}, seed={seed})'


def _call_in_words(exercise: Exercise, arguments: Arguments) -> list[str]:
    if not arguments:
        return []
    pairs = zip(exercise.argument_names, arguments, strict=True)
    values = [f"{name}={_in_words(value)}" for name, value in pairs]
    return ["called with " + ", ".join(text.replace(" ", NO_BREAK) if len(text) < WIDTH else text for text in values)]


def _in_words(value) -> str:
    if callable(value):
        return value.__name__
    if not isinstance(value, np.ndarray):
        return repr(value)
    shape = ""
    if value.ndim > 2 and 1 in value.shape:  # a kernel of 3 x 3 taps, as three rows of three
        shape = f" of shape {value.shape}"
        value = np.atleast_1d(np.squeeze(value))
    if not 0 < len(value) <= FEW_ROWS or value.size > FEW_NUMBERS:
        return f"<an array{shape or f' of shape {value.shape}'}>"
    return row_in_words(value).replace("(", "[").replace(")", "]") + shape
