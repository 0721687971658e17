"""What a data set of one's own asks for: the shape of the network, and how to train it."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from math import ceil
from zlib import crc32

import numpy as np

from ssdseg_ref.config import Config
from ssdseg_ref.data.augment import WHOLE, crop
from ssdseg_ref.data.files import LazySamples
from ssdseg_ref.data.sample import Sample
from ssdseg_ref.data.statistics import Statistics, describe
from ssdseg_ref.fitting import fit_anchors, fit_image_size
from ssdseg_ref.training import Recipe

IN_MEMORY = 500  # photographs: reading them anew in every epoch takes longer than a step
LONGEST_IN_MEMORY = 800  # pixels of a side: windows are cut out of them, and enlarged
SMALL_DATA = 2_000  # photographs: fewer are augmented strongly
BATCH_SIZE = 16
EPOCHS = 12
LEAST_STEPS = 50  # of an epoch, which passes over a small data set several times
LEARNING_RATE = 2e-3
TAKEN_OVER_RATE = 0.3  # share of it
CLASS_WEIGHTS = (0.5, 2.0)  # of the mask, least and greatest: what is very rare would drown the rest


@dataclass(frozen=True)
class Survey:
    """What a look at every photograph has shown.

    Attributes:
        sizes: (N, 2) height and width in pixels.
        boxes: (M, 4) of all, corners in fractions.
        statistics: counts of the classes.
        checksum: of all that they show and say; another one means other data.
        samples: all of them, none with a side of over 800 pixels; None where they are too many to keep.
    """

    sizes: np.ndarray
    boxes: np.ndarray
    statistics: Statistics
    checksum: str
    samples: tuple[Sample, ...] | None


def survey(samples: Iterable[Sample], classes: Sequence[str]) -> Survey:
    """Look at every sample once.

    Raises:
        ValueError: if there is none.
    """
    sizes, boxes, kept = [], [np.empty((0, 4), np.float32)], []
    checksum = 0

    def looked_at() -> Iterator[Sample]:
        nonlocal checksum
        for sample in samples:
            for part in (sample.image, sample.boxes, sample.labels, sample.mask):
                checksum = crc32(part.tobytes(), checksum)
            sizes.append(sample.mask.shape)
            boxes.append(sample.boxes)
            if len(sizes) <= IN_MEMORY:
                kept.append(_reduced(sample))
            else:
                kept.clear()
            yield sample

    statistics = describe(looked_at(), classes)
    complete = tuple(kept) if len(kept) == len(sizes) else None
    return Survey(np.array(sizes), np.concatenate(boxes), statistics, f"{checksum:08x}", complete)


def _reduced(sample: Sample) -> Sample:
    height, width = sample.mask.shape
    share = LONGEST_IN_MEMORY / max(height, width)
    if share >= 1:
        return sample
    return crop(sample, WHOLE, (max(1, round(height * share)), max(1, round(width * share))))


def fit_config(base: Config, found: Survey, classes: Sequence[str], has_masks: bool) -> Config:
    """The configuration of a network for a data set.

    Args:
        base: of the network that it begins with.
        found: the look at the training photographs.
        classes: their names.
        has_masks: whether there are masks to learn from.
    """
    height, width = base.image_size
    size = fit_image_size(found.sizes, found.boxes, height * width)
    config = replace(base, classes=tuple(classes), image_size=size, has_masks=has_masks)
    return fit_anchors(config, found.boxes)


def fit_batch_size(images: int) -> int:
    """Pictures of a step: 16, or the largest power of two that so few images fill, which several workers can share.

    Args:
        images: how many there are to train on, at least one.
    """
    return min(BATCH_SIZE, 1 << (images.bit_length() - 1))


def fit_recipe(images: int, weights: Sequence[float]) -> Recipe:
    """How to train on a data set: a hundred photographs and ten thousand are passed over equally often at the most.

    Args:
        images: how many there are to train on.
        weights: of the classes, background first, as `describe` counts them.
    """
    batch_size = fit_batch_size(images)
    least, most = CLASS_WEIGHTS
    steps = EPOCHS * max(LEAST_STEPS, images // batch_size)
    return Recipe(
        epochs=EPOCHS,
        batch_size=batch_size,
        learning_rate=LEARNING_RATE * batch_size / BATCH_SIZE,
        ema_momentum=0.99 if steps < 2_000 else 0.998,
        class_weights=tuple(float(np.clip(weight, least, most)) if weight else 1.0 for weight in weights),
        zoom_share=1 / 3,
        strong=images < SMALL_DATA,
        taken_over_rate=TAKEN_OVER_RATE,
        patience=4,
    )


def repeated(samples: Sequence[Sample], batch_size: int) -> Sequence[Sample]:
    """The samples, so often that an epoch has enough steps; each time they are augmented in another way."""
    times = ceil(LEAST_STEPS * batch_size / len(samples))
    if times <= 1:
        return samples
    return LazySamples(range(times * len(samples)), lambda index: samples[index % len(samples)])
