"""Takes in what a class has handed in: of each learner and lesson the notebook that counts, and of the rest why not.

A folder of submissions holds, for each learner, a folder, a notebook or a zip archive of that name; whose it is,
`names` says. Below a learner's folder a notebook may stand anywhere, in archives too, and have any name: `search` finds
it, and `recognition` tells what it is. What is found and cannot be graded is named with a reason; nothing is silent.
"""

import os
import re
import shlex
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

from ssdseg_course.grading.bulk import Budget, BulkError, Parts, members
from ssdseg_course.grading.names import Learner, Students, id_of, key_of
from ssdseg_course.grading.plain_files import LARGEST_FILE, RefusedError, light, opened, read_content
from ssdseg_course.grading.recognition import (
    DROPPINGS,
    ENDINGS,
    HEAD,
    NOTEBOOK,
    is_pack,
    lesson_of_name,
    looks_like_a_notebook,
    stem,
)
from ssdseg_course.grading.sandbox import LARGEST_BESIDE, MOST_BESIDE
from ssdseg_course.grading.search import (
    CHECKPOINT,
    FEW,
    MOST_BYTES,
    MOST_ENTRIES,
    ORDINARY,
    SECRET,
    TIMESTAMP,
    Found,
    Search,
    listed,
)
from ssdseg_course.grading.text import LONGEST_SENTENCE, shown
from ssdseg_course.manifest import LESSONS, Lesson
from ssdseg_course.work.workspace import NotebookError

LONGEST_NOTE = 200  # bytes of a timestamp or a secret of nbgrader's
MOST_REFUSALS = 20  # of one learner that are named
SECONDS_APART = 2  # of two files of which one is the newer: archives count in steps of two seconds
NBGRADER_SECRET = re.compile(r"[\w-]{8,128}", re.ASCII)
TAKE = ("newest", "oldest", "named")


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
        modified: when the file was last changed, in seconds since 1970, as it or its archive says.
    """

    student: str
    lesson: Lesson
    content: bytes = field(repr=False)
    timestamp: datetime | None
    remarks: tuple[str, ...]
    learner: Learner
    secret: str = ""
    file: tuple[int, int] | None = None
    beside: dict[str, bytes] = field(default_factory=dict, repr=False)
    path: Parts = ()
    packed: int = 0
    others: tuple[Parts, ...] = ()
    modified: float = 0


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

    def __post_init__(self) -> None:
        object.__setattr__(self, "student", shown(self.student, 100))
        object.__setattr__(self, "reason", shown(self.reason, LONGEST_SENTENCE))


def take_in(
    folder: Path, lesson: Lesson | None = None, take: str = TAKE[0], students: Students | None = None
) -> Iterator[Submission | Refusal]:
    """All that is to be graded in a folder of submissions, learner by learner.

    Args:
        folder: of the submissions; see the module.
        lesson: the only one that is wanted; all without one.
        take: of several notebooks of one lesson, the "newest", the "oldest" or the "named" one counts.
        students: a table of ids and names.

    Raises:
        OSError: if the folder cannot be read.
    """
    by_key: dict[str, list[os.DirEntry[str]]] = {}
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
            ids = " or ".join(learner.id for learner in meant)
            yield Refusal(key, "", f"several in the table have this name ({ids}); name the folder after the id")
            continue
        learner = meant[0] if meant else Learner(id_of(key), shown(key))
        learners.setdefault(learner.id, (learner, []))[1].append(key)
    for learner, keys in learners.values():
        if len(keys) > 1 and not learner.listed:
            for key in keys:
                yield Refusal(key, "", f"the id {learner.id} would stand for somebody else, too; rename one folder")
            continue
        others = [other for other in learners if other != learner.id and other.casefold() == learner.id.casefold()]
        remarks = [f"{other} is taken for somebody else" for other in others]
        if students and not learner.listed:
            remarks.append("not in the table of students")
        entries = [entry for key in keys for entry in by_key[key]]
        try:
            yield from _OneLearner(learner, Search(folder, entries), lesson, take, remarks).hand_ins(folder)
        except Exception as error:  # whatever somebody has handed in, it must not cost the others their grades
            name = lesson.name if lesson else ""
            yield Refusal(learner.id, name, f"reading it stopped with {type(error).__name__}: {shown(error)}")


def _why_nobodys(folder: Path, entry: os.DirEntry[str]) -> str | None:
    """Why an entry of the folder of submissions is no learner's, None if it is one's."""
    if entry.is_symlink():
        return "it is a link; links are not followed"
    is_folder = entry.is_dir(follow_symlinks=False)
    name = stem(entry.name)
    if named := next((lesson for lesson in LESSONS if lesson.name == name), None):
        path = shlex.quote(shown(folder / entry.name, 200))
        then = f": `ssdseg grade {path} --lesson {named.number}`" if is_folder else ""
        return f"it is named after a lesson, and here learners' names stand{then}"
    if is_folder or NOTEBOOK.search(entry.name):
        return None
    try:
        with opened(folder, (entry.name,)) as file:
            head = file.read(HEAD)
    except RefusedError as refused:
        return str(refused)
    if looks_like_a_notebook(head) or is_pack(entry.name, head):
        return None
    return "it is neither a learner's folder nor a notebook"


class _OneLearner:
    """What one learner has handed in: of each lesson the notebook that counts, and of the rest why not."""

    def __init__(self, learner: Learner, search: Search, wanted: Lesson | None, take: str, remarks: Sequence[str]):
        self._learner, self._search, self._wanted = learner, search, wanted
        by_lesson = {lesson: [file for file in search.found if file.lesson is lesson] for lesson in LESSONS}
        self._unknown = [file for file in search.found if file.lesson is None]
        if wanted:
            taken_for_it = [] if by_lesson[wanted] else [file for file in self._unknown if file.claims]
            by_lesson = {wanted: by_lesson[wanted] or taken_for_it}
            self._unknown = [file for file in self._unknown if file not in taken_for_it]
        self._best = {lesson: _best(files, lesson, take) for lesson, files in by_lesson.items() if files}
        self._not_begun = self._lessons_not_begun()
        unclear = [file for file in self._unknown if wanted or not file.claims]
        self._remarks = [*remarks, *search.remarks]
        self._remarks += [f"{file.name}: {_cannot_be_told(file)}" for file in unclear][:FEW]
        if self._not_begun and len(self._not_begun) < len(self._best):
            self._remarks.append(f"not begun, and not graded: {', '.join(lesson.name for lesson in self._not_begun)}")

    def _lessons_not_begun(self) -> list[Lesson]:
        """Of a course that was handed in whole, the lessons in which nothing is written."""
        if self._wanted or sum(file.in_course for file in self._search.found) < 2:
            return []
        return [lesson for lesson, (file, _) in self._best.items() if file.in_course and file.blank]

    def hand_ins(self, folder: Path) -> Iterator[Submission | Refusal]:
        """One for each lesson, then what cannot be graded; at least one in all."""
        refusals: list[Refusal] = []
        is_graded = False
        for lesson, (file, said) in self._best.items():
            if lesson in self._not_begun:
                continue
            remarks = (*said, *self._remarks)
            hand_in = _submission(folder, self._learner, file, lesson, remarks, self._search.others)
            if isinstance(hand_in, Submission):
                is_graded = True
                yield hand_in
            else:
                refusals.append(hand_in)
        if not self._wanted:
            refusals += self._of_no_lesson()
        if not (is_graded or refusals):
            refusals.append(self._nothing())
        yield from refusals[:MOST_REFUSALS]
        if len(refusals) > MOST_REFUSALS:
            yield Refusal(self._learner.id, "", f"there are {len(refusals) - MOST_REFUSALS} more like these")

    def _of_no_lesson(self) -> Iterator[Refusal]:
        """Notebooks of which it cannot be told what they are, and folders of lessons that hold none."""
        claiming = [file for file in self._unknown if file.claims]
        for file in [file for file in claiming if file.standing == ORDINARY] or claiming:
            yield Refusal(self._learner.id, "", f"{file.name}: {_cannot_be_told(file)}")
        for name, lesson in self._search.lesson_folders.items():
            has_notebook = any(name == file.path[1] for file in self._search.found if len(file.path) > 2)
            if not (lesson in self._best or has_notebook):
                reason = "; ".join((f"{shown(name)}: there is no notebook in it", *self._remarks))
                yield Refusal(self._learner.id, lesson.name, reason)

    def _nothing(self) -> Refusal:
        """Why there is nothing at all to grade."""
        nothing = "there is no notebook" + " of this lesson" * (self._wanted is not None)
        if self._not_begun:
            nothing = "nothing is written in any of its lessons"
        known = ((file, file.lesson) for file in self._search.found if file.lesson)
        others = [f"{file.name}: {file.trouble or f'it looks like {lesson.name}'}" for file, lesson in known]
        reason = "; ".join((nothing, *others[:FEW], *self._remarks))
        return Refusal(self._learner.id, self._wanted.name if self._wanted else "", reason)


def _cannot_be_told(file: Found) -> str:
    return file.trouble or (
        "the file is empty" if file.empty else "it cannot be told which lesson that is; try --lesson"
    )


def _best(files: list[Found], lesson: Lesson, take: str) -> tuple[Found, list[str]]:
    """The notebook that counts, where a learner has several of one lesson, and what to say of it."""
    own = f"{lesson.name}.ipynb"
    worth = min(file.worth for file in files)
    best = [file for file in files if file.worth == worth]
    rivals = len(best)
    if take == "newest":
        best = [file for file in best if file.time >= max(other.time for other in best) - SECONDS_APART]
    elif take == "oldest":
        best = [file for file in best if file.time <= min(other.time for other in best) + SECONDS_APART]
    chosen = min(
        best, key=lambda file: (file.path[1:] != (lesson.name, own), file.path[-1] != own, len(file.path), file.path)
    )
    remarks = []
    if lesson_of_name(chosen.path) not in (lesson, None):
        remarks.append(f"{chosen.name} is {lesson.name} by what is in it; it was graded as that")
    elif len(chosen.path) > 1 and chosen.path[-1].casefold() != own.casefold():
        remarks.append(f"{chosen.name} was taken for {own}")
    if chosen.standing == CHECKPOINT:
        remarks.append("that is the copy which Jupyter kept; the notebook itself is not there, or cannot be read")
    left_out = [file.name for file in files if file is not chosen and file.standing != CHECKPOINT]
    if left_out:
        why = "what else there is holds nothing, was kept aside, or cannot be read"
        if rivals > 1:
            why = f"the {take} of {rivals}" if rivals > len(best) else "by its name"
        remarks.append(f"{chosen.name} counts ({why}); left out: {listed(left_out)}")
    return chosen, remarks


def _submission(
    folder: Path, learner: Learner, file: Found, lesson: Lesson, remarks: tuple[str, ...], others: list[Parts]
) -> Submission | Refusal:
    remarks = tuple(shown(remark, LONGEST_SENTENCE) for remark in remarks)
    if file.trouble:
        return Refusal(learner.id, lesson.name, "; ".join((f"{file.name}: {file.trouble}", *remarks)))
    here = file.path[:-1]
    beside = tuple(path for path in others if here and path[: len(here)] == here)[:MOST_BESIDE]
    found = Submission(
        learner.id,
        lesson,
        b"",
        None,
        remarks,
        learner,
        path=file.path,
        packed=file.packed,
        others=beside,
        modified=file.time,
    )
    try:
        found = read_again(folder, found)
    except NotebookError as refused:
        return Refusal(learner.id, lesson.name, f"{file.name}: {refused}")
    if file.packed or not here:
        return found
    about = os.stat(folder.joinpath(*file.path), follow_symlinks=False)
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
                content = light(text)
            elif found in wanted:
                with suppress(BulkError):
                    budget.take(len(text))
                    beside["/".join(found[len(path) - 1 :])] = text
    except (RefusedError, BulkError) as refused:
        raise NotebookError(str(refused)) from None
    if content is None:
        raise NotebookError("it is no longer there")
    return replace(submission, content=content, beside=beside)


def _contents(folder: Path, first: Parts, wanted: set[Parts], packed: int) -> Iterator[tuple[Parts, bytes]]:
    """Of a notebook and files beside it, on disk or in one archive, the paths and contents; others may be gone."""
    if not packed:
        for path in (first, *sorted(wanted - {first})):
            try:
                with opened(folder, path) as file:
                    yield path, read_content(file)
            except RefusedError:
                if path == first:
                    raise
        return
    archive = first[:packed]
    inside = {path[packed:] for path in wanted}
    on_the_way = {path[:length] for path in inside for length in range(1, len(path) + 1)}
    budget = Budget(MOST_ENTRIES, MOST_BYTES)
    with opened(folder, archive) as file:
        for member in members(file, lambda path, _: path in on_the_way, LARGEST_FILE, budget):
            if member.content is not None:
                yield (*archive, *member.parts), member.content


def _note(folder: Path, path: Parts) -> str:
    """What nbgrader has laid beside a notebook, "" if nothing."""
    try:
        with opened(folder, path) as file:
            return read_content(file, LONGEST_NOTE).decode("ascii").strip()
    except (RefusedError, UnicodeDecodeError):
        return ""


def _timestamp(folder: Path, path: Parts) -> datetime | None:
    from nbgrader.utils import parse_utc  # takes seconds; who looks at a folder of submissions has them

    try:
        timestamp: datetime | None = parse_utc(_note(folder, path) or None)
    except Exception:  # whatever dateutil makes of what a learner may have written there
        return None
    return timestamp


def _secret(folder: Path, path: Parts) -> str:
    note = _note(folder, path)
    return note if NBGRADER_SECRET.fullmatch(note) else ""
