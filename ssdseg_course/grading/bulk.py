"""What is large in a hand-in - archives, and outputs of notebooks - read within limits of memory and of work."""

import io
import re
import stat
import time
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import BinaryIO

MIB = 2**20
LARGEST_DIRECTORY = 32 * MIB  # of an archive: some hundred thousand names
MOST_TOKENS = 3_000_000  # brackets and strings of a notebook that are looked at
LONGEST_NAME = 255  # letters of a part of a path, as file systems have it
DEEPEST = 24  # parts of a path in an archive
DEEPEST_ARCHIVE = 8  # and of one at which another archive is still opened
Parts = tuple[str, ...]
SIGNATURES = (b"PK\x03\x04", b"PK\x05\x06")
BULKY = {b'"outputs"': b"[]", b'"attachments"': b"{}", b'"widgets"': b"{}"}
# Strings (also one that breaks off) and brackets, without ever going back.
TOKENS = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)|[][{}]', re.DOTALL)
VALUE = re.compile(rb"\s*+:\s*+(?=[\[{])")


class BulkError(Exception):
    """Something too large, or an archive that cannot be read; the message says which limit, or why."""


@dataclass
class Budget:
    """What may still be read of what one learner has handed in.

    Attributes:
        files: number of files.
        bytes: of them, unpacked.
    """

    files: int
    bytes: int

    def take(self, size: int) -> None:
        """Count a file of that many bytes.

        Raises:
            BulkError: if it is one too many.
        """
        self.files -= 1
        self.bytes -= size
        if self.files < 0 or self.bytes < 0:
            raise BulkError("it holds more than is looked at for one learner")


@dataclass(frozen=True)
class Member:
    """A file of an archive.

    Attributes:
        parts: of its path in there.
        time: when it was last changed, in seconds since 1970; 0 where that is not known.
        size: of the file, in bytes.
        content: of the file; None where it is not wanted.
    """

    parts: tuple[str, ...]
    time: float
    size: int
    content: bytes | None = field(repr=False)


class _Bounded:
    """An archive's file, which is never read in pieces that would fill the memory: an endless directory, say."""

    def __init__(self, file: BinaryIO):
        self._file = file
        self.seek, self.tell, self.seekable = file.seek, file.tell, file.seekable

    def read(self, size: int | None = -1) -> bytes:
        content = self._file.read(
            LARGEST_DIRECTORY + 1 if size is None or size < 0 else min(size, LARGEST_DIRECTORY + 1)
        )
        if len(content) > LARGEST_DIRECTORY:
            raise BulkError("it has too many files")
        return content


def is_archive(head: bytes) -> bool:
    """Whether a file that begins so is a zip archive."""
    return head.startswith(SIGNATURES)


def members(
    file: BinaryIO, wanted: Callable[[Parts, set[Parts]], bool | None], most: int, budget: Budget, within: Parts = ()
) -> Iterator[Member]:
    """The files of a zip archive and of the archives in it, unpacked in memory.

    Nothing is written, so that paths in the archive lead nowhere; links in it are not followed.

    Args:
        file: the archive.
        wanted: whether a file is to be unpacked, by its path and by all folders of its archive; None to pass it over.
        most: bytes of a file; of a larger one that many are given, and one more.
        budget: taken from as files are unpacked.
        within: path of this archive, where it stands in another.

    Raises:
        BulkError: if it cannot be read, or holds too much.
    """
    try:
        with zipfile.ZipFile(_Bounded(file)) as archive:
            files = [(_parts(info), info) for info in archive.infolist() if not _is_no_file(info)]
            folders = {(*within, *parts[:k]) for parts, _ in files for k in range(1, len(parts))}
            for inner, info in files:
                parts = (*within, *inner)
                is_wanted = wanted(parts, folders)
                if is_wanted is None:
                    continue
                if not is_wanted:
                    yield Member(parts, _time(info), info.file_size, None)
                    continue
                unpacked = _unpack(archive, info, most)
                budget.take(len(unpacked))
                if len(unpacked) <= most and is_archive(unpacked) and len(within) < DEEPEST_ARCHIVE:
                    yield from members(io.BytesIO(unpacked), wanted, most, budget, parts)
                else:
                    yield Member(parts, _time(info), info.file_size, unpacked)
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError, NotImplementedError, RuntimeError) as error:
        why = "it is locked with a password" if "encrypted" in str(error) else "it is damaged, or not a zip archive"
        raise BulkError(f"{why}; a zip archive without a password can be read") from None


def _parts(info: zipfile.ZipInfo) -> Parts:
    return tuple(part for part in re.split(r"[/\\]", info.filename) if part not in ("", ".", ".."))


def _is_no_file(info: zipfile.ZipInfo) -> bool:
    parts = _parts(info)
    is_usual = 0 < len(parts) <= DEEPEST and max(map(len, parts)) <= LONGEST_NAME
    return info.is_dir() or stat.S_ISLNK(info.external_attr >> 16) or not is_usual


def _unpack(archive: zipfile.ZipFile, info: zipfile.ZipInfo, most: int) -> bytes:
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):  # others can claim any memory
        raise BulkError("it is packed in a way that is not read; pack it as a usual zip")
    content = bytearray()
    with archive.open(info) as file:
        while len(content) <= most and (piece := file.read(MIB)):
            content += piece
    return bytes(content[: most + 1])


def _time(info: zipfile.ZipInfo) -> float:
    try:
        return time.mktime((*info.date_time, 0, 0, -1))
    except (ValueError, OverflowError):
        return 0.0


def without_outputs(content: bytes) -> bytes:
    """The text of a notebook without what its cells gave out, pasted pictures and the state of widgets.

    It need not be whole, nor a notebook at all: what has no outputs comes back as it is.

    Raises:
        BulkError: if it has too many parts to be looked through.
    """
    kept: list[bytes] = []
    start, value, depth = 0, -1, 0
    empty = b""
    for number, token in enumerate(TOKENS.finditer(content)):
        if number > MOST_TOKENS:
            raise BulkError(f"it has more than {MOST_TOKENS:,} values")
        first = content[token.start()]
        if depth:
            depth += (first in b"[{") - (first in b"]}")
            start = token.end()
        elif token.start() == value:
            kept += [content[start:value], empty]
            depth, start = 1, len(content)
        elif first in b'"' and (empty := BULKY.get(token[0], b"")) and (colon := VALUE.match(content, token.end())):
            value = colon.end()
    kept.append(content[start:] if not depth else b"")
    return b"".join(kept)
