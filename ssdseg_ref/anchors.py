"""Default boxes ("anchors") of the Single Shot MultiBox Detector.

Source: Liu et al. 2016, "SSD: Single Shot MultiBox Detector", section 2.2, "Choosing scales and aspect ratios for
default boxes".
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ssdseg_ref.boxes import pairwise_iou


def grid_centers(rows: int, cols: int) -> np.ndarray:
    """Middles of the cells of a `rows` x `cols` grid laid over the image.

    Returns:
        (rows * cols, 2) float32, each (x, y) as a fraction of the image's width and height, row by row.

    Raises:
        ValueError: if a side is not positive.
    """
    if rows < 1 or cols < 1:
        raise ValueError(f"a grid needs at least one row and one column, got {rows} x {cols}")
    y, x = np.mgrid[:rows, :cols] + 0.5
    return np.stack([x / cols, y / rows], axis=-1).reshape(-1, 2).astype(np.float32)


def anchor_sizes(
    scale: float, next_scale: float, aspect_ratios: Sequence[float], image_size: tuple[int, int]
) -> np.ndarray:
    """Sizes of the anchors that share one cell.

    An anchor of ratio r measures `scale * short * sqrt(r)` by `scale * short / sqrt(r)` pixels, short being the
    image's shorter side: its area depends on the scale alone, and a ratio of 1 is a square on the screen, whatever
    the shape of the image. One more square stands between this map's scale and the next: sqrt(scale * next_scale).

    Args:
        scale: side of this map's square, as a fraction of the image's shorter side.
        next_scale: the same for the next map.
        aspect_ratios: width / height of each anchor, in pixels.
        image_size: (height, width) in pixels.

    Returns:
        (A, 2) float32 of (width, height), fractions of the image's width and height; A = len(aspect_ratios) + 1.

    Raises:
        ValueError: if a scale, a ratio or a side is not positive.
    """
    height, width = image_size
    if min(scale, next_scale, height, width, *aspect_ratios) <= 0:
        raise ValueError(
            "scales, ratios and image sides must be positive, got "
            f"scale {scale}, next_scale {next_scale}, aspect_ratios {tuple(aspect_ratios)}, image_size {image_size}"
        )
    root = np.sqrt([*aspect_ratios, 1.0])
    side = min(height, width) * np.array([scale] * len(aspect_ratios) + [np.sqrt(scale * next_scale)])
    return np.stack([side * root / width, side / root / height], axis=-1).astype(np.float32)


def map_anchors(
    rows: int,
    cols: int,
    scale: float,
    next_scale: float,
    aspect_ratios: Sequence[float],
    image_size: tuple[int, int],
) -> np.ndarray:
    """The anchors of one feature map: every size of `anchor_sizes` around every middle of `grid_centers`.

    Returns:
        (rows * cols * A, 4) float32 corners in fractions of the image, ordered by row, column, shape. Those at the
        border reach over it: a clipped anchor would have another shape, and the network learns offsets to shapes.
    """
    middles = grid_centers(rows, cols)[:, None]  # (rows * cols, 1, 2)
    sizes = anchor_sizes(scale, next_scale, aspect_ratios, image_size)[None]  # (1, A, 2)
    return np.concatenate([middles - sizes / 2, middles + sizes / 2], axis=-1).reshape(-1, 4)


def linear_scales(first: float, last: float, maps: int) -> tuple[float, ...]:
    """Scales of all maps at equal steps, from the finest map's to the coarsest's, and one step more.

    The scale behind the last serves the coarsest map's extra square, as `next_scale` of `anchor_sizes`.

    Args:
        first: scale of the finest map, a fraction of the image's shorter side.
        last: scale of the coarsest map.
        maps: number of maps.

    Returns:
        `maps` + 1 scales.

    Raises:
        ValueError: if there are fewer than two maps, or the scales do not rise from over 0.

    Source: equation 4.
    """
    if maps < 2 or not 0 < first < last:
        raise ValueError(f"scales rise from over 0 over at least two maps, got {first} to {last} over {maps} maps")
    step = (last - first) / (maps - 1)
    return tuple(first + step * k for k in range(maps + 1))


@dataclass(frozen=True)
class AnchorSpec:
    """All that it takes to lay the anchors of a network.

    Attributes:
        image_size: (height, width) in pixels; it matters for its shape, fractions come out.
        feature_maps: (rows, cols) of each map that predicts.
        scales: one per map and one more after the last, fractions of the image's shorter side.
        aspect_ratios: width / height of the anchors: one tuple for all maps, or a tuple of tuples, one per map.
    """

    image_size: tuple[int, int]
    feature_maps: tuple[tuple[int, int], ...]
    scales: tuple[float, ...]
    aspect_ratios: tuple[float, ...] | tuple[tuple[float, ...], ...]

    def __post_init__(self) -> None:
        maps = len(self.feature_maps)
        if maps == 0:
            raise ValueError("anchors need at least one feature map")
        if len(self.scales) != maps + 1:
            raise ValueError(f"{maps} feature maps need {maps + 1} scales, got {len(self.scales)}")
        if len(self.ratios_by_map) != maps:
            raise ValueError(f"{maps} feature maps need {maps} tuples of ratios, got {len(self.ratios_by_map)}")

    @property
    def ratios_by_map(self) -> tuple[tuple[float, ...], ...]:
        """The aspect ratios of each map, also where one tuple stands for all."""
        ratios: Any = self.aspect_ratios
        shared = len(ratios) > 0 and np.ndim(ratios[0]) == 0
        return (ratios,) * len(self.feature_maps) if shared else ratios

    @property
    def anchors_per_cell(self) -> tuple[int, ...]:
        """How many anchors share a cell, for each map: one per ratio, and the extra square."""
        return tuple(len(ratios) + 1 for ratios in self.ratios_by_map)


def make_anchors(spec: AnchorSpec) -> np.ndarray:
    """All anchors of a network.

    Returns:
        (N, 4) float32 corners in fractions of the image, ordered by map, row, column, shape; not clipped.
    """
    return np.concatenate(
        [
            map_anchors(rows, cols, spec.scales[k], spec.scales[k + 1], ratios, spec.image_size)
            for k, ((rows, cols), ratios) in enumerate(zip(spec.feature_maps, spec.ratios_by_map, strict=True))
        ]
    )


def coverage(anchors: ArrayLike, boxes: ArrayLike, threshold: float = 0.5) -> float:
    """Share of the boxes that some anchor overlaps well enough: what a detector could find at best.

    Args:
        anchors: (N, 4) corners.
        boxes: (M, 4) corners, of one image or of a whole data set.
        threshold: least IoU with the best anchor.

    Returns:
        Recall in 0..1; 1 if there is no box, for then none is missed.
    """
    boxes = np.asarray(boxes, np.float32).reshape(-1, 4)
    if len(boxes) == 0:
        return 1.0
    return float((pairwise_iou(boxes, anchors).max(axis=1, initial=0) >= threshold).mean())
