"""The clever answers whose times stand among the marks of challenges: a learner who looks here has found a hint."""

import numpy as np

from ssdseg_ref.boxes import pairwise_iou


def my_matching(anchors, boxes, threshold, block=4):
    """A block of boxes at a time, in arrays that are made once; a row is searched again only where it has lost."""
    number, count = len(anchors), len(boxes)
    matches = np.full(number, -1, np.int32)
    if not (number and count):
        return matches
    xmin, ymin, xmax, ymax = np.ascontiguousarray(anchors.T)
    areas, sizes = (xmax - xmin) * (ymax - ymin), (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    left, top, right, bottom = (np.ascontiguousarray(boxes[:, side, None]) for side in range(4))
    overlaps = np.empty((count, number), np.float32)
    spare = np.empty((2, block, number), np.float32)
    best_of_anchor = np.full(number, np.nextafter(np.float32(threshold), np.float32(0)))
    best_anchor = np.empty(count, np.int64)
    for first in range(0, count, block):
        some = slice(first, first + block)
        iou = overlaps[some]
        height, other = spare[:, : len(iou)]
        np.minimum(xmax, right[some], out=iou)
        iou -= np.maximum(xmin, left[some], out=other)
        np.maximum(iou, 0, out=iou)
        np.minimum(ymax, bottom[some], out=height)
        height -= np.maximum(ymin, top[some], out=other)
        iou *= np.maximum(height, 0, out=height)
        np.add(areas, sizes[some, None], out=other)
        other -= iou
        iou /= other
        best_anchor[some] = iou.argmax(axis=1)
        for box, row in enumerate(iou, start=first):
            better = np.flatnonzero(row > best_of_anchor)
            best_of_anchor[better], matches[better] = row[better], box
    best = overlaps[np.arange(count), best_anchor]
    taken = np.zeros(number, bool)
    while best[box := best.argmax()] > 0:
        anchor = best_anchor[box]
        matches[anchor], taken[anchor], best[box] = box, True, -1
        for loser in np.flatnonzero((best_anchor == anchor) & (best > 0)):
            row = overlaps[loser]
            row[taken] = -1
            best_anchor[loser] = row.argmax()
            best[loser] = row[best_anchor[loser]]
    return matches


def my_suppression(boxes, scores, iou_threshold, max_detections, block=256):
    """Sorted boxes, a block at a time: against what is kept, then among themselves."""
    order = np.argsort(-scores, kind="stable")
    kept: list[int] = []
    for start in range(0, len(order), block):
        part = order[start : start + block]
        if kept:
            part = part[(pairwise_iou(boxes[part], boxes[kept]) <= iou_threshold).all(axis=1)]
        over = pairwise_iou(boxes[part], boxes[part]) > iou_threshold
        dropped = np.zeros(len(part), bool)
        for place in range(len(part)):
            if not dropped[place]:
                kept.append(int(part[place]))
                dropped |= over[place]
            if len(kept) == max_detections:
                return np.array(kept)
    return np.array(kept, int)
