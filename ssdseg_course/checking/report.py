"""What a check says, as plain text and as a notebook shows it."""

import html
from dataclasses import dataclass

# Okabe and Ito's bluish green and vermilion, told apart by colour-blind readers. For the bar alone: a bar can be seen
# on white and on black, words of these colours would be too faint on white. Words are in the colour of all other text.
COLOURS = {True: "#009E73", False: "#D55E00"}
SIGNS = {True: "✓", False: "✗"}


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
    """

    exercise_id: str
    passed: bool
    points: int
    messages: tuple[str, ...]
    seed: int
    advice: str = ""

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
