"""What the tests of the exercises share: a check without a notebook around it."""

import pytest

from ssdseg_course import EXERCISES
from ssdseg_course.checking.exercise import call
from ssdseg_course.checking.judge import judge
from ssdseg_course.checking.probe import probe
from ssdseg_course.checking.report import Report

SEEDS = range(20)


def seeds_of(exercise) -> range:
    """Seeds worth trying: one where nothing is drawn from it, few where a graph is made for each case."""
    if exercise.draw is None:
        return SEEDS[:1]
    return SEEDS if exercise.run is call else SEEDS[:2]


def report_on(exercise, function, seed=0) -> Report:
    """What a check says, without raising."""
    return judge(exercise, probe(function, exercise.cases(seed), exercise.run), seed)


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
    for seed in seeds_of(exercise):
        report = report_on(exercise, function, seed)
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
    """The check fails with these words whatever the seed."""
    for seed in seeds_of(exercise)[:5]:
        report = report_on(exercise, mistake, seed)
        assert not report.passed, f"seed {seed}"
        assert sentence in words(report), f"seed {seed}"
