"""What readers of data sets share: samples that are read when asked for, and texts in any encoding that says so."""

import codecs
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, overload

from ssdseg_ref.data.pictures import require_file
from ssdseg_ref.data.sample import Sample

BYTE_ORDER_MARKS = {codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}  # of what Windows saves as "Unicode"


class LazySamples(Sequence[Sample]):
    """Samples that are read when they are asked for, every time again; a slice reads nothing yet.

    Args:
        entries: what `read` needs to know about each sample.
        read: makes the sample of one entry.
    """

    def __init__(self, entries: Sequence[Any], read: Callable[[Any], Sample]):
        self._entries = entries
        self._read = read

    def __len__(self) -> int:
        return len(self._entries)

    @overload
    def __getitem__(self, index: int) -> Sample: ...

    @overload
    def __getitem__(self, index: slice) -> "LazySamples": ...

    def __getitem__(self, index: int | slice) -> "Sample | LazySamples":
        if isinstance(index, slice):
            return LazySamples(self._entries[index], self._read)
        return self._read(self._entries[index])

    def __iter__(self) -> Iterator[Sample]:
        # Sequence's own __iter__ ends quietly at the first IndexError, also at one that `read` raises by mistake.
        return map(self._read, self._entries)


def read_text(path: Path) -> str:
    """Read a file in UTF-8, with or without a byte order mark, or in UTF-16 with one, whatever its line ends.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is neither.
    """
    require_file(path)
    content = path.read_bytes()
    encoding = BYTE_ORDER_MARKS.get(content[:2], "utf-8-sig")
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: not a text file in UTF-8: {error.reason} at byte {error.start}") from None
    return text.replace("\r\n", "\n").replace("\r", "\n")


def read_json(path: Path) -> Any:
    """Read a json file.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is no json.
    """
    text = read_text(path)
    try:
        return json.loads(text)
    except ValueError as error:  # also of a number with thousands of digits
        raise ValueError(f"{path}: not a json file: {error}") from None
    except RecursionError:
        raise ValueError(f"{path}: not a json file: nested too deeply") from None
