"""The first exercises of lesson 2, two ways to write a box and how much boxes overlap, and the boxes for all of it."""

from itertools import pairwise

import numpy as np

from ssdseg_course.checking.exercise import Arguments, Exercise, Function, Mutant
from ssdseg_ref.boxes import areas, centers_to_corners, corners_to_centers, pairwise_iou

STEPS = 128  # boxes lie on a grid that float32 holds exactly: an honest answer in float32 loses nothing
LEAST_GAP = 1e-4  # between overlaps that are compared, so that no rounding decides


def draw_boxes(rng: np.random.Generator, count: int, least: int = 8) -> np.ndarray:
    """(count, 4) corners inside the image, with sides of `least` to 56 steps."""
    size = rng.integers(least, 57, (count, 2))
    low = rng.integers(0, STEPS + 1 - size)
    return np.concatenate([low, low + size], axis=1) / STEPS


def nudged(rng: np.random.Generator, boxes: np.ndarray, steps: int) -> np.ndarray:
    """The same boxes with every side moved a little, so that they overlap what they were."""
    return boxes + rng.integers(-steps, steps + 1, boxes.shape) / STEPS


# What boxes and anchors are matched on, here and in the exercise on targets: (anchors, boxes).

# Two boxes share their best anchor, the first. The second box reaches no other with an IoU of 0.5.
SHARED = (
    np.array([[0, 0, 0.5, 0.5], [0, 0.25, 0.5, 0.75], [0.5, 0, 1, 0.5]]),
    np.array([[0, 0.03125, 0.5, 0.53125], [0, 0.0625, 0.5, 0.5625]]),
)
# The first box is so small that no anchor fits it; its best one, the last, fits the other box far better.
SMALL = (
    np.array([[0, 0, 1, 1], [0, 0, 1, 0.75], [0, 0, 0.875, 0.625]]),
    np.array([[0, 0, 0.25, 0.375], [0, 0, 1, 1]]),
)
# IoUs of 1, 0.5 and 0.375 with one box; the other one touches no anchor.
GRADED = (
    np.array([[0, 0, 0.5, 0.25], [0, 0, 0.5, 0.5], [0, 0, 0.5, 0.1875], [0.75, 0, 1, 0.25]]),
    np.array([[0, 0, 0.5, 0.5], [0.75, 0.75, 1, 1]]),
)
# The same in pixels, and far too many of them: an answer that adds 1e-6 to every union, which is honest enough, still
# has an IoU of exactly 0.5 here.
EXACT = tuple(2**20 * corners for corners in GRADED)
# All three anchors overlap the first box more than the second, which needs the middle one; the last one is free.
BOTH = (
    np.array([[0, 0, 0.5, 0.5], [0, 0.0625, 0.5, 0.5], [0, 0.03125, 0.5, 0.5]]),
    np.array([[0, 0, 0.5, 0.5], [0, 0.125, 0.5, 0.625]]),
)


def draw_anchors_and_boxes(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, float]:
    """Anchors, boxes near some of them, two near the same one, a small and a far one, and a threshold.

    No two overlaps are nearly equal, and none is nearly the threshold: rounding decides nothing.
    """
    while True:
        anchors = np.concatenate([draw_boxes(rng, 3, least=24), draw_boxes(rng, 4)]) * [0.75, 1, 0.75, 1]
        anchors = np.concatenate([anchors, nudged(rng, anchors[:3], 6), nudged(rng, anchors[:3], 6)])
        small = anchors[3, :2] + np.array([0, 0, 4, 6]).reshape(2, 2) / STEPS
        far = np.array([0.8125, 0.125, 0.9375, 0.375])
        boxes = np.stack([*nudged(rng, anchors[[0, 0, 1]], 5), small.ravel(), far])
        boxes = boxes[rng.permutation(5)[: int(rng.integers(3, 6))]]
        threshold = float(rng.choice([0.4, 0.6, 0.7]))
        overlaps = np.unique([*pairwise_iou(anchors, boxes).ravel().tolist(), 0, threshold])
        counted = np.count_nonzero(pairwise_iou(anchors, boxes)) + 2
        if len(overlaps) == counted and min(b - a for a, b in pairwise(overlaps)) > LEAST_GAP:
            return anchors, boxes, threshold


# 02.corners_to_centers


def _rearranged(*columns: int) -> Function:
    """`corners_to_centers` with its four numbers in another order."""
    return lambda boxes: corners_to_centers(boxes)[:, columns]


def _with(middle=(0.5, 0.5), size=1.0):
    """`corners_to_centers` with middles of low * middle[0] + high * middle[1], and with other sizes."""

    def centers(boxes):
        low, high = boxes[:, :2], boxes[:, 2:]
        return np.concatenate([low * middle[0] + high * middle[1], (high - low) * size], axis=1)

    return centers


def _of_columns(columns):
    """Another idea of the four columns, made of (N,) xmin, ymin, xmax, ymax."""
    return lambda boxes: np.stack(columns(*boxes.T), axis=1)


CORNERS_TO_CENTERS = Exercise(
    id="02.corners_to_centers",
    title="Two ways to write a box",
    points=10,
    difficulty="easy",
    minutes=10,
    home="boxes.corners_to_centers",
    piece=True,
    fixed_cases=(
        (np.array([[0.25, 0.5, 0.75, 0.625]]),),
        (np.array([[0.0, 0.0, 1.0, 1.0], [0.5, 0.125, 0.625, 1.0], [-0.25, 0.5, 0.25, 1.25]]),),
        (np.array([[20.0, 30.0, 120.0, 70.0], [0.0, 0.0, 4.0, 8.0]]),),
        (np.array([[3.0, 4.0, 8.0, 11.0]]),),
    ),
    draw=lambda rng: (draw_boxes(rng, int(rng.integers(2, 7))),),
    hints=(
        "Take x alone: the left side is at 0.2 and the right one at 0.6. Where is the middle, and how wide is it?",
        "The middle is the mean of the two corners, the size is the second corner minus the first; in x and in y.",
        "low, high = boxes[:, :2], boxes[:, 2:] are the two corners. Put (low + high) / 2 and high - low side by side: "
        "np.concatenate([..., ...], axis=1).",
    ),
    mutants=(
        Mutant(
            _with(middle=(1, 0)),
            "these are the upper left corner and the size, as COCO writes a box. Wanted is the middle and the size.",
        ),
        Mutant(_with(middle=(-0.5, 0.5)), "half the size stands where the middle should be. A middle is a mean: add."),
        Mutant(
            _with(middle=(1, 0.5)),
            "only the lower right corner was halved: a division comes before a sum. Put the sum in brackets.",
        ),
        Mutant(
            _with(middle=(0.5, -0.5)),
            "half the size, with a minus, stands where the middle should be. A middle is a mean: add.",
        ),
        Mutant(
            _with(middle=(1.5, 0.5)),
            "half of both corners was added to the upper left one. To that belongs half the size; or halve the sum of "
            "both, and add nothing.",
        ),
        Mutant(_with(middle=(1, 1)), "the two corners were added and not halved: their mean is the middle."),
        Mutant(
            _with(size=0.5),
            "the sizes are only half as large, as the ways from the middle to the sides are. Or was a middle written "
            "over its corner before the size was taken?",
        ),
        Mutant(_with(size=-1), "the sizes are negative. Which corner has the larger numbers?"),
        Mutant(
            lambda boxes: corners_to_centers(boxes) + np.array([0, 0, 1, 1]),
            "1 was added to the sizes, as if sides were counted in whole pixels. A width is xmax - xmin.",
        ),
        Mutant(
            lambda boxes: np.concatenate([corners_to_centers(boxes)[:, :2], boxes[:, 2:]], axis=1),
            "the middle is right, but behind it the lower right corner still stands. Wanted is the size.",
        ),
        Mutant(_rearranged(2, 3, 0, 1), "each row is (width, height, x, y). The middle comes first."),
        Mutant(_rearranged(0, 2, 1, 3), "each row is (x, width, y, height). Wanted is (x, y, width, height)."),
        Mutant(_rearranged(1, 0, 3, 2), "each row is (y, x, height, width). x comes before y, width before height."),
        Mutant(
            centers_to_corners,
            "this is the other way round: it takes middle and size and gives corners. Here corners come in.",
        ),
        Mutant(
            lambda boxes: corners_to_centers(boxes[:, [0, 2, 1, 3]]),
            "boxes were read as (xmin, xmax, ymin, ymax). Both minima come first: (xmin, ymin, xmax, ymax).",
        ),
        Mutant(
            lambda boxes: np.concatenate(np.split(corners_to_centers(boxes), 2, axis=1)),
            "the sizes stand below the middles. To put two arrays side by side, say axis=1.",
        ),
        Mutant(
            lambda boxes: np.stack(np.split(corners_to_centers(boxes), 2, axis=1), axis=1),
            "middle and size have got an axis of their own, (N, 2, 2). np.concatenate joins along one that is there.",
        ),
        Mutant(
            lambda boxes: corners_to_centers(boxes).T,
            "all x stand in the first row, all y in the second. A row should be a box: turn it back, .T.",
        ),
        Mutant(_rearranged(0, 1, 3, 2), "each row is (x, y, height, width). The width comes first, as x does."),
        Mutant(_rearranged(1, 0, 2, 3), "each row is (y, x, width, height). x comes first, as the width does."),
        Mutant(
            lambda boxes: np.concatenate([corners_to_centers(boxes)[:, :2], boxes[:, :2] + boxes[:, 2:]], axis=1),
            "the middle is right, but the sizes are sums. A size is the second corner minus the first.",
        ),
        Mutant(
            _of_columns(lambda x0, y0, x1, y1: ((x0 + y0) / 2, (x1 + y1) / 2, x1 - x0, y1 - y0)),
            "the means are of x and y of one corner. A middle is the mean of two x, or of two y.",
        ),
        Mutant(
            _of_columns(lambda x0, y0, x1, y1: ((x0 + x1) / 2, (y0 + y1) / 2, y0 - x0, y1 - x1)),
            "the sizes are differences of x and y of one corner. A width is between two x, a height between two y.",
        ),
        Mutant(
            _of_columns(lambda x0, y0, x1, y1: ((x0 + x1) / 2, (x0 + x1) / 2, x1 - x0, y1 - y0)),
            "y is the same as x: the middle along y comes from ymin and ymax.",
        ),
        Mutant(
            _of_columns(lambda x0, y0, x1, y1: ((x0 + x1) / 2, (y0 + y1) / 2, x1 - x0, x1 - x0)),
            "the height is the same as the width: it comes from ymin and ymax.",
        ),
        Mutant(
            lambda boxes: np.floor(corners_to_centers(boxes)),
            "what stood behind the point was dropped, as `//` and int() do. Leave the numbers as they are.",
        ),
        Mutant(
            _of_columns(lambda x0, y0, x1, y1: ((x0 + x1) // 2, (y0 + y1) // 2, x1 - x0, y1 - y0)),
            "`//` drops what stands behind the point of the middles. `/` keeps it.",
        ),
        Mutant(
            lambda boxes: np.round(corners_to_centers(boxes)),
            "the numbers were rounded. Leave them as they are.",
        ),
        Mutant(
            lambda boxes: corners_to_centers(boxes).ravel(),
            "the numbers are right, but they make one long row. Each box should be a row of its own.",
        ),
        Mutant(
            lambda boxes: corners_to_centers(boxes).T.ravel(),
            "all x come first, then all y, in one long row. Each box should be a row: np.stack(..., axis=1).",
        ),
        Mutant(
            lambda boxes: corners_to_centers(boxes)[0],
            "this is the first box alone. Wanted are all: a row for each.",
        ),
    ),
    errors=(
        ("to unpack", "`boxes` gives its rows one by one, and each is a whole box. boxes.T gives the four columns."),
        ("AxisError", "these arrays have one axis alone. np.stack puts such columns side by side, with axis=1."),
        ("IndexError", "boxes[0] is the first row, a whole box. boxes[:, 0] is the first column."),
        (
            ("multiple values", "only integer scalar arrays"),
            "np.concatenate takes the arrays as one list: mind the square brackets.",
        ),
    ),
)


# 02.iou


def _sides(a, b, low=np.maximum, high=np.minimum):
    """(N, M, 2) width and height of what every pair shares; negative where they lie apart."""
    return high(a[:, None, 2:], b[:, 2:]) - low(a[:, None, :2], b[:, :2])


def _shared(a, b):
    return np.maximum(_sides(a, b), 0).prod(axis=-1)


def _over(shared, union):
    """A ratio of areas, 0 where there is nothing to divide by."""
    return np.divide(shared, union, out=np.zeros(np.shape(shared)), where=union != 0)


def _sum_of_areas(a, b):
    return areas(a)[:, None] + areas(b)


def _over_or_1(shared, union):
    """The lesson's way to divide where there may be nothing to divide by."""
    return shared / np.where(union > 0, union, 1)


def _unguarded(shared, union):
    with np.errstate(all="ignore"):
        return shared / union


def _with_shared(shared, over=_over_or_1):
    """IoU with another idea of the intersection."""

    def iou(a, b):
        intersection = shared(a, b)
        return over(intersection, _sum_of_areas(a, b) - intersection)

    return iou


def _never_clipped(a, b):
    return _sides(a, b).prod(axis=-1)


def _clipped_too_late(a, b):
    return np.maximum(_never_clipped(a, b), 0)


def _hull(a, b):
    return np.maximum(_sides(a, b, np.minimum, np.maximum), 0).prod(axis=-1)


def _with_pixels(a, b):
    """Sides counted as whole pixels, one more than their difference."""

    def counted(boxes):
        return (boxes[:, 2:] - boxes[:, :2] + 1).prod(axis=1)

    shared = np.maximum(_sides(a, b) + 1, 0).prod(axis=-1)
    return _over(shared, counted(a)[:, None] + counted(b) - shared)


def _first_guarded_then_not(iou: Function, sentence: str) -> tuple[Mutant, Mutant]:
    """One mistake twice: with the care for boxes without area, and before that is written.

    Args:
        iou: makes the wrong answer out of a way to divide.
        sentence: what helps.
    """
    after_that = f"{sentence} (After that: boxes without area, 0 / 0.)"
    return Mutant(iou(_over_or_1), sentence), Mutant(iou(_unguarded), after_that)


def _one_for_empty_boxes(a, b):
    union = _sum_of_areas(a, b) - _shared(a, b)
    return np.where(union > 0, pairwise_iou(a, b), 1)


def _as_corner_and_size(boxes):
    return np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], axis=1)


def _pair_by_pair(a, b):
    count = min(len(a), len(b))
    return pairwise_iou(a[:count], b[:count]).diagonal()


def _without_axes(a, b):
    """Row by row, as NumPy does it where neither list has an axis of its own; nothing where NumPy would raise."""
    if len(a) != len(b) and 1 not in (len(a), len(b)):
        return np.zeros(0)
    return pairwise_iou(a, b).ravel() if len(a) != len(b) else _pair_by_pair(a, b)


def _axis_by_axis(a, b, along):
    """IoU of sides that `along` takes from (N, 1) and (1, M) columns, and the right areas."""
    x0, y0, x1, y1 = a.T[:, :, None]
    u0, v0, u1, v1 = b.T[:, None]
    shared = np.maximum(along(x0, y0, x1, y1, u0, v0, u1, v1), 0).prod(axis=0)
    return _over(shared, _sum_of_areas(a, b) - shared)


def _widths_from_y(x0, y0, x1, y1, u0, v0, u1, v1):
    return np.stack([np.minimum(x1, u1) - np.maximum(x0, v0), np.minimum(y1, v1) - np.maximum(y0, v0)])


def _x_twice(x0, y0, x1, y1, u0, v0, u1, v1):
    width = np.minimum(x1, u1) - np.maximum(x0, u0)
    return np.stack([width, width])


def _one_side_clipped(place: int) -> Function:
    """The shared area where only the sides along x (0) or along y (1) are clipped at 0."""

    def shared(a, b):
        sides = _sides(a, b)
        return np.maximum(sides[..., place], 0) * sides[..., 1 - place]

    return shared


def _with_union(union):
    """IoU with another idea of the union, of the shared area and two lists."""
    return lambda a, b: _over(_shared(a, b), union(_shared(a, b), a, b))


def _union(shared, a, b):
    return _sum_of_areas(a, b) - shared


_APART = np.array([[0.5, 0.5, 1, 1], [0.5, 0, 0.75, 0.25], [0, 0.375, 0.25, 0.5], [0.25, 0, 0.5, 0.25]])
_EMPTY = np.array([[0.25, 0.25, 0.25, 0.25], [0.5, 0.25, 0.5, 0.75]])


def _draw_iou(rng: np.random.Generator) -> Arguments:
    """Boxes anywhere, boxes near others, and a box inside another.

    No gap between two boxes is larger than both: whoever takes it for a shared piece gets a union over 0, and what is
    done with another one makes no difference. No box is so small that 1e-6 more in a union could be told.
    """
    while True:
        a = draw_boxes(rng, int(rng.integers(3, 6)), least=24)
        inside = a[:1] + np.array([8, 4, -4, -12]) / STEPS
        b = np.concatenate([nudged(rng, a[1:], 8), inside, draw_boxes(rng, 2)])
        if (np.abs(_never_clipped(a, b)) < _sum_of_areas(a, b)).all():
            return a, b


IOU = Exercise(
    id="02.iou",
    title="IoU of all pairs",
    points=20,
    difficulty="medium",
    minutes=25,
    home="boxes.pairwise_iou",
    piece=True,
    fixed_cases=(
        (np.array([[0.0, 0.0, 0.5, 0.5]]), np.array([[0.25, 0.0, 0.75, 0.5]])),
        (
            np.array([[0.0, 0.0, 0.5, 0.5], [0.25, 0.25, 0.75, 1.0]]),
            np.array([[0.0, 0.0, 0.5, 0.5], [0.125, 0.25, 0.25, 0.5], [0.0, 0.0, 1.0, 1.0]]),
        ),
        (np.array([[0.0, 0.0, 0.25, 0.25]]), _APART),
        (np.array([[20.0, 30.0, 60.0, 80.0], [40.0, 40.0, 100.0, 70.0]]), np.array([[30.0, 40.0, 70.0, 90.0]])),
        # Small enough to tell 1e-5 more in a union, and too large to tell 1e-6, against 0 / 0, which is honest.
        (np.array([[0.0, 0.0, 0.109375, 0.125]]), np.array([[0.015625, 0.0, 0.125, 0.109375]])),
        (_EMPTY, np.concatenate([_EMPTY, [[0.0, 0.0, 1.0, 1.0]]])),
        (_APART, np.zeros((0, 4))),
    ),
    draw=_draw_iou,
    hints=(
        "Begin with the shared piece. In x it runs from the larger of the two left sides to the smaller of the two "
        "right sides. And if that is less than nothing?",
        "a[:, None] has shape (N, 1, 4), b[None] has (1, M, 4); np.maximum and np.minimum of the two give all pairs. "
        "Clip the sides at 0, multiply them, divide by area + area - shared, and put 0 where that is 0.",
        "low = np.maximum(a[:, None, :2], b[None, :, :2]); high = np.minimum(a[:, None, 2:], b[None, :, 2:]); shared = "
        "np.prod(np.maximum(high - low, 0), axis=2); union = area_a[:, None] + area_b - shared; then "
        "shared / np.where(union > 0, union, 1).",
    ),
    mutants=(
        *_first_guarded_then_not(
            lambda over: lambda a, b: over(_shared(a, b), _sum_of_areas(a, b)),
            "the two areas were added, and the piece they share was counted twice. Take it off once.",
        ),
        Mutant(
            lambda a, b: 2 * _over(_shared(a, b), _sum_of_areas(a, b)),
            "this is twice the intersection by the sum of the areas, known as Dice. IoU divides the intersection by "
            "the union.",
        ),
        Mutant(_shared, "this is the area that each pair shares. Divide it by the area that the two cover together."),
        Mutant(
            lambda a, b: _over(_shared(a, b), np.minimum(areas(a)[:, None], areas(b))),
            "the shared piece was divided by the smaller of the two areas, so a small box inside a large one gets 1. "
            "IoU divides by the union.",
        ),
        Mutant(
            lambda a, b: _over(_shared(a, b), np.broadcast_to(areas(a)[:, None], (len(a), len(b)))),
            "the shared piece was divided by the area of the first box alone. IoU divides by the union of both.",
        ),
        *_first_guarded_then_not(
            lambda over: _with_shared(_never_clipped, over),
            "boxes that lie apart get an IoU other than 0. Their shared width or height comes out negative: what "
            "should it be?",
        ),
        *_first_guarded_then_not(
            lambda over: _with_shared(_clipped_too_late, over),
            "boxes that lie apart both in x and in y get an IoU over 0: minus times minus is plus. Clip the sides "
            "before you multiply them.",
        ),
        *_first_guarded_then_not(
            lambda over: _with_shared(lambda a, b: np.abs(_sides(a, b)).prod(axis=-1), over),
            "for boxes that lie apart the gap between them was taken for a shared piece. A negative side means that "
            "nothing is shared.",
        ),
        *_first_guarded_then_not(
            lambda over: _with_shared(_hull, over),
            "minimum and maximum have changed places: this is the box around both. The shared piece begins where the "
            "later of the two begins.",
        ),
        Mutant(
            _with_shared(_hull, lambda shared, union: np.where(union > 0, _over(shared, union), 0)),
            "minimum and maximum have changed places, so this is the box around both, and some unions came out under "
            "0. The shared piece begins at the larger of the two beginnings.",
        ),
        *_first_guarded_then_not(
            lambda over: _with_shared(lambda a, b: np.maximum(_sides(a, b, np.minimum), 0).prod(axis=-1), over),
            "the shared piece begins at the smaller of the two beginnings. That belongs to one box alone: take the "
            "larger, np.maximum.",
        ),
        *_first_guarded_then_not(
            lambda over: _with_shared(
                lambda a, b: np.maximum(_sides(a, b, np.maximum, np.maximum), 0).prod(axis=-1), over
            ),
            "the shared piece ends at the larger of the two ends. That belongs to one box alone: take the smaller, "
            "np.minimum.",
        ),
        Mutant(
            _with_shared(_hull, _over),
            "minimum and maximum have changed places, so this is the box around both, and some IoUs are even negative. "
            "The shared piece begins at the larger of the two beginnings.",
        ),
        Mutant(
            _with_pixels,
            "1 was added to widths and heights, as if whole pixels were counted. A width is xmax - xmin, and boxes "
            "whose sides touch share nothing.",
        ),
        Mutant(
            _with_shared(_shared, _unguarded),
            "two boxes without any area share nothing and cover nothing: 0 / 0. The IoU of such a pair should be 0.",
        ),
        Mutant(
            _one_for_empty_boxes,
            "two boxes without any area have got 1, as if they fitted perfectly. Their IoU should be 0.",
        ),
        Mutant(
            lambda a, b: pairwise_iou(_as_corner_and_size(a), _as_corner_and_size(b)),
            "boxes were read as (x, y, width, height). They come as corners: (xmin, ymin, xmax, ymax).",
        ),
        Mutant(
            lambda a, b: pairwise_iou(b, a),
            "rows and columns have changed places: the boxes of `a` should go down, those of `b` across.",
        ),
        Mutant(
            _pair_by_pair,
            "the first box of `a` met the first of `b` only, the second the second. Every box of `a` should meet every "
            "box of `b`: give each its own axis.",
        ),
        Mutant(
            _without_axes,
            "row i of `a` met row i of `b` only. Give each list an axis of its own, (N, 1, 4) and (1, M, 4), and every "
            "row meets every row.",
        ),
        Mutant(
            lambda a, b: 1 - pairwise_iou(a, b),
            "this is 1 - IoU, the distance of Jaccard. Equal boxes should get 1.",
        ),
        Mutant(
            lambda a, b: pairwise_iou(a, b).ravel(),
            "the numbers are right, but they make one long row. Each box of `a` should be a row: shape (N, M).",
        ),
        Mutant(
            _with_union(lambda shared, a, b: np.maximum(areas(a)[:, None], areas(b))),
            "the shared piece was divided by the larger of the two areas. IoU divides by the union of both.",
        ),
        Mutant(
            _with_union(lambda shared, a, b: np.broadcast_to(areas(b), (len(a), len(b)))),
            "the shared piece was divided by the area of the second box alone. IoU divides by the union of both.",
        ),
        Mutant(
            _with_union(lambda shared, a, b: _sum_of_areas(a, b) + shared),
            "the shared piece was added to the sum of the areas once more. It is in there twice already: take it off "
            "once.",
        ),
        Mutant(
            _with_union(lambda shared, a, b: _sum_of_areas(a, b) - 2 * shared),
            "the shared piece was taken off twice. The sum of the areas counts it once too often: take it off once.",
        ),
        Mutant(
            lambda a, b: _shared(a, b) / (_union(_shared(a, b), a, b) + 1),
            "1 was added to every union, against 0 / 0, and in fractions of the image that is the whole image. Change "
            "a union only where it is 0.",
        ),
        *(
            Mutant(
                lambda a, b, more=more: _shared(a, b) / (_union(_shared(a, b), a, b) + more),
                f"about {more:g} was added to every union, against 0 / 0, and beside the union of small boxes that is "
                "not little. Change a union only where it is 0.",
            )
            for more in (1e-2, 1e-3, 1e-4, 1e-5)
        ),
        Mutant(
            lambda a, b: 100 * pairwise_iou(a, b),
            "these are percentages. An IoU lies between 0 and 1.",
        ),
        Mutant(
            lambda a, b: np.round(pairwise_iou(a, b), 1),
            "the IoUs were rounded to one decimal. Leave them as they are.",
        ),
        Mutant(
            lambda a, b: np.round(pairwise_iou(a, b), 2),
            "the IoUs were rounded to two decimals. Leave them as they are.",
        ),
        Mutant(
            lambda a, b: np.floor(pairwise_iou(a, b)),
            "every IoU under 1 has become 0: `//` drops what stands behind the point. `/` keeps it.",
        ),
        Mutant(
            _with_shared(lambda a, b: np.clip(_sides(a, b), 0, 1).prod(axis=-1)),
            "shared sides were cut off at 1. Boxes may come in pixels: clip at 0 alone.",
        ),
        *_first_guarded_then_not(
            lambda over: _with_shared(_one_side_clipped(0), over),
            "only the shared widths were clipped at 0. Heights can come out negative, too.",
        ),
        *_first_guarded_then_not(
            lambda over: _with_shared(_one_side_clipped(1), over),
            "only the shared heights were clipped at 0. Widths can come out negative, too.",
        ),
        Mutant(
            lambda a, b: _axis_by_axis(a, b, _widths_from_y),
            "in the shared width the x of one box was compared with the y of the other: [0] and [2] are x, [1] and [3] "
            "are y.",
        ),
        Mutant(
            lambda a, b: _axis_by_axis(a, b, _x_twice),
            "the shared width was multiplied by itself. The shared height is made of [1] and [3].",
        ),
        Mutant(
            lambda a, b: _over(_sides(a, b).clip(0).sum(axis=-1), _sum_of_areas(a, b)),
            "the shared width and height were added. An area is their product.",
        ),
    ),
    errors=(
        (
            "only integer scalar arrays",
            "np.max and np.min look for the largest and the smallest number of one array. Two arrays are compared by "
            "np.maximum and np.minimum.",
        ),
        (
            "is ambiguous",
            "Python's own max and min compare two numbers. For arrays, it is np.maximum and np.minimum.",
        ),
        (
            "could not be broadcast",
            "print the shapes: what belongs to `a` needs N and then 1, what belongs to `b` 1 and then M. Did the areas "
            "get their axes, too?",
        ),
        ("IndexError", "after [:, None] the four numbers of a box stand on the last axis: a[..., 2] is xmax."),
        ("to unpack", "`a` gives its rows one by one, and each is a whole box. a.T gives the four columns."),
    ),
)

ALLOWED = ("boxes.centers_to_corners",)
EXERCISES = (CORNERS_TO_CENTERS, IOU)
