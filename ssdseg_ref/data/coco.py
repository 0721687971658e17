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

from ssdseg_ref.data.files import LazySamples, find, named, read_json
from ssdseg_ref.data.pictures import read_labels, turn_in_words
from ssdseg_ref.data.reports import STRICT, Report, in_pixels, read_photograph_of
from ssdseg_ref.data.sample import BACKGROUND, IGNORE, Sample, box_around

Record = Mapping[str, Any]  # an entry of one of the json's lists
Id = int | str | float  # of a record; whole numbers but for tools that write texts or 1.0

COURSE_CLASSES = {"person": ("person",), "truck": ("truck", "bus", "car"), "rail": ("railroad", "train")}
IGNORE_KEY = "ignore"  # the entry of a class map whose categories no loss and no metric counts


class Segment(NamedTuple):
    """A segment that the class map names: its number in the picture of segments, and its value in our mask."""

    id: int
    label: int
    has_box: bool


class Entry(NamedTuple):
    """One annotated photograph: the names of its two files, the segments of interest in the order of the annotations,
    and the size (width, height) that the json gives it, None where it gives none."""

    photograph: str
    segments_png: str
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
    categories, listed, annotations = (
        records(content, key, json_path, report) for key in ("categories", "images", "annotations")
    )
    labels = _labels_by_category(categories, classes, json_path)
    known = {category["id"] for category in categories}
    images = by_id(listed, "images", json_path, report)
    by_image = by_id(annotations, "annotations", json_path, report, key="image_id")
    entries = []
    for number, annotation in by_image.items():
        where = f"{json_path}: image {number!r}"
        try:
            if number not in images:
                raise ValueError(
                    f"{json_path}: an annotation is of {told('image', number)}, which is not in its images"
                )
            image = images[number]
            files = _file_name(image, where), _file_name(annotation, f"{where}: its annotation")
            segments = annotation["segments_info"]
            if not isinstance(segments, list):
                raise ValueError(f"{where}: segments_info must be a list, it is {segments!r:.60}")
            interesting = tuple(_segments_of_interest(segments, labels, known, where, report))
            entries.append(Entry(*files, interesting, _size(image, where)))
        except KeyError as error:
            report.wrong(f"{where}: {missing(error)}")
        except ValueError as error:
            report.wrong(str(error))
    if idle := [number for number in images if number not in by_image]:
        report.doubtful(
            f"{json_path}: images without an annotation are left out, {len(idle):,} in all, such as image {idle[0]!r}"
        )
    return LazySamples(
        entries, partial(_read_sample, folders=(photographs, photographs.parent), pngs=pngs, report=report)
    )


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


def missing(error: KeyError) -> str:
    """What an annotation lacks, in words, by the error of asking for it."""
    return f"{error.args[0]!r} is missing"


def records(content: Mapping[str, Any], key: str, json_path: Path, report: Report = STRICT) -> list[Record]:
    """One of a json's lists, whose entries are objects.

    Raises:
        ValueError: if there is no such list, or an entry is none and `report` does not pass over it.
    """
    if key not in content:
        raise ValueError(f"{json_path}: not COCO's format: {key!r} is missing")
    entries = content[key]
    if not isinstance(entries, list):
        raise ValueError(f"{json_path}: not COCO's format: {key!r} must be a list, it is {entries!r:.60}")
    for place, entry in enumerate(entries, start=1):
        if not isinstance(entry, dict):
            report.wrong(f"{json_path}: entry {place} of {key} must be an object, it is {entry!r:.60}")
    return [entry for entry in entries if isinstance(entry, dict)]


def by_id(
    entries: Sequence[Record], kind: str, json_path: Path, report: Report = STRICT, key: str = "id"
) -> dict[Id, Record]:
    """Records by their number, each of which has its own.

    Args:
        entries: records of the json.
        kind: of the records, in the plural, for the sentence about one without a number, or two of one.
        json_path: likewise.
        report: gets that sentence; the first of them counts.
        key: where the number stands.
    """
    found: dict[Id, Record] = {}
    for place, record in enumerate(entries, start=1):
        number = record.get(key)
        if isinstance(number, bool) or not isinstance(number, Id):
            what = f"the {key} {number!r:.60}, which is no number" if key in record else f"no {key}"
            report.wrong(f"{json_path}: entry {place} of the {kind} has {what}")
        elif number in found:
            report.wrong(f"{json_path}: two {kind} have the {key} {number!r}; each needs its own")
        else:
            found[number] = record
    return found


def told(kind: str, number: object) -> str:
    """A number in words, such as "category_id '1', a text": a text in its place cannot be seen otherwise."""
    return f"{kind} {number!r:.60}{', a text' if isinstance(number, str) else ''}"


def is_number(value: object) -> bool:
    """Whether a value of a json is a number that can be reckoned with."""
    try:
        return isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value)
    except OverflowError:  # json's whole numbers may have thousands of digits
        return False


def is_whole(value: object) -> bool:
    """Whether a value of a json is a whole number."""
    return isinstance(value, int) and not isinstance(value, bool)


def crowd(record: Record, where: str) -> bool:
    """Whether a segment is of many instances at once.

    Raises:
        ValueError: if `iscrowd` is anything but 0 or 1, or missing.
    """
    value = record.get("iscrowd") or 0
    if value not in (0, 1):
        raise ValueError(f"{where}: iscrowd is 0 or 1, this is {value!r:.60}")
    return bool(value)


def _file_name(record: Record, where: str) -> str:
    name = record["file_name"]
    if not isinstance(name, str) or not name:
        raise ValueError(f"{where}: its file_name must be a text, it is {name!r:.60}")
    return name


def _size(image: Record, where: str) -> tuple[int, int] | None:
    """(width, height) of a photograph; None where the json does not say both."""
    if not {"width", "height"} <= set(image):
        return None
    width, height = image["width"], image["height"]
    if not (is_whole(width) and is_whole(height)):
        raise ValueError(
            f"{where}: width and height are whole numbers of pixels, these are {width!r:.40}, {height!r:.40}"
        )
    return width, height


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
    check_categories(categories, json_path)
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


def check_categories(categories: Sequence[Record], json_path: Path) -> None:
    """Make sure that each category has a number and a name of its own.

    Raises:
        ValueError: if one has not.
    """
    by_id(categories, "categories", json_path)
    for category in categories:
        if not is_whole(category["id"]):
            raise ValueError(
                f"{json_path}: the ids of categories are whole numbers, one is {told('', category['id']).strip()}"
            )
        if not isinstance(name := category.get("name"), str) or not name.strip():
            raise ValueError(f"{json_path}: category {category['id']!r} has the name {name!r:.60}, not a text")
    by_id(categories, "categories", json_path, key="name")


def nearest(name: str, known: Iterable[str]) -> str:
    """A question after the known name that is most like a wrong one, or nothing."""
    near = difflib.get_close_matches(name, list(known), n=1)
    return f", do you mean {near[0]!r}?" if near else ""


def _segments_of_interest(
    segments: Sequence[Record], labels: Mapping[int, int], known: Collection[int], where: str, report: Report
) -> Iterator[Segment]:
    numbers: set[int] = set()
    for segment in segments:
        try:
            number, label = _number_and_label(segment, labels, known, numbers, where)
            ignored = label == IGNORE or crowd(segment, f"{where}: segment {number}")
        except ValueError as error:
            report.wrong(str(error))
            continue
        numbers.add(number)
        if label != BACKGROUND:
            yield Segment(number, IGNORE if ignored else label, has_box=not ignored)


def _number_and_label(
    segment: object, labels: Mapping[int, int], known: Collection[int], numbers: Collection[int], where: str
) -> tuple[int, int]:
    """The number of a segment, and the value of its pixels in our mask."""
    if not isinstance(segment, dict):
        raise ValueError(f"{where}: a segment must be an object, one is {segment!r:.60}")
    for key in ("id", "category_id"):
        if key not in segment:
            raise ValueError(f"{where}: {key!r} is missing in a segment")
    number, category = segment["id"], segment["category_id"]
    if not is_number(category) or category not in known:
        raise ValueError(
            f"{where}: segment {number!r} has {told('category_id', category)}, and no category has that id"
        )
    if not is_whole(number):
        raise ValueError(f"{where}: a segment's id is a whole number, one is {number!r:.60}")
    if number in numbers:
        raise ValueError(f"{where}: two segments have the id {number}, so nobody knows whose its pixels are")
    if not _is_box(segment.get("bbox", (0, 0, 1, 1))):
        raise ValueError(f"{where}: segment {number} has the bbox {segment['bbox']!r:.80}, it must be four numbers")
    return number, labels.get(category, BACKGROUND)


def _is_box(bbox: object) -> bool:
    """Whether it can be one; its numbers are not used, for the pixels say where a segment is."""
    return isinstance(bbox, list | tuple) and len(bbox) == 4 and all(map(is_number, bbox))


def _read_sample(entry: Entry, folders: Sequence[Path], pngs: Path, report: Report) -> Sample:
    photograph = find(folders, entry.photograph) or folders[0] / entry.photograph
    segments_png = named(pngs, entry.segments_png)
    image = read_photograph_of(photograph, entry.size, "the json", report)
    ids = _segment_ids(segments_png)  # (H, W)
    if ids.shape != image.shape[:2]:
        turned = turn_in_words(photograph)
        raise ValueError(f"{segments_png}: {in_pixels(ids)} pixels, but the photograph has {in_pixels(image)}{turned}")
    mask = np.full(ids.shape, BACKGROUND, np.uint8)
    boxes, labels = [], []
    for segment in entry.segments:
        inside = ids == segment.id
        if not inside.any():
            report.wrong(f"{segments_png}: segment {segment.id} of the annotations has no pixel")
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
