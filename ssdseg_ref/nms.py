"""Non-maximum suppression: of several detections of one thing the best one stays, and the others may still vote.

Source: the greedy form that Liu et al. 2016, "SSD", section 2.2 "Training", closing paragraph on inference, applies
with an IoU of 0.45, a score of 0.01 and the best 200 of an image. The vote is He et al. 2019, "Bounding Box Regression
with Uncertainty for Accurate Object Detection", section 3.3, with the score in the place of their variance's inverse.
"""

import numpy as np
from numpy.typing import ArrayLike

from ssdseg_ref.boxes import floats, pairwise_iou

VOTING_IOU = 0.5  # from which on a box is taken for another view of the same thing
VOTING_SPREAD = 0.05  # of the weight: at an IoU of 0.78 it has fallen to a share of 1 / e


def non_max_suppression(
    boxes: ArrayLike,
    scores: ArrayLike,
    iou_threshold: float = 0.45,
    score_threshold: float = 0.01,
    max_detections: int = 200,
) -> np.ndarray:
    """Keep the best box, drop those that overlap it by more than the threshold, and go on with the next.

    Args:
        boxes: (N, 4) corners of one class; one that is not finite does not take part.
        scores: (N,) scores; equal ones go in their order, and what is no number does not take part.
        iou_threshold: a box whose IoU with a better one is strictly above it is dropped.
        score_threshold: a box scored strictly below it does not take part.
        max_detections: stop after so many.

    Returns:
        (K,) int64, the indices that are kept, best first.

    Raises:
        ValueError: if boxes and scores differ in number.
    """
    boxes, scores = floats(boxes).reshape(-1, 4), np.asarray(scores, np.float32).reshape(-1)
    if len(boxes) != len(scores):
        raise ValueError(f"every box needs a score, got {len(boxes)} boxes and {len(scores)} scores")
    candidates = np.flatnonzero((scores >= score_threshold) & np.isfinite(boxes).all(axis=1))
    candidates = candidates[np.argsort(-scores[candidates], kind="stable")]
    kept: list[int] = []
    while len(candidates) and len(kept) < max_detections:
        best, rest = candidates[0], candidates[1:]
        kept.append(best)
        candidates = rest[pairwise_iou(boxes[[best]], boxes[rest])[0] <= iou_threshold]
    return np.array(kept, np.int64)


def average_boxes(boxes: ArrayLike, scores: ArrayLike, kept: ArrayLike, score_threshold: float = 0.01) -> np.ndarray:
    """Each kept box as the mean of all that overlap it by half or more, weighted by score and by nearness.

    The boxes that suppression drops have seen the same thing from other anchors, and their errors differ.

    Args:
        boxes: (N, 4) corners of one class; one that is not finite has no vote.
        scores: (N,) scores.
        kept: (K,) indices that `non_max_suppression` has kept.
        score_threshold: a box scored strictly below it has no vote.

    Returns:
        (K, 4) corners, in the order of `kept`, of the boxes' own type.
    """
    boxes, scores = floats(boxes).reshape(-1, 4), np.asarray(scores, np.float64).reshape(-1)
    chosen = boxes[np.asarray(kept, np.int64).reshape(-1)]
    voters = np.flatnonzero((scores >= score_threshold) & np.isfinite(boxes).all(axis=1))
    overlaps = pairwise_iou(chosen, boxes[voters])  # (K, V)
    weights = (overlaps >= VOTING_IOU) * scores[voters] * np.exp(-np.square(1 - overlaps) / VOTING_SPREAD)
    votes = weights.sum(axis=1, keepdims=True)
    # One without area overlaps nothing, not even itself, and stays.
    return np.where(votes > 0, weights @ boxes[voters] / np.where(votes > 0, votes, 1), chosen).astype(boxes.dtype)
