"""Open challenges: what is measured, what is refused, and what is kept of it."""

import json
from types import ModuleType

import clever
import numpy as np
import pytest
from learners import new_cell
from typer.testing import CliRunner

from ssdseg_course import challenge
from ssdseg_course.authoring import read_source
from ssdseg_course.challenges import MODULES, find_challenge
from ssdseg_course.challenges import challenge as frame
from ssdseg_course.challenges.answers import is_untouched, made_of, source_of_statements
from ssdseg_course.challenges.attempts import attempts_at, attempts_path, note_attempt
from ssdseg_course.challenges.challenge import LEARNERS, Refused, Score, Timed, exactly
from ssdseg_course.challenges.convolution import objection
from ssdseg_course.challenges.table import MOST_ATTEMPTS, rows, text_table
from ssdseg_course.cli import app
from ssdseg_course.exercises.anchor_choice import FEATURE_MAPS, choose_anchors
from ssdseg_course.manifest import find_lesson
from ssdseg_course.sandboxed.alone import call_alone
from ssdseg_course.sandboxed.definitions import define
from ssdseg_course.work.workspace import CHECKING, notebook_text
from ssdseg_ref.data.warehouse import SPLITS
from ssdseg_ref.matching import match_anchors
from ssdseg_ref.nms import non_max_suppression

ANCHORS = find_challenge("01")
TIMED = [one for one in map(find_challenge, MODULES) if isinstance(one, Timed)]
PAPER = (0.2, 0.2 + 0.7 / 3, 0.2 + 1.4 / 3, 0.9, 0.9 + 0.7 / 3), (1, 2, 1 / 2, 3, 1 / 3)
CLEVER = (0.16, 0.289, 0.453, 0.6, 0.75), ((0.39,), (0.48, 0.34), (0.43, 2.2), (2.2,))


@pytest.fixture(autouse=True)
def quickly(monkeypatch):
    """Rounds that are long enough to tell a tenth of a time from the whole of it."""
    monkeypatch.setattr(frame, "SECONDS_OF_TIMING", 0.05)
    monkeypatch.setattr(frame, "SECONDS_A_ROUND", 0.02)


# The marks


def test_the_references_anchors_reach_their_mark_and_so_do_the_papers():
    marks = {mark.name: mark.value for mark in ANCHORS.marks}
    assert ANCHORS.score(choose_anchors).value == pytest.approx(marks["the reference"], abs=0.01)
    assert ANCHORS.score(lambda: PAPER).value == pytest.approx(marks["the paper's"], abs=0.01)
    assert ANCHORS.score(lambda: CLEVER).value == pytest.approx(marks["a clever one"], abs=0.01)


def test_no_anchors_of_any_shape_get_beyond_the_limit():
    limit = {mark.name: mark.value for mark in ANCHORS.marks}["the limit"]
    fewest = sum(rows * cols for rows, cols in FEATURE_MAPS)
    assert limit == pytest.approx(100 * 896 / 897 - 5 * fewest / 1000, abs=0.01)  # of 897 boxes one is never covered


def test_hidden_boxes_are_those_of_the_hidden_scenes():
    from ssdseg_course.challenges import anchors

    kept = anchors.hidden_boxes(LEARNERS)
    drawn = [anchors.warehouse_boxes_of(seed) for seed in range(LEARNERS, LEARNERS + 5)]
    assert np.abs(kept[: sum(map(len, drawn))] - np.concatenate(drawn)).max() < 1e-6


def test_hidden_scenes_are_in_no_split():
    assert all(LEARNERS not in seeds and max(seeds) < LEARNERS for seeds in SPLITS.values())
    assert frame.CLASSES.start > LEARNERS + 1_000_000
    assert frame.CLASSES.stop < 2**32


@pytest.mark.parametrize("timed", TIMED, ids=lambda one: one.name)
def test_the_reference_takes_the_time_that_it_takes(timed):
    timed.refuse_wrong(timed.cases(LEARNERS), timed.results(_written(timed), timed.cases(LEARNERS)))
    assert 0.2 < timed.score(_written(timed)).value < 5


def _written(timed):
    """The reference as a learner could hand it in."""
    by_name = {
        "my_matching": lambda anchors, boxes, threshold: match_anchors(anchors, boxes, threshold),
        "my_suppression": lambda boxes, scores, iou, most: non_max_suppression(boxes, scores, iou, 0.0, most),
        "my_conv2d": _taps,
    }
    return by_name[timed.name]


def _taps(image, kernel, stride):
    (height, width, _), k = image.shape, len(kernel)
    rows, cols = -(-height // stride), -(-width // stride)
    missing = [max((out - 1) * stride + k - side, 0) for out, side in ((rows, height), (cols, width))]
    padded = np.pad(image, [*((one // 2, one - one // 2) for one in missing), (0, 0)])
    windows = np.lib.stride_tricks.sliding_window_view(padded, (k, k), axis=(0, 1))[::stride, ::stride]
    return np.tensordot(windows, kernel, axes=((3, 4, 2), (0, 1, 2)))


def test_a_suppression_in_blocks_is_right_and_takes_less_than_half_the_time():
    assert find_challenge("6").score(clever.my_suppression).value < 0.5


def test_a_convolution_in_blocks_of_rows_is_right():
    challenge = find_challenge("3")
    cases = challenge.cases(LEARNERS)
    challenge.refuse_wrong(cases, challenge.results(clever.my_conv2d, cases))


# What is refused


def _never():
    raise NotImplementedError("not written yet")


REFUSED_ANCHORS = [
    (_never, "`_never` is not written yet"),
    (lambda: 1 / 0, "`my_anchors` stopped with ZeroDivisionError: division by zero"),
    (lambda: "many", "`my_anchors` should give numbers, and gave a str"),
    (lambda: (1, 2, 3), "return two things: `return scales, aspect_ratios`"),
    (lambda: (PAPER[1][:4], PAPER[0]), "scales come first, 5 numbers"),
    (lambda: (PAPER[0], ((1,), (2,))), "or 4 tuples, one a map"),
    (lambda: (PAPER[0], (1, -2)), "numbers over 0"),
    (lambda: (PAPER[0], tuple(range(1, 99))), "73,953 anchors, and more than 20,000 are not tried"),
]


@pytest.mark.parametrize(("answer", "sentence"), REFUSED_ANCHORS, ids=[sentence for _, sentence in REFUSED_ANCHORS])
def test_a_choice_that_is_none_gets_no_score_and_a_sentence(answer, sentence):
    with pytest.raises(Refused) as refusal:
        ANCHORS.score(answer)
    assert sentence in str(refusal.value)


WRONG = [
    ("02", lambda a, b, t: np.full(len(a), -1), "gets no box (-1)"),
    ("02", lambda a, b, t: match_anchors(a, b, 0.9), "should get box"),
    ("02", lambda a, b, t: match_anchors(a, b, t)[:-1], "it should give the shape"),
    ("06", lambda b, s, t, m: clever.my_suppression(b[::-1], s[::-1], t, m), "the one in place"),
    ("06", lambda b, s, t, m: np.arange(len(b))[:m], "it should keep"),
    ("06", lambda b, s, t, m: clever.my_suppression(b, s + np.arange(len(s)) * 1e-8, t, m), "their scores are equal"),
    ("03", lambda i, k, s: _taps(i, k[::-1], s), "values differ"),
    ("03", lambda i, k, s: _taps(i.astype(np.float16), k.astype(np.float16), s), "values differ"),
    ("03", lambda i, k, s: _taps(i, k, 1), "give the shape"),
]


@pytest.mark.parametrize(("number", "answer", "sentence"), WRONG)
def test_what_is_fast_and_wrong_gets_no_score_and_a_sentence(number, answer, sentence, monkeypatch):
    timed = find_challenge(number)
    monkeypatch.setattr(type(timed), "refuse_against_rules", lambda *_: None)
    with pytest.raises(Refused, match="is fast only when it is right") as refusal:
        timed.score(answer)
    assert sentence in str(refusal.value)


def test_an_answer_that_does_not_end_is_stopped(monkeypatch):
    slow = find_challenge("02")
    monkeypatch.setitem(vars(slow), "seconds", 0.2)

    def endless(anchors, boxes, threshold):
        while True:
            pass

    with pytest.raises(Refused, match="`my_matching` is too slow: it took too long"):
        slow.score(endless)


AGAINST_THE_RULES = [
    ("import scipy.signal as s\ndef my_conv2d(i, k, s): ...", "`scipy.signal`"),
    ("from tensorflow import nn", "`tensorflow`"),
    ("def f():\n    import torch", "`torch`"),
    ("from ssdseg_ref.convolution import conv2d", "`ssdseg_ref.convolution`"),
    ("import os", "`os`"),
    ("np.convolve(a, b)", "library's convolution"),
    ("from numpy import correlate as c", "library's convolution"),
    ("__import__('scipy')", "`__import__`"),
    ("np.__dict__['con' + 'volve']", "`__dict__`"),
    ("getattr(np, 'con' + 'volve')", "`getattr`"),
    ("exec('import scipy')", "`exec`"),
    ("get_ipython().run_line_magic('run', 'mine.py')", "`get_ipython`"),
    ("def f(:", "so that it can be read"),
]


@pytest.mark.parametrize(("source", "word"), AGAINST_THE_RULES, ids=[source for source, _ in AGAINST_THE_RULES])
def test_a_librarys_convolution_is_against_the_rules(source, word):
    assert word in objection(source)


def test_products_sums_and_windows_of_numpy_are_within_the_rules():
    source = (
        "import numpy as np\nfrom numpy.lib.stride_tricks import sliding_window_view\nfrom functools import lru_cache\n"
        "def my_conv2d(i, k, s): return np.einsum('a,a', i @ k, np.tensordot(i, k)) + np.fft.rfft2(i)"
    )
    assert objection(source) == ""


def test_a_library_that_a_helper_imported_is_found_where_the_function_only_calls_the_helper():
    notebook = ModuleType("notebook")
    source = "from PIL.Image import open as look\n\ndef helper(i):\n    return look(i)\n\n"
    source += "def my_conv2d(i, k, s):\n    return helper(i)\n"
    found = made_of({"cells": [new_cell(source)]}, "n.ipynb", find_challenge("03"))
    function = define(found, "my_conv2d", notebook).function
    with pytest.raises(Refused, match=r"`PIL\.Image`"):
        find_challenge("03").score(function)


def test_a_library_cannot_be_imported_while_an_answer_runs_alone():
    def answer():
        import scipy

        return scipy

    with pytest.raises(ImportError):
        call_alone(answer, ())
    assert answer.__call__().__name__ == "scipy"  # and afterwards it can


# Attempts and tables


def test_attempts_are_kept_in_their_order_each_with_its_challenge(tmp_path):
    for value in (1.0, 3.0, 2.0):
        assert note_attempt(tmp_path, "01", exactly(value, "so many"))
    note_attempt(tmp_path, "02", Score(0.5, 0.4, 0.6))
    assert [one.score.value for one in attempts_at(tmp_path, "01")] == [1, 3, 2]
    assert attempts_at(tmp_path, "02")[0].score == Score(0.5, 0.4, 0.6, "")
    assert attempts_at(tmp_path, "03") == []


DAMAGE = [
    b"{",
    b"\xff\xfe\x00",
    b"[1]",
    b'{"challenge": "01"}',
    b"null",
    b"[" * 100_000,
    b'{"challenge": "01", "value": NaN}',
]


@pytest.mark.parametrize("damage", DAMAGE, ids=range(len(DAMAGE)))
def test_attempts_survive_lines_that_are_damaged_or_cut_off(tmp_path, damage):
    note_attempt(tmp_path, "01", exactly(1.0))
    with attempts_path(tmp_path).open("ab") as file:
        file.write(damage)
    note_attempt(tmp_path, "01", exactly(2.0))
    assert [one.score.value for one in attempts_at(tmp_path, "01")] == [1, 2]


def test_where_attempts_cannot_be_kept_nothing_else_fails(tmp_path):
    (tmp_path / ".ssdseg").write_text("a file where the folder should be")
    assert not note_attempt(tmp_path, "01", exactly(1.0))
    assert attempts_at(tmp_path, "01") == []


def test_the_best_stands_first_and_the_latest_is_marked(tmp_path):
    for value in (83.0, 60.0):
        note_attempt(tmp_path, "01", exactly(value))
    found = rows(ANCHORS, attempts_at(tmp_path, "01"), exactly(75.0))
    assert [row.value for row in found] == sorted((row.value for row in found), reverse=True)
    assert [row.who for row in found if row.is_now] == ["you, now"]
    assert sum("→" in line for line in text_table(ANCHORS, [], exactly(75.0)).splitlines()) == 1


def test_of_many_attempts_the_best_and_the_latest_are_shown(tmp_path):
    for value in (90.0, *range(20)):
        note_attempt(tmp_path, "01", exactly(float(value)))
    shown = [row.value for row in rows(ANCHORS, attempts_at(tmp_path, "01")) if row.who.startswith("you")]
    assert shown == [90, *range(19, 20 - MOST_ATTEMPTS, -1)]


# In a notebook


def test_a_challenge_is_found_by_any_way_to_write_its_number():
    assert find_challenge("1") is find_challenge("01") is find_challenge(" 01 ")


@pytest.mark.parametrize("number", ["12", "-1", "²", "anchors", ""])
def test_where_there_is_no_such_challenge_those_there_are_are_listed(number):
    with pytest.raises(ValueError, match=r"there is no challenge .*; there are: 01, 02"):
        find_challenge(number)


def test_without_an_answer_the_task_is_told(capsys):
    challenge("01")
    assert capsys.readouterr().out.startswith("Write `my_anchors()`")


@pytest.mark.parametrize("answer", [_never, lambda: 1 / 0, lambda: exit()])
def test_an_answer_that_fails_raises_nothing_in_a_notebook(answer, capsys):
    challenge("01", answer)
    assert capsys.readouterr().out.startswith("no score: ")


def test_what_is_no_function_is_told_how_to_write_it():
    with pytest.raises(TypeError, match=r'write challenge\("01", my_anchors\): the function itself'):
        challenge("1", PAPER)


def test_while_a_notebook_is_checked_nothing_is_measured(monkeypatch, capsys):
    monkeypatch.setenv(CHECKING, "1")
    challenge("01", _never)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("number", MODULES)
def test_a_lesson_ends_with_its_challenge_and_an_answer_to_begin_with(number):
    found, notebook = find_challenge(number), read_source(find_lesson(number))
    assert notebook.cells[-1].source.rstrip().endswith(f'challenge("{number}", {found.name})')
    assert "nbgrader" not in notebook.cells[-1].metadata
    statements = made_of(notebook, "n.ipynb", found)
    assert found.objection is None or found.objection(source_of_statements(statements)) == ""
    assert is_untouched(notebook, notebook, found)


# On the command line


@pytest.fixture
def course(tmp_path, monkeypatch):
    """A course folder whose lesson 1 holds the answer that it is called with."""

    def with_answer(source):
        path = find_lesson("01").notebook(tmp_path)
        path.parent.mkdir(parents=True, exist_ok=True)
        cells = [new_cell("import numpy as np"), new_cell(f'{source}\n\nchallenge("01", my_anchors)', "5eed0002")]
        path.write_text(notebook_text({"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}))
        monkeypatch.chdir(tmp_path)
        return tmp_path

    return with_answer


def ssdseg(*arguments):
    return CliRunner().invoke(app, list(arguments), env={"COLUMNS": "150", "NO_COLOR": "1"})


def test_an_answer_is_taken_out_of_the_notebook_and_remembered(course):
    root = course(f"def my_anchors():\n    print('noise')\n    return {PAPER}")
    for _ in range(2):
        done = ssdseg("challenge", "1")
        assert done.exit_code == 0
    assert "→ you, now" in done.output
    assert "you, 20" in done.output
    assert "noise" not in done.output
    lines = attempts_path(root).read_text().split()
    assert len(attempts_at(root, "01")) == 2 <= len(lines)
    assert json.loads(attempts_path(root).read_text().splitlines()[-1])["challenge"] == "01"


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        ("x = 1", "there is no function `my_anchors` in it; `ssdseg challenge 1 --task` says what is asked for"),
        (
            "def my_anchors():\n    return 1 / 0",
            "no score for challenge 1: `my_anchors` stopped with ZeroDivisionError",
        ),
        ("my_anchors = 3", "`my_anchors`: it is no function"),
        ("my_anchors = unknown", "defining it stopped with NameError"),
    ],
)
def test_what_cannot_be_measured_is_told_in_one_sentence(course, source, sentence):
    course(source)
    done = ssdseg("challenge", "01")
    assert done.exit_code == 1
    assert sentence in done.output
    assert "Traceback" not in done.output


def test_an_answer_that_stands_as_it_was_handed_out_is_not_an_attempt(course, monkeypatch):
    root = course(f"def my_anchors():\n    return {PAPER}")
    from ssdseg_course.work import running
    from ssdseg_course.work.workspace import read_lesson

    monkeypatch.setattr(running, "release_of", lambda lesson: read_lesson(lesson, root))
    done = ssdseg("challenge", "1")
    assert done.exit_code == 1
    assert "`my_anchors` is still as it was handed out" in done.output
    assert attempts_at(root, "01") == []


def test_without_a_number_all_challenges_are_listed():
    done = ssdseg("challenge")
    assert done.exit_code == 0
    assert [line.split()[0] for line in done.output.splitlines()] == [str(int(number)) for number in MODULES]
