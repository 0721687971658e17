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
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from ssdseg_ref.boxes import to_pixels
from ssdseg_ref.data.files import LazySamples, named, read_json, read_text
from ssdseg_ref.data.pictures import read_labels, turn_in_words
from ssdseg_ref.data.reports import STRICT, Report, read_photograph_of
from ssdseg_ref.data.sample import CLASSES, IGNORE, Sample, cut_to_image
from ssdseg_ref.keeping import whole_folder

COLUMNS = ["label", "xmin", "ymin", "xmax", "ymax"]
INDEX = "triples.json"  # the name of the list in a folder that `write` makes


class Triple(NamedTuple):
    """The files of one sample."""

    image: Path
    mask: Path
    boxes: Path


def read(path: str | Path, classes: Sequence[str] = CLASSES, report: Report = STRICT) -> LazySamples:
    """Samples of a json list of triples, in its order; the files are read when asked for.

    Args:
        path: the json file.
        classes: names of labels 1, 2, ...
        report: what to do about lines that make no sense; those that it passes over are left out.

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
    entries = [_triple(entry, number, path, report) for number, entry in enumerate(content, start=1)]
    first: dict[Path, int] = {}
    for number, entry in enumerate(entries, start=1):
        if entry and first.setdefault(entry.image, number) != number:
            report.doubtful(f"{path}: entries {first[entry.image]} and {number} are the same picture, {entry.image}")
    read_one = partial(_read_sample, classes=classes, report=report)
    return LazySamples([entry for entry in entries if entry], read_one)


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


def _triple(entry: object, number: int, path: Path, report: Report) -> Triple | None:
    if not (isinstance(entry, list) and len(entry) == 3 and all(isinstance(name, str) for name in entry)):
        report.wrong(f"{path}: entry {number} should be three file names [image, mask, boxes], it is {entry!r:.80}")
        return None
    return Triple(*(named(path.parent, name) for name in entry))


def _read_sample(files: Triple, classes: Sequence[str], report: Report) -> Sample:
    image = read_photograph_of(files.image, None, "", report)
    mask = read_labels(files.mask, modes=["L", "P", "1"])
    height, width = image.shape[:2]
    labels, pixels = _read_boxes(files.boxes, classes, (height, width), report)
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


def _read_boxes(
    path: Path, classes: Sequence[str], size: tuple[int, int], report: Report
) -> tuple[np.ndarray, np.ndarray]:
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
            report.wrong(f"{path}, line {number}: expected {','.join(COLUMNS)}, got {line!r:.80}")
            continue
        if not 1 <= label <= len(classes):
            known = ", ".join(f"{index} {name}" for index, name in enumerate(classes, start=1))
            report.wrong(f"{path}, line {number}: {label} is no class, the classes are {known}")
            continue
        try:
            inner = cut_to_image(box, size, f"{path}, line {number}")
        except ValueError as error:
            report.wrong(str(error))
            continue
        labels.append(label)
        boxes.append(inner)
    return np.array(labels, np.int32), np.array(boxes, np.float64).reshape(-1, 4)


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
