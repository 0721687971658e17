"""Copies of a learner's notebooks, made before anything is written in their place."""

from datetime import datetime
from itertools import count
from pathlib import Path

FOLDER = "backups"


def back_up(notebook: Path, root: Path) -> Path:
    """Copy a learner's notebook, whatever state it is in, into the course's folder of backups.

    Returns:
        the copy, `backups/01_anchors-2026-11-23-081512.ipynb`; never one that was there before.
    """
    content = notebook.read_bytes()
    folder = root / FOLDER
    folder.mkdir(exist_ok=True)
    name = f"{notebook.stem}-{datetime.now():%Y-%m-%d-%H%M%S}"
    names = (name if number == 1 else f"{name}-{number}" for number in count(1))
    while True:
        path = folder / f"{next(names)}.ipynb"
        try:
            with path.open("xb") as copy:
                copy.write(content)
        except FileExistsError:
            continue
        return path
