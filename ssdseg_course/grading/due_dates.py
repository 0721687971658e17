"""What being late costs, by a table of due dates: `due_dates.toml` in the term's folder.

nbgrader knows a due date for each lesson, an extension for each submission, and a penalty in points, which is what this
writes. Its plugin for penalties is asked about one submission at a time, so free days for a whole term are not within
its reach; where there is a table, the table counts in its place.
"""

import math
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from ssdseg_course.manifest import LESSONS, find_lesson

DUE_DATES = "due_dates.toml"
SECONDS_PER_DAY = 24 * 60 * 60
LARGEST_TABLE = 2**20  # bytes
PER_DAY, LARGEST, FREE, ZONE = "percent_per_day", "largest_percent", "free_days", "timezone"
DUE, EXTENSIONS = "due", "extensions"


class DueDatesError(ValueError):
    """A table of due dates that cannot be used; the message names the file, the line and what is wrong."""


@dataclass(frozen=True)
class Late:
    """What being late comes to for one submission.

    Attributes:
        days: started, after the due date and any extension.
        free: of those, days that cost nothing.
        percent: of the lesson's points that the others cost.
    """

    days: int
    free: int
    percent: float


@dataclass(frozen=True)
class DueDates:
    """A table of due dates.

    Attributes:
        due: until when a lesson may be handed in, by its name.
        extensions: until when single learners may, by (learner, lesson).
        percent_per_day: of a lesson's points, that each started day costs.
        largest_percent: that a lesson can cost at most.
        free_days: that each learner may be late in all, before it costs anything.
    """

    due: Mapping[str, datetime]
    extensions: Mapping[tuple[str, str], datetime] = field(default_factory=dict)
    percent_per_day: float = 0
    largest_percent: float = 100
    free_days: int = 0

    def until(self, student: str, lesson: str) -> datetime | None:
        """Until when a learner may hand a lesson in; None where that is not said."""
        return self.extensions.get((student, lesson), self.due.get(lesson))

    def late(self, student: str, handed_in: Mapping[str, datetime]) -> dict[str, Late]:
        """What being late comes to for all that a learner has handed in; free days go to the lessons due first.

        Args:
            student: nbgrader's id of the learner.
            handed_in: when, by the name of the lesson.
        """
        left = self.free_days
        result = {}
        for lesson in sorted(handed_in, key=lambda name: (self.due.get(name, datetime.max.replace(tzinfo=UTC)), name)):
            until = self.until(student, lesson)
            if until is None:
                continue
            seconds = (handed_in[lesson] - until).total_seconds()
            days = max(0, math.ceil(seconds / SECONDS_PER_DAY))
            free = min(left, days)
            left -= free
            result[lesson] = Late(days, free, min(self.largest_percent, (days - free) * self.percent_per_day))
        return result


def read_due_dates(path: Path) -> DueDates:
    """Read a table of due dates.

    Raises:
        DueDatesError: if it cannot be read, or something in it is unknown or of the wrong kind.
    """
    try:
        with path.open("rb") as file:
            text = file.read(LARGEST_TABLE).decode("utf-8-sig")
        table = tomllib.loads(text)
    except OSError as error:
        raise DueDatesError(f"{path}: it cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise DueDatesError(f"{path}: it is not a text in UTF-8") from None
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        where = re.search(r" \(at line (\d+), column \d+\)\Z", str(error))
        line = f", line {where[1]}" if where else ""
        what = re.sub(r" \(at .*\)\Z", "", str(error))
        raise DueDatesError(f"{path}{line}: it cannot be read as TOML: {what}") from None
    except ValueError as error:  # a date that no calendar has
        raise DueDatesError(f"{path}: it cannot be read as TOML: {error}") from None
    return _Reader(path, text).read(table)


class _Reader:
    """Reads a table, and knows on which line what is wrong in it stands."""

    def __init__(self, path: Path, text: str):
        self._path, self._lines = path, text.splitlines()
        self._zone: tzinfo | None = None

    def read(self, table: dict[str, Any]) -> DueDates:
        known = (PER_DAY, LARGEST, FREE, ZONE, DUE, EXTENSIONS)
        for name in table:
            if name not in known:
                raise self._error((name,), f"{name} is not known; there are {', '.join(known)}")
        self._zone = self._read_zone(table)
        numbers = {name: self._number(table, name) for name in (PER_DAY, LARGEST, FREE) if name in table}
        if FREE in numbers and numbers[FREE] % 1:
            raise self._error((FREE,), f"{FREE} is a number of whole days, not {numbers[FREE]:g}")
        due = self._dates(table.get(DUE, {}), (DUE,))
        if not due:
            raise self._error((DUE,), f"there is no due date; write them below a line [{DUE}]")
        extensions = {}
        learners = table.get(EXTENSIONS, {})
        if not isinstance(learners, dict):
            raise self._error((EXTENSIONS,), f'extensions stand below a line such as [{EXTENSIONS}."ada"]')
        for student, dates in learners.items():
            for lesson, until in self._dates(dates, (EXTENSIONS, student)).items():
                if lesson not in due:
                    raise self._error((EXTENSIONS, student), f"{lesson} has an extension, and no due date")
                if until < due[lesson]:
                    raise self._error((EXTENSIONS, student), f"the extension for {lesson} ends before its due date")
                extensions[student, lesson] = until
        return DueDates(due, extensions, numbers.get(PER_DAY, 0), numbers.get(LARGEST, 100), int(numbers.get(FREE, 0)))

    def _read_zone(self, table: dict[str, Any]) -> tzinfo | None:
        if ZONE not in table:
            return None
        try:
            return ZoneInfo(table[ZONE])
        except Exception:  # of whatever type it is, a name that is none makes zoneinfo raise one of many errors
            example = "such as Europe/Berlin or UTC"
            raise self._error((ZONE,), f"{table[ZONE]!r} is not a time zone that is known here, {example}") from None

    def _number(self, table: dict[str, Any], name: str) -> float:
        value = table[name]
        most = 100 if name != FREE else 10_000
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= most:
            raise self._error((name,), f"{name} is a number from 0 to {most}, not {value!r}")
        return value

    def _dates(self, table: Any, place: tuple[str, ...]) -> dict[str, datetime]:
        if not isinstance(table, dict):
            raise self._error(place, "a line such as 01_anchors = 2026-10-12T23:59:00+02:00 is needed here")
        dates: dict[str, datetime] = {}
        for name, value in table.items():
            where = (*place, name)
            try:
                lesson = find_lesson(name).name
            except ValueError:
                names = ", ".join(lesson.name for lesson in LESSONS)
                raise self._error(where, f"there is no lesson {name!r}; there are: {names}") from None
            if lesson in dates:
                raise self._error(where, f"{lesson} is there twice")
            if not isinstance(value, datetime):
                raise self._error(where, f"{value!s:.40} is not a date with a time, such as 2026-10-12T23:59:00+02:00")
            if value.tzinfo is None and self._zone is None:
                offset = 'write an offset such as +02:00 behind it, or timezone = "Europe/Berlin" at the top'
                raise self._error(where, f"{value} could be meant anywhere on earth; {offset}")
            value = value if value.tzinfo else value.replace(tzinfo=self._zone)
            try:
                dates[lesson] = value.astimezone(UTC)
            except OverflowError:
                raise self._error(where, f"{value} is too far away to be a due date") from None
        return dates

    def _error(self, place: tuple[str, ...], what: str) -> DueDatesError:
        line = self._line_of(place)
        return DueDatesError(f"{self._path}{f', line {line}' if line else ''}: {what}")

    def _line_of(self, place: tuple[str, ...]) -> int:
        """Where a name of the table stands, or at least its section; 0 where neither is found."""
        section: list[str] = []
        best = 0
        for number, line in enumerate(self._lines, start=1):
            if header := re.fullmatch(r"\s*\[([^\[\]]+)\]\s*(?:#.*)?", line):
                section = [part.strip(" \"'") for part in re.findall(r"\"[^\"]*\"|'[^']*'|[^.]+", header[1])]
                here = tuple(section)
            elif entry := re.match(r"\s*(\"[^\"]*\"|'[^']*'|[\w-]+)\s*=", line):
                here = (*section, entry[1].strip("\"'"))
            else:
                continue
            if here == place:
                return number
            if here == place[: len(here)]:
                best = number
        return best
