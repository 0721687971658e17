"""Augmentation: the same scene seen in another way, with its boxes and its mask kept true.

Each step takes a `Sample` and gives a new one. Geometry is exact: a box is a piece of the plane, so a flip takes x to
1 - x, and twice flipped is the same again but for the last bit of a float.

Sources: Liu et al. 2016, "SSD", sections 2.2 "Data augmentation" and 3.6, which zooms out; Ghiasi et al. 2021, "Simple
Copy-Paste is a Strong Data Augmentation Method for Instance Segmentation".
"""

from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike
from PIL import Image

from ssdseg_ref.boxes import areas, to_pixels
from ssdseg_ref.data.sample import BACKGROUND, IGNORE, Sample

WHOLE = (0.0, 0.0, 1.0, 1.0)  # the window that is all of an image
LEAST_VISIBLE = 0.25  # a box of which less than this share is left after a crop, or under what is pasted, is dropped


def flip(sample: Sample) -> Sample:
    """The mirror image, left and right exchanged."""
    boxes, ignored = sample.boxes.copy(), sample.ignored_boxes.copy()
    boxes[:, 0], boxes[:, 2] = 1 - sample.boxes[:, 2], 1 - sample.boxes[:, 0]
    ignored[:, 0], ignored[:, 2] = 1 - sample.ignored_boxes[:, 2], 1 - sample.ignored_boxes[:, 0]
    return Sample(sample.image[:, ::-1], boxes, sample.labels, sample.mask[:, ::-1], ignored, sample.ignored_labels)


def crop(sample: Sample, window: tuple[float, float, float, float], size: tuple[int, int]) -> Sample:
    """A window of the image, enlarged or reduced to a size.

    Args:
        sample: to be cropped.
        window: corners (xmin, ymin, xmax, ymax) in fractions of the image, inside of it.
        size: (height, width) in pixels that come out.

    Returns:
        A sample of that size. Boxes are cut at the window's edge; those of which less than a quarter is left are
        dropped, and what their class has within them becomes "ignore" in the mask.

    Raises:
        ValueError: if the window is empty or reaches over the image.
    """
    xmin, ymin, xmax, ymax = window
    if not (0 <= xmin < xmax <= 1 and 0 <= ymin < ymax <= 1):
        raise ValueError(f"a crop's window lies inside the image and is not empty, got {tuple(window)}")
    height, width = sample.image.shape[:2]
    pixels = (xmin * width, ymin * height, xmax * width, ymax * height)
    image = Image.fromarray(sample.image).resize(size[::-1], Image.Resampling.BILINEAR, box=pixels)
    mask = np.array(Image.fromarray(sample.mask).resize(size[::-1], Image.Resampling.NEAREST, box=pixels))

    boxes, kept = crop_boxes(sample.boxes, window)
    dropped = np.setdiff1d(np.arange(len(sample.boxes)), kept)
    rest = np.clip(_in_window(sample.boxes[dropped], window), 0, 1)
    cut_off = np.rint(to_pixels(rest, size)).astype(int)
    for (x0, y0, x1, y1), label in zip(cut_off, sample.labels[dropped], strict=True):
        part = mask[y0:y1, x0:x1]
        part[part == label] = IGNORE
    ignored = np.clip(_in_window(sample.ignored_boxes, window), 0, 1)
    seen = areas(ignored) > 0
    return Sample(np.asarray(image), boxes, sample.labels[kept], mask, ignored[seen], sample.ignored_labels[seen])


def crop_boxes(boxes: ArrayLike, window: tuple[float, float, float, float]) -> tuple[np.ndarray, np.ndarray]:
    """Boxes as fractions of a window: those that enough is left of.

    Args:
        boxes: (N, 4) corners in fractions of the image.
        window: corners (xmin, ymin, xmax, ymax) in fractions of the image.

    Returns:
        boxes: (K, 4) corners in fractions of the window, cut at its edge, of which at least a quarter lies in it.
        kept: (K,) int, their indices.
    """
    moved = _in_window(boxes, window)
    cut = np.clip(moved, 0, 1)
    kept = np.flatnonzero(areas(cut) / areas(moved) >= LEAST_VISIBLE)
    return cut[kept], kept


def _in_window(boxes: ArrayLike, window: tuple[float, float, float, float]) -> np.ndarray:
    xmin, ymin, xmax, ymax = window
    origin = np.array([xmin, ymin, xmin, ymin], np.float32)
    extent = np.array([xmax - xmin, ymax - ymin] * 2, np.float32)
    return (np.asarray(boxes, np.float32).reshape(-1, 4) - origin) / extent


def zoom(sample: Sample, rng: np.random.Generator, least: float = 0.6, size: tuple[int, int] | None = None) -> Sample:
    """A random window that has between `least` and all of each side, brought to a size, by default that of the whole.

    Height and width are cut independently, within a quarter of each other, so that shapes vary a little too.
    """
    height_share = rng.uniform(least, 1)
    width_share = np.clip(height_share * rng.uniform(0.8, 1.25), least, 1)
    xmin, ymin = rng.uniform(0, 1 - width_share), rng.uniform(0, 1 - height_share)
    window = (xmin, ymin, min(xmin + width_share, 1.0), min(ymin + height_share, 1.0))
    return crop(sample, window, size or sample.image.shape[:2])


def colour(sample: Sample, rng: np.random.Generator) -> Sample:
    """Other light: brightness, contrast and white balance, each changed at random; shapes stay."""
    contrast = rng.uniform(0.75, 1.3)
    shift = rng.uniform(-24, 24)
    gains = contrast * rng.uniform(0.9, 1.1, size=3)  # one gain per channel changes the white balance
    levels = np.arange(256)[:, None]
    table = np.rint(np.clip((levels - 128) * gains + 128 + shift, 0, 255)).astype(
        np.uint8
    )  # (256, 3): old level -> new
    return replace(sample, image=np.stack([table[sample.image[..., k], k] for k in range(3)], axis=-1))


def grey(sample: Sample) -> Sample:
    """The same without colour: every channel is the brightness that ITU-R BT.601 weighs together."""
    brightness = np.rint(sample.image @ np.array([0.299, 0.587, 0.114])).astype(np.uint8)
    return replace(sample, image=np.repeat(brightness[..., None], 3, axis=-1))


def expand(sample: Sample, rng: np.random.Generator, least: float = 0.3, size: tuple[int, int] | None = None) -> Sample:
    """Zoom out: the image, at `least` to all of each side of a canvas, somewhere on it; its mean colour is around.

    What is large becomes small, which few photographs of a small data set show. Around it is background, or "ignore"
    where all of the image is: nobody has drawn a mask then.
    """
    height, width = size or sample.image.shape[:2]
    share = rng.uniform(least, 1)
    inner_height, inner_width = max(1, round(share * height)), max(1, round(share * width))
    small = crop(sample, WHOLE, (inner_height, inner_width))
    top, left = rng.integers(0, height - inner_height + 1), rng.integers(0, width - inner_width + 1)
    inner = np.s_[top : top + inner_height, left : left + inner_width]
    image = np.empty((height, width, 3), np.uint8)
    image[:] = np.rint(sample.image.mean(axis=(0, 1)))
    around = IGNORE if (small.mask == IGNORE).all() else BACKGROUND
    mask = np.full((height, width), around, np.uint8)
    image[inner], mask[inner] = small.image, small.mask
    origin = np.array([left / width, top / height] * 2, np.float32)
    extent = np.array([inner_width / width, inner_height / height] * 2, np.float32)
    boxes, ignored = (np.clip(origin + part * extent, 0, 1) for part in (small.boxes, small.ignored_boxes))
    return Sample(image, boxes, small.labels, mask, ignored, small.ignored_labels)


def paste(sample: Sample, other: Sample) -> Sample:
    """The objects of another sample, cut out by its mask and laid over this one: what is new is in front.

    Args:
        sample: whose boxes stay, but for those of which less than a quarter is left to see.
        other: of the same size. Pixels of its background and of "ignore" are not taken.

    Raises:
        ValueError: if the two differ in size.
    """
    if sample.mask.shape != other.mask.shape:
        raise ValueError(
            f"one image is pasted over another of its size, got {other.mask.shape} for {sample.mask.shape}"
        )
    taken = (other.mask != BACKGROUND) & (other.mask != IGNORE)
    visible = []
    for x0, y0, x1, y1 in np.rint(to_pixels(sample.boxes, sample.mask.shape)).astype(int):
        part = taken[y0:y1, x0:x1]
        visible.append(part.size == 0 or 1 - part.mean() >= LEAST_VISIBLE)
    kept = np.flatnonzero(visible)
    return Sample(
        np.where(taken[..., None], other.image, sample.image),
        np.concatenate([sample.boxes[kept], other.boxes]),
        np.concatenate([sample.labels[kept], other.labels]),
        np.where(taken, other.mask, sample.mask),
        sample.ignored_boxes,  # the other's have no pixels that are taken
        sample.ignored_labels,
    )


def augment(sample: Sample, rng: np.random.Generator, zoom_share: float) -> Sample:
    """Flip every second sample, zoom into some, and relight all of them.

    Args:
        sample: to be augmented.
        rng: where all chance comes from.
        zoom_share: share of the samples that are zoomed. A short training learns faster without.
    """
    if rng.random() < 0.5:
        sample = flip(sample)
    if rng.random() < zoom_share:
        sample = zoom(sample, rng)
    return colour(sample, rng)


def augment_strongly(
    sample: Sample, other: Sample, rng: np.random.Generator, size: tuple[int, int] | None = None
) -> Sample:
    """For small data: the objects of a second sample pasted in, zooming in and out, and light as no lamp makes it.

    Args:
        sample: to be augmented, of any size.
        other: likewise; half the time its objects are pasted, those that its mask shows.
        rng: where all chance comes from.
        size: (height, width) in pixels that comes out, by default the sample's own. Windows are cut out of the samples
            as they are, so that what is enlarged stays as sharp as it was taken.
    """
    size = size or (sample.mask.shape[0], sample.mask.shape[1])
    sample = _framed(sample, rng, size)
    if rng.random() < 0.5:
        sample = paste(sample, _cut_out(_framed(other, rng, size)))
    sample = colour(sample, rng)
    sample = colour(sample, rng)  # twice varies more than once
    return grey(sample) if rng.random() < 0.1 else sample


def _framed(sample: Sample, rng: np.random.Generator, size: tuple[int, int]) -> Sample:
    """A window of a sample, all of it, or all of it and something around."""
    if rng.random() < 0.5:
        sample = flip(sample)
    choice = rng.random()
    if choice < 0.5:
        return zoom(sample, rng, 0.4, size)
    return expand(sample, rng, size=size) if choice < 0.8 else crop(sample, WHOLE, size)


def _cut_out(sample: Sample) -> Sample:
    """The same without the boxes in which its mask shows nothing of their class: there is nothing to paste of these."""
    edges = np.rint(to_pixels(sample.boxes, sample.mask.shape)).astype(int)
    shown = [
        (sample.mask[y0:y1, x0:x1] == label).any() for (x0, y0, x1, y1), label in zip(edges, sample.labels, strict=True)
    ]
    kept = np.flatnonzero(shown)
    return Sample(sample.image, sample.boxes[kept], sample.labels[kept], sample.mask)
