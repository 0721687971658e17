"""Small pictures cut out of scenes of the Warehouse, each of one thing or of nothing: what challenges 4 and 5 sort."""

from collections.abc import Iterable

import numpy as np
from PIL import Image

from ssdseg_ref.data.sample import BACKGROUND, CLASSES, Sample

NAMES = ("background", *CLASSES)
SIDE = 48  # pixels of a crop
ROOM = 1.15  # side of the window around a thing, in longer sides of its box
LEAST_BOX = 10  # pixels of its shorter side: nobody could tell what is smaller
SHIFT = 0.08  # of a window, in its sides, at most: no thing stands exactly in the middle
BACKGROUND_WINDOWS = (40, 120)  # sides of windows on nothing, in pixels
TRIES = 8  # of finding such a window in a scene
LEAST_EMPTY = 0.98  # share of such a window that is background


def crops(scenes: Iterable[Sample], seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Crops of all things in some scenes, and of background, as many of each class.

    Args:
        scenes: of the Warehouse.
        seed: of the windows, and of which crops are taken where there are more.

    Returns:
        images: (N, 48, 48, 3) uint8.
        labels: (N,) int32: 0 is background, then the classes in their order.

    Raises:
        ValueError: if the scenes have none of a class.
    """
    rng = np.random.default_rng(seed)
    images: list[np.ndarray] = []
    labels: list[int] = []
    for scene in scenes:
        for image, label in _of_scene(scene, rng):
            images.append(image)
            labels.append(label)
    every = np.array(labels, np.int32)
    fewest = int(np.bincount(every, minlength=len(NAMES)).min())
    if fewest == 0:
        raise ValueError("the scenes have no crop of one of the classes: take more scenes")
    kept = np.sort(np.concatenate([rng.permutation(np.flatnonzero(every == label))[:fewest] for label in range(4)]))
    return np.stack([images[number] for number in kept]), every[kept]


def _of_scene(scene: Sample, rng: np.random.Generator) -> Iterable[tuple[np.ndarray, int]]:
    height, width = scene.mask.shape
    for box, label in zip(scene.boxes * [width, height, width, height], scene.labels, strict=True):
        sides = box[2:] - box[:2]
        if sides.min() >= LEAST_BOX:
            window = ROOM * sides.max()
            middle = (box[:2] + box[2:]) / 2 + rng.uniform(-SHIFT, SHIFT, 2) * window
            yield _cut(scene.image, middle, window), int(label)
    for _ in range(TRIES):
        window = rng.uniform(*BACKGROUND_WINDOWS)
        middle = rng.uniform(window / 2, np.maximum([width, height] - np.array(window / 2), window / 2 + 1e-6))
        x0, y0, x1, y1 = _corners(middle, window, scene.mask.shape)
        if (scene.mask[y0:y1, x0:x1] == BACKGROUND).mean() >= LEAST_EMPTY:
            yield _cut(scene.image, middle, window), BACKGROUND
            return


def _corners(middle: np.ndarray, window: float, size: tuple[int, ...]) -> tuple[int, int, int, int]:
    """Of a square window in pixels, moved into the picture where it reaches over the border, as far as it fits."""
    height, width = size
    side = int(min(window, height, width))
    x0 = int(np.clip(middle[0] - side / 2, 0, width - side))
    y0 = int(np.clip(middle[1] - side / 2, 0, height - side))
    return x0, y0, x0 + side, y0 + side


def _cut(image: np.ndarray, middle: np.ndarray, window: float) -> np.ndarray:
    corners = _corners(middle, window, image.shape[:2])
    return np.asarray(Image.fromarray(image).resize((SIDE, SIDE), Image.Resampling.BILINEAR, box=corners))
