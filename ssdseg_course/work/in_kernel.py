"""What a check does inside the process that runs a learner's notebook.

`work.running`, which has started that process, puts calls of these functions in the places of the notebook's checks.
Results go back as displays of a type of their own, which nothing else in a notebook shows.
"""

import contextlib
import os
import statistics
import time
from collections.abc import Callable, Sequence

from IPython.display import display

from ssdseg_course.check import draw_seed, examine, remember
from ssdseg_course.checking.exercise import Arguments, call
from ssdseg_course.checking.judge import AnswerKey
from ssdseg_course.checking.probe import Outcome
from ssdseg_course.checking.report import Verdict
from ssdseg_course.checking.values import same
from ssdseg_course.exercises import EXERCISES

RESULT = "application/vnd.ssdseg.result+json"
WRITTEN, UNWRITTEN, MISSING, TIMED_OUT = "written", "not written", "missing", "timed out"

JUDGED_ALONE = "grading gives its points all the same: it is judged there with the course's own function."
ROUNDS = 15
SECONDS_A_ROUND = 0.002  # a shorter one would measure the clock
SECONDS_IN_ALL = 0.5


class TookTooLong(NotImplementedError):  # so that `after` in a lesson takes it as "not there yet"
    """Raised instead of running an answer once more that has not come to its end before."""


def judge_here(exercise_id: str, scope: dict, measure: bool = False) -> None:
    """Check the notebook's answer, quietly, and hand the result out.

    Args:
        exercise_id: the exercise.
        scope: the names that the notebook has defined.
        measure: also compare the results with the reference's, and take the time of both where the answer is right.
    """
    exercise = EXERCISES[exercise_id]
    function = scope.get(exercise.name)
    if not callable(function):
        _hand_out(exercise_id, state=MISSING)
        return
    key = AnswerKey(exercise, draw_seed())
    agrees = seconds = None
    try:
        with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
            report, outcomes = examine(exercise, function, key)
            remember(report, outcomes, key)
            if outcomes is None:  # its time is up
                replace(exercise_id, scope)
                by_itself = report.verdict is Verdict.TOO_LONG  # not interrupted from outside, as the time was up there
                _hand_out(exercise_id, state=TIMED_OUT, text=str(report) if by_itself else "")
                return
            if measure:
                agrees = all(
                    _agrees(outcome, key.value(exercise.reference, number)) for number, outcome in enumerate(outcomes)
                )
            if measure and report.passed and exercise.run is call:
                with contextlib.suppress(KeyboardInterrupt):  # right, and too slow to be measured
                    seconds = _seconds((function, exercise.reference), key.cases)
    except KeyboardInterrupt:  # from outside: the time is up
        replace(exercise_id, scope)
        _hand_out(exercise_id, state=TIMED_OUT, text="")
        return
    _hand_out(
        exercise_id,
        state=UNWRITTEN if _is_not_written(outcomes[0]) else WRITTEN,
        passed=report.passed,
        text=f"{report}\n  {JUDGED_ALONE}" if report.right_but_for_helpers else str(report),
        cases=len(key.cases),
        agrees=agrees,
        seconds=seconds,
    )


def replace(exercise_id: str, scope: dict) -> None:
    """Put a function in the place of an answer that says at once that the answer does not come to an end."""
    name = EXERCISES[exercise_id].name

    def stand_in(*_, **__):
        raise TookTooLong(f"your `{name}` does not come to an end")

    scope[name] = stand_in


def _is_not_written(outcome: Outcome) -> bool:
    return outcome.failure is not None and outcome.failure.error == "NotImplementedError"


def _agrees(outcome: Outcome, expected) -> bool:
    return outcome.value is not None and same(outcome.value, expected)


def _hand_out(exercise_id: str, **result) -> None:
    display({RESULT: {"exercise": exercise_id, **result}}, raw=True)


def _seconds(functions: Sequence[Callable], cases: Sequence[Arguments]) -> list[float]:
    """Median time of one go through all cases, for each of the functions; taken in turns, so that noise hits all."""
    once = max(_round(function, cases, 1) for function in functions for _ in range(2))  # warms up, too
    goes = max(1, int(SECONDS_A_ROUND / once))
    rounds = max(3, min(ROUNDS, int(SECONDS_IN_ALL / (len(functions) * goes * once))))
    times = [[_round(function, cases, goes) for function in functions] for _ in range(rounds)]
    return [statistics.median(column) for column in zip(*times, strict=True)]


def _round(function: Callable, cases: Sequence[Arguments], goes: int) -> float:
    """Seconds of a go, the mean of some."""
    start = time.perf_counter()
    for _ in range(goes):
        for arguments in cases:
            function(*arguments)
    return (time.perf_counter() - start) / goes
