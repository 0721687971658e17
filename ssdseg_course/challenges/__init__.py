"""The open challenges, one at the end of a lesson; each is imported when it is asked for.

A module holds `CHALLENGES`, a tuple of `Challenge`. In a lesson: `challenge("01", my_anchors)`; on the command line:
`ssdseg challenge 1`; for a class: `ssdseg grade SUBMISSIONS --challenges`.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ssdseg_course.challenges.challenge import Challenge

MODULES: dict[str, str] = {
    "01": "anchors",
    "02": "matching",
    "03": "convolution",
    "04": "small_networks",
    "05": "small_networks",
    "06": "suppression",
    "07": "segmentation",
    "08": "joint",
    "09": "on_device",
    "10": "few_labels",
}


def find_challenge(number: str) -> "Challenge":
    """The challenge of a lesson.

    Args:
        number: of the lesson, "01" or "1".

    Raises:
        ValueError: if there is none, with the numbers of those there are.
    """
    text = str(number).strip()
    padded = f"{int(text):02d}" if text.isascii() and text.isdigit() else text
    if padded not in MODULES:
        raise ValueError(f"there is no challenge {text!r}; there are: {', '.join(MODULES)}")
    module = import_module(f"{__name__}.{MODULES[padded]}")
    challenge: Challenge = next(one for one in module.CHALLENGES if one.number == padded)
    return challenge
