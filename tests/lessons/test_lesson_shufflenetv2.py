"""Lesson 5 measures times fairly, and leaves that out where nobody looks."""

import time
from types import SimpleNamespace

import jupytext
import numpy as np

from ssdseg_course.manifest import find_lesson
from ssdseg_course.work.running import shortened
from ssdseg_course.work.workspace import read_notebook

LESSON = find_lesson("5")


def test_rivals_take_turns_and_the_first_rounds_do_not_count():
    """Each runs once a round, so that whatever disturbs the machine disturbs all of them."""
    cells = jupytext.read(LESSON.source()).cells
    source = next(cell.source for cell in cells if cell.source.startswith("def stopwatch"))
    scope = {"tf": SimpleNamespace(function=lambda function: function), "time": time, "np": np}
    exec(source, scope)
    calls = []
    times = scope["stopwatch"]({name: (lambda _, name=name: calls.append(name), None) for name in "ab"}, rounds=3)
    assert calls == ["a", "b"] * 5
    assert {name: len(rounds) for name, rounds in times.items()} == {"a": 3, "b": 3}


def test_a_check_of_the_lesson_takes_no_times():
    """They take longer than all its answers."""
    runs = "\n".join(shortened(read_notebook(LESSON.solution()), read_notebook(LESSON.notebook())).values())
    assert "def depthwise_bn" in runs
    assert "stopwatch" not in runs
    assert "figure" not in runs
