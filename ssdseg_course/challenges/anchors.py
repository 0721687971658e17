"""Challenge 1: anchors that catch many boxes and cost little."""

from collections.abc import Sequence
from functools import cache
from importlib.resources import as_file, files
from typing import Any

import numpy as np

from ssdseg_course.challenges.challenge import LEARNERS, Mark, Refused, Score, Scored, exactly
from ssdseg_course.checking.exercise import Arguments
from ssdseg_course.checking.values import Plain
from ssdseg_course.exercises.anchor_choice import FEATURE_MAPS
from ssdseg_ref.anchors import AnchorSpec, coverage, make_anchors
from ssdseg_ref.data.sample import IMAGE_SIZE

SCENES = 300
THRESHOLD = 0.5  # least IoU
PRICE = 5.0  # points for each thousand anchors
MOST_ANCHORS = 20_000  # all that many would cost every point there is

BOXES_FILE = files("ssdseg_course.challenges") / "hidden_boxes.npy"


@cache
def hidden_boxes(first: int) -> np.ndarray:
    """Boxes of hidden scenes: (M, 4) float32 corners in fractions of the image.

    Those of the learners' own set are kept in `hidden_boxes.npy`, for drawing the scenes takes three seconds.

    Args:
        first: seed of the first scene.
    """
    if first != LEARNERS:
        return draw_boxes(first)
    with as_file(BOXES_FILE) as path:
        pixels: np.ndarray = np.load(path)  # (M, 4) uint8
    boxes: np.ndarray = (pixels / _pixels()).astype(np.float32)
    return boxes


def draw_boxes(first: int) -> np.ndarray:
    """Draw the scenes and give their boxes, as `hidden_boxes` does."""
    return np.concatenate([warehouse_boxes_of(seed) for seed in range(first, first + SCENES)])


def warehouse_boxes_of(seed: int) -> np.ndarray:
    """The boxes of one scene."""
    from ssdseg_ref.data import warehouse

    return warehouse.render(seed, IMAGE_SIZE).boxes.astype(np.float32)


def save_boxes() -> None:
    """Draw the learners' scenes and write their boxes to `BOXES_FILE`."""
    with as_file(BOXES_FILE) as path:
        np.save(path, np.round(draw_boxes(LEARNERS) * _pixels()).astype(np.uint8))


def _pixels() -> np.ndarray:
    height, width = IMAGE_SIZE
    return np.array([width, height, width, height])


def no_arguments(_first: int) -> list[Arguments]:
    """The one case: `my_anchors()`."""
    return [()]


def judge(first: int, results: Sequence[Plain]) -> Score:
    """Points of a choice: percent of the boxes that are covered, less the price of the anchors."""
    spec = _spec(results[0])
    count = sum(rows * cols * each for (rows, cols), each in zip(FEATURE_MAPS, spec.anchors_per_cell, strict=True))
    if count > MOST_ANCHORS:  # counted before they are made: a choice may hold any number of ratios
        raise Refused(f"these are {count:,} anchors, and more than {MOST_ANCHORS:,} are not tried")
    covered = coverage(make_anchors(spec), hidden_boxes(first), THRESHOLD)
    return exactly(100 * covered - PRICE * count / 1000, f"{count:,} anchors, coverage {covered:.3f}")


def _spec(choice: Plain) -> AnchorSpec:
    """The anchors that a learner's choice stands for.

    Raises:
        Refused: if it is not a choice of scales and ratios.
    """
    parts = _nested(choice)
    if not isinstance(parts, tuple) or len(parts) != 2:
        raise Refused("return two things: `return scales, aspect_ratios`")
    scales, ratios = parts
    if not _is_row(scales) or len(scales) != len(FEATURE_MAPS) + 1:
        raise Refused(f"scales come first, {len(FEATURE_MAPS) + 1} numbers for {len(FEATURE_MAPS)} maps and one more")
    if not isinstance(ratios, tuple):
        raise Refused("aspect ratios are a tuple of numbers, or a tuple of such tuples, one for each map")
    by_map = ratios if ratios and all(isinstance(one, tuple) for one in ratios) else len(FEATURE_MAPS) * (ratios,)
    if len(by_map) != len(FEATURE_MAPS) or not all(_is_row(one) for one in by_map):
        raise Refused(f"aspect ratios are one tuple of numbers for all maps, or {len(FEATURE_MAPS)} tuples, one a map")
    if not all(0 < number < np.inf for row in (scales, *by_map) for number in row):
        raise Refused("scales and ratios are numbers over 0")
    return AnchorSpec(IMAGE_SIZE, FEATURE_MAPS, scales, by_map)


def _nested(value: Plain) -> Any:
    """The same numbers as tuples of tuples, whether NumPy could make one array of them or not."""
    return tuple(map(_nested, value)) if isinstance(value, tuple) or value.ndim else float(value)


def _is_row(value: Any) -> bool:
    return isinstance(value, tuple) and not any(isinstance(part, tuple) for part in value)


ANCHORS = Scored(
    number="01",
    title="Coverage for little",
    task=f"""\
Write `my_anchors()`: it returns `(scales, aspect_ratios)`, five scales, and ratios for all maps, or a tuple of
ratios for each of the four maps (an empty one leaves a map its extra square alone). The score is the percentage of
boxes that they cover, in {SCENES} scenes that you have not seen, less {PRICE:.0f} points for every thousand
anchors.""",
    name="my_anchors",
    unit="points",
    higher_is_better=True,
    marks=(
        Mark("the limit", 96.15, "every box that any shape covers, for the price of the extra squares"),
        Mark("a clever one", 86.53, "1,669 anchors: the best of 900 random changes, kept where they helped"),
        Mark("the reference", 82.44, "2,241 anchors: its choice in the last exercise"),
        Mark("the paper's", 68.11, "4,482 anchors: scales from 0.2 to 0.9, ratios 1, 2, 1/2, 3, 1/3"),
    ),
    cases=no_arguments,
    judge=judge,
)

CHALLENGES = (ANCHORS,)
