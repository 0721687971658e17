"""The last exercise of lesson 1: the learner chooses the anchors, and the boxes of the data set say how well.

The boxes are those of the first training scenes, kept in `warehouse_boxes.npy` because drawing the scenes takes
seconds. When the drawing changes, `save_boxes()` writes that file anew, and the bar below has to be looked at again.
"""

from functools import cache
from importlib.resources import as_file, files
from itertools import pairwise
from textwrap import shorten
from typing import Any

import numpy as np

from ssdseg_course.checking.compare import Complaint
from ssdseg_course.checking.exercise import Exercise, Mutant
from ssdseg_course.checking.values import Plain
from ssdseg_ref.anchors import AnchorSpec, coverage, linear_scales, make_anchors
from ssdseg_ref.data.sample import CLASSES, IMAGE_SIZE

FEATURE_MAPS = ((20, 28), (10, 14), (5, 7), (3, 4))  # (rows, cols)
THRESHOLD = 0.5  # least IoU
LEAST_COVERAGE = 0.90
MOST_ANCHORS = 2_400
SCENES = 300
FEW_WORDS = 200  # letters of a choice that a complaint repeats

BOXES_FILE = files("ssdseg_course.exercises") / "warehouse_boxes.npy"


@cache
def warehouse_boxes() -> tuple[np.ndarray, np.ndarray]:
    """All boxes of the first training scenes: (M, 4) float32 corners in fractions of the image, and (M,) labels."""
    with as_file(BOXES_FILE) as path:
        table = np.load(path)  # (M, 5) uint8: label, and corners in whole pixels
    boxes = (table[:, 1:] / _pixels()).astype(np.float32)
    return boxes, table[:, 0].astype(np.int32)


def draw_boxes() -> np.ndarray:
    """Draw the scenes and return the table that `BOXES_FILE` holds."""
    from ssdseg_ref.data import warehouse

    samples = [warehouse.render(seed, IMAGE_SIZE) for seed in warehouse.SPLITS["train"][:SCENES]]
    boxes = np.concatenate([sample.boxes for sample in samples])
    labels = np.concatenate([sample.labels for sample in samples])
    return np.column_stack([labels, np.round(boxes * _pixels())]).astype(np.uint8)


def save_boxes() -> None:
    """Draw the scenes and write their boxes to `BOXES_FILE`."""
    with as_file(BOXES_FILE) as path:
        np.save(path, draw_boxes())


def _pixels() -> np.ndarray:
    height, width = IMAGE_SIZE
    return np.array([width, height, width, height])


TWO_PARTS = "return two things: `return scales, aspect_ratios`."
SWAPPED = "scales come first, then ratios: `return scales, aspect_ratios`."
SCALES_COUNT = "each map has a scale, and one more stands behind the last map, for its extra square."
NOT_RISING = "the scales should rise: the finest map finds the smallest things."
IN_PIXELS = "a scale is a fraction of the image's shorter side, so no more than about 1."
RATIOS_COUNT = "give one tuple of numbers, the same ratios for all maps."
NOT_POSITIVE = "scales and ratios are numbers over 0."
OVER_BUDGET = (
    "every ratio costs an anchor in every cell. Which of yours do the boxes need least, given that each cell has an "
    "extra square anyway?"
)
ONLY_SQUARES = "all your anchors are squares. What are the most frequent shapes in the histogram?"
NO_TALL = "none of your anchors is clearly taller than wide, as people are. A ratio is width / height: tall is under 1."
NO_WIDE = "none of your anchors is clearly wider than tall, as rails are. A ratio is width / height: wide is over 1."
TOO_LARGE = "even the smallest of your anchors is larger than most people. Where does the histogram of sizes begin?"
TOO_SMALL = "even the largest of your anchors is smaller than many forklifts. Where does the histogram of sizes end?"
BADLY_PLACED = "look where the histograms of size and shape are high, and put your scales and ratios there."


def compare_choice(value: Plain, _expected: Plain) -> Complaint | None:
    """What keeps a choice of (scales, aspect_ratios) from being good enough."""
    choice = _nested(value)
    if not isinstance(choice, tuple):
        return _malformed(choice)
    return _malformed(choice) or _not_good_enough(AnchorSpec(IMAGE_SIZE, FEATURE_MAPS, *choice))


def _nested(value: Plain) -> tuple[Any, ...] | float:
    """The same numbers as tuples of tuples, whether NumPy could make one array of them or not."""
    return tuple(map(_nested, value)) if isinstance(value, tuple) or value.ndim else float(value)


def _malformed(choice: tuple[Any, ...] | float) -> Complaint | None:
    maps = len(FEATURE_MAPS)
    if not isinstance(choice, tuple) or len(choice) != 2:
        count = len(choice) if isinstance(choice, tuple) else 1
        return Complaint((f"it should return scales and ratios, and what it returned has {count} parts",), TWO_PARTS)
    scales, ratios = choice
    if not _is_row(scales) or len(scales) != maps + 1:
        swapped = _is_row(ratios) and len(ratios) == maps + 1
        count = len(scales) if isinstance(scales, tuple) else 1
        return Complaint(
            (f"{maps} maps need {maps + 1} scales, and yours are {count}",), SWAPPED if swapped else SCALES_COUNT
        )
    if not _is_row(ratios):
        return Complaint((f"the ratios are {shorten(str(ratios), FEW_WORDS)}",), RATIOS_COUNT)
    if not all(0 < number < np.inf for row in (scales, ratios) for number in row):
        return Complaint(("one of the numbers is not over 0",), NOT_POSITIVE)
    if scales[0] > 1.5:
        return Complaint((f"the first scale is {scales[0]:.4g}",), IN_PIXELS)
    if any(after <= before for before, after in pairwise(scales)):
        return Complaint((f"the scales are {', '.join(f'{scale:.4g}' for scale in scales)}",), NOT_RISING)
    return None


def _is_row(value: tuple[Any, ...] | float) -> bool:
    return isinstance(value, tuple) and len(value) > 0 and not any(isinstance(part, tuple) for part in value)


def _not_good_enough(spec: AnchorSpec) -> Complaint | None:
    count = sum(rows * cols * a for (rows, cols), a in zip(FEATURE_MAPS, spec.anchors_per_cell, strict=True))
    if count > MOST_ANCHORS:  # counted before they are made: a choice may hold any number of ratios
        return Complaint((f"these are {count:,} anchors, and at most {MOST_ANCHORS:,} are allowed",), OVER_BUDGET)
    anchors = make_anchors(spec)
    boxes, labels = warehouse_boxes()
    covered = coverage(anchors, boxes, THRESHOLD)
    if covered >= LEAST_COVERAGE:
        return None
    shares = ", ".join(
        f"{name} {coverage(anchors, boxes[labels == label], THRESHOLD):.2f}"
        for label, name in enumerate(CLASSES, start=1)
    )
    lines = (
        f"your {len(anchors):,} anchors cover {covered:.3f} of the boxes, and it takes {LEAST_COVERAGE:.2f}",
        f"by class: {shares}",
    )
    return Complaint(lines, _advice(spec))


def _advice(spec: AnchorSpec) -> str:
    ratios = np.array(spec.ratios_by_map[0])
    if (ratios == 1).all():
        return ONLY_SQUARES
    if ratios.min() > 0.75:
        return NO_TALL
    if ratios.max() < 1.33:
        return NO_WIDE
    if spec.scales[0] > 0.3:
        return TOO_LARGE
    if spec.scales[-1] < 0.4:
        return TOO_SMALL
    return BADLY_PLACED


def choose_anchors():
    """A choice that is good enough: sizes from small people to large forklifts, one tall shape and one wide one."""
    return linear_scales(0.16, 0.6, 4), (0.43, 2.2)


CHOOSE_ANCHORS = Exercise(
    id="01.choose_anchors",
    title="Choose anchors for the warehouse",
    points=15,
    difficulty="medium",
    minutes=30,
    reference=choose_anchors,
    fixed_cases=((),),
    draw=None,
    compare=compare_choice,
    returns=("scales", "aspect_ratios"),
    hints=(
        "Begin with the shapes. Each cell has its extra square anyway: which two others does the histogram ask for?",
        "Four people in five have a ratio between 0.25 and 0.65, two rails in three one between 1.5 and 3. A ratio for "
        "each of them keeps to the budget. Then the sizes: one thing in eight has a scale under 0.17, and hardly any "
        "one over 0.7.",
        "Take one ratio near 0.43 and one near 2.2. Then try linear_scales(first, last, 4) with first between 0.15 and "
        "0.2 and last between 0.5 and 0.7, and look at the coverage.",
    ),
    mutants=(
        Mutant(lambda: (linear_scales(0.2, 0.9, 4), (1.0, 2.0, 0.5)), OVER_BUDGET),
        Mutant(lambda: (linear_scales(0.16, 0.6, 4), (1.0,)), ONLY_SQUARES),
        Mutant(lambda: (linear_scales(0.16, 0.6, 4), (1 / 0.43, 1 / 0.6)), NO_TALL),
        Mutant(lambda: (linear_scales(0.16, 0.6, 4), (0.43, 0.6)), NO_WIDE),
        Mutant(lambda: (linear_scales(0.2, 0.9, 4), (2.0, 0.5)), BADLY_PLACED),
        Mutant(lambda: (linear_scales(0.35, 0.9, 4), (0.43, 2.2)), TOO_LARGE),
        Mutant(lambda: (linear_scales(0.05, 0.25, 4), (0.43, 2.2)), TOO_SMALL),
        Mutant(lambda: (linear_scales(0.16, 0.6, 4)[::-1], (0.43, 2.2)), NOT_RISING),
        Mutant(lambda: (linear_scales(0.16, 0.6, 4)[:-1], (0.43, 2.2)), SCALES_COUNT),
        Mutant(lambda: ((0.43, 2.2), linear_scales(0.16, 0.6, 4)), SWAPPED),
        Mutant(lambda: ((25, 49, 72, 96, 120), (0.43, 2.2)), IN_PIXELS),
        Mutant(lambda: linear_scales(0.16, 0.6, 4), TWO_PARTS),
        Mutant(lambda: (linear_scales(0.16, 0.6, 4), 4 * ((0.43, 2.2),)), RATIOS_COUNT),
    ),
)

EXERCISES = (CHOOSE_ANCHORS,)
