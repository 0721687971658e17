"""Challenge 6: non-maximum suppression of ten thousand boxes against the clock."""

from functools import lru_cache

import numpy as np

from ssdseg_course.challenges.challenge import Mark, Timed
from ssdseg_course.checking.exercise import Arguments
from ssdseg_course.checking.values import Plain
from ssdseg_ref.nms import non_max_suppression

BOXES = 10_000
THINGS = 400  # that the boxes lie around
IOU_THRESHOLD, MAX_DETECTIONS = 0.45, 200
LEVELS = 1_000  # of scores, so that many are equal
SMALL, ROUNDS = 6, 2
NEAR = 1e-6  # an IoU so near to the threshold may fall on either side, by the order of the additions


def suppress(boxes: np.ndarray, scores: np.ndarray, iou_threshold: float, max_detections: int) -> np.ndarray:
    """The reference's, of which every box takes part, whatever its score."""
    return non_max_suppression(boxes, scores, iou_threshold, 0.0, max_detections)


@lru_cache(maxsize=2)
def cases(first: int) -> list[Arguments]:
    """What an answer has to be right on: no box, one, equal scores, equal boxes, fewer than are wanted."""
    rng = np.random.default_rng((first, 0))
    none, one = np.empty((0, 4), np.float32), _settled(rng, 1, 1)
    twice = np.repeat(_settled(rng, 20, 5)[0], 2, axis=0)
    equal = twice, np.full(40, 0.5, np.float32), IOU_THRESHOLD, MAX_DETECTIONS
    few = [(*_settled(rng, 300, 30)[:3], most) for most in (1, 5, *(SMALL - 2) * (MAX_DETECTIONS,))]
    return [(none, np.empty(0, np.float32), IOU_THRESHOLD, MAX_DETECTIONS), one, equal, *few]


@lru_cache(maxsize=2)
def rounds(first: int) -> list[Arguments]:
    """What is timed: ten thousand boxes around some hundred things."""
    rng = np.random.default_rng((first, 1))
    return [_settled(rng, BOXES, THINGS) for _ in range(ROUNDS)]


def _settled(rng: np.random.Generator, count: int, things: int) -> Arguments:
    """Arguments for which rounding decides nothing: float32 and float64 keep the same, on both sides of the threshold.

    Args:
        rng: draws them.
        count: of boxes.
        things: that they lie around.
    """
    while True:
        boxes, scores = _around(rng, count, things)
        right = suppress(boxes, scores, IOU_THRESHOLD, MAX_DETECTIONS)
        wide = boxes.astype(np.float64)
        around = (suppress(wide, scores, IOU_THRESHOLD + by, MAX_DETECTIONS) for by in (-NEAR, 0, NEAR))
        if all(np.array_equal(right, other) for other in around):
            return boxes, scores, IOU_THRESHOLD, MAX_DETECTIONS


def _around(rng: np.random.Generator, count: int, things: int) -> tuple[np.ndarray, np.ndarray]:
    """Boxes as a network gives them: many around each thing, the nearest with the best scores."""
    middles, sizes = rng.random((things, 2)), np.exp(rng.normal(-2.3, 0.5, (things, 2)))
    which = rng.integers(things, size=count)
    away = rng.normal(0, 0.25, (count, 4))
    middle, size = middles[which] + away[:, :2] * sizes[which], sizes[which] * np.exp(away[:, 2:])
    scores = np.exp(-4 * np.square(away).sum(axis=1)) * rng.uniform(0.3, 1, count)
    boxes = np.concatenate([middle - size / 2, middle + size / 2], axis=1)
    return boxes.astype(np.float32), (np.round(scores * LEVELS) / LEVELS).astype(np.float32)


def compare(arguments: Arguments, own: Plain, right: Plain) -> str:
    """What is wrong with the boxes that were kept, "" if nothing."""
    assert isinstance(right, np.ndarray)
    what = f"of {len(arguments[0]):,} boxes, at most {arguments[3]},"
    if isinstance(own, tuple) or own.ndim != 1:
        return "it should give one row of indices"
    if len(own) != len(right):
        return f"{what} it should keep {len(right)} and keeps {len(own)}"
    if (own == right).all():
        return ""
    place = int(np.flatnonzero(own != right)[0])
    scores = arguments[1]
    hint = ""
    if own[place] in range(len(scores)) and scores[int(own[place])] == scores[int(right[place])]:
        hint = ": their scores are equal, and then the first box goes first"
    return f"{what} the one in place {place} should be {right[place]} and yours is {own[place]:g}{hint}"


SUPPRESSION = Timed(
    number="06",
    title="10,000 boxes against the clock",
    task=f"""\
Write `my_suppression(boxes, scores, iou_threshold, max_detections)`: the indices of the boxes that the greedy way
keeps, best first, and no more than `max_detections`. All scores take part; of equal ones the first box goes first.
First it is compared with the reference, on few boxes and many. Then {BOXES:,} boxes are suppressed until
{MAX_DETECTIONS} are kept, by yours and by the reference in turns, and the time that yours takes is divided by the
reference's. Half the time is 0.50.""",
    name="my_suppression",
    unit="times the reference's time",
    higher_is_better=False,
    seconds=20.0,
    marks=(
        Mark("the reference", 1.0, "by definition"),
        Mark("a clever one", 0.04, "in blocks of 256, best first, and no further than it has to"),
    ),
    reference=suppress,
    cases=cases,
    rounds=rounds,
    compare=compare,
    reference_modules=("boxes", "nms"),
    reference_source="""\
def my_suppression(boxes, scores, iou_threshold, max_detections):
    return non_max_suppression(boxes, scores, iou_threshold, 0.0, max_detections)
""",
    idle_source="""\
import numpy as np
def my_suppression(boxes, scores, iou_threshold, max_detections):
    return np.arange(max_detections)
""",
)

CHALLENGES = (SUPPRESSION,)
