"""What an open challenge is: a task without a single right answer, and how an answer to it is measured.

An answer is a function in the learner's notebook. It is run on *hidden* cases: scenes and numbers drawn from seeds that
no split of the data set and no exercise has, one set for learners and for each class table a set of its own, so that an
answer which fits the visible score alone does not win. An answer that is not what was asked for is refused, in a
sentence.

`Scored` measures what comes out, `Timed` the time that a right answer takes. Both are made of parts that run apart:
`run` beside the answer, which may be in a sandbox, and the rest outside of it.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, NamedTuple

from ssdseg_course.challenges.source import source_of
from ssdseg_course.checking.exercise import Arguments, Function, call
from ssdseg_course.checking.probe import Outcome, WrongAnswer, probe
from ssdseg_course.checking.time_limit import TimeIsUp, time_limit
from ssdseg_course.checking.values import Plain, with_article
from ssdseg_course.work.timing import duration, in_turn

# First seeds of hidden cases. Splits of the Warehouse lie below 2,000,500; a class table draws its own first seed.
LEARNERS = 3_000_000
CLASSES = range(10_000_000, 4_000_000_000)

SEEDS = (1, 2, 3)  # of trainings; learners have the first
SECONDS = 40.0  # of work, that an answer may take by default
SECONDS_OF_TIMING, SECONDS_A_ROUND = 2.0, 0.1  # shorter rounds would measure the clock where BLAS has threads


class Refused(ValueError):
    """An answer that gets no score; the message is a sentence that says why."""


@dataclass(frozen=True)
class Mark:
    """A score to compare with.

    Attributes:
        name: whose it is, "the reference".
        value: the score.
        measured: how that was found.
    """

    name: str
    value: float
    measured: str


@dataclass(frozen=True)
class Score:
    """What an answer comes to.

    Attributes:
        value: in the challenge's unit.
        low, high: between which the middle half of several runs lies; both the value itself where nothing varies.
        note: what it is made of, "1,868 anchors, coverage 0.921".
    """

    value: float
    low: float
    high: float
    note: str = ""


def exactly(value: float, note: str = "") -> Score:
    """A score that is the same in each run."""
    return Score(value, value, value, note)


@dataclass(frozen=True, kw_only=True)
class Challenge(ABC):
    """One challenge.

    Attributes:
        number: of the lesson at whose end it stands, "01".
        title: what the learner reads.
        task: what is asked for and how it is measured, a few lines.
        name: of the function that answers it.
        unit: of the score, "points"; what follows the number.
        higher_is_better: else lower is.
        marks: known scores, on the learners' set of hidden cases.
        run: gives what is judged, from the answer and the arguments of a case. Stands in a module that sandboxes see
            (`grading.staging.COURSE_PARTS`) where it is not `call`.
        seconds: of work, that all cases together may take.
        needs_tensorflow: whether TensorFlow has to be imported before an answer is run.
        objection: from the source of an answer, a sentence that says what in it is against the rules; "" if nothing.
        digits: behind the point, with which scores are shown.
    """

    number: str
    title: str
    task: str
    name: str
    unit: str
    higher_is_better: bool
    marks: tuple[Mark, ...]
    run: Callable[[Function, Arguments], Any] = call
    seconds: float = SECONDS
    needs_tensorflow: bool = False
    objection: Callable[[str], str] | None = None
    digits: int = 2

    @abstractmethod
    def score(self, answer: Function, first: int = LEARNERS) -> Score:
        """The score of an answer, in this process.

        Args:
            answer: the learner's function.
            first: seed that tells one set of hidden cases from others.

        Raises:
            Refused: if it gets none.
        """

    def refuse_against_rules(self, source: str) -> None:
        """Look at the source of an answer.

        Raises:
            Refused: if something in it is against the rules.
        """
        if self.objection and (sentence := self.objection(source)):
            raise Refused(sentence)

    def results(self, answer: Function, cases: Sequence[Arguments]) -> list[Plain]:
        """What an answer gives, case by case, in plain values.

        Raises:
            Refused: if it stops with an error, does not come to its end in time, or gives what are no numbers.
        """
        self.refuse_against_rules(source_of(answer))
        if self.needs_tensorflow:
            from ssdseg_course.quiet import import_keras

            import_keras()
        try:
            with time_limit(self.seconds):
                outcomes = probe(answer, cases, self.run)
        except TimeIsUp as stop:
            raise Refused(f"`{self.name}` is too slow: {stop}") from None
        return self.values(outcomes)

    def values(self, outcomes: Sequence[Outcome]) -> list[Plain]:
        """The plain values that an answer gave, out of what was seen.

        Raises:
            Refused: if it stopped with an error, or gave what are no numbers.
        """
        found = []
        for outcome in outcomes:
            if (failure := outcome.failure) is not None:
                if failure.error == WrongAnswer.__name__:  # out of `run`, and a sentence already
                    raise Refused(failure.message)
                if failure.error == NotImplementedError.__name__:
                    unwritten = f"`{failure.function}` is not written yet"
                    raise Refused(
                        unwritten if failure.function == self.name else f"`{self.name}` needs more: {unwritten}"
                    )
                where = (
                    f", in line {failure.line_number} of `{failure.function}`: {failure.line}" if failure.line else ""
                )
                raise Refused(f"`{self.name}` stopped with {failure.error}: {failure.message}{where}")
            if outcome.value is None:
                raise Refused(f"`{self.name}` should give numbers, and gave {with_article(outcome.type_name)}")
            found.append(outcome.value)
        return found

    def in_words(self, value: float) -> str:
        """A score as a learner reads it."""
        return f"{value:,.{self.digits}f} {self.unit}" if math.isfinite(value) else f"no {self.unit}"


@dataclass(frozen=True, kw_only=True)
class Scored(Challenge):
    """A challenge in which what comes out is measured.

    Attributes:
        cases: arguments to run the answer with, of the hidden cases that begin with a seed.
        judge: the score, from that seed and what came out, case by case, in plain values (arrays of numbers, and
            tuples of such); it raises `Refused` for what is not what was asked for.
    """

    cases: Callable[..., Sequence[Arguments]]
    judge: Callable[..., Score]

    def score(self, answer: Function, first: int = LEARNERS) -> Score:
        """See `Challenge.score`."""
        (trial,) = self.trials(first, SEEDS[:1])
        return trial.judge(self.results(answer, trial.cases))

    def trials(self, first: int, seeds: Sequence[int] = SEEDS) -> "list[Trial]":
        """How often an answer is run, and on what: once, where nothing is trained.

        Args:
            first: as `score` takes it.
            seeds: of trainings; those of a class table by default.
        """
        return [Trial(self.cases(first), partial(self.judge, first))]


class Trial(NamedTuple):
    """Once that an answer is run and judged."""

    cases: Sequence[Arguments]
    judge: Callable[[Sequence[Plain]], Score]


@dataclass(frozen=True, kw_only=True)
class Seeded(Scored):
    """A challenge in which something is trained, so that chance has a say: in what it begins with, and in its order.

    Learners are shown the score of the first seed. A class table runs an answer with each, and takes the median.

    Attributes:
        cases: likewise, from the seed of the hidden cases and that of the training.
        judge: likewise, from these two and what came out.
    """

    def trials(self, first: int, seeds: Sequence[int] = SEEDS) -> list[Trial]:
        """See `Scored.trials`."""
        return [Trial(self.cases(first, seed), partial(self.judge, first, seed)) for seed in seeds]


def median_of(scores: Sequence[Score]) -> Score:
    """The score in the middle, with the least and the greatest in its note.

    They do not widen its range: an answer with one lucky training would share the place of whoever is steadily better.

    Args:
        scores: an odd number, of one answer.
    """
    ordered = sorted(scores, key=lambda score: score.value)
    middle = ordered[len(ordered) // 2]
    if len(ordered) == 1:
        return middle
    note = f"{middle.note}; {ordered[0].value:.1f} to {ordered[-1].value:.1f} in {len(ordered)} trainings"
    return replace(middle, note=note)


@dataclass(frozen=True, kw_only=True)
class Timed(Challenge):
    """A challenge in which the time of right answers is measured, in turns with the reference's on the same cases.

    The score is a share of the reference's time, for machines differ: 0.5 is half of it.

    Attributes:
        reference: a right answer.
        cases: arguments on which the answer has to be right, odd ones too, from a seed.
        rounds: arguments of the size that is timed, from a seed.
        compare: from a case and what the answer and the reference gave, in plain values, a sentence that says what is
            wrong; "" if nothing.
        reference_modules: names of the modules of `ssdseg_ref` that hold the reference, with all that it needs.
        reference_source: code of a function of the answer's name that calls it.
        idle_source: code of a function of the same name that gives a result of the same shape and does nothing: what
            calling costs by itself where an answer is in a process of its own.
    """

    reference: Function
    cases: Callable[[int], Sequence[Arguments]]
    rounds: Callable[[int], Sequence[Arguments]]
    compare: Callable[[Arguments, Plain, Plain], str]
    reference_modules: tuple[str, ...]
    reference_source: str
    idle_source: str

    def score(self, answer: Function, first: int = LEARNERS) -> Score:
        """See `Challenge.score`."""
        cases, rounds = self.cases(first), self.rounds(first)
        both = [*cases, *rounds]
        self.refuse_wrong(both, self.results(answer, both))
        timed = [partial(self._through, function, rounds) for function in (answer, self.reference)]
        try:
            with time_limit(self.seconds):
                own, reference = in_turn(timed, SECONDS_OF_TIMING, SECONDS_A_ROUND)
        except TimeIsUp as stop:
            raise Refused(f"`{self.name}` is too slow: {stop}") from None
        note = f"{duration(own.median / len(rounds))}, the reference {duration(reference.median / len(rounds))}"
        value, low, high = (time / reference.median for time in (own.median, own.low, own.high))
        return Score(value, low, high, note)

    def _through(self, function: Function, rounds: Sequence[Arguments]) -> None:
        for arguments in rounds:
            self.run(function, arguments)

    def refuse_wrong(self, cases: Sequence[Arguments], results: Sequence[Plain]) -> None:
        """Compare what an answer gave with what the reference gives.

        Raises:
            Refused: at the first that is wrong.
        """
        self.refuse_results(cases, results, self.values(probe(self.reference, cases)))

    def refuse_results(self, cases: Sequence[Arguments], results: Sequence[Plain], right: Sequence[Plain]) -> None:
        """Compare what an answer gave with what is right.

        Raises:
            Refused: at the first that is wrong.
        """
        for arguments, own, expected in zip(cases, results, right, strict=True):
            if sentence := self.compare(arguments, own, expected):
                raise Refused(f"`{self.name}` is fast only when it is right: {sentence}")
