import numpy as np
import pytest

from ssdseg_ref.boxes import pairwise_iou
from ssdseg_ref.matching import UNMATCHED, match_anchors


def _slow_match(anchors, boxes, threshold):
    """All pairs, best first (then first box, then first anchor); then the threshold, for each anchor by itself."""
    overlaps = pairwise_iou(boxes, anchors)
    pairs = [(-overlaps[box, anchor], box, anchor) for box in range(len(boxes)) for anchor in range(len(anchors))]
    matches, served = [UNMATCHED] * len(anchors), set()
    for negative_iou, box, anchor in sorted(pairs):
        if negative_iou < 0 and box not in served and matches[anchor] == UNMATCHED:
            matches[anchor] = box
            served.add(box)
    for anchor in range(len(anchors)):
        if matches[anchor] == UNMATCHED and len(boxes):
            best = max(range(len(boxes)), key=lambda box: overlaps[box, anchor])
            if overlaps[best, anchor] >= threshold:
                matches[anchor] = best
    return matches


def _random_boxes(rng, count):
    corners = rng.random((count, 2, 2))
    return np.concatenate([corners.min(axis=1), corners.max(axis=1)], axis=-1)


def _boxes_on_a_grid(rng, count):
    """On five lines each way, so that many boxes overlap equally."""
    low = rng.integers(0, 4, (count, 2))
    high = np.minimum(low + rng.integers(1, 3, (count, 2)), 4)
    return np.concatenate([low, high], axis=-1) / 4


@pytest.mark.parametrize("seed", range(30))
@pytest.mark.parametrize("draw", [_random_boxes, _boxes_on_a_grid])
def test_matching_is_what_sorting_all_pairs_finds_also_where_overlaps_are_equal(draw, seed):
    rng = np.random.default_rng(seed)
    anchors, boxes = draw(rng, int(rng.integers(1, 25))), draw(rng, int(rng.integers(1, 12)))
    threshold = float(rng.choice([0.25, 0.5, 0.75]))
    assert match_anchors(anchors, boxes, threshold).tolist() == _slow_match(anchors, boxes, threshold)


def test_two_boxes_that_share_their_best_anchor_both_get_one():
    anchors = [[0.0, 0.0, 0.4, 0.4], [0.0, 0.3, 0.4, 0.7]]
    boxes = [[0.0, 0.02, 0.4, 0.42], [0.0, 0.01, 0.4, 0.41]]
    assert pairwise_iou(boxes, anchors).argmax(axis=1).tolist() == [0, 0]
    assert match_anchors(anchors, boxes).tolist() == [1, 0]


def test_a_box_that_no_anchor_fits_still_gets_its_best_one():
    anchors = [[0, 0, 1, 1], [0, 0, 0.5, 0.5]]
    assert match_anchors(anchors, [[0, 0, 0.1, 0.1]], threshold=0.5).tolist() == [-1, 0]


def test_every_other_anchor_takes_a_box_from_the_threshold_on():
    anchors = [[0, 0, 1, 1], [0, 0, 1, 0.5], [0, 0, 1, 0.49]]
    assert match_anchors(anchors, [[0, 0, 1, 1]], threshold=0.5).tolist() == [0, 0, -1]


def test_a_box_keeps_its_only_anchor_though_another_box_overlaps_that_more():
    anchors = [[0, 0, 1, 1], [0, 0, 1, 0.6]]
    boxes = [[0, 0, 0.3, 0.4], [0, 0, 1, 1]]  # the second anchor overlaps them by 0.2 and by 0.6
    assert match_anchors(anchors, boxes, threshold=0.5).tolist() == [1, 0]


def test_an_anchor_that_touches_no_box_is_never_matched():
    assert match_anchors([[0, 0, 0.4, 0.4]], [[0.5, 0.5, 1, 1]]).tolist() == [-1]


def test_more_boxes_than_anchors_leave_the_worst_boxes_without_one():
    boxes = [[0, 0, 1, 0.3], [0, 0, 1, 1], [0, 0, 1, 0.5]]
    assert match_anchors([[0, 0, 1, 1]], boxes).tolist() == [1]


@pytest.mark.parametrize(("anchor_count", "box_count"), [(5, 0), (0, 5), (0, 0)])
def test_without_boxes_or_anchors_nothing_is_matched(anchor_count, box_count):
    rng = np.random.default_rng(0)
    matches = match_anchors(_random_boxes(rng, anchor_count), _random_boxes(rng, box_count))
    assert matches.tolist() == [UNMATCHED] * anchor_count
    assert matches.dtype == np.int32


@pytest.mark.parametrize("threshold", [0, -0.5, 1.1, float("nan")])
def test_a_threshold_that_is_no_iou_is_refused(threshold):
    with pytest.raises(ValueError, match="threshold is an IoU"):
        match_anchors([[0, 0, 1, 1]], [[0, 0, 1, 1]], threshold)
