"""The sandbox: honest answers of every lesson pass in it, the reference's are not to be had, and limits hold."""

import os
import subprocess
import sys

import pytest
from sandboxes import needs_sandbox

from ssdseg_course import EXERCISES
from ssdseg_course.checking.judge import judge
from ssdseg_course.exercises import exercises_of
from ssdseg_course.grading import grader
from ssdseg_course.grading import sandbox as sandboxes
from ssdseg_course.grading.sandbox import Sandbox, SandboxError
from ssdseg_course.grading.staging import CONFESSION, HIDDEN, stage
from ssdseg_course.manifest import LESSONS, find_lesson
from ssdseg_course.sandboxed.definitions import Source

GRID = EXERCISES["01.grid_centers"]
SECONDS = 60

every_lesson = pytest.mark.parametrize("lesson", LESSONS, ids=lambda lesson: lesson.name)


def probe(sandbox, exercise, code, seconds=SECONDS):
    """What comes of an answer."""
    sources = [Source(0, exercise.name, code)]
    return sandbox.probe(exercise, exercise.cases(3), sources, "n.ipynb", frozenset({exercise.name}), seconds)


@pytest.fixture(scope="module")
def sandbox():
    """One for lesson 1."""
    with Sandbox(find_lesson("1")) as opened:
        yield opened


@needs_sandbox
@every_lesson
def test_the_solution_gets_all_points_and_the_untouched_lesson_none(lesson):
    release = lesson.notebook().read_text(encoding="utf-8")
    for path, share in ((lesson.solution(), 1), (lesson.notebook(), 0)):
        graded = grader.grade(grader.Work("ada", lesson.name, path.read_bytes(), None, (), release, seed=5))
        assert graded.earned == share * graded.points, [str(report) for report in graded.reports]
        assert graded.remarks == ()
        assert len(graded.written) == share * len(graded.reports)
    grader._close_sandbox()


@every_lesson
def test_no_answer_of_the_lesson_is_staged(lesson, tmp_path):
    stage(lesson, tmp_path)
    code = (
        "import importlib, inspect, sys\n"
        "for name in sys.argv[1:]:\n"
        "    module, _, function = name.rpartition('.')\n"
        "    try:\n"
        "        found = getattr(importlib.import_module('ssdseg_ref.' + module), function)\n"
        "        arguments = inspect.signature(found).parameters.values()\n"
        "        found(**{it.name: None for it in arguments if it.default is it.empty})\n"
        "    except ImportError as error:\n"
        f"        assert {CONFESSION!r} in str(error), error\n"
        "    else:\n"
        "        raise SystemExit(name)\n"
    )
    homes = [
        f"{exercise.reference.__module__.removeprefix('ssdseg_ref.')}.{exercise.reference.__name__}"
        for exercise in exercises_of(lesson)
        if exercise.reference.__module__.startswith("ssdseg_ref.")
    ]
    from ssdseg_course.assemble import homes as of_pieces

    homes += [home for exercise_id, home in of_pieces().items() if exercise_id.startswith(f"{lesson.number:02d}.")]
    environment = {**os.environ, "PYTHONPATH": str(tmp_path), "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(
        [sys.executable, "-P", "-c", code, *homes], env=environment, cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr or done.stdout
    assert not (tmp_path / "ssdseg_course" / "exercises").exists()
    assert HIDDEN[lesson.number]


def test_what_is_kept_of_a_module_still_works(tmp_path):
    stage(find_lesson("2"), tmp_path)
    code = (
        "import ssdseg_ref.boxes as b, numpy as np, ssdseg_course\n"
        "assert b.centers_to_corners(np.array([[.5, .5, 1, 1]])).tolist() == [[0, 0, 1, 1]]\n"
        "ssdseg_course.check('02.iou', 5)\n"
        "assert ssdseg_course.mine('01.grid_centers')(1, 1).tolist() == [[.5, .5]]\n"
        "try:\n    ssdseg_course.mine('02.iou')\nexcept ImportError as error:\n    print(error)\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-P", "-c", code], env=environment, cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "there is no `mine('02.iou')`" in done.stdout


@needs_sandbox
def test_a_right_answer_after_a_crash_passes_as_if_nothing_had_been(sandbox):
    crash = probe(sandbox, GRID, "def grid_centers(rows, cols):\n    import ctypes\n    ctypes.string_at(0)")
    assert "crashed" in crash.trouble
    right = "import numpy as np\n\n\ndef grid_centers(rows, cols):\n    y, x = np.mgrid[:rows, :cols] + 0.5\n"
    right += "    return np.stack([x / cols, y / rows], axis=-1).reshape(-1, 2)"
    assert judge(GRID, probe(sandbox, GRID, right).outcomes, 3).passed


@needs_sandbox
def test_what_an_answer_leaves_in_its_module_is_gone_in_the_next_call(sandbox):
    code = "import numpy\ncount = getattr(numpy, 'count', 0)\nnumpy.count = count + 1\n\n\n"
    code += "def grid_centers(rows, cols):\n    return [[count]]"
    for _ in range(2):
        assert probe(sandbox, GRID, code).outcomes[0].value.tolist() == [[0]]


@needs_sandbox
def test_memory_of_all_children_together_is_limited(sandbox):
    code = "import os, time\n\n\ndef grid_centers(rows, cols):\n    for _ in range(4):\n        if os.fork() == 0:\n"
    code += "            x = bytearray(b'x') * 900_000_000\n            time.sleep(1000)\n    time.sleep(1000)"
    assert "GiB of memory" in probe(sandbox, GRID, code).trouble


@needs_sandbox
def test_an_answer_has_no_rights_and_no_other_user(sandbox):
    code = "import os\n\n\ndef grid_centers(rows, cols):\n    return [os.geteuid(), os.getpid()]"
    user, process = probe(sandbox, GRID, code).outcomes[0].value
    assert user != 0
    assert process == 1


def test_a_sandbox_that_has_died_says_so():
    with Sandbox(find_lesson("1"), unsafe=True) as opened:
        opened._process.kill()
        opened._process.wait()
        with pytest.raises(SandboxError, match="ended by itself"):
            probe(opened, GRID, "")


def test_without_bubblewrap_the_way_out_is_named(monkeypatch):
    monkeypatch.setattr(sandboxes.shutil, "which", lambda name: None)
    with pytest.raises(SandboxError, match=r"apt install bubblewrap.*--unsafe"):
        Sandbox(find_lesson("1"))


def test_where_namespaces_are_forbidden_the_way_out_is_named(monkeypatch, tmp_path):
    script = tmp_path / "bwrap"
    script.write_text("#!/bin/sh\necho 'bwrap: setting up uid map: Permission denied' >&2\nexit 1\n")
    script.chmod(0o755)
    monkeypatch.setattr(sandboxes.shutil, "which", lambda name: str(script))
    with pytest.raises(SandboxError, match=r"uid map: Permission denied.*--unsafe"):
        Sandbox(find_lesson("1"))


def test_unsafe_needs_no_namespace_and_still_ends_what_hangs():
    with Sandbox(find_lesson("1"), unsafe=True) as opened:
        loop = "def spin(again):\n    while again:\n        pass\n\n\n"
        loop += "def grid_centers(rows, cols):\n    while True:\n        try:\n            spin(spin)\n"
        loop += "        except BaseException:\n            pass"
        assert "did not let itself be interrupted" in probe(opened, GRID, loop, seconds=1).trouble
        assert probe(opened, GRID, "def grid_centers(rows, cols):\n    return 5").outcomes[0].value == 5
