"""What commands print with: results on stdout, errors and progress on stderr."""

import os
import sys
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

SECONDS_BETWEEN_LINES = 5  # of progress that goes to a file, where a bar makes no sense

Item = TypeVar("Item")

output = Console()
errors = Console(stderr=True)


@contextmanager
def progress(description: str) -> Iterator[Callable[[int, int], None]]:
    """Give a callback `(done, total)` that shows how far something is.

    On a terminal it drives a bar, elsewhere it prints a line now and then. Nothing shows before its first call.
    """
    if errors.is_terminal:
        with _bar(description) as update:
            yield update
    else:
        yield _occasional_lines(description)


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
        tasks = []

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
    """Import Keras and TensorFlow without what their libraries write to stderr meanwhile.

    TensorFlow 2.21 ignores TF_CPP_MIN_LOG_LEVEL while it is imported, so file descriptor 2 itself is turned away.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    sys.stderr.flush()
    kept = os.dup(2)
    try:
        with open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        with output.status("loading TensorFlow"):  # on stdout, where it can still be seen
            import keras  # noqa: F401
            import tensorflow  # noqa: F401
    finally:
        os.dup2(kept, 2)
        os.close(kept)
