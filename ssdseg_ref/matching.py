"""Which anchor answers for which box.

Source: Liu et al. 2016, "SSD: Single Shot MultiBox Detector", section 2.2, "Matching strategy"; the first half is done
greedily and one to one, so that two boxes with one best anchor both get one.
"""

import numpy as np
from numpy.typing import ArrayLike

from ssdseg_ref.boxes import pairwise_iou

UNMATCHED = -1


def match_anchors(anchors: ArrayLike, boxes: ArrayLike, threshold: float = 0.5) -> np.ndarray:
    """Give every box an anchor of its own, then give boxes to the anchors that are still free.

    First greedily, one to one: of all pairs of a free anchor and a free box the one with the largest IoU is taken (the
    first box, then the first anchor, where several are equal), as long as it is over 0. Then every anchor that is
    still free takes the box it overlaps most, if their IoU reaches the threshold.

    Args:
        anchors: (N, 4) corners.
        boxes: (M, 4) corners, in the same units.
        threshold: least IoU of the second half.

    Returns:
        (N,) int32, the index of each anchor's box, or -1.

    Raises:
        ValueError: if the threshold is not in 0..1, or 0 itself: anchors would take boxes that they never touch.
    """
    if not 0 < threshold <= 1:
        raise ValueError(f"the matching threshold is an IoU over 0 and at most 1, got {threshold}")
    overlaps = pairwise_iou(boxes, anchors)  # (M, N): a row is long and contiguous, so this way round is the fast one
    count, anchor_count = overlaps.shape
    matches = np.full(anchor_count, UNMATCHED, np.int32)
    if count == 0 or anchor_count == 0:
        return matches
    near = np.flatnonzero(overlaps.max(axis=0) >= threshold)  # few anchors are, and `argmax` down a column is slow
    matches[near] = overlaps[:, near].argmax(axis=0)

    # Greedy half, written over the other: each box remembers its best free anchor and looks again only if it loses it.
    best_anchor = overlaps.argmax(axis=1)  # (M,)
    best = overlaps[np.arange(count), best_anchor]
    for _ in range(count):
        box = best.argmax()
        if best[box] <= 0:
            break
        anchor = best_anchor[box]
        matches[anchor] = box
        overlaps[:, anchor] = -1
        best[box] = -1
        for loser in np.flatnonzero((best_anchor == anchor) & (best > 0)):
            best_anchor[loser] = overlaps[loser].argmax()
            best[loser] = overlaps[loser, best_anchor[loser]]
    return matches
