"""What the tests of the exercises share: a check without a notebook around it, at as many seeds as it takes.

What a fixed case tells, it tells at every seed: fixed cases are judged once, and a seed costs its random cases alone.
"""

from dataclasses import replace
from functools import cache

import pytest

from ssdseg_course import EXERCISES
from ssdseg_course.checking.choices import run_indices
from ssdseg_course.checking.exercise import call
from ssdseg_course.checking.judge import AnswerKey, judge
from ssdseg_course.checking.named import run_named, run_words
from ssdseg_course.checking.probe import Outcome, probe
from ssdseg_course.checking.report import Report

SEEDS = range(10)  # as many as the option --seeds says
FEW_SEEDS = range(2)  # where a graph is made for each case


def seeds_of(exercise) -> range:
    """Seeds worth trying: one where nothing is drawn from it, few where a graph is made for each case."""
    if exercise.draw is None:
        return SEEDS[:1]
    return SEEDS if exercise.run in (call, run_indices, run_named, run_words) else FEW_SEEDS


def fixed_part(exercise):
    """The exercise with its fixed cases alone."""
    return replace(exercise, draw=None)


def random_part(exercise):
    """The exercise with its random cases alone."""
    return replace(exercise, fixed_cases=())


@cache
def answer_key(exercise_id, seed=0, part=fixed_part) -> AnswerKey:
    """What is right in an exercise of the bank, and in fixed cases what its mutants give: worked out once."""
    return AnswerKey(part(EXERCISES[exercise_id]), seed)


def report_on(exercise, function, seed=0) -> Report:
    """What a check says, without raising."""
    return judge(exercise, probe(function, exercise.cases(seed), exercise.run), seed)


def report_on_fixed_cases(exercise, function) -> Report:
    """What a check says that draws nothing."""
    key = answer_key(exercise.id)
    return judge(key.exercise, probe(function, key.cases, exercise.run), 0, key)


def report_on_mutant(exercise, mutant) -> Report:
    """The same for a mutant, whose values are known already."""
    key = answer_key(exercise.id)
    values = [key.value(mutant.function, number) for number in range(len(key.cases))]
    return judge(key.exercise, [Outcome(value, "", None, ()) for value in values], 0, key)


def words(report: Report) -> str:
    """The report's text, its lines joined again."""
    return " ".join(str(report).split())


def every_variant(honest: dict):
    """Run a test for each of the right answers, written in another way, of {exercise id: answers}."""
    return pytest.mark.parametrize(
        ("exercise", "variant"),
        [
            pytest.param(EXERCISES[exercise_id], variant, id=f"{exercise_id}-{variant.__name__}")
            for exercise_id, variants in honest.items()
            for variant in variants
        ],
    )


def assert_passes(exercise, function) -> None:
    """The check passes whatever the seed."""
    report = report_on_fixed_cases(exercise, function)
    assert report.passed, report
    if exercise.draw is None:
        return
    for seed in seeds_of(exercise):
        key = answer_key(exercise.id, seed, random_part)
        report = judge(key.exercise, probe(function, key.cases, exercise.run), seed, key)
        assert report.passed, report


def exercises_of(lesson: str) -> set[str]:
    """Ids of a lesson's exercises, "01" being the first."""
    return {exercise_id for exercise_id in EXERCISES if exercise_id.startswith(f"{lesson}.")}


def every_mistake(mistakes: dict):
    """Run a test for each wrong answer, as people write them, of {exercise id: ((answer, part of the words), ...)}."""
    return pytest.mark.parametrize(
        ("exercise", "mistake", "sentence"),
        [
            pytest.param(EXERCISES[exercise_id], mistake, sentence, id=f"{exercise_id}-{number}")
            for exercise_id, several in mistakes.items()
            for number, (mistake, sentence) in enumerate(several)
        ],
    )


def assert_told(exercise, mistake, sentence) -> None:
    """The check fails with these words whatever the seed: the fixed cases alone say so."""
    report = report_on_fixed_cases(exercise, mistake)
    assert not report.passed
    assert sentence in words(report)
