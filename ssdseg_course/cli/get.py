"""`ssdseg data get`: download a public data set, or unpack archives that are there already."""

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Column, Table

from ssdseg_course.cli import console
from ssdseg_course.cli.console import print_plain


def get(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="'pennfudan', 'voc2007', 'voc2012', 'coco-val' or 'coco-train'.")
    ],
    source: Annotated[
        Path | None,
        typer.Option("--from", metavar="FOLDER", help="Take archives that lie in this folder; download the others."),
    ] = None,
    keep: Annotated[bool, typer.Option("--keep", help="Keep the downloaded archives, too.")] = False,
) -> None:
    """Download a public data set, check it and unpack it. After Ctrl-C, the same command goes on."""
    from ssdseg_ref.data import downloads

    data_set = downloads.find(name)
    there = downloads.is_there(name)
    try:
        with console.progress_in_bytes() as update:
            folder = downloads.get(data_set, source, keep, update, lambda text: print_plain(text, console.errors))
    except KeyboardInterrupt:
        if have := downloads.downloaded(data_set):
            print_plain(f"{have / 1e6:,.0f} MB are kept, the same command goes on from there", console.errors)
        raise
    if there:
        print_plain(f"{name} is there already: {folder}\nDelete that folder to get it anew.")
        return
    print_plain(f"{name}: {folder}")
    if keep and downloads.downloaded(data_set):
        print_plain(f"its archives: {downloads.downloads(name)}")


def print_data_sets() -> None:
    """Print which of the data sets that can be downloaded are there, and where."""
    from ssdseg_ref.data import downloads

    where = Column("folder, or how to get it", overflow="fold")
    table = Table("name", "there", "download", where, title="data sets of photographs")
    for name, data_set in downloads.DATA_SETS.items():
        size = sum(archive.size for archive in data_set.archives)
        there = downloads.is_there(name)
        state = "yes" if there else f"{downloads.downloaded(data_set) / size:.0%}"
        place = f"datasets/{name}" if there else f"ssdseg data get {name}"
        table.add_row(name, "no" if state == "0%" else state, f"{size / 1e6:,.0f} MB", place)
    console.output.print(table)
