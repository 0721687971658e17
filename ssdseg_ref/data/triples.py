"""Reader and writer for lists of triples: a picture, its mask, and a table of its boxes.

A data set is one json file, a list of `[image, mask, boxes]`, three file names each, absolute or relative to the json's
folder. The image is any picture of 8 or 16 bits per channel; the mask a PNG whose pixels are numbers of classes (0
background, 255 ignore); both are turned upright as their EXIF data say. The boxes are a csv file of
`label,xmin,ymin,xmax,ymax` in pixels of the upright picture, one line per box, the label a number from 1, with or
without a header line.
"""

import dataclasses
import json
from collections.abc import Iterable, Sequence
from functools import partial
from math import isnan
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from ssdseg_ref.boxes import to_pixels
from ssdseg_ref.data.files import LazySamples, read_json, read_text
from ssdseg_ref.data.pictures import read_labels, read_photograph, turn_in_words
from ssdseg_ref.data.sample import CLASSES, IGNORE, Sample
from ssdseg_ref.keeping import whole_folder

COLUMNS = ["label", "xmin", "ymin", "xmax", "ymax"]
ROUNDING = 0.1  # pixels: a box that leaves its picture by no more was rounded on its way, and is cut at the border
INDEX = "triples.json"  # the name of the list in a folder that `write` makes


class Triple(NamedTuple):
    """The files of one sample."""

    image: Path
    mask: Path
    boxes: Path


def read(path: str | Path, classes: Sequence[str] = CLASSES) -> LazySamples:
    """Samples of a json list of triples, in its order; the files are read when asked for.

    Args:
        path: the json file.
        classes: names of labels 1, 2, ...

    Raises:
        FileNotFoundError: if the json is missing.
        ValueError: if it is not a list of triples.

    A sample whose files are missing, damaged or contradict each other raises the same errors when it is asked for; the
    sentence names the file, and the line of a csv.
    """
    path = Path(path)
    if not 1 <= len(classes) < IGNORE:
        raise ValueError(f"a mask can tell 1 to {IGNORE - 1} classes apart, got {len(classes)}")
    content = read_json(path)
    if not isinstance(content, list):
        raise ValueError(f"{path}: it must be a list of [image, mask, boxes], this is a {type(content).__name__}")
    entries = [_triple(entry, number, path) for number, entry in enumerate(content, start=1)]
    return LazySamples(entries, partial(_read_sample, classes=classes))


def write(samples: Iterable[Sample], folder: str | Path) -> Path:
    """Write samples as triples into a new folder, which appears complete or not at all.

    Args:
        samples: any number of them.
        folder: where to; it must not exist yet, or be empty.

    Returns:
        The json file, which `read` takes.

    Raises:
        FileExistsError: if the folder holds something.
    """
    folder = Path(folder).resolve()
    if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        raise FileExistsError(f"{folder}: something is there already, name a folder that is new or empty")
    with whole_folder(folder) as draft:
        for kind in ("images", "masks", "boxes"):
            (draft / kind).mkdir()
        names = [_write_sample(sample, draft, f"{number:06d}") for number, sample in enumerate(samples)]
        (draft / INDEX).write_text(json.dumps(names, indent=0) + "\n", encoding="utf-8")
    return folder / INDEX


def _triple(entry: object, number: int, path: Path) -> Triple:
    if not (isinstance(entry, list) and len(entry) == 3 and all(isinstance(name, str) for name in entry)):
        raise ValueError(f"{path}: entry {number} should be three file names [image, mask, boxes], it is {entry!r:.80}")
    return Triple(*(path.parent / name for name in entry))


def _read_sample(files: Triple, classes: Sequence[str]) -> Sample:
    image = read_photograph(files.image)
    mask = read_labels(files.mask, modes=["L", "P", "1"])
    height, width = image.shape[:2]
    labels, pixels = _read_boxes(files.boxes, classes, (height, width))
    boxes = (pixels / [width, height, width, height]).astype(np.float32)
    sample = Sample(image, boxes, labels, mask)
    without_boxes = dataclasses.replace(sample, boxes=boxes[:0], labels=labels[:0])
    for part, file in ((without_boxes, files.mask), (sample, files.boxes)):  # so that the guilty file is named
        try:
            part.validate(len(classes))
        except ValueError as error:
            turned = turn_in_words(files.image) if mask.shape == image.shape[1::-1] else ""
            raise ValueError(f"{file}: {error}{turned}") from None
    return sample


def _read_boxes(path: Path, classes: Sequence[str], size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Labels (M,) int32 and boxes (M, 4) float64 in pixels, inside a picture of `size`, (height, width)."""
    labels, boxes = [], []
    for number, line in enumerate(read_text(path).splitlines(), start=1):
        cells = [cell.strip(' "') for cell in line.split(",")]
        is_header = number == 1 and [cell.lower() for cell in cells] == COLUMNS
        if is_header or not any(cells):
            continue
        try:
            label, *box = int(cells[0]), *map(float, cells[1:])
        except ValueError:
            box = []
        if len(box) != 4:
            raise ValueError(f"{path}, line {number}: expected {','.join(COLUMNS)}, got {line!r:.80}")
        if not 1 <= label <= len(classes):
            known = ", ".join(f"{index} {name}" for index, name in enumerate(classes, start=1))
            raise ValueError(f"{path}, line {number}: {label} is no class, the classes are {known}")
        labels.append(label)
        boxes.append(_inside(box, size, f"{path}, line {number}"))
    return np.array(labels, np.int32), np.array(boxes, np.float64).reshape(-1, 4)


def _inside(box: Sequence[float], size: tuple[int, int], where: str) -> list[float]:
    """The box, cut at the border that it reaches over by a rounding error."""
    height, width = size
    borders = (width, height, width, height)
    cut = [min(max(side, 0.0), border) for side, border in zip(box, borders, strict=True)]
    xmin, ymin, xmax, ymax = cut
    said = f"xmin, ymin, xmax, ymax are {', '.join(map(repr, box))} pixels"
    if not all(abs(side - inner) <= ROUNDING for side, inner in zip(box, cut, strict=True)):
        kind = "is no number" if any(map(isnan, box)) else "leaves the image"
        raise ValueError(f"{where}: a box {kind}: {said}, the image has {width} x {height}")
    if not (xmin < xmax and ymin < ymax):
        raise ValueError(f"{where}: a box is empty or turned inside out: {said}, the image has {width} x {height}")
    return cut


def _write_sample(sample: Sample, folder: Path, name: str) -> tuple[str, str, str]:
    """Write the three files of a sample; gives their names relative to the folder."""
    image, mask, boxes = f"images/{name}.png", f"masks/{name}.png", f"boxes/{name}.csv"
    Image.fromarray(sample.image).save(folder / image)
    Image.fromarray(sample.mask).save(folder / mask)
    rows = [
        # Nine digits tell any two float32 numbers apart.
        [str(label), *(f"{side:.9g}" for side in box)]
        for label, box in zip(sample.labels, to_pixels(sample.boxes, sample.mask.shape), strict=True)
    ]
    text = "".join(",".join(row) + "\n" for row in [COLUMNS, *rows])
    (folder / boxes).write_text(text, encoding="utf-8", newline="\n")
    return image, mask, boxes
