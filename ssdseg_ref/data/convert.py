"""Data sets written in another format: COCO's instances and panoptic, PASCAL VOC, triples; and what is lost on the way.

A sample has boxes and the class of each pixel, not whose pixel it is. COCO's formats want a segment for each box, VOC
wants boxes of whole pixels. What a format cannot say changes, so `compare` reads the result and counts.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from xml.etree import ElementTree

import numpy as np
from PIL import Image

from ssdseg_ref.boxes import to_pixels
from ssdseg_ref.data import triples, voc
from ssdseg_ref.data.coco import IGNORE_KEY
from ssdseg_ref.data.sample import IGNORE, Sample
from ssdseg_ref.keeping import whole_folder

ROUNDED = 0.01  # pixels: sides of boxes are float32 fractions, so whole pixels come out a little beside them
SAME = 0.01  # pixels between sides of boxes that count as one

Splits = Mapping[str, Iterable[Sample]]


class Target(NamedTuple):
    """A format that can be written.

    Attributes:
        name: as a sentence has it.
        write: (splits, classes, folder, whether there are masks) -> what to give a command that takes a data set.
        takes_splits: whether one data set may have several.
    """

    name: str
    write: Callable[[Splits, Sequence[str], Path, bool], Path]
    takes_splits: bool


class Difference(NamedTuple):
    """What became of samples that were written and read again.

    Attributes:
        boxes: before.
        other_boxes: boxes that are lost, new, or elsewhere by more than a hundredth of a pixel.
        farthest: pixels that a side has moved at most.
        pixels: of all masks.
        other_pixels: pixels of another class than before.
    """

    boxes: int
    other_boxes: int
    farthest: float
    pixels: int
    other_pixels: int


def to_coco(splits: Splits, classes: Sequence[str], folder: Path, has_masks: bool = True) -> Path:
    """Write `annotations/instances_SPLIT.json` and `images/SPLIT/*.png` into a new folder.

    - The segment of a box is all that its class fills of it, as an RLE; two boxes of a class share what both cover.
    - A box without such a pixel is a box alone, and so is every box where there are no masks.
    - Pixels of a class outside all its boxes are a crowd of it. Pixels of 255 are a crowd of the first class, for COCO
      has no other word for "nobody knows".

    Args:
        splits: name -> samples.
        classes: names of labels 1, 2, ...; their categories have the same numbers.
        folder: new or empty.
        has_masks: False if all masks are 255 because nobody has drawn any.

    Returns:
        The folder.

    Raises:
        FileExistsError: if the folder holds something.
    """
    categories = [{"id": number, "name": name, "supercategory": ""} for number, name in enumerate(classes, start=1)]
    with _new_folder(folder) as draft:
        (draft / "annotations").mkdir()
        for split, samples in splits.items():
            photographs = draft / "images" / split
            photographs.mkdir(parents=True)
            images: list[dict[str, Any]] = []
            annotations: list[dict[str, Any]] = []
            for number, sample in enumerate(samples, start=1):
                name, (height, width) = f"{number - 1:06d}.png", sample.mask.shape
                Image.fromarray(sample.image).save(photographs / name)
                images.append({"id": number, "file_name": name, "width": width, "height": height})
                for own in _annotations(sample, has_masks):
                    annotations.append({"id": len(annotations) + 1, "image_id": number} | own)
            content = {"images": images, "categories": categories, "annotations": annotations}
            text = json.dumps(content, separators=(",", ":"), ensure_ascii=False)
            (draft / "annotations" / f"instances_{split}.json").write_text(text + "\n", encoding="utf-8")
    return folder


def to_panoptic(splits: Splits, classes: Sequence[str], folder: Path, has_masks: bool = True) -> Path:
    """Write `annotations/panoptic_SPLIT.json`, the segments' pictures beside it, and `images/SPLIT/*.png` into a new
    folder.

    - The segment of a box is all that its class fills of it; what two boxes of a class cover is the smaller one's.
    - A box without a pixel of its own is lost, for this format has no boxes but around pixels.
    - Pixels of a class outside all its boxes, and those of 255, are crowds, as `to_coco` has them.

    Args:
        splits: name -> samples.
        classes: names of labels 1, 2, ...; their categories have the same numbers.
        folder: new or empty.
        has_masks: False if all masks are 255 because nobody has drawn any.

    Returns:
        The folder.

    Raises:
        FileExistsError: if the folder holds something.
        ValueError: if there are no masks, or a class has the name that class maps have for what is ignored.
    """
    if not has_masks:
        raise ValueError("COCO panoptic holds segments, and nobody has drawn any here; COCO instances hold boxes alone")
    if IGNORE_KEY in classes:
        raise ValueError(f"COCO panoptic cannot be read with a class of the name {IGNORE_KEY!r}")
    categories = [{"id": number, "name": name, "isthing": 1} for number, name in enumerate(classes, start=1)]
    with _new_folder(folder) as draft:
        for split, samples in splits.items():
            photographs, pngs = draft / "images" / split, draft / "annotations" / f"panoptic_{split}"
            photographs.mkdir(parents=True)
            pngs.mkdir(parents=True)
            images: list[dict[str, Any]] = []
            annotations: list[dict[str, Any]] = []
            for number, sample in enumerate(samples, start=1):
                name, (height, width) = f"{number - 1:06d}.png", sample.mask.shape
                Image.fromarray(sample.image).save(photographs / name)
                images.append({"id": number, "file_name": name, "width": width, "height": height})
                ids, segments = _segments(sample)
                Image.fromarray(np.stack([ids & 255, ids >> 8 & 255, ids >> 16], axis=-1).astype(np.uint8)).save(
                    pngs / name
                )
                annotations.append({"image_id": number, "file_name": name, "segments_info": segments})
            content = {"images": images, "categories": categories, "annotations": annotations}
            text = json.dumps(content, separators=(",", ":"), ensure_ascii=False)
            pngs.with_suffix(".json").write_text(text + "\n", encoding="utf-8")
    return folder


def to_voc(splits: Splits, classes: Sequence[str], folder: Path, has_masks: bool = True) -> Path:
    """Write `Annotations`, `JPEGImages` (with PNG files, which lose nothing), `SegmentationClass`, `ImageSets` and
    `labelmap.txt` into a new folder.

    Boxes are of whole pixels: a side between two goes outwards. A mask that is 255 everywhere is left away, and then
    `ImageSets/Segmentation` lists the others.

    Args:
        splits: name -> samples.
        classes: names of labels 1, 2, ..., none with a colon.
        folder: new or empty.
        has_masks: False if all masks are 255 because nobody has drawn any.

    Returns:
        The folder.

    Raises:
        FileExistsError: if the folder holds something.
        ValueError: if the name of a class has a colon or a line end.
    """
    for name in classes:
        spaced = name != " ".join(name.split()) or not name.isprintable()
        if ":" in name or spaced or name in ("", "background") or name.startswith("#"):
            raise ValueError(f"VOC's {voc.LABELMAP} cannot hold a class of the name {name!r}")
    colours = voc.palette()
    with _new_folder(folder) as draft:
        for part in ("Annotations", "JPEGImages", "ImageSets/Main"):
            (draft / part).mkdir(parents=True)
        lines = [f"{name}:{','.join(map(str, colours[k]))}::" for k, name in enumerate(["background", *classes])]
        (draft / voc.LABELMAP).write_text("\n".join([*lines, ""]), encoding="utf-8")
        number = 0
        for split, samples in splits.items():
            names, with_mask = [], []
            for sample in samples:
                name, number = f"{number:06d}", number + 1
                names.append(name)
                Image.fromarray(sample.image).save(draft / "JPEGImages" / f"{name}.png")
                _write_xml(sample, classes, draft / "Annotations" / f"{name}.xml")
                if has_masks and not np.all(sample.mask == IGNORE):
                    with_mask.append(name)
                    (draft / "SegmentationClass").mkdir(exist_ok=True)
                    mask = Image.fromarray(sample.mask)
                    mask.putpalette(colours.ravel().tolist())
                    mask.save(draft / "SegmentationClass" / f"{name}.png")
            for kind, listed in (("Main", names), ("Segmentation", with_mask)):
                if kind == "Main" or 0 < len(listed) < len(
                    names
                ):  # a list of all of them would be the same split twice
                    (draft / "ImageSets" / kind).mkdir(exist_ok=True)
                    path = draft / "ImageSets" / kind / f"{split}.txt"
                    path.write_text("".join(f"{name}\n" for name in listed), encoding="utf-8")
    return folder


def to_triples(splits: Splits, classes: Sequence[str], folder: Path, has_masks: bool = True) -> Path:
    """Write one split as `triples.write` does, which loses nothing but the names of the classes.

    Returns:
        The json.

    Raises:
        FileExistsError: if the folder holds something.
        ValueError: if there are several splits.
    """
    if len(splits) != 1:
        raise ValueError(f"triples have one split, not {', '.join(splits)}")
    (samples,) = splits.values()
    return triples.write(samples, folder)


TARGETS: dict[str, Target] = {
    "coco": Target("COCO instances", to_coco, takes_splits=True),
    "panoptic": Target("COCO panoptic", to_panoptic, takes_splits=True),
    "voc": Target("PASCAL VOC", to_voc, takes_splits=True),
    "triples": Target("triples", to_triples, takes_splits=False),
}


def compare(before: Iterable[Sample], after: Iterable[Sample]) -> Difference:
    """Count what differs between samples and the same samples, read from what they were written to.

    Raises:
        ValueError: if a picture differs, or there are more on one side: then what was written is wrong.
    """
    boxes = other_boxes = pixels = other_pixels = 0
    farthest = 0.0
    for old, new in zip(before, after, strict=True):
        if not np.array_equal(old.image, new.image):
            raise ValueError("what was written holds another picture")
        size = old.mask.shape
        moved = _moved(to_pixels(old.boxes, size), old.labels, to_pixels(new.boxes, size), new.labels)
        boxes += len(old.boxes)
        other_boxes += int(np.sum(moved > SAME)) + max(0, len(new.boxes) - len(old.boxes))
        farthest = max([farthest, *moved[np.isfinite(moved)].tolist()])
        pixels += old.mask.size
        other_pixels += int(np.sum(old.mask != new.mask))
    return Difference(boxes, other_boxes, farthest, pixels, other_pixels)


def _moved(old: np.ndarray, old_labels: np.ndarray, new: np.ndarray, new_labels: np.ndarray) -> np.ndarray:
    """(M,) pixels that the farthest side of each old box has moved by; infinite where it is gone, or of another class.

    Writers keep the order of boxes.
    """
    moved = np.full(len(old), np.inf)
    shared = min(len(old), len(new))
    far = np.abs(old[:shared] - new[:shared]).max(axis=1, initial=0)
    moved[:shared] = np.where(old_labels[:shared] == new_labels[:shared], far, np.inf)
    return moved


def _new_folder(folder: Path) -> Any:
    if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        raise FileExistsError(f"{folder}: something is there already, name a folder that is new or empty")
    return whole_folder(folder.resolve())


def _annotations(sample: Sample, has_masks: bool) -> Iterator[dict[str, Any]]:
    covered = np.zeros(sample.mask.shape, bool)
    corners = to_pixels(sample.boxes, sample.mask.shape)
    for label, (xmin, ymin, xmax, ymax) in zip(sample.labels.tolist(), corners.tolist(), strict=True):
        inside = np.zeros(sample.mask.shape, bool)
        if has_masks:
            left, top, right, bottom = _outwards((xmin, ymin, xmax, ymax))
            inside[top:bottom, left:right] = sample.mask[top:bottom, left:right] == label
            covered |= inside
        box = [float(f"{side:.9g}") for side in (xmin, ymin, xmax - xmin, ymax - ymin)]
        area = int(inside.sum()) if inside.any() else box[2] * box[3]
        segment = _runs(inside) if inside.any() else []
        yield {"category_id": label, "bbox": box, "area": area, "segmentation": segment, "iscrowd": 0}
    if not has_masks:
        return
    for category, left_over in _left_over(sample.mask, covered):
        yield _around(left_over) | {"category_id": category, "segmentation": _runs(left_over), "iscrowd": 1}


def _left_over(mask: np.ndarray, covered: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """The category and the (H, W) pixels of what no box covers, a crowd each."""
    for value in np.unique(mask[~covered]).tolist():
        if value:
            yield 1 if value == IGNORE else value, (mask == value) & ~covered


def _around(pixels: np.ndarray) -> dict[str, Any]:
    """What COCO's json says of a segment that has pixels."""
    columns, rows = np.flatnonzero(pixels.any(axis=0)), np.flatnonzero(pixels.any(axis=1))
    size = columns[-1] - columns[0] + 1, rows[-1] - rows[0] + 1
    return {"bbox": [int(side) for side in (columns[0], rows[0], *size)], "area": int(pixels.sum())}


def _segments(sample: Sample) -> tuple[np.ndarray, list[dict[str, Any]]]:
    """(H, W) int64 numbers of segments, from 1, and what the json says of each: of the boxes in their order first."""
    ids = np.zeros(sample.mask.shape, np.int64)
    corners = [_outwards(box) for box in to_pixels(sample.boxes, sample.mask.shape).tolist()]
    for place in np.argsort(
        [-(right - left) * (low - top) for left, top, right, low in corners], kind="stable"
    ).tolist():
        left, top, right, bottom = corners[place]
        inside = sample.mask[top:bottom, left:right] == sample.labels[place]
        ids[top:bottom, left:right][inside] = place + 1
    segments = []
    for number, label in enumerate(sample.labels.tolist(), start=1):
        if (own := ids == number).any():
            segments.append(_around(own) | {"id": number, "category_id": label, "iscrowd": 0})
    for number, (category, left_over) in enumerate(_left_over(sample.mask, ids > 0), start=len(corners) + 1):
        ids[left_over] = number
        segments.append(_around(left_over) | {"id": number, "category_id": category, "iscrowd": 1})
    return ids, segments


def _runs(pixels: np.ndarray) -> dict[str, Any]:
    """An RLE, unpacked: lengths of background and segment in turn, down the columns."""
    flat = np.concatenate([[False], pixels.T.ravel()])
    starts = np.flatnonzero(flat[1:] != flat[:-1])
    counts = np.diff([0, *starts.tolist(), flat.size - 1])
    return {"size": list(pixels.shape), "counts": counts.tolist()}


def _outwards(corners: Sequence[float]) -> tuple[int, int, int, int]:
    """The box of whole pixels around one: first column and row, and those behind the last."""
    xmin, ymin, xmax, ymax = corners
    first_x, first_y = int(np.floor(xmin + ROUNDED)), int(np.floor(ymin + ROUNDED))
    last_x, last_y = int(np.ceil(xmax - ROUNDED)), int(np.ceil(ymax - ROUNDED))
    return first_x, first_y, max(last_x, first_x + 1), max(last_y, first_y + 1)


def _write_xml(sample: Sample, classes: Sequence[str], path: Path) -> None:
    height, width = sample.mask.shape
    top = ElementTree.Element("annotation")
    ElementTree.SubElement(top, "folder").text = "JPEGImages"
    ElementTree.SubElement(top, "filename").text = f"{path.stem}.png"
    size = ElementTree.SubElement(top, "size")
    for name, value in (("width", width), ("height", height), ("depth", 3)):
        ElementTree.SubElement(size, name).text = str(value)
    for label, corners in zip(sample.labels.tolist(), to_pixels(sample.boxes, (height, width)).tolist(), strict=True):
        thing = ElementTree.SubElement(top, "object")
        ElementTree.SubElement(thing, "name").text = classes[label - 1]
        ElementTree.SubElement(thing, "difficult").text = "0"
        box = ElementTree.SubElement(thing, "bndbox")
        left, upper, right, lower = _outwards(corners)
        for name, value in (("xmin", left + 1), ("ymin", upper + 1), ("xmax", right), ("ymax", lower)):
            ElementTree.SubElement(box, name).text = str(value)
    ElementTree.indent(top)
    path.write_text(ElementTree.tostring(top, encoding="unicode") + "\n", encoding="utf-8")
