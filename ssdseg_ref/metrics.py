"""How good detections and masks are: average precision as COCO counts it, and IoU from one confusion matrix.

Sources: COCO's own evaluation (Lin et al. 2014, and `pycocotools.cocoeval`), which interpolates precision at 101
recalls; the PASCAL VOC challenge's IoU of segmentation, counted over the pixels of all images together.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ssdseg_ref.boxes import areas, pairwise_iou
from ssdseg_ref.data.sample import IGNORE

COCO_IOU_THRESHOLDS = tuple(np.linspace(0.5, 0.95, 10).tolist())
MAX_DETECTIONS = 100  # of one class in one image, as in COCO
RECALLS = np.linspace(0, 1, 101)


def average_precision(scores: ArrayLike, hits: ArrayLike, positives: int) -> float:
    """Area below the curve of precision over recall, as COCO draws it.

    Args:
        scores: (D,) of all detections of one class in all images; what is no number comes last.
        hits: (D,) bool, whether a detection found a box that no better one had found.
        positives: how many boxes of the class there are.

    Returns:
        Average precision in 0..1; nan if there is no box to be found.
    """
    if positives == 0:
        return float("nan")
    order = np.argsort(-np.asarray(scores, np.float64), kind="stable")
    found = np.cumsum(np.asarray(hits, bool)[order])
    recall = found / positives
    precision = found / np.arange(1, len(found) + 1)
    # At each recall the best precision that is still to come: the curve may only fall.
    best = np.maximum.accumulate(precision[::-1])[::-1]
    at = np.searchsorted(recall, RECALLS, side="left")
    return float(np.where(at < len(best), np.append(best, 0)[at], 0).mean())


def choose_threshold(scores: ArrayLike, hits: ArrayLike, positives: int) -> float:
    """The score threshold with the best F1, the harmonic mean of precision and recall.

    Args:
        scores: (D,) of all detections of one class in all images.
        hits: (D,) bool, as for `average_precision`.
        positives: how many boxes of the class there are.

    Returns:
        The score of the last detection to be kept; of several with the same F1 the highest. 1 where no detection hits.
    """
    all_scores = np.asarray(scores, np.float64)
    known = ~np.isnan(all_scores)
    all_scores, all_hits = all_scores[known], np.asarray(hits, bool)[known]
    if not all_hits.any():
        return 1.0
    order = np.argsort(-all_scores, kind="stable")
    falling, found = all_scores[order], np.cumsum(all_hits[order])
    last = np.append(falling[1:] != falling[:-1], True)  # of equal scores all are kept, or none
    f1 = np.where(last, 2 * found / (np.arange(1, len(found) + 1) + positives), -1)
    return float(falling[f1.argmax()])


def match_detections(overlaps: np.ndarray, iou_thresholds: np.ndarray) -> np.ndarray:
    """Which detections of one class in one image are hits: those that `assign_detections` gives a box.

    Args:
        overlaps: (D, M) IoU of the detections, best first, with the boxes.
        iou_thresholds: (T,).

    Returns:
        (T, D) bool.
    """
    return assign_detections(overlaps, iou_thresholds) >= 0


def assign_detections(overlaps: np.ndarray, iou_thresholds: np.ndarray) -> np.ndarray:
    """Which box each detection of one class in one image takes.

    Args:
        overlaps: (D, M) IoU of the detections, best first, with the boxes.
        iou_thresholds: (T,).

    Returns:
        (T, D) int, the index of a box, or -1. A detection takes, of the boxes that no better one has taken, the one it
        overlaps most, if their IoU reaches the threshold; of equal ones the last, as pycocotools does.
    """
    detections, boxes = overlaps.shape
    taken = np.full((len(iou_thresholds), detections), -1)
    if boxes == 0 or detections == 0:
        return taken
    reachable = overlaps >= iou_thresholds.min()
    # Where nobody competes, a detection with one box in reach and a box with one detection, the IoU alone decides.
    alone = reachable & (reachable.sum(axis=1, keepdims=True) == 1) & (reachable.sum(axis=0) == 1)
    rows, cols = np.nonzero(alone)
    taken[:, rows] = np.where(overlaps[rows, cols] >= iou_thresholds[:, None], cols, -1)
    contested = np.flatnonzero(reachable.any(axis=1) & ~alone.any(axis=1))
    if len(contested):
        free = np.ones((len(iou_thresholds), boxes), bool)
        every = np.arange(len(iou_thresholds))
        for detection in contested:
            open_boxes = np.where(free & (overlaps[detection] >= iou_thresholds[:, None]), overlaps[detection], -1)
            best = boxes - 1 - open_boxes[:, ::-1].argmax(axis=1)
            hit = open_boxes[every, best] >= 0
            taken[:, detection] = np.where(hit, best, -1)
            free[every, best] &= ~hit
    return taken


def average_precisions(
    predictions: Sequence[Any],
    truths: Sequence[Any],
    iou_thresholds: ArrayLike = COCO_IOU_THRESHOLDS,
    classes: int | None = None,
) -> np.ndarray:
    """Average precision of every class at every threshold.

    Args:
        predictions: one per image, each with `boxes` (D, 4) corners, `labels` (D,) and `scores` (D,).
        truths: one per image, each with `boxes` (M, 4) corners and `labels` (M,), such as a `Sample`. It may have
            `ignored_boxes` (K, 4) and `ignored_labels` (K,), too: a detection that is no hit, and lies within one of
            them of its class by a share of its own area that reaches the threshold, does not count. So COCO treats
            crowds. VOC asks for the IoU with a difficult object, so this passes over a few detections more.
        iou_thresholds: one IoU or several.
        classes: number of classes; by default the highest label that occurs.

    Returns:
        (T, C) float64, nan for a class of which there is no box.

    Raises:
        ValueError: if predictions and truths differ in number.
    """
    if len(predictions) != len(truths):
        raise ValueError(f"every image needs one prediction, got {len(predictions)} for {len(truths)} images")
    # COCO's own guard: a box that overlaps exactly reaches a threshold of 1.
    thresholds = np.minimum(np.atleast_1d(np.asarray(iou_thresholds, np.float64)), 1 - 1e-10)
    if classes is None:
        classes = max((int(np.max(item.labels, initial=0)) for item in (*predictions, *truths)), default=0)
    scores: list[list[np.ndarray]] = [[] for _ in range(classes)]
    hits: list[list[np.ndarray]] = [[] for _ in range(classes)]
    counted: list[list[np.ndarray]] = [[] for _ in range(classes)]
    positives = np.zeros(classes, int)
    for prediction, truth in zip(predictions, truths, strict=True):
        true_labels = np.asarray(truth.labels)
        all_scores = np.asarray(prediction.scores, np.float64)
        order = np.argsort(-all_scores, kind="stable")
        labels, ordered_scores = np.asarray(prediction.labels)[order], all_scores[order]
        boxes = np.asarray(prediction.boxes, np.float64)[order]
        overlaps = pairwise_iou(boxes, np.asarray(truth.boxes, np.float64))
        ignored_labels = np.asarray(getattr(truth, "ignored_labels", ()))
        within = _shares_within(boxes, np.asarray(getattr(truth, "ignored_boxes", ()), np.float64).reshape(-1, 4))
        for label in range(1, classes + 1):
            rows, cols = np.flatnonzero(labels == label)[:MAX_DETECTIONS], np.flatnonzero(true_labels == label)
            positives[label - 1] += len(cols)
            if len(rows):
                scores[label - 1].append(ordered_scores[rows])
                found = match_detections(overlaps[rows[:, None], cols], thresholds)
                share = within[rows[:, None], np.flatnonzero(ignored_labels == label)].max(axis=1, initial=0)
                hits[label - 1].append(found)
                counted[label - 1].append(found | ~(share >= thresholds[:, None]) | (share == 0))
    result = np.full((len(thresholds), classes), np.nan)
    for index in range(classes):
        all_scores = np.concatenate([np.empty(0), *scores[index]])
        all_hits = np.concatenate([np.empty((len(thresholds), 0), bool), *hits[index]], axis=1)
        all_counted = np.concatenate([np.empty((len(thresholds), 0), bool), *counted[index]], axis=1)
        for row, (of_threshold, kept) in enumerate(zip(all_hits, all_counted, strict=True)):
            result[row, index] = average_precision(all_scores[kept], of_threshold[kept], positives[index])
    return result


def _shares_within(boxes: np.ndarray, regions: np.ndarray) -> np.ndarray:
    """(D, K) share of the area of each of (D, 4) boxes that lies within each of (K, 4) regions."""
    low = np.maximum(boxes[:, None, :2], regions[:, :2])
    high = np.minimum(boxes[:, None, 2:], regions[:, 2:])
    common = np.clip(high - low, 0, None).prod(axis=-1)
    own = np.broadcast_to(areas(boxes)[:, None], common.shape)
    shares: np.ndarray = np.divide(common, own, out=np.zeros(common.shape), where=own > 0)
    return shares


def mean_average_precision(
    predictions: Sequence[Any], truths: Sequence[Any], iou_thresholds: ArrayLike = COCO_IOU_THRESHOLDS
) -> float:
    """Mean of the average precisions over thresholds and classes, as pycocotools counts it.

    Args:
        predictions: see `average_precisions`.
        truths: see `average_precisions`.
        iou_thresholds: one IoU or several; by default COCO's ten, 0.50 to 0.95.

    Returns:
        mAP in 0..1; nan if there is no box in any image.
    """
    return known_mean(average_precisions(predictions, truths, iou_thresholds))


def confusion_matrix(masks: Iterable[np.ndarray], predicted: Iterable[np.ndarray], classes: int) -> np.ndarray:
    """Pixels of all images, counted by true and predicted class.

    Args:
        masks: true masks, each (H, W), 255 where nothing counts.
        predicted: predicted masks of the same sizes.
        classes: number of classes, background not counted.

    Returns:
        (classes + 1, classes + 1) int64; row: true class, column: predicted class.

    Raises:
        ValueError: if a predicted mask differs from its true one in size, or holds a class that there is not.
    """
    side = classes + 1
    counts = np.zeros(side * side, np.int64)
    for truth, guess in zip(masks, predicted, strict=True):
        truth, guess = np.asarray(truth), np.asarray(guess)
        if truth.shape != guess.shape:
            raise ValueError(f"a predicted mask is {guess.shape}, its true one {truth.shape}")
        seen = truth != IGNORE
        truth, guess = truth[seen].astype(np.int64), guess[seen].astype(np.int64)
        lowest, highest = (
            min(truth.min(initial=0), guess.min(initial=0)),
            max(truth.max(initial=0), guess.max(initial=0)),
        )
        if lowest < 0 or highest > classes:
            wrong = lowest if lowest < 0 else highest
            raise ValueError(f"a mask holds class {wrong}, there are only 0 to {classes}")
        counts += np.bincount(truth * side + guess, minlength=side * side)
    return counts.reshape(side, side)


def class_ious(confusion: np.ndarray) -> np.ndarray:
    """IoU of each class: pixels that both agree on, divided by those that either calls so.

    Args:
        confusion: (C + 1, C + 1) from `confusion_matrix`.

    Returns:
        (C + 1,) float64, background first; nan for a class that neither holds.
    """
    both = np.diag(confusion).astype(np.float64)
    either = confusion.sum(axis=0) + confusion.sum(axis=1) - both
    ious: np.ndarray = np.divide(both, either, out=np.full(len(both), np.nan), where=either > 0)
    return ious


def mean_iou(masks: Iterable[np.ndarray], predicted: Iterable[np.ndarray], classes: int) -> float:
    """Mean IoU of the classes, background left out, from one confusion matrix over all images.

    Args:
        masks: see `confusion_matrix`.
        predicted: see `confusion_matrix`.
        classes: number of classes, background not counted.

    Returns:
        mIoU in 0..1; nan if no class occurs.
    """
    return known_mean(class_ious(confusion_matrix(masks, predicted, classes))[1:])


def known_mean(values: np.ndarray) -> float:
    """Mean of the values that are not nan; nan where all are."""
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else float("nan")
