"""Lesson 2: right answers that are written in another way, by us and by other libraries. Every one must pass."""

from math import exp, log

import numpy as np
import pytest
from answers import assert_passes, assert_told, every_mistake, every_variant, exercises_of, report_on, words
from scipy import optimize

from ssdseg_course import EXERCISES
from ssdseg_course.exercises.boxes import draw_anchors_and_boxes
from ssdseg_course.exercises.matching import greedy_match
from ssdseg_ref import coding as reference
from ssdseg_ref.boxes import corners_to_centers, pairwise_iou
from ssdseg_ref.matching import match_anchors

SEEDS = range(30)


class Tensor:
    """What NumPy can read and is no array."""

    def __init__(self, values):
        self.values = values

    def __array__(self, dtype=None, copy=None):
        return np.array(self.values, np.float32)


def centers_by_loops(boxes):
    return [((x0 + x1) / 2, (y0 + y1) / 2, x1 - x0, y1 - y0) for x0, y0, x1, y1 in boxes.tolist()]


def centers_by_a_matrix(boxes):
    return boxes.astype(np.float32) @ [[0.5, 0, -1, 0], [0, 0.5, 0, -1], [0.5, 0, 1, 0], [0, 0.5, 0, 1]]


def centers_from_the_corner_on(boxes):
    xmin, ymin, xmax, ymax = boxes.T
    width, height = xmax - xmin, ymax - ymin
    return np.stack([xmin + width / 2, ymin + height / 2, width, height], axis=1)


def centers_written_into_a_prepared_array(boxes):
    centers = np.zeros_like(boxes)
    centers[:, :2] = (boxes[:, :2] + boxes[:, 2:]) / 2
    centers[:, 2:] = boxes[:, 2:] - boxes[:, :2]
    return centers


def centers_as_a_tensor(boxes):
    return Tensor(centers_by_loops(boxes))


def iou_of_two(a, b):
    width = max(0, min(a[2], b[2]) - max(a[0], b[0]))
    height = max(0, min(a[3], b[3]) - max(a[1], b[1]))
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - width * height
    return width * height / union if union else 0


def iou_by_loops(a, b):
    return [[iou_of_two(one, other) for other in b] for one in a]


def iou_in_float32(a, b):
    a, b = np.float32(a)[:, None], np.float32(b)[None]
    sides = np.clip(np.minimum(a, b)[..., 2:] - np.maximum(a, b)[..., :2], 0, None)
    shared = sides[..., 0] * sides[..., 1]
    union = np.prod(a[..., 2:] - a[..., :2], -1) + np.prod(b[..., 2:] - b[..., :2], -1) - shared
    return shared / np.maximum(union, np.float32(1e-9))


def iou_with_a_little_more(little, dtype):
    """A union that is never 0, as many repositories write it."""

    def iou(a, b):
        a, b = a.astype(dtype)[:, None], b.astype(dtype)[None]
        shared = np.clip(np.minimum(a, b)[..., 2:] - np.maximum(a, b)[..., :2], 0, None).prod(axis=-1)
        both = (a[..., 2:] - a[..., :2]).prod(axis=-1) + (b[..., 2:] - b[..., :2]).prod(axis=-1)
        return shared / (both - shared + dtype(little))

    iou.__name__ = f"iou_with_{little:g}_more_in_{dtype.__name__}"
    return iou


IOU_WITH_A_LITTLE_MORE = [
    iou_with_a_little_more(little, dtype) for little in (1e-6, 1e-7, 1e-9) for dtype in (np.float32, np.float64)
]


def iou_by_divide_where(a, b):
    a, b = a[:, None], b[None]
    shared = np.maximum(np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2]), 0).prod(axis=-1)
    union = (a[..., 2:] - a[..., :2]).prod(axis=-1) + (b[..., 2:] - b[..., :2]).prod(axis=-1) - shared
    return np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)


def iou_the_other_way_round(a, b):
    return pairwise_iou(b, a).T


def iou_column_by_column(a, b):
    table = np.zeros((len(a), len(b)))
    for k, box in enumerate(b):
        table[:, k] = pairwise_iou(a, box)[:, 0]
    return table


def iou_of_pycocotools(a, b):
    coco = pytest.importorskip("pycocotools.mask")
    with_sizes = [np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], axis=1) for boxes in (a, b)]
    # What pycocotools makes of no box has no columns, and of an empty box it makes 0 / 0.
    return np.nan_to_num(coco.iou(*with_sizes, [0] * len(b))) if len(b) else np.zeros((len(a), 0))


def greedy_by_sorting(ious):
    pairs = [(-iou, anchor, box) for (anchor, box), iou in np.ndenumerate(ious) if iou > 0]
    matches, served = [-1] * len(ious), set()
    for _, anchor, box in sorted(pairs):
        if matches[anchor] == -1 and box not in served:
            matches[anchor] = box
            served.add(box)
    return matches


def greedy_down_to_rounding(ious):
    table, matches = np.array(ious, np.float32), np.full(len(ious), -1, np.int8)
    while table.size and table.max() > 1e-6:
        anchor, box = divmod(int(table.argmax()), table.shape[1])
        matches[anchor], table[anchor], table[:, box] = box, -1, -1
    return matches.tolist()


def greedy_by_deleting(ious):
    """Strikes out rows and columns for good, and keeps their numbers."""
    anchors, boxes, rest = np.arange(len(ious)), np.arange(ious.shape[1]), ious
    matches = -np.ones(len(ious))
    while rest.size and rest.max() > 0:
        row, column = (int(k[0]) for k in np.where(rest == rest.max()))
        matches[anchors[row]] = boxes[column]
        rest = np.delete(np.delete(rest, row, axis=0), column, axis=1)
        anchors, boxes = np.delete(anchors, row), np.delete(boxes, column)
    return matches


def match_by_loops(anchors, boxes, threshold):
    table = np.float32(iou_by_loops(anchors, boxes)).reshape(len(anchors), len(boxes))
    matches = greedy_by_sorting(table)
    for anchor, row in enumerate(table.tolist()):
        if matches[anchor] == -1 and row and max(row) >= threshold:
            matches[anchor] = row.index(max(row))
    return matches


def match_with(iou):
    """The lesson's way with one of the honest functions for IoU, whose rounding may decide nothing."""

    def match_anchors(anchors, boxes, threshold):
        if len(boxes) == 0:
            return [-1] * len(anchors)
        ious = iou(anchors, boxes)
        matches = greedy_down_to_rounding(ious)
        return [
            row.argmax() if box < 0 and row.max() >= threshold else box for box, row in zip(matches, ious, strict=True)
        ]

    match_anchors.__name__ = f"match_with_{iou.__name__}"
    return match_anchors


def match_with_the_threshold_first(anchors, boxes, threshold):
    if len(boxes) == 0:
        return np.full(len(anchors), -1, np.int8)
    table = pairwise_iou(boxes, anchors)
    near = np.where(table.max(0) >= threshold, table.argmax(0), -1)
    own = greedy_match(table.T)
    return np.where(own >= 0, own, near)


def encode_by_loops(boxes, anchors):
    rows = []
    for (x, y, w, h), (x0, y0, w0, h0) in zip(centers_by_loops(boxes), centers_by_loops(anchors), strict=True):
        rows.append([(x - x0) / (w0 * 0.1), (y - y0) / (h0 * 0.1), (log(w) - log(w0)) / 0.2, 5 * log(h / h0)])
    return rows


def encode_in_float32(boxes, anchors):
    return reference.encode(np.float32(boxes), np.float32(anchors)).astype(np.float32)


def encode_of_keras(boxes, anchors):
    from keras.utils import bounding_boxes

    kinds = {"anchor_format": "xyxy", "box_format": "xyxy", "encoding_format": "center_xywh"}
    variances = [0.1, 0.1, 0.2, 0.2]
    return bounding_boxes.encode_box_to_deltas(np.float32(anchors), np.float32(boxes), variance=variances, **kinds)


def decode_by_loops(offsets, anchors):
    rows = []
    for (dx, dy, dw, dh), (x, y, w, h) in zip(offsets.tolist(), centers_by_loops(anchors), strict=True):
        x, y, w, h = x + 0.1 * dx * w, y + 0.1 * dy * h, w * exp(dw / 5), h * exp(0.2 * dh)
        rows.append((x - w / 2, y - h / 2, x + w / 2, y + h / 2))
    return rows


def decode_in_float32(offsets, anchors):
    return reference.decode(np.float32(offsets), np.float32(anchors))


def decode_of_keras(offsets, anchors):
    from keras.utils import bounding_boxes

    kinds = {"anchor_format": "xyxy", "box_format": "xyxy", "encoded_format": "center_xywh"}
    variances = [0.1, 0.1, 0.2, 0.2]
    return bounding_boxes.decode_deltas_to_boxes(np.float32(anchors), np.float32(offsets), variance=variances, **kinds)


def targets_by_loops(boxes, labels, anchors, threshold):
    classes, offsets = [], []
    for anchor, box in zip(anchors, match_by_loops(anchors, boxes, threshold), strict=True):
        classes.append(0 if box < 0 else labels[box])
        offsets.append([0, 0, 0, 0] if box < 0 else encode_by_loops(boxes[box : box + 1], anchor[None])[0])
    return classes, offsets


def targets_by_where(boxes, labels, anchors, threshold):
    """Adds a row that stands for no box at the end, where -1 finds it."""
    matches = match_with_the_threshold_first(anchors, boxes, threshold)
    classes = np.append(labels, 0)[matches]
    own = np.where(matches[:, None] >= 0, np.vstack([boxes, [0, 0, 1, 1]])[matches], anchors)
    return [classes.astype(float), reference.encode(own, anchors)]


HONEST = {
    "02.corners_to_centers": (
        centers_by_loops,
        centers_by_a_matrix,
        centers_from_the_corner_on,
        centers_written_into_a_prepared_array,
        centers_as_a_tensor,
    ),
    "02.iou": (
        iou_by_loops,
        iou_in_float32,
        iou_the_other_way_round,
        iou_column_by_column,
        iou_of_pycocotools,
        iou_by_divide_where,
        *IOU_WITH_A_LITTLE_MORE,
    ),
    "02.greedy_match": (greedy_by_sorting, greedy_by_deleting, greedy_down_to_rounding),
    "02.match_anchors": (
        match_by_loops,
        match_with_the_threshold_first,
        *map(match_with, IOU_WITH_A_LITTLE_MORE),
    ),
    "02.encode": (encode_by_loops, encode_in_float32),
    "02.decode": (decode_by_loops, decode_in_float32),
    "02.encode_targets": (targets_by_loops, targets_by_where),
}


@every_variant(HONEST)
def test_an_honest_variant_passes(exercise, variant):
    assert_passes(exercise, variant)


@pytest.mark.parametrize(("name", "function"), [("encode", encode_of_keras), ("decode", decode_of_keras)])
def test_what_keras_offers_passes(name, function):
    """At few seeds: Keras takes a while."""
    for seed in SEEDS[:3]:
        assert report_on(EXERCISES[f"02.{name}"], function, seed).passed


def test_every_exercise_has_honest_variants():
    assert set(HONEST) == exercises_of("02")


# Mistakes, as people write them


def centers_of(join, halve=lambda low, high: (low + high) / 2):
    def corners_to_centers(boxes):
        low, high = boxes[:, :2], boxes[:, 2:]
        return join(halve(low, high), high - low)

    return corners_to_centers


def centers_of_unpacked_rows(boxes):
    xmin, ymin, xmax, ymax = boxes
    return np.stack([(xmin + xmax) / 2, (ymin + ymax) / 2, xmax - xmin, ymax - ymin], axis=1)


def centers_of_columns(join):
    def corners_to_centers(boxes):
        xmin, ymin, xmax, ymax = boxes[:, 0], boxes[:, 1], boxes[:, 2], boxes[:, 3]
        return join([(xmin + xmax) / 2, (ymin + ymax) / 2, xmax - xmin, ymax - ymin])

    return corners_to_centers


def centers_of_rows_taken_for_columns(boxes):
    return np.stack([boxes[0] + boxes[2], boxes[1] + boxes[3], boxes[2] - boxes[0], boxes[3] - boxes[1]], axis=1)


def side_by_side(middle, size):
    return np.concatenate([middle, size], axis=1)


def clip_each_side(width, height):
    return np.maximum(0, width) * np.maximum(0, height)


def clip_the_area(width, height):
    return np.maximum(0, width * height)


def clip_nothing(width, height):
    return width * height


def where_over_0(shared, union):
    return np.where(union > 0, shared / np.where(union == 0, 1, union), 0)


def where_not_0(shared, union):
    return np.divide(shared, union, out=np.zeros_like(union), where=union != 0)


def by_a_safe_union(shared, union):
    return shared / np.where(union > 0, union, 1)


def plainly(shared, union):
    with np.errstate(all="ignore"):
        return shared / union


def iou_of(clip=clip_each_side, ratio=by_a_safe_union, low=np.maximum, high=np.minimum, axes=True, twice=False):
    """The lesson's formula, number by number."""

    def iou(a, b):
        if axes:
            a, b = a[:, None], b[None]
        width = high(a[..., 2], b[..., 2]) - low(a[..., 0], b[..., 0])
        height = high(a[..., 3], b[..., 3]) - low(a[..., 1], b[..., 1])
        shared = clip(width, height)
        both = (a[..., 2] - a[..., 0]) * (a[..., 3] - a[..., 1]) + (b[..., 2] - b[..., 0]) * (b[..., 3] - b[..., 1])
        return ratio(shared, both if twice else both - shared)

    return iou


def iou_that_gives_empty_boxes_1(a, b):
    return iou_of(ratio=lambda shared, union: np.where(union > 0, plainly(shared, union), 1))(a, b)


def iou_of_the_wrong_axis(a, b):
    a, b = a[:, None], b[None]
    return np.maximum(a[:, 0], b[:, 0])[:, None] - np.minimum(a[:, 2], b[:, 2])


def iou_without_axes_for_the_areas(a, b):
    sides = np.maximum(np.minimum(a[:, None, 2:], b[None, :, 2:]) - np.maximum(a[:, None, :2], b[None, :, :2]), 0)
    shared = sides.prod(axis=2)
    return shared / ((a[:, 2:] - a[:, :2]).prod(axis=1) + (b[:, 2:] - b[:, :2]).prod(axis=1) - shared)


def best_per_column(ious):
    matches = np.full(len(ious), -1)
    if ious.size:
        for box, anchor in enumerate(ious.argmax(axis=0)):
            matches[anchor] = box
    return matches


def best_per_column_over_0(ious):
    matches = np.full(len(ious), -1)
    for box in range(ious.shape[1]):
        anchor = ious[:, box].argmax()
        if ious[anchor, box] > 0:
            matches[anchor] = box
    return matches


def greedy(rounds=None, used=0.0, until=lambda largest: largest > 0, strike=("row", "column")):
    """The lesson's way: take the largest, strike out, repeat."""

    def greedy_match(ious):
        ious, matches = ious.copy(), [-1] * len(ious)
        left = rounds(*ious.shape) if rounds else ious.size
        while left > 0 and ious.size and (rounds or until(ious.max())):
            left -= 1
            row, column = np.unravel_index(ious.argmax(), ious.shape)
            matches[row] = column
            if "row" in strike:
                ious[row] = used
            if "column" in strike:
                ious[:, column] = used
        return matches

    return greedy_match


def a_round_for_every_box(anchors, boxes):
    return boxes


def a_round_for_every_anchor(anchors, boxes):
    return anchors


def greedy_that_deletes(ious):
    matches = -np.ones(len(ious), int)
    while ious.size and np.max(ious) > 0:
        row, column = np.argwhere(ious == ious.max())[0]
        matches[row] = column
        ious = np.delete(ious, row, axis=0)
        ious = np.delete(ious, column, axis=1)
    return matches


def greedy_that_writes_the_anchor_down(ious):
    ious, matches = ious.copy(), np.full(len(ious), -1)
    while ious.size and ious.max() > 0:
        row, column = np.unravel_index(ious.argmax(), ious.shape)
        matches[column], ious[row], ious[:, column] = row, 0, 0
    return matches


def greedy_for_the_largest_sum(ious):
    matches = np.full(len(ious), -1)
    for anchor, box in zip(*optimize.linear_sum_assignment(ious, maximize=True), strict=True):
        if ious[anchor, box] > 0:
            matches[anchor] = box
    return matches


def greedy_of_a_rounded_table(ious):
    return greedy()(np.round(ious, 2))


def greedy_by_argwhere(ious):
    row, column = np.argwhere(ious == ious.max(initial=0))
    return row, column


def greedy_with_the_index_as_a_row(ious):
    ious, matches = ious.copy(), np.full(len(ious), -1)
    for _ in range(ious.shape[1]):
        row = ious.argmax()
        matches[row], ious[row] = ious[row].argmax(), 0
    return matches


def greedy_that_looks_before_it_counts(ious):
    ious, matches = ious.copy(), np.full(len(ious), -1)
    while ious.max() > 0:
        row, column = np.unravel_index(ious.argmax(), ious.shape)
        matches[row], ious[row], ious[:, column] = column, 0, 0
    return matches


def two_steps(free, fill=lambda matches, ious, free: np.where(free, ious.argmax(axis=1), matches), first=greedy_match):
    """The lesson's way: greedy first, then a mask."""

    def match_anchors(anchors, boxes, threshold):
        ious = pairwise_iou(anchors, boxes)
        matches = first(ious)
        if len(boxes) == 0:
            return matches
        return fill(matches, ious, free(matches, ious, threshold))

    return match_anchors


def free_and_near(matches, ious, threshold):
    return (matches == -1) & (ious.max(axis=1) >= threshold)


def filled_in_a_copy(matches, ious, near):
    free = matches == -1
    matches[free][near[free]] = ious.argmax(axis=1)[free & near]
    return matches


def filled_with_all(matches, ious, free):
    matches[free] = ious.argmax(axis=1)
    return matches


def match_with_boxes_down_the_side(anchors, boxes, threshold):
    ious = pairwise_iou(boxes, anchors)
    matches = greedy_match(ious)
    if len(boxes) == 0:
        return matches
    free = (matches == -1) & (ious.max(axis=1) >= threshold)
    matches[free] = ious.argmax(axis=1)[free]
    return matches


def match_that_gives_nothing_for_no_boxes(anchors, boxes, threshold):
    return [] if len(boxes) == 0 else match_anchors(anchors, boxes, threshold)


def match_that_looks_before_it_counts(anchors, boxes, threshold):
    ious = pairwise_iou(anchors, boxes)
    matches = greedy_match(ious)
    free = (matches == -1) & (ious.max(axis=1) >= threshold)
    matches[free] = ious.argmax(axis=1)[free]
    return matches


def match_by_the_threshold_first(anchors, boxes, threshold):
    ious = pairwise_iou(anchors, boxes)
    if len(boxes) == 0:
        return np.full(len(anchors), -1)
    matches = np.where(ious.max(axis=1) >= threshold, ious.argmax(axis=1), -1)
    for box in range(len(boxes)):
        free = np.where(matches == -1, ious[:, box], 0)
        if box not in matches and free.max() > 0:
            matches[free.argmax()] = box
    return matches


def as_it_is(corners):
    return corners


def encode_with_a_list_of_centers(boxes, anchors):
    box, anchor = centers_by_loops(boxes), centers_by_loops(anchors)
    return (box[:, :2] - anchor[:, :2]) / anchor[:, 2:]


def encode_with_a_forgotten_colon(boxes, anchors):
    box, anchor = corners_to_centers(boxes), corners_to_centers(anchors)
    move, stretch = (box[:, :2] - anchor[:, :2]) / anchor[:, 2], np.log(box[:, 2:] / anchor[:, 2:])
    return np.concatenate([move, stretch], axis=1) / [0.1, 0.1, 0.2, 0.2]


def decode_with_a_forgotten_colon(offsets, anchors):
    anchor = corners_to_centers(anchors)
    middle, half = anchor[:, :2] + offsets[:, :2] * 0.1 * anchor[:, 2], anchor[:, 2] * np.exp(0.2 * offsets[:, 2:]) / 2
    return np.concatenate([middle - half, middle + half], axis=1)


def encoded(box_as=corners_to_centers, anchor_as=corners_to_centers, variances=(0.1, 0.1, 0.2, 0.2), move_by=None):
    """The lesson's formula, column by column."""

    def encode(boxes, anchors):
        x, y, w, h = box_as(boxes).T
        x_a, y_a, w_a, h_a = anchor_as(anchors).T
        down = {"width": w_a, None: h_a}[move_by]
        with np.errstate(all="ignore"):
            columns = (x - x_a) / w_a, (y - y_a) / down, np.log(w / w_a), np.log(h / down)
        return np.stack(columns, axis=1) / variances

    return encode


def decoded(anchor_as=corners_to_centers, stretch=lambda size, by: size * np.exp(by), moved_in_new_sizes=False):
    def decode(offsets, anchors):
        anchor = anchor_as(anchors)
        size = stretch(anchor[:, 2:], offsets[:, 2:] * 0.2)
        middle = anchor[:, :2] + offsets[:, :2] * 0.1 * (size if moved_in_new_sizes else anchor[:, 2:])
        return np.concatenate([middle - size / 2, middle + size / 2], axis=1)

    return decode


def targets_of(classes, offsets, positive=lambda matches: matches >= 0):
    """The lesson's way: match, then look up classes and boxes."""

    def encode_targets(boxes, labels, anchors, threshold):
        matches = match_anchors(anchors, boxes, threshold)
        given = (matches, positive(matches))
        return classes(labels, *given), offsets(boxes, anchors, *given)

    return encode_targets


def classes_filled_in(labels, matches, positive, background=0):
    classes = np.full(len(matches), background)
    classes[positive] = labels[matches[positive]]
    return classes


def classes_with_minus_1(labels, matches, positive):
    return classes_filled_in(labels, matches, positive, background=-1)


def classes_of_all(labels, matches, positive):
    return labels[matches]


def classes_by_a_mask_of_labels(labels, matches, positive):
    classes = np.zeros(len(matches), int)
    classes[positive] = labels[positive]
    return classes


def classes_by_where(labels, matches, positive):
    return np.where(positive, labels[matches], 0)


def classes_from_all(labels, matches, positive):
    classes = np.zeros(len(matches), int)
    classes[positive] = np.append(labels, 0)[matches]
    return classes


def offsets_filled_in(boxes, anchors, matches, positive):
    offsets = np.zeros((len(anchors), 4))
    offsets[positive] = reference.encode(boxes[matches[positive]], anchors[positive])
    return offsets


def offsets_of_all(boxes, anchors, matches, positive):
    return reference.encode(boxes[matches], anchors)


def offsets_from_all_anchors(boxes, anchors, matches, positive):
    offsets = np.zeros((len(anchors), 4))
    chosen, anchors = corners(boxes[matches[positive]]), corners(anchors)
    offsets[positive] = chosen - anchors
    return offsets


def offsets_not_yet(boxes, anchors, matches, positive):
    return np.zeros((len(anchors), 4))


def targets_with_boxes_for_anchors(boxes, labels, anchors, threshold):
    matches = match_anchors(boxes, anchors, threshold)
    classes, offsets = np.zeros(len(anchors), int), np.zeros((len(anchors), 4))
    classes[matches >= 0] = labels[matches[matches >= 0]]
    return classes, offsets


def corners(boxes):
    return boxes


RATIOS = (where_over_0, where_not_0, by_a_safe_union, plainly)

MISTAKES = {
    "02.corners_to_centers": (
        (centers_of(lambda middle, size: np.concatenate([middle, size])), "say axis=1"),
        (centers_of(lambda middle, size: np.stack([middle, size], axis=1)), "an axis of their own, (N, 2, 2)"),
        (centers_of(lambda middle, size: np.concatenate(middle, size, axis=1)), "mind the square brackets"),
        (centers_of(lambda middle, size: np.concatenate(middle, size)), "mind the square brackets"),
        (centers_of(side_by_side, halve=lambda low, high: low + high / 2), "only the lower right corner was halved"),
        (centers_of_columns(np.stack), "turn it back"),
        (centers_of_columns(np.array), "turn it back"),
        (
            centers_of_columns(lambda columns: np.concatenate(columns, axis=1)),
            "np.stack puts such columns side by side",
        ),
        (centers_of_unpacked_rows, "boxes.T gives the four columns"),
        (centers_of_rows_taken_for_columns, "boxes[:, 0] is the first column"),
    ),
    "02.iou": (
        *((iou_of(clip_the_area, ratio), "Clip the sides before you multiply") for ratio in RATIOS),
        *((iou_of(clip_nothing, ratio), "boxes that lie apart get an IoU other than 0") for ratio in RATIOS),
        *((iou_of(ratio=ratio, low=np.minimum, high=np.maximum), "this is the box around both") for ratio in RATIOS),
        *((iou_of(ratio=ratio, twice=True), "the piece they share was counted twice") for ratio in RATIOS),
        *((iou_of(ratio=ratio, axes=False), "row i of `a` met row i of `b` only") for ratio in RATIOS),
        (iou_of(ratio=plainly), "0 / 0. The IoU of such a pair should be 0"),
        (iou_that_gives_empty_boxes_1, "as if they fitted perfectly"),
        (iou_of(low=lambda a, b: np.max(a, b)), "np.max and np.min look for"),
        (iou_of(low=lambda a, b: np.max(0, b)), "np.max and np.min look for"),
        (iou_of(low=max, high=min), "compare two numbers"),
        (iou_of_the_wrong_axis, "a[..., 2] is xmax"),
        (iou_without_axes_for_the_areas, "Did the areas get their axes"),
    ),
    "02.greedy_match": (
        (best_per_column, "two boxes took the same anchor"),
        (best_per_column_over_0, "every box took its best anchor"),
        *(
            (greedy(rounds, used), "Stop")
            for rounds in (a_round_for_every_box, a_round_for_every_anchor, min)
            for used in (0, -1, -np.inf)
        ),
        (greedy(used=-1, until=lambda largest: largest >= 0), "pairs with an IoU of 0 were taken"),
        (greedy(until=lambda largest: largest >= 0.5), "under an IoU of 0.5 were left out"),
        (greedy(until=lambda largest: largest > 0.5), "up to an IoU of 0.5 were left out"),
        (greedy(strike=("row",)), "a box that has its anchor is out"),
        (greedy(strike=("column",)), "an anchor that had a box was given away again"),
        (greedy_that_deletes, "those behind it move up"),
        (greedy_that_writes_the_anchor_down, "row and column have changed places"),
        (greedy_with_the_index_as_a_row, "gives the row first"),
        (greedy_that_looks_before_it_counts, "See to `ious.size`"),
        *(
            (greedy(until=lambda largest, least=least: largest > least), "a pair with a small IoU was left out")
            for least in (0.01, 0.05, 0.1, 0.3)
        ),
        (greedy_for_the_largest_sum, "these are the pairs with the largest sum"),
        (greedy_of_a_rounded_table, "pairs became equal that are not"),
        (greedy_by_argwhere, "np.argwhere(...)[0] is the first"),
    ),
    "02.match_anchors": (
        (two_steps(lambda matches, ious, threshold: (matches <= 0) & (ious.max(axis=1) >= threshold)), "0 is a box"),
        (two_steps(lambda matches, ious, threshold: matches == -1), "What is `threshold` for?"),
        (two_steps(lambda matches, ious, threshold: (matches == -1) & (ious.max(axis=1) > 0)), "reaches `threshold`"),
        (two_steps(lambda matches, ious, threshold: ious.max(axis=1) >= threshold), "Only free anchors"),
        (
            two_steps(lambda matches, ious, threshold: (matches == -1) & (ious.max(axis=1) > threshold)),
            "exactly the threshold was left out",
        ),
        (two_steps(free_and_near, filled_in_a_copy), "writes into a copy"),
        (two_steps(free_and_near, filled_with_all), "Choose by the same mask"),
        (two_steps(lambda matches, ious, threshold: matches == -1, filled_with_all), "Choose by the same mask"),
        (
            two_steps(lambda matches, ious, threshold: (matches == -1) & (ious.max(axis=0) >= threshold)),
            "one entry for each anchor",
        ),
        (two_steps(free_and_near, filled_with_all, first=lambda ious: greedy_match(ious).tolist()), "make an array"),
        (two_steps(free_and_near, first=best_per_column_over_0), "That is what greedy_match is there for"),
        (match_with_boxes_down_the_side, "Were anchors and boxes exchanged"),
        (match_that_gives_nothing_for_no_boxes, "an image without boxes"),
        (match_that_looks_before_it_counts, "an image without boxes"),
        (match_by_the_threshold_first, "the threshold came first"),
        (
            two_steps(lambda matches, ious, threshold: matches == -1 and ious.max(axis=1) >= threshold),
            "& joins two masks",
        ),
        (two_steps(lambda matches, ious, threshold: matches == -1 & (ious.max(axis=1) >= threshold)), "& binds more"),
        (
            two_steps(lambda matches, ious, threshold: (matches == -1) & (np.round(ious.max(axis=1), 2) >= threshold)),
            "rounded to two decimals",
        ),
    ),
    "02.encode": (
        (encoded(box_as=as_it_is, anchor_as=as_it_is), "made from corners"),
        (encoded(box_as=as_it_is), "the boxes were not"),
        (encoded(anchor_as=as_it_is), "the anchors were not"),
        (encoded(variances=0.1), "all four were divided by 0.1"),
        (encoded(variances=np.sqrt([0.1, 0.1, 0.2, 0.2])), "the roots of the variances"),
        (encode_with_a_list_of_centers, "does your corners_to_centers give a list?"),
        (encoded(move_by="width"), "everything was divided by the anchor's width"),
        (encode_with_a_forgotten_colon, "That along y counts in heights"),
    ),
    "02.decode": (
        (decoded(anchor_as=as_it_is), "Turn them into centers first"),
        (decoded(moved_in_new_sizes=True), "in sizes of the new box"),
        (decoded(stretch=lambda size, by: size + np.exp(by)), "It says how many times: multiply"),
        (decoded(stretch=lambda size, by: size * (1 + by)), "It is a logarithm"),
        (decode_with_a_forgotten_colon, "everything was counted in the anchor's width"),
    ),
    "02.encode_targets": (
        (targets_of(classes_of_all, offsets_filled_in), "the class of the last box"),
        (targets_of(classes_of_all, offsets_of_all), "the class of the last box and the offsets to it"),
        (targets_of(classes_filled_in, offsets_of_all), "have the offsets to the last box"),
        (targets_of(classes_filled_in, offsets_not_yet), "still 0 throughout"),
        (targets_of(classes_with_minus_1, offsets_filled_in), "Background is a class of its own: 0"),
        (targets_of(classes_filled_in, offsets_filled_in, positive=lambda matches: matches > 0), "0 is a box; none is"),
        (targets_of(classes_by_a_mask_of_labels, offsets_filled_in), "matches[positive] says which box"),
        (targets_of(classes_by_where, offsets_filled_in), "an image without boxes has no last box"),
        (targets_of(classes_from_all, offsets_filled_in), "on the right all of them"),
        (targets_of(classes_filled_in, offsets_from_all_anchors), "encode needs as many boxes as anchors"),
        (targets_with_boxes_for_anchors, "Were anchors and boxes exchanged"),
    ),
}


@every_mistake(MISTAKES)
def test_a_mistake_as_people_write_it_gets_the_sentence_that_helps(exercise, mistake, sentence):
    assert_told(exercise, mistake, sentence)


@pytest.mark.parametrize("seed", SEEDS)
def test_no_anchor_and_box_would_both_rather_have_each_other(seed):
    """One-to-one pairs, best first, are the stable ones: whatever is better for the one is worse for the other."""
    rng = np.random.default_rng(seed)
    ious = rng.random((int(rng.integers(1, 9)), int(rng.integers(1, 6)))) * (rng.random() < 0.9)
    matches = greedy_match(ious)
    of_anchor = np.where(matches >= 0, ious[np.arange(len(ious)), matches], 0)
    of_box = np.zeros(ious.shape[1])
    of_box[matches[matches >= 0]] = of_anchor[matches >= 0]
    assert not ((ious > of_anchor[:, None]) & (ious > of_box)).any()
    assert len(set(matches[matches >= 0])) == np.count_nonzero(matches >= 0)


@pytest.mark.parametrize("seed", SEEDS)
def test_rounding_decides_no_match_of_a_drawn_case(seed):
    anchors, boxes, threshold = draw_anchors_and_boxes(np.random.default_rng(seed))
    exact = match_anchors(anchors, boxes, threshold)
    assert match_anchors(np.float32(anchors), np.float32(boxes), threshold).tolist() == exact.tolist()
    for nearly in (threshold - 1e-5, threshold + 1e-5):
        assert match_anchors(anchors, boxes, nearly).tolist() == exact.tolist()


@pytest.mark.parametrize("seed", SEEDS)
def test_a_drawn_case_has_positives_and_negatives(seed):
    matches = match_anchors(*draw_anchors_and_boxes(np.random.default_rng(seed)))
    assert (matches >= 0).any()
    assert (matches < 0).any()


def test_targets_without_their_offsets_are_asked_for_both():
    report = report_on(EXERCISES["02.encode_targets"], lambda *arguments: reference.encode_targets(*arguments)[0])
    assert "it should return 2 things, classes and offsets, and it returned 4 things (an array of shape (4,))" in words(
        report
    )
    assert "return classes, offsets" in words(report)


def test_what_is_wrong_with_targets_names_the_part():
    report = report_on(
        EXERCISES["02.encode_targets"],
        lambda *arguments: (reference.encode_targets(*arguments)[0], reference.encode_targets(*arguments)[1] + 1),
    )
    assert "offsets: shape is right: (4, 4) but row 0 should be" in words(report)


def test_a_greedy_match_that_spoils_the_table_it_was_given_is_told_so():
    def spoils(ious):
        right = greedy_match(ious)
        ious[:] = 0
        return right

    assert "changed its argument `ious`" in words(report_on(EXERCISES["02.greedy_match"], spoils))
