"""Whose a hand-in is: any name becomes an id that is safe as a folder, in a table and on a page, and always the same.

A name of letters of any script, digits, spaces and . @ + - _ that begins with a letter or a digit is its own id. Any
other becomes what is readable of it with a digest of the whole name behind. A table of students says otherwise.
"""

import csv
import hashlib
import io
import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ssdseg_course.grading.text import shown

if TYPE_CHECKING:
    import _csv

LONGEST_ID = 100  # characters; nbgrader's database has room for 128
LONGEST_FOLDER = 200  # bytes; file systems take 255
READABLE, DIGEST = 40, 8  # characters of an id that is not the name itself
BETWEEN = " .@+-_"
LARGEST_TABLE = 2**22
# Moodle names a folder after the learner, a number of its own, and what was handed in.
MOODLE = re.compile(r"_assignsubmission_(?:file|onlinetext)_?\Z")
NUMBER = re.compile(r"(?P<name>.*?)(?:_\d+|\s*\((?P<id>[^()]+)\))\Z", re.DOTALL)
FORMULA = "=+-@\t\r"


class StudentsError(ValueError):
    """A table of students that cannot be used; the message names the file, the line and the way out."""


@dataclass(frozen=True)
class Learner:
    """Somebody who hands in.

    Attributes:
        id: nbgrader's.
        name: as their folder is called, fit to be shown.
        first_name, last_name, email: where a table says so.
        listed: whether they stand in the table.
    """

    id: str
    name: str
    first_name: str = ""
    last_name: str = ""
    email: str = ""
    listed: bool = False


def key_of(name: str) -> str:
    """What is one for all folders of one learner: whatever a platform adds is gone, and how accents are written."""
    return MOODLE.sub("", unicodedata.normalize("NFC", name))


def is_plain(name: str) -> bool:
    """Whether a name can be an id as it is."""
    return (
        0 < len(name) <= LONGEST_ID
        and len(name.encode("utf-8", "surrogateescape")) <= LONGEST_FOLDER
        and unicodedata.category(name[0])[0] in "LN"
        and name[-1] not in " ."
        and all(map(_is_usual, name))
    )


def id_of(key: str) -> str:
    """nbgrader's id of a learner without a table."""
    if is_plain(key):
        return key
    readable = re.sub(r" *-[ -]*", "-", "".join(letter if _is_usual(letter) else "-" for letter in key[:LONGEST_ID]))
    while readable and unicodedata.category(readable[0])[0] not in "LN":
        readable = readable[1:]
    digest = hashlib.sha256(key.encode("utf-8", "surrogateescape")).hexdigest()[:DIGEST]
    return f"{readable[:READABLE].rstrip(BETWEEN) or 'learner'}-{digest}"


def _is_usual(letter: str) -> bool:
    return letter in BETWEEN or unicodedata.category(letter)[0] in "LMN"


def in_a_table(text: str) -> str:
    """A text for a cell of a spreadsheet: none that would be worked out as a formula."""
    return f"'{text}" if text.lstrip(" ").startswith(tuple(FORMULA)) else text


class Students:
    """A table of ids and names."""

    def __init__(self, learners: Iterable[Learner]):
        self.learners = {learner.id: learner for learner in learners}
        self._by_id = {_folded(learner.id): learner for learner in self.learners.values()}
        self._by_name: dict[str, set[str]] = {}
        for learner in self.learners.values():
            for name in (
                f"{learner.first_name} {learner.last_name}",
                f"{learner.last_name} {learner.first_name}",
                learner.email,
            ):
                if _folded(name):
                    self._by_name.setdefault(_folded(name), set()).add(learner.id)

    def find(self, key: str) -> list[Learner]:
        """Those who can be meant by a name: one at best, none if nobody has that name."""
        number = NUMBER.match(key)
        for name in (key, number["name"] if number else ""):
            if _folded(name) in self._by_id:
                return [self._by_id[_folded(name)]]
            found = self._by_name.get(_folded(name), set())
            known = self._by_id.get(_folded((number and number["id"]) or ""))
            if known and (not found or known.id in found):
                return [known]
            if found:
                return [self.learners[one] for one in sorted(found)]
        return []


def _folded(name: str) -> str:
    """A name without what is written in one way here and in another there: case, accents' form, commas, spaces."""
    return " ".join(re.sub(r"[\s,_]+", " ", unicodedata.normalize("NFKC", name).casefold()).split())


def read_table(path: Path) -> "_csv.Reader":
    """The rows of a table as spreadsheets and platforms save one, in whatever encoding, between commas, ; or tabs.

    Raises:
        StudentsError: if it cannot be read.
    """
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST_TABLE)
    except OSError as error:
        raise StudentsError(f"{path}: it cannot be read: {error.strerror}") from None
    try:
        text = content.decode("utf-16" if content.startswith((b"\xff\xfe", b"\xfe\xff")) else "utf-8-sig")
    except UnicodeDecodeError:
        text = content.decode("cp1252", errors="replace")
    text = text.lstrip("\ufeff")
    separator = max(",;\t", key=text.partition("\n")[0].count)
    return csv.reader(io.StringIO(text, newline=""), delimiter=separator)


def read_students(path: Path) -> Students:
    """Read a table of students: one line for each, with the columns that `nbgrader db student import` takes.

    Args:
        path: a CSV file with a column `id`, and any of `first_name`, `last_name` and `email`.

    Raises:
        StudentsError: if it cannot be read, or an id is missing, there twice, or cannot name a folder.
    """
    rows = read_table(path)
    try:
        header = [cell.strip().casefold().replace(" ", "_") for cell in next(rows, [])]
        if "id" not in header:
            raise StudentsError(f"{path}: its first line must name the columns: id,first_name,last_name,email")
        learners: dict[str, Learner] = {}
        for row in rows:
            if not any(cell.strip() for cell in row):
                continue
            cells = dict(zip(header, (cell.strip() for cell in row), strict=False))
            learner = _learner(cells)
            if not is_plain(learner.id):
                allowed = "letters, digits and . @ + - _, a letter or a digit first"
                raise StudentsError(f"{path}, line {rows.line_num}: {learner.id!r} is not an id, which has {allowed}")
            if learner.id in learners:
                raise StudentsError(f"{path}, line {rows.line_num}: {learner.id} is there twice")
            learners[learner.id] = learner
    except csv.Error as error:
        raise StudentsError(f"{path}, line {rows.line_num}: {error}") from None
    return Students(learners.values())


def _learner(cells: dict[str, str]) -> Learner:
    first, last, email = (shown(cells.get(name, "")) for name in ("first_name", "last_name", "email"))
    key = unicodedata.normalize("NFC", cells.get("id", ""))
    return Learner(key, f"{first} {last}".strip() or key, first, last, email, True)
