"""`ssdseg grade --challenges`: the answers of a class to the open challenges, in one table.

Each answer runs in the sandbox, on hidden cases that are drawn for this table alone. What comes out is judged here,
outside, and so is time measured: by this process's clock, from handing out the cases to having all the results, less
what the same takes with a function that does nothing. An answer that changes clocks, checks or results in its own
process changes nothing here. Answers are timed one after another, in turns, over several rounds, with the reference
among them, each in a fresh process that has seen no earlier round.
"""

import csv
import io
import re
import secrets
import statistics
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

import ssdseg_ref
from ssdseg_course.challenges import MODULES, find_challenge
from ssdseg_course.challenges.answers import is_untouched, made_of, source_of_statements
from ssdseg_course.challenges.challenge import CLASSES, Challenge, Refused, Score, Scored, Timed
from ssdseg_course.checking.exercise import Arguments
from ssdseg_course.checking.probe import probe
from ssdseg_course.checking.values import Plain
from ssdseg_course.grading.intake import TAKE, Refusal, Submission, take_in
from ssdseg_course.grading.names import Students, in_a_table
from ssdseg_course.grading.repair import repair
from ssdseg_course.grading.sandbox import LARGEST_REPLY, Code, Sandbox
from ssdseg_course.grading.text import LONGEST_SENTENCE, shown
from ssdseg_course.manifest import Lesson, find_lesson
from ssdseg_course.sandboxed.definitions import Source
from ssdseg_course.work.running import release_of
from ssdseg_course.work.workspace import Notebook, NotebookError, code_cells, grade_id
from ssdseg_ref.keeping import write_whole

TABLE = "challenges.csv"
COLUMNS = ("challenge", "place", "student_id", "name", "score", "low", "high", "unit", "note")
ROUNDS = 7
SECONDS_A_ROUND = 0.3  # of the reference's work: a shorter one would measure the making of processes
SECONDS_OF_ROUNDS = 30.0  # on the clock; an answer that has taken longer has no further rounds
SLOWEST = 50  # times the reference's time, that an answer may take
NOISE = 0.05  # of a time, below which a difference tells nothing
LONGEST_ANSWER = 50_000  # characters of code
FROM_REFERENCE = re.compile(r"^from ssdseg_ref\.\w+ import .*$", re.MULTILINE)

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Entry:
    """A learner's answer to a challenge.

    Attributes:
        student: nbgrader's id of the learner.
        name: the learner's.
        score: None where there is none.
        note: what the score is made of, or why there is none.
        place: from 1; answers that cannot be told apart share one. 0 without a score.
    """

    student: str
    name: str
    score: Score | None
    note: str
    place: int = 0


@dataclass
class Contest:
    """What a class has made of one challenge.

    Attributes:
        challenge: which.
        entries: the best first, those without a score last.
        untouched: number of notebooks in which nothing was tried.
    """

    challenge: Challenge
    entries: list[Entry] = field(default_factory=list)
    untouched: int = 0


@dataclass(frozen=True)
class _Answer:
    """An answer that is to be measured.

    Attributes:
        hand_in: without its content.
        code: where it is found.
    """

    hand_in: Submission
    code: Code


def hold(
    submissions: Path,
    folder: Path,
    lesson: Lesson | None = None,
    unsafe: bool = False,
    take: str = TAKE[0],
    students: Students | None = None,
    progress: Progress | None = None,
) -> tuple[list[Contest], list[Refusal]]:
    """Measure all answers to challenges, one after another on this machine, and write the table.

    Args:
        submissions: the folder that holds them; see `intake`.
        folder: where the table goes.
        lesson: the only one whose challenge is meant; all without one.
        unsafe: whether to run answers without a sandbox.
        take: which of several notebooks of one lesson counts.
        students: a table of ids and names.
        progress: called with (measured, all).

    Raises:
        OSError: if a folder cannot be read or written.
        SandboxError: if there is no sandbox.
    """
    contests: dict[str, Contest] = {}
    answers: dict[str, list[_Answer]] = {}
    refused: list[Refusal] = []
    releases: dict[str, Notebook | None] = {}
    for hand_in in take_in(submissions, lesson, take, students):
        if isinstance(hand_in, Refusal):
            refused.append(hand_in)
            continue
        number = f"{hand_in.lesson.number:02d}"
        if number not in MODULES:
            continue
        if number not in contests:
            contests[number] = Contest(find_challenge(number))
            releases[number] = release_of(hand_in.lesson)
        try:
            answer = _answer(hand_in, releases[number], contests[number].challenge)
        except Refused as refusal:
            contests[number].entries.append(_entry(hand_in, None, str(refusal)))
        except NotebookError as error:
            refused.append(Refusal(hand_in.student, hand_in.lesson.name, str(error)))
        else:
            if answer:
                answers.setdefault(number, []).append(answer)
            else:
                contests[number].untouched += 1
    steps = _Steps(sum(map(len, answers.values())), progress)
    first = CLASSES.start + secrets.randbelow(len(CLASSES))  # known to nobody who has written an answer
    for number, found in sorted(answers.items()):
        contest = contests[number]
        with Sandbox(find_lesson(number), unsafe) as sandbox:
            if isinstance(contest.challenge, Timed):
                contest.entries += _timed(sandbox, contest.challenge, found, first, steps)
            else:
                assert isinstance(contest.challenge, Scored)
                contest.entries += _scored(sandbox, contest.challenge, found, first, steps)
    held = [contests[number] for number in sorted(contests)]
    for contest in held:
        contest.entries = placed(contest.challenge, contest.entries)
    write_whole(folder / TABLE, _csv(held))
    return held, refused


class _Steps:
    """Counts what has been measured."""

    def __init__(self, number: int, progress: Progress | None):
        self._number, self._progress, self._done = number, progress, 0.0

    def step(self, share: float = 1.0) -> None:
        """Count another answer, or a share of one."""
        self._done += share
        if self._progress:
            self._progress(min(round(self._done), self._number), self._number)


def _answer(hand_in: Submission, release: Notebook | None, challenge: Challenge) -> _Answer | None:
    """The answer in a notebook; None where there is nothing of the learner's.

    Raises:
        NotebookError: if the notebook cannot be read.
        Refused: if there is no such function in it, or something in it is against the rules.
    """
    if release is None:
        raise NotebookError(f"{hand_in.lesson.name}: the lesson's own notebook is not there")
    notebook = repair(hand_in.content, hand_in.lesson, release).notebook
    if is_untouched(notebook, release, challenge):
        return None
    if sum(len(cell["source"]) for _, cell in code_cells(notebook)) > LONGEST_ANSWER * 10:
        raise Refused("its cells are too long to be read")
    found = made_of(notebook, f"{hand_in.lesson.name}.ipynb", challenge)
    if not found:
        raise Refused(f"there is no function `{challenge.name}` in the notebook")
    code = source_of_statements(found)
    if len(code) > LONGEST_ANSWER:
        raise Refused(f"it is longer than {LONGEST_ANSWER:,} characters")
    challenge.refuse_against_rules(code)
    places = {statement.place for statement in found}
    sources = [Source(place, grade_id(cell), cell["source"]) for place, cell in code_cells(notebook) if place in places]
    kept = replace(hand_in, content=b"", beside={})
    return _Answer(kept, _code(sources, hand_in.lesson, hand_in))


def _code(sources: Sequence[Source], lesson: Lesson, hand_in: Submission | None = None) -> Code:
    """Where a sandbox finds a function: all of it stands above the place from which it is looked for."""
    last = max((source.place for source in sources), default=0) + 1
    return Code(sources, last, f"{lesson.name}.ipynb", frozenset(), hand_in.beside if hand_in else {})


def _entry(hand_in: Submission, score: Score | None, note: str) -> Entry:
    return Entry(hand_in.student, hand_in.learner.name, score, shown(note, LONGEST_SENTENCE))


def _results(
    sandbox: Sandbox, challenge: Challenge, cases: Sequence[Arguments], code: Code, seconds: float
) -> list[Plain]:
    """What an answer gives, case by case.

    Raises:
        Refused: if it gives nothing that can be judged.
        SandboxError: if the sandbox itself has failed.
    """
    probed = sandbox.probe(challenge, cases, code, max(1, round(seconds)), most=LARGEST_REPLY)
    if probed is None or probed.outcomes is None:
        raise Refused(f"`{challenge.name}`: {probed.trouble if probed else 'it gave nothing'}")
    return challenge.values(probed.outcomes)


def _scored(
    sandbox: Sandbox, challenge: Scored, answers: Iterable[_Answer], first: int, steps: _Steps
) -> Iterator[Entry]:
    cases = challenge.cases(first)
    for answer in answers:
        try:
            score = challenge.judge(first, _results(sandbox, challenge, cases, answer.code, challenge.seconds))
            yield _entry(answer.hand_in, score, score.note)
        except Refused as refusal:
            yield _entry(answer.hand_in, None, str(refusal))
        steps.step()


def _timed(sandbox: Sandbox, challenge: Timed, answers: Sequence[_Answer], first: int, steps: _Steps) -> list[Entry]:
    lesson = answers[0].hand_in.lesson
    cases = challenge.cases(first)
    timed = _enough_rounds(challenge, first)
    right = challenge.values(probe(challenge.reference, timed))
    idle, reference = _code([Source(0, None, challenge.idle_source)], lesson), _reference(challenge, lesson)
    times: list[list[float]] = [[] for _ in answers]  # as shares of the reference's
    spent = [0.0] * len(answers)
    troubles = [""] * len(answers)
    typical = []
    for number, answer in enumerate(answers):
        try:
            challenge.refuse_wrong(cases, _results(sandbox, challenge, cases, answer.code, challenge.seconds))
        except Refused as refusal:
            troubles[number] = str(refusal)
    for _ in range(ROUNDS):
        nothing, _ = _seconds(sandbox, challenge, timed, idle, challenge.seconds)
        whole, _ = _seconds(sandbox, challenge, timed, reference, challenge.seconds)
        by_reference = max(whole - nothing, 1e-9)
        typical.append(by_reference / len(timed))
        for number, answer in enumerate(answers):
            if troubles[number] or spent[number] > SECONDS_OF_ROUNDS:
                continue
            try:
                took, results = _seconds(sandbox, challenge, timed, answer.code, SLOWEST * by_reference + 1)
                challenge.refuse_results(timed, results, right)
            except Refused as refusal:
                troubles[number] = str(refusal)
                continue
            spent[number] += took
            times[number].append(max(took - nothing, 0.0) / by_reference)
            steps.step(1 / ROUNDS)
    return [
        _entry(answer.hand_in, None, trouble) if trouble else _entry(answer.hand_in, *_as_score(shares, typical))
        for answer, shares, trouble in zip(answers, times, troubles, strict=True)
    ]


def _as_score(shares: Sequence[float], typical: Sequence[float]) -> tuple[Score, str]:
    low, value, high = map(float, np.quantile(shares, (0.25, 0.5, 0.75)))
    one = statistics.median(typical)
    note = f"{1000 * value * one:.3g} ms, the reference {1000 * one:.3g} ms; {len(shares)} rounds"
    return Score(value, low, high, note), note


def _seconds(
    sandbox: Sandbox, challenge: Timed, cases: Sequence[Arguments], code: Code, seconds: float
) -> tuple[float, list[Plain]]:
    """What it takes to run an answer on all cases, on this process's clock, and what came out.

    Raises:
        Refused, SandboxError: see `_results`.
    """
    start = time.perf_counter()
    results = _results(sandbox, challenge, cases, code, seconds)
    return time.perf_counter() - start, results


def _enough_rounds(challenge: Timed, first: int) -> list[Arguments]:
    """Cases to be timed, no two alike, on which the reference works for long enough."""
    found = list(challenge.rounds(first))
    start = time.perf_counter()
    for arguments in found:
        challenge.reference(*arguments)
    more = SECONDS_A_ROUND / max(time.perf_counter() - start, 1e-4)
    for number in range(1, min(round(more), 100)):
        found += challenge.rounds(first + number)
    return found


def _reference(challenge: Timed, lesson: Lesson) -> Code:
    """The reference, as somebody's answer: for it to run as the others do, in a sandbox that hides it."""
    folder = Path(ssdseg_ref.__file__).parent
    texts = [
        FROM_REFERENCE.sub("", (folder / f"{name}.py").read_text(encoding="utf-8"))
        for name in challenge.reference_modules
    ]
    sources = [Source(place, None, text) for place, text in enumerate((*texts, challenge.reference_source))]
    return _code(sources, lesson)


def placed(challenge: Challenge, entries: Iterable[Entry]) -> list[Entry]:
    """The entries with their places, the best first; those that cannot be told from the first of a place share it."""
    sign = -1 if challenge.higher_is_better else 1
    scored = [(entry, entry.score) for entry in entries if entry.score]
    scored.sort(key=lambda one: (sign * one[1].value, one[0].student))
    found: list[Entry] = []
    leader: Score | None = None
    place = 0
    for number, (entry, score) in enumerate(scored, start=1):
        if leader is None or not are_tied(challenge, leader, score):
            leader, place = score, number
        found.append(replace(entry, place=place))
    return found + sorted((entry for entry in entries if not entry.score), key=lambda entry: entry.student)


def are_tied(challenge: Challenge, one: Score, other: Score) -> bool:
    """Whether two scores cannot be told apart: they read alike or, of times, differ by no more than their noise."""
    if challenge.in_words(one.value) == challenge.in_words(other.value):
        return True
    if not isinstance(challenge, Timed):
        return one.low <= other.high and other.low <= one.high
    near = abs(one.value - other.value) <= NOISE * min(one.value, other.value)
    return near or (one.low <= other.high and other.low <= one.high)


def _csv(contests: Iterable[Contest]) -> str:
    file = io.StringIO(newline="")
    table = csv.writer(file, lineterminator="\n")
    table.writerow(COLUMNS)
    for contest in contests:
        for entry in contest.entries:
            score = entry.score
            numbers = [f"{one:.6g}" for one in (score.value, score.low, score.high)] if score else ["", "", ""]
            texts = map(in_a_table, (entry.student, entry.name))
            unit = contest.challenge.unit if score else ""
            table.writerow(
                [contest.challenge.number, entry.place or "", *texts, *numbers, unit, in_a_table(entry.note)]
            )
    return file.getvalue()
