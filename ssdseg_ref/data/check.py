"""Everything that is wrong with a data set, a sentence each: all of it is read, no fault ends the reading."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ssdseg_ref.boxes import to_pixels
from ssdseg_ref.data import registry
from ssdseg_ref.data.files import in_words
from ssdseg_ref.data.reports import Listing
from ssdseg_ref.data.sample import IGNORE

LEAST_SIDE = 0.99  # pixels: a box around one pixel has 1, but for rounding

Progress = Callable[[int, int], None]  # (images read, images in all)


class Checked(NamedTuple):
    """What reading one split has found.

    Attributes:
        split: its name, None where the format knows no splits.
        images: that could be read.
        boxes: in them.
        images_without_boxes: how many of them show no box.
        has_masks: whether any pixel of a mask says anything.
        faults: a sentence each, which names the file first.
        doubts: likewise, of what may be right.
    """

    split: str | None
    images: int
    boxes: int
    images_without_boxes: int
    has_masks: bool
    faults: tuple[str, ...]
    doubts: tuple[str, ...]


def splits_to_check(path: str | Path, split: str | None = None) -> list[str | None]:
    """The one that is asked for, else all that a data set has; [None] where its format knows no splits.

    Raises:
        FileNotFoundError, ValueError: if there is no such data set, or no such split.
    """
    if split is not None:
        return [registry.choose_split(path, split)]
    return [*registry.recognise(path).splits(Path(path))] or [None]


def check(
    path: str | Path,
    split: str | None = None,
    classes: Sequence[str] | None = None,
    progress: Progress | None = None,
    listing: Listing | None = None,
) -> Checked:
    """Read one split of a data set from its first to its last file.

    Args:
        path: see `registry.open_data_set`; split and classes likewise.
        split: one that `splits_to_check` gives.
        classes: which classes; the others are not looked at closely.
        progress: called after each image.
        listing: gets the sentences as they are found, for whoever stops before the end.
    """
    listing = listing or Listing()
    try:
        opened = registry.open_data_set(path, split, classes, listing)
    except (ValueError, OSError) as error:
        listing.wrong(in_words(error))
        return Checked(split, 0, 0, 0, False, tuple(listing.faults), tuple(listing.doubts))
    images = boxes = without = 0
    known = len(opened.classes)
    drawn, boxed = np.zeros(256, bool), np.zeros(256, bool)  # classes that masks show, and boxes
    thin = []  # numbers of the images of boxes that are less than a pixel
    for index in range(len(opened.samples)):
        try:
            sample = opened.samples[index]
        except (ValueError, OSError, MemoryError) as error:
            listing.wrong(in_words(error))
        else:
            try:
                sample.validate(known)
            except ValueError as error:  # what a reader has missed
                listing.wrong(f"{path}: sample {index}: {error}")
            images += 1
            boxes += len(sample.boxes)
            without += len(sample.boxes) == 0
            drawn |= np.bincount(sample.mask.ravel(), minlength=256).astype(bool)
            boxed[sample.labels] = True
            sides = np.diff(to_pixels(sample.boxes, sample.mask.shape).reshape(-1, 2, 2), axis=1)
            thin += [index] * int(np.sum(np.any(sides < LEAST_SIDE, axis=2)))
        if progress:
            progress(index + 1, len(opened.samples))
    where = f"{path}, {split}" if split else str(path)
    if images and not opened.has_masks:
        listing.doubtful(f"{where}: there are boxes alone, so nothing can be learnt for masks")
    names = dict(enumerate(opened.classes, start=1))
    unseen = [name for label, name in names.items() if not (drawn[label] or boxed[label])]
    if images and unseen:
        listing.doubtful(f"{where}: no image shows {', '.join(unseen)}")
    undrawn = [name for label, name in names.items() if boxed[label] and not drawn[label]]
    if undrawn and opened.has_masks:
        ignored = '; many pixels are 255, which means "ignore", not a class' if drawn[IGNORE] else ""
        listing.doubtful(f"{where}: there are boxes of {', '.join(undrawn)}, but no mask has a pixel of them{ignored}")
    if thin:
        listing.doubtful(
            f"{where}: boxes that are less than a pixel wide or high, {len(thin):,} in all, the first in image "
            f"{thin[0]} from 0: are they written as fractions?"
        )
    if not opened.samples and not listing.faults:
        listing.wrong(f"{where}: it is empty, there is no image")
    says_anything = bool(np.delete(drawn, IGNORE).any()) and opened.has_masks
    return Checked(split, images, boxes, without, says_anything, tuple(listing.faults), tuple(listing.doubts))
