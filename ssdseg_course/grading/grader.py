"""Grades one submission: mended, run in the sandbox exercise by exercise, judged outside of it.

This is what a worker of a cluster does. It is given all it needs by value, and gives back plain text and numbers.
"""

import functools
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from ssdseg_course.check import draw_seed
from ssdseg_course.checking.exercise import Exercise
from ssdseg_course.checking.judge import AnswerKey, again, judge
from ssdseg_course.checking.probe import no_array
from ssdseg_course.checking.report import Report, Verdict
from ssdseg_course.checking.time_limit import SECONDS as CHECK_SECONDS
from ssdseg_course.checking.values import Plain, in_words_together
from ssdseg_course.exercises import EXERCISES, exercises_of
from ssdseg_course.grading.repair import repair
from ssdseg_course.grading.sandbox import LARGEST_REPLY, Code, Probed, Sandbox, SandboxError
from ssdseg_course.grading.staging import NOT_WHILE_GRADED
from ssdseg_course.manifest import Lesson, find_lesson
from ssdseg_course.sandboxed.definitions import Source
from ssdseg_course.sandboxed.isolation import MIB
from ssdseg_course.sandboxed.zygote import Way
from ssdseg_course.words import cut
from ssdseg_course.work.carrying import CHECK
from ssdseg_course.work.workspace import (
    Notebook,
    NotebookError,
    code_cells,
    grade_id,
    is_written,
    parse_notebook,
    read_notebook,
)

SECONDS = int(CHECK_SECONDS)  # of work, that an exercise may take
UNJUDGED = "what it gives back cannot be compared with what is right"
CASES_KEPT = 100  # exercises whose right answers a worker remembers
TIMES_AS_MUCH = 16  # as the reference's numbers take, those of a wrong answer may take, written as text
LONGEST_MESSAGE, MOST_MESSAGES = 2000, 30  # characters, lines
WORD = re.compile(r"\w+")


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
        beside: content of the files that were handed in beside the notebook, by their paths.
        only: id of the one exercise to grade; "" for all.
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
    beside: Mapping[str, bytes] = field(default_factory=dict)
    only: str = ""


@dataclass(frozen=True)
class Graded:
    """A submission that has been graded.

    Attributes:
        student: nbgrader's id of the learner.
        lesson: name of the lesson.
        reports: on its exercises, in their order, or on the only one that was to be graded.
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
    codes = _codes(lesson, release, repaired.notebook, work.beside)
    if work.only:
        codes = _needed_for(work.only, codes)
    reports = [report for report in _reports(codes, work) if work.only in ("", report.exercise_id)]
    remarks = [*work.remarks, *repaired.remarks, *filter(None, map(_remark_on, reports))]
    return Graded(
        work.student,
        work.lesson,
        tuple(reports),
        frozenset(filter(None, map(grade_id, filter(is_written, repaired.notebook["cells"])))),
        tuple(dict.fromkeys(remarks)),
        repaired.notebook,
        work.timestamp,
    )


def _reports(codes: Sequence[tuple[Exercise, Code]], work: Work, endless: Collection[str] = ()) -> list[Report]:
    """The reports on all exercises, in their order.

    An exercise that fails, and uses an earlier one that is wrong, is tried once more with the course's own function in
    place of that one; so is one that uses a right one which gives a list, for it may go on with an array.

    Args:
        codes: the exercises, and where the answers are found.
        work: how to run them.
        endless: ids of exercises whose answers are known not to end, and are not tried.
    """
    results: list[Report] = []
    wrong: dict[str, Verdict | None] = {}
    lists: dict[str, str] = {}
    for exercise, code in codes:
        if exercise.id in endless:
            wrong[exercise.id] = Verdict.TOO_LONG
            results.append(Report(exercise.id, False, exercise.points, (), work.seed, verdict=Verdict.TOO_LONG))
            continue
        used = [other for other, _ in codes if other.id in wrong and other.name in _reached(exercise.name, code)]
        substitutes = {other.name: _solution(work.lesson, exercise.name, other.name) for other in used}
        with_substitutes = replace(code, substitutes=substitutes)
        if any(wrong[other.id] is Verdict.TOO_LONG for other in used):  # it would only take as long once more
            report, probed = _try(exercise, with_substitutes, work)
            report = _with_helpers(report, used, report, probed)
        else:
            report, probed = _try(exercise, code, work)
            if report.passed:
                lists[exercise.id] = no_array(probed.outcomes or (), len(exercise.returns))
            elif used:
                report = _with_helpers(report, used, *_try(exercise, with_substitutes, work))
        if report.verdict is Verdict.WRONG:
            kinds = {other.id: lists.get(other.id) for other, _ in codes if other.name in _reached(exercise.name, code)}
            report = _with_arrays(
                report, exercise, code, work, used, {one: kind for one, kind in kinds.items() if kind}
            )
        if not report.passed:
            wrong[exercise.id] = report.verdict
        results.append(report)
    return results


def _with_arrays(
    report: Report, exercise: Exercise, code: Code, work: Work, used: Sequence[Exercise], kinds: Mapping[str, str]
) -> Report:
    """The report on an answer that fails, if it is right as soon as right ones that it uses give arrays.

    Args:
        report: that it fails.
        exercise: which.
        code: where the answer is found.
        work: how to run it.
        used: earlier exercises that it uses and that are wrong.
        kinds: by their ids, those that are right, and what each gives in the place of an array.
    """
    if not kinds:
        return report
    names = [*(other.name for other in used), *(one.split(".")[1] for one in kinds)]
    substitutes = {name: _solution(work.lesson, exercise.name, name) for name in names}
    tried, _ = _try(exercise, replace(code, substitutes=substitutes), work)
    if not tried.passed:
        return report
    whose = in_words_together([f"`{name}`" for name in names])
    gives = in_words_together([f"`{one.split('.')[1]}` gives {kind}" for one, kind in kinds.items()])
    judged = f"right, judged with the course's own {whose}, for your {gives} where an array is needed"
    helpers = (*(other.id for other in used), *kinds)
    return replace(tried, messages=(judged,), helpers=helpers, right_but_for_helpers=True)


def _codes(
    lesson: Lesson, release: Notebook, notebook: Notebook, beside: Mapping[str, bytes]
) -> list[tuple[Exercise, Code]]:
    """The exercises of a lesson, in their order, and the code in which the answer to each is found."""
    handed_out = {cell["source"] for _, cell in code_cells(release)}
    sources = [
        Source(place, grade_id(cell), cell["source"], is_written(cell) or cell["source"] not in handed_out)
        for place, cell in code_cells(notebook)
    ]
    places = {source.name: source.place for source in sources}
    whole = frozenset(exercise.name for exercise in exercises_of(lesson))
    ways = tuple(Way) if any(map(_does_more, filter(lambda source: source.own, sources))) else (Way.DEFINITIONS,)
    return [
        (exercise, Code(sources, places[f"{CHECK}{exercise.name}"], f"{lesson.name}.ipynb", whole, beside, ways=ways))
        for exercise in exercises_of(lesson)
    ]


def _needed_for(exercise_id: str, codes: list[tuple[Exercise, Code]]) -> list[tuple[Exercise, Code]]:
    """Of the exercises of a lesson one, and those before it that it uses: how they fare has a say in its points."""
    place, (exercise, code) = next((place, one) for place, one in enumerate(codes) if one[0].id == exercise_id)
    used = _reached(exercise.name, code)
    return [*(one for one in codes[:place] if one[0].name in used), codes[place]]


def _does_more(source: Source) -> bool:
    """Whether there may be more in a learner's cell than the function that it is to hold."""
    lines = (line for line in source.text.splitlines() if line[:1] not in ("", " ", "\t", "#", ")"))
    return not all(re.match(rf"def {source.name}\b", line) for line in lines)


def _with_helpers(report: Report, used: Sequence[Exercise], again: Report, probed: Probed) -> Report:
    """The report on an answer that uses earlier ones which are wrong.

    Args:
        report: with the learner's own.
        used: these exercises.
        again: with the course's own in their places.
        probed: what came out then. Where that are values alone, what is said of them is the answer's own mistake; words
            of the learner's could hold the course's text.
    """
    names = in_words_together([f"`{other.name}`" for other in used])
    yours = f"yours {'is' if len(used) == 1 else 'are'} not right yet: mend {used[0].id} first"
    judged = f"judged with the course's own {names}, for {yours}"
    helpers = tuple(other.id for other in used)
    if again.passed:
        return replace(again, messages=(f"right, {judged}",), helpers=helpers, right_but_for_helpers=True)
    if report.verdict is Verdict.UNWRITTEN:
        return report
    if probed.outcomes is not None and all(outcome.failure is None for outcome in probed.outcomes):
        return replace(again, messages=(*again.messages, judged), helpers=helpers)
    uses = f"it uses {names}, and {yours}"
    return replace(report, messages=(*report.messages, uses), helpers=helpers)


def _reached(name: str, code: Code) -> set[str]:
    """Names of exercises that the answer to one may use, itself or by others: all that its cells mention."""
    mentioned: dict[str, set[str]] = {}
    of_own_cells = set()
    for source in code.sources:
        found = set(WORD.findall(source.text)) & code.whole
        if source.name in code.whole:
            mentioned.setdefault(source.name, set()).update(found)
        elif source.own:
            of_own_cells |= found
    reached, wanted = set(), {name}
    while wanted:
        reached |= wanted
        wanted = set().union(of_own_cells, *(mentioned.get(one, set()) for one in wanted)) - reached
    return reached - {name}


@functools.lru_cache(maxsize=CASES_KEPT)
def _solution(lesson_name: str, above: str, name: str) -> tuple[Source, ...]:
    """The solution's cells that define a function, none of which stands below the answer of another exercise."""
    cells = [
        Source(place, grade_id(cell), cell["source"], own=False)
        for place, cell in code_cells(read_notebook(find_lesson(lesson_name).solution()))
    ]
    last = min(next(cell.place for cell in cells if cell.name == mark) for mark in (above, f"{CHECK}{name}"))
    return tuple(cell for cell in cells if cell.place < last)


def _try(exercise: Exercise, code: Code, work: Work) -> tuple[Report, Probed]:
    """The report on an answer, found in the first of all ways that makes it right, and what came out of the sandbox.

    Each way runs the learner's own code alone, on the same cases: so the best of them is the learner's own, too.
    """
    best: tuple[Report, Probed] | None = None
    for way in code.ways:
        probed = _probed(exercise, code, work, way)
        if probed is None:
            continue
        report = _judged(exercise, probed, work)
        if report.passed or best is None or (probed.has_values and not best[1].has_values):
            best = report, probed
        if report.passed or probed.was_ended or _is_stub(exercise, code, probed):
            break
    assert best  # the first way never comes to the same as one before
    return best


def _is_stub(exercise: Exercise, code: Code, probed: Probed) -> bool:
    """Whether there is no answer yet, in whatever way it is looked for."""
    written = any(source.own for source in code.sources if source.name == exercise.name)
    return not written and probed.outcomes is not None and not probed.has_values


def _probed(exercise: Exercise, code: Code, work: Work, way: Way) -> Probed | None:
    key = _answer_key(exercise.id, work.seed)
    most = _largest_reply(exercise.id, work.seed)
    for attempt in (1, 2):
        try:
            return _sandbox(work.lesson, work.unsafe).probe(exercise, key.cases, code, work.seconds, way, most)
        except SandboxError:
            close_sandbox()
            if attempt == 2:
                raise
    raise AssertionError


def _judged(exercise: Exercise, probed: Probed, work: Work) -> Report:
    """The report on what came out of the sandbox."""
    if probed.outcomes is None:
        verdict = Verdict.TOO_LONG if probed.took_too_long else None
        return Report(exercise.id, False, exercise.points, (probed.trouble,), work.seed, verdict=verdict)
    try:
        report = judge(exercise, probed.outcomes, work.seed, _answer_key(exercise.id, work.seed))
    except Exception as error:  # values that no honest function gives, or a mistake of ours: somebody has to look
        return Report(exercise.id, False, exercise.points, (f"{UNJUDGED} ({type(error).__name__})",), work.seed)
    # The seed would show more cases than the one that failed.
    messages = [message for message in report.messages if message != again(exercise, work.seed)]
    if not report.passed and probed.trouble:
        messages.append(f"on the way to `{exercise.name}` a statement stopped with {probed.trouble}")
    return replace(report, messages=tuple(cut(message, LONGEST_MESSAGE) for message in messages[:MOST_MESSAGES]))


def _remark_on(report: Report) -> str:
    """What the instructor should know of an answer, "" if nothing."""
    name = report.exercise_id.split(".")[1]
    if UNJUDGED in str(report):
        return f"judging `{name}` was not possible: look at it yourself"
    if NOT_WHILE_GRADED in str(report):
        return f"`{name}` takes the reference's answer instead of being written"
    return ""


@functools.lru_cache(maxsize=CASES_KEPT)
def _largest_reply(exercise_id: str, seed: int) -> int:
    """Bytes that an answer may give back: a few times as many as the reference's, for a wrong one may give more."""
    key = _answer_key(exercise_id, seed)
    right = sum(_bytes(key.value(key.exercise.reference, number)) for number in range(len(key.cases)))
    return min(LARGEST_REPLY, MIB + TIMES_AS_MUCH * right)


def _bytes(value: Plain | None) -> int:
    if value is None:
        return 0
    return sum(map(_bytes, value)) if isinstance(value, tuple) else value.nbytes


@functools.lru_cache(maxsize=CASES_KEPT)
def _answer_key(exercise_id: str, seed: int) -> AnswerKey:
    return AnswerKey(EXERCISES[exercise_id], seed)


_open: dict[tuple[str, bool], Sandbox] = {}  # of this process: one at a time, for a worker's lessons come in order


def _sandbox(lesson: str, unsafe: bool) -> Sandbox:
    """This worker's sandbox for a lesson, made where it has none."""
    if (lesson, unsafe) not in _open:
        close_sandbox()
        _open[lesson, unsafe] = Sandbox(find_lesson(lesson), unsafe)
    return _open[lesson, unsafe]


def close_sandbox() -> None:
    """End the sandbox of this process, if it has one."""
    while _open:
        _open.popitem()[1].close()


def rehearse(
    lesson: Lesson,
    release: Notebook,
    notebook: Notebook,
    beside: Mapping[str, bytes],
    endless: Collection[str] = (),
) -> list[tuple[Report, bool]]:
    """Try answers as grading will.

    Args:
        lesson: whose.
        release: its notebook as it was handed out.
        notebook: the learner's, as `repair` gives it.
        beside: content of the files that stand beside it, by their paths.
        endless: ids of exercises whose answers are known not to end, and are not tried.

    Returns:
        the report on each, and whether it is right only with the files that stand beside the notebook.

    Raises:
        SandboxError: if this system cannot run them, not even without a sandbox.
    """
    work = Work("", lesson.name, b"", None, (), "", draw_seed())
    try:
        _sandbox(lesson.name, unsafe=False)
    except SandboxError:
        work = replace(work, unsafe=True)
    codes = _codes(lesson, release, notebook, beside)
    try:
        reports = _reports(codes, work, endless)
        return [
            (report, bool(beside) and report.passed and not _try(exercise, replace(code, beside={}), work)[0].passed)
            for (exercise, code), report in zip(codes, reports, strict=True)
        ]
    finally:
        close_sandbox()
