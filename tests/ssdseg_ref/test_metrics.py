"""Do the scores count as COCO and PASCAL VOC count, down to the cases where the old project's were wrong?"""

import contextlib
import io
from types import SimpleNamespace

import keras
import numpy as np
import pytest

from ssdseg_ref.boxes import pairwise_iou
from ssdseg_ref.metrics import (
    COCO_IOU_THRESHOLDS,
    MAX_DETECTIONS,
    assign_detections,
    average_precision,
    average_precisions,
    choose_threshold,
    class_ious,
    confusion_matrix,
    match_detections,
    mean_average_precision,
    mean_iou,
)


def _seen(boxes=(), labels=(), scores=None):
    return SimpleNamespace(
        boxes=np.array(boxes, np.float64).reshape(-1, 4),
        labels=np.array(labels, np.int32),
        scores=None if scores is None else np.array(scores, np.float64),
    )


def _near(rng, box):
    moved = box + rng.normal(0, 0.02, 4)
    return np.concatenate([np.minimum(moved[:2], moved[2:]), np.maximum(moved[:2], moved[2:])])


def _random_boxes(rng, count):
    low = rng.random((count, 2)) * 0.7
    return np.concatenate([low, low + 0.01 + 0.3 * rng.random((count, 2))], axis=1)


def _random_scenes(seed, images, detections, labels=(1, 2, 3)):
    """Truths, and detections of which about half lie near a truth; scores of two digits, so that many are equal."""
    rng = np.random.default_rng(seed)
    predictions, truths = [], []
    for _ in range(images):
        truth = _seen(_random_boxes(rng, count := int(rng.integers(0, 5))), rng.choice(labels, count))
        boxes, classes = _random_boxes(rng, detections), rng.choice(labels, detections)
        if count:
            for index in np.flatnonzero(rng.random(detections) < 0.6):
                chosen = rng.integers(count)
                boxes[index], classes[index] = _near(rng, truth.boxes[chosen]), truth.labels[chosen]
        predictions.append(_seen(boxes, classes, np.round(rng.random(detections), 2)))
        truths.append(truth)
    return predictions, truths


def _as_coco(boxes):
    return np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], axis=1).tolist()


def _pycocotools(predictions, truths, classes):
    """(T, C) as `average_precisions`, at all ten thresholds, by COCO's own program."""
    coco = pytest.importorskip("pycocotools.coco")
    evaluation = pytest.importorskip("pycocotools.cocoeval")
    annotations, found = [], []
    for image, (prediction, truth) in enumerate(zip(predictions, truths, strict=True)):
        for box, label in zip(_as_coco(truth.boxes), truth.labels, strict=True):
            entry = {"image_id": image, "category_id": int(label), "bbox": box, "area": box[2] * box[3], "iscrowd": 0}
            annotations.append({"id": len(annotations) + 1, **entry})
        crowds = getattr(truth, "ignored_boxes", np.empty((0, 4)))
        for box, label in zip(_as_coco(crowds), getattr(truth, "ignored_labels", ()), strict=True):
            entry = {"image_id": image, "category_id": int(label), "bbox": box, "area": box[2] * box[3], "iscrowd": 1}
            annotations.append({"id": len(annotations) + 1, **entry})
        for box, label, score in zip(_as_coco(prediction.boxes), prediction.labels, prediction.scores, strict=True):
            found.append({"image_id": image, "category_id": int(label), "bbox": box, "score": float(score)})
    with contextlib.redirect_stdout(io.StringIO()):
        truth = coco.COCO()
        truth.dataset = {
            "images": [{"id": image} for image in range(len(truths))],
            "categories": [{"id": label} for label in range(1, classes + 1)],
            "annotations": annotations,
        }
        truth.createIndex()
        judge = evaluation.COCOeval(truth, truth.loadRes(found), "bbox")
        judge.params.areaRng, judge.params.areaRngLbl = [judge.params.areaRng[0]], ["all"]
        judge.params.maxDets = [MAX_DETECTIONS]
        judge.evaluate()
        judge.accumulate()
    precision = judge.eval["precision"][:, :, :, 0, -1].mean(axis=1)
    return np.where(precision < 0, np.nan, precision)


@pytest.mark.parametrize(
    ("seed", "images", "detections", "labels"),
    [(0, 40, 30, (1, 2, 3)), (1, 15, 12, (1, 3)), (2, 3, 400, (1, 2, 3)), (3, 60, 3, (1, 2, 3))],
    ids=["many", "no box of class 2", "over 100 detections of a class in an image", "few"],
)
def test_average_precision_is_that_of_pycocotools(seed, images, detections, labels):
    predictions, truths = _random_scenes(seed, images, detections, labels)
    expected = _pycocotools(predictions, truths, classes=3)
    table = average_precisions(predictions, truths, classes=3)
    assert table.shape == (10, 3)
    assert np.isnan(table).any() == (2 not in labels)
    np.testing.assert_allclose(table, expected, atol=1e-9)
    assert mean_average_precision(predictions, truths) == pytest.approx(np.nanmean(expected), abs=1e-9)


@pytest.mark.parametrize("seed", range(4))
def test_detections_in_crowds_do_not_count_as_in_pycocotools(seed):
    predictions, truths = _random_scenes(seed, 30, 30)
    without = average_precisions(predictions, truths, classes=3)
    rng = np.random.default_rng(seed)
    for truth in truths:
        count = int(rng.integers(0, 4))
        low = rng.random((count, 2)) * 0.5
        truth.ignored_boxes = np.concatenate([low, low + 0.1 + 0.4 * rng.random((count, 2))], axis=1)
        truth.ignored_labels = rng.choice((1, 2, 3), count)
    table = average_precisions(predictions, truths, classes=3)
    np.testing.assert_allclose(table, _pycocotools(predictions, truths, classes=3), atol=1e-9)
    assert (table > without).any()


def test_a_detection_on_an_ignored_box_of_its_class_is_neither_a_hit_nor_a_false_alarm():
    box, other = [0.1, 0.1, 0.4, 0.4], [0.5, 0.5, 0.9, 0.9]
    truth = _seen([box], [1])
    truth.ignored_boxes, truth.ignored_labels = np.array([other]), np.array([1])
    assert mean_average_precision([_seen([other, other, box], [1, 1, 1], [0.9, 0.8, 0.7])], [truth]) == 1
    assert mean_average_precision([_seen([other], [1], [0.9])], [truth]) == 0
    truth.ignored_labels = np.array([2])
    precisions = average_precisions([_seen([other, box], [1, 1], [0.9, 0.7])], [truth], classes=2)
    np.testing.assert_allclose(precisions[:, 0], 0.5)


def test_images_without_detections_count_as_in_pycocotools():
    predictions, truths = _random_scenes(4, 10, 12)
    predictions[::2] = [_seen(scores=[]) for _ in predictions[::2]]
    np.testing.assert_allclose(
        average_precisions(predictions, truths), _pycocotools(predictions, truths, classes=3), atol=1e-9
    )


@pytest.mark.parametrize("seed", range(20))
def test_each_detection_takes_the_best_box_that_is_left(seed):
    rng = np.random.default_rng(seed)
    overlaps = np.round(rng.random((int(rng.integers(0, 9)), int(rng.integers(0, 5)))), 1)  # many are equal
    thresholds = np.array([0.3, 0.5, 0.8])
    expected = np.full((3, len(overlaps)), -1)
    for row, threshold in enumerate(thresholds):
        free = list(range(overlaps.shape[1]))
        for detection, with_boxes in enumerate(overlaps):
            reached = [box for box in free if with_boxes[box] >= threshold]
            if reached:
                expected[row, detection] = max(reached, key=lambda box: (with_boxes[box], box))
                free.remove(expected[row, detection])
    np.testing.assert_array_equal(assign_detections(overlaps, thresholds), expected)
    np.testing.assert_array_equal(match_detections(overlaps, thresholds), expected >= 0)


BOX = [0.2, 0.2, 0.6, 0.7]


def test_one_perfect_detection_scores_one():
    """It scored 0.0 in the old project."""
    found, truth = [_seen([BOX], [1], [0.9])], [_seen([BOX], [1])]
    assert mean_average_precision(found, truth, 0.5) == 1
    assert mean_average_precision(found, truth) == 1
    assert mean_average_precision(found, truth, 1.0) == 1


def test_a_hit_and_its_duplicates_never_score_above_one():
    """Four duplicates scored 3.0 in the old project."""
    assert mean_average_precision([_seen([BOX] * 4, [1] * 4, [0.9, 0.8, 0.7, 0.6])], [_seen([BOX], [1])]) == 1
    two_boxes = [_seen([BOX, [0.7, 0.7, 0.9, 0.9]], [1, 1])]
    duplicates = mean_average_precision([_seen([BOX] * 4, [1] * 4, [0.9, 0.8, 0.7, 0.6])], two_boxes)
    assert duplicates == pytest.approx(51 / 101)


def test_a_wrong_detection_ahead_of_the_right_one_halves_the_precision():
    found = [_seen([[0.7, 0.0, 0.9, 0.1], BOX], [1, 1], [0.9, 0.8])]
    assert mean_average_precision(found, [_seen([BOX], [1])]) == pytest.approx(0.5)
    assert mean_average_precision([_seen([BOX, [0.7, 0, 0.9, 0.1]], [1, 1], [0.9, 0.8])], [_seen([BOX], [1])]) == 1


def test_a_detection_of_another_class_or_in_another_image_is_no_hit():
    assert mean_average_precision([_seen([BOX], [2], [0.9])], [_seen([BOX], [1])]) == 0
    found, truths = [_seen([BOX], [1], [0.9]), _seen(scores=[])], [_seen(), _seen([BOX], [1])]
    assert mean_average_precision(found, truths) == 0


def test_precision_is_the_best_that_is_still_to_come_at_101_recalls():
    # Hit, miss, hit, of two boxes: precision 1 up to a recall of 0.5, then 2 / 3.
    assert average_precision([0.9, 0.8, 0.7], [True, False, True], 2) == pytest.approx((51 + 50 * 2 / 3) / 101)


def test_detections_are_ranked_by_score_whatever_their_order():
    rng = np.random.default_rng(0)
    scores, hits = rng.permutation(50) / 50, rng.random(50) < 0.5
    order = np.argsort(-scores)
    assert average_precision(scores, hits, 40) == average_precision(scores[order], hits[order], 40)


def test_without_a_box_there_is_no_precision_and_without_a_detection_it_is_zero():
    assert np.isnan(average_precision([0.9], [False], 0))
    assert average_precision([], [], 3) == 0
    assert np.isnan(mean_average_precision([_seen([BOX], [1], [0.9])], [_seen()]))
    assert mean_average_precision([_seen(scores=[])], [_seen([BOX], [1])]) == 0
    assert np.isnan(mean_average_precision([], []))


def test_the_ten_thresholds_are_cocos():
    np.testing.assert_allclose(COCO_IOU_THRESHOLDS, np.arange(0.5, 1.0, 0.05))


def test_predictions_for_other_images_are_refused():
    with pytest.raises(ValueError, match="every image needs one prediction, got 1 for 2 images"):
        average_precisions([_seen(scores=[])], [_seen(), _seen()])


@pytest.mark.parametrize("threshold", [0.5, 0.75])
def test_a_hit_needs_the_threshold_and_no_more(threshold):
    exactly = [[0.0, 0.0, threshold, 1.0]]
    assert pairwise_iou([[0.0, 0, 1, 1]], np.array(exactly)) == threshold
    found, truth = [_seen(exactly, [1], [0.9])], [_seen([[0, 0, 1, 1]], [1])]
    assert mean_average_precision(found, truth, threshold) == 1
    assert mean_average_precision(found, truth, threshold + 1e-6) == 0


def test_rounding_does_not_cost_a_hit_at_a_threshold_of_one():
    """As in pycocotools, which stops at 1 - 1e-10."""
    found, truth = [_seen([[0, 0, 1 - 1e-12, 1]], [1], [0.9])], [_seen([[0, 0, 1, 1]], [1])]
    assert mean_average_precision(found, truth, 1.0) == 1


def _random_masks(rng, classes=3, images=4):
    shapes = [(int(rng.integers(1, 20)), int(rng.integers(1, 20))) for _ in range(images)]
    masks = [rng.integers(0, classes + 1, shape).astype(np.uint8) for shape in shapes]
    predicted = [
        np.where(rng.random(m.shape) < 0.6, m, rng.integers(0, classes + 1, m.shape)).astype(np.uint8) for m in masks
    ]
    for mask in masks:
        mask[rng.random(mask.shape) < 0.1] = 255
    return masks, predicted


@pytest.mark.parametrize("seed", range(3))
def test_the_confusion_matrix_counts_pixel_by_pixel(seed):
    masks, predicted = _random_masks(np.random.default_rng(seed))
    expected = np.zeros((4, 4), int)
    for mask, guess in zip(masks, predicted, strict=True):
        for truth, seen in zip(mask.ravel().tolist(), guess.ravel().tolist(), strict=True):
            if truth != 255:
                expected[truth, seen] += 1
    np.testing.assert_array_equal(confusion_matrix(masks, predicted, 3), expected)


@pytest.mark.parametrize("seed", range(3))
def test_iou_of_masks_is_that_of_keras(seed):
    masks, predicted = _random_masks(np.random.default_rng(seed))
    judge = keras.metrics.MeanIoU(num_classes=4, ignore_class=255)
    for mask, guess in zip(masks, predicted, strict=True):
        judge.update_state(mask.astype(np.int32), guess.astype(np.int32))
    ious = class_ious(confusion_matrix(masks, predicted, 3))
    assert ious.mean() == pytest.approx(float(judge.result()), abs=1e-6)
    assert mean_iou(masks, predicted, 3) == pytest.approx(ious[1:].mean())


def test_iou_is_counted_over_the_pixels_of_all_images_together():
    """The mean of both images' IoU would be (1 / 9 + 1) / 2, and so it was in the old project."""
    masks = [np.ones((3, 3), np.uint8), np.ones((1, 1), np.uint8)]
    first = np.zeros((3, 3), np.uint8)
    first[0, 0] = 1
    assert mean_iou(masks, [first, masks[1]], 1) == pytest.approx(2 / 10)


def test_a_perfect_mask_scores_one_also_where_an_image_lacks_the_class():
    """It scored 0.5 in the old project."""
    with_it, without = np.array([[0, 1], [1, 1]], np.uint8), np.zeros((2, 2), np.uint8)
    assert mean_iou([with_it, without], [with_it, without], 1) == 1


def test_a_class_that_nobody_sees_does_not_count():
    masks = [np.array([[0, 1], [1, 1]], np.uint8)]
    assert np.isnan(class_ious(confusion_matrix(masks, masks, 3))).tolist() == [False, False, True, True]
    assert mean_iou(masks, masks, 3) == 1


def test_a_class_that_only_the_prediction_holds_scores_zero():
    masks, predicted = [np.array([[1, 1, 0]], np.uint8)], [np.array([[1, 1, 2]], np.uint8)]
    assert mean_iou(masks, predicted, 2) == 0.5


def test_background_is_left_out_of_the_mean():
    masks, predicted = [np.array([[0, 0, 0, 1]], np.uint8)], [np.array([[0, 0, 0, 0]], np.uint8)]
    assert mean_iou(masks, predicted, 1) == 0


def test_ignored_pixels_do_not_count_whatever_is_predicted_there():
    masks, predicted = [np.array([[1, 255, 255]], np.uint8)], [np.array([[1, 0, 200]], np.uint8)]
    assert mean_iou(masks, predicted, 1) == 1


@pytest.mark.filterwarnings("error")
def test_without_any_pixel_that_counts_there_is_no_iou():
    assert np.isnan(mean_iou([], [], 2))
    assert np.isnan(mean_iou([np.full((2, 2), 255, np.uint8)], [np.ones((2, 2), np.uint8)], 2))


@pytest.mark.parametrize(
    ("predicted", "sentence"),
    [
        (np.zeros((2, 3), np.uint8), r"a predicted mask is \(2, 3\), its true one \(2, 2\)"),
        (np.full((2, 2), 4, np.uint8), "a mask holds class 4, there are only 0 to 2"),
    ],
)
def test_a_mask_that_cannot_be_compared_is_refused(predicted, sentence):
    with pytest.raises(ValueError, match=sentence):
        confusion_matrix([np.zeros((2, 2), np.uint8)], [predicted], 2)


@pytest.mark.parametrize("seed", range(6))
def test_the_chosen_threshold_has_the_best_f1_of_all(seed):
    rng = np.random.default_rng(seed)
    scores = rng.choice(np.linspace(0.1, 1, 12), 30)  # equal ones among them: all are kept, or none
    hits = rng.random(30) < scores
    positives = int(hits.sum()) + 3

    def f1(threshold):
        kept = scores >= threshold
        return 2 * (hits & kept).sum() / (kept.sum() + positives)

    chosen = choose_threshold(scores, hits, positives)
    assert f1(chosen) == max(f1(threshold) for threshold in scores)
    assert chosen == max(threshold for threshold in scores if f1(threshold) == f1(chosen))


def test_where_nothing_hits_nothing_is_sure_enough():
    assert choose_threshold([0.9, 0.2], [False, False], 3) == 1.0
    assert choose_threshold([], [], 3) == 1.0


@pytest.mark.parametrize("kind", [np.uint8, np.int16, np.int32])
def test_boxes_and_scores_of_whole_numbers_are_counted_as_such(kind):
    """Minus an unsigned score would be a large one."""
    boxes, scores = np.array([[0, 0, 200, 200], [210, 0, 250, 250]], kind), np.array([90, 0], kind)
    truth = SimpleNamespace(boxes=boxes[:1], labels=np.array([1]))
    found = SimpleNamespace(boxes=boxes, labels=np.array([1, 1]), scores=scores)
    assert average_precisions([found], [truth]).tolist() == [[1.0]] * 10
    assert choose_threshold(scores, [True, False], 1) == 90


def test_a_detection_that_is_no_number_is_a_false_alarm_and_comes_last():
    truth = SimpleNamespace(boxes=np.array([[0, 0, 1, 1.0]]), labels=np.array([1]))
    found = SimpleNamespace(
        boxes=np.array([[0, 0, np.nan, 1], [0, 0, 1, 1.0]]), labels=np.array([1, 1]), scores=np.array([np.nan, 0.5])
    )
    assert average_precisions([found], [truth]).tolist() == [[1.0]] * 10
    assert choose_threshold([np.nan, 0.5], [False, True], 1) == 0.5


def test_a_mask_below_zero_is_refused():
    with pytest.raises(ValueError, match="a mask holds class -1"):
        confusion_matrix([np.zeros((2, 2), int)], [np.array([[0, -1], [0, 0]])], 3)


@pytest.mark.parametrize("classes", [1, 5, 20])
def test_any_number_of_classes_is_counted(classes):
    boxes = np.tile([0, 0, 1, 1.0], (classes, 1))
    labels = np.arange(1, classes + 1)
    truth = SimpleNamespace(boxes=boxes, labels=labels)
    found = SimpleNamespace(boxes=boxes, labels=labels, scores=np.ones(classes))
    assert average_precisions([found], [truth], classes=classes).shape == (10, classes)
    mask = np.arange(classes + 1, dtype=np.uint8)[None]
    assert mean_iou([mask], [mask], classes) == 1
