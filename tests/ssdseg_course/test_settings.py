import numpy as np
import pytest

from ssdseg_course.checking.probe import WrongAnswer, probe
from ssdseg_course.checking.settings import number, one_of, read_settings, run_settings, several, whole
from ssdseg_ref.config import LESSON

KNOWN = {
    "rate": number(0, 1),
    "steps": whole(1, 10),
    "kind": one_of("a", "b"),
    "on": one_of(True, False),
    "sides": several(whole(1, 9), 2, 2),
}


def written(given):
    return run_settings(lambda: given, ())


def test_settings_come_out_as_they_went_in():
    given = {"rate": 0.5, "steps": np.int64(3), "kind": "b", "on": False, "sides": (4, 5)}
    assert read_settings(written(given), KNOWN) == {"rate": 0.5, "steps": 3, "kind": "b", "on": False, "sides": (4, 5)}


def test_settings_are_plain_numbers_which_leave_a_sandbox():
    (outcome,) = probe(lambda: {"rate": 1}, [()], run_settings)
    assert outcome.value.dtype == np.uint8
    assert read_settings(outcome.value, KNOWN) == {"rate": 1.0}


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ([1], "should return a dict of settings, and returned list"),
        (None, "should return a dict of settings, and returned NoneType"),
        ({"rate": LESSON}, "words and numbers, and lists of these: there is no place for Config"),
        ({"kind": "a" * 30_000}, "far too much"),
    ],
)
def test_what_is_no_dict_of_words_and_numbers_is_refused(given, words):
    with pytest.raises(WrongAnswer, match=words):
        written(given)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"speed": 1}, "there is no setting 'speed'; there are rate, steps, kind, on, sides"),
        ({"rate": 2}, "rate is a number from 0 to 1, got 2"),
        ({"rate": float("nan")}, "rate is a number from 0 to 1, got nan"),
        ({"rate": float("inf")}, "rate is a number from 0 to 1, got inf"),
        ({"rate": True}, "rate is a number from 0 to 1, got True"),
        ({"steps": 2.5}, "steps is a whole number from 1 to 10, got 2.5"),
        ({"kind": "c"}, "kind is 'a' or 'b', got 'c'"),
        ({"on": 1}, "on is True or False, got 1"),
        ({"sides": [1]}, r"sides holds 2 values, got \[1\]"),
        ({"sides": [1, 10]}, "each of sides is a whole number from 1 to 9, got 10"),
    ],
)
def test_a_setting_that_there_is_not_or_that_is_out_of_range_is_refused_by_its_name(given, words):
    with pytest.raises(ValueError, match=words):
        read_settings(written(given), KNOWN)


@pytest.mark.parametrize("result", [np.zeros(3), np.frombuffer(b"[1]", np.uint8), (np.zeros(1), np.zeros(1))])
def test_what_a_hostile_process_gives_in_place_of_settings_is_refused(result):
    with pytest.raises(ValueError, match="this is no dict of settings"):
        read_settings(result, KNOWN)
