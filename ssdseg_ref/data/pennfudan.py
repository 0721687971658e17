"""Reader for the Penn-Fudan database: 170 photographs of people in the street, each person with pixels of its own.

A data set's folder, `PennFudanPed`, holds `PNGImages/NAME.png`, `PedMasks/NAME_mask.png`, whose pixels are 0 for
background and 1, 2, ... for the people, and `Annotation/NAME.txt` with a box for each of them.

Source: Wang, Shi, Song and Shen 2007, "Object Detection Combining Recognition and Segmentation".
"""

import re
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ssdseg_ref.data.files import LazySamples, visible_files
from ssdseg_ref.data.pictures import read_labels, turn_in_words
from ssdseg_ref.data.reports import STRICT, Report, in_pixels, read_photograph_of
from ssdseg_ref.data.sample import Sample, box_around

CLASSES = ("person",)
SPLITS = ("train", "validation", "test")
DISAGREEMENT = 2.0  # pixels between a box of the text and its pixels that make `data check` doubt them
MASK_ENDING = "_mask"
BOX = re.compile(  # its sides count from 1, and the last is included
    r"Bounding box for object (\d{1,9}) .*?: \((\d{1,9}), (\d{1,9})\) - \((\d{1,9}), (\d{1,9})\)"
)


class Entry(NamedTuple):
    """The three files of one photograph, None where one is missing."""

    name: str
    photograph: Path | None
    mask: Path | None
    text: Path


def read(root: str | Path, split: str, report: Report = STRICT) -> LazySamples:
    """Samples of one split, in the order of their names; photographs are read when they are asked for.

    Each person gives its pixels to the mask, and a box around them. The boxes of the texts say the same but for some
    pixels in a few; they are counted, and the pixels' are taken.

    Args:
        root: the folder `PennFudanPed`, or the one that it lies in.
        split: "train", "validation" or "test", see `split_of`.
        report: what to do about files that make no sense.

    Raises:
        FileNotFoundError: if a folder is missing.
        ValueError: if a name has no number. The sentence names the file.

    A sample that cannot be read, or lacks its photograph or its mask, raises the same errors when it is asked for.
    """
    folder = find_folder(root)
    if folder is None:
        raise FileNotFoundError(f"{root}: there are no PNGImages and PedMasks, neither here nor in PennFudanPed")
    if split not in SPLITS:
        raise ValueError(f"Penn-Fudan has no split {split!r}, it has {', '.join(SPLITS)}")
    photographs = {path.stem: path for path in _pngs(folder / "PNGImages")}
    masks = {path.stem.removesuffix(MASK_ENDING): path for path in _pngs(folder / "PedMasks")}
    entries = []
    for name in sorted(photographs.keys() | masks.keys()):
        number = _number(name)
        if number is None:
            report.wrong(f"{photographs.get(name) or masks[name]}: its name has no number, so it belongs to no split")
        elif split_of(number) == split:
            text = folder / "Annotation" / f"{name}.txt"
            entries.append(Entry(name, photographs.get(name), masks.get(name), text))
    return LazySamples(entries, partial(_read_sample, report=report))


def split_of(number: int) -> str:
    """The split of a photograph, by the number in its name: test where 6 divides it, else validation where 5 does."""
    if number % 6 == 0:
        return "test"
    return "validation" if number % 5 == 0 else "train"


def find_folder(root: str | Path) -> Path | None:
    """The folder that holds photographs and masks: this one, or `PennFudanPed` in it; None if neither does."""
    for folder in (Path(root), Path(root) / "PennFudanPed"):
        if (folder / "PNGImages").is_dir() and (folder / "PedMasks").is_dir():
            return folder
    return None


def available_splits(root: str | Path) -> list[str]:
    """Those splits that a folder has a photograph of, in the order of `SPLITS`."""
    folder = find_folder(root)
    numbers = [_number(path.stem) for path in _pngs(folder / "PNGImages")] if folder else []
    found = {split_of(number) for number in numbers if number is not None}
    return [split for split in SPLITS if split in found]


def _pngs(folder: Path) -> list[Path]:
    return visible_files(folder, ".png")


def _number(name: str) -> int | None:
    digits = re.search(r"([0-9]+)$", name)
    return int(digits[1]) if digits else None


def _read_sample(entry: Entry, report: Report) -> Sample:
    if entry.photograph is None:
        raise FileNotFoundError(f"{entry.mask}: it has no photograph, PNGImages/{entry.name}.png is missing")
    if entry.mask is None:
        raise FileNotFoundError(
            f"{entry.photograph}: it has no mask, PedMasks/{entry.name}{MASK_ENDING}.png is missing"
        )
    image = read_photograph_of(entry.photograph, None, "", report)
    people = read_labels(entry.mask, modes=["L", "P", "1"])  # (H, W): 0, or the number of a person
    if people.shape != image.shape[:2]:
        turned = turn_in_words(entry.photograph)
        raise ValueError(f"{entry.mask}: {in_pixels(people)} pixels, but the photograph has {in_pixels(image)}{turned}")
    numbers = [int(number) for number in np.unique(people) if number]
    boxes = np.array([box_around(people == number) for number in numbers], np.float32).reshape(-1, 4)
    _compare_with_text(entry.text, entry.mask, numbers, boxes, people.shape, report)
    return Sample(image, boxes, np.ones(len(boxes), np.int32), (people > 0).astype(np.uint8))


def _compare_with_text(
    text: Path, mask: Path, numbers: Sequence[int], boxes: np.ndarray, size: tuple[int, ...], report: Report
) -> None:
    """Report where the text counts other people, or has them elsewhere, than the mask."""
    if not text.is_file():
        report.doubtful(f"{text}: there is no such file, so nothing says that the mask has everybody")
        return
    said = {int(number): sides for number, *sides in BOX.findall(text.read_text("latin-1"))}
    if sorted(said) != list(numbers):
        report.wrong(f"{text}: it has boxes of the people {sorted(said)}, {mask.name} has {list(numbers)}")
        return
    height, width = size
    for number, box in zip(numbers, np.rint(boxes * [width, height, width, height]), strict=True):
        first_x, first_y, last_x, last_y = map(int, said[number])
        corners = (first_x - 1, first_y - 1, last_x, last_y)
        if max(abs(box - corners)) > DISAGREEMENT:
            drawn = ", ".join(f"{side:.0f}" for side in box)
            report.doubtful(
                f"{text}: the box of person {number} is {', '.join(map(str, corners))} (corners in pixels), "
                f"but its pixels' is {drawn}"
            )
