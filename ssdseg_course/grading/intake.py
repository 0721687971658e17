"""Takes in what a class has handed in, trusting none of it: finds notebooks, and reads them without following a link.

A folder of submissions holds, for each learner, a folder or a notebook of that name:

    submitted/ada/01_anchors/01_anchors.ipynb    as nbgrader collects them
    submitted/ada/anything.ipynb                 the lesson is told by its name, or by what is in it
    submitted/ada.ipynb                          likewise

Nothing else is read but nbgrader's own timestamp.txt.
"""

import os
import re
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from nbgrader.utils import parse_utc

from ssdseg_course.grading.repair import most_alike
from ssdseg_course.manifest import LESSONS, Lesson
from ssdseg_course.work.workspace import NotebookError, cut

MIB = 2**20
LARGEST_NOTEBOOK = 20 * MIB
LONGEST_TIMESTAMP = 100  # bytes
DEEPEST = 3  # folders below that of a learner
MOST_FILES = 1000  # of one learner that are looked at
STUDENT = re.compile(r"[^\W_][\w .@+-]{0,99}")  # names that can be those of a folder, a row of a table, a web page
IGNORED = {".ipynb_checkpoints", "__pycache__", "__MACOSX"}
TIMESTAMP = "timestamp.txt"
COPY = re.compile(r"[\s_-]*(\(\d+\)|-?copy\d*|\d+)?$", re.IGNORECASE)  # what browsers and Jupyter add to a name


@dataclass(frozen=True)
class Submission:
    """What a learner has handed in for a lesson.

    Attributes:
        student: nbgrader's id of the learner.
        lesson: for which.
        content: the notebook's file.
        timestamp: when it was handed in, where nbgrader has noted that.
        remarks: what was left out, or found under another name.
    """

    student: str
    lesson: Lesson
    content: bytes = field(repr=False)
    timestamp: datetime | None
    remarks: tuple[str, ...]


@dataclass(frozen=True)
class Refusal:
    """What cannot be graded, and why.

    Attributes:
        student: nbgrader's id of the learner, or the name of a file that stands for none.
        lesson: name of the lesson, "" where it cannot be told.
        reason: a sentence.
    """

    student: str
    lesson: str
    reason: str


class _RefusedError(Exception):
    """A file that is not read; the message says why."""


def take_in(folder: Path, lesson: Lesson | None = None) -> Iterator[Submission | Refusal]:
    """All that is to be graded in a folder of submissions, learner by learner.

    Args:
        folder: of the submissions; see the module.
        lesson: which alone is wanted; all without one.

    Raises:
        OSError: if the folder cannot be read.
    """
    found = sorted(os.scandir(folder), key=lambda entry: entry.name)
    for entry in found:
        if entry.name.startswith(".") or entry.name in IGNORED:
            continue
        is_folder = entry.is_dir(follow_symlinks=False)
        student = entry.name if is_folder else entry.name.removesuffix(".ipynb")
        if not is_folder and student == entry.name and not entry.is_symlink():
            yield Refusal(entry.name, "", "it is neither a learner's folder nor a notebook")
        elif not STUDENT.fullmatch(student):
            yield Refusal(printable(student), "", "a learner's name has letters, digits and . @ + - _ alone")
        elif entry.is_symlink():
            yield Refusal(student, "", "it is a link; links are not followed")
        elif is_folder:
            yield from _of_learner(folder, student, lesson)
        else:
            yield from _of_file(folder, entry.name, student, lesson)


def _of_learner(folder: Path, student: str, wanted: Lesson | None) -> Iterator[Submission | Refusal]:
    """What one learner has handed in: of each lesson the best notebook."""
    notebooks, remarks = _look_through(folder / student)
    by_lesson: dict[str, list[Path]] = {}
    for path in notebooks:
        found = _lesson_of_name(path.parts)
        by_lesson.setdefault(found.name if found else "", []).append(path)
    for path in by_lesson.pop("", []):  # a name that says nothing
        try:
            found = _lesson_of_content(_read(folder / student, path.parts, LARGEST_NOTEBOOK))
        except _RefusedError as refused:
            yield Refusal(student, wanted.name if wanted else "", f"{printable(path)}: {refused}")
            continue
        found = found or wanted
        if found and found.name not in by_lesson:
            by_lesson[found.name] = [path]
            remarks.append(f"{printable(path)} was taken for {found.name}.ipynb")
        elif found is None:
            yield Refusal(student, "", f"{printable(path)}: it cannot be told which lesson that is")
    lessons = [lesson for lesson in LESSONS if lesson.name in by_lesson and lesson in (wanted or lesson,)]
    for lesson in lessons:
        yield _best(folder / student, student, lesson, by_lesson[lesson.name], tuple(remarks))
    if wanted and not lessons:
        yield Refusal(student, wanted.name, "; ".join(("there is no notebook of this lesson", *remarks)))


def _of_file(folder: Path, name: str, student: str, wanted: Lesson | None) -> Iterator[Submission | Refusal]:
    try:
        content = _read(folder, (name,), LARGEST_NOTEBOOK)
    except _RefusedError as refused:
        yield Refusal(student, wanted.name if wanted else "", str(refused))
        return
    lesson = wanted or _lesson_of_content(content)
    if lesson is None:
        yield Refusal(student, "", "it cannot be told which lesson that is; name it with --lesson")
    else:
        yield Submission(student, lesson, content, None, ())


def _best(root: Path, student: str, lesson: Lesson, paths: Sequence[Path], remarks: tuple[str, ...]):
    """The notebook that counts, where a learner has several of one lesson: the one of the lesson's own name."""
    right = Path(lesson.name, f"{lesson.name}.ipynb")
    path = min(paths, key=lambda path: (path != right, path.name != right.name, len(path.parts), str(path)))
    if path.name != right.name and not any(printable(path) in remark for remark in remarks):
        remarks = (*remarks, f"{printable(path)} was taken for {right.name}")
    left_out = [printable(other) for other in paths if other != path]
    if left_out:
        remarks = (*remarks, f"left out, besides {printable(path)}: {', '.join(left_out[:3])}")
    try:
        content = _read(root, path.parts, LARGEST_NOTEBOOK)
    except _RefusedError as refused:
        return Refusal(student, lesson.name, "; ".join((f"{printable(path)}: {refused}", *remarks)))
    return Submission(student, lesson, content, _timestamp(root, path), remarks)


def _look_through(root: Path) -> tuple[list[Path], list[str]]:
    """The notebooks below a learner's folder, without following a link; and what else is there, in words."""
    notebooks: list[Path] = []
    other: dict[str, list[str]] = {"link": [], "device or pipe": [], "other file": []}
    open_folders, seen, unreadable = [Path()], 0, []
    while open_folders:
        below = open_folders.pop(0)
        try:
            entries = sorted(os.scandir(root / below), key=lambda entry: entry.name)
        except OSError as error:
            unreadable.append(f"{printable(below)}: {error.strerror}")
            continue
        for entry in entries:
            seen += 1
            path = below / entry.name
            if seen > MOST_FILES:
                return notebooks, [f"there are more than {MOST_FILES:,} files; only the first were looked at"]
            if entry.name in IGNORED or entry.name.startswith(".") or path.name == TIMESTAMP:
                continue
            if entry.is_symlink():
                if entry.name.endswith(".ipynb"):
                    notebooks.append(path)  # to be refused by name
                else:
                    other["link"].append(printable(path))
            elif entry.is_dir(follow_symlinks=False):
                if len(path.parts) <= DEEPEST:
                    open_folders.append(path)
            elif entry.name.endswith(".ipynb"):
                notebooks.append(path)
            elif not entry.is_file(follow_symlinks=False):
                other["device or pipe"].append(printable(path))
            else:
                other["other file"].append(printable(path))
    return notebooks, [
        f"left out: {len(names)} {kind}{'s' * (len(names) > 1)} ({', '.join(names[:3])}{', …' * (len(names) > 3)})"
        for kind, names in other.items()
        if names
    ] + unreadable


def _read(root: Path, parts: Sequence[str], most: int) -> bytes:
    """The content of a plain file; no part of its path may be a link.

    Raises:
        _RefusedError: for anything else.
    """
    descriptors: list[int] = []
    try:
        descriptors.append(os.open(root, os.O_RDONLY | os.O_DIRECTORY))
        for part in parts[:-1]:
            flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
            descriptors.append(os.open(part, flags, dir_fd=descriptors[-1]))
        # O_NONBLOCK: opening a pipe must not wait for somebody to write into it.
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK
        about = os.stat(parts[-1], dir_fd=descriptors[-1], follow_symlinks=False)
        _must_be_plain(about, most)
        descriptors.append(os.open(parts[-1], flags, dir_fd=descriptors[-1]))
        _must_be_plain(os.fstat(descriptors[-1]), most)
        with open(descriptors[-1], "rb", closefd=False) as file:
            content = file.read(most + 1)
    except OSError as error:
        raise _RefusedError(f"it cannot be read: {error.strerror}") from None
    finally:
        for descriptor in descriptors:
            os.close(descriptor)
    if len(content) > most:
        raise _RefusedError(_too_large(most))
    return content


def _must_be_plain(about: os.stat_result, most: int) -> None:
    if stat.S_ISLNK(about.st_mode):
        raise _RefusedError("it is a link; links are not followed")
    if not stat.S_ISREG(about.st_mode):
        raise _RefusedError("it is no plain file")
    if about.st_nlink > 1:
        raise _RefusedError("it is one file with another name (a hard link); put a copy in its place")
    if about.st_size > most:
        raise _RefusedError(_too_large(most))


def _too_large(most: int) -> str:
    return f"it has more than {most // MIB} MiB; outputs can be cleared in Jupyter"


def _timestamp(root: Path, notebook: Path) -> datetime | None:
    try:
        text = _read(root, (*notebook.parts[:-1], TIMESTAMP), LONGEST_TIMESTAMP).decode("ascii").strip()
        return parse_utc(text)
    except Exception:  # whatever dateutil makes of what a learner may have written there
        return None


def read_plain(path: Path) -> bytes:
    """The content of a learner's own file.

    Raises:
        NotebookError: if it is no plain file, or too large.
    """
    try:
        return _read(path.parent, (path.name,), LARGEST_NOTEBOOK)
    except (_RefusedError, OSError) as refused:
        raise NotebookError(f"{path}: {getattr(refused, 'strerror', None) or refused}") from None


def lesson_of(path: Path, content: bytes) -> Lesson | None:
    """The lesson that a notebook is of, by its name or else by what is in it; None where neither tells."""
    return _lesson_of_name((path.name,)) or _lesson_of_content(content)


def _lesson_of_name(parts: Sequence[str]) -> Lesson | None:
    """The lesson that a path names: by its file first, then by its folders."""
    for part in reversed(parts):
        name = COPY.sub("", part.removesuffix(".ipynb")).casefold()
        for lesson in LESSONS:
            if name == lesson.name or part.casefold().startswith(lesson.name):
                return lesson
    return None


def _lesson_of_content(content: bytes) -> Lesson | None:
    """The lesson most of whose functions are defined in a text."""
    text = content.decode("utf-8", errors="replace")
    return most_alike(set(re.findall(r"def (\w+)", text)))


def printable(name) -> str:
    """A name that a learner has chosen, fit for a terminal and a table."""
    return cut("".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in str(name)), 80)
