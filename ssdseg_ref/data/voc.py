"""Reader for PASCAL VOC: an xml with boxes for each photograph, and for some of them a picture of classes.

A data set's folder holds `Annotations/NAME.xml`, `JPEGImages/NAME.jpg` (or any other picture), for masks
`SegmentationClass/NAME.png`, and in `ImageSets/Main/SPLIT.txt` the names of each split. Tools have ways of their own:
CVAT adds `labelmap.txt`, labelImg writes xml files beside the photographs, Roboflow does so in a folder a split,
Label Studio calls the photographs' folder `images`, and many data sets have `annotations` in small letters.

Source: Everingham et al. 2010, "The PASCAL Visual Object Classes (VOC) Challenge"; the format is described in the
development kit, http://host.robots.ox.ac.uk/pascal/VOC/voc2012/htmldoc/.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from math import isfinite
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree

import numpy as np

from ssdseg_ref.data.coco import nearest
from ssdseg_ref.data.files import LazySamples, find, in_words, named, read_text, visible_files, visible_folders
from ssdseg_ref.data.pictures import read_labels_and_palette, turn_in_words
from ssdseg_ref.data.reports import STRICT, Report, in_pixels, read_photograph_of
from ssdseg_ref.data.sample import BACKGROUND, IGNORE, Sample, cut_to_image

CLASSES = (
    "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow", "diningtable", "dog",
    "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor",
)  # fmt: skip
TOLERANCE = 1.0  # pixels that a box may leave its image by; some tools count from 0, where VOC counts from 1
MOST_DIGITS = 9  # of a whole number; Python refuses those of thousands
VOID = (224, 224, 192)  # the colour of 255 in VOC's palette
PHOTOGRAPHS = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp", ".gif")
LABELMAP = "labelmap.txt"  # CVAT's list of classes
DECLARED = re.compile(rb"""<\?xml[^>]*encoding=["']([A-Za-z0-9._-]+)["']""")
LISTED = re.compile(r"(.*\S)\s+(?:-1|0|1)")  # a line of a list for a class: whether it is there, 0 where that is hard


class Thing(NamedTuple):
    """An object of an xml: its class, its corners in pixels, and whether VOC counts it as too hard."""

    name: str
    box: tuple[float, ...]
    is_difficult: bool


class Annotated(NamedTuple):
    """One xml: its path, the name of the photograph that it gives, the photograph's (height, width), its objects."""

    xml: Path
    photograph: str
    size: tuple[int, int]
    things: tuple[Thing, ...]


class Numbers(NamedTuple):
    """What the pixels of masks mean.

    Attributes:
        labels: (256,) uint8: the value in the file -> the value in our mask.
        known: how many values, from 0, the data set gives a meaning to; 255 has one always.
        colours: the value of each colour, for masks without a palette.
        has_own_colours: whether these say something of a palette: they are the data set's own, or VOC's of its classes.
    """

    labels: np.ndarray
    known: int
    colours: Mapping[tuple[int, ...], int]
    has_own_colours: bool


class Voc(NamedTuple):
    """What a folder holds: samples, the names of their classes, whether there is any mask."""

    samples: LazySamples
    classes: tuple[str, ...]
    has_masks: bool


def read(root: str | Path, split: str | None, classes: Sequence[str] | None = None, report: Report = STRICT) -> Voc:
    """Samples of one split, in the order of its list; photographs are read when they are asked for.

    - VOC's boxes count pixels from 1 and include the last: box 1, 1, 10, 10 is 0, 0, 10, 10 here.
    - The box of an object that is marked as difficult is an ignored one, as VOC's evaluation does not count it.
    - Masks are pictures of numbers: 0 is background, 255 "ignore"; without a palette, in colours, VOC's or those of
      labelmap.txt, they are numbers as well. A photograph without one has a mask of 255 everywhere.
    - An xml with a document type is refused: it could make the parser fetch files, or fill the memory.

    Args:
        root: the data set's folder, or the one around it (`VOCdevkit`, `VOC2012`).
        split: one of `available_splits`, or None where there are none.
        classes: names that get labels 1, 2, ... By default those of labelmap.txt; or VOC's twenty where there are masks
            and no other class; or all that occur, sorted.
        report: what to do about files that make no sense; objects that it passes over are left out.

    Raises:
        FileNotFoundError: if a file is missing.
        ValueError: if an xml makes no sense. The sentence names the file.

    A sample that cannot be read raises the same errors when it is asked for.
    """
    folder = find_folder(root)
    if folder is None:
        raise FileNotFoundError(f"{root}: there are no Annotations/*.xml, nor any beside photographs")
    masks = {path.stem: path for path in visible_files(folder / "SegmentationClass", *PHOTOGRAPHS)}
    annotated = _parse_all(_xmls_of(folder, split, report), report)
    _doubt_idle(folder, masks, report)
    names, numbers = _classes(folder, annotated, classes, bool(masks), report)
    entries = []
    for entry in annotated:
        kept = [thing for thing in entry.things if thing.name in names]
        entries.append(entry._replace(things=tuple(kept)))
    labels = {name: label for label, name in enumerate(names, start=1)}
    read_one = partial(_read_sample, folder=folder, masks=masks, labels=labels, numbers=numbers, report=report)
    has_masks = any(entry.xml.stem in masks for entry in entries)
    return Voc(LazySamples(entries, read_one), names, has_masks or not entries)


def find_folder(root: str | Path) -> Path | None:
    """The folder that holds `Annotations`, or xml files, itself or in its splits' folders; None if there is none."""
    root = Path(root)
    around = [root, *sorted(root.glob("VOC20*")), *sorted(root.glob("VOCdevkit/VOC20*"))]
    for folder in around:
        if _has_xml(_annotations(folder)):
            return folder
    return root if _has_xml(root) or any(map(_has_xml, visible_folders(root))) else None


def available_splits(root: str | Path) -> list[str]:
    """Names of the splits, sorted: lists in `ImageSets/Main`; those of `ImageSets/Segmentation` as "Segmentation/train"
    where there are both; else the folders with xml files. None if all xml files lie in one folder without lists."""
    folder = find_folder(root)
    if folder is None:
        return []
    lists = {kind: _lists(folder / "ImageSets" / kind) for kind in ("Main", "Segmentation")}
    if lists["Main"]:
        return [*lists["Main"], *(f"Segmentation/{name}" for name in lists["Segmentation"])]
    if lists["Segmentation"]:
        return lists["Segmentation"]
    if _has_xml(_annotations(folder)) or _has_xml(folder):
        return []
    return sorted(part.name for part in visible_folders(folder) if _has_xml(part))


def palette() -> np.ndarray:
    """(256, 3) uint8 colours of VOC's masks: the bits of a number, three by three, are the highest of its colour."""
    numbers = np.arange(256)
    colours = np.zeros((256, 3), int)
    for place in range(8):
        for channel in range(3):
            colours[:, channel] |= (numbers >> (3 * place + channel) & 1) << (7 - place)
    return colours.astype(np.uint8)


def parse(path: Path, report: Report = STRICT) -> Annotated:
    """What an xml says.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is no xml of this kind, or an object of it makes no sense and `report` does not pass over it.
    """
    text = read_text(path, _declared_encoding)
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        raise ValueError(f"{path}: an xml of VOC has no document type, this one has, and is not read")
    try:
        top = ElementTree.fromstring(text)
    except ElementTree.ParseError as error:
        raise ValueError(f"{path}: not an xml file: {error}") from None
    if top.tag != "annotation":
        raise ValueError(f"{path}: not an xml of VOC: its first element is {top.tag!r:.40}, not 'annotation'")
    width, height = (_whole(top, f"size/{side}", path) for side in ("width", "height"))
    things = []
    for place, element in enumerate(top.findall("object"), start=1):
        try:
            things.append(_thing(element, (height, width), f"{path}: object {place}"))
        except ValueError as error:
            report.wrong(str(error))
    return Annotated(path, (top.findtext("filename") or "").strip(), (height, width), tuple(things))


def _declared_encoding(content: bytes) -> str:
    """What an xml says of its encoding. Asked where it is not UTF-8, for some say another and are."""
    said = DECLARED.match(content)
    return said[1].decode("ascii") if said else "utf-8"


def _thing(element: ElementTree.Element, size: tuple[int, int], where: str) -> Thing:
    name = (element.findtext("name") or "").strip()
    if not name:
        raise ValueError(f"{where} has no name")
    sides = []
    for side in ("xmin", "ymin", "xmax", "ymax"):
        said = element.findtext(f"bndbox/{side}")
        try:
            sides.append(float(said or ""))
        except ValueError:
            raise ValueError(f"{where}, {name!r:.40}: {side} must be a number, it is {said!r:.40}") from None
    if not all(map(isfinite, sides)):
        raise ValueError(f"{where}, {name!r:.40}: its box is {sides}")
    difficult = (element.findtext("difficult") or "0").strip()
    if difficult not in ("0", "1"):
        raise ValueError(f"{where}, {name!r:.40}: difficult is 0 or 1, it is {difficult!r:.40}")
    first_x, first_y, last_x, last_y = sides
    box = cut_to_image((first_x - 1, first_y - 1, last_x, last_y), size, f"{where}, {name!r:.40}", TOLERANCE, "its box")
    return Thing(name, tuple(box), difficult == "1")


def _whole(top: ElementTree.Element, name: str, path: Path) -> int:
    said = (top.findtext(name) or "").strip()
    if not said.isdecimal() or len(said) > MOST_DIGITS or int(said) == 0:
        raise ValueError(f"{path}: {name} must be a whole number of pixels, it is {said!r:.40}")
    return int(said)


def _parse_all(paths: Iterable[Path], report: Report) -> list[Annotated]:
    annotated = []
    for path in paths:
        try:
            annotated.append(parse(path, report))
        except (ValueError, OSError) as error:
            report.wrong(in_words(error))
    return annotated


def _xmls_of(folder: Path, split: str | None, report: Report) -> list[Path]:
    annotations = _annotations(folder)
    if split is None:
        return _xmls(annotations) or _xmls(folder)
    if not annotations.is_dir():
        return _xmls(folder / split)
    lists = folder / "ImageSets"
    path = lists / "Main" / f"{split}.txt"
    if "/" in split or not path.is_file():
        path = lists / "Segmentation" / f"{split.removeprefix('Segmentation/')}.txt"
    names: dict[str, None] = {}  # in the order of the list
    for number, line in enumerate(read_text(path).splitlines(), start=1):
        name = _name_in_list(line, annotations)
        if name in names:
            report.wrong(f"{path}, line {number}: {name} is listed twice")
        elif name:
            names[name] = None
    return [named(annotations, f"{name}.xml") for name in names]


def _name_in_list(line: str, annotations: Path) -> str:
    """The name that a line of `ImageSets` means: tools add a number, folders, or the photograph's suffix to it."""
    name = line.strip()
    if (annotations / f"{name}.xml").is_file():
        return name
    if with_number := LISTED.fullmatch(name):
        name = with_number[1]
    name = name.replace("\\", "/").rpartition("/")[2]
    stem, dot, suffix = name.rpartition(".")
    return stem if f"{dot}{suffix}".lower() in PHOTOGRAPHS else name


def _doubt_idle(folder: Path, masks: Mapping[str, Path], report: Report) -> None:
    """Say which pictures no xml is of."""
    annotations = _annotations(folder)
    known = {path.stem for path in _xmls(annotations if annotations.is_dir() else folder)}
    places = [folder / "JPEGImages", folder / "images"] if annotations.is_dir() else [folder]
    photographs = [path for place in places for path in visible_files(place, *PHOTOGRAPHS)]
    for kind, paths in (("photographs", photographs), ("masks", list(masks.values()))):
        if known and (idle := [path for path in paths if path.stem not in known]):
            report.doubtful(f"{idle[0]}: {kind} without an xml are not read, {len(idle):,} in all with this one")


def _classes(
    folder: Path, annotated: Sequence[Annotated], wanted: Sequence[str] | None, has_masks: bool, report: Report
) -> tuple[tuple[str, ...], Numbers]:
    """The names of labels 1, 2, ..., and what the numbers of masks mean."""
    colours = {tuple(colour): number for number, colour in enumerate(palette().tolist()[: len(CLASSES) + 1])}
    numbered: tuple[str, ...] = ()  # names of the masks' values 1, 2, ...
    if (folder / LABELMAP).is_file():
        numbered, colours = _labelmap(folder / LABELMAP)
        for entry in annotated:
            for thing in entry.things:
                if thing.name not in numbered:
                    report.wrong(f"{entry.xml}: {LABELMAP} has no class {thing.name!r}{nearest(thing.name, numbered)}")
    else:
        others = _all_names(folder)
        if has_masks and others <= set(CLASSES):
            numbered = CLASSES
        elif has_masks and wanted is None:
            raise ValueError(
                f"{folder}: its classes are not VOC's, so name those of the numbers 1, 2, ... in its masks, by "
                f"--classes or {LABELMAP}; the xml files have {', '.join(sorted(others)[:20])}"
            )
        elif not has_masks:
            numbered = tuple(sorted(others))
    names = tuple(wanted or numbered)
    numbered = numbered or names
    for name in names:
        if name not in numbered:
            raise ValueError(f"{folder}: no object is of class {name!r}{nearest(name, numbered)}")
    if not 1 <= len(names) < IGNORE or len(numbered) >= IGNORE:
        raise ValueError(f"{folder}: a mask can tell 1 to {IGNORE - 1} classes apart, these are {len(names)}")
    labels = np.full(256, BACKGROUND, np.uint8)
    labels[IGNORE] = IGNORE
    for number, name in enumerate(numbered, start=1):
        if name in names:
            labels[number] = names.index(name) + 1
    has_own_colours = (folder / LABELMAP).is_file() or numbered == CLASSES
    return names, Numbers(labels, len(numbered) + 1, colours | {VOID: IGNORE}, has_own_colours)


def _all_names(folder: Path) -> set[str]:
    """Names of the classes of all splits, so that a class has one label in all of them."""
    folders = [_annotations(folder), folder, *visible_folders(folder)]
    names = set()
    for path in (path for part in folders for path in _xmls(part)):
        try:
            names |= {(element.findtext("name") or "").strip() for element in _objects(path)}
        except (ValueError, OSError):  # named where it is read
            continue
    return names - {""}


def _objects(path: Path) -> list[ElementTree.Element]:
    text = read_text(path, _declared_encoding)
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        return []
    try:
        return ElementTree.fromstring(text).findall("object")
    except ElementTree.ParseError:
        return []


def _labelmap(path: Path) -> tuple[tuple[str, ...], dict[tuple[int, ...], int]]:
    """Names of the values 1, 2, ..., and the value of each colour, of lines NAME:R,G,B:parts:actions."""
    names: list[str] = []
    colours: dict[tuple[int, ...], int] = {}
    for number, line in enumerate(read_text(path).splitlines(), start=1):
        if not line.strip() or line.startswith("#"):
            continue
        name, *rest = line.split(":")
        value = 0 if name == "background" else len(names) + 1
        parts = rest[0].split(",") if rest and rest[0] else []
        if parts and not (
            len(parts) == 3 and all(part.strip().isdecimal() and len(part) <= MOST_DIGITS for part in parts)
        ):
            raise ValueError(f"{path}, line {number}: expected NAME:R,G,B::, got {line!r:.60}")
        if parts:
            colours[tuple(map(int, parts))] = value
        if value and name in names:
            raise ValueError(f"{path}, line {number}: the class {name!r} is there twice")
        if value:
            names.append(name)
    if not names:
        raise ValueError(f"{path}: it names no class")
    return tuple(names), colours


def _read_sample(
    entry: Annotated,
    folder: Path,
    masks: Mapping[str, Path],
    labels: Mapping[str, int],
    numbers: Numbers,
    report: Report,
) -> Sample:
    height, width = entry.size
    photograph = _photograph(entry, folder)
    image = read_photograph_of(photograph, (width, height), entry.xml.name, report)
    mask = _read_mask(masks.get(entry.xml.stem), image, numbers, turn_in_words(photograph))
    boxes = np.array([thing.box for thing in entry.things]).reshape(-1, 4) / [width, height, width, height]
    boxes = boxes.astype(np.float32)
    own = np.array([labels[thing.name] for thing in entry.things], np.int32)
    difficult = np.array([thing.is_difficult for thing in entry.things], bool)
    return Sample(image, boxes[~difficult], own[~difficult], mask, boxes[difficult], own[difficult])


def _photograph(entry: Annotated, folder: Path) -> Path:
    """By the xml's own name first: what it says is often a name that the photograph once had, or another's."""
    names = [entry.xml.stem + ending for ending in PHOTOGRAPHS]
    said = entry.photograph.replace("\\", "/")
    if said and not entry.xml.with_name(f"{Path(said).stem}.xml").exists():
        names.append(said)
    for place in (folder / "JPEGImages", folder / "images", entry.xml.parent):
        for name in names:
            if path := find([place], name):
                return path
    raise FileNotFoundError(f"{entry.xml}: its photograph is neither in {folder / 'JPEGImages'} nor beside it")


def _read_mask(path: Path | None, image: np.ndarray, numbers: Numbers, turned: str) -> np.ndarray:
    if path is None:
        return np.full(image.shape[:2], IGNORE, np.uint8)
    values, palette = read_labels_and_palette(path, modes=["P", "L", "1", "RGB", "RGBA"])
    if values.shape[:2] != image.shape[:2]:
        raise ValueError(f"{path}: {in_pixels(values)} pixels, but the photograph has {in_pixels(image)}{turned}")
    if values.ndim == 3:
        values = _numbers_of_colours(values, numbers.colours, path)
    elif palette is not None and numbers.has_own_colours:
        _compare_with_palette(values, palette, numbers.colours, path)
    unknown = values[(values >= numbers.known) & (values != IGNORE)]
    if unknown.size:
        raise ValueError(
            f"{path}: it holds the class {unknown[0]}, but the classes are 0 to {numbers.known - 1} and 255"
        )
    mask: np.ndarray = numbers.labels[values]
    return mask


def _compare_with_palette(
    values: np.ndarray, palette: np.ndarray, colours: Mapping[tuple[int, ...], int], path: Path
) -> None:
    """Refuse a mask whose colours are those of other classes than its numbers: programs that make pictures smaller
    number their colours anew."""
    used = np.flatnonzero(np.bincount(values.ravel(), minlength=256)).tolist()
    shown = [colours.get(tuple(palette[number].tolist())) if number < len(palette) else None for number in used]
    if shown == used or None in shown or len(set(shown)) < len(shown):  # other colours may have no meaning at all
        return
    number, colour = next(pair for pair in zip(used, shown, strict=True) if pair[0] != pair[1])
    raise ValueError(
        f"{path}: pixels of number {number} have the colour of class {colour}, so nobody knows which they are; save it "
        "without a palette to go by the colours"
    )


def _numbers_of_colours(picture: np.ndarray, colours: Mapping[tuple[int, ...], int], path: Path) -> np.ndarray:
    if picture.shape[2] == 4 and np.any(picture[..., 3] != 255):
        raise ValueError(f"{path}: it is transparent in places, so nobody knows their classes")
    red, green, blue = np.moveaxis(picture[..., :3].astype(np.uint32), -1, 0)
    found, places = np.unique(red << 16 | green << 8 | blue, return_inverse=True)
    values = []
    for number in found.tolist():
        colour = (number >> 16, number >> 8 & 255, number & 255)
        if colour not in colours:
            raise ValueError(f"{path}: no class has the colour {', '.join(map(str, colour))}")
        values.append(colours[colour])
    return np.array(values, np.uint8)[places.reshape(picture.shape[:2])]


def _annotations(folder: Path) -> Path:
    """Where the xml files of a folder lie, unless beside the photographs."""
    small = folder / "annotations"
    return small if small.is_dir() and not (folder / "Annotations").is_dir() else folder / "Annotations"


def _lists(folder: Path) -> list[str]:
    """Names of the lists in a folder of ImageSets; those of single classes, such as dog_train, are none."""
    names = {path.stem for path in visible_files(folder, ".txt")}
    return sorted(name for name in names if not any(name.endswith(f"_{other}") for other in names))


def _xmls(folder: Path) -> list[Path]:
    return visible_files(folder, ".xml")


def _has_xml(folder: Path) -> bool:
    return bool(_xmls(folder))
