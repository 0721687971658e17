from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from ssdseg_ref.data import Sample
from ssdseg_ref.evaluation import BATCH_SIZE, Scores, evaluate, judge, predict
from ssdseg_ref.metrics import mean_average_precision, mean_iou
from ssdseg_ref.prediction import Prediction

CLASSES = ("person", "forklift", "monorail")


def _sample(rng, size=(6, 9)):
    count = int(rng.integers(0, 4))
    low = rng.random((count, 2)) * 0.5
    boxes = np.concatenate([low, low + 0.1 + 0.4 * rng.random((count, 2))], axis=1).astype(np.float32)
    labels = rng.integers(1, 3, count).astype(np.int32)  # never a monorail
    return Sample(np.zeros((*size, 3), np.uint8), boxes, labels, rng.integers(0, 3, size).astype(np.uint8))


def _truth_told(sample, score=0.9):
    return Prediction(sample.boxes, sample.labels, np.full(len(sample.labels), score, np.float32), sample.mask)


def _blurred(rng, sample):
    boxes = (sample.boxes + rng.normal(0, 0.03, sample.boxes.shape)).astype(np.float32)
    mask = np.where(rng.random(sample.mask.shape) < 0.3, 1, sample.mask).astype(np.uint8)
    return Prediction(boxes, sample.labels, rng.random(len(boxes), np.float32), mask)


class FakePredictor:
    """Knows the truth by the image's first pixel, and how many images it was given at once."""

    def __init__(self, samples):
        self.samples, self.batches, self.config = samples, [], SimpleNamespace(classes=CLASSES)

    def __call__(self, images):
        self.batches.append(len(images))
        return [_truth_told(self.samples[int(image[0, 0, 0])]) for image in images]


@pytest.fixture
def samples():
    rng = np.random.default_rng(0)
    samples = [_sample(rng) for _ in range(2 * BATCH_SIZE + 5)]
    for index, sample in enumerate(samples):
        sample.image[0, 0, 0] = index
    return samples


@pytest.mark.filterwarnings("error")
def test_who_tells_the_truth_scores_one_and_an_absent_class_has_no_score(samples):
    scores = judge([_truth_told(sample) for sample in samples], samples, CLASSES)
    assert scores.images == len(samples)
    np.testing.assert_array_equal(scores.ap50, [1, 1, np.nan])
    np.testing.assert_array_equal(scores.ap, [1, 1, np.nan])
    np.testing.assert_array_equal(scores.ious, [1, 1, 1, np.nan])
    assert (scores.mean_ap50, scores.mean_ap, scores.mean_iou) == (1, 1, 1)


def test_the_means_are_those_of_the_metrics(samples):
    rng = np.random.default_rng(1)
    predictions = [_blurred(rng, sample) for sample in samples]
    scores = judge(predictions, samples, CLASSES)
    assert 0 < scores.mean_ap < scores.mean_ap50 < 1
    assert scores.mean_ap50 == pytest.approx(mean_average_precision(predictions, samples, 0.5))
    assert scores.mean_ap == pytest.approx(mean_average_precision(predictions, samples))
    masks = [sample.mask for sample in samples], [prediction.mask for prediction in predictions]
    assert scores.mean_iou == pytest.approx(mean_iou(*masks, 3))


@pytest.mark.filterwarnings("error")
def test_where_no_class_occurs_the_means_are_not_a_number():
    scores = Scores(("a",), 1, np.full((10, 1), np.nan), np.array([1.0, np.nan]))
    assert np.isnan([scores.mean_ap50, scores.mean_ap, scores.mean_iou]).all()


def test_every_sample_is_predicted_once_in_order_and_some_at_a_time(samples):
    predictor, done = FakePredictor(samples), []
    predictions = predict(predictor, samples, lambda *progress: done.append(progress))
    assert all(prediction.mask is sample.mask for prediction, sample in zip(predictions, samples, strict=True))
    assert predictor.batches == [BATCH_SIZE, BATCH_SIZE, 5]
    total = len(samples)
    assert done == [(0, total), (BATCH_SIZE, total), (2 * BATCH_SIZE, total), (total, total)]


def test_evaluating_is_predicting_and_judging(samples):
    assert evaluate(FakePredictor(samples), samples).mean_ap == 1


def test_nothing_can_be_said_about_no_sample():
    with pytest.raises(ValueError, match="no sample to evaluate on"):
        evaluate(FakePredictor([]), [])


def test_a_detection_of_an_ignored_box_is_no_false_alarm():
    boxes = np.array([[0, 0, 0.4, 0.4], [0.5, 0.5, 1, 1]], np.float32)
    labels, mask = np.ones(2, np.int32), np.zeros((6, 9), np.uint8)
    found = Prediction(boxes[::-1], labels, np.array([0.9, 0.8], np.float32), mask)
    sample = Sample(np.zeros((6, 9, 3), np.uint8), boxes[:1], labels[:1], mask)
    assert judge([found], [sample], CLASSES).mean_ap == pytest.approx(0.5)
    assert judge([found], [replace(sample, ignored_boxes=boxes[1:], ignored_labels=labels[1:])], CLASSES).mean_ap == 1
