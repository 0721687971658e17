"""Grades a folder of submissions into a gradebook; it can be stopped at any moment, and goes on when run again."""

import contextlib
import errno
import fcntl
import hashlib
import os
import secrets
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

from nbgrader.converters import GenerateAssignment
from sqlalchemy.exc import OperationalError
from traitlets.config import Config
from traitlets.config.loader import load_pyconfig_files

from ssdseg_course.exercises import exercises_of
from ssdseg_course.grading import cluster
from ssdseg_course.grading.class_report import as_markdown, summarise
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
from ssdseg_course.grading.pages import feedback_page, graded_notebook
from ssdseg_course.grading.search import SECRET, TIMESTAMP
from ssdseg_course.grading.text import shown
from ssdseg_course.manifest import LESSONS, ROOT, Lesson
from ssdseg_course.work.carrying import CHECK
from ssdseg_course.work.workspace import Notebook, grade_id, parse_notebook, write_whole

SEEDS = 2**31
LOCK = Path(".ssdseg", "grading.lock")
GRADES, CLASS_REPORT = "grades.csv", "class_report.md"
CONFIG = "nbgrader_config.py"
TIMESTAMP_FORMAT = "%Y-%m-%d %H:%M:%S.%f UTC"  # as nbgrader writes it
EVERYBODYS = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO}  # what one submission is not to blame for


class BusyError(ValueError):
    """Somebody else is grading in this folder."""


@dataclass
class Tally:
    """What has become of a folder of submissions.

    Attributes:
        graded: number of submissions graded now.
        unchanged: number of those that had been graded before and are the same since.
        not_graded: what could not be graded, and why.
        handed_in: learners whose submissions could be read, by lesson.
        records: of all submissions in the folder that have been graded, now or before.
        standings: what nbgrader has of them, with what was changed by hand, by (learner, lesson).
        learners: all who have handed in, by id.
        penalties: number of submissions for which being late costs something else than before.
        notes: what else the instructor should know, a sentence each.
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


@dataclass(frozen=True)
class Options:
    """How to grade.

    Attributes:
        lesson: which alone; all without one.
        workers: processes on this machine; one a core without it.
        scheduler: address of a Dask cluster instead.
        gradebook: its address, or the path of an SQLite file; that of nbgrader's settings without it.
        unsafe: to grade without a sandbox.
        again: to grade also what has been graded and is the same since.
        seconds: that an exercise may take.
        take: which of several notebooks of one lesson counts; see `take_in`.
        students: a table of ids and names.
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
        ClusterError, GradebookError, GradingError, SandboxError, StudentsError: if the cluster, the gradebook,
            nbgrader, the sandbox or the table of students cannot be used.
        OSError: if a folder cannot be read or written.
    """
    config = _config(folder)
    url = gradebook_url(config, options.gradebook)
    students = read_students(options.students) if options.students else None
    with _alone(folder), open_gradebook(url, config) as records:
        _lay_out_sources(folder, config)
        hand_ins = take_in(submissions, options.lesson, options.take, students)
        tally, to_do, releases, secrets_of = _look_through(hand_ins, records, url, folder, config, options)
        number = sum(map(len, to_do.values()))
        if number:
            works = _works(submissions, to_do, releases, options, tally)
            with cluster.connected(options.workers, options.scheduler, options.unsafe) as client:
                if progress:
                    progress(0, number)
                for done, (work, result) in enumerate(cluster.grade_all(client, works), start=1):
                    if isinstance(result, Graded):
                        result = _keep(result, work, records, folder, config, tally)
                    if isinstance(result, NotGraded):
                        tally.not_graded.append(result)
                    if progress:
                        progress(done, number)
        records.write_names(tally.learners.values())
        for lesson, students in tally.handed_in.items():
            tally.penalties += records.look_at_due_dates(lesson)
            standings = records.standings(lesson)
            for record in records.records(lesson):
                if record.student in students and record.student in standings:
                    tally.records.append(record)
                    tally.standings[record.student, lesson] = standings[record.student]
                    _write_feedback(record, standings[record.student], secrets_of, folder, config, tally)
        if releases:
            records.export(folder / GRADES)
            _write_class_report(records, folder / CLASS_REPORT)
    return tally


def _look_through(
    hand_ins: Iterable[Submission | Refusal],
    records: Records,
    url: str,
    folder: Path,
    config: Config,
    options: Options,
) -> tuple[Tally, dict[str, list[Submission]], dict[str, str], dict[tuple[str, str], str]]:
    """See what there is to do, holding no more than one notebook at a time.

    Returns:
        what is known already; what is to be graded, without its content, by lesson; the lessons' notebooks as they were
        handed out; and the secrets of nbgrader's exchange, by (learner, lesson).
    """
    tally, to_do, releases, secrets_of = Tally(), {}, {}, {}
    files: dict[tuple[int, int], str] = {}
    digests: dict[str, dict[str, str]] = {}
    for it in hand_ins:
        if isinstance(it, Refusal):
            tally.not_graded.append(it)
            continue
        name = it.lesson.name
        if name not in releases:
            releases[name] = _prepare(it.lesson, url, folder, config)
            digests[name] = records.digests(name)
        tally.handed_in.setdefault(name, set()).add(it.student)
        tally.learners[it.student] = it.learner
        secrets_of[it.student, name] = it.secret
        if it.file and (owner := files.setdefault(it.file, it.student)) != it.student:
            tally.notes.append(f"{owner} and {it.student} have handed in one and the same file (a hard link), {name}")
        digest = _digest(it.content, it.beside, it.timestamp, releases[name])
        if not options.again and digests[name].get(it.student) == digest:
            tally.unchanged += 1
        else:
            to_do.setdefault(name, []).append(replace(it, content=b"", beside={}))
    return tally, to_do, releases, secrets_of


def _works(
    submissions: Path, to_do: dict[str, list[Submission]], releases: dict[str, str], options: Options, tally: Tally
) -> Iterator[Work]:
    """What workers are given: read when they are ready for it, lesson by lesson, for a sandbox is made for one."""
    seed = secrets.randbelow(SEEDS)  # the same for the whole class, and new for each grading
    for lesson in LESSONS:
        for it in to_do.get(lesson.name, ()):
            try:
                it = read_again(submissions, it)
            except Exception as error:  # it has changed since it was looked at
                tally.not_graded.append(
                    NotGraded(it.student, lesson.name, f"it cannot be read any more: {shown(error)}")
                )
                continue
            release = releases[lesson.name]
            yield Work(
                it.student,
                lesson.name,
                it.content,
                it.timestamp,
                it.remarks,
                release,
                seed,
                options.seconds,
                options.unsafe,
                it.beside,
            )


def _keep(graded: Graded, work: Work, records: Records, folder: Path, config: Config, tally: Tally) -> NotGraded | None:
    """Record a submission that has been graded, and write the page of it that the formgrader shows.

    What this one cannot be recorded for costs the others nothing; a gradebook or a disk that fails is everybody's.
    """
    try:
        release = parse_notebook(work.release, work.lesson)
        graded = _worth_what_the_lesson_says(graded, release)
        path = _place(folder, config, "autograded", graded.student, graded.lesson).with_suffix(".ipynb")
        write_whole(path, graded_notebook(graded, release))
        digest = _digest(work.content, work.beside, work.timestamp, work.release)
        records.record(graded, digest, tally.learners.get(graded.student))
    except (GradebookError, OperationalError):
        raise
    except Exception as error:
        if isinstance(error, OSError) and error.errno in EVERYBODYS:
            raise
        reason = f"recording it stopped with {type(error).__name__}: {shown(error)}"
        return NotGraded(graded.student, graded.lesson, reason)
    tally.graded += 1
    return None


def _worth_what_the_lesson_says(graded: Graded, release: Notebook) -> Graded:
    """With the points that each check has in the notebook that was handed out: an instructor may have changed them."""
    points = {grade_id(cell): cell["metadata"]["nbgrader"].get("points") for cell in release["cells"] if grade_id(cell)}
    reports = []
    for report in graded.reports:
        worth = points.get(f"{CHECK}{report.exercise_id.split('.')[1]}")
        reports.append(replace(report, points=report.points if worth is None else worth))
    return replace(graded, reports=tuple(reports))


def _config(folder: Path) -> Config:
    """nbgrader's settings of the folder; those of the course where it has none."""
    at = folder if (folder / CONFIG).exists() else ROOT
    try:
        config = load_pyconfig_files([CONFIG], str(at))
    except SyntaxError as error:
        raise ValueError(f"{at / CONFIG}, line {error.lineno}: {error.msg}") from None
    config.CourseDirectory.root = str(folder)
    return config


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Nobody else grades in this folder meanwhile; the system takes the lock back however this process ends."""
    path = folder / LOCK
    path.parent.mkdir(exist_ok=True)
    with path.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BusyError(f"{folder}: another `ssdseg grade` is at work there; wait for it, or stop it") from None
        yield


def _lay_out_sources(folder: Path, config: Config) -> None:
    """Give nbgrader the lessons' sources, without which its formgrader shows none; those that are there stay."""
    if not (folder / CONFIG).exists():  # nbgrader itself is not used there
        return
    place = _directory(folder, config, "source", "source")
    for lesson in LESSONS:
        link, source = place / lesson.name, lesson.solution().parent
        if source.is_dir() and not os.path.lexists(link):
            with contextlib.suppress(OSError):  # a file system without links: what is missing is but a convenience
                place.mkdir(parents=True, exist_ok=True)
                link.symlink_to(source)


def _prepare(lesson: Lesson, url: str, folder: Path, config: Config) -> str:
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
    missing = [it.name for it in exercises_of(lesson) if not {it.name, f"{CHECK}{it.name}"} <= known]
    if missing:
        raise GradingError(f"{source}: the cells of {', '.join(missing)} are missing; delete this file, or mend it")
    return release


def _directory(folder: Path, config: Config, step: str, default: str) -> Path:
    """Where nbgrader has something."""
    return folder / config.CourseDirectory.get(f"{step}_directory", default)


def _place(folder: Path, config: Config, step: str, student: str, lesson: str) -> Path:
    """Where nbgrader has a notebook of a submission, without its ending."""
    return _directory(folder, config, step, step) / student / lesson / lesson


def _digest(content: bytes, beside: Mapping[str, bytes], timestamp: datetime | None, release: str) -> str:
    """Tells what a grade was given for: this file and those beside it, this time, this lesson, these checks."""
    others = (part for name in sorted(beside) for part in (name.encode("utf-8", "surrogatepass"), beside[name]))
    parts = (content, str(timestamp).encode(), release.encode(), cluster.course_digest().encode(), *others)
    return hashlib.sha256(b"".join(hashlib.sha256(part).digest() for part in parts)).hexdigest()


def _write_feedback(
    record: Record, standing: Standing, secrets_of: dict, folder: Path, config: Config, tally: Tally
) -> None:
    """The page that a learner gets back, and what `nbgrader release_feedback` wants to find beside it."""
    learner = tally.learners[record.student]
    try:
        page = feedback_page(record, standing, learner.name)
        when = f"{standing.timestamp:{TIMESTAMP_FORMAT}}" if standing.timestamp else ""
        places = [_place(folder, config, it, record.student, record.lesson) for it in ("feedback", "autograded")]
        _write_if_new(places[0].with_suffix(".html"), page)
        kept = [it.with_name(SECRET) for it in places if it.with_name(SECRET).is_file()]
        secret = secrets_of[record.student, record.lesson] or (kept[0].read_text() if kept else secrets.token_hex(16))
        for place in places:
            _write_if_new(place.with_name(TIMESTAMP), when)
            _write_if_new(place.with_name(SECRET), secret)
    except Exception as error:
        if isinstance(error, OSError) and error.errno in EVERYBODYS:
            raise
        reason = f"it is graded, but its page could not be written: {type(error).__name__}: {shown(error)}"
        tally.not_graded.append(NotGraded(record.student, record.lesson, reason))


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
