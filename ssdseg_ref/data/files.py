"""What readers of data sets share: samples that are read when asked for, texts in any encoding that says so, and files
by the names that another machine gave them."""

import codecs
import json
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
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


class Readable(Sequence[Sample]):
    """The samples of a data set that can be read: one that cannot is told of and left out, and the rest goes on.

    Only going through all of them tells which they are; until then, all count.

    Args:
        samples: of any data set.
        tell: gets a sentence about each that is left out, once.

    Attributes:
        unread: how many are left out.
    """

    def __init__(self, samples: Sequence[Sample], tell: Callable[[str], None]):
        self._samples = samples
        self._tell = tell
        self._kept = list(range(len(samples)))
        self.unread = 0

    def __len__(self) -> int:
        return len(self._kept)

    @overload
    def __getitem__(self, index: int) -> Sample: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[Sample]: ...

    def __getitem__(self, index: int | slice) -> Sample | Sequence[Sample]:
        if isinstance(index, slice):
            return LazySamples(self._kept[index], self._samples.__getitem__)
        return self._samples[self._kept[index]]

    def __iter__(self) -> Iterator[Sample]:
        for place in list(self._kept):
            try:
                sample = self._samples[place]
            except (ValueError, OSError, MemoryError) as error:
                self._kept.remove(place)
                self.unread += 1
                self._tell(f"left out: {in_words(error)}")
            else:
                yield sample
        if self.unread and not self._kept:
            raise ValueError(f"none of {self.unread:,} images can be read, see above")


def in_words(error: Exception) -> str:
    """What went wrong with a file, in one line that names it."""
    if isinstance(error, OSError) and error.filename:
        return f"{error.filename}: {error.strerror}"
    return " ".join(str(error).split("\n")) or "not enough memory"


def read_text(path: Path, declared: Callable[[bytes], str] | None = None) -> str:
    """Read a file in UTF-8, with or without a byte order mark, or in UTF-16 with one, whatever its line ends.

    Args:
        path: the file.
        declared: finds the encoding that the content says that it has; asked where it is none of these.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it cannot be read so.
    """
    require_file(path)
    content = path.read_bytes()
    encoding = BYTE_ORDER_MARKS.get(content[:2], "utf-8-sig")
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        try:
            text = content.decode(declared(content) if declared else encoding)
        except (UnicodeDecodeError, LookupError):
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


def visible_files(folder: Path, *suffixes: str) -> list[Path]:
    """Files of a folder whose names end in one of some suffixes, in letters large or small, sorted; none where there is
    no such folder. Names that begin with a dot are left out: a Mac leaves `._photo.jpg` beside photo.jpg."""
    if not folder.is_dir():
        return []
    return sorted(
        path for path in folder.iterdir() if path.suffix.lower() in suffixes and not path.name.startswith(".")
    )


def visible_folders(root: Path) -> list[Path]:
    """Folders in a folder, sorted, without those whose names begin with a dot; none where there is no such folder."""
    if not root.is_dir():
        return []
    return sorted(path for path in root.iterdir() if path.is_dir() and not path.name.startswith("."))


def named(folder: Path, name: str) -> Path:
    """The path of a file by a name that may come from another machine: with backslashes between folders, in other
    letters, large or small, or with accents written as Macs do.

    Gives the name as it stands, in `folder`, where there is no such file.
    """
    path = folder / name
    if _is_file(path):
        return path
    path = folder / name.replace("\\", "/")
    if _is_file(path):
        return path
    try:
        alike = _names(path.parent, path.parent.stat().st_mtime_ns).get(_plain(path.name), ())
    except (OSError, ValueError):
        return path
    return path.with_name(alike[0]) if len(alike) == 1 else path


def find(folders: Sequence[Path], name: str) -> Path | None:
    """The file of a name, see `named`, in the first of some folders that has it; None if none does."""
    for folder in folders:
        if _is_file(path := named(folder, name)):
            return path
    return None


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except PermissionError:
        raise
    except OSError:  # such as a name that is too long for any file
        return False


@lru_cache(maxsize=32)
def _names(folder: Path, changed: int) -> Mapping[str, list[str]]:
    """The files of a folder, as they were when it was changed, by their plain names."""
    names = defaultdict(list)
    for path in folder.iterdir():
        names[_plain(path.name)].append(path.name)
    return names


def _plain(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()
