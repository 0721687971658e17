"""Mending a notebook takes no longer than its size says, whatever is in it; and what nobody sees costs nothing."""

import contextlib
import json
import time

import pytest
from learners import LESSON, cell_of, handed_out, new_cell, right_answers, with_answers

from ssdseg_course.grading.repair import LARGEST_TEXT, MOST_BRACKETS, repair
from ssdseg_course.work.workspace import NotebookError, notebook_text

SECONDS = 10  # of work; patterns that go back and forth would take minutes
RELEASE = handed_out()
SOLVED = with_answers(RELEASE, **right_answers())


def answered(text: str) -> str:
    """The solved lesson with this in the cell of one answer."""
    return notebook_text(with_answers(SOLVED, linear_scales=text))


def with_own(text: str) -> str:
    """The solved lesson with a cell of the learner's own."""
    return notebook_text({**SOLVED, "cells": [*SOLVED["cells"], new_cell(text)]})


LONG = 300_000


@pytest.mark.parametrize(
    "content",
    [
        answered("\n" * LONG),
        answered(" \n" * LONG + "x"),
        answered("async" + " " * LONG + "def"),
        answered("async\n" * LONG),
        answered("linear_scales" + " " * LONG),
        answered("linear_scales:" * (LONG // 10)),
        answered("<<<<<<< a\n" * (LONG // 10)),
        with_own('check("01.' + "a" * LONG + '" ,' + " " * LONG),
        with_own("%%time" + " " * LONG),
        '{"cells": [' + '{"outputs": ["' * (LONG // 10),
        '{"cells": [' + '{"outputs": [],' * (LONG // 10),
        '{"cells": [{"outputs": ["' + '\\"' * LONG,
        '{"cells": [' + ", " * LONG,
        '"cells"' * LONG,
        '"cells"' + " " * LONG,
        "<<<<<<< a\n" * LONG,
        "=======\n" * LONG,
        '{"cells": [1.' + "1" * LONG + ", " + "1" * LONG + "]}",
    ],
    ids=lambda content: content[:20].strip() + "…" if len(content) < 10**6 else "",
)
def test_it_takes_time_by_its_size(content):
    start = time.process_time()
    with contextlib.suppress(NotebookError):
        repair(content.encode(), LESSON, RELEASE)
    assert time.process_time() - start < SECONDS


def test_outputs_are_left_out_before_the_file_is_read(monkeypatch):
    monkeypatch.setattr("ssdseg_course.grading.repair.MOST_BRACKETS", 5000)
    notebook = json.loads(notebook_text(SOLVED))
    cell = cell_of(notebook, "grid_centers")
    cell["outputs"] = [{"output_type": "display_data", "data": {"image/png": "A" * (LARGEST_TEXT + 1), "x": ']\\"'}}]
    notebook["metadata"]["widgets"] = {"state": {str(number): [] for number in range(5000)}}
    repaired = repair(json.dumps(notebook).encode(), LESSON, RELEASE)
    for name, text in right_answers().items():
        assert cell_of(repaired.notebook, name)["source"] == text


@pytest.mark.parametrize("junk", ["x" * LARGEST_TEXT, [[]] * MOST_BRACKETS], ids=["text", "parts"])
def test_what_is_far_too_large_without_its_outputs_is_refused(junk):
    notebook = {**SOLVED, "metadata": {"junk": junk}}
    with pytest.raises(NotebookError, match="without its outputs it still has more"):
        repair(json.dumps(notebook).encode(), LESSON, RELEASE)


def test_outputs_of_far_too_many_parts_are_refused(monkeypatch):
    monkeypatch.setattr("ssdseg_course.grading.bulk.MOST_TOKENS", 100)
    notebook = json.loads(notebook_text(SOLVED))
    cell_of(notebook, "grid_centers")["outputs"] = [[]] * 100
    with pytest.raises(NotebookError, match="more than 100 values; clear its outputs"):
        repair(json.dumps(notebook).encode(), LESSON, RELEASE)
