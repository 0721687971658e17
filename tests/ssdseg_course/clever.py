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


def my_conv2d(image, kernel, stride, block=20):
    """A block of rows at a time, small enough to stay in the cache: the rows that a kernel meets lie side by side, so
    one product for each of its columns does for all of them."""
    rows, columns, channels, count = kernel.shape
    (height, top, bottom), (width, left, right) = (
        _same(size, taps, stride) for size, taps in zip(image.shape[:2], (rows, columns), strict=True)
    )
    padded = np.pad(image, ((top, bottom), (left, right), (0, 0)))
    flat = kernel.transpose(1, 0, 2, 3).reshape(columns, rows * channels, count)
    result = np.empty((height, width, count), image.dtype)
    stacked = np.empty((block, padded.shape[1], rows * channels), image.dtype)
    product = np.empty((block, width, count), image.dtype)
    for start in range(0, height, block):
        number = min(block, height - start)
        for row in range(rows):
            first = start * stride + row
            part = padded[first : first + (number - 1) * stride + 1 : stride]
            stacked[:number, :, row * channels : (row + 1) * channels] = part
        total = result[start : start + number]
        total[:] = 0
        for column in range(columns):
            part = stacked[:number, column : column + (width - 1) * stride + 1 : stride]
            total += np.matmul(part, flat[column], out=product[:number])
    return result


def _same(size, taps, stride):
    """Outputs along a side, and the padding before and after it."""
    outputs = -(-size // stride)
    padding = max((outputs - 1) * stride + taps - size, 0)
    return outputs, padding // 2, padding - padding // 2
