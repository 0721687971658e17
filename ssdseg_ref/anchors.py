"""Default boxes ("anchors") of the Single Shot MultiBox Detector.

Source: Liu et al. 2016, "SSD: Single Shot MultiBox Detector", section 2.2, "Choosing scales and aspect ratios for
default boxes".
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ssdseg_ref.boxes import centers_to_corners


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


@dataclass(frozen=True)
class AnchorSpec:
    """All that it takes to lay the anchors of a network.

    Attributes:
        image_size: (height, width) in pixels; it matters for its shape, fractions come out.
        feature_maps: (rows, cols) of each map that predicts.
        scales: one a map and one more behind the last, fractions of the image's shorter side.
        aspect_ratios: width / height of the anchors: one tuple for all maps, or a tuple of tuples, one a map.
    """

    image_size: tuple[int, int]
    feature_maps: tuple[tuple[int, int], ...]
    scales: tuple[float, ...]
    aspect_ratios: tuple[float, ...] | tuple[tuple[float, ...], ...]

    def __post_init__(self):
        maps = len(self.feature_maps)
        if len(self.scales) != maps + 1:
            raise ValueError(f"{maps} feature maps need {maps + 1} scales, got {len(self.scales)}")
        if len(self.ratios_by_map) != maps:
            raise ValueError(f"{maps} feature maps need {maps} tuples of ratios, got {len(self.ratios_by_map)}")

    @property
    def ratios_by_map(self) -> tuple[tuple[float, ...], ...]:
        """The aspect ratios of each map, also where one tuple stands for all."""
        if self.aspect_ratios and np.ndim(self.aspect_ratios[0]) == 0:
            return (self.aspect_ratios,) * len(self.feature_maps)
        return self.aspect_ratios

    @property
    def anchors_per_cell(self) -> tuple[int, ...]:
        """How many anchors share a cell, for each map: one a ratio, and the extra square."""
        return tuple(len(ratios) + 1 for ratios in self.ratios_by_map)


def make_anchors(spec: AnchorSpec) -> np.ndarray:
    """All anchors of a network.

    Returns:
        (N, 4) float32 corners in fractions of the image, ordered by map, row, column, shape. Those at the border
        reach over it: a clipped anchor would have another shape, and the network learns offsets to shapes.
    """
    maps = []
    for index, ((rows, cols), ratios) in enumerate(zip(spec.feature_maps, spec.ratios_by_map, strict=True)):
        middles = grid_centers(rows, cols)  # (rows * cols, 2)
        sizes = anchor_sizes(spec.scales[index], spec.scales[index + 1], ratios, spec.image_size)  # (A, 2)
        shape = (len(middles), len(sizes), 2)
        centers = np.concatenate([np.broadcast_to(middles[:, None], shape), np.broadcast_to(sizes, shape)], axis=-1)
        maps.append(centers_to_corners(centers).reshape(-1, 4))
    return np.concatenate(maps)
