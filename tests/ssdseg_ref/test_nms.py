import numpy as np
import pytest

from ssdseg_ref.boxes import pairwise_iou
from ssdseg_ref.nms import average_boxes, non_max_suppression

THREE_APART = np.array([[0.0, 0, 0.2, 1], [0.3, 0, 0.5, 1], [0.6, 0, 0.8, 1]])


def _random_boxes(rng, count):
    low = rng.random((count, 2)) * 0.6
    return np.concatenate([low, low + rng.uniform(0.1, 0.4, (count, 2))], axis=-1).astype(np.float32)


@pytest.mark.parametrize("seed", range(10))
def test_what_stays_is_what_tensorflow_keeps(seed):
    tf = pytest.importorskip("tensorflow")
    rng = np.random.default_rng(seed)
    boxes, scores = _random_boxes(rng, 150), rng.random(150, np.float32)
    most = int(rng.choice([5, 200]))
    expected = tf.image.non_max_suppression(
        boxes[:, [1, 0, 3, 2]], scores, most, iou_threshold=0.45, score_threshold=0.2
    )
    kept = non_max_suppression(boxes, scores, 0.45, 0.2, most)
    assert kept.tolist() == expected.numpy().tolist()


@pytest.mark.parametrize("seed", range(5))
def test_no_two_kept_boxes_overlap_too_much_and_every_dropped_one_overlaps_a_better_one(seed):
    rng = np.random.default_rng(seed)
    boxes, scores = _random_boxes(rng, 80), rng.random(80)
    kept = non_max_suppression(boxes, scores, 0.3, 0.0)
    overlaps = pairwise_iou(boxes, boxes)
    among_kept = overlaps[np.ix_(kept, kept)] - np.eye(len(kept))
    assert among_kept.max() <= 0.3 + 1e-6
    for dropped in set(range(80)) - set(kept.tolist()):
        assert any(overlaps[dropped, other] > 0.3 and scores[other] >= scores[dropped] for other in kept)


def test_the_best_comes_first():
    assert non_max_suppression(THREE_APART, [0.2, 0.9, 0.5]).tolist() == [1, 2, 0]


def test_equal_scores_keep_their_order():
    boxes = np.concatenate([THREE_APART, THREE_APART])
    assert non_max_suppression(boxes, [0.5] * 6).tolist() == [0, 1, 2]
    corners = np.stack(np.divmod(np.arange(196), 14), axis=-1)
    scores = np.random.default_rng(0).choice([0.25, 0.5, 0.75], 196)
    kept = non_max_suppression(np.concatenate([corners, corners + 0.9], axis=-1), scores)
    assert kept.tolist() == sorted(range(196), key=lambda index: (-scores[index], index))


def test_of_duplicates_one_stays():
    boxes = [[0.1, 0.1, 0.5, 0.5]] * 4
    assert non_max_suppression(boxes, [0.6, 0.9, 0.7, 0.8]).tolist() == [1]


def test_an_overlap_of_exactly_the_threshold_stays_and_one_just_above_goes():
    boxes = [[0, 0, 1, 1], [0, 0, 1, 0.5]]
    assert non_max_suppression(boxes, [0.9, 0.8], iou_threshold=0.5).tolist() == [0, 1]
    assert non_max_suppression(boxes, [0.9, 0.8], iou_threshold=0.499).tolist() == [0]


def test_a_score_of_exactly_the_threshold_takes_part_and_one_just_below_does_not():
    assert non_max_suppression(THREE_APART, [0.5, 0.25, 0.2499], score_threshold=0.25).tolist() == [0, 1]


def test_a_box_that_was_dropped_drops_no_other():
    chain = [
        [0.0, 0, 0.6, 1],
        [0.2, 0, 0.8, 1],
        [0.4, 0, 1.0, 1],
    ]  # each overlaps the next by half, the ends by a fifth
    assert non_max_suppression(chain, [0.9, 0.8, 0.7], iou_threshold=0.4).tolist() == [0, 2]


def test_it_stops_after_so_many():
    assert non_max_suppression(THREE_APART, [0.2, 0.9, 0.5], max_detections=2).tolist() == [1, 2]


def test_boxes_below_the_score_threshold_take_no_slot():
    boxes = np.concatenate([THREE_APART + 0.01, THREE_APART])
    kept = non_max_suppression(boxes, [0.0, 0.0, 0.0, 0.3, 0.2, 0.1], max_detections=3)
    assert kept.tolist() == [3, 4, 5]


@pytest.mark.parametrize("scores", [[], [0.001, 0.002]])
def test_nothing_to_keep_gives_no_index(scores):
    kept = non_max_suppression(np.zeros((len(scores), 4)), scores)
    assert kept.shape == (0,)
    assert np.issubdtype(kept.dtype, np.integer)


def test_boxes_without_scores_are_refused():
    with pytest.raises(ValueError, match="every box needs a score, got 3 boxes and 2 scores"):
        non_max_suppression(THREE_APART, [0.5, 0.5])


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("odd", [np.nan, np.inf, -np.inf])
def test_a_box_or_a_score_that_is_not_finite_drops_no_other(odd):
    boxes = np.concatenate([[[odd, 0, 1, 1]], THREE_APART])
    assert non_max_suppression(boxes, [0.9, 0.8, 0.7, 0.6]).tolist() == [1, 2, 3]
    scores = [np.nan, 0.8, np.nan]
    assert non_max_suppression(THREE_APART, scores).tolist() == [1]


def test_boxes_that_are_not_finite_take_no_slot():
    boxes = np.concatenate([np.full((5, 4), np.nan), THREE_APART])
    assert non_max_suppression(boxes, np.linspace(0.9, 0.2, 8), max_detections=3).tolist() == [5, 6, 7]


@pytest.mark.parametrize("kind", [np.uint8, np.int16, np.int32, np.float16])
def test_boxes_in_narrow_pixels_are_suppressed_as_in_fractions(kind):
    boxes = np.array([[0, 0, 200, 200], [10, 10, 200, 200], [210, 0, 250, 250]], kind)
    assert non_max_suppression(boxes, [0.9, 0.8, 0.7]).tolist() == [0, 2]


@pytest.mark.parametrize("seed", range(5))
def test_averaged_boxes_are_what_plain_arithmetic_finds_box_by_box(seed):
    rng = np.random.default_rng(seed)
    boxes, scores = _random_boxes(rng, 60), rng.random(60)
    kept = non_max_suppression(boxes, scores, 0.65, 0.1)
    overlaps = pairwise_iou(boxes.astype(float), boxes.astype(float))
    for index, averaged in zip(kept, average_boxes(boxes, scores, kept, 0.1), strict=True):
        sums, weights = np.zeros(4), 0.0
        for other in range(60):
            if scores[other] >= 0.1 and overlaps[index, other] >= 0.5:
                weight = scores[other] * np.exp(-((1 - overlaps[index, other]) ** 2) / 0.05)
                sums, weights = sums + weight * boxes[other], weights + weight
        np.testing.assert_allclose(averaged, sums / weights, atol=1e-6)


def test_a_box_that_is_alone_stays_where_it_is():
    boxes = THREE_APART.astype(np.float32)
    averaged = average_boxes(boxes, [0.2, 0.9, 0.5], [1, 0])
    assert averaged.dtype == np.float32
    np.testing.assert_allclose(averaged, boxes[[1, 0]], rtol=1e-6)


def test_two_equal_votes_meet_in_the_middle():
    boxes = np.array([[0, 0, 1, 1], [0.2, 0, 1.2, 1]])
    (averaged,) = average_boxes(boxes, [0.5, 0.5], [0])
    nearness = np.exp(-((1 / 3) ** 2) / 0.05)  # the IoU is 2 / 3
    assert averaged[0] == pytest.approx(0.2 * nearness / (1 + nearness))


def test_what_is_not_finite_or_scores_too_little_has_no_vote():
    boxes = np.array([[0, 0, 1, 1], [0, 0, 1, np.nan], [0, 0, np.inf, 1], [0.1, 0, 1.1, 1]])
    np.testing.assert_allclose(average_boxes(boxes, [0.9, 0.8, 0.7, 0.05], [0], 0.1), boxes[[0]])


def test_a_box_without_area_stays_and_no_box_gives_none():
    point = np.full((2, 4), 0.5)
    np.testing.assert_array_equal(average_boxes(point, [0.9, 0.8], [0]), point[[0]])
    assert average_boxes(point, [0.9, 0.8], []).shape == (0, 4)
    assert average_boxes(np.empty((0, 4)), [], []).shape == (0, 4)
