"""`challenge`: what a learner calls in the last cell of a lesson."""

from ssdseg_course.challenges import find_challenge
from ssdseg_course.challenges.attempts import attempts_at, note_attempt
from ssdseg_course.challenges.challenge import Refused
from ssdseg_course.challenges.table import text_table
from ssdseg_course.check import course_of_the_learner
from ssdseg_course.checking.exercise import Function
from ssdseg_course.work.workspace import being_checked


def challenge(number: str, answer: Function | None = None) -> None:
    """Measure an answer to a lesson's challenge, and show it among your earlier ones and some known marks.

    Without an answer: what is asked for, and the table so far. Nothing of it counts for the points of the lesson, and
    an answer that gets no score raises nothing: it is told why.

    Args:
        number: of the lesson, "01".
        answer: your function itself, without brackets.

    Raises:
        TypeError: if the answer is no function.
        ValueError: if there is no such challenge.
    """
    found = find_challenge(number)
    if answer is not None and not callable(answer):
        kind = type(answer).__name__
        raise TypeError(
            f'write challenge("{found.number}", {found.name}): the function itself, no brackets; this is a {kind}'
        )
    if being_checked():  # nobody is watching, and a check has no use for it
        return
    root = course_of_the_learner()
    attempts = attempts_at(root, found.number) if root else []
    if answer is None:
        print(f"{found.task}\n\n{text_table(found, attempts)}")
        return
    try:
        score = found.score(answer)
    except Refused as refusal:
        print(f"no score: {refusal}")
        return
    if root:
        note_attempt(root, found.number, score)
    print(text_table(found, attempts, score))
