"""What has become of the exercises of a lesson: what a check finds out, and what commands show of it."""

from dataclasses import dataclass
from enum import StrEnum

from ssdseg_course.checking.exercise import Exercise


class State(StrEnum):
    """What has become of an exercise."""

    PASSED = "passed"
    WRONG = "not right yet"
    UNWRITTEN = "not written yet"
    STOPPED = "stopped"
    TIMED_OUT = "took too long"
    MISSING = "missing"
    LOST = "lost when graded"


@dataclass(frozen=True)
class Result:
    """What has become of one exercise.

    Attributes:
        exercise: which.
        state: in short.
        text: in full, for the learner.
        cases: how many inputs were tried.
    """

    exercise: Exercise
    state: State
    text: str
    cases: int = 0

    @property
    def earned(self) -> int:
        """All the points or none."""
        return self.exercise.points if self.state is State.PASSED else 0


@dataclass(frozen=True)
class LessonResult:
    """What has become of a lesson.

    Attributes:
        results: of its exercises, in their order.
        stops: of the cells that did not run to their end, in words, in their order.
        notes: what else to know before it is handed in.
    """

    results: tuple[Result, ...]
    stops: tuple[str, ...]
    notes: tuple[str, ...] = ()

    @property
    def earned(self) -> int:
        """Points so far."""
        return sum(result.earned for result in self.results)

    @property
    def points(self) -> int:
        """Points available."""
        return sum(result.exercise.points for result in self.results)

    @property
    def to_mend(self) -> Result | None:
        """What to look at first: the first answer that is wrong, else the first that is not written."""
        open_ones = [result for result in self.results if result.state is not State.PASSED]
        wrong = [result for result in open_ones if result.state is not State.UNWRITTEN]
        return next(iter(wrong or open_ones), None)
