"""Reader for COCO's instances: the json that most tools for annotating write, with a box and a segment for each object.

The json's three lists are `images` (id, file_name, width, height), `categories` (id, name) and `annotations` (id,
image_id, category_id, bbox, segmentation, iscrowd). A segment is a list of polygons, or an RLE: lengths of runs of
pixels outside and inside in turn, down the columns, as a list or packed into a text. A folder may hold several such
files, one for each split, as the official archives, CVAT, Label Studio, labelme and Roboflow lay them out.

Source: Lin et al. 2014, "Microsoft COCO: Common Objects in Context"; the format is described at
https://cocodataset.org/#format-data, sections 1 and 2.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from functools import partial
from math import ceil, floor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ssdseg_ref.data.coco import (
    Id,
    Record,
    by_id,
    check_categories,
    crowd,
    is_number,
    is_whole,
    missing,
    nearest,
    records,
    told,
)
from ssdseg_ref.data.files import LazySamples, find, read_json
from ssdseg_ref.data.pictures import MOST_PIXELS
from ssdseg_ref.data.reports import STRICT, Report, read_photograph_of
from ssdseg_ref.data.sample import BACKGROUND, IGNORE, Sample, cut_to_image

OTHER_ANNOTATIONS = ("panoptic_", "captions_", "person_keypoints_", "stuff_", "image_info_")  # COCO's, beside instances
TOLERANCE = 1.0  # pixels: how far boxes and polygons may leave their image; exporters round, and some count from 1
DISAGREEMENT = 2.0  # pixels between a bbox and its segment that make `data check` doubt them
LISTS = ("images", "categories", "annotations")
HEAD = 2**16  # bytes at the beginning of a file, by which it is told what it is
LEAST_POLYGON = 6  # numbers: three points
BACKGROUNDS = ("_background_", "background")  # names of categories that are none
MOST_BITS = 60  # of a number in a compressed RLE, for images are smaller

Polygons = tuple[np.ndarray, ...]  # (N, 2) float64 points (x, y) in pixels, each


class Runs(NamedTuple):
    """An RLE, unpacked: (runs,) int64 lengths of background and segment in turn, down the columns."""

    counts: np.ndarray


class Instance(NamedTuple):
    """An annotation of a class that is asked for.

    Attributes:
        id: the annotation's.
        label: of its pixels: its class, or 255 for a crowd.
        segment: None where there is a box alone.
        box: xmin, ymin, xmax, ymax in pixels, as the json has it; None where there is a segment alone.
    """

    id: Id
    label: int
    segment: Polygons | Runs | None
    box: tuple[float, ...] | None


class Entry(NamedTuple):
    """One image of the json: its file's name, its (height, width), its annotations in their order, and whether no other
    file has that name in another folder."""

    name: str
    where: str
    size: tuple[int, int]
    instances: tuple[Instance, ...]
    has_own_end: bool


class Instances(NamedTuple):
    """What a json holds: its samples, the names of their classes, and whether any annotation has a segment."""

    samples: LazySamples
    classes: tuple[str, ...]
    has_masks: bool


class Patch(NamedTuple):
    """Pixels of a segment, cut out of its image as tightly as they allow.

    Attributes:
        top: row of the image that the patch begins in.
        left: column, likewise.
        pixels: (h, w) bool; of no row and no column where there is no pixel.
    """

    top: int
    left: int
    pixels: np.ndarray


def annotation_files(root: str | Path) -> dict[str, Path]:
    """The split's name -> its json, for a folder as the usual tools write it.

    - `annotations/instances_{split}.json`: the official archives, and CVAT, whose split is "default";
    - `{split}/_annotations.coco.json`: Roboflow;
    - any other json in `annotations/`, or in the folder itself such as Label Studio's `result.json` and labelme's
      `annotations.json`: its own name is the split's.

    Only names are looked at, and in a folder without any of the first two, the beginning of each json.
    """
    root = Path(root)
    official = {path.stem.removeprefix("instances_"): path for path in root.glob("annotations/instances_*.json")}
    found = official or {path.parent.name: path for path in root.glob("[!.]*/_annotations.coco.json")}
    if not found:
        others = [*root.glob("annotations/*.json"), *root.glob("*.json")]
        found = {
            path.stem.removeprefix("instances_"): path
            for path in others
            if not path.name.startswith((".", *OTHER_ANNOTATIONS)) and begins_as_annotations(path, names=True)
        }
    return dict(sorted(found.items()))


def begins_as_annotations(path: Path, names: bool = False) -> bool:
    """Whether a file may be such a json: an object, by its first character that is no space.

    Args:
        path: the file; only its beginning is read.
        names: whether one of the three lists must be named there, too, which tells it from other objects.
    """
    try:
        with path.open("rb") as file:
            head = file.read(HEAD)
    except OSError:
        return False
    for mark in (b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff"):
        head = head.removeprefix(mark)
    head = head.replace(b"\0", b"").lstrip()  # of UTF-16
    return head[:1] == b"{" and (not names or any(f'"{key}"'.encode() in head for key in LISTS))


def read(json_path: str | Path, classes: Sequence[str] | None = None, report: Report = STRICT) -> Instances:
    """Samples of a json, in the order of its images; photographs are read when they are asked for.

    What becomes of an annotation:

    - one with a segment gives a box around the segment's own pixels, [first, last + 1) / side, and its pixels to the
      mask, painted from the largest segment to the smallest, so that what lies on something is not hidden by it;
    - a segment too thin to hold the middle of any pixel gives a box around its polygons, and no pixel;
    - one with a box alone gives the box, and its pixels are 255 in the mask, below all segments: what is in there
      nobody has said. Where no annotation of the json has a segment, masks are 255 everywhere;
    - a crowd is 255 in the mask and has no box; CVAT makes one of whatever is drawn with its brush;
    - one of a class that is not asked for is background.

    A pixel belongs to a polygon if its middle does, by the even-odd rule. COCO's own code draws the border in steps of
    a fifth of a pixel first, so its masks may differ from these in pixels whose middle is that close to the border.

    Photographs are looked for in `images/{split}/`, `{split}/`, `images/` and the folder itself: the json's, or the one
    around its `annotations/`.

    Args:
        json_path: the file.
        classes: names of the categories that get labels 1, 2, ... By default all, by their ids. A category that no
            annotation uses and that is only the heading of others, as Roboflow writes it, or "_background_", is none.
        report: what to do about annotations that make no sense; those that it passes over are left out.

    Raises:
        FileNotFoundError: if the json is missing.
        ValueError: if it makes no sense. The sentence names the file and the annotation's id.

    A sample that cannot be read raises the same errors when it is asked for.
    """
    json_path = Path(json_path)
    content = read_json(json_path)
    if not isinstance(content, dict):
        raise ValueError(f"{json_path}: not COCO's format: it must be an object, this is a {type(content).__name__}")
    images, categories, annotations = (records(content, key, json_path, report) for key in LISTS)
    used = {record["category_id"] for record in annotations if is_number(record.get("category_id"))}
    names = _class_names(categories, used, classes, json_path)
    labels = {record["id"]: 1 + names.index(record["name"]) for record in categories if record["name"] in names}
    by_number = by_id(images, "images", json_path, report)
    annotated = {record["image_id"] for record in annotations if isinstance(record.get("image_id"), Id)}
    sizes = _sizes(by_number, annotated, json_path, report)
    known = {record["id"] for record in categories}
    instances = _instances(annotations, by_number.keys(), sizes, labels, known, json_path, report)
    entries = []
    ends = Counter(_end(by_number[number]["file_name"]) for number in sizes)
    for number, size in sizes.items():
        name = by_number[number]["file_name"]
        own = tuple(instances[number])
        entries.append(Entry(name, f"{json_path}: image {number!r}", size, own, ends[_end(name)] == 1))
    drawn = [instance for entry in entries for instance in entry.instances]
    if drawn and all(instance.label == IGNORE for instance in drawn):
        report.doubtful(
            f"{json_path}: all of its {len(drawn):,} annotations are crowds (iscrowd 1), as CVAT writes what is drawn "
            "with the brush: they have no box, and their pixels do not count; polygons do"
        )
    has_masks = any(instance.segment is not None for entry in entries for instance in entry.instances)
    has_masks = has_masks or not any(entry.instances for entry in entries)  # nothing to say of empty images
    read_one = partial(_read_sample, folders=_photograph_folders(json_path), has_masks=has_masks, report=report)
    return Instances(LazySamples(entries, read_one), names, has_masks)


def polygons_to_patch(polygons: Sequence[np.ndarray], size: tuple[int, int]) -> Patch:
    """The pixels whose middles lie in any of some polygons.

    Args:
        polygons: (N, 2) points (x, y) each, in pixels: (0, 0) is the upper left corner of the first pixel. They may
            leave the image.
        size: (height, width) of the image.
    """
    top, left, height, width = _window(np.concatenate(polygons), size)
    inside = np.zeros((height, width), bool)
    for polygon in polygons:
        own_top, own_left, rows, columns = _window(polygon, size)  # an object may have hundreds of small pieces
        middles = own_top + np.arange(rows)[:, None] + 0.5  # (h, 1)
        (x, y), (next_x, next_y) = polygon.T, np.roll(polygon, -1, axis=0).T
        row, edge = np.nonzero((y <= middles) != (next_y <= middles))  # each edge with each row that it crosses
        slope = (next_x - x)[edge] / (next_y - y)[edge]
        crossing = x[edge] + (middles[row, 0] - y[edge]) * slope
        first = np.clip(np.ceil(crossing - own_left - 0.5), 0, columns).astype(int)  # the first middle not left of it
        crossings = np.zeros((rows, columns + 1), np.int32)
        np.add.at(crossings, (row, first), 1)
        place = np.s_[own_top - top : own_top - top + rows, own_left - left : own_left - left + columns]
        inside[place] |= crossings.cumsum(axis=1)[:, :columns] % 2 == 1
    return _trimmed(inside, top, left)


def _window(points: np.ndarray, size: tuple[int, int]) -> tuple[int, int, int, int]:
    """Top, left, height and width of the pixels around some points, within an image of `size`, (height, width)."""
    (left, top), (right, bottom) = np.floor(points.min(axis=0)), np.ceil(points.max(axis=0))
    top, left = int(min(max(top, 0), size[0])), int(min(max(left, 0), size[1]))
    return top, left, max(int(min(bottom, size[0])) - top, 0), max(int(min(right, size[1])) - left, 0)


def runs_to_mask(counts: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """(H, W) bool of an RLE whose lengths make up the whole image of `size`, (height, width)."""
    height, width = size
    return np.repeat(np.arange(len(counts)) % 2 == 1, counts).reshape(width, height).T


def unpack_counts(text: str) -> list[int]:
    """Lengths of the runs of a compressed RLE.

    A number is cut into pieces of 5 bits, lowest first, each a character from "0" on; 32 says that more follow, and
    the last one's 16 that the number is negative. From the fourth on, a number is the difference to the one two before.

    Raises:
        ValueError: if it is no such text.

    Source: `rleFrString` of the COCO API, https://github.com/cocodataset/cocoapi/blob/master/common/maskApi.c.
    """
    counts: list[int] = []
    number = bits = 0
    for character in text:
        piece = ord(character) - 48
        if not 0 <= piece < 64 or bits > MOST_BITS:
            raise ValueError(f"{character!r} is no character that can stand there in a compressed RLE")
        number |= (piece & 31) << bits
        bits += 5
        if piece & 32:
            continue
        if piece & 16:
            number -= 1 << bits
        counts.append(number + (counts[-2] if len(counts) > 2 else 0))
        number = bits = 0
    if bits:
        raise ValueError("the compressed RLE ends within a number")
    return counts


def _class_names(
    categories: Sequence[Record], used: set[object], wanted: Sequence[str] | None, json_path: Path
) -> tuple[str, ...]:
    headings = [category.get("supercategory") for category in categories]
    real = [
        category for category in categories if not _is_no_class(category, headings) or category.get("id") in (*used,)
    ]
    by_id(categories, "categories", json_path)
    check_categories(real, json_path)
    by_number = sorted(real, key=lambda category: category["id"])
    known = [category["name"] for category in (*by_number, *categories)]
    for name in wanted or ():
        if name not in known:
            raise ValueError(f"{json_path} has no category {name!r}{nearest(name, known)}")
    names = tuple(wanted or known[: len(real)])
    if not 1 <= len(names) < IGNORE:
        raise ValueError(f"{json_path}: a mask can tell 1 to {IGNORE - 1} classes apart, these are {len(names)}")
    return names


def _is_no_class(category: Record, headings: Collection[object]) -> bool:
    """Whether a category that nothing is of stands there for another reason, as Roboflow and labelme write them."""
    name = category.get("name")
    return (category.get("supercategory") == "none" and name in headings) or name in BACKGROUNDS


def _sizes(
    images: Mapping[Id, Record], annotated: Collection[object], json_path: Path, report: Report
) -> dict[Id, tuple[int, int]]:
    """(height, width) of each image whose record makes sense.

    0 where the json says nothing: Label Studio does so of an image that is not labelled, for which it does not matter.
    """
    sizes: dict[Id, tuple[int, int]] = {}
    names: dict[str, object] = {}
    for number, image in images.items():
        if lacking := [key for key in ("height", "width", "file_name") if key not in image]:
            report.wrong(f"{json_path}: image {number!r}: {lacking[0]!r} is missing")
            continue
        height, width, name = image["height"], image["width"], image["file_name"]
        whole = is_whole(height) and is_whole(width)
        if height is None and width is None and number not in annotated:
            height = width = 0
        elif not (whole and height > 0 and width > 0 and height * width <= MOST_PIXELS):
            report.wrong(
                f"{json_path}: image {number!r}: width and height are whole numbers of pixels, {MOST_PIXELS:,} at most "
                f"in all, these are {width!r:.40} and {height!r:.40}"
            )
            continue
        if not isinstance(name, str) or not name:
            report.wrong(f"{json_path}: image {number!r}: its file_name must be a text, it is {name!r}")
            continue
        if name in names:
            report.doubtful(f"{json_path}: images {names[name]!r} and {number!r} are the same file, {name}")
        names[name] = number
        sizes[number] = (height, width)
    return sizes


def _instances(
    annotations: Sequence[Record],
    images: Collection[Id],
    sizes: Mapping[Id, tuple[int, int]],
    labels: Mapping[int, int],
    known: set[int],
    json_path: Path,
    report: Report,
) -> dict[Id, list[Instance]]:
    """The annotations of each image, those of classes that are asked for."""
    found: dict[Id, list[Instance]] = defaultdict(list)
    for number, record in by_id(annotations, "annotations", json_path, report).items():
        where = f"{json_path}: annotation {number!r}"
        try:
            image, category = record["image_id"], record["category_id"]
            if not isinstance(image, Id) or image not in images:
                raise ValueError(f"{where} is of {told('image', image)}, which is not among the images")
            if not is_number(category) or category not in known:
                raise ValueError(f"{where} has {told('category_id', category)}, and no category has that id")
            if category in labels and image in sizes:  # what is wrong with an image has been said
                found[image].append(_instance(record, labels[category], sizes[image], where))
        except ValueError as error:
            report.wrong(str(error))
        except KeyError as error:
            report.wrong(f"{where}: {missing(error)}")
    return found


def _instance(record: Record, label: int, size: tuple[int, int], where: str) -> Instance:
    ignored = crowd(record, where)
    segment = _segment(record.get("segmentation"), size, where)
    box = None
    if record.get("bbox"):
        box = _corners(record["bbox"], where)
    if segment is None:
        if box is None:
            raise ValueError(f"{where} has neither a segment nor a bbox")
        box = tuple(cut_to_image(box, size, where, TOLERANCE, "its bbox"))
    return Instance(record["id"], IGNORE if ignored else label, segment, box)


def _corners(bbox: object, where: str) -> tuple[float, ...]:
    if not (isinstance(bbox, list) and len(bbox) == 4 and all(map(is_number, bbox))):
        raise ValueError(f"{where} has the bbox {bbox!r:.80}, it must be four numbers, x, y, width and height")
    x, y, width, height = map(float, bbox)
    return x, y, x + width, y + height


def _segment(segmentation: Any, size: tuple[int, int], where: str) -> Polygons | Runs | None:
    if segmentation is None or segmentation in ([], [[]], {}):
        return None
    if isinstance(segmentation, dict):
        return _runs(segmentation, size, where)
    if isinstance(segmentation, list) and all(map(is_number, segmentation)):
        segmentation = [segmentation]  # as VIA writes a single polygon
    if not (isinstance(segmentation, list) and all(isinstance(polygon, list) for polygon in segmentation)):
        raise ValueError(f"{where}: a segmentation is a list of polygons or an RLE, this is {segmentation!r:.60}")
    height, width = size
    polygons = []
    for polygon in segmentation:
        if not all(map(is_number, polygon)):
            odd = next(value for value in polygon if not is_number(value))
            raise ValueError(f"{where}: a polygon is a list of numbers, one is {odd!r:.60}")
        if len(polygon) < LEAST_POLYGON or len(polygon) % 2:
            raise ValueError(f"{where}: a polygon is x, y of three points or more, this one has {len(polygon)} numbers")
        points = np.array(polygon, np.float64).reshape(-1, 2)
        over = max(-points.min(), *(points.max(axis=0) - (width, height)))
        if over > TOLERANCE:
            raise ValueError(f"{where}: a polygon leaves the image of {width} x {height} by {over:.4g} pixels")
        polygons.append(points)
    return tuple(polygons)


def _runs(rle: Mapping[str, Any], size: tuple[int, int], where: str) -> Runs:
    height, width = size
    if rle["size"] != [height, width]:
        raise ValueError(f"{where}: its RLE is of the size {rle['size']!r:.60}, the image's is {[height, width]}")
    counts = rle["counts"]
    if isinstance(counts, str):
        try:
            counts = unpack_counts(counts)
        except ValueError as error:
            raise ValueError(f"{where}: {error}") from None
    if not (isinstance(counts, list) and all(is_whole(count) and count >= 0 for count in counts)):
        raise ValueError(f"{where}: the counts of an RLE are lengths of runs, these are {counts!r:.60}")
    if sum(counts) != height * width:
        raise ValueError(
            f"{where}: the runs of its RLE make up {sum(counts)} pixels, "
            f"the image has {width} x {height} = {height * width}"
        )
    if sum(counts[1::2]) == 0:
        raise ValueError(f"{where}: its RLE has no pixel")
    return Runs(np.array(counts, np.int64))


def _photograph_folders(json_path: Path) -> list[Path]:
    here, split = json_path.parent, json_path.stem.removeprefix("instances_")
    root = here.parent if here.name == "annotations" else here
    return list(dict.fromkeys([root / "images" / split, root / split, root / "images", root, here, here / "images"]))


def _end(name: str) -> str:
    """A file's name without its folders."""
    return name.replace("\\", "/").rpartition("/")[2]


def _photograph(entry: Entry, folders: Sequence[Path]) -> Path:
    path = find(folders, entry.name)
    if path is None and entry.has_own_end:  # such as a path on the machine of whoever has labelled it
        path = find(folders, _end(entry.name))
    if path:
        return path
    places = ", ".join(map(str, folders))
    raise FileNotFoundError(f"{entry.where}: its photograph {entry.name} is in none of {places}")


def _read_sample(entry: Entry, folders: Sequence[Path], has_masks: bool, report: Report) -> Sample:
    height, width = entry.size
    size = (width, height) if height else None
    image = read_photograph_of(_photograph(entry, folders), size, "the json", report)
    height, width = image.shape[:2]
    mask = np.full((height, width), BACKGROUND if has_masks else IGNORE, np.uint8)
    boxes, labels, patches = [], [], []
    for instance in entry.instances:
        box, patch = instance.box, None
        if instance.segment is None:
            xmin, ymin, xmax, ymax = instance.box or (0, 0, 0, 0)
            mask[floor(ymin) : ceil(ymax), floor(xmin) : ceil(xmax)] = IGNORE
        else:
            patch = _patch(instance.segment, entry.size)
            box = _box_of(patch, instance, entry)
            if box is None:
                report.wrong(f"{entry.where}: the segment of annotation {instance.id!r} is empty")
                continue
            if instance.box and max(abs(a - b) for a, b in zip(box, instance.box, strict=True)) > DISAGREEMENT:
                said, drawn = (", ".join(f"{side:.6g}" for side in corners) for corners in (instance.box, box))
                report.doubtful(
                    f"{entry.where}: the bbox of annotation {instance.id!r} is {said} (corners in pixels), "
                    f"but its segment's is {drawn}"
                )
            patches.append((patch, instance.label))
        if instance.label != IGNORE:
            boxes.append(box)
            labels.append(instance.label)
    for patch, label in sorted(patches, key=lambda painted: -int(painted[0].pixels.sum())):
        rows, columns = patch.pixels.shape
        mask[patch.top : patch.top + rows, patch.left : patch.left + columns][patch.pixels] = label
    fractions = np.array(boxes, np.float64).reshape(-1, 4) / [width, height, width, height]
    return Sample(image, fractions.astype(np.float32), np.array(labels, np.int32), mask)


def _patch(segment: Polygons | Runs, size: tuple[int, int]) -> Patch:
    if isinstance(segment, Runs):
        return _trimmed(runs_to_mask(segment.counts, size), 0, 0)
    return polygons_to_patch(segment, size)


def _box_of(patch: Patch, instance: Instance, entry: Entry) -> tuple[float, ...] | None:
    """Corners in pixels around a segment; None where it is empty."""
    rows, columns = patch.pixels.shape
    if rows and columns:
        return patch.left, patch.top, patch.left + columns, patch.top + rows
    points = np.concatenate([np.asarray(polygon) for polygon in instance.segment or ()])
    thin = [*points.min(axis=0), *points.max(axis=0)]
    try:
        return tuple(cut_to_image([float(side) for side in thin], entry.size, "", TOLERANCE))
    except ValueError:
        return None


def _trimmed(pixels: np.ndarray, top: int, left: int) -> Patch:
    rows, columns = np.flatnonzero(pixels.any(axis=1)), np.flatnonzero(pixels.any(axis=0))
    if len(rows) == 0:
        return Patch(0, 0, np.zeros((0, 0), bool))
    cut = pixels[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    return Patch(top + int(rows[0]), left + int(columns[0]), cut)
