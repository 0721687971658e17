"""Numbers in the prose of lessons are those that outputs show and formulas give."""

import pkgutil
import re
from importlib import import_module

import jupytext
import nbformat
import numpy as np
import pytest

import ssdseg_ref
from ssdseg_course.manifest import LESSONS
from ssdseg_course.prose import ABOVE, BELOW, MARK, marked_numbers, printed_in, without_marks
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
        assert not MARK.search(path.read_text(encoding="utf-8"))


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
    assert without_marks(text) == "It has **2,257,984** parameters, 0.5 of those, and -3."
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
