"""`ssdseg grade --challenges`: one table for a class, in which nobody wins by anything but the answer."""

import csv
import dataclasses
import inspect

import numpy as np
import pytest
from learners import new_cell
from sandboxes import needs_sandbox
from typer.testing import CliRunner

from ssdseg_course.challenges import find_challenge
from ssdseg_course.challenges.challenge import Refused, Score, exactly
from ssdseg_course.cli import app
from ssdseg_course.grading import contest
from ssdseg_course.grading.contest import Contest, Entry, _csv, placed
from ssdseg_course.grading.intake import Submission
from ssdseg_course.grading.names import Learner
from ssdseg_course.manifest import find_lesson
from ssdseg_course.sandboxed.rounds import LARGEST, shortened
from ssdseg_course.work.workspace import notebook_text, read_notebook
from ssdseg_ref import boxes, matching

ANCHORS, MATCHING = find_challenge("01"), find_challenge("02")
IOU, GREEDY = (inspect.getsource(one) for one in (boxes, matching))
RIGHT = f"""{IOU}
{GREEDY.replace("from ssdseg_ref.boxes import pairwise_iou", "")}
def my_matching(anchors, boxes, threshold):
    return match_anchors(anchors, boxes, threshold)
"""
LAST = "    return match_anchors(anchors, boxes, threshold)"
SLOWER = RIGHT.replace(LAST, f"    for _ in range(9):\n        match_anchors(anchors, boxes, threshold)\n{LAST}")
# The same, and it does to its process whatever could make it look fast.
CHEATING = f"""{SLOWER}
import sys, time
def no_time(*_): return 0.0
for name in ("perf_counter", "process_time", "monotonic", "time"):
    setattr(time, name, no_time)
for module in list(sys.modules.values()):
    if getattr(module, "__name__", "").startswith("ssdseg_course"):
        for name in ("same", "close", "compare", "refuse_wrong", "read_report"):
            setattr(module, name, lambda *_, **__: "")
"""
FORGED = """
import os, json
import numpy as np
def my_matching(anchors, boxes, threshold):
    for descriptor in range(3, 20):
        try:
            os.write(descriptor, b'outcomes\\n' + json.dumps({"outcomes": [], "score": 0, "trouble": ""}).encode())
        except OSError:
            pass
    os._exit(0)
"""
SLOPPY = (
    """
import sys
import numpy as np
"""
    + RIGHT
    + """
def my_matching(anchors, boxes, threshold):
    if len(boxes) > 100:  # that must be what is timed
        return np.full(len(anchors), -1)
    return match_anchors(anchors, boxes, threshold)
"""
)
ENDLESS = "def my_matching(anchors, boxes, threshold):\n    while True:\n        pass\n"


def hand_in(folder, student, number, source=None):
    """A submission with an answer to the challenge of that lesson, or with none."""
    lesson = find_lesson(number)
    notebook = read_notebook(lesson.notebook())
    notebook["cells"] += [new_cell(source)] if source else []
    path = folder / "submitted" / student / lesson.name / f"{lesson.name}.ipynb"
    path.parent.mkdir(parents=True)
    path.write_text(notebook_text(notebook))


@pytest.fixture(scope="module")
def held(tmp_path_factory):
    """A class of lessons 1 and 2, what is printed, and the table."""
    folder = tmp_path_factory.mktemp("class")
    for student, source in {
        "ada": RIGHT, "bea": SLOWER, "cyd": CHEATING, "dan": FORGED, "eve": SLOPPY, "fay": ENDLESS, "hal": None,
    }.items():  # fmt: skip
        hand_in(folder, student, "02", source)
    hand_in(folder, "ida", "01", "def my_anchors():\n    return (0.16, 0.3, 0.45, 0.6, 0.75), (0.43, 2.2)")
    hand_in(folder, "jon", "01", "def my_anchors():\n    return (0.16, 0.3, 0.45, 0.6, 0.75), (2.2, 0.43)")
    hand_in(folder, "=kim", "01", "def my_anchors():\n    return '=1+1'")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(contest, "ROUNDS", 3)
        patched.setattr(contest, "SECONDS_A_ROUND", 0.1)
        patched.setitem(vars(MATCHING), "seconds", 4.0)
        patched.chdir(folder)
        arguments = ["grade", "submitted", "--challenges"]
        done = CliRunner().invoke(app, arguments, env={"COLUMNS": "150", "NO_COLOR": "1"})
    assert done.exit_code == 0, done.output
    with (folder / contest.TABLE).open(newline="") as file:
        return done.output, {row["student_id"]: row for row in csv.DictReader(file)}


@needs_sandbox
class TestAClass:
    def test_nobody_but_the_fast_and_right_stands_first(self, held):
        _, rows = held
        assert {name for name, row in rows.items() if row["challenge"] == "02" and row["place"] == "1"} == {"ada"}

    def test_clocks_and_checks_that_an_answer_changes_in_its_process_change_nothing(self, held):
        _, rows = held
        assert float(rows["cyd"]["score"]) > 3
        assert float(rows["cyd"]["score"]) == pytest.approx(float(rows["bea"]["score"]), rel=0.7)

    @pytest.mark.parametrize(
        ("student", "why"),
        [
            ("dan", "what it gave back could not be read"),
            ("eve", "is fast only when it is right"),
            ("fay", "did not come to its end within 4 seconds of work"),
        ],
    )
    def test_what_is_forged_sloppy_or_endless_gets_no_score_and_a_reason(self, held, student, why):
        _, rows = held
        assert rows[student]["score"] == rows[student]["place"] == ""
        assert why in rows[student]["note"]

    def test_answers_that_come_to_the_same_share_a_place(self, held):
        _, rows = held
        assert rows["ida"]["place"] == rows["jon"]["place"] == "1"
        assert rows["ida"]["score"] == rows["jon"]["score"]

    def test_a_class_has_hidden_scenes_of_its_own(self, held):
        _, rows = held
        learners = ANCHORS.score(lambda: ((0.16, 0.3, 0.45, 0.6, 0.75), (0.43, 2.2))).value
        assert float(rows["ida"]["score"]) != pytest.approx(learners, abs=1e-6)
        assert float(rows["ida"]["score"]) == pytest.approx(learners, abs=5)

    def test_who_has_not_taken_it_on_is_counted_and_not_listed(self, held):
        output, rows = held
        assert "challenge 2: not taken on by 1" in output
        assert "hal" not in rows

    def test_the_tables_are_printed(self, held):
        output, _ = held
        assert "challenge 1: Coverage for little (more is better)" in output
        assert "challenge 2: 500 boxes, matched at once (less is better)" in output


def entries(*scores):
    return [Entry(f"s{k}", f"s{k}", score, "") for k, score in enumerate(scores)]


def test_scores_that_read_alike_share_a_place_and_the_next_place_counts_them():
    found = placed(ANCHORS, entries(exactly(80.0), exactly(85.0), exactly(85.001), None, exactly(70.0)))
    assert [entry.place for entry in found] == [1, 1, 3, 4, 0]


def test_times_that_differ_by_their_noise_share_a_place():
    found = placed(MATCHING, entries(Score(0.5, 0.48, 0.56), Score(0.55, 0.53, 0.6), Score(0.7, 0.69, 0.71)))
    assert [(entry.student, entry.place) for entry in found] == [("s0", 1), ("s1", 1), ("s2", 3)]


def test_a_row_of_near_times_does_not_pull_everybody_into_one_place():
    scores = [Score(value, value - 0.03, value + 0.03) for value in (0.5, 0.55, 0.6, 0.65)]
    assert [entry.place for entry in placed(MATCHING, entries(*scores))] == [1, 1, 3, 3]


def test_nothing_in_the_file_is_a_formula_for_a_spreadsheet():
    table = _csv([Contest(ANCHORS, [Entry("=a", "+b", None, "@c")])])
    assert table.splitlines()[1] == "01,,'=a,'+b,,,,,'@c"


def test_sums_of_a_large_result_tell_one_changed_number_and_half_precision():
    result = np.random.default_rng(1).normal(size=(LARGEST, 3)).astype(np.float32)
    sums = shortened(result)
    for other in (np.where(np.arange(3) == 0, result, result.astype(np.float16)), result + np.eye(LARGEST, 3)):
        assert np.abs(shortened(other) - sums).max() > contest.SUMS_AGREE * np.abs(sums).max()


@pytest.mark.parametrize(
    "option", [["--workers", "2"], ["--scheduler", "tcp://h:1"], ["--again"], ["--gradebook", "g"]]
)
def test_a_contest_is_held_on_this_machine_alone_and_writes_no_grades(tmp_path, option):
    done = CliRunner().invoke(app, ["grade", str(tmp_path), "--challenges", *option])
    assert done.exit_code == 1
    assert "one after another on this machine" in done.output


def test_where_nobody_has_taken_one_on_it_is_said(tmp_path, monkeypatch):
    (tmp_path / "submitted").mkdir()
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, ["grade", "submitted", "--challenges"])
    assert done.exit_code == 1
    assert "nobody has taken on a challenge" in done.output


def test_what_is_trained_is_trained_three_times_and_the_median_counts(monkeypatch):
    """Where an answer is its three scores; one that fails in any training has none."""

    def judge(first, seed, results):
        score = results[0][2][seed - 1]
        if score is None:
            raise Refused("its loss is no number any more")
        return Score(score, score - 1, score + 1, f"seed {seed}")

    challenge = dataclasses.replace(find_challenge("04"), cases=lambda first, seed: [(first, seed)], judge=judge)
    monkeypatch.setattr(
        contest, "_results", lambda sandbox, challenge, cases, code, seconds: [(*cases[0], code) for _ in cases]
    )
    lesson, counted = find_lesson("04"), []
    answers = [
        contest._Answer(Submission(name, lesson, b"", None, (), Learner(name, name)), scores)
        for name, scores in (("ada", (70.0, 90.0, 80.0)), ("bea", (90.0, None, 80.0)))
    ]
    steps = contest._Steps(2, lambda done, number: counted.append((done, number)))
    ada, bea = contest._scored(None, challenge, answers, 7, steps)
    assert (ada.score.value, ada.score.low, ada.score.high) == (80.0, 79.0, 81.0)
    assert ada.note == "seed 3; 70.0 to 90.0 in 3 trainings"
    assert (bea.score, bea.note) == (None, "its loss is no number any more")
    assert counted[-1] == (2, 2)
