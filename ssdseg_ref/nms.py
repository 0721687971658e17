"""Non-maximum suppression: of several detections of one thing the best one stays.

Source: the greedy form that Liu et al. 2016, "SSD", section 2.2 "Training", closing paragraph on inference, applies
with an IoU of 0.45, a score of 0.01 and the best 200 of an image.
"""

import numpy as np
from numpy.typing import ArrayLike

from ssdseg_ref.boxes import floats, pairwise_iou


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
