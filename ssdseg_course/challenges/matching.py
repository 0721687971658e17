"""Challenge 2: five hundred boxes and the anchors, matched as fast as can be."""

from collections.abc import Callable
from functools import cache

import numpy as np

from ssdseg_course.challenges.challenge import Mark, Timed
from ssdseg_course.checking.exercise import Arguments
from ssdseg_course.checking.values import Plain
from ssdseg_course.exercises.anchor_choice import FEATURE_MAPS
from ssdseg_ref.anchors import AnchorSpec, linear_scales, make_anchors
from ssdseg_ref.data.sample import IMAGE_SIZE
from ssdseg_ref.matching import UNMATCHED, match_anchors

BOXES = 500
SPEC = AnchorSpec(IMAGE_SIZE, FEATURE_MAPS, linear_scales(0.2, 0.9, 4), (1, 2, 1 / 2, 3, 1 / 3))
THRESHOLD = 0.5
SMALL, ROUNDS = 6, 1
GRID = 256  # corners in such parts of the image have areas that floats hold exactly: equal overlaps are equal to all
COARSE = 8  # a grid on which many overlaps are equal
Draw = Callable[[np.random.Generator], Arguments]


@cache
def anchors() -> np.ndarray:
    """(4482, 4) float32 corners: the paper's five ratios on four maps, rounded to the grid."""
    return _on_grid(make_anchors(SPEC))


def cases(first: int) -> list[Arguments]:
    """What an answer has to be right on: no box, no anchor, ties, few boxes."""
    rng = np.random.default_rng((first, 0))
    none = np.empty((0, 4), np.float32)
    ties = [(_coarse(rng, 30), _coarse(rng, 8), THRESHOLD) for _ in range(SMALL)]
    few = [_settled(rng, _few) for _ in range(SMALL)]
    return [(anchors(), none, THRESHOLD), (none, _random_boxes(rng, 3), THRESHOLD), *ties, *few]


def rounds(first: int) -> list[Arguments]:
    """What is timed: all anchors of a picture, and boxes of every size."""
    rng = np.random.default_rng((first, 1))
    return [_settled(rng, _many) for _ in range(ROUNDS)]


def _few(rng: np.random.Generator) -> Arguments:
    return anchors(), _random_boxes(rng, int(rng.integers(1, 9))), float(rng.choice([0.25, 0.375, THRESHOLD]))


def _many(rng: np.random.Generator) -> Arguments:
    return anchors(), _random_boxes(rng, BOXES), THRESHOLD


def _settled(rng: np.random.Generator, draw: Draw) -> Arguments:
    """Arguments that float32 and float64 match alike: no two overlaps are so near that only one of them tells."""
    while True:
        anchors_, boxes, threshold = draw(rng)
        wide = match_anchors(anchors_.astype(np.float64), boxes.astype(np.float64), threshold)
        if np.array_equal(wide, match_anchors(anchors_, boxes, threshold)):
            return anchors_, boxes, threshold


def _random_boxes(rng: np.random.Generator, count: int) -> np.ndarray:
    """(count, 4) float32 corners, of sizes and shapes as the Warehouse has them and wider."""
    scale, ratio = np.exp(rng.normal((-1.4, -0.2), (0.5, 0.7), (count, 2))).T
    size = np.column_stack([scale * np.sqrt(ratio) * IMAGE_SIZE[0] / IMAGE_SIZE[1], scale / np.sqrt(ratio)])
    middle = rng.random((count, 2))
    return _on_grid(np.concatenate([middle - size / 2, middle + size / 2], axis=1).clip(-0.2, 1.2))


def _on_grid(boxes: np.ndarray) -> np.ndarray:
    return (np.round(boxes * GRID) / GRID).astype(np.float32)


def _coarse(rng: np.random.Generator, count: int) -> np.ndarray:
    low = rng.integers(0, 6, (count, 2))
    return np.concatenate([low, low + rng.integers(1, 4, (count, 2))], axis=1).astype(np.float32) / COARSE


def compare(arguments: Arguments, own: Plain, right: Plain) -> str:
    """What is wrong with a matching, "" if nothing."""
    assert isinstance(right, np.ndarray)
    anchor_count, box_count = len(arguments[0]), len(arguments[1])
    if isinstance(own, tuple) or own.shape != right.shape:
        shape = "several arrays" if isinstance(own, tuple) else f"the shape {own.shape}"
        return f"for {anchor_count:,} anchors it should give the shape {right.shape}, and gives {shape}"
    different = np.flatnonzero(own != right)
    if len(different) == 0:
        return ""
    one = different[0]
    return (
        f"with {box_count} boxes and a threshold of {arguments[2]:g}, anchor {one} should get {_box(right[one])} and "
        f"gets {_box(own[one])} ({len(different):,} of {anchor_count:,} differ)"
    )


def _box(number: float) -> str:
    return "no box (-1)" if number == UNMATCHED else f"box {number:g}"


MATCHING = Timed(
    number="02",
    title="500 boxes, matched at once",
    task=f"""\
Write `my_matching(anchors, boxes, threshold)`: it gives what exercise 2.4 gives, a box or -1 for every anchor.
First it is compared with the reference, on few boxes and many, with ties; of equal overlaps the first box counts,
then the first anchor. Then {BOXES} boxes and {len(anchors()):,} anchors are matched, yours and the reference's in
turns, and the time that yours takes is divided by the reference's. Half the time is 0.50.""",
    name="my_matching",
    unit="times the reference's time",
    higher_is_better=False,
    seconds=20.0,
    marks=(
        Mark("the reference", 1.0, "by definition"),
        Mark("a clever one", 0.88, "in blocks of four boxes, nothing copied"),
    ),
    reference=match_anchors,
    cases=cases,
    rounds=rounds,
    compare=compare,
    reference_modules=("boxes", "matching"),
    reference_source="""\
def my_matching(anchors, boxes, threshold):
    return match_anchors(anchors, boxes, threshold)
""",
    idle_source="""\
import numpy as np
def my_matching(anchors, boxes, threshold):
    return np.full(len(anchors), -1)
""",
)

CHALLENGES = (MATCHING,)
