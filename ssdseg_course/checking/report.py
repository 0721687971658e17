"""What a check says, as plain text and as a notebook shows it."""

import html
from dataclasses import dataclass
from enum import StrEnum

# Okabe and Ito's bluish green and vermilion, told apart by colour-blind readers. For the bar alone: a bar can be seen
# on white and on black, words of these colours would be too faint on white. Words are in the colour of all other text.
COLOURS = {True: "#009E73", False: "#D55E00"}
SIGNS = {True: "✓", False: "✗"}


class Verdict(StrEnum):
    """What is known of an answer."""

    PASSED = "passed"
    WRONG = "not right yet"
    UNWRITTEN = "not written yet"
    TOO_LONG = "took too long"
    INTERRUPTED = "interrupted"


@dataclass(frozen=True, repr=False)
class Report:
    """The result of one check.

    Attributes:
        exercise_id: the exercise.
        passed: whether the answer is right.
        points: what the exercise earns.
        messages: what to tell the learner, a line each.
        seed: draws the same cases again.
        advice: the sentence among the messages that helps, the same for all who make that mistake; "" without one.
        verdict: in short; an answer that took too long may be right.
        case: number of the case that is told, from 0, among those of the exercise and the seed; None if none is.
        helpers: ids of the earlier exercises whose functions it calls and which are not right: mend these first.
        right_but_for_helpers: whether it is right as soon as those are.
    """

    exercise_id: str
    passed: bool
    points: int
    messages: tuple[str, ...]
    seed: int
    advice: str = ""
    verdict: Verdict | None = None
    case: int | None = None
    helpers: tuple[str, ...] = ()
    right_but_for_helpers: bool = False

    def __post_init__(self) -> None:
        if self.verdict is None:
            object.__setattr__(self, "verdict", Verdict.PASSED if self.passed else Verdict.WRONG)

    @property
    def earned(self) -> int:
        """All the points or none."""
        return self.points if self.passed else 0

    @property
    def title(self) -> str:
        """The first line: sign, exercise, points."""
        return f"{SIGNS[self.passed]} {self.exercise_id}  {self.earned}/{self.points}"

    def __str__(self) -> str:
        return "\n".join([self.title, *(f"  {line}" for message in self.messages for line in message.splitlines())])

    def __repr__(self) -> str:
        return f"<Report {self.title}>"

    def _repr_html_(self) -> str:
        colour = COLOURS[self.passed]
        lines = "".join(f'<div style="white-space: pre-wrap">{html.escape(line)}</div>' for line in self.messages)
        return (
            f'<div role="status" style="border-left: 6px solid {colour}; padding: 4px 12px; margin: 4px 0">'
            f'<div style="font-weight: bold; white-space: pre-wrap">{html.escape(self.title)}</div>{lines}</div>'
        )
