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
from ssdseg_course.challenges.answers import is_untouched, made_of, source_of_statements, without_starter
from ssdseg_course.challenges.challenge import CLASSES, Challenge, Refused, Score, Scored, Timed, median_of
from ssdseg_course.checking.exercise import Arguments
from ssdseg_course.checking.values import Plain
from ssdseg_course.grading.intake import TAKE, Refusal, Submission, take_in
from ssdseg_course.grading.names import Students, in_a_table
from ssdseg_course.grading.repair import repair
from ssdseg_course.grading.sandbox import LARGEST_REPLY, Code, Sandbox
from ssdseg_course.grading.text import LONGEST_SENTENCE, shown
from ssdseg_course.manifest import Lesson, find_lesson
from ssdseg_course.sandboxed.definitions import Source
from ssdseg_course.sandboxed.rounds import Rounds, shortened
from ssdseg_course.words import count
from ssdseg_course.work.running import release_of
from ssdseg_course.work.workspace import Notebook, NotebookError, code_cells, grade_id
from ssdseg_ref.keeping import write_whole

TABLE = "challenges.csv"
COLUMNS = ("challenge", "place", "student_id", "name", "score", "low", "high", "unit", "note")
ROUNDS = 7
SECONDS_A_ROUND = 0.5  # of the reference's work: a shorter one would measure the making of processes
SECONDS_OF_ROUNDS = 30.0  # on the clock; an answer that has taken longer has no further rounds
SLOWEST = 50  # times the reference's time, that an answer may take
MOST_SETS = 50  # of cases that a round is made of
SUMS_AGREE = 1e-4  # of the largest sum; what was worked out in half precision differs by ten times as much
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
        with Sandbox(find_lesson(number), unsafe, contest.challenge.needs_tensorflow) as sandbox:
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
    notebook = without_starter(notebook, release, challenge)
    found = made_of(notebook, f"{hand_in.lesson.name}.ipynb", challenge)
    if not found:
        raise Refused(f"there is no function `{challenge.name}` in the notebook")
    try:
        code = source_of_statements(found)
    except RecursionError:
        raise Refused("it is nested too deeply to be read") from None
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
    trials = challenge.trials(first)
    for answer in answers:
        try:
            scores = []
            for trial in trials:
                scores.append(trial.judge(_results(sandbox, challenge, trial.cases, answer.code, challenge.seconds)))
                steps.step(1 / len(trials))
            score = median_of(scores)
            yield _entry(answer.hand_in, score, score.note)
        except Refused as refusal:
            yield _entry(answer.hand_in, None, str(refusal))
            steps.step(1 - len(scores) / len(trials))


def _timed(sandbox: Sandbox, challenge: Timed, answers: Sequence[_Answer], first: int, steps: _Steps) -> list[Entry]:
    lesson = answers[0].hand_in.lesson
    rounds = Rounds(challenge.name, challenge.run, _enough_cases(challenge, first))
    right = [shortened(challenge.run(challenge.reference, arguments)) for arguments in rounds.cases]
    idle, reference = _code([Source(0, None, challenge.idle_source)], lesson), _reference(challenge, lesson)
    troubles = [_what_is_wrong(sandbox, challenge, answer.code, first) for answer in answers]
    idle_times, reference_times = [], []
    times: list[list[float]] = [[] for _ in answers]
    for _ in range(ROUNDS):
        idle_times.append(_seconds(sandbox, rounds, idle, challenge.seconds)[0])
        reference_times.append(_seconds(sandbox, rounds, reference, challenge.seconds)[0])
        for number, answer in enumerate(answers):
            if not troubles[number] and sum(times[number]) < SECONDS_OF_ROUNDS:
                try:
                    took, results = _seconds(sandbox, rounds, answer.code, SLOWEST * reference_times[-1])
                    _compare(challenge, rounds, results, right)
                    times[number].append(took)
                except Refused as refusal:
                    troubles[number] = str(refusal)
            steps.step(1 / ROUNDS)
    nothing = statistics.median(idle_times)
    unit = max(statistics.median(reference_times) - nothing, 1e-9)
    entries = []
    for answer, trouble, own in zip(answers, troubles, times, strict=True):
        if trouble:
            entries.append(_entry(answer.hand_in, None, trouble))
            continue
        low, value, high = (max(float(part), 0.0) / unit for part in np.quantile(own, (0.25, 0.5, 0.75)) - nothing)
        once = 1000 * unit / len(rounds.cases)
        note = f"{value * once:.3g} ms, the reference {once:.3g} ms; {count(len(own), 'round')}"
        entries.append(_entry(answer.hand_in, Score(value, low, high, note), note))
    return entries


def _what_is_wrong(sandbox: Sandbox, challenge: Timed, code: Code, first: int) -> str:
    """Why an answer is not to be timed, "" if it is right."""
    cases = challenge.cases(first)
    try:
        challenge.refuse_wrong(cases, _results(sandbox, challenge, cases, code, challenge.seconds))
    except Refused as refusal:
        return str(refusal)
    return ""


def _seconds(sandbox: Sandbox, rounds: Rounds, code: Code, seconds: float) -> tuple[float, Plain]:
    """What it takes to run an answer on all cases, on this process's clock, and what came out.

    Raises:
        Refused: if it gives nothing that can be judged.
        SandboxError: if the sandbox itself has failed.
    """
    start = time.perf_counter()
    probed = sandbox.probe(rounds, [()], code, max(1, round(seconds)), most=LARGEST_REPLY)
    took = time.perf_counter() - start
    if probed is None or probed.outcomes is None:
        raise Refused(f"`{rounds.name}`, on the cases that are timed: {probed.trouble if probed else 'nothing'}")
    outcome = probed.outcomes[0]
    if outcome.value is None:
        why = f"{outcome.failure.error}: {outcome.failure.message}" if outcome.failure else outcome.type_name
        raise Refused(f"`{rounds.name}`, on the cases that are timed: {why}")
    return took, outcome.value


def _compare(challenge: Timed, rounds: Rounds, results: Plain, right: Sequence[np.ndarray]) -> None:
    """Look at what an answer gave while it was timed.

    Raises:
        Refused: if something of it is wrong.
    """
    given = list(results) if isinstance(results, tuple) or results.ndim else []
    sentence = "" if len(given) == len(right) else "it gives other results when it is timed"
    for arguments, own, expected in zip(rounds.cases, given, right, strict=False):
        if isinstance(own, np.ndarray) and own.shape == expected.shape and expected.dtype == np.float64:
            agree = np.abs(own - expected).max() <= SUMS_AGREE * np.abs(expected).max()  # False for what is no number
            sentence = sentence or ("" if agree else "it gives other numbers when it is timed")
        else:
            sentence = sentence or challenge.compare(arguments, own, expected)
    if sentence:
        raise Refused(f"`{challenge.name}` is fast only when it is right: {sentence}")


def _enough_cases(challenge: Timed, first: int) -> list[Arguments]:
    """Cases to be timed, no two alike, on which the reference works for long enough."""
    found = list(challenge.rounds(first))
    start = time.perf_counter()
    for arguments in found:
        challenge.run(challenge.reference, arguments)
    more = SECONDS_A_ROUND / max(time.perf_counter() - start, 1e-4)
    for number in range(1, min(round(more), MOST_SETS)):
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
