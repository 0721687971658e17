"""The formats that data sets come in: one entry each, which says how a path is recognised and how it is opened.

A new reader joins at the end of this file, in `FORMATS`. It gives `Sample`s, most often as `LazySamples`, and tells
a `Report` what is wrong; then every command that takes a data set takes its data sets, and `check` finds their faults.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ssdseg_ref.data import coco, coco_instances, pennfudan, triples, voc
from ssdseg_ref.data.files import LazySamples, visible_files, visible_folders
from ssdseg_ref.data.reports import STRICT, Report
from ssdseg_ref.data.sample import BACKGROUND, CLASSES, IGNORE, Sample

DEFAULT_SPLIT = "train"  # where a data set has several, one of this name, and none is asked for


class DataSet(NamedTuple):
    """One split of a data set, opened.

    Attributes:
        samples: read when they are asked for.
        classes: names of labels 1, 2, ...
        has_masks: False where nobody has drawn any: then every pixel of every mask is 255, "ignore".
    """

    samples: Sequence[Sample]
    classes: tuple[str, ...]
    has_masks: bool = True


class Format(NamedTuple):
    """A format of data sets.

    Attributes:
        name: as a sentence has it.
        looks: what to give a command that takes a data set, for `ssdseg data list`.
        card: its page in datasets/.
        recognises: whether a path, which exists, is a data set of this format; looks at names, or at the first bytes.
        splits: names of the splits of such a path, in their order; none where the format knows no splits.
        open: (path, split, names of the classes, report) -> the data set. The split is one of `splits`, or None where
            there are none; the names are None where none are asked for.
    """

    name: str
    looks: str
    card: str
    recognises: Callable[[Path], bool]
    splits: Callable[[Path], list[str]]
    open: Callable[[Path, str | None, Sequence[str] | None, Report], DataSet]


def recognise(path: str | Path) -> Format:
    """The format of a data set.

    Raises:
        FileNotFoundError: if there is nothing at the path.
        ValueError: if it is of no format that we know.
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"{path}: there is no such data set, neither a folder nor a file")
    for known in FORMATS:
        if known.recognises(path):
            return known
    if path.is_dir() and (inside := [folder for folder in visible_folders(path) if _is_known(folder)]):
        raise ValueError(f"{path}: not a data set itself, but {inside[0]} is one")
    if path.is_dir() and any(map(_is_labelmes, visible_files(path, ".json"))):
        raise ValueError(
            f"{path}: labelme's own files, one for each photograph; make COCO's json of them, as docs/own-data.md says"
        )
    listed = "; ".join(f"{known.looks} ({known.name})" for known in FORMATS)
    raise ValueError(f"{path}: not a data set that can be read, which is {listed}")


def _is_known(path: Path) -> bool:
    return any(known.recognises(path) for known in FORMATS)


def _is_labelmes(path: Path) -> bool:
    """By its beginning: the picture itself may lie in it."""
    with path.open("rb") as file:
        return b'"shapes"' in file.read(4096)


def choose_split(path: str | Path, wanted: str | None = None) -> str | None:
    """The split that a command means: the wanted one, else the only one, else "train"; None where there are none.

    Raises:
        FileNotFoundError, ValueError: if there is no such data set, or no such split.
    """
    path = Path(path)
    known = recognise(path)
    splits = known.splits(path)
    if not splits:
        if wanted is not None:
            raise ValueError(f"{path}: {known.name} has no splits, leave {wanted!r} away")
        return None
    if wanted is None:
        if len(splits) > 1 and DEFAULT_SPLIT not in splits:
            raise ValueError(f"{path}: say which split you mean, --split {' or --split '.join(splits)}")
        return splits[0] if len(splits) == 1 else DEFAULT_SPLIT
    if wanted not in splits:
        raise ValueError(f"{path} has no split {wanted!r}, it has {', '.join(splits)}")
    return wanted


def validation_split(path: str | Path, training: str | None) -> str | None:
    """The split that says when a training should stop, by its name, such as "val" or "validation"; None without one.

    Args:
        path: of the data set.
        training: the split that is trained on; of several for validation, the one whose name ends alike is taken.
    """
    if training is None or "val" in training.lower():  # as VOC's "trainval"
        return None
    splits = [name for name in recognise(path).splits(Path(path)) if name != training]
    found = [name for name in splits if "val" in name.lower() and not name.lower().startswith("train")]
    ending = training.lower().removeprefix("train")
    return max(found, key=lambda name: name.lower().endswith(ending), default=None)


def open_data_set(
    path: str | Path, split: str | None = None, classes: Sequence[str] | None = None, report: Report = STRICT
) -> DataSet:
    """Open one split of a data set of any format.

    Args:
        path: a folder or a file.
        split: see `choose_split`.
        classes: which classes, in the order of their labels; what that means is the format's own. By default those
            that the data set names.
        report: what to do about faults.

    Raises:
        FileNotFoundError, ValueError: one sentence that names the file.
    """
    path = Path(path)
    return recognise(path).open(path, choose_split(path, split), classes, report)


def in_labels_of(data: DataSet, classes: Sequence[str]) -> DataSet:
    """The same samples with the labels that a network has for the classes' names.

    Args:
        data: any data set.
        classes: of the network, in the order of its labels. Of the data's classes, one that is not among them becomes
            background, and its boxes are left out.

    Raises:
        ValueError: if they have no class in common.
    """
    if not set(data.classes) & set(classes):
        raise ValueError(
            f"the data set has {', '.join(data.classes)}, the network knows {', '.join(classes)}: no class in common"
        )
    if tuple(data.classes) == tuple(classes):
        return data
    label_of = {name: label for label, name in enumerate(classes, start=1)}
    table = np.zeros(256, np.uint8)
    table[1 : len(data.classes) + 1] = [label_of.get(name, BACKGROUND) for name in data.classes]
    table[IGNORE] = IGNORE

    def renamed(index: int) -> Sample:
        sample = data.samples[index]
        labels = table[sample.labels].astype(np.int32)
        known = labels != BACKGROUND
        ignored = table[sample.ignored_labels].astype(np.int32)
        also = ignored != BACKGROUND
        mask = table[sample.mask]
        return Sample(sample.image, sample.boxes[known], labels[known], mask, sample.ignored_boxes[also], ignored[also])

    return DataSet(LazySamples(range(len(data.samples)), renamed), tuple(classes), data.has_masks)


def _no_splits(_: Path) -> list[str]:
    return []


def _open_panoptic(path: Path, split: str | None, classes: Sequence[str] | None, report: Report) -> DataSet:
    assert split is not None  # a folder of this format has one
    root = path if path.is_dir() else path.absolute().parent.parent
    content = coco.read_content(root, split)
    mapped = {name: (name,) for name in classes} if classes else coco.default_classes(content)
    return DataSet(coco.read(root, split, mapped, report, content), coco.label_names(mapped))


def _panoptic_splits(path: Path) -> list[str]:
    """Those of a folder, or the one of a json that lies in it."""
    if path.is_dir():
        return coco.available_splits(path)
    name = path.name
    if name.startswith("panoptic_") and path.suffix == ".json" and path.absolute().parent.name == "annotations":
        return [path.stem.removeprefix("panoptic_")]
    return []


def _open_instances(path: Path, split: str | None, classes: Sequence[str] | None, report: Report) -> DataSet:
    json_path = path if split is None else coco_instances.annotation_files(path)[split]
    return DataSet(*coco_instances.read(json_path, classes, report))


def _open_pennfudan(path: Path, split: str | None, classes: Sequence[str] | None, report: Report) -> DataSet:
    assert split is not None
    if classes not in (None, pennfudan.CLASSES):
        raise ValueError(f"{path}: Penn-Fudan has the one class {pennfudan.CLASSES[0]}, not {', '.join(classes or ())}")
    return DataSet(pennfudan.read(path, split, report), pennfudan.CLASSES)


def _open_voc(path: Path, split: str | None, classes: Sequence[str] | None, report: Report) -> DataSet:
    return DataSet(*voc.read(path, split, classes, report))


def _open_triples(path: Path, split: str | None, classes: Sequence[str] | None, report: Report) -> DataSet:
    names = tuple(classes or CLASSES)
    json_path = path / triples.INDEX if path.is_dir() else path
    return DataSet(triples.read(json_path, names, report), names)


FORMATS: tuple[Format, ...] = (  # the first that recognises a path has it
    Format(
        name="COCO panoptic",
        looks="a folder with photographs and annotations/panoptic_*.json",
        card="coco.md",
        recognises=lambda path: bool(_panoptic_splits(path)),
        splits=_panoptic_splits,
        open=_open_panoptic,
    ),
    Format(
        name="COCO instances",
        looks="a folder as annotation tools export it with a json in COCO's format, or that json",
        card="coco.md",
        recognises=lambda path: (
            bool(coco_instances.annotation_files(path)) if path.is_dir() else coco_instances.begins_as_annotations(path)
        ),
        splits=lambda path: list(coco_instances.annotation_files(path)) if path.is_dir() else [],
        open=_open_instances,
    ),
    Format(
        name="Penn-Fudan",
        looks="the folder PennFudanPed",
        card="pennfudan.md",
        recognises=lambda path: bool(pennfudan.available_splits(path)),
        splits=pennfudan.available_splits,
        open=_open_pennfudan,
    ),
    Format(
        name="PASCAL VOC",
        looks="a folder with Annotations/*.xml, or with xml files beside photographs",
        card="voc.md",
        recognises=lambda path: path.is_dir() and voc.find_folder(path) is not None,
        splits=voc.available_splits,
        open=_open_voc,
    ),
    Format(
        name="triples",
        looks="a json list of [image, mask, boxes] files",
        card="triples.md",
        recognises=lambda path: path.is_file() or (path / triples.INDEX).is_file(),
        splits=_no_splits,
        open=_open_triples,
    ),
)
