"""How a class did: each exercise, and the most common mistakes: what to teach again."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from ssdseg_course.exercises import EXERCISES
from ssdseg_course.grading.gradebook import ExerciseRecord, Record
from ssdseg_course.words import cut

MOST_MISTAKES = 3  # an exercise
LONGEST = 200  # characters of what was said
UNWRITTEN = "not written yet"


@dataclass(frozen=True)
class ExerciseSummary:
    """How a class did an exercise.

    Attributes:
        exercise: its id.
        learners: how many handed the lesson in.
        passed: how many have its points.
        unwritten: how many left it as it was.
        mistakes: what the others were told most often, and how many of them; most frequent first.
    """

    exercise: str
    learners: int
    passed: int
    unwritten: int
    mistakes: tuple[tuple[str, int], ...]

    @property
    def title(self) -> str:
        """What the exercise is called."""
        return EXERCISES[self.exercise].title


def summarise(records: Sequence[Record]) -> list[ExerciseSummary]:
    """The exercises of a lesson, in their order.

    Args:
        records: of one lesson.
    """
    by_exercise: dict[str, list[ExerciseRecord]] = {}
    for record in records:
        for result in record.results:
            by_exercise.setdefault(result.exercise, []).append(result)
    summaries = []
    for exercise, results in by_exercise.items():
        open_ones = [result for result in results if not result.earned]
        unwritten = [result for result in open_ones if result.first.startswith(UNWRITTEN)]
        said = Counter(
            cut(" ".join((result.advice or result.first).split()), LONGEST)
            for result in open_ones
            if result not in unwritten
        )
        mistakes = tuple(said.most_common(MOST_MISTAKES))
        summaries.append(
            ExerciseSummary(exercise, len(results), len(results) - len(open_ones), len(unwritten), mistakes)
        )
    return summaries


def as_markdown(title: str, summaries: Sequence[ExerciseSummary]) -> str:
    """The report of a lesson, as a page."""
    lines = [f"## {title}", "", "| exercise | right | not written | wrong |", "|---|---|---|---|"]
    for one in summaries:
        wrong = one.learners - one.passed - one.unwritten
        lines.append(f"| {one.exercise} {one.title} | {one.passed} of {one.learners} | {one.unwritten} | {wrong} |")
    again = [one for one in summaries if one.mistakes]
    if again:
        lines += ["", "What those who have no points yet were told most often:", ""]
    for one in again:
        lines.append(f"- **{one.exercise}** {one.title}")
        lines += [f"    - {count} of {one.learners}: {_plain(sentence)}" for sentence, count in one.mistakes]
    return "\n".join([*lines, ""])


def _plain(sentence: str) -> str:
    """A sentence that may quote a learner's code, which may hold markup, as letters."""
    return re.sub(r"([\\`*_{}\[\]()<>#!|])", r"\\\1", sentence)
