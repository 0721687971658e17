"""One annotated picture, the unit that every data set, every reader and every augmentation speaks."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import isnan

import numpy as np

CLASSES = ("person", "forklift", "monorail")  # labels 1, 2, 3 of the course's own data
IMAGE_SIZE = (160, 224)  # (height, width) in pixels of its scenes, unless another is asked for
BACKGROUND = 0
ROUNDING = 0.1  # pixels: a box that leaves its picture by no more was rounded on its way, and is cut at the border
IGNORE = 255  # a mask's value for pixels that no loss and no metric counts


@dataclass(frozen=True)
class Sample:
    """A picture with its boxes and its mask.

    Attributes:
        image: (H, W, 3) uint8, red, green, blue.
        boxes: (M, 4) float32 corners (xmin, ymin, xmax, ymax), fractions of the image.
        labels: (M,) int32, the class of each box, from 1.
        mask: (H, W) uint8, the class of each pixel: 0 is background, 255 "ignore".
        ignored_boxes: (K, 4) float32 corners likewise, of what counts neither as found nor as missed: VOC's difficult
            objects. No training sees them.
        ignored_labels: (K,) int32, the class of each of them.
    """

    image: np.ndarray
    boxes: np.ndarray
    labels: np.ndarray
    mask: np.ndarray
    ignored_boxes: np.ndarray = field(default_factory=lambda: np.empty((0, 4), np.float32))
    ignored_labels: np.ndarray = field(default_factory=lambda: np.empty(0, np.int32))

    def validate(self, classes: int) -> None:
        """Make sure that the parts belong together.

        Args:
            classes: number of classes, background not counted.

        Raises:
            ValueError: one sentence that says what is wrong. A reader puts the file's name in front of it.
        """
        if self.image.dtype != np.uint8 or self.image.ndim != 3 or self.image.shape[2] != 3:
            raise ValueError(f"an image is (H, W, 3) uint8, this one is {self.image.shape} {self.image.dtype}")
        height, width = self.image.shape[:2]
        if height == 0 or width == 0:
            raise ValueError(f"the image is empty: {width} x {height} pixels")
        if self.mask.shape != (height, width) or self.mask.dtype != np.uint8:
            raise ValueError(
                f"the mask is {self.mask.shape} {self.mask.dtype}, its image asks for {(height, width)} uint8"
            )
        _validate_boxes(self.boxes, self.labels, classes)
        _validate_boxes(self.ignored_boxes, self.ignored_labels, classes)
        values = np.flatnonzero(np.bincount(self.mask.ravel(), minlength=256))
        unknown = [int(value) for value in values if value > classes and value != IGNORE]
        if unknown:
            raise ValueError(f"the mask holds the unknown class {unknown[0]}: the classes are 0 to {classes} and 255")


def _validate_boxes(boxes: np.ndarray, labels: np.ndarray, classes: int) -> None:
    if boxes.shape != (len(labels), 4) or labels.ndim != 1:
        raise ValueError(f"boxes {boxes.shape} and labels {labels.shape} do not go together")
    if boxes.dtype != np.float32 or labels.dtype != np.int32:
        raise ValueError(f"boxes are float32, labels int32, these are {boxes.dtype} and {labels.dtype}")
    for box, label in zip(boxes.tolist(), labels.tolist(), strict=True):
        xmin, ymin, xmax, ymax = box
        if not 1 <= label <= classes:
            raise ValueError(f"a box has the unknown class {label}: the classes are 1 to {classes}")
        if not (xmin < xmax and ymin < ymax):
            raise ValueError(f"a box is empty or turned inside out: {_in_words(box)}")
        if not (xmin >= 0 and ymin >= 0 and xmax <= 1 and ymax <= 1):
            raise ValueError(f"a box leaves the image: {_in_words(box)}")


def box_around(pixels: np.ndarray) -> tuple[float, float, float, float]:
    """The smallest box around the true pixels of (H, W), at least one: corners in fractions of the image."""
    height, width = pixels.shape
    columns, rows = np.flatnonzero(pixels.any(axis=0)), np.flatnonzero(pixels.any(axis=1))
    return columns[0] / width, rows[0] / height, (columns[-1] + 1) / width, (rows[-1] + 1) / height


def cut_to_image(
    box: Sequence[float], size: tuple[int, int], where: str, tolerance: float = ROUNDING, named: str = "a box"
) -> list[float]:
    """A box as a file has it, in pixels, cut at the borders that it reaches over by a rounding error.

    Args:
        box: xmin, ymin, xmax, ymax in pixels.
        size: (height, width) of its image.
        where: the file and the line, for the sentence about a box that is none.
        tolerance: how far it may leave the image, in pixels.
        named: the box in that sentence.

    Raises:
        ValueError: if it leaves the image, is empty, or is turned inside out.
    """
    height, width = size
    borders = (width, height, width, height)
    cut = [min(max(side, 0.0), border) for side, border in zip(box, borders, strict=True)]
    xmin, ymin, xmax, ymax = cut
    said = f"xmin, ymin, xmax, ymax are {', '.join(map(repr, box))} pixels"
    if not all(abs(side - inner) <= tolerance for side, inner in zip(box, cut, strict=True)):
        kind = "is no number" if any(map(isnan, box)) else "leaves the image"
        raise ValueError(f"{where}: {named} {kind}: {said}, the image has {width} x {height}")
    if not (xmin < xmax and ymin < ymax):
        raise ValueError(f"{where}: {named} is empty or turned inside out: {said}, the image has {width} x {height}")
    return cut


def _in_words(box: list[float]) -> str:
    return "xmin {:.9g}, ymin {:.9g}, xmax {:.9g}, ymax {:.9g} (fractions of the image)".format(*box)
