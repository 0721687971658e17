"""Reader for COCO 2017 in its own panoptic format: photographs, and a number for every segment of each.

A data set's folder holds `annotations/panoptic_{split}.json`, `annotations/panoptic_{split}/*.png` and the
photographs in `images/{split}/` or, as the official archives unpack, in `{split}/`.

Source: Kirillov et al. 2019, "Panoptic Segmentation"; the format is described at
https://cocodataset.org/#format-data, section 4.
"""

import difflib
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from functools import partial
from math import isfinite
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ssdseg_ref.data.files import LazySamples, read_json
from ssdseg_ref.data.pictures import read_labels, turn_in_words
from ssdseg_ref.data.reports import STRICT, Report, in_pixels, read_photograph_of
from ssdseg_ref.data.sample import BACKGROUND, IGNORE, Sample, box_around

Record = Mapping[str, Any]  # an entry of one of the json's lists

COURSE_CLASSES = {"person": ("person",), "truck": ("truck", "bus", "car"), "rail": ("railroad", "train")}
IGNORE_KEY = "ignore"  # the entry of a class map whose categories no loss and no metric counts


class Segment(NamedTuple):
    """A segment that the class map names: its number in the picture of segments, and its value in our mask."""

    id: int
    label: int
    has_box: bool


class Entry(NamedTuple):
    """One annotated photograph: its two files, the segments of interest in the order of the annotations, and the size
    (width, height) that the json gives it, None where it gives none."""

    photograph: Path
    segments_png: Path
    segments: tuple[Segment, ...]
    size: tuple[int, int] | None


def read(
    root: str | Path,
    split: str,
    classes: Mapping[str, Sequence[str]],
    report: Report = STRICT,
    content: Mapping[str, Any] | None = None,
) -> LazySamples:
    """Samples of one split, in the order of its annotations; photographs are read when asked for.

    What becomes of a segment:

    - one of a class gives its pixels to the mask and one box, also where COCO does not count instances: all the
      railroad of a photograph is one segment, hence one box;
    - a crowd of a class, and every segment of an "ignore" category, is 255 in the mask and has no box;
    - anything else is background, also the pixels that COCO left without a segment.

    The boxes are drawn around the segments' own pixels, [first, last + 1) / side, not copied from the json: then mask
    and box cannot disagree.

    Args:
        root: folder of the data set.
        split: such as "val2017".
        classes: our class -> COCO's names of its categories. The first class has label 1, and so on. The special
            class "ignore" has no label.
        report: what to do about annotations that make no sense; those that it passes over are left out.
        content: of the json, where `read_content` has read it already.

    Raises:
        FileNotFoundError: if a folder or a file is missing.
        ValueError: if the annotations or the class map make no sense. The sentence names the file.

    A sample that cannot be read raises the same errors when it is asked for.
    """
    root = Path(root)
    json_path = _json_path(root, split)
    content = read_content(root, split) if content is None else content
    photographs, pngs = _photographs_folder(root, split), json_path.with_suffix("")
    try:
        labels = _labels_by_category(content["categories"], classes, json_path)
        known = {category["id"] for category in content["categories"]}
        images = by_id(content["images"], "image", json_path, report)
        by_id(content["annotations"], "annotation of image", json_path, report, key="image_id")
        entries = []
        for annotation in content["annotations"]:
            number = annotation["image_id"]
            if number not in images:
                report.wrong(f"{json_path}: an annotation is of image {number!r}, which is not in its images")
                continue
            image, where = images[number], f"{json_path}: image {number!r}"
            segments = tuple(_segments_of_interest(annotation["segments_info"], labels, known, where, report))
            size = (image["width"], image["height"]) if {"width", "height"} <= set(image) else None
            files = photographs / image["file_name"], pngs / annotation["file_name"]
            entries.append(Entry(*files, segments, size))
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{json_path}: not COCO's panoptic format: {missing(error)}") from None
    return LazySamples(entries, partial(_read_sample, report=report))


def read_content(root: str | Path, split: str) -> dict[str, Any]:
    """What the json of a split holds: for official data sets that takes a while, and need not be done twice.

    Raises:
        FileNotFoundError: if it is missing.
        ValueError: if it is no object.
    """
    json_path = _json_path(Path(root), split)
    content = read_json(json_path)
    if not isinstance(content, dict):
        kind = type(content).__name__
        raise ValueError(f"{json_path}: not COCO's panoptic format: it must be an object, this is a {kind}")
    return content


def default_classes(content: Mapping[str, Any]) -> Mapping[str, Sequence[str]]:
    """The course's own class map where a json has all of its categories, else each category as a class, by the ids."""
    categories = content.get("categories")
    if not isinstance(categories, list) or not all(isinstance(category, dict) for category in categories):
        return COURSE_CLASSES  # `read` says what is wrong
    numbers = {
        category["name"]: category["id"]
        for category in categories
        if isinstance(category.get("name"), str) and isinstance(category.get("id"), int)
    }
    if len(numbers) < max(1, len(categories)) or all(
        member in numbers for members in COURSE_CLASSES.values() for member in members
    ):
        return COURSE_CLASSES
    return {name: (name,) for name in sorted(numbers, key=lambda name: numbers[name])}


def label_names(classes: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    """Names of labels 1, 2, ... of a class map."""
    return tuple(name for name in classes if name != IGNORE_KEY)


def available_splits(root: str | Path) -> list[str]:
    """Names of the splits whose panoptic annotations lie in a folder, sorted."""
    return sorted(path.stem.removeprefix("panoptic_") for path in Path(root).glob("annotations/panoptic_*.json"))


def _json_path(root: Path, split: str) -> Path:
    return root / "annotations" / f"panoptic_{split}.json"


def missing(error: KeyError | TypeError | AttributeError) -> str:
    """What an annotation lacks, in words, by the error of asking for it."""
    return f"{error.args[0]!r} is missing" if isinstance(error, KeyError) else str(error)


def by_id(
    records: Sequence[Record], kind: str, json_path: Path, report: Report = STRICT, key: str = "id"
) -> dict[int | str, Record]:
    """Records by their number, each of which has its own.

    Args:
        records: a list of the json.
        kind: of the records, for the sentence about two of one number.
        json_path: likewise.
        report: gets that sentence; the first of them counts.
        key: where the number stands.
    """
    found: dict[int | str, Record] = {}
    for record in records:
        if record[key] in found:
            report.wrong(f"{json_path}: two records are {kind} {record[key]!r}; each needs a number of its own")
            continue
        found[record[key]] = record
    return found


def _photographs_folder(root: Path, split: str) -> Path:
    candidates = [root / "images" / split, root / split]
    for folder in candidates:
        if folder.is_dir():
            return folder
    raise FileNotFoundError(f"there is no folder of photographs: neither {candidates[0]} nor {candidates[1]}")


def _labels_by_category(
    categories: Sequence[Record], classes: Mapping[str, Sequence[str]], json_path: Path
) -> dict[int, int]:
    """COCO's number of each mapped category -> the value of its pixels in our masks."""
    by_id(categories, "category", json_path)
    by_id(categories, "the category", json_path, key="name")
    numbers = {category["name"]: category["id"] for category in categories}
    names = label_names(classes)
    if not 1 <= len(names) < IGNORE:
        raise ValueError(f"a class map names 1 to {IGNORE - 1} classes, this one {len(names)}")
    labels: dict[int, int] = {}
    for name, members in classes.items():
        if isinstance(members, str) or not members:
            raise ValueError(f"class {name!r} of the class map needs a list of COCO's categories, got {members!r}")
        for member in members:
            if member not in numbers:
                raise ValueError(f"{json_path} has no category {member!r}{nearest(member, numbers)}")
            if numbers[member] in labels:
                raise ValueError(f"the class map uses the category {member!r} twice")
            labels[numbers[member]] = IGNORE if name == IGNORE_KEY else 1 + names.index(name)
    return labels


def nearest(name: str, known: Iterable[str]) -> str:
    """A question after the known name that is most like a wrong one, or nothing."""
    near = difflib.get_close_matches(name, list(known), n=1)
    return f", do you mean {near[0]!r}?" if near else ""


def _segments_of_interest(
    segments: Sequence[Record], labels: Mapping[int, int], known: Collection[int], where: str, report: Report
) -> Iterator[Segment]:
    numbers = set()
    for segment in segments:
        number, category = segment["id"], segment["category_id"]
        if category not in known:
            kind = f"{category!r}, a text" if isinstance(category, str) else repr(category)
            report.wrong(f"{where}: segment {number!r} has category_id {kind}, and no category has that id")
            continue
        if isinstance(number, bool) or not isinstance(number, int):
            report.wrong(f"{where}: a segment's id is a whole number, one is {number!r}")
            continue
        if number in numbers:
            report.wrong(f"{where}: two segments have the id {number}, so nobody knows whose its pixels are")
            continue
        if not _is_box(segment.get("bbox", (0, 0, 1, 1))):
            report.wrong(f"{where}: segment {number} has the bbox {segment['bbox']!r}, it must be four numbers")
            continue
        numbers.add(number)
        label = labels.get(category, BACKGROUND)
        if label == BACKGROUND:
            continue
        ignored = label == IGNORE or segment.get("iscrowd", 0)
        yield Segment(number, IGNORE if ignored else label, has_box=not ignored)


def _is_box(bbox: object) -> bool:
    """Whether it can be one; its numbers are not used, for the pixels say where a segment is."""
    return (
        isinstance(bbox, list | tuple)
        and len(bbox) == 4
        and all(isinstance(side, int | float) and isfinite(side) for side in bbox)
    )


def _read_sample(entry: Entry, report: Report) -> Sample:
    image = read_photograph_of(entry.photograph, entry.size, "the json", report)
    ids = _segment_ids(entry.segments_png)  # (H, W)
    if ids.shape != image.shape[:2]:
        turned = turn_in_words(entry.photograph)
        raise ValueError(
            f"{entry.segments_png}: {in_pixels(ids)} pixels, but the photograph has {in_pixels(image)}{turned}"
        )
    mask = np.full(ids.shape, BACKGROUND, np.uint8)
    boxes, labels = [], []
    for segment in entry.segments:
        inside = ids == segment.id
        if not inside.any():
            report.wrong(f"{entry.segments_png}: segment {segment.id} of the annotations has no pixel")
            continue
        mask[inside] = segment.label
        if segment.has_box:
            boxes.append(box_around(inside))
            labels.append(segment.label)
    return Sample(image, np.array(boxes, np.float32).reshape(-1, 4), np.array(labels, np.int32), mask)


def _segment_ids(path: Path) -> np.ndarray:
    """(H, W) uint32 numbers of segments: R + 256 G + 256² B."""
    red, green, blue = np.moveaxis(read_labels(path, modes=["RGB"]).astype(np.uint32), -1, 0)
    numbers: np.ndarray = red + 256 * green + 256**2 * blue
    return numbers
