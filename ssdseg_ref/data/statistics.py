"""How a data set is made up: how often each class occurs, how large and how wide it is, how much of the image it fills.

What to look at before training: a class with few instances is hard to learn, anchors should fit the boxes that are
there, and a mask that is nearly all background needs weights.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from ssdseg_ref.boxes import areas
from ssdseg_ref.data.sample import Sample

PERCENTILES = (5, 25, 50, 75, 95)


@dataclass(frozen=True)
class ClassStatistics:
    """Counts and shapes of one class.

    Attributes:
        name: of the class.
        images: number of images whose boxes or mask show it.
        instances: number of its boxes.
        areas: percentiles (see PERCENTILES) of its boxes' areas, fractions of the image; NaN without boxes.
        aspect_ratios: likewise width / height, both in pixels.
    """

    name: str
    images: int
    instances: int
    areas: tuple[float, ...]
    aspect_ratios: tuple[float, ...]


@dataclass(frozen=True)
class Statistics:
    """Counts and shapes of a data set.

    Attributes:
        images: number of images.
        images_without_boxes: how many of them show no box.
        classes: one entry a class, in the order of the labels, background not counted.
        pixel_shares: (C + 1,) share of all pixels that each class fills, background first; 255 is not counted.
        class_weights: (C + 1,) what to multiply each class's pixels by in a loss, background first.
    """

    images: int
    images_without_boxes: int
    classes: tuple[ClassStatistics, ...]
    pixel_shares: tuple[float, ...]
    class_weights: tuple[float, ...]


def describe(samples: Iterable[Sample], classes: Sequence[str]) -> Statistics:
    """Count through a data set once.

    Args:
        samples: each is looked at once, and may have its own size.
        classes: names of labels 1, 2, ...

    Raises:
        ValueError: if there is no sample.
    """
    pixels, labels, box_areas, aspect_ratios = [], [], [], []
    for sample in samples:
        height, width = sample.mask.shape
        # Values above the last class are 255, "ignore".
        pixels.append(np.bincount(sample.mask.ravel(), minlength=256)[: len(classes) + 1])
        labels.append(sample.labels)
        sides = (sample.boxes[:, 2:] - sample.boxes[:, :2]) * [width, height]
        box_areas.append(areas(sample.boxes))
        aspect_ratios.append(sides[:, 0] / sides[:, 1])
    if not labels:
        raise ValueError("there is no image to describe")
    pixel_counts = np.array(pixels)  # (images, C + 1)
    all_labels, all_areas, all_ratios = (np.concatenate(parts) for parts in (labels, box_areas, aspect_ratios))
    by_class = [
        ClassStatistics(
            name=name,
            images=sum(bool(count) or label in own for count, own in zip(pixel_counts[:, label], labels, strict=True)),
            instances=int(np.sum(all_labels == label)),
            areas=_percentiles(all_areas[all_labels == label]),
            aspect_ratios=_percentiles(all_ratios[all_labels == label]),
        )
        for label, name in enumerate(classes, start=1)
    ]
    return Statistics(
        images=len(labels),
        images_without_boxes=sum(len(own) == 0 for own in labels),
        classes=tuple(by_class),
        pixel_shares=tuple((pixel_counts.sum(axis=0) / max(pixel_counts.sum(), 1)).tolist()),
        class_weights=tuple(median_frequency_weights(pixel_counts).tolist()),
    )


def median_frequency_weights(pixel_counts: np.ndarray) -> np.ndarray:
    """Weights that make up for rare classes: weight(c) = median frequency / frequency(c).

    The frequency of a class is its number of pixels, divided by the number of all pixels of those images that show it;
    the median goes over the classes that occur. Background is a class like the others.

    Args:
        pixel_counts: (images, classes) pixels of each class in each image.

    Returns:
        (classes,) float64; 0 for a class that never occurs, since no pixel will ask for its weight.

    Source: Eigen and Fergus 2015, "Predicting Depth, Surface Normals and Semantic Labels with a Common Multi-Scale
    Convolutional Architecture", where it balances the loss of the semantic labels.
    """
    sizes = pixel_counts.sum(axis=1)  # (images,)
    own = pixel_counts.sum(axis=0)
    of_images_that_show_it = ((pixel_counts > 0) * sizes[:, None]).sum(axis=0)
    occurs = own > 0
    frequency = own[occurs] / of_images_that_show_it[occurs]
    weights = np.zeros(len(own))
    if occurs.any():
        weights[occurs] = np.median(frequency) / frequency
    return weights


def _percentiles(values: np.ndarray) -> tuple[float, ...]:
    if len(values) == 0:
        return (float("nan"),) * len(PERCENTILES)
    return tuple(np.percentile(values, PERCENTILES).tolist())
