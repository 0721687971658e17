"""What leaves the sandbox: plain numbers and words come through unchanged, and nothing else is believed."""

import json
import os

import numpy as np
import pytest

from ssdseg_course.checking.probe import Failure, Outcome
from ssdseg_course.checking.values import same
from ssdseg_course.sandboxed.wire import LONGEST_TEXT, MOST_PARTS, WireError, clean_text, read_report, write_report
from ssdseg_course.sandboxed.zygote import read_frame, write_frame

ARRAY = {"dtype": "<f4", "shape": [2], "data": "AACAPwAAAEA="}


def report(value) -> bytes:
    """A report of one outcome."""
    outcome = {"value": value, "type_name": "x", "failure": None, "changed": []}
    return json.dumps({"outcomes": [outcome], "trouble": ""}).encode()


@pytest.mark.parametrize("dtype", ["u1", "i2", "i4", "i8", "f2", "f4", "f8", "f16", ">f4"])
@pytest.mark.parametrize("shape", [(), (0,), (3,), (2, 0, 4), (2, 3)])
def test_arrays_come_through_unchanged(dtype, shape):
    value = np.random.default_rng(0).integers(0, 100, shape).astype(dtype)
    (outcome,), trouble = read_report(write_report([Outcome(value, "ndarray", None, (0, 2), (1,))], "so so"), 1)
    assert outcome.value.dtype == value.dtype
    assert same(outcome.value, value)
    assert (outcome.changed, outcome.shared, outcome.type_name, trouble) == ((0, 2), (1,), "ndarray", "so so")


def test_tuples_and_failures_come_through():
    value = (np.arange(3), (np.ones((2, 2)), np.float32(4) * np.ones(())))
    failure = Failure("ValueError", "no", "f", 7, "raise ValueError('no')")
    given = [Outcome(value, "tuple", None, ()), Outcome(None, "", failure, ())]
    (first, second), _ = read_report(write_report(given, ""), 2)
    assert same(first.value, value)
    assert second.failure == failure


def test_an_array_of_columns_comes_through_row_by_row():
    value = np.arange(6.0).reshape(2, 3).T
    (outcome,), _ = read_report(write_report([Outcome(value, "", None, ())], ""), 1)
    assert np.array_equal(outcome.value, value)


def test_a_very_long_message_is_cut():
    failure = Failure("ValueError", "x" * 10**6, "f", 7, "y")
    (outcome,), _ = read_report(write_report([Outcome(None, "", failure, ())], "z" * 10**6), 1)
    assert len(outcome.failure.message) == LONGEST_TEXT


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x80\x04\x95.",
        b"[]",
        b'"text"',
        b'{"outcomes": 5, "trouble": ""}',
        b'{"outcomes": [], "trouble": ""}',
        b'{"outcomes": [5], "trouble": ""}',
        b'{"outcomes": [{}], "trouble": ""}',
        b"[" * 10**5,
        report({**ARRAY, "dtype": "O"}),
        report({**ARRAY, "dtype": "<U4"}),
        report({**ARRAY, "dtype": "V8"}),
        report({**ARRAY, "dtype": 5}),
        report({**ARRAY, "shape": [10**12]}),
        report({**ARRAY, "shape": [3]}),
        report({**ARRAY, "shape": [-1]}),
        report({**ARRAY, "shape": [True, 2]}),
        report({**ARRAY, "data": "?"}),
        report({**ARRAY, "data": [1, 2]}),
        report([[[[[[[[[[ARRAY]]]]]]]]]]),
        b'{"outcomes": [' + b"[]," * MOST_PARTS + b'[]], "trouble": ""}',
        report("text"),
        report(5),
    ],
)
def test_anything_else_is_refused(content):
    with pytest.raises(WireError):
        read_report(content, 1)


def test_a_failure_with_a_number_for_a_word_is_refused():
    outcome = {"value": None, "type_name": "", "failure": ["E", 5, "f", 1, ""], "changed": []}
    with pytest.raises(WireError):
        read_report(json.dumps({"outcomes": [outcome], "trouble": ""}).encode(), 1)


def test_letters_that_move_a_cursor_are_replaced():
    assert clean_text("a\x1b[2Jb\nc") == "a\N{REPLACEMENT CHARACTER}[2Jb\nc"


def test_a_job_that_may_work_for_minutes_comes_through_with_its_seconds():
    reading, writing = os.pipe()
    try:
        write_frame(writing, 800, b"job")
        assert read_frame(reading) == (800, b"job")
    finally:
        os.close(reading)
        os.close(writing)
