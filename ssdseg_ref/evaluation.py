"""Scores of a network on a data set: average precision and IoU of every class, and their means."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ssdseg_ref.data.sample import Sample
from ssdseg_ref.metrics import COCO_IOU_THRESHOLDS, average_precisions, class_ious, confusion_matrix, known_mean
from ssdseg_ref.prediction import Prediction, Predictor

BATCH_SIZE = 32


@dataclass(frozen=True)
class Scores:
    """What a network reaches on a data set; nan where a class does not occur.

    Attributes:
        classes: their names, background not among them.
        images: how many were judged.
        precisions: (T, C) average precision at COCO's ten IoU thresholds, 0.50 first.
        ious: (C + 1,) IoU of the masks, background first.
    """

    classes: tuple[str, ...]
    images: int
    precisions: np.ndarray
    ious: np.ndarray

    @property
    def ap50(self) -> np.ndarray:
        """(C,) average precision at an IoU of 0.50."""
        return np.asarray(self.precisions[0])

    @property
    def ap(self) -> np.ndarray:
        """(C,) average precision, the mean over the ten thresholds."""
        return np.asarray(self.precisions.mean(axis=0))

    @property
    def mean_ap50(self) -> float:
        """mAP@.5."""
        return known_mean(self.ap50)

    @property
    def mean_ap(self) -> float:
        """mAP@[.5:.95]."""
        return known_mean(self.ap)

    @property
    def mean_iou(self) -> float:
        """mIoU of the classes, background left out."""
        return known_mean(self.ious[1:])


class Truth(NamedTuple):
    """What a `Sample` says of its image."""

    boxes: np.ndarray
    labels: np.ndarray
    mask: np.ndarray
    ignored_boxes: np.ndarray
    ignored_labels: np.ndarray


def evaluate(
    predictor: Predictor,
    samples: Sequence[Sample],
    progress: Callable[[int, int], None] | None = None,
) -> Scores:
    """Let the network predict for every sample, and score its predictions.

    Args:
        predictor: with a low score threshold: average precision needs the unsure detections too.
        samples: the data set.
        progress: called with (images done, images in all).

    Raises:
        ValueError: if there is no sample.
    """
    if len(samples) == 0:
        raise ValueError("there is no sample to evaluate on")
    return judge(predict(predictor, samples, progress), samples, predictor.config.classes)


def predict(
    predictor: Predictor,
    samples: Sequence[Sample],
    progress: Callable[[int, int], None] | None = None,
) -> list[Prediction]:
    """Predictions for the images of all samples, some at a time.

    Args:
        predictor: of the network.
        samples: the data set.
        progress: called with (images done, images in all).
    """
    predictions = []
    if progress is not None:
        progress(0, len(samples))  # the first batch takes longest: the network is traced
    for start in range(0, len(samples), BATCH_SIZE):
        stop = min(start + BATCH_SIZE, len(samples))
        predictions += predictor([samples[index].image for index in range(start, stop)])
        if progress is not None:
            progress(stop, len(samples))
    return predictions


def judge(predictions: Sequence[Prediction], samples: Sequence[Sample], classes: tuple[str, ...]) -> Scores:
    """Scores of predictions that have been made.

    Args:
        predictions: one per sample.
        samples: the truth.
        classes: their names, background not among them.
    """
    truths = [  # read once, images let go
        Truth(sample.boxes, sample.labels, sample.mask, sample.ignored_boxes, sample.ignored_labels)
        for sample in samples
    ]
    confusion = confusion_matrix(
        [truth.mask for truth in truths], [prediction.mask for prediction in predictions], len(classes)
    )
    precisions = average_precisions(predictions, truths, COCO_IOU_THRESHOLDS, len(classes))
    return Scores(classes, len(truths), precisions, class_ious(confusion))
