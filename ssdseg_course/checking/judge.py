"""Compares what a learner's function gave with what the reference gives, and finds the words for the difference.

The judge sees plain values only. It never calls the learner's code, so that no code of the learner's can talk to it.
"""

import copy
import textwrap
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ssdseg_course.checking.blame import Blame
from ssdseg_course.checking.compare import (
    ORDERS,
    OTHER_ORDER,
    Complaint,
    compare_arrays,
    compare_parts,
    value_in_words,
)
from ssdseg_course.checking.exercise import Arguments, Exercise, Function
from ssdseg_course.checking.probe import Failure, Outcome, WrongAnswer
from ssdseg_course.checking.report import Report, Verdict
from ssdseg_course.checking.values import Plain, in_words_together, row_in_words, same, to_plain

WIDTH = 110
NO_BREAK = "\N{NO-BREAK SPACE}"  # where a line should not be broken
FEW_ROWS, FEW_NUMBERS = 4, 16
LONGEST_ERROR = 1000  # characters
UNWRITTEN = "not written"  # the kind of a complaint about a stub


class AnswerKey:
    """The cases of an exercise, and what the reference and the mutants give for them: each worked out once, when asked.

    Attributes:
        exercise: what was asked.
        seed: of the cases.
        cases: the arguments, one tuple per case.
    """

    def __init__(self, exercise: Exercise, seed: int):
        self.exercise = exercise
        self.seed = seed
        self.cases = exercise.cases(seed)
        self._known: dict[tuple[Function, int], Plain | None] = {}

    def value(self, function: Function, number: int) -> Plain | None:
        """What the reference or a mutant gives in the case of that number; None where a mutant stops with an error."""
        known = (function, number)
        if known not in self._known:
            try:
                self._known[known] = to_plain(self.exercise.run(function, copy.deepcopy(self.cases[number])))
            except Exception:
                if function is self.exercise.reference:
                    raise
                self._known[known] = None
        return self._known[known]

    def right(self, number: int) -> Plain:
        """What is right in the case of that number."""
        value = self.value(self.exercise.reference, number)
        assert value is not None  # no reference gives anything but numbers
        return value


def judge(
    exercise: Exercise,
    outcomes: Sequence[Outcome],
    seed: int,
    key: AnswerKey | None = None,
    blame: Blame | None = None,
) -> Report:
    """The report on an answer.

    Args:
        exercise: what was asked.
        outcomes: what `probe` saw for `exercise.cases(seed)`, in that order.
        seed: of the cases.
        key: of the exercise and the seed, where many answers to the same cases are judged.
        blame: the earlier functions that it calls and that are wrong, where that is known.
    """
    key = key or AnswerKey(exercise, seed)
    complaints = _Complaints(key, outcomes)
    number = next((number for number in range(len(outcomes)) if complaints[number]), None)
    if number is not None:
        number = _best_to_tell(complaints, number)
        return _failed(key, outcomes, number, _advised(complaints, number), blame)
    for number, outcome in enumerate(outcomes):
        if outcome.changed:
            return _failed(key, outcomes, number, _about_changes(exercise, outcome))
    messages = (f"right in all {len(outcomes)} cases",) if len(outcomes) > 1 else ()
    return Report(exercise.id, True, exercise.points, messages, seed)


class _Complaints:
    """What is wrong in each case, looked at when asked: a network takes its time."""

    def __init__(self, key: AnswerKey, outcomes: Sequence[Outcome]):
        self.key = key
        self.outcomes = outcomes
        self._known: dict[int, Complaint | None] = {}

    def __getitem__(self, number: int) -> Complaint | None:
        if number not in self._known:
            self._known[number] = _complaint(self.key, number, self.outcomes[number])
        return self._known[number]


def _best_to_tell(complaints: _Complaints, first: int) -> int:
    """Number of the case to tell: the first wrong one or, where it is too large to read, one with the same mistake."""
    cases, mistake = complaints.key.cases, complaints[first]
    for number in range(first, len(cases)):
        if is_told_in_full(cases[number]):
            complaint = complaints[number]
            if complaint and mistake and complaint.kind == mistake.kind:
                return number
    return first


def _advised(complaints: _Complaints, number: int) -> Complaint:
    """The complaint, without advice that another case does not bear out."""
    complaint = complaints[number]
    assert complaint is not None  # that is the case to tell
    if not complaint.advice or not complaint.everywhere:
        return complaint
    every = [complaints[other] for other in range(len(complaints.outcomes))]
    advice = {other.advice for other in every if other and other.kind == complaint.kind}
    if len(advice) == 1:
        return complaint
    return replace(complaint, advice=OTHER_ORDER if advice <= ORDERS else None)


def _complaint(key: AnswerKey, number: int, outcome: Outcome) -> Complaint | None:
    """The first thing that is wrong with what came back, stage by stage."""
    exercise = key.exercise
    if outcome.failure is not None:
        return _about_failure(exercise, outcome.failure)
    expected = key.right(number)
    if outcome.value is None:
        return _about_type(exercise, outcome, expected)
    if len(exercise.returns) > 1 and exercise.compare is compare_arrays:
        complaint = compare_parts(outcome.value, expected, exercise.returns, compare_arrays)
    else:
        complaint = exercise.compare(outcome.value, expected)
    if complaint is None:
        return None
    if complaint.part is not None and exercise.returns:
        first, *others = complaint.lines
        complaint = replace(complaint, lines=(f"{exercise.returns[complaint.part]}: {first}", *others))
    return _with_aliasing(exercise, outcome, complaint) if outcome.changed else complaint


def _about_failure(exercise: Exercise, failure: Failure) -> Complaint:
    # Keras raises the same error for a loop over its tensors; a stub's is raised by the line itself.
    if failure.error == "NotImplementedError" and (not failure.line or failure.line.startswith("raise")):
        line = "not written yet: put your code where the function says `raise NotImplementedError`"
        if failure.function != exercise.name:
            line = f"it calls your `{failure.function}`, and that one is not written yet"
        return Complaint((line,), kind=UNWRITTEN)
    if failure.error == WrongAnswer.__name__:
        return Complaint((failure.message,), kind=failure.message)
    error = f"{failure.error}: {failure.message}" if failure.message else failure.error
    lines = [f"it stopped with {error if len(error) <= LONGEST_ERROR else error[:LONGEST_ERROR] + '...'}"]
    if failure.line:
        lines.append(f"in line {failure.line_number} of `{failure.function}`: {failure.line}")
    return Complaint(tuple(lines), _known(exercise, error), kind=f"{failure.error} {failure.line_number}")


def _known(exercise: Exercise, error: str) -> str | None:
    """The exercise's own advice for what went wrong."""
    for words, advice in exercise.errors:
        if any(word in error for word in ((words,) if isinstance(words, str) else words)):
            return advice
    return None


def _about_type(exercise: Exercise, outcome: Outcome, expected: Plain) -> Complaint:
    several = len(exercise.returns) > 1
    wanted = in_words_together(exercise.returns) if several else value_in_words(expected)
    if outcome.type_name == "NoneType":
        return Complaint(
            (f"it should return {wanted}, and returned None",), "does every way through it end in `return`?", "type"
        )
    got = f"something else: {outcome.type_name}"
    advice = _known(exercise, got) or (TRUE_AND_FALSE if _could_be_true_or_false(outcome, expected) else None)
    return Complaint((f"it should return {wanted}, and returned {got}",), advice, "type")


def _could_be_true_or_false(outcome: Outcome, expected: Plain) -> bool:
    """Whether true and false came where ones and zeros should have."""
    if not isinstance(expected, np.ndarray) or not np.isin(expected, (0, 1)).all():
        return False
    return outcome.type_name == ("array of bool" if expected.ndim else "bool")


TRUE_AND_FALSE = "true and false are no numbers here: `.astype(int)` of an array, or `int(...)`, makes 1 and 0 of them."
COPY = "whoever called it may still need that as it was: work on a copy."
READ_LATER = "whatever it reads there afterwards is no longer what was given: work on a copy, or build a new array."


def _about_changes(exercise: Exercise, outcome: Outcome) -> Complaint:
    what = _changes_in_words(exercise, outcome)
    return Complaint((f"what it returns is right, but {what}",), COPY)


def _with_aliasing(exercise: Exercise, outcome: Outcome, complaint: Complaint) -> Complaint:
    """The complaint about a value that is wrong, perhaps because the function has written over what it still needed."""
    what = _changes_in_words(exercise, outcome)
    # An argument written over says more than what one case's numbers look like.
    return replace(complaint, lines=(*complaint.lines, f"and {what}"), advice=READ_LATER, everywhere=False)


def _changes_in_words(exercise: Exercise, outcome: Outcome) -> str:
    names = in_words_together([f"`{exercise.argument_names[k]}`" for k in outcome.changed])
    if set(outcome.changed) & set(outcome.shared):
        return f"it is no new array, but its argument {names} itself, written over"
    return f"on the way it changed its argument {names}"


def _mutant_sentence(key: AnswerKey, outcomes: Sequence[Outcome], wrong: Outcome) -> str | None:
    """The sentence of the typical mistake that gives the learner's values, wherever the learner's function gave any."""
    if wrong.value is None:
        return None
    answered = [(number, outcome.value) for number, outcome in enumerate(outcomes) if outcome.value is not None]
    rules_out = getattr(key.exercise.run, "rules_out", None)
    for mutant in key.exercise.mutants:
        if rules_out and any(rules_out(mutant.function, key.cases[number], value) for number, value in answered):
            continue
        if all(_is_alike(key.exercise, value, key.value(mutant.function, number)) for number, value in answered):
            return mutant.sentence
    return None


def _is_alike(exercise: Exercise, value: Plain, other: Plain | None) -> bool:
    """Whether two answers are the same; networks may be, although they were written in another order."""
    alike = getattr(exercise.compare, "same", same)
    return other is not None and bool(alike(value, other))


def _failed(
    key: AnswerKey, outcomes: Sequence[Outcome], number: int, complaint: Complaint, blame: Blame | None = None
) -> Report:
    exercise, seed = key.exercise, key.seed
    if blame and blame.right_otherwise:  # then no sentence about a mistake in this function is true
        advice: str | None = blame.in_words(exercise)
    else:
        advice = _mutant_sentence(key, outcomes, outcomes[number]) or complaint.advice
    messages = [*_call_in_words(exercise, key.cases[number]), *complaint.lines]
    if advice:
        messages[-1] += ":"
        messages.append(advice)
    if blame and not blame.right_otherwise:
        messages.append(blame.in_words(exercise))
    if exercise.draw is not None:
        messages.append(again(exercise, seed))
    return Report(
        exercise.id,
        False,
        exercise.points,
        wrapped(messages),
        seed,
        advice or "",
        verdict=Verdict.UNWRITTEN if complaint.kind == UNWRITTEN else None,
        case=number,
        helpers=tuple(helper.id for helper in blame.wrong) if blame else (),
        right_but_for_helpers=bool(blame and blame.right_otherwise),
    )


def wrapped(messages: Sequence[str]) -> tuple[str, ...]:
    """The messages, each broken into lines that can be read."""
    lines = ("\n".join(textwrap.wrap(message, WIDTH, break_long_words=False)) for message in messages)
    return tuple(line.replace(NO_BREAK, " ") for line in lines)


def again(exercise: Exercise, seed: int) -> str:
    """How to see the same cases once more."""
    return f'again: check("{exercise.id}", {exercise.name}, seed={seed})'


def _call_in_words(exercise: Exercise, arguments: Arguments) -> list[str]:
    if not arguments:
        return []
    pairs = zip(exercise.argument_names, arguments, strict=True)
    values = [f"{name}={_in_words(value)}" for name, value in pairs]
    return ["called with " + ", ".join(text.replace(" ", NO_BREAK) if len(text) < WIDTH else text for text in values)]


def is_told_in_full(arguments: Arguments) -> bool:
    """Whether a report shows all numbers of the arguments."""
    return "<an array" not in " ".join(map(_in_words, arguments))


def _in_words(value: Any) -> str:
    if callable(value):
        return str(value.__name__)
    if isinstance(value, dict):
        return f"{{{', '.join(f'{key!r}: {_in_words(part)}' for key, part in value.items())}}}"
    if type(value) in (list, tuple) and any(isinstance(part, np.ndarray | list | tuple | dict) for part in value):
        return f"[{', '.join(map(_in_words, value))}]"
    if not isinstance(value, np.ndarray):
        return repr(value)
    if value.ndim == 0:
        return row_in_words(value)
    shape = ""
    if value.ndim > 2 and 1 in value.shape:  # a kernel of 3 x 3 taps, as three rows of three
        shape = f" of shape {value.shape}"
        value = np.atleast_1d(np.squeeze(value))
    if not 0 < len(value) <= FEW_ROWS or value.size > FEW_NUMBERS:
        return f"<an array{shape or f' of shape {value.shape}'}>"
    return row_in_words(value).replace("(", "[").replace(")", "]") + shape
