"""What a detector does wrong: each error by its kind, and what every kind costs.

Source: Bolya et al. 2020, "TIDE: A General Toolbox for Identifying Object Detection Errors". Simplified: what is both
badly placed and of a wrong class is background here, and so has five kinds where TIDE has six.
"""

from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from ssdseg_ref.boxes import pairwise_iou
from ssdseg_ref.metrics import average_precisions

FOUND, NEAR = 0.5, 0.1  # IoU from which a truth is found, and from which a box is near it
ERRORS = ("localisation", "confusion", "duplicate", "background", "missed")


class Objects(NamedTuple):
    """Detections in an image or, without scores, what is there to be found."""

    boxes: np.ndarray
    labels: np.ndarray
    scores: np.ndarray = np.empty(0)


def error_kinds(boxes: ArrayLike, labels: ArrayLike, true_boxes: ArrayLike, true_labels: ArrayLike) -> list[str]:
    """What each detection in one image is: a find, or an error of some kind.

    One after the other, best first, each is the first of these that fits:

    - "correct": a truth of its class that no detection before it has taken has an IoU of at least 0.5 with it. It takes
      the one with the largest; of equal ones the last, as pycocotools does.
    - "duplicate": a truth of its class, taken already, has an IoU of at least 0.5 with it.
    - "confusion": a truth of another class, taken or not, has an IoU of at least 0.5 with it.
    - "localisation": a truth of its class, taken or not, has an IoU of at least 0.1 with it.
    - "background": anything else.

    Truths that none has taken are missed.

    Args:
        boxes: (D, 4) corners of the detections, best first.
        labels: (D,) their classes.
        true_boxes: (M, 4) corners, in the same units.
        true_labels: (M,) their classes.

    Returns:
        D words.
    """
    labels, true_labels = np.asarray(labels), np.asarray(true_labels)
    overlaps = pairwise_iou(np.asarray(boxes, np.float64), np.asarray(true_boxes, np.float64))
    free = np.ones(len(true_labels), bool)
    kinds = []
    for label, ious in zip(labels, overlaps, strict=True):
        own = true_labels == label
        to_take = np.where(own & free, ious, 0)
        if to_take.max(initial=0) >= FOUND:
            free[_last_largest(to_take)] = False
            kinds.append("correct")
        elif ious[own].max(initial=0) >= FOUND:
            kinds.append("duplicate")
        elif ious[~own].max(initial=0) >= FOUND:
            kinds.append("confusion")
        elif ious[own].max(initial=0) >= NEAR:
            kinds.append("localisation")
        else:
            kinds.append("background")
    return kinds


def choose_threshold(scores: ArrayLike, correct: ArrayLike, least_precision: float) -> float:
    """The lowest score threshold with a precision that can be relied on: so that recall is the greatest.

    `metrics.choose_threshold` weighs precision against recall instead.

    Args:
        scores: (D,) of all detections of a data set, in any order.
        correct: (D,) bool, whether each is right.
        least_precision: share of the detections with at least that score that has to be right.

    Returns:
        The lowest of the scores for which that holds; infinity where there is none, which keeps no detection.
    """
    scores, correct = np.asarray(scores, np.float64), np.asarray(correct, bool)
    order = np.argsort(-scores, kind="stable")
    falling = scores[order]
    precision = np.cumsum(correct[order]) / np.arange(1, len(order) + 1)
    last = np.append(falling[1:] != falling[:-1], True)[: len(falling)]  # of equal scores all are kept, or none
    enough = falling[last & (precision >= least_precision)]
    return float(enough[-1]) if len(enough) else float("inf")


def error_costs(predictions: Sequence[Any], truths: Sequence[Any], classes: int) -> dict[str, float]:
    """What each kind of error costs: mAP@.5 if all errors of that kind were mended, less mAP@.5 as it is.

    The costs do not add up to what is missing to 1: one error can hide another.

    Args:
        predictions: one per image, each with `boxes` (D, 4) corners, `labels` (D,) and `scores` (D,).
        truths: one per image, each with `boxes` (M, 4) corners and `labels` (M,).
        classes: number of classes, background not counted.

    Returns:
        Each of `ERRORS` to its cost, in 0..1.

    Raises:
        ValueError: if predictions and truths differ in number, or there is no truth at all.
    """
    present = ~np.isnan(average_precisions(predictions, truths, FOUND, classes)[0])
    if not present.any():
        raise ValueError("what errors cost cannot be said where there is nothing to be found: no image has a box")

    def mean(mended_predictions: Sequence[Any], mended_truths: Sequence[Any]) -> float:
        precisions = average_precisions(mended_predictions, mended_truths, FOUND, classes)[0, present]
        return float(np.nan_to_num(precisions, nan=1.0).mean())  # of a class nothing is left to be found, so all is

    as_it_is = mean(predictions, truths)
    return {kind: mean(*mend(predictions, truths, (kind,))) - as_it_is for kind in ERRORS}


def mend(
    predictions: Sequence[Any], truths: Sequence[Any], kinds: Collection[str]
) -> tuple[list[Objects], list[Objects]]:
    """Detections without errors of some kinds, and the truths that they are then held against.

    A detection that is badly placed gets the box of the truth of its class that it overlaps most, one of a wrong class
    the class of the truth that it lies upon; either is removed where that truth has been found, or mended upon, by
    another one. Duplicates and background are removed; so are missed truths, those that no detection finds and none
    could be mended upon. With all kinds mended, nothing is wrong any more.

    Args:
        predictions: see `error_costs`.
        truths: see `error_costs`.
        kinds: some of `ERRORS`.

    Returns:
        As many of both as there were.
    """
    both = [_mended(*pair, kinds) for pair in zip(predictions, truths, strict=True)]
    return [prediction for prediction, _ in both], [truth for _, truth in both]


def _mended(prediction: Any, truth: Any, kinds: Collection[str]) -> tuple[Objects, Objects]:
    scores = np.asarray(prediction.scores, np.float64)
    order = np.argsort(-scores, kind="stable")
    boxes, labels = np.array(prediction.boxes, np.float64)[order], np.array(prediction.labels)[order]
    true_boxes, true_labels = np.asarray(truth.boxes, np.float64), np.asarray(truth.labels)
    found = error_kinds(boxes, labels, true_boxes, true_labels)
    overlaps, own = pairwise_iou(boxes, true_boxes), labels[:, None] == true_labels
    free = np.ones(len(true_labels), bool)
    for k, kind in enumerate(found):
        if kind == "correct":
            free[_last_largest(np.where(own[k] & free, overlaps[k], 0))] = False
    kept = np.ones(len(labels), bool)
    for k, kind in enumerate(found):
        if kind in ("localisation", "confusion"):
            best = _last_largest(np.where(own[k] == (kind == "localisation"), overlaps[k], 0))
            if kind in kinds:
                kept[k] = free[best]
                if kind == "localisation":
                    boxes[k] = true_boxes[best]
                else:
                    labels[k] = true_labels[best]
            free[best] = False
        elif kind in kinds:
            kept[k] = False
    left = ~free if "missed" in kinds else np.ones(len(free), bool)
    return Objects(boxes[kept], labels[kept], scores[order][kept]), Objects(true_boxes[left], true_labels[left])


def _last_largest(values: np.ndarray) -> int:
    """Place of the largest; of equal ones the last, as pycocotools does."""
    return len(values) - 1 - int(values[::-1].argmax())
