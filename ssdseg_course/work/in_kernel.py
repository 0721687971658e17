"""What a check does inside the process that runs a learner's notebook.

`work.running`, which has started that process, puts calls of these functions in the places of the notebook's checks.
Results go back as displays of a type of their own, which nothing else in a notebook shows.
"""

import contextlib
import os
from typing import NoReturn

from IPython.display import display

from ssdseg_course.check import draw_seed, examine, remember
from ssdseg_course.checking.judge import AnswerKey
from ssdseg_course.checking.probe import Outcome
from ssdseg_course.checking.report import Verdict
from ssdseg_course.exercises import EXERCISES

RESULT = "application/vnd.ssdseg.result+json"
WRITTEN, UNWRITTEN, MISSING, TIMED_OUT = "written", "not written", "missing", "timed out"

JUDGED_ALONE = "grading gives its points all the same: it is judged there with the course's own function."


class TookTooLong(NotImplementedError):  # so that `after` in a lesson takes it as "not there yet"
    """Raised instead of running an answer once more that has not come to its end before."""


def judge_here(exercise_id: str, scope: dict[str, object]) -> None:
    """Check the notebook's answer, quietly, and hand the result out.

    Args:
        exercise_id: the exercise.
        scope: the names that the notebook has defined.
    """
    exercise = EXERCISES[exercise_id]
    function = scope.get(exercise.name)
    if not callable(function):
        _hand_out(exercise_id, state=MISSING)
        return
    key = AnswerKey(exercise, draw_seed())
    try:
        with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
            report, outcomes = examine(exercise, function, key)
            remember(report, outcomes, key)
            if outcomes is None:  # its time is up, or that which whoever runs the notebook gives it
                replace(exercise_id, scope)
                by_itself = report.verdict is Verdict.TOO_LONG  # not interrupted from outside, as the time was up there
                _hand_out(exercise_id, state=TIMED_OUT, text=str(report) if by_itself else "")
                return
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
    )


def replace(exercise_id: str, scope: dict[str, object]) -> None:
    """Put a function in the place of an answer that says at once that the answer does not come to an end."""
    name = EXERCISES[exercise_id].name

    def stand_in(*_: object, **__: object) -> NoReturn:
        raise TookTooLong(f"your `{name}` does not come to an end")

    scope[name] = stand_in


def _is_not_written(outcome: Outcome) -> bool:
    return outcome.failure is not None and outcome.failure.error == "NotImplementedError"


def _hand_out(exercise_id: str, **result: object) -> None:
    display({RESULT: {"exercise": exercise_id, **result}}, raw=True)
