"""The table of a challenge: the learner's attempts among the known marks, the best first."""

from collections.abc import Sequence
from typing import NamedTuple

from ssdseg_course.challenges.attempts import Attempt
from ssdseg_course.challenges.challenge import Challenge, Score

MOST_ATTEMPTS = 6  # that are shown: the best one, and the latest


class Row(NamedTuple):
    """A row of the table.

    Attributes:
        who: whose score it is.
        value: the score.
        shown: the score as it is read, with its noise.
        note: what it is made of, or how it was measured.
        is_now: whether it is the attempt that was made just now.
    """

    who: str
    value: float
    shown: str
    note: str
    is_now: bool = False


def rows(challenge: Challenge, attempts: Sequence[Attempt], now: Score | None = None) -> list[Row]:
    """Attempts and marks, the best first; equal ones with the marks in front.

    Args:
        challenge: whose marks.
        attempts: the earlier ones, in their order.
        now: what has just been reached.
    """
    found = [Row(mark.name, mark.value, challenge.in_words(mark.value), mark.measured) for mark in challenge.marks]
    found += [
        Row(f"you, {one.when}", one.score.value, shown(challenge, one.score), one.score.note)
        for one in _few(challenge, attempts)
    ]
    if now:
        found.append(Row("you, now", now.value, shown(challenge, now), now.note, is_now=True))
    return sorted(found, key=lambda row: -row.value if challenge.higher_is_better else row.value)


def text_table(challenge: Challenge, attempts: Sequence[Attempt], now: Score | None = None) -> str:
    """The table as lines of text, for notebooks and terminals."""
    found = rows(challenge, attempts, now)
    widths = max(len(row.who) for row in found), max(len(row.shown) for row in found)
    better = "more" if challenge.higher_is_better else "less"
    head = f"challenge {int(challenge.number)}: {challenge.title} ({better} is better)"
    lines = [
        f"{'→' if row.is_now else ' '} {row.who:<{widths[0]}}  {row.shown:>{widths[1]}}  {row.note}".rstrip()
        for row in found
    ]
    return "\n".join([head, *lines])


def shown(challenge: Challenge, score: Score) -> str:
    """A score in words, with the middle half of its runs where they differ."""
    if score.low == score.high:
        return challenge.in_words(score.value)
    low, high = (f"{end:,.{challenge.digits}f}" for end in (score.low, score.high))
    return f"{challenge.in_words(score.value)} ({low} to {high})"


def _few(challenge: Challenge, attempts: Sequence[Attempt]) -> list[Attempt]:
    """The best attempt, and the latest."""
    if len(attempts) <= MOST_ATTEMPTS:
        return list(attempts)
    sign = 1 if challenge.higher_is_better else -1
    best = max(attempts, key=lambda one: sign * one.score.value)
    latest = [one for one in attempts[1 - MOST_ATTEMPTS :] if one is not best]
    return [best, *latest]
