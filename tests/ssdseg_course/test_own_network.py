"""The folder of a learner's own network stays as long as what its functions do stays."""

from dataclasses import replace

import pytest

from ssdseg_course.work.own_network import OWN_NETWORKS, run_folder
from ssdseg_ref.training import LESSON_RECIPE

SOURCE = '''
HALF = 0.5

def helper(x):
    return HALF * x

def answer(x):
    """What it gives."""
    return helper(x) + 1 if x in {"a", "b", "c"} else 0
'''


def _folder(source=SOURCE, recipe=LESSON_RECIPE):
    scope = {}
    exec(source, scope)
    return run_folder([scope["answer"], None], recipe)


def test_it_stands_beside_the_notebook():
    assert str(_folder().parent) == OWN_NETWORKS


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("    return HALF * x", "    # a half of it\n    return HALF * x"),
        ("What it gives", "Other words"),
        ("\n\ndef", "\n\n\ndef"),
    ],
)
def test_comments_words_and_places_do_not_change_it(old, new):
    assert _folder(SOURCE.replace(old, new)) == _folder()


@pytest.mark.parametrize(
    ("old", "new"), [("+ 1", "+ 2"), ("HALF * x", "HALF / x"), ("HALF = 0.5", "HALF = 0.6"), ('"c"', '"d"')]
)
def test_a_function_its_helper_or_its_constant_that_changes_is_another_training(old, new):
    assert _folder(SOURCE.replace(old, new)) != _folder()


def test_another_recipe_or_a_function_of_the_references_is_another_training():
    assert _folder(recipe=replace(LESSON_RECIPE, epochs=3)) != _folder()
    assert run_folder([None, None], LESSON_RECIPE) != _folder()
