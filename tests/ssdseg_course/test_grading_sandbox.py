"""The sandbox: honest answers of every lesson pass in it, the reference's are not available, and limits hold."""

import ast
import inspect
import os
import shutil
import subprocess
import sys
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from answers import report_on
from sandboxes import needs_sandbox

from ssdseg_course import EXERCISES
from ssdseg_course.checking import home
from ssdseg_course.checking.judge import judge
from ssdseg_course.exercises import exercises_of
from ssdseg_course.grading import grader
from ssdseg_course.grading import sandbox as sandboxes
from ssdseg_course.grading.sandbox import Code, Sandbox, SandboxError
from ssdseg_course.grading.staging import NOT_WHILE_GRADED, stage
from ssdseg_course.manifest import LESSONS, find_lesson
from ssdseg_course.sandboxed.definitions import Source
from ssdseg_course.sandboxed.zygote import Way

GRID = EXERCISES["01.grid_centers"]
SECONDS = 60

every_lesson = pytest.mark.parametrize("lesson", LESSONS, ids=lambda lesson: lesson.name)


def probe(sandbox, exercise, code, seconds=SECONDS, **more):
    """What comes of an answer."""
    held = Code([Source(0, exercise.name, code)], 1, "n.ipynb", frozenset({exercise.name}))
    return sandbox.probe(exercise, exercise.cases(3), held, seconds, **more)


@pytest.fixture(scope="module")
def sandbox():
    """One for lesson 1."""
    with Sandbox(find_lesson("1")) as opened:
        yield opened


@needs_sandbox
@pytest.mark.parametrize(
    "lesson",
    [lesson if lesson.number in (1, 6) else pytest.param(lesson, marks=pytest.mark.full) for lesson in LESSONS],
    ids=lambda lesson: lesson.name,
)
def test_the_solution_gets_all_points_and_the_untouched_lesson_none(lesson):
    release = lesson.notebook().read_text(encoding="utf-8")
    for path, share in ((lesson.solution(), 1), (lesson.notebook(), 0)):
        graded = grader.grade(grader.Work("ada", lesson.name, path.read_bytes(), None, (), release, seed=5))
        assert not [str(report) for report in graded.reports if report.earned != share * report.points]
        assert graded.remarks == ()
        assert len(graded.written) == share * len(graded.reports)
    grader.close_sandbox()


@every_lesson
def test_no_answer_of_the_lesson_is_staged(lesson, tmp_path):
    stage(lesson, tmp_path)
    assert not (tmp_path / "ssdseg_course" / "exercises").exists()
    staged = [ast.unparse(ast.parse(path.read_text(encoding="utf-8"))) for path in tmp_path.rglob("*.py")]
    for exercise in exercises_of(lesson):
        assert not any(body_of(exercise.model_answer) in text for text in staged), exercise.id


def test_an_answer_is_hidden_where_it_is_defined_though_its_home_only_imports_it(tmp_path, monkeypatch):
    monkeypatch.setitem(vars(EXERCISES["02.iou"]), "home", "anchors.pairwise_iou")
    stage(find_lesson("2"), tmp_path)
    reference = tmp_path / "ssdseg_ref"
    assert f"boxes.pairwise_iou {NOT_WHILE_GRADED}" in (reference / "boxes.py").read_text(encoding="utf-8")
    assert NOT_WHILE_GRADED not in (reference / "anchors.py").read_text(encoding="utf-8")


def body_of(function) -> str:
    """The code of a function without its first line and its docstring."""
    (node,) = ast.parse(inspect.getsource(function)).body
    node.body = node.body[1:] if ast.get_docstring(node) else node.body
    return ast.unparse(node).split("\n", 1)[1]


THEFTS = ("called", "read_by_inspect", "read_in_its_file", "loaded_from_where_it_is_installed")
STOLEN = """
import importlib, importlib.util, inspect, pathlib, sys
import ssdseg_ref
from ssdseg_course.checking import home

def called():
    return getattr(importlib.import_module("ssdseg_ref." + MODULE), NAME)

def read_by_inspect():
    scope = dict(vars(sys.modules["ssdseg_ref." + MODULE]) if "ssdseg_ref." + MODULE in sys.modules else {})
    exec("from __future__ import annotations\\n" + inspect.getsource(called()), scope)
    return scope[NAME]

def read_in_its_file():
    scope = {"__name__": "stolen"}
    exec((pathlib.Path(ssdseg_ref.__path__[0]) / MODULE.replace(".", "/")).with_suffix(".py").read_text(), scope)
    return scope[NAME]

def loaded_from_where_it_is_installed():
    spec = importlib.util.spec_from_file_location("stolen", FILE)
    module = sys.modules["stolen"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return getattr(module, NAME)

at = home.function_at

def ANSWER(*arguments):
    said = []
    for way in (WAYS):
        try:
            home.function_at = lambda other: way() if other == HOME else at(other)
            return home.AtHome(HOME, ARGUMENTS)(*arguments)
        except Exception as error:
            said.append(str(error))
    raise ImportError(" and ".join(said))
"""


def stealing(exercise, *ways) -> str:
    """An answer that gets its reference in one of these ways, and calls it."""
    model, module = exercise.model_answer, exercise.home.rpartition(".")[0]
    names = {"HOME": exercise.home, "MODULE": module, "NAME": model.__name__, "FILE": inspect.getsourcefile(model)}
    code = "".join(f"{name} = {value!r}\n" for name, value in {**names, "ARGUMENTS": exercise.arguments}.items())
    return code + STOLEN.replace("ANSWER", exercise.name).replace("WAYS", f"{', '.join(ways)},")


def with_one_case(exercise):
    """The same, quicker to try."""
    return replace(exercise, fixed_cases=exercise.fixed_cases[:1], draw=None)


@pytest.mark.parametrize("way", THEFTS)
@pytest.mark.parametrize("exercise_id", ["02.encode", "05.basic_unit", "06.non_max_suppression", "08.choose_threshold"])
def test_outside_of_the_sandbox_an_answer_that_is_stolen_passes(exercise_id, way, monkeypatch):
    """So that it is the sandbox that refuses it."""
    monkeypatch.setattr(home, "function_at", home.function_at)
    exercise, scope = with_one_case(EXERCISES[exercise_id]), {}
    exec(stealing(exercise, way), scope)
    report = report_on(exercise, scope[exercise.name])
    assert report.passed, report


@pytest.fixture(scope="module")
def opened_for():
    """The sandbox for a lesson, open until that of another one is asked for."""
    with ExitStack() as stack:
        known = {}

        def opened(lesson):
            if lesson not in known:
                stack.close()
                known.clear()
                known[lesson] = stack.enter_context(Sandbox(lesson))
            return known[lesson]

        yield opened


@needs_sandbox
@pytest.mark.parametrize(
    "exercise", [exercise for exercise in EXERCISES.values() if exercise.home], ids=lambda exercise: exercise.id
)
def test_in_the_sandbox_no_answer_can_call_or_read_its_reference(exercise, opened_for):
    exercise = with_one_case(exercise)
    found = probe(opened_for(find_lesson(exercise.lesson)), exercise, stealing(exercise, *THEFTS))
    message = found.outcomes[0].failure.message
    assert (message.count(NOT_WHILE_GRADED), message.count("No such file")) == (len(THEFTS) - 1, 1), message
    assert judge(exercise, found.outcomes, 3).earned == 0


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
        children = [child for child in psutil.Process().children() if "sandboxed" in " ".join(child.cmdline())]
        process = max(children, key=lambda child: child.create_time())
        process.kill()
        process.wait()
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


@needs_sandbox
def test_memory_of_earlier_answers_cannot_be_read(sandbox):
    probe(sandbox, GRID, "import numpy\n\n\ndef grid_centers(rows, cols):\n    return numpy.full(100_000, 1234.5678)")
    code = """
import base64, ctypes, os, struct


def grid_centers(rows, cols):
    wanted = base64.b64encode(struct.pack("<3d", *[1234 + 0.5678] * 3))  # as it stands in a reply
    libc = ctypes.CDLL(None)
    libc.sbrk.restype, libc.sbrk.argtypes = ctypes.c_void_p, [ctypes.c_long]
    top, (outlet, inlet), seen = libc.sbrk(0), os.pipe(), 0
    for page in range(top - (256 << 20), top, 4096):
        if libc.write(inlet, ctypes.c_void_p(page), 4096) == 4096:
            seen += 1
            if wanted * 4 in os.read(outlet, 4096):
                return [[1e9, seen]]
    return [[0, seen]]
"""
    found, seen = probe(sandbox, GRID, code).outcomes[0].value[0]
    assert found == 0
    assert seen > 100  # pages: it has looked somewhere


@needs_sandbox
def test_of_the_system_nothing_but_programs_and_libraries_is_in_sight(sandbox):
    code = """
import os


def grid_centers(rows, cols):
    seen = {f"/usr/{name}" for name in os.listdir("/usr")} | {f"/usr/share/{n}" for n in os.listdir("/usr/share")}
    seen |= {f"/usr/local/{name}" for name in os.listdir("/usr/local")} if os.path.exists("/usr/local") else set()
    parts = {"bin", "sbin", "lib", "lib32", "lib64", "zoneinfo", "share", "local"}
    seen = {path for path in seen if os.path.basename(path) not in parts or path.startswith("/usr/local/share")}
    seen |= {path for path in ("/srv", "/home", "/root", "/var", "/opt") if os.path.exists(path)}
    raise ValueError(sorted(seen))
"""
    failure = probe(sandbox, GRID, code.replace('os.listdir("/usr/share")', "os.listdir('/usr/share')"))
    message = failure.outcomes[0].failure.message
    pythons = [
        path
        for path in ("/home", "/opt", "/root", "/srv", "/var")
        if any(str(visible).startswith(f"{path}/") for visible in sandboxes.visible_paths())
    ]  # Python itself may stand there
    assert message == str(pythons), message


@needs_sandbox
def test_libraries_under_the_folder_for_temporary_files_stay_in_sight(tmp_path):
    place = Path("/tmp", f"ssdseg-test-{tmp_path.name}-{os.getpid()}")
    try:
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", place], check=True)
        (libraries,) = place.glob("lib/python*/site-packages")
        (libraries / "imported_late.py").write_text("ONE = 1\n")
        code = (
            "from ssdseg_course import EXERCISES\nfrom ssdseg_course.grading.sandbox import Code, Sandbox\n"
            "from ssdseg_course.manifest import find_lesson\nfrom ssdseg_course.sandboxed.definitions import Source\n"
            "text = 'def grid_centers(rows, cols):\\n    import imported_late\\n    return imported_late.ONE'\n"
            "code = Code([Source(0, 'grid_centers', text)], 1, 'n.ipynb', frozenset({'grid_centers'}))\n"
            "it = EXERCISES['01.grid_centers']\n"
            "with Sandbox(find_lesson('1')) as sandbox:\n"
            "    outcome = sandbox.probe(it, it.cases(3), code, 60).outcomes[0]\n"
            "print(outcome)\nassert outcome.value == 1\n"
        )
        paths = os.pathsep.join(path for path in sys.path if path)
        done = subprocess.run(
            [place / "bin" / "python", "-c", code],
            env={**os.environ, "PYTHONPATH": paths},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
    finally:
        shutil.rmtree(place, ignore_errors=True)


def test_without_namespaces_an_answer_that_kills_its_parent_ends_nothing_else():
    with Sandbox(find_lesson("1"), unsafe=True) as opened:
        kill = "import os\n\n\ndef grid_centers(rows, cols):\n    os.kill(os.getppid(), 9)\n    os.kill(os.getpid(), 9)"
        assert "ended the process" in probe(opened, GRID, kill).trouble
        assert probe(opened, GRID, "def grid_centers(rows, cols):\n    return 5").outcomes[0].value == 5


def test_a_right_answer_is_not_tried_in_a_way_that_adds_nothing():
    with Sandbox(find_lesson("1"), unsafe=True) as opened:
        text = "def grid_centers(rows, cols):\n    return 5"
        assert probe(opened, GRID, text).outcomes[0].value == 5
        assert probe(opened, GRID, text, way=Way.ABOVE) is None
        assert probe(opened, GRID, f"print(open)\n\n\n{text}", way=Way.ALL) is None


def test_more_than_may_come_out_is_refused():
    with Sandbox(find_lesson("1"), unsafe=True) as opened:
        text = "import numpy\n\n\ndef grid_centers(rows, cols):\n    return numpy.zeros(10**5)"
        assert "far more numbers" in probe(opened, GRID, text, most=10**5).trouble


def test_without_a_sandbox_files_stand_beside_the_notebook_too_and_are_gone_afterwards():
    with Sandbox(find_lesson("1"), unsafe=True) as opened:
        text = "import helper\n\n\ndef grid_centers(rows, cols):\n    raise ValueError(helper.HERE)"
        held = Code(
            [Source(0, "grid_centers", text)],
            1,
            "n.ipynb",
            frozenset(),
            {"helper.py": b"import os\nHERE = os.getcwd()\n"},
        )
        place = opened.probe(GRID, GRID.cases(3), held, SECONDS).outcomes[0].failure.message
        assert "ssdseg-answer-" in place
        assert not Path(place).exists()
