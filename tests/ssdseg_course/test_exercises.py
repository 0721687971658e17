"""The whole bank of exercises, held to what every exercise promises."""

import itertools

import pytest
from answers import answer_key, random_part, report_on, report_on_mutant, seeds_of, words

from ssdseg_course import EXERCISES
from ssdseg_course.check import find_exercise
from ssdseg_course.checking.judge import AnswerKey
from ssdseg_course.checking.values import same
from ssdseg_course.manifest import LESSONS

MUTANTS = [
    pytest.param(exercise, mutant, id=f"{exercise.id}-{number}")
    for exercise in EXERCISES.values()
    for number, mutant in enumerate(exercise.mutants)
]

every_exercise = pytest.mark.parametrize("exercise", EXERCISES.values(), ids=EXERCISES)


@every_exercise
def test_the_reference_passes_whatever_the_seed(exercise):
    for seed in seeds_of(exercise)[:20]:
        report = report_on(exercise, exercise.reference, seed)
        assert report.passed, report
        assert report.earned == exercise.points


@every_exercise
def test_the_stub_is_told_that_it_is_not_written_yet(exercise):
    scope = {}
    exec(f'def {exercise.name}(*arguments):\n    raise NotImplementedError("not written yet")', scope)
    report = report_on(exercise, scope[exercise.name])
    assert not report.passed
    assert "not written yet" in str(report)


@pytest.mark.parametrize(("exercise", "mutant"), MUTANTS)
def test_a_mutant_fails_with_its_own_sentence_without_any_luck(exercise, mutant):
    """The fixed cases alone refuse it, and tell it from all other mutants: so it is at every seed."""
    report = report_on_mutant(exercise, mutant)
    assert not report.passed
    assert report.earned == 0
    assert mutant.sentence in words(report)


@every_exercise
def test_a_mutant_has_a_value_whatever_is_drawn(exercise):
    """So that no seed takes away the sentence that the fixed cases have found."""
    for seed in seeds_of(exercise)[:50] if exercise.draw else ():
        key = AnswerKey(random_part(exercise), seed)
        for mutant in exercise.mutants:
            assert all(key.value(mutant.function, number) is not None for number in range(len(key.cases))), f"{seed=}"


@every_exercise
def test_no_two_mutants_are_the_same(exercise):
    key = answer_key(exercise.id)
    answers = [[key.value(mutant.function, k) for k in range(len(key.cases))] for mutant in exercise.mutants]
    for (one, first), (other, second) in itertools.combinations(enumerate(answers), 2):
        alike = getattr(exercise.compare, "same", same)  # what the judge tells mutants by
        assert not all(map(alike, first, second)), f"mutants {one} and {other}"
    assert len({mutant.sentence for mutant in exercise.mutants}) == len(exercise.mutants)


@every_exercise
def test_an_exercise_has_six_mutants_three_hints_and_a_place_in_a_lesson(exercise):
    assert len(exercise.mutants) >= 6
    assert len(set(exercise.hints)) == 3
    assert exercise.difficulty in ("easy", "medium", "hard")
    assert int(exercise.id.split(".")[0]) in [lesson.number for lesson in LESSONS]
    assert find_exercise(exercise.id) is exercise


@every_exercise
def test_the_same_seed_draws_the_same_cases(exercise):
    first, second = exercise.cases(7), exercise.cases(7)
    assert repr(first) == repr(second)
    assert exercise.draw is None or repr(first) != repr(exercise.cases(8))


@every_exercise
def test_the_sentences_do_not_give_the_answer_away(exercise):
    for mutant in exercise.mutants:
        assert len(mutant.sentence) < 250
        assert "np.mgrid" not in mutant.sentence
        assert "def " not in mutant.sentence


@pytest.mark.parametrize("lesson", LESSONS, ids=lambda lesson: lesson.name)
def test_the_points_of_a_lesson_make_a_hundred_and_those_of_the_tour_ten(lesson):
    points = [exercise.points for exercise in EXERCISES.values() if exercise.id.startswith(f"{lesson.number:02d}.")]
    assert sum(points) == (10 if lesson.number == 0 else 100)


@every_exercise
def test_advice_for_an_error_is_short_and_gives_no_answer_away(exercise):
    for _, sentence in exercise.errors:
        assert len(sentence) < 250
        assert "def " not in sentence
