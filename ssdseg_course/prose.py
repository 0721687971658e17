"""What the prose of a lesson's source has and its notebooks have not: facts by their names, and marks behind numbers.

What an exercise says of itself stands in the exercise alone, and the build fills it in:

    ### {04.bottleneck}      ### Exercise 4.5 - The inverted residual  ·  20 points  ·  medium  ·  about 25 minutes
    **It takes** {time}.     **It takes** about 125 minutes: seven exercises, 100 points.

Behind a number that an output shows or a formula gives stands an HTML comment. A test holds the number to it, and the
build takes it out:

    It finds 0.690<!-- above --> of them.             the nearest code cell above prints it
    It will find 0.690<!-- below --> of them.         the nearest code cell below prints it
    A share of 52.9<!-- = 100 * 72 / 136 --> percent  an expression gives it, rounded to as many digits
"""

import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from ssdseg_course.exercises import exercises_of
from ssdseg_course.manifest import ROOT, Lesson

TIME = "time"
FACT = re.compile(rf"\{{(\d\d\.\w+|{TIME})\}}")
PROSE = re.compile(r"^# %% \[markdown\]\n((?:#.*\n)*)", re.M)
WORDS_PER_MINUTE = 200  # that a reader who is new to the matter reads
ROUNDED_TO = 5  # minutes
NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
ABOVE, BELOW = "above", "below"
MARK = re.compile(r"<!--\s*(above|below|=[^>]*?)\s*-->")
NUMBER_BEFORE = re.compile(r"-?\d[\d,]*(?:\.\d+)?(?=\**$)")


class MarkedNumber(NamedTuple):
    """A number in the prose of a lesson.

    Attributes:
        text: as it stands there, thousands commas taken out.
        rule: `ABOVE`, `BELOW`, or the expression that gives it.
    """

    text: str
    rule: str


def minutes_of(lesson: Lesson, root: Path = ROOT) -> int:
    """How long a lesson takes: its exercises, and its words at 200 a minute, rounded up to 5 minutes."""
    prose = "\n".join(PROSE.findall(lesson.source(root).read_text(encoding="utf-8")))
    read = as_learners_read_it(re.sub(r"^# ?", "", prose, flags=re.M).replace(f"{{{TIME}}}", ""), lesson)
    words = len(read.split())
    minutes = sum(exercise.minutes for exercise in exercises_of(lesson)) + words / WORDS_PER_MINUTE
    return math.ceil(minutes / ROUNDED_TO) * ROUNDED_TO


def as_learners_read_it(text: str, lesson: Lesson, root: Path = ROOT) -> str:
    """The prose of a lesson with its facts filled in and its marks taken out.

    Raises:
        ValueError: if it names an exercise that the lesson does not have.
    """
    filled = FACT.sub(lambda fact: _time(lesson, root) if fact[1] == TIME else _heading(fact[1], lesson), text)
    return MARK.sub("", filled)


def _heading(exercise_id: str, lesson: Lesson) -> str:
    for number, exercise in enumerate(exercises_of(lesson), start=1):
        if exercise.id == exercise_id:
            return (
                f"Exercise {lesson.number}.{number} - {exercise.title}  ·  {exercise.points} points  ·  "
                f"{exercise.difficulty}  ·  about {exercise.minutes} minutes"
            )
    raise ValueError(f"{lesson.name} has no exercise {exercise_id}")


def _time(lesson: Lesson, root: Path) -> str:
    exercises = exercises_of(lesson)
    points = sum(exercise.points for exercise in exercises)
    count = f"{NUMBERS[len(exercises)]} exercise{'s' * (len(exercises) != 1)}"
    return f"about {minutes_of(lesson, root)} minutes: {count}, {points} points"


def marked_numbers(text: str) -> Iterator[MarkedNumber]:
    """The numbers of a text that carry a mark, in their order.

    Raises:
        ValueError: if no number stands right before a mark.
    """
    for mark in MARK.finditer(text):
        before = text[: mark.start()]
        number = NUMBER_BEFORE.search(before.rsplit(maxsplit=1)[-1] if before.split() else "")
        if number is None:
            raise ValueError(f"no number stands right before {mark[0]!r}: ...{before[-40:]!r}")
        yield MarkedNumber(number[0].replace(",", ""), mark[1].removeprefix("=").strip())


def printed_in(number: str, output: str) -> bool:
    """Whether an output shows that number, digit by digit, and not as a part of a longer one."""
    return re.search(rf"(?<![\d.]){re.escape(number)}(?!\.?\d)", re.sub(r"(?<=\d),(?=\d{3})", "", output)) is not None
