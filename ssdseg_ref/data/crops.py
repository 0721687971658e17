"""Crops: small square pictures, each of a person, a forklift, a piece of monorail, or none of these.

They are cut from Warehouse scenes that no split has, for networks that are trained within a minute: a whole scene is
too much for those.
"""

import numpy as np
from PIL import Image

from ssdseg_ref.boxes import to_pixels
from ssdseg_ref.data.drawing import MAX_SEED, Dice
from ssdseg_ref.data.sample import BACKGROUND, CLASSES, Sample
from ssdseg_ref.data.warehouse import render

FIRST_SCENE = 10_000_000  # beyond all splits
SCENES_PER_SEED = 100_000
SMALLEST, LARGEST = 20, 72  # pixels of the scene: what is smaller is left out, what is larger is shown in pieces
PIECES = 2  # of such a thing, each around any of its pixels
ROOM = 1.15  # side of a crop over the longer side of what it shows
SHIFT = 0.08  # of its side, how far a crop may lie beside the middle
LEAST_OWN, MOST_OTHER = 0.1, 0.1  # shares of a crop's pixels: at least of its own class, at most of others
TRIES = 10  # places of a scene to look for background at

Window = tuple[int, int, int]  # left, top, side in pixels


def crops(count: int, seed: int, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Crops of all classes, each as often as the others, in random order.

    It draws about one scene for three crops: 4 milliseconds a crop.

    Args:
        count: how many, at least 1.
        seed: 0 up; two seeds share no scene.
        size: side in pixels, at least 1.

    Returns:
        images (count, size, size, 3) uint8, and labels (count,) int32: 0 for background, then those of `CLASSES`.

    Raises:
        ValueError: if count, seed or size is out of range.
    """
    if count < 1 or size < 1:
        raise ValueError(f"crops are at least one, of at least one pixel, got count {count} and size {size}")
    if not 0 <= seed < (MAX_SEED - FIRST_SCENE) // SCENES_PER_SEED:
        raise ValueError(f"a seed of crops lies in 0 to {(MAX_SEED - FIRST_SCENE) // SCENES_PER_SEED - 1}, got {seed}")
    kinds = 1 + len(CLASSES)
    missing = [(count + kind) // kinds for kind in range(kinds)]
    images: list[np.ndarray] = []
    labels: list[int] = []
    scene = FIRST_SCENE + SCENES_PER_SEED * seed
    while any(missing):
        sample, dice = render(scene), Dice(scene)
        for label, window in _windows(sample, dice):
            if missing[label]:
                missing[label] -= 1
                images.append(_cut(sample.image, window, size))
                labels.append(label)
        scene += 1
    order = np.random.RandomState(seed).permutation(count)
    return np.stack(images)[order], np.array(labels, np.int32)[order]


def _windows(sample: Sample, dice: Dice) -> list[tuple[int, Window]]:
    """(label, window) of every object of a scene that shows well, and of one place without any."""
    height, width = sample.mask.shape
    found, side = [], 0.5 * LARGEST
    for (x0, y0, x1, y1), label in zip(to_pixels(sample.boxes, (height, width)).tolist(), sample.labels, strict=True):
        longer = max(x1 - x0, y1 - y0)
        if longer < SMALLEST:
            continue
        side = ROOM * min(longer, LARGEST)
        middles = [(0.5 * (x0 + x1), 0.5 * (y0 + y1))]
        if longer > LARGEST:
            rows, columns = np.nonzero(sample.mask[round(y0) : round(y1), round(x0) : round(x1)] == label)
            chosen = [dice.integer(len(rows)) for _ in range(PIECES)]
            middles = [(x0 + int(columns[pixel]), y0 + int(rows[pixel])) for pixel in chosen]
        for x, y in middles:
            window = _window(sample.mask, x, y, side, dice)
            own, other = _shares(sample.mask, window, label)
            if own >= LEAST_OWN and other <= MOST_OTHER:
                found.append((int(label), window))
    for _ in range(TRIES):
        window = _window(sample.mask, dice.uniform(0, width), dice.uniform(0, height), side, dice)
        if _shares(sample.mask, window, BACKGROUND)[1] <= MOST_OTHER:
            found.append((BACKGROUND, window))
            break
    return found


def _window(mask: np.ndarray, x: float, y: float, side: float, dice: Dice) -> Window:
    """A square of a side, with its middle near a point, moved into the scene."""
    height, width = mask.shape
    left, top = (middle + dice.uniform(-SHIFT, SHIFT) * side - 0.5 * side for middle in (x, y))
    whole = round(side)
    return min(max(round(left), 0), width - whole), min(max(round(top), 0), height - whole), whole


def _shares(mask: np.ndarray, window: Window, label: int) -> tuple[float, float]:
    """Which share of a window's pixels has the label, and which has one of other objects, or "ignore"."""
    left, top, side = window
    part = mask[top : top + side, left : left + side]
    own = np.count_nonzero(part == label)
    return own / part.size, np.count_nonzero((part != label) & (part != BACKGROUND)) / part.size


def _cut(image: np.ndarray, window: Window, size: int) -> np.ndarray:
    left, top, side = window
    box = (left, top, left + side, top + side)
    return np.asarray(Image.fromarray(image).resize((size, size), Image.Resampling.BILINEAR, box=box))
