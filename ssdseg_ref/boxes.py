"""Boxes: ways to write them, their areas, and their overlap.

A box is (xmin, ymin, xmax, ymax) in fractions of the image, "corners", or (x, y, width, height) around its middle,
"centers". Width is xmax - xmin: a box is a piece of the plane, not a count of pixels, so nothing is added.

Boxes of whole numbers, as pixels often are, and of half precision are counted in wider floats: 200 x 200 is more than
int16 or float16 holds.
"""

import numpy as np
from numpy.typing import ArrayLike


def centers_to_corners(boxes: ArrayLike) -> np.ndarray:
    """(x, y, width, height) -> (xmin, ymin, xmax, ymax).

    Args:
        boxes: (..., 4) array.

    Returns:
        (..., 4) array, float32 if it came as float32 or narrower floats, else float64.
    """
    boxes = floats(boxes)
    middle, size = boxes[..., :2], boxes[..., 2:]
    return np.concatenate([middle - size / 2, middle + size / 2], axis=-1)


def corners_to_centers(boxes: ArrayLike) -> np.ndarray:
    """(xmin, ymin, xmax, ymax) -> (x, y, width, height).

    Args:
        boxes: (..., 4) array.

    Returns:
        (..., 4) array, float32 if it came as float32 or narrower floats, else float64.
    """
    boxes = floats(boxes)
    low, high = boxes[..., :2], boxes[..., 2:]
    return np.concatenate([(low + high) / 2, high - low], axis=-1)


def to_pixels(boxes: ArrayLike, image_size: tuple[int, int]) -> np.ndarray:
    """Corners in fractions of the image -> corners in pixels, for a file or a screen.

    Args:
        boxes: (..., 4) corners.
        image_size: (height, width) in pixels.

    Returns:
        (..., 4) float64 corners, not rounded: a side may lie between two pixels.
    """
    height, width = image_size
    return floats(boxes).astype(np.float64) * (width, height, width, height)


def areas(boxes: ArrayLike) -> np.ndarray:
    """Areas of corner boxes, (...,); 0 where a box is turned inside out.

    Args:
        boxes: (..., 4) corners.
    """
    with np.errstate(invalid="ignore", over="ignore"):  # of boxes that are not finite
        return _areas(floats(boxes))


def pairwise_iou(a: ArrayLike, b: ArrayLike) -> np.ndarray:
    """Intersection over union of every box of `a` with every box of `b`.

    Args:
        a: (N, 4) corners.
        b: (M, 4) corners, in the same units.

    Returns:
        (N, M) in 0..1, 0 where both boxes are empty or one is not finite; float32 if both come as float32 or narrower
        floats, else float64.

    Source: the PASCAL VOC challenge's measure of overlap, Everingham et al. 2010, section 4.2.
    """
    a, b = floats(a).reshape(-1, 4), floats(b).reshape(-1, 4)
    with np.errstate(invalid="ignore", over="ignore"):  # of boxes that are not finite
        # A side at a time, and in place: a long inner loop is quickest, and every new (N, M) array costs its pages.
        a_xmin, a_ymin, a_xmax, a_ymax = np.ascontiguousarray(a.T)[:, :, None]
        b_xmin, b_ymin, b_xmax, b_ymax = np.ascontiguousarray(b.T)
        intersection = np.minimum(a_xmax, b_xmax)
        intersection -= np.maximum(a_xmin, b_xmin)
        np.maximum(intersection, 0, out=intersection)
        height = np.minimum(a_ymax, b_ymax)
        height -= np.maximum(a_ymin, b_ymin)
        intersection *= np.maximum(height, 0, out=height)
        a_areas, b_areas = _areas(a), _areas(b)
        union = a_areas[:, None] + b_areas
        union -= intersection
        # Where the union is 0, the intersection is 0 already.
        iou: np.ndarray = np.divide(intersection, union, out=intersection, where=union > 0)
    for table, its_areas in ((iou, a_areas), (iou.T, b_areas)):
        if not np.isfinite(its_areas).all():
            table[~np.isfinite(its_areas)] = 0
    return iou


def floats(boxes: ArrayLike) -> np.ndarray:
    """Boxes in numbers wide enough to count in: float32 and float64 stay, half precision becomes float32, whole numbers
    float64; an empty list is no box, (0, 4)."""
    boxes = np.asarray(boxes)
    if boxes.shape == (0,):
        return np.empty((0, 4), np.float32)
    if boxes.dtype in (np.float32, np.float64):
        return boxes
    return boxes.astype(np.float64 if boxes.dtype.kind in "iub" else np.float32)


def _areas(boxes: np.ndarray) -> np.ndarray:
    width, height = boxes[..., 2] - boxes[..., 0], boxes[..., 3] - boxes[..., 1]
    products: np.ndarray = np.maximum(width, 0) * np.maximum(height, 0)
    return products
