"""The bank of exercises as a mapping, and where each exercise's reference stands."""

import pytest
from answers import NOT_IN_THE_PACKAGE

from ssdseg_course import EXERCISES
from ssdseg_course.exercises import MODULES, exercises_of
from ssdseg_course.exercises.reference import reference_of, source_of
from ssdseg_course.manifest import LESSONS


def test_the_bank_is_a_mapping_in_the_order_of_the_lessons():
    assert list(EXERCISES) == [exercise.id for lesson in LESSONS for exercise in exercises_of(lesson)]
    assert len(EXERCISES) == len(list(EXERCISES.values())) == len(dict(EXERCISES))
    assert len(MODULES) == len(LESSONS)


@pytest.mark.parametrize("name", ["", "1", "01.", "99.iou", "iou", None, 3, ("01.coverage",)])
def test_what_is_no_id_is_not_in_it(name):
    assert name not in EXERCISES
    with pytest.raises(KeyError):
        EXERCISES[name]


@pytest.mark.parametrize("exercise", EXERCISES.values(), ids=list(EXERCISES))
def test_the_reference_that_is_shown_is_the_packages_own_and_no_wrapper(exercise):
    function = reference_of(exercise)
    assert function.__module__.startswith("ssdseg_course" if exercise.id in NOT_IN_THE_PACKAGE else "ssdseg_ref.")
    source = source_of(function)
    assert source.startswith("def ")
    assert f"def {function.__name__}(" in source
    assert len(source.splitlines()) > 2
