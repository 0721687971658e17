"""What readers and writers of data sets share: samples that are read when asked for, pictures, whole folders."""

import json
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
from PIL import Image

from ssdseg_ref.data.sample import Sample

# What Pillow raises on PNG and JPEG files that are cut or overwritten at random places, or claim to be enormous.
DAMAGED = (OSError, SyntaxError, ValueError, Image.DecompressionBombError)


class LazySamples(Sequence[Sample]):
    """Samples that are read when they are asked for, each time anew; a slice reads nothing yet.

    Args:
        entries: what `read` needs to know about each sample.
        read: makes the sample of one entry.
    """

    def __init__(self, entries: Sequence[Any], read: Callable[[Any], Sample]):
        self._entries = entries
        self._read = read

    def __len__(self) -> int:
        return len(self._entries)

    def __getitem__(self, index):
        if isinstance(index, slice):
            return LazySamples(self._entries[index], self._read)
        return self._read(self._entries[index])

    def __iter__(self) -> Iterator[Sample]:
        # Sequence's own __iter__ ends quietly at the first IndexError, also at one that `read` raises by mistake.
        return map(self._read, self._entries)


def read_photograph(path: Path) -> np.ndarray:
    """Read a picture as (H, W, 3) uint8 red, green, blue; grey pictures get three equal channels.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is not a picture of 8 bits a channel, or damaged.
    """
    picture = _open_picture(path)
    if picture.mode == "F" or picture.mode.startswith("I"):  # Pillow would clip these to 0..255, not scale them
        raise ValueError(f"{path}: a picture of 8 bits a channel is wanted, this one has mode {picture.mode}")
    return np.array(picture.convert("RGB"))


def read_labels(path: Path, modes: Sequence[str]) -> np.ndarray:
    """Read a picture whose pixels are numbers of classes or segments: (H, W) or (H, W, channels) uint8.

    Args:
        path: the file.
        modes: Pillow's names of the pixel formats that make sense here, such as "L" or "RGB".

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is damaged or of another mode.
    """
    picture = _open_picture(path)
    if picture.mode not in modes:
        raise ValueError(
            f"{path}: labels want a picture of mode {' or '.join(modes)}, this one has mode {picture.mode}"
        )
    return np.array(picture)


def read_text(path: Path) -> str:
    """Read a UTF-8 file, with or without a byte order mark, whatever its line ends.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is not UTF-8.
    """
    require_file(path)
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: not a text file in UTF-8: {error.reason} at byte {error.start}") from None


def read_json(path: Path) -> Any:
    """Read a json file.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is no json.
    """
    try:
        return json.loads(read_text(path))
    except json.JSONDecodeError as error:
        raise ValueError(f"{path}: not a json file: {error}") from None


def require_file(path: Path) -> None:
    """Make sure that a file is there.

    Raises:
        FileNotFoundError: one sentence that names it.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path}: there is no such file")


@contextmanager
def whole_folder(target: Path) -> Iterator[Path]:
    """Give a folder to write into that becomes `target` when the block ends well, and vanishes when it does not.

    Nobody ever sees a half-written `target`, whether the block ends by an error or by Ctrl-C.

    Raises:
        OSError: if `target` is there by then, and not an empty folder.
    """
    draft = target.parent / f".{target.name}.{uuid4().hex}"  # a sibling, so that the last step is a mere rename
    draft.mkdir(parents=True)
    try:
        yield draft
        os.replace(draft, target)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _open_picture(path: Path) -> Image.Image:
    require_file(path)
    if path.stat().st_size == 0:
        raise ValueError(f"{path}: the file is empty")
    try:
        with Image.open(path) as picture:
            picture.load()
    except PermissionError:  # its sentence is clear, and the file need not be damaged
        raise
    except DAMAGED as error:
        raise ValueError(f"{path}: not a picture that can be read, perhaps cut off: {error}") from None
    return picture
