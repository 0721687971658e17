"""Likeness of answers: who wrote alone stands low, a copy under other names stands high, and neither is a verdict."""

import pytest

from ssdseg_course.grading.similarity import NOTEWORTHY, compare, fingerprints

# Three answers to one task, written independently of one another.
LOOPS = """
def iou(boxes, others):
    table = []
    for box in boxes:
        line = []
        for other in others:
            left, right = max(box[0], other[0]), min(box[2], other[2])
            top, bottom = max(box[1], other[1]), min(box[3], other[3])
            both = max(right - left, 0) * max(bottom - top, 0)
            one = (box[2] - box[0]) * (box[3] - box[1])
            two = (other[2] - other[0]) * (other[3] - other[1])
            line.append(both / (one + two - both))
        table.append(line)
    return np.array(table)
"""
ARRAYS = """
def iou(a, b):
    top_left = np.maximum(a[:, None, :2], b[None, :, :2])
    bottom_right = np.minimum(a[:, None, 2:], b[None, :, 2:])
    overlap = np.prod(np.clip(bottom_right - top_left, 0, None), axis=-1)
    area = lambda boxes: np.prod(boxes[:, 2:] - boxes[:, :2], axis=-1)
    return overlap / (area(a)[:, None] + area(b)[None, :] - overlap)
"""
COLUMNS = """
def iou(first, second):
    x1, y1, x2, y2 = [first[:, k].reshape(-1, 1) for k in range(4)]
    u1, v1, u2, v2 = [second[:, k].reshape(1, -1) for k in range(4)]
    width = np.where(np.minimum(x2, u2) > np.maximum(x1, u1), np.minimum(x2, u2) - np.maximum(x1, u1), 0.0)
    height = np.where(np.minimum(y2, v2) > np.maximum(y1, v1), np.minimum(y2, v2) - np.maximum(y1, v1), 0.0)
    shared = width * height
    whole = (x2 - x1) * (y2 - y1) + (u2 - u1) * (v2 - v1)
    return shared / (whole - shared)
"""
CLASS = {"ada": LOOPS, "bob": ARRAYS, "cy": COLUMNS}


def compare_codes(lesson, codes, given=""):
    return compare(lesson, {student: fingerprints(code) for student, code in codes.items()}, fingerprints(given))


def renamed(code: str) -> str:
    """A copy with other names and comments."""
    for old, new in {"box": "rect", "other": "second", "table": "out", "line": "row", "both": "common"}.items():
        code = code.replace(old, new)
    return "# all my own work\n" + code.replace("    return", "    # done\n    return")


def test_who_wrote_alone_is_not_shown():
    found = compare_codes("02_matching", CLASS)
    assert found.compared == 3
    assert found.pairs == ()


def test_a_copy_with_other_names_and_comments_is_the_first_pair():
    found = compare_codes("02_matching", {**CLASS, "eve": renamed(LOOPS)})
    assert [(pair.one, pair.other) for pair in found.pairs] == [("ada", "eve")]
    assert found.pairs[0].share > 0.9 > NOTEWORTHY


def test_what_the_lesson_gives_is_nobodys_own():
    found = compare_codes("02_matching", {"ada": LOOPS, "eve": LOOPS, "bob": ARRAYS}, given=LOOPS)
    assert found.pairs == ()
    assert found.too_short == ("ada", "eve")


def test_what_many_write_is_what_one_writes_there():
    """Five of eight with one answer are no pair of copies but the usual answer, and are said not to be compared."""
    crowd = {f"learner{number}": LOOPS for number in range(5)}
    found = compare_codes("02_matching", {**CLASS, **crowd})
    assert found.pairs == ()
    assert found.too_short == ("ada", *sorted(crowd))


@pytest.mark.parametrize("code", ["", "def f(:\n", "'" * 99, "\x00\ud800" * 50, "é" * 200_000, "\t\n" * 50_000])
def test_whatever_stands_in_an_answer_is_compared_or_too_short(code):
    compare_codes("02_matching", {"ada": code, "bob": code})
    assert isinstance(fingerprints(code), set)
