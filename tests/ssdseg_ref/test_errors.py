"""Is every error told by its kind, and is what it costs what average precision gains without it?"""

from types import SimpleNamespace

import numpy as np
import pytest

from ssdseg_ref.boxes import pairwise_iou
from ssdseg_ref.errors import ERRORS, choose_threshold, error_costs, error_kinds, mend
from ssdseg_ref.metrics import average_precision, average_precisions, match_detections

TRUTH = (0.0, 0.0, 0.1, 0.1)
ELSEWHERE = (0.5, 0.5, 0.6, 0.6)


def across(share, box=TRUTH):
    """A box whose IoU with another is that share: a part of it."""
    xmin, ymin, xmax, ymax = box
    return xmin, ymin, xmin + share * (xmax - xmin), ymax


def seen(*objects):
    """Objects of an image, each (label, box) or, detected, (label, box, score); best first."""
    return SimpleNamespace(
        boxes=np.array([thing[1] for thing in objects], np.float64).reshape(-1, 4),
        labels=np.array([thing[0] for thing in objects], int),
        scores=np.array([thing[2] for thing in objects if len(thing) > 2], float),
    )


def kinds_of(prediction, truth):
    return error_kinds(prediction.boxes, prediction.labels, truth.boxes, truth.labels)


def random_images(rng, classes=3, images=4):
    """Truths, and detections around them: some near, some of a wrong class, some twice, some anywhere."""
    predictions, truths = [], []
    for _ in range(images):
        count, most = int(rng.integers(0, 7)), int(rng.integers(0, 15))
        low = rng.uniform(0, 0.6, (count, 2))
        boxes = np.concatenate([low, low + rng.uniform(0.05, 0.4, (count, 2))], axis=1)
        labels = rng.integers(1, classes + 1, count)
        around = rng.integers(0, count, most) if count else np.zeros(0, int)
        moved = boxes[around] + rng.normal(size=(len(around), 4)) * rng.choice([0.005, 0.04, 0.1], (len(around), 1))
        moved = np.concatenate([np.minimum(moved[:, :2], moved[:, 2:]), np.maximum(moved[:, :2], moved[:, 2:])], axis=1)
        stray = np.tile([0.7, 0.7, 0.9, 0.9], (int(rng.integers(0, 3)), 1))
        own = np.where(rng.random(len(around)) < 0.7, labels[around], rng.integers(1, classes + 1, len(around)))
        predictions.append(
            SimpleNamespace(
                boxes=np.concatenate([moved, stray]),
                labels=np.concatenate([own, rng.integers(1, classes + 1, len(stray))]),
                scores=np.round(rng.random(len(own) + len(stray)), 1),  # with ties
            )
        )
        truths.append(SimpleNamespace(boxes=boxes, labels=labels))
    return predictions, truths


def best_first(prediction):
    order = np.argsort(-prediction.scores, kind="stable")
    return SimpleNamespace(
        boxes=prediction.boxes[order], labels=prediction.labels[order], scores=prediction.scores[order]
    )


def test_each_kind_is_told():
    truth = seen((1, TRUTH))
    prediction = seen(
        (1, across(0.3), 0.95),
        (2, TRUTH, 0.9),
        (1, across(0.9), 0.8),
        (1, TRUTH, 0.7),
        (1, ELSEWHERE, 0.6),
        (2, across(0.3), 0.5),
        (3, across(0.05), 0.4),
    )
    assert kinds_of(prediction, truth) == [
        "localisation",
        "confusion",
        "correct",
        "duplicate",
        "background",
        "background",
        "background",
    ]


def test_an_iou_on_a_threshold_is_enough():
    whole = (0, 0, 10, 10)
    truth = seen((1, whole))
    assert [kinds_of(seen((1, across(share, whole))), truth) for share in (0.5, 0.1)] == [["correct"], ["localisation"]]
    assert kinds_of(seen((2, across(0.5, whole))), truth) == ["confusion"]
    assert kinds_of(seen((1, whole), (1, across(0.5, whole))), truth) == ["correct", "duplicate"]


def test_a_detection_takes_the_best_truth_that_is_still_free():
    near, far = (0, 0, 10, 10), (3, 0, 13, 10)
    truth = seen((1, far), (1, near))
    assert kinds_of(seen((1, (1, 0, 11, 10)), (1, (0, 0, 10, 10))), truth) == ["correct", "correct"]
    assert kinds_of(seen((1, (1, 0, 11, 10)), (1, (4, 0, 14, 10))), truth) == ["correct", "correct"]


def test_where_nothing_is_nothing_is_said():
    assert error_kinds([], [], [TRUTH], [1]) == []
    assert error_kinds([TRUTH], [1], [], []) == ["background"]
    assert error_kinds([], [], [], []) == []


@pytest.mark.parametrize("seed", range(30))
def test_what_is_correct_is_what_average_precision_counts_as_found(seed):
    for prediction, truth in zip(*random_images(np.random.default_rng(seed)), strict=True):
        prediction = best_first(prediction)
        kinds = np.array(kinds_of(prediction, truth), dtype=object)
        overlaps = pairwise_iou(prediction.boxes, truth.boxes)
        for label in range(1, 4):
            rows, cols = prediction.labels == label, truth.labels == label
            hits = match_detections(overlaps[rows][:, cols], np.array([0.5]))[0]
            assert (kinds[rows] == "correct").tolist() == hits.tolist()


def test_the_threshold_is_the_lowest_with_that_precision():
    scores = np.array([0.6, 0.9, 0.7, 0.2, 0.8])
    correct = np.array([True, True, False, False, True])
    assert choose_threshold(scores, correct, 0.75) == 0.6
    assert choose_threshold(scores, correct, 0.8) == 0.8
    assert choose_threshold(scores, correct, 0) == 0.2


def test_detections_of_one_score_are_kept_together():
    assert choose_threshold([0.9, 0.6, 0.6, 0.6], [True, True, False, False], 0.75) == 0.9
    assert choose_threshold([0.6, 0.6], [True, False], 0.75) == np.inf
    assert choose_threshold([0.6, 0.6], [False, True], 0.5) == 0.6


def test_a_precision_that_is_never_reached_keeps_nothing():
    assert choose_threshold([0.9, 0.5], [False, True], 0.75) == np.inf
    assert choose_threshold([], [], 0.5) == np.inf


@pytest.mark.parametrize("seed", range(20))
def test_no_lower_threshold_has_that_precision(seed):
    rng = np.random.default_rng(seed)
    scores, correct = np.round(rng.random(30), 1), rng.random(30) < 0.5
    threshold = choose_threshold(scores, correct, 0.5)
    reach = [score for score in scores if correct[scores >= score].mean() >= 0.5]
    assert threshold == min(reach, default=np.inf)


def costs_of(*pairs, classes=2):
    predictions, truths = zip(*pairs, strict=True)
    return error_costs(predictions, truths, classes)


def test_a_badly_placed_detection_costs_what_its_truth_would_bring():
    costs = costs_of((seen((1, across(0.3), 0.9)), seen((1, TRUTH))))
    assert costs == {"localisation": 1, "confusion": 0, "duplicate": 0, "background": 0, "missed": 0}


def test_a_wrong_class_costs_in_both_classes():
    """One of class 1 is called 2: class 1 gains all, and class 2 is rid of an error before its own find."""
    prediction = seen((2, TRUTH, 0.9), (2, ELSEWHERE, 0.5))
    costs = costs_of((prediction, seen((1, TRUTH), (2, ELSEWHERE))))
    assert costs == {"localisation": 0, "confusion": pytest.approx(0.75), "duplicate": 0, "background": 0, "missed": 0}


def test_a_duplicate_costs_what_it_takes_from_the_precision_behind_it():
    prediction = seen((1, TRUTH, 0.9), (1, TRUTH, 0.8), (1, ELSEWHERE, 0.7))
    costs = costs_of((prediction, seen((1, TRUTH), (1, ELSEWHERE))))
    as_it_is = average_precision([0.9, 0.8, 0.7], [True, False, True], 2)
    assert costs["duplicate"] == pytest.approx(1 - as_it_is)
    assert sum(costs.values()) == pytest.approx(1 - as_it_is)


def test_what_lies_on_nothing_costs_only_before_a_find():
    truth = seen((1, TRUTH))
    first = costs_of((seen((1, ELSEWHERE, 0.9), (1, TRUTH, 0.8)), truth))
    assert first == {"localisation": 0, "confusion": 0, "duplicate": 0, "background": 0.5, "missed": 0}
    assert set(costs_of((seen((1, TRUTH, 0.9), (1, ELSEWHERE, 0.8)), truth)).values()) == {0}


def test_a_missed_truth_costs_its_recall():
    costs = costs_of((seen((1, TRUTH, 0.9)), seen((1, TRUTH), (1, ELSEWHERE))))
    assert costs["missed"] == pytest.approx(1 - average_precision([0.9], [True], 2))
    assert costs_of((seen(), seen((1, TRUTH))))["missed"] == 1


def test_a_truth_with_a_wrong_detection_on_it_is_not_missed():
    assert costs_of((seen((2, TRUTH, 0.9)), seen((1, TRUTH))))["missed"] == 0
    assert costs_of((seen((2, TRUTH, 0.9)), seen((1, TRUTH))))["confusion"] == 1


def test_two_wrong_detections_are_not_both_mended_upon_one_truth():
    prediction, truth = seen((1, across(0.4), 0.9), (2, TRUTH, 0.8), (1, across(0.3), 0.7)), seen((1, TRUTH))
    ((mended,), (left,)) = mend([prediction], [truth], ERRORS)
    assert mended.boxes.tolist() == [list(TRUTH)]
    assert mended.labels.tolist() == [1]
    assert mended.scores.tolist() == [0.9]
    assert left.labels.tolist() == [1]


def test_a_detection_beside_a_truth_that_is_found_is_removed_when_mended():
    prediction, truth = seen((1, TRUTH, 0.9), (1, across(0.3), 0.8)), seen((1, TRUTH))
    ((mended,), _) = mend([prediction], [truth], ["localisation"])
    assert mended.scores.tolist() == [0.9]


def test_what_comes_in_stays_as_it_is():
    prediction, truth = seen((1, across(0.3), 0.9)), seen((1, TRUTH))
    before = prediction.boxes.copy()
    mend([prediction], [truth], ERRORS)
    assert np.array_equal(prediction.boxes, before)


@pytest.mark.parametrize("seed", range(60))
def test_with_all_errors_mended_nothing_is_wrong(seed):
    predictions, truths = random_images(np.random.default_rng(seed))
    mended, left = mend(predictions, truths, ERRORS)
    for prediction, truth in zip(mended, left, strict=True):
        assert len(prediction.labels) == len(truth.labels)
        assert set(kinds_of(prediction, truth)) <= {"correct"}
    precisions = average_precisions(mended, left, 0.5, 3)[0]
    assert (precisions[~np.isnan(precisions)] == 1).all()


@pytest.mark.parametrize("seed", range(30))
def test_no_error_is_worth_having(seed):
    predictions, truths = random_images(np.random.default_rng(seed))
    costs = error_costs(predictions, truths, 3)
    assert list(costs) == list(ERRORS)
    assert all(-1e-12 <= cost <= 1 for cost in costs.values())


def test_nothing_mended_is_nothing_changed():
    predictions, truths = random_images(np.random.default_rng(3))
    same = average_precisions(*mend(predictions, truths, ()), 0.5, 3)
    np.testing.assert_array_equal(same, average_precisions(predictions, truths, 0.5, 3))


def test_without_anything_to_be_found_no_cost_can_be_said():
    with pytest.raises(ValueError, match="no image has a box"):
        error_costs([seen((1, TRUTH, 0.9))], [seen()], 1)
    with pytest.raises(ValueError, match="every image needs one prediction"):
        error_costs([], [seen((1, TRUTH))], 1)
