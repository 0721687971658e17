"""What commands print with: results on stdout, errors and progress on stderr."""

import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from typing import TypeVar

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

SECONDS_BETWEEN_LINES = 5  # of progress that goes to a file, where a bar makes no sense

Item = TypeVar("Item")

output = Console()
errors = Console(stderr=True)


def print_plain(text: str, console: Console = output) -> None:
    """Print what a learner's, a file's or a library's own words may stand in: no markup, and no line is broken."""
    console.print(text, markup=False, highlight=False, soft_wrap=True)


@contextmanager
def progress(description: str) -> Iterator[Callable[[int, int], None]]:
    """Give a callback `(done, total)` that shows how far along something is.

    On a terminal it drives a bar, elsewhere it prints a line now and then. Nothing shows before its first call.
    """
    if errors.is_terminal:
        with _bar(description) as update:
            yield update
    else:
        yield _occasional_lines(description)


@contextmanager
def progress_in_bytes() -> Iterator[Callable[[str, int, int], None]]:
    """Give a callback `(what, bytes done, bytes in all)`: a bar for the latest `what`, or now and then a line."""
    last = time.monotonic()
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=errors, transient=True, disable=not errors.is_terminal) as bar:
        tasks: dict[str, TaskID] = {}

        def update(what: str, done: int, total: int) -> None:
            nonlocal last
            if errors.is_terminal:
                if what not in tasks:
                    for finished in tasks.values():
                        bar.update(finished, visible=False)
                    tasks[what] = bar.add_task(what)
                bar.update(tasks[what], completed=done, total=total)
            elif time.monotonic() - last >= SECONDS_BETWEEN_LINES:
                last = time.monotonic()
                print_plain(f"{what}: {done / 1e6:,.0f} of {total / 1e6:,.0f} MB", errors)

        yield update


def tracked(items: Collection[Item], description: str) -> Iterator[Item]:
    """The items, with progress shown while they are taken."""
    with progress(description) as update:
        for done, item in enumerate(items):
            update(done, len(items))
            yield item
        update(len(items), len(items))


@contextmanager
def _bar(description: str) -> Iterator[Callable[[int, int], None]]:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=errors, transient=True) as bar:
        tasks: list[TaskID] = []

        def update(done: int, total: int) -> None:
            if not tasks:
                tasks.append(bar.add_task(description))
            bar.update(tasks[0], completed=done, total=total)

        yield update


def _occasional_lines(description: str) -> Callable[[int, int], None]:
    last = time.monotonic()

    def update(done: int, total: int) -> None:
        nonlocal last
        if time.monotonic() - last >= SECONDS_BETWEEN_LINES:
            last = time.monotonic()
            errors.print(f"{description}: {done:,} of {total:,}", highlight=False)

    return update


def import_keras() -> None:
    """Import Keras and TensorFlow, which takes seconds, without their log."""
    from ssdseg_course import quiet

    with output.status("loading TensorFlow"):
        quiet.import_keras()
