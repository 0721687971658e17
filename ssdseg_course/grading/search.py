"""Looks through what one learner has handed in, however it is packed and whatever it is called."""

import os
import stat
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from ssdseg_course.grading.bulk import MIB, Budget, BulkError, Member, Parts, members, without_outputs
from ssdseg_course.grading.names import MOODLE
from ssdseg_course.grading.plain_files import LARGEST_FILE, RefusedError, light, opened, read_content, too_large
from ssdseg_course.grading.recognition import (
    CHECKPOINTS,
    ENVIRONMENT_MARKS,
    HEAD,
    NOTEBOOK,
    is_blank,
    is_dropping,
    is_pack,
    is_provided,
    lesson_of_content,
    lesson_of_name,
    looks_like_a_notebook,
    may_be_wanted,
)
from ssdseg_course.grading.sandbox import LARGEST_BESIDE
from ssdseg_course.grading.text import shown
from ssdseg_course.manifest import Lesson

MOST_BYTES = 512 * MIB  # of one learner that are read, unpacked
MOST_SECONDS = 30  # of the processor, for what one learner has handed in
DEEPEST = 12  # folders below that of a learner
MOST_ENTRIES = 20_000  # files and folders of one learner that are passed
MOST_FILES = 1000  # of them that are looked into, besides those that are called notebooks
FEW = 3  # names that are listed
TIMESTAMP, SECRET = "timestamp.txt", "submission_secret.txt"  # that nbgrader's exchange lays beside a notebook
LEFT_OUT = {"link": "left out: ", "device or pipe": "left out: ", "other file": ""}
ORDINARY, KEPT_ASIDE, CHECKPOINT = range(3)


@dataclass
class Found:
    """A file that may be a notebook.

    Attributes:
        path: below the folder of submissions; of a file in an archive, the archive's own and then that in it.
        name: of the same below the learner's folder, fit to be shown.
        time: when it was last changed.
        claims: whether it is called a notebook.
        lesson: which it is of, None where that cannot be told.
        packed: how many parts of the path lead to the archive that it is in; 0 where it is in none.
        trouble: why it cannot be read, "" if it can.
        empty: whether it holds nothing at all.
        blank: whether nothing of a learner's is written in it.
    """

    path: Parts
    name: str
    time: float
    claims: bool
    lesson: Lesson | None
    packed: int = 0
    trouble: str = ""
    empty: bool = False
    blank: bool = False

    @property
    def worth(self) -> tuple[bool, bool, int, bool]:
        """What is smaller for a notebook that is sooner to be graded than another of the same lesson."""
        return bool(self.trouble), self.empty, self.standing, self.blank

    @property
    def standing(self) -> int:
        """An ordinary file, one that was kept aside (a backup, a hidden folder), or a checkpoint of Jupyter's."""
        folders = self.path[1:-1]
        if CHECKPOINTS in folders or self.path[-1].casefold().endswith("-checkpoint.ipynb"):
            return CHECKPOINT
        aside = any(part.startswith(".") or part == "backups" for part in folders) or self.path[-1].startswith(".")
        return KEPT_ASIDE if aside else ORDINARY

    @property
    def in_course(self) -> bool:
        """Whether it stands where a course that is handed in whole has its lessons."""
        return len(self.path) > 2 and self.path[-3] == "lessons"

    def look_at(self, content: bytes) -> None:
        """See which lesson it is of, and whether anything is written in it."""
        content = without_outputs(content)
        self.lesson = lesson_of_content(content, self.lesson)
        self.empty = not content.strip(b"\x00 \t\r\n")
        self.blank = is_blank(content)


class _EnoughError(Exception):
    """One learner has handed in more than is looked at."""


class Search:
    """Looks through what one learner has handed in, without following a link.

    Attributes:
        found: what may be a notebook.
        others: what is not a notebook, and may be used by one that stands beside it.
        lesson_folders: the folders in the learner's own that are named after a lesson.
    """

    def __init__(self, folder: Path, entries: Sequence[os.DirEntry[str]]):
        self.found: list[Found] = []
        self.others: list[Parts] = []
        self.lesson_folders: dict[str, Lesson] = {}
        self._folder = folder
        self._skip = 0 if len(entries) > 1 else 1  # parts of a path that need not be said
        self._other: dict[str, list[str]] = {kind: [] for kind in LEFT_OUT}
        self._notes: list[str] = []
        self._budget = Budget(MOST_ENTRIES, MOST_BYTES)
        self._looked_into = 0
        self._until = time.process_time() + MOST_SECONDS
        try:
            self._go_through(entries)
        except _EnoughError:
            most = f"{MOST_ENTRIES:,} files, {MOST_BYTES // MIB} MiB or {MOST_SECONDS} seconds of work"
            self._notes.insert(0, f"there are more than {most}; only the first were looked at")

    @property
    def remarks(self) -> list[str]:
        """What else there is, in words."""
        said = [
            f"{LEFT_OUT[kind]}{len(names)} {kind}{'s' * (len(names) > 1)} ({listed(names)})"
            for kind, names in self._other.items()
            if names
        ]
        more = [f"and {len(self._notes) - FEW} more like these"] if len(self._notes) > FEW else []
        return [*said, *self._notes[:FEW], *more]

    def _go_through(self, entries: Sequence[os.DirEntry[str]]) -> None:
        """Look at files, and at those in folders, the nearest first."""
        folders: list[Parts] = []
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                folders.append((entry.name,))
            else:
                self._look_at(entry, (entry.name,))
        while folders:
            below = folders.pop(0)
            try:
                children = sorted(os.scandir(self._folder.joinpath(*below)), key=lambda entry: entry.name)
            except OSError as error:
                self._notes.append(f"{self._name(below)}: it cannot be opened: {error.strerror}")
                continue
            folders += self._look_into(below, children)

    def _look_into(self, below: Parts, children: Sequence[os.DirEntry[str]]) -> Iterator[Parts]:
        """Look at the files of a folder, and give those of its folders in which work may stand."""
        names = {entry.name for entry in children}
        if names & ENVIRONMENT_MARKS:
            return
        if not names and len(below) < 3:
            self._notes.append(f"{self._name(below)} is empty")
        for entry in children:
            if is_dropping(entry.name):
                continue
            path = (*below, entry.name)
            self._count(0)
            if not entry.is_dir(follow_symlinks=False):
                self._look_at(entry, path)
            elif len(path) > DEEPEST:
                self._notes.append(f"{self._name(path)}: it lies too deep to be looked at")
            elif not is_provided(entry.name, "lessons" in names):
                yield path
                if NOTEBOOK.search(entry.name):
                    self._notes.append(f"{self._name(path)} is a folder")
                elif len(path) == 2 and (lesson := lesson_of_name(path)):
                    self.lesson_folders[entry.name] = lesson

    def _look_at(self, entry: os.DirEntry[str], path: Parts) -> None:
        """See whether a file is a notebook or an archive, and what it holds."""
        if entry.name in (TIMESTAMP, SECRET):
            return
        about = entry.stat(follow_symlinks=False)
        file = self._may_be(path, about.st_mtime)
        if not file.claims and not self._may_look_into_one_more():
            return
        try:
            self._read(file, about.st_size)
        except (RefusedError, BulkError) as refused:
            if file.claims:
                file.trouble = str(refused)
                self.found.append(file)
            elif stat.S_ISREG(about.st_mode) or stat.S_ISDIR(about.st_mode):
                self._notes.append(f"{file.name}: {refused}")
            else:
                self._other["link" if stat.S_ISLNK(about.st_mode) else "device or pipe"].append(file.name)

    def _read(self, file: Found, size: int) -> None:
        """Keep a file that is a notebook, look through an archive, and note anything else.

        Raises:
            BulkError, RefusedError: if it cannot be read.
        """
        with opened(self._folder, file.path) as content:
            head = content.read(HEAD)
            content.seek(0)
            if is_pack(file.path[-1], head):
                self._unpack(content, file)
            elif file.claims or looks_like_a_notebook(head):
                self._count(min(size, LARGEST_FILE))
                file.look_at(light(read_content(content)))
                self.found.append(file)
            else:
                self._note_other(file, size)

    def _unpack(self, content: BinaryIO, archive: Found) -> None:
        """Find what may be a notebook in an archive."""
        if len(archive.path) == 1 and _is_of_a_class(content):
            raise RefusedError("it holds the work of several learners; unpack it in the folder of submissions")
        before = len(self.found)
        try:
            for member in members(content, may_be_wanted, LARGEST_FILE, self._budget):
                self._count(0)
                self._take(member, archive)
        except BulkError as refused:
            self._count(0)
            self._notes.append(f"{archive.name}: {refused}")
            return
        if len(self.found) == before:
            self._notes.append(f"{archive.name}: there is no notebook in it")

    def _take(self, member: Member, archive: Found) -> None:
        """Keep a file of an archive that may be a notebook."""
        file = self._may_be((*archive.path, *member.parts), member.time)
        file.packed = len(archive.path)
        if member.content is None or not (file.claims or looks_like_a_notebook(member.content[:HEAD])):
            self._note_other(file, member.size)
            return
        try:
            if len(member.content) > LARGEST_FILE:
                raise RefusedError(too_large(LARGEST_FILE))
            file.look_at(light(member.content))
        except (RefusedError, BulkError) as refused:
            file.trouble = str(refused)
        self.found.append(file)

    def _may_be(self, path: Parts, changed: float) -> Found:
        """A file of which no more is known than its name."""
        return Found(path, self._name(path), changed, NOTEBOOK.search(path[-1]) is not None, lesson_of_name(path))

    def _may_look_into_one_more(self) -> bool:
        self._looked_into += 1
        if self._looked_into == MOST_FILES + 1:
            self._notes.insert(0, f"there are more than {MOST_FILES:,} files; only the first were looked into")
        return self._looked_into <= MOST_FILES

    def _note_other(self, file: Found, size: int) -> None:
        self._other["other file"].append(file.name)
        if size > LARGEST_BESIDE:
            self._notes.append(f"{file.name} is too large to be there for a notebook that uses it")
        elif not any(part.startswith(".") for part in file.path[1:]):
            self.others.append(file.path)

    def _name(self, path: Parts) -> str:
        """A path as it is shown, below the learner's folder."""
        return shown("/".join(path[self._skip :] or path))

    def _count(self, size: int) -> None:
        if time.process_time() > self._until:
            raise _EnoughError
        try:
            self._budget.take(size)
        except BulkError:
            raise _EnoughError from None


def listed(names: Sequence[str]) -> str:
    """The first few of some names."""
    return ", ".join(names[:FEW]) + ", …" * (len(names) > FEW)


def _is_of_a_class(archive: BinaryIO) -> bool:
    """Whether an archive holds folders of several learners, as a platform hands them out."""
    known = {member.parts[0] for member in members(archive, lambda *_: False, 0, Budget(0, 0))}
    archive.seek(0)
    return sum(MOODLE.search(name) is not None for name in known) > 1
