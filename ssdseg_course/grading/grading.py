"""Grades a folder of submissions into a gradebook; it can be stopped at any moment, and continues when run again."""

import contextlib
import errno
import fcntl
import hashlib
import os
import secrets
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from nbgrader.converters import GenerateAssignment
from sqlalchemy.exc import OperationalError
from traitlets.config import Config
from traitlets.config.loader import load_pyconfig_files

from ssdseg_course.digest import course_digest
from ssdseg_course.exercises import exercises_of
from ssdseg_course.grading import cluster
from ssdseg_course.grading.class_report import as_markdown, summarise
from ssdseg_course.grading.due_dates import DUE_DATES, DueDates, Late, read_due_dates
from ssdseg_course.grading.gradebook import (
    GradebookError,
    Record,
    Records,
    Standing,
    gradebook_url,
    open_gradebook,
)
from ssdseg_course.grading.grader import SECONDS, Graded, NotGraded, Work
from ssdseg_course.grading.intake import TAKE, Refusal, Submission, read_again, take_in
from ssdseg_course.grading.names import Learner, read_students
from ssdseg_course.grading.nbgrader_course import GradingError, course_config, run_nbgrader
from ssdseg_course.grading.pages import feedback_page, graded_notebook, with_new_report
from ssdseg_course.grading.pseudonyms import PSEUDONYM, Pseudonyms
from ssdseg_course.grading.search import SECRET, TIMESTAMP
from ssdseg_course.grading.text import shown
from ssdseg_course.manifest import LESSONS, ROOT, Lesson
from ssdseg_course.work.carrying import CHECK
from ssdseg_course.work.workspace import Notebook, grade_id, parse_notebook, read_notebook
from ssdseg_ref.keeping import sweep_files, write_whole

SEEDS = 2**31
LOCK = Path(".ssdseg", "grading.lock")
GRADES, CLASS_REPORT = "grades.csv", "class_report.md"
CONFIG = "nbgrader_config.py"
TIMESTAMP_FORMAT = "%Y-%m-%d %H:%M:%S.%f UTC"  # as nbgrader writes it
EVERYBODYS = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO}  # what one submission is not to blame for


class _ChangedError(ValueError):
    """A submission of which one exercise cannot be graded anew, for it is no longer the one that was graded."""


class BusyError(ValueError):
    """Somebody else is grading in this folder."""


@dataclass(frozen=True)
class Change:
    """What has become of a learner's points for an exercise that was graded anew.

    Attributes:
        student: nbgrader's id of the learner.
        exercise: its id.
        before, after: points that count.
    """

    student: str
    exercise: str
    before: float
    after: float


@dataclass
class Tally:
    """What has become of a folder of submissions.

    Attributes:
        graded: number of submissions graded now.
        unchanged: number of those that have not changed since they were graded before.
        not_graded: what could not be graded, and why.
        handed_in: learners whose submissions could be read, by lesson.
        records: of all submissions in the folder that have been graded, now or before.
        standings: what nbgrader has of them, with what was changed by hand, by (learner, lesson).
        learners: all who have handed in, by id.
        penalties: number of submissions for which being late costs more or less than before.
        notes: what else the instructor should know, a sentence each.
        changes: whose points for the only exercise that was graded are others than before.
    """

    graded: int = 0
    unchanged: int = 0
    not_graded: list[Refusal | NotGraded] = field(default_factory=list)
    handed_in: dict[str, set[str]] = field(default_factory=dict)
    records: list[Record] = field(default_factory=list)
    standings: dict[tuple[str, str], Standing] = field(default_factory=dict)
    learners: dict[str, Learner] = field(default_factory=dict)
    penalties: int = 0
    notes: list[str] = field(default_factory=list)
    changes: list[Change] = field(default_factory=list)


@dataclass(frozen=True)
class Options:
    """How to grade.

    Attributes:
        lesson: the only one to grade; all by default.
        workers: processes on this machine; one per core by default.
        scheduler: address of a Dask cluster instead.
        gradebook: its address, or the path of an SQLite file; by default that of nbgrader's settings.
        unsafe: whether to grade without a sandbox.
        again: whether to grade also what has not changed since it was graded.
        seconds: that an exercise may take.
        take: which of several notebooks of one lesson counts; see `take_in`.
        students: a table of ids and names.
        exercise: id of the only one to grade anew, of what has been graded before; "" for all.
        key: of the pseudonyms under which learners stand in all that is written; None for none.
    """

    lesson: Lesson | None = None
    workers: int | None = None
    scheduler: str | None = None
    gradebook: str | None = None
    unsafe: bool = False
    again: bool = False
    seconds: int = SECONDS
    take: str = TAKE[0]
    students: Path | None = None
    exercise: str = ""
    key: Path | None = None


def grade_folder(
    submissions: Path, folder: Path, options: Options, progress: Callable[[int, int], None] | None = None
) -> Tally:
    """Grade all submissions.

    Args:
        submissions: the folder that holds them; see `intake`.
        folder: where nbgrader's settings are, and where gradebook, graded notebooks, feedback and tables go.
        options: how.
        progress: called with (graded, all) before the first one and after each.

    Raises:
        BusyError: if somebody is grading in this folder already.
        ClusterError, GradebookError, GradingError, SandboxError, StudentsError, DueDatesError, KeyFileError: if the
            cluster, the gradebook, nbgrader, the sandbox, or one of the tables cannot be used.
        OSError: if a folder cannot be read or written.
    """
    config = read_config(folder)
    url = gradebook_url(config, options.gradebook)
    students = read_students(options.students) if options.students else None
    due_dates = read_due_dates(folder / DUE_DATES) if (folder / DUE_DATES).exists() else None
    with alone(folder), open_gradebook(url, config) as records:
        pseudonyms = pseudonyms_of(records, options.key)
        lay_out_sources(folder, config)
        term = _Term(folder, config, url, records, options, due_dates)
        if options.key and options.key.resolve().is_relative_to(folder.resolve()):
            term.tally.notes.append(f"{options.key}: keep this key elsewhere; whoever sees this folder can read it")
        hand_ins = take_in(submissions, options.lesson, options.take, students)
        if pseudonyms:
            hand_ins = hidden(hand_ins, pseudonyms, term.tally.notes)
        to_do = term.look_through(hand_ins)
        number = sum(map(len, to_do.values()))
        if number:
            works = term.works(submissions, to_do)
            with cluster.connected(options.workers, options.scheduler, options.unsafe) as client:
                if progress:
                    progress(0, number)
                for done, (work, result) in enumerate(cluster.grade_all(client, works), start=1):
                    term.keep(work, result)
                    if progress:
                        progress(done, number)
        term.close()
    return term.tally


def pseudonyms_of(records: Records, key: Path | None) -> Pseudonyms | None:
    """The pseudonyms of a term; None where learners go by their own ids.

    Raises:
        GradebookError: if the term has begun the other way, or with another key.
        KeyFileError: if the key cannot be read.
    """
    recorded = sorted(records.students())
    if key is None:
        if any(map(PSEUDONYM.fullmatch, recorded)):
            raise GradebookError("learners go by pseudonyms in this gradebook: give the key to them, --anonymous KEY")
        return None
    pseudonyms = Pseudonyms(key)
    if strangers := [student for student in recorded if not pseudonyms.whose(student)]:
        raise GradebookError(
            f"{strangers[0]} is in the gradebook, and no pseudonym of {key}: a term is anonymous from its first "
            "grading on, and with one key"
        )
    return pseudonyms


def hidden(
    hand_ins: Iterable[Submission | Refusal], pseudonyms: Pseudonyms, notes: list[str]
) -> Iterator[Submission | Refusal]:
    """The same under pseudonyms; what is said of files, in whose names there are names, is told and not recorded."""
    for hand_in in hand_ins:
        if isinstance(hand_in, Refusal):
            yield hand_in
            continue
        learner = pseudonyms.hidden(hand_in.learner)
        notes += [f"{learner.id}, {hand_in.lesson.name}: {remark}" for remark in hand_in.remarks]
        yield replace(hand_in, student=learner.id, learner=learner, remarks=())


class _Term:
    """A folder in which a class is graded, and what has become of the submissions of this grading."""

    def __init__(
        self,
        folder: Path,
        config: Config,
        url: str,
        records: Records,
        options: Options,
        due_dates: DueDates | None,
    ):
        self.tally = Tally()
        self._due_dates = due_dates
        self._graded: set[tuple[str, str]] = set()  # in this run, (learner, lesson)
        self._times: dict[tuple[str, str], datetime] = {}  # when files were changed, of which no time is noted
        self._kept: dict[str, dict[str, Record]] = {}  # of what is graded anew, by lesson and learner
        self._folder, self._config, self._url, self._records, self._options = folder, config, url, records, options
        self._releases: dict[str, str] = {}  # texts of the lessons' notebooks as they were handed out
        self._digests: dict[str, dict[str, str]] = {}  # of what was graded before, by lesson and learner
        self._files: dict[tuple[int, int], str] = {}  # whose a file is that has several names
        self._secrets: dict[tuple[str, str], str] = {}  # of nbgrader's exchange, by (learner, lesson)

    def look_through(self, hand_ins: Iterable[Submission | Refusal]) -> dict[str, list[Submission]]:
        """What is to be graded, by lesson; without its content, for no more than one notebook is held at a time."""
        to_do: dict[str, list[Submission]] = {}
        for hand_in in hand_ins:
            if isinstance(hand_in, Refusal):
                self.tally.not_graded.append(hand_in)
                continue
            self._note(hand_in)
            lesson = hand_in.lesson.name
            digest = _digest(hand_in.content, hand_in.beside, hand_in.timestamp, self._releases[lesson])
            if self._options.exercise:
                if hand_in.student in self._digests[lesson]:
                    to_do.setdefault(lesson, []).append(replace(hand_in, content=b"", beside={}))
                else:
                    self.tally.notes.append(f"{hand_in.student}, {lesson}: left out: it was never graded as a whole")
            elif not self._options.again and self._digests[lesson].get(hand_in.student) == digest:
                self.tally.unchanged += 1
            else:
                to_do.setdefault(lesson, []).append(replace(hand_in, content=b"", beside={}))
        return to_do

    def _note(self, hand_in: Submission) -> None:
        """Keep what has to be known of a submission when all are graded."""
        student, lesson = hand_in.student, hand_in.lesson.name
        if lesson not in self._releases:
            self._releases[lesson] = prepare(hand_in.lesson, self._url, self._folder, self._config)
            self._digests[lesson] = self._records.digests(lesson)
        self.tally.handed_in.setdefault(lesson, set()).add(student)
        self.tally.learners[student] = hand_in.learner
        self._secrets[student, lesson] = hand_in.secret
        if hand_in.timestamp is None:
            with contextlib.suppress(ValueError, OverflowError, OSError):  # a time that no calendar has
                self._times[student, lesson] = datetime.fromtimestamp(hand_in.modified, UTC)
        if hand_in.file and (owner := self._files.setdefault(hand_in.file, student)) != student:
            self.tally.notes.append(f"{owner} and {student} handed in one and the same file (a hard link), {lesson}")

    def works(self, submissions: Path, to_do: Mapping[str, Sequence[Submission]]) -> Iterator[Work]:
        """What workers are given: read when they are ready for it, lesson by lesson, for a sandbox is made for one."""
        seed = secrets.randbelow(SEEDS)  # the same for the whole class, and new for each grading
        for lesson in LESSONS:
            for noted in to_do.get(lesson.name, ()):
                try:
                    hand_in = read_again(submissions, noted)
                except Exception as error:  # it has changed since it was looked at
                    reason = f"it can no longer be read: {shown(error)}"
                    self.tally.not_graded.append(NotGraded(noted.student, lesson.name, reason))
                    continue
                yield Work(
                    hand_in.student,
                    lesson.name,
                    hand_in.content,
                    hand_in.timestamp,
                    hand_in.remarks,
                    self._releases[lesson.name],
                    seed,
                    self._options.seconds,
                    self._options.unsafe,
                    hand_in.beside,
                    self._options.exercise,
                )

    def keep(self, work: Work, result: Graded | NotGraded) -> None:
        """Record what has become of a submission; one that cannot be recorded costs the others nothing.

        Raises:
            GradebookError, OperationalError, OSError: if the gradebook or the disk fails, which is everybody's trouble.
        """
        if isinstance(result, Graded):
            try:
                self._record(work, result)
            except (GradebookError, OperationalError):
                raise
            except _ChangedError as changed:
                result = NotGraded(result.student, result.lesson, str(changed))
            except Exception as error:
                if isinstance(error, OSError) and error.errno in EVERYBODYS:
                    raise
                reason = f"recording it stopped with {type(error).__name__}: {shown(error)}"
                result = NotGraded(result.student, result.lesson, reason)
        if isinstance(result, NotGraded):
            self.tally.not_graded.append(result)
        else:
            self.tally.graded += 1
            self._graded.add((result.student, result.lesson))

    def _record(self, work: Work, graded: Graded) -> None:
        """Write a submission's grades, and the page of it that the formgrader shows."""
        release = parse_notebook(work.release, work.lesson)
        graded = _worth_what_the_lesson_says(graded, release)
        digest = _digest(work.content, work.beside, work.timestamp, work.release)
        if work.only:
            self._record_one(graded, digest)
            return
        write_whole(self._place("autograded", graded.student, graded.lesson), graded_notebook(graded, release))
        self._records.record(graded, digest, self.tally.learners[graded.student])

    def _record_one(self, graded: Graded, digest: str) -> None:
        """Write one exercise of a submission that has been graded as a whole, if it is still the same.

        Raises:
            ValueError: if it is not.
        """
        student, lesson = graded.student, graded.lesson
        if lesson not in self._kept:
            self._kept[lesson] = {record.student: record for record in self._records.records(lesson)}
        place = self._place("autograded", student, lesson)
        page = with_new_report(read_notebook(place), graded) if place.is_file() else None
        if page is None:
            raise _ChangedError("it is not what was graded: grade it as a whole, without --exercise")
        before, after = self._records.regrade(graded, digest, self._kept[lesson][student])
        write_whole(place, page)
        if before != after:
            self.tally.changes.append(Change(student, graded.reports[0].exercise_id, before, after))

    def close(self) -> None:
        """Write what concerns the whole class: names, what being late costs, feedback, the tables."""
        self._records.write_names(self.tally.learners.values())
        late: dict[tuple[str, str], Late] = {}
        if self._due_dates:
            late, changed = self._records.apply_due_dates(self._due_dates, self._times)
            self.tally.penalties += len(changed - self._graded)
            unknown = {student for student, _ in self._due_dates.extensions} - self._records.students()
            self.tally.notes += [
                f"{DUE_DATES}: {student} has an extension, and nothing was graded" for student in sorted(unknown)
            ]
        if self._options.exercise:
            for lesson, students in self.tally.handed_in.items():
                gone = sorted(set(self._digests[lesson]) - students)
                self.tally.notes += [f"{student}, {lesson}: left out: it is not in the folder" for student in gone]
        for lesson, students in self.tally.handed_in.items():
            if not (self._due_dates and lesson in self._due_dates.due):
                self.tally.penalties += self._records.look_at_due_dates(lesson)
            standings = {
                student: replace(standing, late=_in_words(late.get((student, lesson))))
                for student, standing in self._records.standings(lesson).items()
            }
            for record in self._records.records(lesson):
                if record.student in students and record.student in standings:
                    self.tally.records.append(record)
                    self.tally.standings[record.student, lesson] = standings[record.student]
                    self._give_back(record, standings[record.student])
        sweep_files(self._folder)
        if self._releases:
            self._records.export(self._folder / GRADES)
            _write_class_report(self._records, self._folder / CLASS_REPORT)

    def _give_back(self, record: Record, standing: Standing) -> None:
        """Write the page that a learner gets back, and what `nbgrader release_feedback` looks for beside it."""
        try:
            places = [self._place(step, record.student, record.lesson) for step in ("feedback", "autograded")]
            for place in places:
                sweep_files(place.parent)  # of a grading that was killed while it wrote
            page = feedback_page(record, standing, self.tally.learners[record.student].name)
            _write_if_new(places[0].with_suffix(".html"), page)
            when = f"{standing.timestamp:{TIMESTAMP_FORMAT}}" if standing.timestamp else ""
            kept = [place.with_name(SECRET) for place in places if place.with_name(SECRET).is_file()]
            secret = self._secrets[record.student, record.lesson]
            secret = secret or (kept[0].read_text() if kept else secrets.token_hex(16))
            for place in places:
                _write_if_new(place.with_name(TIMESTAMP), when)
                _write_if_new(place.with_name(SECRET), secret)
        except Exception as error:
            if isinstance(error, OSError) and error.errno in EVERYBODYS:
                raise
            reason = f"it is graded, but its page could not be written: {type(error).__name__}: {shown(error)}"
            self.tally.not_graded.append(NotGraded(record.student, record.lesson, reason))

    def _place(self, step: str, student: str, lesson: str) -> Path:
        """Where nbgrader has the notebook of a submission."""
        return _directory(self._folder, self._config, step, step) / student / lesson / f"{lesson}.ipynb"


def _in_words(late: Late | None) -> str:
    """How late something was, "" if it was not."""
    if late is None or not late.days:
        return ""
    days = f"{late.days} day{'s' * (late.days > 1)} late"
    return f"{days}, {late.free} of them free" if late.free else days


def _worth_what_the_lesson_says(graded: Graded, release: Notebook) -> Graded:
    """With the points that each check has in the notebook that was handed out: an instructor may have changed them."""
    points = {grade_id(cell): cell["metadata"]["nbgrader"].get("points") for cell in release["cells"] if grade_id(cell)}
    reports = []
    for report in graded.reports:
        worth = points.get(f"{CHECK}{report.exercise_id.split('.')[1]}")
        reports.append(replace(report, points=report.points if worth is None else worth))
    return replace(graded, reports=tuple(reports))


def read_config(folder: Path) -> Config:
    """nbgrader's settings of the folder; those of the course where it has none."""
    at = folder if (folder / CONFIG).exists() else ROOT
    try:
        config = load_pyconfig_files([CONFIG], str(at))
    except SyntaxError as error:
        raise ValueError(f"{at / CONFIG}, line {error.lineno}: {error.msg}") from None
    config.CourseDirectory.root = str(folder)
    return config


@contextlib.contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Keep others from grading in this folder; the system releases the lock however this process ends.

    Raises:
        BusyError: if somebody does already.
    """
    path = folder / LOCK
    path.parent.mkdir(exist_ok=True)
    with path.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BusyError(f"{folder}: another `ssdseg grade` is running there; wait for it, or stop it") from None
        yield


def lay_out_sources(folder: Path, config: Config) -> None:
    """Give nbgrader the lessons' sources, without which its formgrader shows none; those that are there stay."""
    if not (folder / CONFIG).exists():  # nbgrader itself is not used there
        return
    place = _directory(folder, config, "source", "source")
    for lesson in LESSONS:
        link, source = place / lesson.name, lesson.solution().parent
        if source.is_dir() and not os.path.lexists(link):
            with contextlib.suppress(OSError):  # a file system without links: the links are only a convenience
                place.mkdir(parents=True, exist_ok=True)
                link.symlink_to(source)


def prepare(lesson: Lesson, url: str, folder: Path, config: Config) -> str:
    """Make the lesson known to the gradebook, and give the text of the notebook that learners were handed."""
    own = _directory(folder, config, "source", "source") / lesson.name / f"{lesson.name}.ipynb"
    source = own if own.is_file() else lesson.solution()
    with tempfile.TemporaryDirectory(prefix="ssdseg-grading-") as place:
        course = Path(place)
        config = course_config(course, lesson.name)
        config.CourseDirectory.db_url = url
        lesson.solution(course).parent.mkdir(parents=True)
        shutil.copyfile(source, lesson.solution(course))
        run_nbgrader(GenerateAssignment, config)
        release = lesson.notebook(course).read_text(encoding="utf-8")
    known = {grade_id(cell) for cell in parse_notebook(release, str(source))["cells"]}
    names = (exercise.name for exercise in exercises_of(lesson))
    missing = [name for name in names if not {name, f"{CHECK}{name}"} <= known]
    if missing:
        raise GradingError(f"{source}: the cells of {', '.join(missing)} are missing; delete this file, or mend it")
    return release


def _directory(folder: Path, config: Config, step: str, default: str) -> Path:
    """Where nbgrader has something."""
    return Path(folder, config.CourseDirectory.get(f"{step}_directory", default))


def _digest(content: bytes, beside: Mapping[str, bytes], timestamp: datetime | None, release: str) -> str:
    """Tells what a grade was given for: this file and those beside it, this time, this lesson, these checks."""
    others = (part for name in sorted(beside) for part in (name.encode("utf-8", "surrogatepass"), beside[name]))
    parts = (content, str(timestamp).encode(), release.encode(), course_digest().encode(), *others)
    return hashlib.sha256(b"".join(hashlib.sha256(part).digest() for part in parts)).hexdigest()


def _write_if_new(path: Path, text: str) -> None:
    if not path.is_file() or path.read_bytes() != text.encode():
        write_whole(path, text)


def _write_class_report(records: Records, path: Path) -> None:
    parts = ["# How the class did\n"]
    for lesson in LESSONS:
        known = records.records(lesson.name)
        if known:
            parts.append(as_markdown(lesson.title, summarise(known)))
    write_whole(path, "\n".join(parts))
