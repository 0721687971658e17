"""What a data set asks of a network: the size of its pictures, and anchors for its boxes.

That boxes may choose the anchors is from Redmon and Farhadi 2017, "YOLO9000", section 2 "Dimension Clusters"; here
sizes and shapes are taken from the boxes' quantiles, map by map, as SSD lays its anchors out.
"""

from dataclasses import replace
from math import ceil

import numpy as np
from numpy.typing import ArrayLike

from ssdseg_ref.anchors import coverage
from ssdseg_ref.config import Config

SIDE_STEP = 32  # pixels: sides are multiples of the coarsest stride of the backbone
LEAST_SIDE = 96  # pixels
LARGEST_AREA = 288 * 384  # pixels: more would be slow on two cores
SMALL = 24  # pixels, a small box's side that the first anchors still find
SMALL_QUANTILE = 0.25  # of the boxes may be smaller
MOST_STRETCHED = 2.0  # width / height of a network's pictures, or height / width
FIRST_QUANTILES = (0.02, 0.05, 0.1, 0.2, 0.3)  # of the boxes' sizes: what the finest map's scale is tried at
LAST_SCALES = (0.7, 0.8, 0.95)
FIRST_SCALE = (0.03, 0.2)  # of the finest map, at least and at most: it is there for small boxes
RATIOS = (0.1, 10.0)  # of the anchors: least and greatest
WORTH_IT = 0.02  # of coverage: less is no reason to leave anchors that heads have learned
MOST_BOXES = 1_500  # that are compared with anchors, taken evenly from all: COCO's 860,000 would take hours and 100 GB
FEW_BOXES = 8  # for one ratio: fewer say nothing of a map of their own


def fit_image_size(sizes: ArrayLike, boxes: ArrayLike, area: int) -> tuple[int, int]:
    """The size of the pictures that a network should get.

    Args:
        sizes: (N, 2) height and width of the photographs, in pixels.
        boxes: (M, 4) all their boxes, corners in fractions of their photograph.
        area: in pixels, that a network usually gets; small boxes get up to `LARGEST_AREA`.

    Returns:
        (height, width), multiples of 32, as stretched as the photographs are in the middle.

    Raises:
        ValueError: if there is no photograph.
    """
    sizes = np.asarray(sizes, np.float64).reshape(-1, 2)
    boxes = np.asarray(boxes, np.float64).reshape(-1, 4)
    if len(sizes) == 0:
        raise ValueError("there is no photograph to choose a size for")
    ratio = np.clip(np.median(sizes[:, 1] / sizes[:, 0]), 1 / MOST_STRETCHED, MOST_STRETCHED)
    if len(boxes):
        shares = np.sqrt((boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1]))
        small = max(float(np.quantile(shares, SMALL_QUANTILE)), 1e-6) * np.sqrt(area)  # in pixels
        area = round(min(area * max(1.0, (SMALL / small) ** 2), max(area, LARGEST_AREA)))
    height = np.sqrt(area / ratio)

    def side(pixels: float) -> int:
        return max(LEAST_SIDE, SIDE_STEP * round(pixels / SIDE_STEP))

    return side(height), side(height * ratio)


def covered(config: Config, boxes: ArrayLike, threshold: float = 0.5) -> float:
    """The share of boxes that some anchor of a network overlaps well enough, as lesson 1 measures it.

    Args:
        config: of the network.
        boxes: (M, 4) corners; of very many, some stand for all.
        threshold: least IoU.
    """
    boxes = np.asarray(boxes, np.float32).reshape(-1, 4)
    return coverage(config.anchors, boxes[:: ceil(len(boxes) / MOST_BOXES) or 1], threshold)


def fit_anchors(config: Config, boxes: ArrayLike) -> Config:
    """The configuration with anchors for these boxes, as many per cell as before.

    Args:
        config: its image size counts; its anchors stay where no others cover two points more of the boxes, since heads
            may have learned them.
        boxes: (M, 4) corners in fractions of the images.
    """
    boxes = np.asarray(boxes, np.float32).reshape(-1, 4)
    if len(boxes) == 0:
        return config
    height, width = config.image_size
    sides = np.maximum((boxes[:, 2:] - boxes[:, :2]) * [width, height], 1.0)  # in pixels
    scales = np.sqrt(sides.prod(axis=1)) / min(height, width)
    ratios = sides[:, 0] / sides[:, 1]
    best, most = config, _worth(config, boxes) + WORTH_IT
    for quantile in FIRST_QUANTILES:
        first = float(np.clip(np.quantile(scales, quantile), *FIRST_SCALE))
        for last in LAST_SCALES:
            tried = _laid_out(config, first, last, scales, ratios)
            if (worth := _worth(tried, boxes)) > most:
                best, most = tried, worth
    return best


def _worth(config: Config, boxes: np.ndarray) -> float:
    """What lesson 1 measures, and, where that is equal, a little of what a stricter threshold says."""
    return covered(config, boxes) + 0.1 * covered(config, boxes, threshold=0.65)


def _laid_out(config: Config, first: float, last: float, scales: np.ndarray, ratios: np.ndarray) -> Config:
    """Scales in equal ratios from the first to the last, and each map's aspect ratios from the boxes of its size."""
    maps = len(config.strides)
    chosen = np.geomspace(first, last, maps + 1)
    own = np.abs(np.log(scales[:, None] / np.sqrt(chosen[:-1] * chosen[1:]))).argmin(axis=1)  # the map of each box
    aspect_ratios = []
    for place, count in enumerate(config.anchor_spec.anchors_per_cell):
        wanted = count - 1  # the extra square comes by itself
        shapes = ratios[own == place]
        shapes = np.log(shapes if len(shapes) >= FEW_BOXES * wanted else ratios)
        middles = np.exp(np.quantile(shapes, (np.arange(wanted) + 0.5) / wanted))
        aspect_ratios.append(tuple(round(float(ratio), 2) for ratio in np.clip(middles, *RATIOS)))
    return replace(config, scales=tuple(round(float(scale), 3) for scale in chosen), aspect_ratios=tuple(aspect_ratios))
