"""Points for Canvas and Moodle, in the form that each takes in, for those whom it knows by an id.

Sources: Canvas's own reader of such files, `lib/gradebook_importer.rb` of canvas-lms, which takes an empty cell for
"no points" and a name for somebody where no id fits; Moodle's documentation, "Grade import" and "Offline grading".
So a file holds one lesson, and nobody but those who have points in it.
"""

import csv
import io
import re
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ssdseg_course.grading.names import FORMULA, in_a_table, read_table
from ssdseg_course.grading.text import shown
from ssdseg_course.manifest import Lesson

CANVAS, MOODLE = "canvas", "moodle"
PLATFORMS = (CANVAS, MOODLE)
IDS = {
    CANVAS: ("ID", "SIS User ID", "SIS Login ID"),
    MOODLE: ("ID number", "Email address", "Username", "Identifier"),
}
NAMES = ("Student", "Full name", "First name", "Last name", "Surname")
POINTS_POSSIBLE = "Points Possible"
GRADE, FEEDBACK, MAXIMUM = "Grade", "Feedback comments", "Maximum grade"  # of Moodle's worksheet for grading offline
BEHIND_THE_NAME = re.compile(r"_(\d+)\Z")  # Moodle's number of a participant, in a folder's name
IN_BRACKETS = re.compile(r"\(([^()]+)\)\Z")
EXCUSED = "ex"


class PlatformError(ValueError):
    """An export of a platform's that cannot be used; the message names the file and the way out."""


@dataclass(frozen=True)
class Result:
    """What a learner has for a lesson.

    Attributes:
        student: nbgrader's id of the learner, or the one behind a pseudonym.
        name: for people to read.
        email: "" where it is not known.
        points: that count, after what being late costs.
        out_of: points that there were.
        penalty: points that being late has cost.
        comments: of graders, a line or several each.
        shown_as: what stands for the learner in tables: the pseudonym, where there is one.
    """

    student: str
    name: str
    email: str
    points: float
    out_of: float
    penalty: float = 0
    comments: tuple[str, ...] = ()
    shown_as: str = ""


@dataclass(frozen=True)
class Change:
    """What would change for a learner.

    Attributes:
        student: nbgrader's id.
        known_as: the id by which the platform knows them.
        before: points that the platform's export has, "" where it has none.
        after: points that it gets.
    """

    student: str
    known_as: str
    before: str
    after: str

    @property
    def is_new(self) -> bool:
        """Whether the points are others than before, and not the same in another spelling."""
        return _value(self.before) != _value(self.after)


@dataclass(frozen=True)
class Upload:
    """A file for a platform.

    Attributes:
        name: of the file.
        rows: all of its cells, the header first.
        changes: what it would change.
        left_out: who is not in it, and why, a sentence each.
        notes: what else has to be known before it is uploaded.
    """

    name: str
    rows: tuple[tuple[str, ...], ...]
    changes: tuple[Change, ...]
    left_out: tuple[str, ...]
    notes: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """The file's text. It has no byte-order mark, which neither platform needs."""
        table = io.StringIO(newline="")
        csv.writer(table, lineterminator="\r\n").writerows(self.rows)
        return table.getvalue()


@dataclass(frozen=True)
class Roster:
    """What a platform exports: who takes the course, by which ids, and the points that it has.

    Attributes:
        path: the file.
        header: names of the columns, as they are.
        people: cells of each learner.
        possible: cells of Canvas's row with the points that there are; () without it.
        unknown: names of people who have no id in it.
    """

    path: Path
    header: tuple[str, ...]
    people: tuple[tuple[str, ...], ...]
    possible: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    _columns: Mapping[str, int] = field(default_factory=dict, repr=False)

    @property
    def is_worksheet(self) -> bool:
        """Whether it is Moodle's worksheet for grading one assignment offline."""
        return self.column("Identifier") is not None and self.column(GRADE) is not None

    @property
    def id_columns(self) -> set[int]:
        """Where ids stand."""
        places = (self.column(name) for names in IDS.values() for name in names)
        return {place for place in places if place is not None}

    def column(self, name: str) -> int | None:
        """Where a column stands; None if there is none of that name."""
        return self._columns.get(_folded(name))

    def cell(self, row: Sequence[str], name: str) -> str:
        """A cell, "" where there is no such column."""
        place = self.column(name)
        return "" if place is None else row[place].strip()


def read_roster(path: Path, platform: str) -> Roster:
    """Read what a platform exports.

    Raises:
        PlatformError, StudentsError: if it cannot be read, or is not what that platform exports.
    """
    rows = read_table(path)
    try:
        header, *lines = list(rows) or [[]]
    except csv.Error as error:
        raise PlatformError(f"{path}, line {rows.line_num}: {error}") from None
    header = [name.strip() for name in header]
    columns: dict[str, int] = {}
    for place, name in enumerate(header):
        columns.setdefault(_folded(name), place)
    wanted = ("Student", "ID", "Section") if platform == CANVAS else IDS[MOODLE]
    there = [name for name in wanted if _folded(name) in columns]
    if len(there) < (len(wanted) if platform == CANVAS else 1):
        how = f"all of {', '.join(wanted)}" if platform == CANVAS else f"one of {', '.join(wanted)}"
        what = "gradebook" if platform == CANVAS else "grades, or the grading worksheet, in English"
        way = f"export the {what}"
        raise PlatformError(f"{path}: its first line must have {how}; {way} in {platform.capitalize()} once more")
    people, unknown = [], []
    possible: tuple[str, ...] = ()
    for line in lines:
        row = tuple((*line, *[""] * len(header))[: len(header)])
        filled = [cell.strip() for cell in row if cell.strip()]
        if not filled or all(re.fullmatch(r"(?i)muted|manual posting.*", cell) for cell in filled):
            continue
        if platform == CANVAS and POINTS_POSSIBLE in row[0]:
            possible = row
        elif any(row[columns[_folded(name)]].strip() for name in IDS[platform] if _folded(name) in columns):
            people.append(row)
        elif "student, test" not in row[0].casefold():
            unknown.append(shown(" ".join(row[columns[_folded(name)]] for name in NAMES if _folded(name) in columns)))
    return Roster(path, tuple(header), tuple(people), possible, tuple(unknown), columns)


def upload(platform: str, lesson: Lesson, results: Sequence[Result], roster: Roster | None) -> Upload:
    """The file for a platform with the points of a lesson.

    Args:
        platform: "canvas" or "moodle".
        lesson: which.
        results: of the class.
        roster: what the platform has exported; without one it is taken to know learners by nbgrader's ids.

    Raises:
        PlatformError: if the platform's export has no place for the lesson.
    """
    left_out: list[str] = []
    if roster is None:
        people: dict[str, tuple[str, ...]] = {}
    else:
        people, left_out = _matched(platform, results, roster)
        left_out += [f"{name or 'somebody'}: has no id in {roster.path.name}" for name in roster.unknown]
        results = [result for result in results if result.student in people]
    make = _for_canvas if platform == CANVAS else _for_moodle
    lines = make(lesson, results, roster, people)
    left_out += lines.left_out
    changes, rows = [], []
    for result in results:
        student = result.shown_as or result.student
        if result.student not in lines.rows:
            continue
        if lines.known_as[result.student].startswith(tuple(FORMULA)):
            left_out.append(f"{student}: the id {lines.known_as[result.student]!r} would be a formula in a spreadsheet")
            continue
        known_as, before = shown(lines.known_as[result.student]), shown(lines.before[result.student])
        changes.append(Change(student, known_as, before, number(result.points)))
        rows.append(lines.rows[result.student])
    name = f"{platform}-{lesson.name}.csv"
    return Upload(name, (*lines.header, *rows), tuple(changes), tuple(left_out), tuple(lines.notes))


@dataclass
class _Lines:
    """What is to stand in a file.

    Attributes:
        header: rows before those of learners.
        rows, known_as, before: by learner, the row, the platform's id, and the points before.
        notes, left_out: as in `Upload`.
    """

    header: list[tuple[str, ...]] = field(default_factory=list)
    rows: dict[str, tuple[str, ...]] = field(default_factory=dict)
    known_as: dict[str, str] = field(default_factory=dict)
    before: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)


def _for_canvas(
    lesson: Lesson, results: Sequence[Result], roster: Roster | None, people: Mapping[str, tuple[str, ...]]
) -> _Lines:
    out_of = results[0].out_of if results else 0
    lines = _Lines()
    if roster is None:
        information = ("Student", "ID", "SIS User ID", "SIS Login ID", "Section")
        lines.header = [(*information, lesson.name), (f"    {POINTS_POSSIBLE}", *[""] * 4, number(out_of))]
        for result in results:
            lines.rows[result.student] = (in_a_table(result.name), "", "", result.student, "", number(result.points))
            lines.known_as[result.student], lines.before[result.student] = result.student, ""
        taken = f"Canvas is taken to know learners by these ids as SIS Login ID, and will ask what {lesson.name} is"
        lines.notes.append(f"{taken}; --roster with its own export leaves nothing open")
        return lines
    width = next(place for place, name in enumerate(roster.header) if _folded(name) == "section") + 1
    column = _column_of(lesson, roster, width)
    title, possible = lesson.name, number(out_of)
    if column is None:
        missing = f"{roster.path.name} has no column {lesson.name}"
        lines.notes.append(f"{missing}: Canvas will ask whether it is a new assignment")
    else:
        title = roster.header[column]
        possible = roster.possible[column] if roster.possible else ""
        if "read only" in possible.casefold():
            raise PlatformError(f"{roster.path}: Canvas does not let the column {shown(title)} be changed")
        if _value(possible) not in (None, out_of):
            lines.notes.append(
                f"{shown(title)} has {number(_value(possible) or 0)} points in Canvas, and {number(out_of)} here"
            )
    lines.header = [
        (*roster.header[:width], title),
        (f"    {POINTS_POSSIBLE}", *[""] * (width - 1), possible),
    ]
    for result in results:
        row = people[result.student]
        had = row[column].strip() if column is not None else ""
        if had.casefold() == EXCUSED:
            lines.left_out.append(f"{result.shown_as or result.student}: is excused from it in Canvas")
            continue
        kept = (_safe(cell, place in roster.id_columns) for place, cell in enumerate(row[:width]))
        lines.rows[result.student] = (*kept, number(result.points))
        lines.known_as[result.student] = next(filter(None, (roster.cell(row, name) for name in IDS[CANVAS])))
        lines.before[result.student] = had
    return lines


def _for_moodle(
    lesson: Lesson, results: Sequence[Result], roster: Roster | None, people: Mapping[str, tuple[str, ...]]
) -> _Lines:
    lines = _Lines()
    if roster and roster.is_worksheet:
        return _for_a_worksheet(results, roster, people)
    identity = _identity_in_moodle(results, roster, people)
    column = _column_of(lesson, roster, 0) if roster and results else None
    for result in results:
        row = people.get(result.student, ())
        if roster:
            one, name = roster.cell(row, identity), " ".join(filter(None, (roster.cell(row, name) for name in NAMES)))
            lines.before[result.student] = row[column].strip() if column is not None else ""
        else:
            one, name = (result.email if identity == "Email address" else result.student), result.name
            lines.before[result.student] = ""
        if not one:
            lines.left_out.append(f"{result.shown_as or result.student}: has no {identity} in Moodle's export")
            continue
        lines.known_as[result.student] = one
        lines.rows[result.student] = (one, in_a_table(name), number(result.points), in_a_table(_feedback(result)))
    together = f"map {lesson.name} and its feedback together, or Moodle forgets the points"
    lines.notes.append(f"when Moodle asks: map from {identity}, and {together}")
    lines.header = [(identity, "Full name", lesson.name, f"{lesson.name} (feedback)")]
    return lines


def _for_a_worksheet(results: Sequence[Result], roster: Roster, people: Mapping[str, tuple[str, ...]]) -> _Lines:
    """The worksheet in which Moodle has an assignment graded offline, with points and comments filled in."""
    lines = _Lines([roster.header])
    notes: set[str] = set()
    grade, feedback = roster.column(GRADE), roster.column(FEEDBACK)
    for result in results:
        row = people[result.student]
        lines.known_as[result.student] = next(filter(None, (roster.cell(row, name) for name in reversed(IDS[MOODLE]))))
        lines.before[result.student] = roster.cell(row, GRADE)
        most = _value(roster.cell(row, MAXIMUM))
        if most not in (None, result.out_of):
            notes.add(f"the assignment has {number(most or 0)} points in Moodle, and {number(result.out_of)} here")
        cells = []
        for place, cell in enumerate(row):
            if place == grade:
                cells.append(number(result.points))
            elif place == feedback:
                cells.append(in_a_table(_feedback(result) or cell))
            else:
                cells.append(_safe(cell, place in roster.id_columns))
        lines.rows[result.student] = tuple(cells)
    if feedback is None and any(result.comments for result in results):
        notes.add(f"{roster.path.name} has no column {FEEDBACK}: the graders' comments are not in the file")
    lines.notes += sorted(notes)
    return lines


def _identity_in_moodle(results: Sequence[Result], roster: Roster | None, people: Mapping[str, tuple[str, ...]]) -> str:
    """The column by which Moodle is to tell learners: the one that most of them have."""
    if roster is None:
        return "Email address" if results and all(result.email for result in results) else "ID number"
    there = [name for name in IDS[MOODLE] if name != "Identifier" and roster.column(name) is not None]
    if not there:
        raise PlatformError(f"{roster.path}: there is neither an ID number nor an e-mail address nor a username in it")
    return max(there, key=lambda name: sum(bool(roster.cell(row, name)) for row in people.values()))


def _matched(platform: str, results: Sequence[Result], roster: Roster) -> tuple[dict[str, tuple[str, ...]], list[str]]:
    """Whom the platform knows, by learner, and who is left out, and why."""
    by_id: dict[str, set[int]] = {}
    for number_of_row, row in enumerate(roster.people):
        for name in IDS[platform]:
            if cell := roster.cell(row, name):
                by_id.setdefault(_folded(cell), set()).add(number_of_row)
    found: dict[str, int] = {}
    left_out = []
    for result in results:
        who = result.shown_as or result.student
        fitting = next(filter(None, (by_id.get(_folded(one), set()) for one in _ids_of(result, platform))), set())
        if len(fitting) == 1:
            found[result.student] = next(iter(fitting))
        elif fitting:
            left_out.append(f"{who}: {len(fitting)} people in {roster.path.name} have this id")
        else:
            left_out.append(f"{who}: nobody in {roster.path.name} has this id")
    taken = Counter(found.values())
    for result in results:
        if taken[found.get(result.student, -1)] > 1:
            others = [other for other in found if found[other] == found[result.student] and other != result.student]
            also = ", ".join(next(one.shown_as or other for one in results if one.student == other) for other in others)
            left_out.append(f"{result.shown_as or result.student}: is the same person in {roster.path.name} as {also}")
    return {student: roster.people[row] for student, row in found.items() if taken[row] == 1}, left_out


def _ids_of(result: Result, platform: str) -> list[str]:
    """What may be a learner's id on a platform, the surest first."""
    ids = [result.student, result.email]
    for name in (result.student, result.name):
        if platform == MOODLE and (participant := BEHIND_THE_NAME.search(name)):
            ids.append(f"Participant {participant[1]}")
        if given := IN_BRACKETS.search(name):
            ids.append(given[1])
    return [one for one in ids if one]


def _column_of(lesson: Lesson, roster: Roster, first: int) -> int | None:
    """The column of a lesson's points: called by its name or title, with what the platform puts around it."""
    names = {_folded(lesson.name), _folded(lesson.title), f"lesson {lesson.number}"}
    found = []
    for place, title in enumerate(roster.header[first:], start=first):
        bare = re.sub(r"\s*\((?:\d+|real)\)\Z", "", _folded(title))
        if bare in names or bare.partition(":")[2].strip() in names:  # "Assignment: 01_anchors (Real)"
            found.append(place)
    if len(found) > 1:
        titles = ", ".join(shown(roster.header[place]) for place in found)
        raise PlatformError(f"{roster.path}: several columns could be {lesson.name} ({titles}); rename or delete one")
    return found[0] if found else None


def _safe(cell: str, is_id: bool) -> str:
    """A cell that no spreadsheet works out as a formula. An id is as it is, or none: changed, it would be another's."""
    cell = cell.strip()
    if cell == "-":  # how Moodle writes that there is nothing
        return cell
    if is_id:
        return "" if cell.startswith(tuple(FORMULA)) else cell
    return in_a_table(cell)


def _feedback(result: Result) -> str:
    late = [f"{number(result.penalty)} points less for being late"] if result.penalty else []
    return "\n".join((*result.comments, *late))


def number(value: float) -> str:
    """Points as both platforms read them in any language: with a point, and two places at most."""
    return f"{value:.2f}".rstrip("0").rstrip(".")


def _value(text: str) -> float | None:
    """A number as a platform or a spreadsheet writes one; None if it is none."""
    try:
        return float(text.strip().replace(",", "."))
    except ValueError:
        return None


def _folded(text: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())
