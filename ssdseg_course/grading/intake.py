"""Takes in what a class has handed in, trusting none of it: finds notebooks, and reads them without following a link.

A folder of submissions holds, for each learner, a folder, a notebook or a zip archive of that name; whose it is,
`names` says. Below a learner's folder a notebook may stand anywhere, in archives too, and have any name: what it is, is
told by its name and by what is in it. What is found and cannot be graded is named with a reason; nothing is silent.
"""

import json
import os
import re
import shlex
import stat
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import BinaryIO

from nbgrader.utils import parse_utc

from ssdseg_course.grading.bulk import MIB, Budget, BulkError, Parts, is_archive, members, without_outputs
from ssdseg_course.grading.names import MOODLE, Learner, Students, id_of, key_of
from ssdseg_course.grading.repair import names_of
from ssdseg_course.grading.sandbox import LARGEST_BESIDE, MOST_BESIDE
from ssdseg_course.grading.text import LONGEST_SENTENCE, shown
from ssdseg_course.manifest import LESSONS, Lesson
from ssdseg_course.work.workspace import NotebookError, has_work, parse_notebook

LARGEST_FILE = 128 * MIB  # with its outputs
LARGEST_NOTEBOOK = 20 * MIB  # without them
SMALL = 4 * MIB  # a notebook of this size is taken as it is, with its outputs
MOST_BYTES = 512 * MIB  # of one learner that are read, unpacked
MOST_SECONDS = 30  # of the processor, for what one learner has handed in
LONGEST_NOTE = 200  # bytes of a timestamp or a secret of nbgrader's
HEAD = 4096  # bytes in which a notebook shows what it is
DEEPEST = 12  # folders below that of a learner
MOST_ENTRIES = 20_000  # files and folders of one learner that are passed
MOST_FILES = 1000  # of them that are looked into, besides those that are called notebooks
MOST_REFUSALS = 20  # of one learner that are named
SECONDS_APART = 2  # of two files of which one is the newer: archives count in steps of two seconds
FEW = 3  # names that are listed
TIMESTAMP, SECRET = "timestamp.txt", "submission_secret.txt"  # that nbgrader's exchange lays beside a notebook
NBGRADER_SECRET = re.compile(r"[\w-]{8,128}", re.ASCII)
NOTEBOOK = re.compile(r"\.ipynb(?![a-z0-9]|_checkpoints)", re.IGNORECASE)
COPY = re.compile(r"([\s_-]*(\(\d+\)|-?copy\s*\d*|-checkpoint|\d+))?[\s_-]*\Z", re.IGNORECASE)  # added to a name
SHOWS_A_NOTEBOOK = re.compile(rb'"(cells|nbformat|nbformat_minor|worksheets)"\s*:')
NAMED = re.compile(rb'(?:def |"grade_id"\s*:\s*"(?:check_)?)(\w+)')
ENDINGS = re.compile(r"(\.(ipynb|zip|json|txt))+(\s*\(\d+\))?\s*\Z", re.IGNORECASE)
PACKAGES = (".docx", ".xlsx", ".pptx", ".odt", ".ods", ".odp", ".jar", ".whl", ".npz", ".keras", ".epub")
# What systems, editors and platforms leave behind, which nobody has handed in.
DROPPINGS = re.compile(
    r"\.DS_Store|\._.*|Thumbs\.db|ehthumbs\.db|desktop\.ini|__MACOSX|\.git|\.svn|\.hg|\.gitignore|\.gitkeep|\.cache|"
    r"\.ipynb_checkpoints|__pycache__|\.~lock\..*|~\$.*|\.nfs.*|\.Trash.*|\$RECYCLE\.BIN|lost\+found|\.directory|"
    r"System Volume Information|\.Spotlight-V100|\.fseventsd|\.TemporaryItems|\.apdisk",
    re.IGNORECASE,
)
CHECKPOINTS = ".ipynb_checkpoints"  # a dropping, and yet the last that is left of some notebooks
ENVIRONMENTS = {".venv", "venv", "node_modules", "site-packages"}
ENVIRONMENT_MARKS = {"pyvenv.cfg", "conda-meta"}
# Folders of the course that hold no work of a learner's; they are known by the folder `lessons` beside them.
OF_THE_COURSE = {"solutions", "colab", "binder", "docs", "datasets", "tests", "ssdseg_course", "ssdseg_ref", ".ssdseg"}
LEFT_OUT = {"link": "left out: ", "device or pipe": "left out: ", "other file": ""}
ORDINARY, KEPT_ASIDE, CHECKPOINT = range(3)
TAKE = ("newest", "oldest", "named")
KNOWN: dict[bytes, list[Lesson]] = {}  # which lessons ask for a function of that name
for _lesson in LESSONS:
    for _function in names_of(_lesson):
        KNOWN.setdefault(_function.encode(), []).append(_lesson)


@dataclass(frozen=True)
class Submission:
    """What a learner has handed in for a lesson.

    Attributes:
        student: nbgrader's id of the learner.
        lesson: for which.
        content: the notebook's file, a large one without its outputs.
        timestamp: when it was handed in, where nbgrader has noted that.
        remarks: what was left out, or found under another name.
        learner: who, in full.
        secret: of nbgrader's exchange, for the learner to fetch feedback with; "" without one.
        file: what tells this file from all others where it has several names (hard links), else None.
        beside: content of the files that stand beside the notebook, by their paths from there.
        path: of the file below the folder of submissions, and on into an archive.
        packed: how many parts of that lead to the archive; 0 where it is in none.
        others: paths of the files beside it, likewise.
    """

    student: str
    lesson: Lesson
    content: bytes = field(repr=False)
    timestamp: datetime | None
    remarks: tuple[str, ...]
    learner: Learner | None = None
    secret: str = ""
    file: tuple[int, int] | None = None
    beside: dict[str, bytes] = field(default_factory=dict, repr=False)
    path: Parts = ()
    packed: int = 0
    others: tuple[Parts, ...] = ()


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

    def __post_init__(self):
        object.__setattr__(self, "student", shown(self.student, 100))
        object.__setattr__(self, "reason", shown(self.reason, LONGEST_SENTENCE))


class _RefusedError(Exception):
    """A file that is not read; the message says why."""


class _EnoughError(Exception):
    """One learner has handed in more than is looked at."""


@dataclass
class _Found:
    """A file that may be a notebook.

    Attributes:
        path: below the folder of submissions; of a file in an archive, the archive's own and then that in it.
        name: of the same below the learner's folder, fit to be shown.
        time: when it was last changed.
        claims: whether it is called a notebook.
        packed: how many parts of the path lead to the archive that it is in; 0 where it is in none.
        trouble: why it cannot be read, "" if it can.
        lesson: which it is of, None where that cannot be told.
        empty: whether it holds nothing at all.
        blank: whether nothing of a learner's is written in it.
    """

    path: Parts
    name: str
    time: float
    claims: bool
    packed: int = 0
    trouble: str = ""
    lesson: Lesson | None = None
    empty: bool = False
    blank: bool = False

    @property
    def worth(self) -> tuple:
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
        self.lesson = _lesson_of_content(content, self.lesson)
        self.empty = not content.strip(b"\x00 \t\r\n")
        self.blank = _is_blank(content)


def take_in(
    folder: Path, lesson: Lesson | None = None, take: str = TAKE[0], students: Students | None = None
) -> Iterator[Submission | Refusal]:
    """All that is to be graded in a folder of submissions, learner by learner.

    Args:
        folder: of the submissions; see the module.
        lesson: which alone is wanted; all without one.
        take: of several notebooks of one lesson, the "newest", the "oldest" or the "named" one counts.
        students: a table of ids and names.

    Raises:
        OSError: if the folder cannot be read.
    """
    by_key: dict[str, list[os.DirEntry]] = {}
    for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
        if DROPPINGS.fullmatch(entry.name):
            continue
        if (why := _why_nobodys(folder, entry)) is not None:
            yield Refusal(entry.name, "", why)
        else:
            is_folder = entry.is_dir(follow_symlinks=False)
            key = key_of(entry.name if is_folder else ENDINGS.sub("", entry.name))
            by_key.setdefault(key, []).append(entry)
    learners: dict[str, tuple[Learner, list[str]]] = {}
    for key in by_key:
        meant = students.find(key) if students else []
        if len(meant) > 1:
            ids = " or ".join(it.id for it in meant)
            yield Refusal(key, "", f"several in the table are called so ({ids}); name the folder after the id")
            continue
        learner = meant[0] if meant else Learner(id_of(key), shown(key))
        learners.setdefault(learner.id, (learner, []))[1].append(key)
    for learner, keys in learners.values():
        if len(keys) > 1 and not learner.listed:
            for key in keys:
                yield Refusal(key, "", f"the id {learner.id} would stand for somebody else, too; rename one folder")
            continue
        others = [it for it in learners if it != learner.id and it.casefold() == learner.id.casefold()]
        remarks = [f"{it} is taken for somebody else" for it in others]
        if students and not learner.listed:
            remarks.append("not in the table of students")
        try:
            yield from _of_learner(folder, learner, [it for key in keys for it in by_key[key]], lesson, take, remarks)
        except Exception as error:  # whatever somebody has handed in, it must not cost the others their grades
            name = lesson.name if lesson else ""
            yield Refusal(learner.id, name, f"reading it stopped with {type(error).__name__}: {shown(error)}")


def _why_nobodys(folder: Path, entry: os.DirEntry) -> str | None:
    """Why an entry of the folder of submissions is no learner's, None if it is one's."""
    if entry.is_symlink():
        return "it is a link; links are not followed"
    is_folder = entry.is_dir(follow_symlinks=False)
    stem = COPY.sub("", ENDINGS.sub("", entry.name)).casefold()
    if named := next((it for it in LESSONS if it.name == stem), None):
        path = shlex.quote(shown(folder / entry.name, 200))
        then = f": `ssdseg grade {path} --lesson {named.number}`" if is_folder else ""
        return f"it is named after a lesson, and here learners' names stand{then}"
    if is_folder or NOTEBOOK.search(entry.name):
        return None
    try:
        with _opened(folder, (entry.name,)) as file:
            head = file.read(HEAD)
    except _RefusedError as refused:
        return str(refused)
    if _looks_like_a_notebook(head) or _is_pack(entry.name, head):
        return None
    return "it is neither a learner's folder nor a notebook"


def _of_learner(
    folder: Path, learner: Learner, entries: Sequence[os.DirEntry], wanted: Lesson | None, take: str, known: list[str]
) -> Iterator[Submission | Refusal]:
    """What one learner has handed in: of each lesson the notebook that counts, and of the rest why not."""
    search = _Search(folder, entries)
    found, remarks = search.found, [*known, *search.remarks]
    of = {lesson: [it for it in found if it.lesson is lesson] for lesson in LESSONS}
    unknown = [it for it in found if it.lesson is None]
    if wanted:
        taken_for_it = [] if of[wanted] else [it for it in unknown if it.claims]
        of = {wanted: of[wanted] or taken_for_it}
        unknown = [it for it in unknown if it not in taken_for_it]
    remarks += [f"{it.name}: {_cannot_be_told(it)}" for it in unknown if wanted or not it.claims][:FEW]
    best = {lesson: _best(several, lesson, take) for lesson, several in of.items() if several}
    not_begun = []
    if not wanted and sum(it.in_course for it in found) > 1:
        not_begun = [lesson for lesson, (it, _) in best.items() if it.in_course and it.blank]
    if not_begun and len(not_begun) < len(best):
        remarks.append(f"not begun, and not graded: {', '.join(lesson.name for lesson in not_begun)}")
    refusals, is_graded = [], False
    for lesson, (it, said) in best.items():
        if lesson in not_begun:
            continue
        result = _submission(folder, learner, it, lesson, (*said, *remarks), search.others)
        if isinstance(result, Submission):
            is_graded = True
            yield result
        else:
            refusals.append(result)
    if not wanted:
        claiming = [it for it in unknown if it.claims]
        ordinary = [it for it in claiming if it.standing == ORDINARY]
        refusals += [Refusal(learner.id, "", f"{it.name}: {_cannot_be_told(it)}") for it in ordinary or claiming]
        for name, lesson in search.lesson_folders.items():
            if not (of[lesson] or any(name == it.path[1] for it in found if len(it.path) > 2)):
                reason = "; ".join((f"{shown(name)}: there is no notebook in it", *remarks))
                refusals.append(Refusal(learner.id, lesson.name, reason))
    if not (is_graded or refusals):
        nothing = "there is no notebook" + " of this lesson" * (wanted is not None)
        if not_begun:
            nothing = "nothing is written in any of its lessons"
        others = [f"{it.name}: {it.trouble or f'it looks like {it.lesson.name}'}" for it in found if it.lesson]
        reason = "; ".join((nothing, *others[:FEW], *remarks))
        refusals.append(Refusal(learner.id, wanted.name if wanted else "", reason))
    yield from refusals[:MOST_REFUSALS]
    if len(refusals) > MOST_REFUSALS:
        yield Refusal(learner.id, "", f"there are {len(refusals) - MOST_REFUSALS} more like these")


def _cannot_be_told(it: _Found) -> str:
    return it.trouble or ("the file is empty" if it.empty else "it cannot be told which lesson that is; try --lesson")


def _is_blank(content: bytes) -> bool:
    """Whether nothing of a learner's is in a notebook. One that is damaged, or very large, may hold something."""
    if len(content) > SMALL:
        return False
    try:
        return not has_work(parse_notebook(content.decode("utf-8-sig"), ""))
    except Exception:  # broken in one of many ways, which is for `repair` to look at
        return False


def _best(several: list[_Found], lesson: Lesson, take: str) -> tuple[_Found, list[str]]:
    """The notebook that counts, where a learner has several of one lesson, and what to say of it."""
    own = f"{lesson.name}.ipynb"
    worth = min(it.worth for it in several)
    best = [it for it in several if it.worth == worth]
    rivals = len(best)
    if take == "newest":
        best = [it for it in best if it.time >= max(it.time for it in best) - SECONDS_APART]
    elif take == "oldest":
        best = [it for it in best if it.time <= min(it.time for it in best) + SECONDS_APART]
    chosen = min(best, key=lambda it: (it.path[1:] != (lesson.name, own), it.path[-1] != own, len(it.path), it.path))
    remarks = []
    if _lesson_of_name(chosen.path) not in (lesson, None):
        remarks.append(f"{chosen.name} is {lesson.name} by what is in it; it was graded as that")
    elif len(chosen.path) > 1 and chosen.path[-1].casefold() != own.casefold():
        remarks.append(f"{chosen.name} was taken for {own}")
    if chosen.standing == CHECKPOINT:
        remarks.append("that is the copy which Jupyter kept; the notebook itself is not there, or cannot be read")
    left_out = [it.name for it in several if it is not chosen and it.standing != CHECKPOINT]
    if left_out:
        why = "what else there is holds nothing, was kept aside, or cannot be read"
        if rivals > 1:
            why = f"the {take} of {rivals}" if rivals > len(best) else "by its name"
        remarks.append(f"{chosen.name} counts ({why}); left out: {_listed(left_out)}")
    return chosen, remarks


def _submission(
    folder: Path, learner: Learner, it: _Found, lesson: Lesson, remarks: tuple[str, ...], others: list[Parts]
) -> Submission | Refusal:
    remarks = tuple(shown(remark, LONGEST_SENTENCE) for remark in remarks)
    if it.trouble:
        return Refusal(learner.id, lesson.name, "; ".join((f"{it.name}: {it.trouble}", *remarks)))
    here = it.path[:-1]
    others = tuple(path for path in others if here and path[: len(here)] == here)[:MOST_BESIDE]
    found = Submission(learner.id, lesson, b"", None, remarks, learner, path=it.path, packed=it.packed, others=others)
    try:
        found = read_again(folder, found)
    except NotebookError as refused:
        return Refusal(learner.id, lesson.name, f"{it.name}: {refused}")
    if it.packed or not here:
        return found
    about = os.stat(folder.joinpath(*it.path), follow_symlinks=False)
    return replace(
        found,
        timestamp=_timestamp(folder, (*here, TIMESTAMP)),
        secret=_secret(folder, (*here, SECRET)),
        file=(about.st_dev, about.st_ino) if about.st_nlink > 1 else None,
    )


def read_again(folder: Path, submission: Submission) -> Submission:
    """A submission with its content, which need not be kept as long as others are read.

    Raises:
        NotebookError: if it is no longer there, or can no longer be read.
    """
    path, packed = submission.path, submission.packed
    wanted = {path, *submission.others}
    beside: dict[str, bytes] = {}
    budget = Budget(MOST_BESIDE, LARGEST_BESIDE)
    content = None
    try:
        for found, text in _contents(folder, path, wanted, packed):
            if found == path:
                content = _light(text)
            elif found in wanted:
                with suppress(BulkError):
                    budget.take(len(text))
                    beside["/".join(found[len(path) - 1 :])] = text
    except (_RefusedError, BulkError) as refused:
        raise NotebookError(str(refused)) from None
    if content is None:
        raise NotebookError("it is no longer there")
    return replace(submission, content=content, beside=beside)


def _contents(folder: Path, first: Parts, wanted: set[Parts], packed: int) -> Iterator[tuple[Parts, bytes]]:
    """Of a notebook and files beside it, on disk or in one archive, the paths and contents; others may be gone."""
    if not packed:
        for path in (first, *sorted(wanted - {first})):
            try:
                with _opened(folder, path) as file:
                    yield path, _content(file, LARGEST_FILE)
            except _RefusedError:
                if path == first:
                    raise
        return
    archive = next(iter(wanted))[:packed]
    inside = {path[packed:] for path in wanted}
    on_the_way = {path[:k] for path in inside for k in range(1, len(path) + 1)}
    with _opened(folder, archive) as file:
        for member in members(file, lambda it, _: it in on_the_way, LARGEST_FILE, Budget(MOST_ENTRIES, MOST_BYTES)):
            if member.content is not None:
                yield (*archive, *member.parts), member.content


class _Search:
    """Looks through what one learner has handed in, without following a link.

    Attributes:
        found: what may be a notebook.
        others: what is no notebook, and may be used by one that stands beside it.
        lesson_folders: the folders in the learner's own that are named after a lesson.
    """

    def __init__(self, folder: Path, entries: Sequence[os.DirEntry]):
        self.found: list[_Found] = []
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
            f"{LEFT_OUT[kind]}{len(names)} {kind}{'s' * (len(names) > 1)} ({_listed(names)})"
            for kind, names in self._other.items()
            if names
        ]
        more = [f"and {len(self._notes) - FEW} more like these"] if len(self._notes) > FEW else []
        return [*said, *self._notes[:FEW], *more]

    def _go_through(self, entries: Sequence[os.DirEntry]) -> None:
        open_folders: list[Parts] = []
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                open_folders.append((entry.name,))
            else:
                self._look_at(entry, (entry.name,))
        while open_folders:
            below = open_folders.pop(0)
            try:
                children = sorted(os.scandir(self._folder.joinpath(*below)), key=lambda entry: entry.name)
            except OSError as error:
                self._notes.append(f"{self._name(below)}: it cannot be opened: {error.strerror}")
                continue
            beside = {entry.name for entry in children}
            if beside & ENVIRONMENT_MARKS:
                continue
            if not beside and len(below) < 3:
                self._notes.append(f"{self._name(below)} is empty")
            for entry in children:
                path = (*below, entry.name)
                if DROPPINGS.fullmatch(entry.name) and entry.name != CHECKPOINTS:
                    continue
                self._count(0)
                if not entry.is_dir(follow_symlinks=False):
                    self._look_at(entry, path)
                elif len(path) > DEEPEST:
                    self._notes.append(f"{self._name(path)}: it lies too deep to be looked at")
                elif not _is_provided(entry.name, "lessons" in beside):
                    open_folders.append(path)
                    if NOTEBOOK.search(entry.name):
                        self._notes.append(f"{self._name(path)} is a folder")
                    elif len(path) == 2 and (lesson := _lesson_of_name(path)):
                        self.lesson_folders[entry.name] = lesson

    def _look_at(self, entry: os.DirEntry, path: Parts) -> None:
        """See whether a file is a notebook or an archive, and what it holds."""
        if entry.name in (TIMESTAMP, SECRET):
            return
        about = entry.stat(follow_symlinks=False)
        it = _Found(path, self._name(path), about.st_mtime, NOTEBOOK.search(entry.name) is not None)
        it.lesson = _lesson_of_name(path)
        if not it.claims:
            self._looked_into += 1
            if self._looked_into == MOST_FILES + 1:
                self._notes.insert(0, f"there are more than {MOST_FILES:,} files; only the first were looked into")
            if self._looked_into > MOST_FILES:
                return
        try:
            with _opened(self._folder, path) as file:
                head = file.read(HEAD)
                file.seek(0)
                if _is_pack(entry.name, head):
                    self._unpack(file, it)
                    return
                if not (it.claims or _looks_like_a_notebook(head)):
                    self._note_other(it, about.st_size)
                    return
                self._count(min(about.st_size, LARGEST_FILE))
                it.look_at(_light(_content(file, LARGEST_FILE)))
        except (_RefusedError, BulkError) as refused:
            it.trouble = str(refused)
            if not it.claims and (stat.S_ISREG(about.st_mode) or stat.S_ISDIR(about.st_mode)):
                self._notes.append(f"{it.name}: {refused}")
                return
            if not it.claims:
                self._other["link" if stat.S_ISLNK(about.st_mode) else "device or pipe"].append(it.name)
                return
        self.found.append(it)

    def _unpack(self, file: BinaryIO, archive: _Found) -> None:
        """Find what may be a notebook in an archive."""
        if len(archive.path) == 1 and _is_of_a_class(file):
            raise _RefusedError("it holds the work of several learners; unpack it in the folder of submissions")
        before = len(self.found)
        try:
            for member in members(file, _may_be_wanted, LARGEST_FILE, self._budget):
                self._count(0)
                path = (*archive.path, *member.parts)
                it = _Found(path, self._name(path), member.time, NOTEBOOK.search(member.parts[-1]) is not None)
                it.packed, it.lesson = len(archive.path), _lesson_of_name(path)
                if member.content is None or not (it.claims or _looks_like_a_notebook(member.content[:HEAD])):
                    self._note_other(it, member.size)
                    continue
                try:
                    if len(member.content) > LARGEST_FILE:
                        raise _RefusedError(_too_large(LARGEST_FILE))
                    it.look_at(_light(member.content))
                except (_RefusedError, BulkError) as refused:
                    it.trouble = str(refused)
                self.found.append(it)
        except BulkError as refused:
            self._count(0)
            self._notes.append(f"{archive.name}: {refused}")
            return
        if len(self.found) == before:
            self._notes.append(f"{archive.name}: there is no notebook in it")

    def _note_other(self, it: _Found, size: int) -> None:
        self._other["other file"].append(it.name)
        if size > LARGEST_BESIDE:
            self._notes.append(f"{it.name} is too large to be there for a notebook that uses it")
        elif not any(part.startswith(".") for part in it.path[1:]):
            self.others.append(it.path)

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


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:FEW]) + ", …" * (len(names) > FEW)


def _is_provided(name: str, in_course: bool) -> bool:
    """Whether a folder is an environment or one of the course's own, and no place for a learner's work."""
    return name in ENVIRONMENTS or (in_course and name in OF_THE_COURSE)


def _may_be_wanted(parts: Parts, folders: set[Parts]) -> bool | None:
    """Whether a file of an archive may be a notebook, or an archive with one; None for what a search passes over."""
    for place, part in enumerate(parts):
        is_dropping = part != CHECKPOINTS and DROPPINGS.fullmatch(part) is not None
        if is_dropping or (place < len(parts) - 1 and _is_provided(part, (*parts[:place], "lessons") in folders)):
            return None
    last = parts[-1]
    return not Path(last).suffix or bool(NOTEBOOK.search(last) or ENDINGS.search(last))


def _is_of_a_class(file: BinaryIO) -> bool:
    """Whether an archive holds folders of several learners, as a platform hands them out."""
    known = {member.parts[0] for member in members(file, lambda *_: False, 0, Budget(0, 0))}
    file.seek(0)
    return sum(MOODLE.search(name) is not None for name in known) > 1


def _light(content: bytes) -> bytes:
    """A notebook, if it is large without its outputs.

    Raises:
        BulkError, _RefusedError: if it is too large all the same.
    """
    if len(content) <= SMALL:
        return content
    light = without_outputs(content)
    if len(light) > LARGEST_NOTEBOOK:
        raise _RefusedError(f"{_too_large(LARGEST_NOTEBOOK)} without its outputs")
    try:
        json.loads(light if len(light) <= SMALL else b"{}", strict=False)
    except (ValueError, RecursionError):  # damaged: brackets may not stand for what they seem to
        return content if len(content) <= LARGEST_NOTEBOOK else light
    return light


def _too_large(most: int) -> str:
    return f"it has more than {most // MIB} MiB"


def _is_pack(name: str, head: bytes) -> bool:
    """Whether a file is an archive, and not one of those that hold something else."""
    return is_archive(head) and not name.casefold().endswith(PACKAGES)


def _looks_like_a_notebook(head: bytes) -> bool:
    """Whether a file that begins so is one, whatever it is called; with two or four bytes a letter as well."""
    text = head.replace(b"\x00", b"").lstrip(b"\xef\xbb\xbf\xff\xfe \t\r\n")
    return text.startswith(b"{") and SHOWS_A_NOTEBOOK.search(text) is not None


@contextmanager
def _opened(root: Path, path: Parts) -> Iterator[BinaryIO]:
    """A plain file; no part of its path may be a link.

    Raises:
        _RefusedError: for anything else.
    """
    descriptors: list[int] = []
    try:
        try:
            descriptors.append(os.open(root, os.O_RDONLY | os.O_DIRECTORY))
            for part in path[:-1]:
                flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
                descriptors.append(os.open(part, flags, dir_fd=descriptors[-1]))
            place = os.fstat(descriptors[-1])
            _must_be_plain(os.stat(path[-1], dir_fd=descriptors[-1], follow_symlinks=False), place)
            # O_NONBLOCK: opening a pipe must not wait for somebody to write into it.
            flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK
            descriptors.append(os.open(path[-1], flags, dir_fd=descriptors[-1]))
            _must_be_plain(os.fstat(descriptors[-1]), place)
            file = os.fdopen(descriptors[-1], "rb", closefd=False)
        except (OSError, ValueError) as error:
            why = getattr(error, "strerror", None) or "its name is none"
            raise _RefusedError(f"it cannot be read: {why}") from None
        with file:
            yield file
    finally:
        for descriptor in descriptors:
            os.close(descriptor)


def _must_be_plain(about: os.stat_result, place: os.stat_result) -> None:
    """A link could lead to what its maker may not read. A hard link is one as well, where the file is another's."""
    if stat.S_ISLNK(about.st_mode):
        raise _RefusedError("it is a link; links are not followed")
    if not stat.S_ISREG(about.st_mode):
        raise _RefusedError("it is no plain file")
    if about.st_nlink > 1 and about.st_uid != place.st_uid:
        raise _RefusedError("it is somebody else's file under another name (a hard link); put a copy in its place")


def _content(file: BinaryIO, most: int) -> bytes:
    try:
        content = file.read(most + 1)
    except OSError as error:
        raise _RefusedError(f"it cannot be read: {error.strerror}") from None
    if len(content) > most:
        raise _RefusedError(_too_large(most))
    return content


def _note(folder: Path, path: Parts) -> str:
    """What nbgrader has laid beside a notebook, "" if nothing."""
    try:
        with _opened(folder, path) as file:
            return _content(file, LONGEST_NOTE).decode("ascii").strip()
    except (_RefusedError, UnicodeDecodeError):
        return ""


def _timestamp(folder: Path, path: Parts) -> datetime | None:
    try:
        return parse_utc(_note(folder, path) or None)
    except Exception:  # whatever dateutil makes of what a learner may have written there
        return None


def _secret(folder: Path, path: Parts) -> str:
    note = _note(folder, path)
    return note if NBGRADER_SECRET.fullmatch(note) else ""


def read_plain(path: Path) -> bytes:
    """The content of a learner's own notebook.

    Raises:
        NotebookError: if it is no plain file, or too large.
    """
    try:
        with _opened(path.parent, (path.name,)) as file:
            return _light(_content(file, LARGEST_FILE))
    except (_RefusedError, BulkError) as refused:
        raise NotebookError(f"{path}: {refused}") from None


def lesson_of(path: Path, content: bytes) -> Lesson | None:
    """The lesson that a notebook is of, by its name and by what is in it; None where neither tells."""
    return _lesson_of_content(content, _lesson_of_name((path.name,)))


def _lesson_of_name(path: Parts) -> Lesson | None:
    """The lesson that a path names: by its file first, then by its folders below the learner's."""
    for part in reversed(path[1:] or path):
        name = COPY.sub("", ENDINGS.sub("", part)).casefold()
        for lesson in LESSONS:
            if name == lesson.name or part.casefold().startswith(lesson.name):
                return lesson
    return None


def _lesson_of_content(content: bytes, named: Lesson | None) -> Lesson | None:
    """The lesson most of whose functions a notebook defines; that of its name, unless it has far fewer of that."""
    known = {name[1] for name in NAMED.finditer(content.replace(b"\x00", b""))} & KNOWN.keys()
    counted = Counter(lesson for name in known for lesson in KNOWN[name])
    if not counted:
        return named
    best = max(LESSONS, key=lambda lesson: counted[lesson])
    return best if named is None or counted[best] > 2 * counted[named] else named
