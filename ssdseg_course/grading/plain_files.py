"""Opens and reads files whose maker is not trusted: no link is followed, no pipe waited for, and sizes have limits."""

import json
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from ssdseg_course.grading.bulk import MIB, BulkError, Parts, without_outputs
from ssdseg_course.work.workspace import NotebookError

LARGEST_FILE = 128 * MIB  # with its outputs
LARGEST_NOTEBOOK = 20 * MIB  # without them
SMALL = 4 * MIB  # a notebook of this size is taken as it is, with its outputs


class RefusedError(Exception):
    """A file that is not read; the message says why."""


@contextmanager
def opened(root: Path, path: Parts) -> Iterator[BinaryIO]:
    """A plain file; no part of its path may be a link.

    Raises:
        RefusedError: for anything else.
    """
    descriptors: list[int] = []
    try:
        try:
            descriptors.append(os.open(root, os.O_RDONLY | os.O_DIRECTORY))
            for part in path[:-1]:
                flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
                descriptors.append(os.open(part, flags, dir_fd=descriptors[-1]))
            folder = os.fstat(descriptors[-1])
            _must_be_plain(os.stat(path[-1], dir_fd=descriptors[-1], follow_symlinks=False), folder)
            # O_NONBLOCK: opening a pipe must not wait for somebody to write into it.
            flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK
            descriptors.append(os.open(path[-1], flags, dir_fd=descriptors[-1]))
            _must_be_plain(os.fstat(descriptors[-1]), folder)
            file = os.fdopen(descriptors[-1], "rb", closefd=False)
        except (OSError, ValueError) as error:
            why = getattr(error, "strerror", None) or "its name is invalid"
            raise RefusedError(f"it cannot be read: {why}") from None
        with file:
            yield file
    finally:
        for descriptor in descriptors:
            os.close(descriptor)


def _must_be_plain(about: os.stat_result, folder: os.stat_result) -> None:
    """A link could lead to what its maker may not read. A hard link is one as well, where the file is another's."""
    if stat.S_ISLNK(about.st_mode):
        raise RefusedError("it is a link; links are not followed")
    if not stat.S_ISREG(about.st_mode):
        raise RefusedError("it is not a plain file")
    if about.st_nlink > 1 and about.st_uid != folder.st_uid:
        raise RefusedError("it is somebody else's file under another name (a hard link); put a copy in its place")


def read_content(file: BinaryIO, most: int = LARGEST_FILE) -> bytes:
    """All that an open file holds.

    Raises:
        RefusedError: if that is more than `most` bytes, or cannot be read.
    """
    try:
        content = file.read(most + 1)
    except OSError as error:
        raise RefusedError(f"it cannot be read: {error.strerror}") from None
    if len(content) > most:
        raise RefusedError(too_large(most))
    return content


def light(content: bytes) -> bytes:
    """The content of a notebook's file; of a large one without its outputs.

    Raises:
        BulkError, RefusedError: if it is too large even so.
    """
    if len(content) <= SMALL:
        return content
    stripped = without_outputs(content)
    if len(stripped) > LARGEST_NOTEBOOK:
        raise RefusedError(f"{too_large(LARGEST_NOTEBOOK)} without its outputs")
    try:
        json.loads(stripped if len(stripped) <= SMALL else b"{}", strict=False)
    except (ValueError, RecursionError):  # damaged: brackets may not stand for what they seem to
        return content if len(content) <= LARGEST_NOTEBOOK else stripped
    return stripped


def too_large(most: int) -> str:
    """What is said of a file of more bytes than that."""
    return f"it has more than {most // MIB} MiB"


def read_plain(path: Path) -> bytes:
    """The content of a learner's own notebook.

    Raises:
        NotebookError: if it is not a plain file, or too large.
    """
    try:
        with opened(path.parent, (path.name,)) as file:
            return light(read_content(file))
    except (RefusedError, BulkError) as refused:
        raise NotebookError(f"{path}: {refused}") from None
