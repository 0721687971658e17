"""Looks for the mistake in the learner's own earlier functions, which the answer to a composed exercise calls.

What an answer calls is read from its code: names of functions in its own notebook, through functions of the learner's
own as far as they go. Those that are answers to earlier exercises are checked; where one is wrong, the answer is tried
once more with the reference's function in its place.
"""

import dis
import functools
import inspect
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from types import CodeType, FunctionType
from typing import Any
from weakref import WeakKeyDictionary

from ssdseg_course.checking.blame import Blame
from ssdseg_course.checking.exercise import Exercise, Function
from ssdseg_course.checking.judge import AnswerKey, judge
from ssdseg_course.checking.probe import Outcome, no_array, probe
from ssdseg_course.checking.report import Report, Verdict

GLOBALS = ("LOAD_GLOBAL", "LOAD_NAME")

# Functions that have passed their checks, with what they used then, and what they give in the place of an array:
# building networks once more takes seconds.
_right: WeakKeyDictionary[FunctionType, tuple[dict[str, int], str]] = WeakKeyDictionary()


def blame(exercise: Exercise, function: Function, earlier: Sequence[Exercise], key: AnswerKey) -> Blame | None:
    """Which of the functions that a wrong answer calls are wrong themselves; None if none is.

    A function that gives a list is right, and yet another one may fail for it that goes on with an array: where it is
    right with arrays, the list is told.

    Args:
        exercise: what was asked.
        function: the learner's, which is not right.
        earlier: the exercises whose functions it may call.
        key: of the exercise.
    """
    scope = _scope(function)
    names = used_names(function)
    used = [helper for helper in earlier if helper.name in names and callable(scope[helper.name])]
    reports = [(helper, _report_on(helper, scope[helper.name])) for helper in used]
    wrong = [helper for helper, report in reports if not report.passed]
    right = [helper for helper, report in reports if report.passed]
    kinds = {helper.name: _in_place_of_an_array(scope[helper.name]) for helper in right}
    others = [helper for helper in right if kinds[helper.name]]
    if not wrong and not others:
        return None
    right_ones = {helper.name: _called_alike(helper.reference, scope[helper.name]) for helper in (*wrong, *others)}
    with _in_their_places(scope, right_ones):
        outcomes = probe(function, key.cases, exercise.run)
    right_otherwise = judge(exercise, outcomes, key.seed, key).passed
    if not wrong:
        return Blame(tuple(others), True, instead=kinds[others[0].name]) if right_otherwise else None
    unwritten = all(report.passed or report.verdict is Verdict.UNWRITTEN for _, report in reports)
    return Blame(tuple(wrong), right_otherwise, unwritten)


def used_names(function: Function) -> set[str]:
    """Names of all that a function uses of its own notebook, and the functions there that it calls."""
    scope = _scope(function)
    found: set[str] = set()
    waiting = [function]
    while waiting:
        code = getattr(inspect.unwrap(waiting.pop()), "__code__", None)
        for name in _global_names(code) - found if code else ():
            if name in scope:
                found.add(name)
                thing = scope[name]
                if _scope(thing) is scope:
                    waiting.append(thing)
    return found


def note_right(exercise: Exercise, function: Function, outcomes: Sequence[Outcome]) -> None:
    """Remember that a function has passed its check, so that it is not tried again while nothing has changed."""
    if isinstance(function, FunctionType):
        _right[function] = _used(function), no_array(outcomes, len(exercise.returns))


def _is_known_to_be_right(function: Function) -> bool:
    return isinstance(function, FunctionType) and function in _right and _right[function][0] == _used(function)


def _in_place_of_an_array(function: Function) -> str:
    return _right[function][1] if isinstance(function, FunctionType) and function in _right else ""


def _used(function: Function) -> dict[str, int]:
    scope = _scope(function)
    return {name: id(scope[name]) for name in used_names(function)}


def _scope(function: Any) -> dict[str, Any]:
    inner = inspect.unwrap(function) if callable(function) else None
    return inner.__globals__ if isinstance(inner, FunctionType) else {}


def _global_names(code: CodeType) -> set[str]:
    """Also those in the functions that are defined inside."""
    names = {step.argval for step in dis.get_instructions(code) if step.opname in GLOBALS}
    return names.union(*(_global_names(inner) for inner in code.co_consts if isinstance(inner, CodeType)))


def _report_on(helper: Exercise, function: Function) -> Report:
    if function is helper.reference or _is_known_to_be_right(function):
        return Report(helper.id, True, helper.points, (), 0)
    alone = replace(helper, draw=None, mutants=())  # the fixed cases tell right from wrong, and no words are wanted
    outcomes = probe(function, alone.cases(0), alone.run)
    report = judge(alone, outcomes, 0)
    if report.passed:
        note_right(helper, function, outcomes)
    return report


def _called_alike(reference: Function, learners: Function) -> Function:
    """The reference's function, to be called as the learner's is: with the same names of arguments and defaults."""

    @functools.wraps(reference)
    def stand_in(*args: Any, **kwargs: Any) -> Any:
        try:
            bound = inspect.signature(learners).bind(*args, **kwargs)
        except (TypeError, ValueError):
            return reference(*args, **kwargs)
        bound.apply_defaults()
        return reference(*bound.arguments.values())

    return stand_in


@contextmanager
def _in_their_places(scope: dict[str, Any], functions: dict[str, Function]) -> Iterator[None]:
    before = {name: scope[name] for name in functions}
    scope.update(functions)
    try:
        yield
    finally:
        scope.update(before)
