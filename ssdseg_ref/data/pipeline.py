"""From samples to the batches that training consumes: augment, resize, encode, batch, in threads ahead of time."""

from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from ssdseg_ref.coding import encode_targets
from ssdseg_ref.config import Config
from ssdseg_ref.data.augment import WHOLE, augment, augment_strongly, crop
from ssdseg_ref.data.sample import IGNORE, Sample

if TYPE_CHECKING:
    import tensorflow as tf


def prepare(
    sample: Sample,
    config: Config,
    rng: np.random.Generator | None = None,
    zoom_share: float = 0.0,
    other: Sample | None = None,
) -> tuple[np.ndarray, ...]:
    """What the network gets and what it is asked for, for one sample.

    Args:
        sample: of any size.
        config: of the network.
        rng: where augmentation draws from; None leaves the sample as it is.
        zoom_share: see `augment`.
        other: a second sample, for `augment_strongly` in its place.

    Returns:
        image (H, W, 3) uint8, classes (N,) int32, offsets (N, 4) float32, mask (H, W) uint8.

    Raises:
        ValueError: if the sample holds a class that the network does not know: no loss would count it.
    """
    for one in (sample,) if other is None else (sample, other):
        highest = max(one.labels.max(initial=0), np.where(one.mask == IGNORE, 0, one.mask).max(initial=0))
        if highest > len(config.classes):
            raise ValueError(f"a sample holds class {highest}, the network knows 1 to {len(config.classes)}")
    if rng is not None and other is not None:
        sample = augment_strongly(sample, other, rng, config.image_size)
    else:
        if sample.image.shape[:2] != config.image_size:
            sample = crop(sample, WHOLE, config.image_size)
        if rng is not None:
            sample = augment(sample, rng, zoom_share)
    classes, offsets = encode_targets(sample.boxes, sample.labels, config.anchors)
    return np.ascontiguousarray(sample.image), classes, offsets, np.ascontiguousarray(sample.mask)


def batches(
    samples: Sequence[Sample],
    config: Config,
    batch_size: int,
    *,
    seed: int | None = None,
    first_batch: int = 0,
    zoom_share: float = 0.0,
    strong: bool = False,
    share: tuple[int, int] = (0, 1),
) -> "tf.data.Dataset":
    """A `tf.data.Dataset` of (images, {"classes", "offsets", "mask"}).

    Args:
        samples: the data set.
        config: of the network.
        batch_size: images per batch.
        seed: for training: samples come without end, shuffled and augmented by this seed and the epoch's number, in
            batches that are all full. Without it every sample comes once, in order, as it is.
        first_batch: where a training that goes on starts; its batches are those that it would have had.
        zoom_share: share of the training's samples that are zoomed.
        strong: for training: augment as small data needs it, see `augment_strongly`.
        share: for training: (rank, workers) of one of several, which gets its part of every batch; the samples in it
            are those that one alone would have had there, augmented alike.

    Returns:
        The data set, which prepares samples in parallel and ahead of the step that uses them.

    Raises:
        ValueError: if there is no sample, if training gets less than one batch, or a batch has no equal parts.
    """
    import tensorflow as tf  # here alone, so that samples can be prepared for other backends without it

    training = seed is not None
    if len(samples) == 0:
        raise ValueError("there is no sample to make a batch of")
    if training and len(samples) < batch_size:
        raise ValueError(f"{len(samples)} samples do not fill a batch of {batch_size}")
    rank, workers = share
    if training and batch_size % workers:
        equal = ", ".join(str(parts) for parts in range(2, batch_size + 1) if batch_size % parts == 0)
        raise ValueError(
            f"a batch of {batch_size} cannot be shared equally by {workers} workers; it can by {equal or 'one alone'}"
        )

    def load(position: np.ndarray) -> tuple[np.ndarray, ...]:
        epoch, place = divmod(int(position), len(samples))
        if seed is None:
            return prepare(samples[place], config)
        index = _shuffled(len(samples), seed, epoch)[place]
        rng = np.random.default_rng((seed, epoch, index))
        other = samples[int(rng.integers(len(samples)))] if strong else None
        return prepare(samples[index], config, rng, zoom_share, other)

    count = len(config.anchors)
    height, width = config.image_size
    shapes = ((height, width, 3), (count,), (count, 4), (height, width))

    def load_tensors(position: "tf.Tensor") -> tuple["tf.Tensor", dict[str, "tf.Tensor"]]:
        parts = tf.numpy_function(load, [position], (tf.uint8, tf.int32, tf.float32, tf.uint8), stateful=False)
        image, classes, offsets, mask = (
            tf.ensure_shape(part, shape) for part, shape in zip(parts, shapes, strict=True)
        )
        return image, {"classes": classes, "offsets": offsets, "mask": mask}

    first = first_batch * batch_size
    positions = tf.data.Dataset.range(first, tf.int64.max if training else len(samples))
    if training:
        positions, batch_size = positions.shard(workers, rank), batch_size // workers
    dataset = positions.map(load_tensors, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
    return dataset.batch(batch_size, drop_remainder=training).prefetch(tf.data.AUTOTUNE)


@lru_cache(maxsize=4)  # threads work on few neighbouring epochs
def _shuffled(count: int, seed: int, epoch: int) -> np.ndarray:
    # No sample has the index `count`, so no augmentation draws the same numbers as the order.
    return np.random.default_rng((seed, epoch, count)).permutation(count)
