"""Grades a folder of submissions into a gradebook; it can be stopped at any moment, and goes on when run again."""

import contextlib
import fcntl
import hashlib
import secrets
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from nbgrader.converters import GenerateAssignment
from traitlets.config import Config
from traitlets.config.loader import load_pyconfig_files

from ssdseg_course.grading import cluster
from ssdseg_course.grading.class_report import as_markdown, summarise
from ssdseg_course.grading.gradebook import Record, Records, gradebook_url, open_gradebook
from ssdseg_course.grading.grader import SECONDS, Graded, NotGraded, Work
from ssdseg_course.grading.intake import Refusal, Submission, take_in
from ssdseg_course.grading.nbgrader_course import course_config, run_nbgrader
from ssdseg_course.grading.pages import feedback_page, graded_notebook
from ssdseg_course.manifest import LESSONS, ROOT, Lesson
from ssdseg_course.work.workspace import parse_notebook, write_whole

SEEDS = 2**31
LOCK = Path(".ssdseg", "grading.lock")
GRADES, CLASS_REPORT = "grades.csv", "class_report.md"
CONFIG = "nbgrader_config.py"


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
    """

    graded: int = 0
    unchanged: int = 0
    not_graded: list[Refusal | NotGraded] = field(default_factory=list)
    handed_in: dict[str, set[str]] = field(default_factory=dict)
    records: list[Record] = field(default_factory=list)


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
    """

    lesson: Lesson | None = None
    workers: int | None = None
    scheduler: str | None = None
    gradebook: str | None = None
    unsafe: bool = False
    again: bool = False
    seconds: int = SECONDS


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
        ClusterError, GradebookError, GradingError, SandboxError: if the cluster, the gradebook, nbgrader or the
            sandbox cannot be used.
        OSError: if a folder cannot be read or written.
    """
    config = _config(folder)
    url = gradebook_url(config, options.gradebook)
    with _alone(folder), open_gradebook(url, config) as records:
        tally, to_do, releases = _look_through(submissions, records, url, options)
        number = sum(map(len, to_do.values()))
        if number:
            works = _works(submissions, to_do, releases, options)
            with cluster.connected(options.workers, options.scheduler, options.unsafe) as client:
                if progress:
                    progress(0, number)
                for done, (work, result) in enumerate(cluster.grade_all(client, works), start=1):
                    if isinstance(result, Graded):
                        _write_pages(result, work.release, folder, config)
                        records.record(result, _digest(work.content, work.timestamp, work.release))
                        tally.graded += 1
                    else:
                        tally.not_graded.append(result)
                    if progress:
                        progress(done, number)
        for lesson, students in tally.handed_in.items():
            tally.records += [it for it in records.records(lesson) if it.student in students]
        if releases:
            records.export(folder / GRADES)
            _write_class_report(records, folder / CLASS_REPORT)
    return tally


def _look_through(
    submissions: Path, records: Records, url: str, options: Options
) -> tuple[Tally, dict[str, set[str]], dict[str, str]]:
    """See what there is to do, holding no more than one notebook at a time.

    Returns:
        what is known already; the learners to be graded, by lesson; and the lessons' notebooks as they were handed out.
    """
    tally, to_do, releases = Tally(), {}, {}
    for it in take_in(submissions, options.lesson):
        if isinstance(it, Refusal):
            tally.not_graded.append(it)
            continue
        name = it.lesson.name
        if it.student in tally.handed_in.get(name, ()):
            tally.not_graded.append(Refusal(it.student, name, "it was handed in twice; what was found first counts"))
            continue
        if name not in releases:
            releases[name] = _prepare(it.lesson, url)
        tally.handed_in.setdefault(name, set()).add(it.student)
        digest = _digest(it.content, it.timestamp, releases[name])
        if not options.again and records.digest(it.student, name) == digest:
            tally.unchanged += 1
        else:
            to_do.setdefault(name, set()).add(it.student)
    return tally, to_do, releases


def _works(submissions: Path, to_do: dict[str, set[str]], releases: dict[str, str], options: Options) -> Iterator[Work]:
    """What workers are given: read when they are ready for it, lesson by lesson, for a sandbox is made for one."""
    seed = secrets.randbelow(SEEDS)  # the same for the whole class, and new for each grading
    for lesson in LESSONS:
        if lesson.name not in to_do:
            continue
        left = set(to_do[lesson.name])
        for it in take_in(submissions, lesson):
            if isinstance(it, Submission) and it.student in left:
                left.remove(it.student)
                yield Work(
                    it.student,
                    lesson.name,
                    it.content,
                    it.timestamp,
                    it.remarks,
                    releases[lesson.name],
                    seed,
                    options.seconds,
                    options.unsafe,
                )


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


def _prepare(lesson: Lesson, url: str) -> str:
    """Make the lesson known to the gradebook, and give the text of the notebook that learners were handed."""
    with tempfile.TemporaryDirectory(prefix="ssdseg-grading-") as place:
        course = Path(place)
        config = course_config(course, lesson.name)
        config.CourseDirectory.db_url = url
        lesson.solution(course).parent.mkdir(parents=True)
        shutil.copyfile(lesson.solution(), lesson.solution(course))
        run_nbgrader(GenerateAssignment, config)
        return lesson.notebook(course).read_text(encoding="utf-8")


def _digest(content: bytes, timestamp: datetime | None, release: str) -> str:
    """Tells what a grade was given for: this file, this time, this lesson, these checks."""
    parts = (content, str(timestamp).encode(), release.encode(), cluster.course_digest().encode())
    return hashlib.sha256(b"".join(hashlib.sha256(part).digest() for part in parts)).hexdigest()


def _write_pages(graded: Graded, release: str, folder: Path, config: Config) -> None:
    """The notebook for the formgrader and the page for the learner, where nbgrader has them."""
    directories = config.CourseDirectory
    place = Path(graded.student, graded.lesson, graded.lesson)
    autograded = folder / directories.get("autograded_directory", "autograded") / place.with_suffix(".ipynb")
    feedback = folder / directories.get("feedback_directory", "feedback") / place.with_suffix(".html")
    write_whole(autograded, graded_notebook(graded, parse_notebook(release, graded.lesson)))
    write_whole(feedback, feedback_page(graded))


def _write_class_report(records: Records, path: Path) -> None:
    parts = ["# How the class did\n"]
    for lesson in LESSONS:
        known = records.records(lesson.name)
        if known:
            parts.append(as_markdown(lesson.title, summarise(known)))
    write_whole(path, "\n".join(parts))
