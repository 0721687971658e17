"""Grades one submission: mended, run in the sandbox exercise by exercise, judged outside of it.

This is what a worker of a cluster does. It is given all it needs by value, and gives back plain text and numbers.
"""

import functools
from dataclasses import dataclass, replace
from datetime import datetime

from ssdseg_course.checking.exercise import Exercise
from ssdseg_course.checking.judge import AnswerKey, again, judge
from ssdseg_course.checking.report import Report
from ssdseg_course.checking.time_limit import SECONDS as CHECK_SECONDS
from ssdseg_course.exercises import EXERCISES
from ssdseg_course.grading.repair import repair
from ssdseg_course.grading.sandbox import Sandbox, SandboxError
from ssdseg_course.grading.staging import CONFESSION
from ssdseg_course.manifest import Lesson, find_lesson
from ssdseg_course.sandboxed.definitions import Source
from ssdseg_course.work.carrying import CHECK
from ssdseg_course.work.running import exercises_of
from ssdseg_course.work.workspace import Notebook, NotebookError, code_cells, grade_id, is_written, parse_notebook

SECONDS = int(CHECK_SECONDS)  # of work, that an exercise may take
UNJUDGED = "what it gives back cannot be compared with what is right"
CASES_KEPT = 100  # exercises whose right answers a worker remembers


@dataclass(frozen=True)
class Work:
    """A submission to be graded, and how.

    Attributes:
        student: nbgrader's id of the learner.
        lesson: name of the lesson.
        content: the notebook that was handed in.
        timestamp: when, where that is known.
        remarks: of those who took it in.
        release: the text of the lesson's notebook as it was handed out.
        seed: of the cases; drawn for this grading, and known to nobody who is graded.
        seconds: that an exercise may take.
        unsafe: to run answers without a sandbox.
    """

    student: str
    lesson: str
    content: bytes
    timestamp: datetime | None
    remarks: tuple[str, ...]
    release: str
    seed: int
    seconds: int = SECONDS
    unsafe: bool = False


@dataclass(frozen=True)
class Graded:
    """A submission that has been graded.

    Attributes:
        student: nbgrader's id of the learner.
        lesson: name of the lesson.
        reports: on its exercises, in their order.
        written: names of the answers that are no longer the stubs that were handed out.
        remarks: what the instructor should know.
        notebook: the lesson's notebook with the learner's work in it.
        timestamp: when it was handed in, where that is known.
    """

    student: str
    lesson: str
    reports: tuple[Report, ...]
    written: frozenset[str]
    remarks: tuple[str, ...]
    notebook: Notebook
    timestamp: datetime | None

    @property
    def earned(self) -> int:
        """Points."""
        return sum(report.earned for report in self.reports)

    @property
    def points(self) -> int:
        """Points that there are."""
        return sum(report.points for report in self.reports)


@dataclass(frozen=True)
class NotGraded:
    """A submission that could not be graded.

    Attributes:
        student: nbgrader's id of the learner.
        lesson: name of the lesson.
        reason: why, a sentence.
    """

    student: str
    lesson: str
    reason: str


def grade(work: Work) -> Graded | NotGraded:
    """Grade a submission.

    Raises:
        SandboxError: if there is no sandbox to run it in.
    """
    lesson = find_lesson(work.lesson)
    release = parse_notebook(work.release, work.lesson)
    try:
        repaired = repair(work.content, lesson, release)
    except NotebookError as error:
        return NotGraded(work.student, work.lesson, "; ".join((str(error), *work.remarks)))
    cells = list(code_cells(repaired.notebook))
    sources = [Source(place, grade_id(cell), cell["source"]) for place, cell in cells]
    results = [_report_on(exercise, sources, work, lesson) for exercise in exercises_of(lesson)]
    remarks = [*work.remarks, *repaired.remarks, *(remark for _, remark in results if remark)]
    return Graded(
        work.student,
        work.lesson,
        tuple(report for report, _ in results),
        frozenset(grade_id(cell) for _, cell in cells if is_written(cell)),
        tuple(dict.fromkeys(remarks)),
        repaired.notebook,
        work.timestamp,
    )


def _report_on(exercise: Exercise, sources: list[Source], work: Work, lesson: Lesson) -> tuple[Report, str]:
    """The report on an answer, and what the instructor should know of it, "" if nothing."""
    key = _answer_key(exercise.id, work.seed)
    above = sources[: next(k for k, source in enumerate(sources) if source.name == f"{CHECK}{exercise.name}")]
    whole = frozenset(it.name for it in exercises_of(lesson))
    notebook = f"{work.lesson}.ipynb"
    for attempt in (1, 2):
        try:
            sandbox = _sandbox(work.lesson, work.unsafe)
            probed = sandbox.probe(exercise, key.cases, above, notebook, whole, work.seconds)
            break
        except SandboxError:
            _close_sandbox()
            if attempt == 2:
                raise
    if probed.outcomes is None:
        report = Report(exercise.id, False, exercise.points, (probed.trouble,), work.seed)
    else:
        try:
            report = judge(exercise, probed.outcomes, work.seed, key)
        except Exception as error:  # values that no honest function gives, or a mistake of ours: somebody has to look
            report = Report(exercise.id, False, exercise.points, (UNJUDGED,), work.seed)
            return report, f"judging `{exercise.name}` stopped with {type(error).__name__}: look at it yourself"
    # The seed would show more cases than the one that failed.
    messages = tuple(message for message in report.messages if message != again(exercise, work.seed))
    if not report.passed and probed.outcomes is not None and probed.trouble:
        messages = (*messages, f"on the way to `{exercise.name}` a statement stopped with {probed.trouble}")
    report = replace(report, messages=messages)
    if CONFESSION in str(report):
        return report, f"`{exercise.name}` takes the reference's answer instead of being written"
    return report, ""


@functools.lru_cache(maxsize=CASES_KEPT)
def _answer_key(exercise_id: str, seed: int) -> AnswerKey:
    return AnswerKey(EXERCISES[exercise_id], seed)


_open: dict[tuple[str, bool], Sandbox] = {}  # of this process: one at a time, for a worker's lessons come in order


def _sandbox(lesson: str, unsafe: bool) -> Sandbox:
    """This worker's sandbox for a lesson, made where it has none."""
    if (lesson, unsafe) not in _open:
        _close_sandbox()
        _open[lesson, unsafe] = Sandbox(find_lesson(lesson), unsafe)
    return _open[lesson, unsafe]


def _close_sandbox() -> None:
    while _open:
        _open.popitem()[1].close()
