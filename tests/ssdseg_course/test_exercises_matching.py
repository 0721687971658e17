"""Lesson 2: right answers that are written in another way, by us and by other libraries. Every one must pass."""

from math import exp, log

import numpy as np
import pytest
from answers import assert_passes, every_variant, exercises_of, report_on, words

from ssdseg_course import EXERCISES
from ssdseg_course.exercises.boxes import draw_anchors_and_boxes
from ssdseg_course.exercises.matching import greedy_match
from ssdseg_ref import coding as reference
from ssdseg_ref.boxes import pairwise_iou
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
        centers_as_a_tensor,
    ),
    "02.iou": (
        iou_by_loops,
        iou_in_float32,
        iou_the_other_way_round,
        iou_column_by_column,
        iou_of_pycocotools,
    ),
    "02.greedy_match": (greedy_by_sorting, greedy_by_deleting),
    "02.match_anchors": (match_by_loops, match_with_the_threshold_first),
    "02.encode": (encode_by_loops, encode_in_float32, encode_of_keras),
    "02.decode": (decode_by_loops, decode_in_float32, decode_of_keras),
    "02.encode_targets": (targets_by_loops, targets_by_where),
}


@every_variant(HONEST)
def test_an_honest_variant_passes(exercise, variant):
    assert_passes(exercise, variant)


def test_every_exercise_has_honest_variants():
    assert set(HONEST) == exercises_of("02")


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
    assert "two arrays, classes and offsets, and it returned 1" in words(report)
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
