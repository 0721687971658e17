"""Numbers in a lesson's prose that an output shows or a formula gives: marked in the source, and held to by a test.

Behind such a number stands an HTML comment, which the build takes out:

    It finds 0.690<!-- above --> of them.             the nearest code cell above prints it
    It will find 0.690<!-- below --> of them.         the nearest code cell below prints it
    A share of 52.9<!-- = 100 * 72 / 136 --> percent  an expression gives it, rounded to as many digits
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

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


def without_marks(text: str) -> str:
    """The text as a learner reads it."""
    return MARK.sub("", text)


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
