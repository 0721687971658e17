"""Times that are compared: in turn, with their spread, and in words that promise no more than was measured."""

import time

import pytest

from ssdseg_course.work import timing
from ssdseg_course.work.timing import Timing, duration, in_turn


def busy(seconds: float) -> None:
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass


def test_twice_the_work_takes_about_twice_the_time():
    short, long = in_turn([lambda: busy(0.002), lambda: busy(0.004)], seconds=0.3)
    assert short.low <= short.median <= short.high
    assert long.median / short.median == pytest.approx(2, rel=0.3)
    assert not short.is_like(long)


def test_functions_take_turns():
    calls = []
    in_turn([lambda: calls.append("a") or busy(0.006), lambda: calls.append("b") or busy(0.006)], seconds=0.05)
    assert "".join(calls).lstrip("a").lstrip("b").startswith("ababab")


def test_a_clock_that_stands_still_for_a_while_is_waited_for(monkeypatch):
    calls = []
    monkeypatch.setattr(timing.time, "process_time", lambda: len(calls) * 1e-6 // 0.004 * 0.004)  # a call takes 1 µs
    (quick,) = in_turn([lambda: calls.append(1)], seconds=0.05)
    assert 0.5e-6 < quick.median < 2e-6
    assert len(calls) < 1e6


def test_waiting_is_not_work():
    (slept,) = in_turn([lambda: time.sleep(0.02)], seconds=0.01)
    assert slept.median < 0.01


@pytest.mark.parametrize(
    ("one", "other", "alike"),
    [
        ((1.0, 0.9, 1.1), (1.1, 1.05, 1.2), True),
        ((1.0, 0.9, 1.6), (1.7, 1.5, 1.8), True),
        ((1.0, 0.99, 1.01), (1.19, 1.18, 1.2), True),
        ((1.0, 0.99, 1.01), (1.3, 1.28, 1.4), False),
    ],
)
def test_what_overlaps_or_is_near_is_the_same(one, other, alike):
    assert Timing(*one).is_like(Timing(*other)) is Timing(*other).is_like(Timing(*one)) is alike


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(1.234, "1.2 s"), (62.4, "62 s"), (0.12345, "120 ms"), (0.0021, "2.1 ms"), (4.5e-7, "0.45 µs"), (0, "0 µs")],
)
def test_a_duration_has_two_digits(seconds, words):
    assert duration(seconds) == words
