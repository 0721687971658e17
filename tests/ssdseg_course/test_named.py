"""Answers by name and in words: judged by what they say, whatever their order or type, and however hostile."""

import numpy as np
import pytest

from ssdseg_course.checking.case import case_of
from ssdseg_course.checking.judge import AnswerKey
from ssdseg_course.checking.named import compare_named, compare_words, run_named, run_words
from ssdseg_course.checking.probe import WrongAnswer, probe
from ssdseg_course.checking.values import to_plain
from ssdseg_course.exercises.photographs import ERROR_KINDS, LEARNING_RATES
from ssdseg_course.sandboxed.wire import read_report, write_report

NAMES = ({"stem": 0, "head": 1},)


def named(returned, names=NAMES[0]):
    return to_plain(run_named(lambda _: returned, (names,)))


def worded(returned):
    return to_plain(run_words(lambda: returned, ()))


def says(complaint) -> str:
    return " ".join(complaint.lines)


RIGHT = {"stem": np.ones((2, 3)), "head": np.zeros(4)}


@pytest.mark.parametrize(
    "right",
    [
        RIGHT,
        {"stem": 0.5, "head": 0.25},
        {"stem": np.ones(4), "head": np.zeros(4)},  # as long as the names
        {"stem": np.ones((2, 4)), "head": np.zeros((2, 4))},  # as the table of their letters
    ],
)
def test_the_order_of_names_counts_for_nothing(right):
    turned = dict(reversed(right.items()))
    assert compare_named(named(turned), named(right)) is None
    assert (
        compare_named(named({name: np.asarray(value).tolist() for name, value in right.items()}), named(right)) is None
    )
    wrong = {**right, "head": right["head"] + 1}
    assert says(compare_named(named(wrong), named(right))).startswith("'head': ")


def test_a_single_name_and_none():
    assert compare_named(named({"a": [1, 2]}, {"a": 0}), named({"a": np.array([1, 2])}, {"a": 0})) is None
    assert compare_named(named({}, {}), named({}, {})) is None
    assert "no room for 'a'" in says(compare_named(named({"a": 1}, {}), named({}, {})))


def test_missing_and_other_names_are_told():
    right = named(RIGHT)
    assert says(compare_named(named({"stem": RIGHT["stem"]}), right)) == "'head' is missing from what it returns"
    assert says(compare_named(named({}), right)) == "'stem' is missing from what it returns (and 1 more)"
    assert says(compare_named(named({**RIGHT, "x": 1}), right)) == "what it returns has no room for 'x'"


@pytest.mark.parametrize(
    ("returned", "sentence"),
    [
        (None, "it should return a dict, from names to values, and returned None: does every way"),
        ([1, 2], "and returned a list"),
        ({0: 1.0}, "the names in its dict should be strings, and one is an int"),
        ({"stem": "much"}, "its entry 'stem' should be numbers, and is a str"),
        ({"stem": None}, "its entry 'stem' should be numbers, and is None"),
    ],
)
def test_what_is_no_dict_of_numbers_is_refused(returned, sentence):
    with pytest.raises(WrongAnswer, match=sentence):
        named(returned)


@pytest.mark.parametrize(
    "words", [["correct", "background"], ("correct", "background"), np.array(["correct", "background"])]
)
def test_words_come_in_a_list_a_tuple_or_an_array(words):
    assert compare_words(worded(words), worded(["correct", "background"])) is None


def test_the_first_wrong_word_is_told():
    right = worded(["correct", "duplicate", "background"])
    assert says(compare_words(worded(["correct", "background", "correct"]), right)) == (
        "entry 1 should be 'duplicate' and yours is 'background' (2 of 3 differ)"
    )
    assert says(compare_words(worded(["correct"]), right)) == "it should be a list of length 3, and yours has 1"
    assert says(compare_words(worded(["a"]), worded(["b"]))) == "entry 0 should be 'b' and yours is 'a'"
    assert compare_words(worded([]), worded(())) is None


@pytest.mark.parametrize(
    ("returned", "sentence"),
    [
        (None, "returned None: does every way"),
        ("correct", "returned a str"),
        ([1], "entry 0 is an int"),
        (np.array([1.5]), "entry 0 is a float"),
        ({"correct": 1}, "returned a dict"),
    ],
)
def test_what_is_no_list_of_words_is_refused(returned, sentence):
    with pytest.raises(WrongAnswer, match=sentence):
        worded(returned)


@pytest.mark.parametrize("compare", [compare_named, compare_words])
@pytest.mark.parametrize(
    "value",
    [
        np.array(7.0),
        np.array([]),
        np.zeros((2, 2, 2)),
        np.full((3, 2), np.nan),
        np.full((3, 2), 1e300),
        np.array([[27, 91, 50, 74]]),  # would clear a terminal
        (np.array([[27, 91]]), np.array([1.0])),
        (np.zeros((2, 1)), ()),
        (np.zeros((1, 1)), (), ()),
        ((), ()),
    ],
    ids=repr,
)
def test_what_a_hostile_answer_makes_up_is_told_without_an_error(compare, value):
    expected = named(RIGHT) if compare is compare_named else worded(["correct", "duplicate"])
    complaint = compare(value, expected)
    assert complaint is not None
    assert says(complaint).isprintable()


@pytest.mark.parametrize("exercise", [LEARNING_RATES, ERROR_KINDS], ids=lambda exercise: exercise.id)
def test_answers_leave_the_sandbox_as_they_are(exercise):
    cases = exercise.cases(0)
    outcomes, _ = read_report(write_report(probe(exercise.reference, cases, exercise.run), ""), len(cases))
    key = AnswerKey(exercise, 0)
    for number, outcome in enumerate(outcomes):
        assert exercise.compare(outcome.value, key.right(number)) is None


def test_a_case_shows_names_and_words():
    key = AnswerKey(LEARNING_RATES, 0)
    (outcome, *_) = probe(LEARNING_RATES.reference, key.cases, LEARNING_RATES.run)
    assert case_of(key, 0, outcome).yours == {"stem": 0.025, "body": 0.05, "head": 0.1}
    key = AnswerKey(ERROR_KINDS, 0)
    (outcome, *_) = probe(ERROR_KINDS.reference, key.cases, ERROR_KINDS.run)
    assert case_of(key, 0, outcome).right == ["correct", "background"]
