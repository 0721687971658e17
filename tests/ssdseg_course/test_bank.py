"""The bank of exercises as a mapping, and where each exercise's reference stands."""

import inspect
import pickle

import keras
import pytest

from ssdseg_course import EXERCISES
from ssdseg_course.exercises import MODULES, exercises_of
from ssdseg_course.manifest import LESSONS
from ssdseg_ref import blocks


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
def test_a_reference_stands_at_home_or_beside_the_exercise(exercise):
    """It is what `compare` shows: the function itself, not what calls it with a learner's arguments."""
    model = exercise.model_answer
    assert model.__module__.startswith("ssdseg_ref." if exercise.home else "ssdseg_course.exercises.")
    assert inspect.getsource(model).startswith(f"def {model.__name__}(")
    assert exercise.argument_names == tuple(inspect.signature(exercise.reference).parameters)


def test_at_home_a_function_is_called_as_the_learners_is():
    with pytest.raises(TypeError, match="name"):
        blocks.conv_bn(keras.Input((8, 8, 3)), 4)
    conv_bn = EXERCISES["04.conv_bn"].reference
    x = keras.Input((8, 8, 3))
    first, second = conv_bn(x, 4, 3, 2, None), conv_bn(x, 4, 3, 2, activation="relu")
    assert first.shape == second.shape == (None, 4, 4, 4)
    assert keras.Model(x, [first, second]).count_params() == 2 * (27 * 4 + 4 * 4)
    assert pickle.loads(pickle.dumps(conv_bn)) == conv_bn
