"""`ssdseg data`: list, draw, download, check, look at and convert data sets."""

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer
from rich.markup import escape
from rich.table import Column, Table

from ssdseg_course.cli import console, get
from ssdseg_course.cli.console import print_plain
from ssdseg_ref.keeping import whole_file

if TYPE_CHECKING:
    from ssdseg_ref.data.convert import Difference
    from ssdseg_ref.data.files import Readable
    from ssdseg_ref.data.registry import DataSet
    from ssdseg_ref.data.sample import Sample
    from ssdseg_ref.data.splits import Elsewhere
    from ssdseg_ref.data.statistics import Statistics

WAREHOUSE = "warehouse"

app = typer.Typer(help="List, draw, download, check, look at and convert data sets.", no_args_is_help=True)
app.command()(get.get)


class Pixels(NamedTuple):
    """The size of an image; height first, as in an array."""

    height: int
    width: int


def parse_size(text: str) -> Pixels:
    """`160x224` -> (160, 224)."""
    height, by, width = text.lower().partition("x")
    if not (by and height.isdecimal() and width.isdecimal() and int(height) and int(width)):
        raise typer.BadParameter(f"a size is HEIGHTxWIDTH in pixels, such as 160x224, got {text!r}")
    return Pixels(int(height), int(width))


Name = Annotated[
    str,
    typer.Argument(
        metavar="NAME",
        help="'warehouse', what `data get` has fetched, or a folder or file of your own, see `data list`.",
    ),
]
Split = Annotated[
    str | None, typer.Option(help="Such as train, or val2017 for COCO. Default: the only one there is, or train.")
]
Size = Annotated[
    Pixels | None,
    typer.Option(parser=parse_size, metavar="HxW", help="Of the Warehouse's scenes, in pixels. Default: 160x224."),
]
Classes = Annotated[
    str | None,
    typer.Option(
        help="Names of labels 1, 2, ..., with commas between them. Default: all that the data set names; "
        "for triples, which name none, those of the Warehouse."
    ),
]


@app.command("list")
def list_data_sets(size: Size = None) -> None:
    """List the data sets: what is drawn already, where it is stored, and how to read your own."""
    from ssdseg_ref.data import registry, splits, warehouse
    from ssdseg_ref.data.sample import IMAGE_SIZE

    size = size or Pixels(*IMAGE_SIZE)
    title = f"warehouse, {size[0]} x {size[1]} (height x width)"
    where = Column("folder, or how to draw it", overflow="fold")
    table = Table("split", "scenes", "drawn", "on disk", where, title=title)
    for name, seeds in warehouse.SPLITS.items():
        folder = splits.cache_folder(f"{WAREHOUSE}-{name}", seeds, size, warehouse.render)
        how = f"ssdseg data make --split {name}" + (f" --size {size[0]}x{size[1]}" if size != IMAGE_SIZE else "")
        drawn = splits.open_cache(folder, len(seeds), size) is not None
        state = ("yes", _megabytes(folder), folder.name) if drawn else ("no", "", how)
        table.add_row(name, f"{len(seeds):,}", *state)
    console.output.print(table)
    get.print_data_sets()
    print_plain(
        f"Scenes and photographs are stored in {splits.home()}; set SSDSEG_HOME to keep them elsewhere.\n"
        "Where a command takes a data set, it also takes\n"
        + "\n".join(f"  {known.looks}: {known.name}, see datasets/{known.card}" for known in registry.FORMATS)
    )


@app.command()
def make(
    split: Annotated[list[str] | None, typer.Option(help="Give it once for each split. Default: all of them.")] = None,
    size: Size = None,
    scheduler: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="Of a Dask cluster to draw on, such as tcp://host:8786.")
    ] = None,
) -> None:
    """Draw the Warehouse's scenes now, so that nothing waits for them later."""
    from ssdseg_ref.data import warehouse

    with _drawing_on(scheduler) as elsewhere:
        for name in split or warehouse.SPLITS:
            samples = _warehouse(name, size, elsewhere)
            console.output.print(f"{name}: {len(samples):,} scenes are ready")


@contextmanager
def _drawing_on(scheduler: str | None) -> "Iterator[Elsewhere | None]":
    if scheduler is None:
        yield None
        return
    from ssdseg_course.cluster import drawing_on, same_everywhere

    with same_everywhere(scheduler) as client:
        yield drawing_on(client)


@app.command()
def info(
    name: Name,
    split: Split = None,
    size: Size = None,
    classes: Classes = None,
    plot: Annotated[
        Path | None,
        typer.Option(help="Also draw figures, and a page of samples with boxes and masks, into this PNG file."),
    ] = None,
) -> None:
    """Count what is in a data set: instances, sizes, shapes, pixels, and weights that make up for rare classes."""
    from ssdseg_ref.data.statistics import describe

    if plot and not plot.parent.is_dir():  # before the minutes that counting may take
        raise FileNotFoundError(2, "No such file or directory", str(plot))
    opened, names, has_masks = open_data(name, split, size, classes)
    samples = readable(opened)
    statistics = describe(console.tracked(samples, "counting"), names)
    _print_statistics(statistics)
    if not has_masks:
        print_plain("There are boxes alone: all masks are 255, so nothing can be learnt for them.")
    if plot:
        from ssdseg_ref.plot import plot_data_set

        with whole_file(plot) as draft, warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Glyph")  # of class names that no font has letters for
            plot_data_set(statistics, samples, names).savefig(draft, format="png", dpi=120)
        console.output.print(f"figures: {escape(str(plot))}", soft_wrap=True)
    must_have_read_all(samples)


@app.command()
def anchors(
    name: Name,
    split: Split = None,
    classes: Classes = None,
    start: Annotated[
        str, typer.Option("--from", metavar="NETWORK", help="The shipped network that a training would begin with.")
    ] = "photos",
) -> None:
    """Choose the size of pictures and the anchors for a data set, as `train --data` does, and show what they cover.

    Coverage is the share of the boxes that some anchor overlaps with an IoU of 0.5: what a detector finds at best.
    """
    console.import_keras()
    from ssdseg_ref import own_data
    from ssdseg_ref.config import SHIPPED
    from ssdseg_ref.fitting import covered

    if start not in SHIPPED:
        raise ValueError(f"--from is one of {', '.join(SHIPPED)}, got {start!r}")
    data = open_data(name, split, None, classes)
    samples = readable(data.samples)
    found = own_data.survey(console.tracked(samples, "reading"), data.classes)
    base = SHIPPED[start]
    chosen = own_data.fit_config(base, found, data.classes, data.has_masks)
    kept = (chosen.scales, chosen.aspect_ratios) == (base.scales, base.aspect_ratios)
    spec, (height, width) = chosen.anchor_spec, chosen.image_size
    title = f"{escape(name)}: {len(found.sizes):,} images, {len(found.boxes):,} boxes"
    table = Table("map", "cells", "scale", "aspect ratios", "anchors", title=title)
    for stride, (rows, cols), scale, ratios in zip(
        chosen.strides, spec.feature_maps, spec.scales, spec.ratios_by_map, strict=False
    ):
        shapes = " ".join(f"{ratio:g}" for ratio in ratios)
        table.add_row(
            f"stride {stride}", f"{rows} x {cols}", f"{scale:g}", shapes, f"{rows * cols * (len(ratios) + 1):,}"
        )
    console.output.print(table)
    print_plain(
        f"pictures of {height} x {width}, {len(chosen.anchors):,} anchors, "
        + (f"those of {start}" if kept else "chosen from the boxes")
    )
    if len(found.boxes):
        own = "" if kept else f"; those of {start}, of pictures of {base.image_size[0]} x {base.image_size[1]}, cover "
        print_plain(
            f"they cover {covered(chosen, found.boxes):.3f} of the boxes"
            + (own and f"{own}{covered(base, found.boxes):.3f}")
        )
    must_have_read_all(samples)


@app.command()
def check(
    name: Name,
    split: Annotated[str | None, typer.Option(help="Only this one. Default: all of them.")] = None,
    classes: Classes = None,
) -> None:
    """Read all of a data set and list what is wrong, a sentence and a file each; then the exit status is 1."""
    from ssdseg_ref.data.check import check as read_all
    from ssdseg_ref.data.check import splits_to_check
    from ssdseg_ref.data.reports import Listing

    if name == WAREHOUSE and not Path(name).exists():
        raise ValueError("the warehouse is drawn by the course itself; check reads data sets of your own")
    path = _located(name)
    told: set[str] = set()  # splits may share files
    count = {"wrong": 0, "look at": 0}
    summary = []
    for part in splits_to_check(path, split):
        listing = Listing()
        try:
            with console.progress(f"reading {part or name}") as update:
                found = read_all(path, part, class_names(classes), update, listing)
        finally:  # also after Ctrl-C
            for kind, sentences in (("wrong", listing.faults), ("look at", listing.doubts)):
                for sentence in dict.fromkeys(sentences):
                    if sentence not in told:
                        told.add(sentence)
                        count[kind] += 1
                        print_plain(f"{kind}: {sentence}")
        summary.append(
            (f"{part}: " if part else "")
            + f"{found.images:,} images, {found.images_without_boxes:,} of them without a box; {found.boxes:,} boxes"
        )
    print_plain("\n".join([*summary, f"{count['wrong']:,} wrong, {count['look at']:,} to look at"]))
    if count["wrong"]:
        raise typer.Exit(1)


@app.command()
def convert(
    name: Name,
    folder: Annotated[Path, typer.Argument(help="The folder to write to, new or empty.")],
    to: Annotated[str, typer.Option("--to", help="The format: coco (instances), panoptic (COCO's), voc or triples.")],
    split: Annotated[
        list[str] | None, typer.Option(help="May be given several times, but for triples. Default: as for info.")
    ] = None,
    size: Size = None,
    classes: Classes = None,
    count: Annotated[int | None, typer.Option(min=1, help="Write only this many images of each split.")] = None,
) -> None:
    """Write a data set in another format, read it again, and say what the format could not say."""
    from ssdseg_ref.data import convert, registry

    if to not in convert.TARGETS:
        raise ValueError(f"--to is one of {', '.join(convert.TARGETS)}, got {to!r}")
    target = convert.TARGETS[to]
    if split and len(split) > 1 and not target.takes_splits:
        raise ValueError(f"{target.name} have one split, so give --split once and write each to a folder of its own")
    chosen: list[str | None] = [*split] if split else [_default_split(name)]
    opened = {wanted or "all": open_data(name, wanted, size, classes) for wanted in chosen}
    sources = {key.replace("/", "-"): readable(data.samples[:count]) for key, data in opened.items()}
    known, has_masks = next(iter(opened.values())).classes, any(data.has_masks for data in opened.values())
    if any(data.classes != known for data in opened.values()):
        raise ValueError(f"{name}: its splits have different classes; name them by --classes")
    tracked = {key: console.tracked(samples, f"writing {key}") for key, samples in sources.items()}
    where = target.write(tracked, known, folder, has_masks)
    console.output.print(f"written: {escape(str(where))}", soft_wrap=True)
    for key, samples in sources.items():
        again = registry.open_data_set(where, key if target.takes_splits else None, known).samples
        lost = convert.compare(samples, console.tracked(again, f"reading {key} again"))
        print_plain(f"{key}: {len(samples):,} images, {lost.boxes:,} boxes{_lost_in_words(lost, target.name)}")
    if to == "triples":
        print_plain(f"classes: --classes {','.join(known)}")
    must_have_read_all(*sources.values())


def _default_split(name: str) -> str | None:
    from ssdseg_ref.data import registry

    return "train" if name == WAREHOUSE else registry.choose_split(_located(name))


def _lost_in_words(lost: "Difference", target: str) -> str:
    if not (lost.other_boxes or lost.other_pixels):
        return ", all of it the same when it is read again"
    return (
        f"; {target} could not say it all: {lost.other_boxes:,} boxes come back elsewhere, by up to "
        f"{lost.farthest:.3g} pixels, and {lost.other_pixels / lost.pixels:.2%} of the pixels in another class"
    )


@app.command()
def export(
    name: Name,
    folder: Annotated[Path, typer.Argument(help="The folder to write to, new or empty.")],
    split: Split = None,
    size: Size = None,
    classes: Classes = None,
    count: Annotated[int | None, typer.Option(min=1, help="Write only this many images, from the first.")] = None,
) -> None:
    """Write a data set as triples: a picture, a mask and a table of boxes for each image, and a json list of them."""
    from ssdseg_ref.data import triples

    opened, _ = open_samples(name, split, size, classes)
    samples = readable(opened[:count])
    index = triples.write(console.tracked(samples, "writing"), folder)
    console.output.print(f"written: {escape(str(index))}", soft_wrap=True)
    must_have_read_all(samples)


def readable(samples: Sequence["Sample"]) -> "Readable":
    """The samples without those that cannot be read; these are named on stderr when their turn comes."""
    from ssdseg_ref.data.files import Readable

    return Readable(samples, lambda sentence: print_plain(sentence, console.errors))


def must_have_read_all(*parts: "Readable") -> None:
    """Make sure that a command which has gone on without some images does not end as if all were well.

    Raises:
        ValueError: if any was left out.
    """
    unread = sum(part.unread for part in parts)
    if unread:
        total = unread + sum(map(len, parts))
        raise ValueError(f"{unread:,} of {total:,} images could not be read and were left out, see above")


def open_samples(
    name: str, split: str | None, size: tuple[int, int] | None, classes: str | None
) -> tuple[Sequence["Sample"], tuple[str, ...]]:
    """The samples that a command's arguments name, and the names of their classes.

    Raises:
        ValueError, FileNotFoundError: if there is no such data set, or an option does not fit it.
    """
    opened = open_data(name, split, size, classes)
    return opened.samples, opened.classes


def open_data(name: str, split: str | None, size: tuple[int, int] | None, classes: str | None) -> "DataSet":
    """The data set that a command's arguments name; the same as `open_samples`, and whether there are masks.

    Raises:
        ValueError, FileNotFoundError: if there is no such data set, or an option does not fit it.
    """
    from ssdseg_ref.data import registry, warehouse

    if name == WAREHOUSE:
        _refuse(classes, "--classes", "data sets of your own")
        return registry.DataSet(_warehouse(split or "train", size), tuple(warehouse.CLASSES))
    _refuse(size, "--size", "the warehouse")
    return registry.open_data_set(_located(name), split, class_names(classes))


def validation_of(name: str, split: str | None) -> "tuple[str, DataSet | None]":
    """What a data set judges a training by: the name of its validation split, and that; None if it has none."""
    from ssdseg_ref.data import registry

    if name == WAREHOUSE:
        return "validation", open_data(name, "validation", None, None)
    path = _located(name)
    found = registry.validation_split(path, registry.choose_split(path, split))
    return (found, registry.open_data_set(path, found)) if found else ("", None)


def are_the_same(name: str, split: str | None, other: str, its_split: str | None) -> bool:
    """Whether two arguments of commands name the same split of the same data set; False if there is none by now."""
    from ssdseg_ref.data import registry

    try:
        path, its_path = _located(name), _located(other)
        return path.samefile(its_path) and registry.choose_split(path, split) == registry.choose_split(path, its_split)
    except (ValueError, OSError):
        return False


def _located(name: str) -> Path:
    """The path of a data set that a command's argument names.

    Raises:
        FileNotFoundError: if there is none.
    """
    from ssdseg_ref.data import downloads

    path = Path(name)
    if path.exists():
        return path
    if name in downloads.DATA_SETS:
        return downloads.located(name)
    raise FileNotFoundError(
        f"{name}: neither a folder nor a file, nor one of {', '.join([WAREHOUSE, *downloads.DATA_SETS])}"
    )


def class_names(text: str | None) -> tuple[str, ...] | None:
    """`person, dog` -> ("person", "dog").

    Raises:
        ValueError: if one is empty, or stands there twice.
    """
    if text is None:
        return None
    names = tuple(part.strip() for part in text.split(","))
    if not all(names) or len(set(names)) < len(names):
        raise ValueError(f"--classes needs different names with commas between them, got {text!r}")
    return names


def _refuse(value: object, option: str, owner: str) -> None:
    if value is not None:
        raise ValueError(f"{option} is for {owner} only")


def _warehouse(split: str, size: tuple[int, int] | None, elsewhere: "Elsewhere | None" = None) -> Sequence["Sample"]:
    from ssdseg_ref.data import warehouse
    from ssdseg_ref.data.sample import IMAGE_SIZE

    if split not in warehouse.SPLITS:
        raise ValueError(f"the warehouse has no split {split!r}, it has {', '.join(warehouse.SPLITS)}")
    with console.progress(f"drawing {split}") as update:
        return warehouse.split(split, size or IMAGE_SIZE, update, elsewhere)


def _megabytes(folder: Path) -> str:
    return f"{sum(file.stat().st_size for file in folder.iterdir()) / 1e6:,.0f} MB"


def _print_statistics(statistics: "Statistics") -> None:
    from ssdseg_ref.data.statistics import PERCENTILES

    console.output.print(f"{statistics.images:,} images, {statistics.images_without_boxes:,} of them without a box")
    names = ["background", *(entry.name for entry in statistics.classes)]
    pixels = Table("class", "share of pixels", "weight", title="pixels, 255 not counted; weights by median frequency")
    for name, share, weight in zip(names, statistics.pixel_shares, statistics.class_weights, strict=True):
        pixels.add_row(escape(name), f"{share:.2%}", f"{weight:.3g}")
    percentiles = [f"{percentile} %" for percentile in PERCENTILES]
    boxes = Table("class", "images", "boxes", title="boxes")
    sizes = Table("class", *percentiles, title="percentiles of box area / image area")
    shapes = Table("class", *percentiles, title="percentiles of box width / height, in pixels")
    for entry in statistics.classes:
        boxes.add_row(escape(entry.name), f"{entry.images:,}", f"{entry.instances:,}")
        sizes.add_row(escape(entry.name), *(f"{area:.4f}" for area in entry.areas))
        shapes.add_row(escape(entry.name), *(f"{ratio:.2f}" for ratio in entry.aspect_ratios))
    for table in (boxes, pixels, sizes, shapes):
        console.output.print(table)
