"""Boxes as offsets from anchors, which is what the network predicts, and back.

Source: Liu et al. 2016, "SSD", equation 2; the variances are those of the authors' Caffe code, which divide the
offsets so that all four have about unit spread.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ssdseg_ref.boxes import floats
from ssdseg_ref.matching import UNMATCHED, match_anchors

Tensor = Any  # NumPy array or tensor of Keras's backend; Keras is not imported here

VARIANCES = (0.1, 0.1, 0.2, 0.2)


def encode(boxes: Tensor, anchors: Tensor, variances: Sequence[float] = VARIANCES) -> Tensor:
    """Corner boxes -> offsets from their anchors: (dx / w, dy / h, log(width / w), log(height / h)) / variances.

    A box equal to its anchor encodes to zero.

    Args:
        boxes: (..., N, 4) corners, NumPy or a tensor of Keras's backend.
        anchors: (N, 4) corners.
        variances: what the middle's and the size's offsets are divided by.

    Returns:
        (..., N, 4) offsets, of the kind that came in.

    Raises:
        ValueError: if a NumPy box or anchor is empty, turned inside out or not finite: its size has no logarithm.
    """
    boxes, anchors = _wide(boxes), _wide(anchors)
    xp = _namespace(boxes)
    x, y, width, height = _centers(boxes)
    anchor_x, anchor_y, anchor_width, anchor_height = _centers(anchors)
    sides = (x, y, width, height, anchor_width, anchor_height)
    if xp is np and not (
        all(np.all(side > 0) for side in sides[2:]) and all(np.isfinite(side).all() for side in sides)
    ):
        raise ValueError(
            "an empty box or anchor, or one turned inside out or not finite, has no logarithm of its size to encode"
        )
    offsets = (
        (x - anchor_x) / anchor_width / variances[0],
        (y - anchor_y) / anchor_height / variances[1],
        xp.log(width / anchor_width) / variances[2],
        xp.log(height / anchor_height) / variances[3],
    )
    return xp.stack(offsets, axis=-1)


def decode(offsets: Tensor, anchors: Tensor, variances: Sequence[float] = VARIANCES) -> Tensor:
    """Offsets from anchors -> corner boxes: the inverse of `encode`.

    Args:
        offsets: (..., N, 4), NumPy or a tensor of Keras's backend.
        anchors: (N, 4) corners.
        variances: those that `encode` was given.

    Returns:
        (..., N, 4) corners, of the kind that came in; not clipped to the image.
    """
    offsets, anchors = _wide(offsets), _wide(anchors)
    xp = _namespace(offsets)
    anchor_x, anchor_y, anchor_width, anchor_height = _centers(anchors)
    x = anchor_x + offsets[..., 0] * variances[0] * anchor_width
    y = anchor_y + offsets[..., 1] * variances[1] * anchor_height
    half_width = xp.exp(offsets[..., 2] * variances[2]) * anchor_width / 2
    half_height = xp.exp(offsets[..., 3] * variances[3]) * anchor_height / 2
    return xp.stack((x - half_width, y - half_height, x + half_width, y + half_height), axis=-1)


def encode_targets(
    boxes: ArrayLike, labels: ArrayLike, anchors: ArrayLike, threshold: float = 0.5
) -> tuple[np.ndarray, np.ndarray]:
    """What the network is asked to predict for one image.

    Args:
        boxes: (M, 4) corners.
        labels: (M,) classes, from 1.
        anchors: (N, 4) corners.
        threshold: least IoU at which an anchor takes a box; see `match_anchors`.

    Returns:
        classes: (N,) int32, the class of each anchor's box, 0 where it has none.
        offsets: (N, 4) float32, from each anchor to its box, 0 where it has none.
    """
    anchors = np.asarray(anchors, np.float32)
    matches = match_anchors(anchors, boxes, threshold)
    positive = np.flatnonzero(matches != UNMATCHED)
    chosen = matches[positive]
    classes = np.zeros(len(anchors), np.int32)
    offsets = np.zeros((len(anchors), 4), np.float32)
    if len(positive):
        classes[positive] = np.asarray(labels)[chosen]
        offsets[positive] = encode(np.asarray(boxes, np.float32)[chosen], anchors[positive])
    return classes, offsets


def _centers(boxes: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    xmin, ymin, xmax, ymax = (boxes[..., side] for side in range(4))
    return (xmin + xmax) / 2, (ymin + ymax) / 2, xmax - xmin, ymax - ymin


def _wide(values: Tensor) -> Tensor:
    """Lists become arrays; arrays and tensors get numbers that are wide enough to count in, see `boxes.floats`."""
    if isinstance(values, np.ndarray | list | tuple):
        return floats(values)
    from keras import ops  # only where a tensor comes: importing Keras takes seconds
    from keras.backend import standardize_dtype

    return values if standardize_dtype(values.dtype) in ("float32", "float64") else ops.cast(values, "float32")


def _namespace(array: Tensor) -> Any:
    """NumPy for what NumPy made, else `keras.ops`: the two write log, exp and stack alike."""
    if isinstance(array, np.ndarray):
        return np
    from keras import ops  # only where a tensor comes: importing Keras takes seconds

    return ops
