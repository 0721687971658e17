"""Numbers in the prose of lessons are those that outputs show and formulas give."""

import pkgutil
import re
from importlib import import_module

import jupytext
import nbformat
import numpy as np
import pytest

import ssdseg_ref
from ssdseg_course import EXERCISES
from ssdseg_course.manifest import LESSONS, find_lesson
from ssdseg_course.prose import (
    ABOVE,
    BELOW,
    FACT,
    MARK,
    NUMBERS,
    as_learners_read_it,
    marked_numbers,
    minutes_of,
    printed_in,
)
from ssdseg_course.quiet import import_keras

every_lesson = pytest.mark.parametrize("lesson", LESSONS, ids=lambda lesson: lesson.name)


@pytest.fixture(scope="module")
def names():
    """What an expression in a mark may use: NumPy, and the reference's modules by their names."""
    import_keras()
    modules = {module.name for module in pkgutil.iter_modules(ssdseg_ref.__path__) if not module.ispkg}
    return {"np": np, **{name: import_module(f"ssdseg_ref.{name}") for name in modules}}


@every_lesson
def test_a_number_in_the_prose_is_what_the_output_beside_it_shows(lesson, names):
    cells = jupytext.reads(lesson.source().read_text(encoding="utf-8"), fmt="py:percent").cells
    outputs = [_words(cell) for cell in nbformat.read(lesson.solution(), as_version=4).cells]
    for place, cell in enumerate(cells):
        for number, rule in marked_numbers(cell.source) if cell.cell_type == "markdown" else ():
            where = f"{lesson.name}, cell {place}: {number}"
            if rule == ABOVE:
                assert printed_in(number, _nearest(reversed(outputs[:place]))), f"{where} is not printed above"
            elif rule == BELOW:
                assert printed_in(number, _nearest(outputs[place + 1 :])), f"{where} is not printed below"
            else:
                value = eval(rule, names)
                digits = len(number.partition(".")[2])
                assert f"{value:.{digits}f}" == number, f"{where}, but {rule} gives {value}"


@every_lesson
def test_no_mark_is_left_for_a_learner_to_see(lesson):
    for path in (lesson.solution(), lesson.notebook()):
        text = path.read_text(encoding="utf-8")
        assert not MARK.search(text)
        assert not FACT.search(text)


def test_a_lesson_says_how_long_it_takes_and_what_it_is_worth():
    lesson = find_lesson("1")
    said = as_learners_read_it("**It takes** {time}.", lesson)
    exercises = EXERCISES.of_lesson(1)
    assert said == f"**It takes** about {minutes_of(lesson)} minutes: {NUMBERS[len(exercises)]} exercises, 100 points."


def test_an_exercise_of_another_lesson_has_no_heading_here():
    with pytest.raises(ValueError, match=r"01_anchors has no exercise 02\.iou"):
        as_learners_read_it("### {02.iou}", find_lesson("1"))


def _nearest(outputs) -> str:
    return next((words for words in outputs if words.strip()), "")


def _words(cell) -> str:
    """What a cell of code has printed or shown as text."""
    words = []
    for output in cell.get("outputs", ()):
        data = output.get("data", {})
        words += [output.get("text", ""), "" if "image/png" in data else data.get("text/plain", "")]
        words.append(re.sub(r"<[^>]*>", " ", data.get("text/html", "")))
    return "\n".join("".join(part) for part in words)


def test_a_mark_belongs_to_the_number_right_before_it():
    text = "It has **2,257,984**<!-- = 2257984 --> parameters, 0.5<!-- above --> of those, and -3<!-- below -->."
    assert [tuple(found) for found in marked_numbers(text)] == [
        ("2257984", "2257984"),
        ("0.5", ABOVE),
        ("-3", BELOW),
    ]
    assert as_learners_read_it(text, find_lesson("1")) == "It has **2,257,984** parameters, 0.5 of those, and -3."
    with pytest.raises(ValueError, match="no number"):
        list(marked_numbers("many<!-- above -->"))


@pytest.mark.parametrize(
    ("number", "output", "is_printed"),
    [
        ("0.69", "mAP 0.69, mIoU 0.5", True),
        ("0.69", "mAP 0.690", False),
        ("9", "mAP 0.9", False),
        ("9", "9.5 of them", False),
        ("9", "there are 9.", True),
        ("2257984", "2,257,984 parameters", True),
        ("984", "2,257,984 parameters", False),
    ],
)
def test_a_number_is_printed_as_itself_not_as_a_part_of_another(number, output, is_printed):
    assert printed_in(number, output) is is_printed
