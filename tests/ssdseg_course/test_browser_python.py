"""Do cells that need TensorFlow say so in the browser, and do all others run?"""

import ast
import subprocess
import sys

import pytest

from ssdseg_course import browser_python
from ssdseg_course.browser_python import MISSING, LeavesOut
from ssdseg_course.manifest import LESSONS
from ssdseg_course.work.workspace import read_notebook


def run(cells, defined=()):
    """The cells as a notebook would run them in the browser; what they print, and their names."""
    names, printed = dict.fromkeys(defined), []
    names["print"] = printed.append
    transformer = LeavesOut(names)
    for cell in cells:
        exec(compile(transformer.visit(ast.parse(cell)), "cell", "exec"), names)
    return printed, names


@pytest.mark.parametrize(
    "cell",
    [
        "import tensorflow as tf\nprint('ran')",
        "import keras.layers\nprint('ran')",
        "from keras import layers\nprint('ran')",
        "def later():\n    import keras\nprint('ran')",
        "from ssdseg_course.quiet import import_keras\nimport_keras()\nprint('ran')",
    ],
)
def test_a_cell_that_needs_tensorflow_says_so_instead(cell):
    assert run([cell])[0] == [MISSING]


def test_cells_that_need_what_was_left_out_are_left_out_and_the_others_run():
    cells = [
        "import keras\nnetwork, size = keras.Model(), 3",
        "def shown():\n    return network",
        "size = 4",
        "print(size)",
        "print(shown())",
        "print(network)",
    ]
    printed, names = run(cells)
    assert printed == [MISSING, MISSING, 4, MISSING, MISSING]
    assert "network" not in names


def test_a_name_that_was_there_before_stays_usable():
    assert run(["import keras\nscene = keras.scene()", "print(scene)"], ["scene"])[0] == [MISSING, None]


def test_of_lessons_0_to_3_only_cells_without_checks_and_answers_are_left_out():
    """In the notebooks as they are handed out: what is graded is reached."""
    left_out = {}
    for lesson in LESSONS[:4]:
        transformer = LeavesOut(names := {})
        count = 0
        for cell in read_notebook(lesson.notebook())["cells"]:
            if cell["cell_type"] != "code":
                continue
            tree = ast.parse(cell["source"])
            if transformer.visit(tree) is tree:
                names |= dict.fromkeys(browser_python._names(tree)[1])
                continue
            assert not cell["metadata"].get("nbgrader"), cell["source"]
            count += 1
        left_out[lesson.number] = count
    assert left_out[1] == left_out[2] == 0
    assert left_out[0] == 1
    assert 1 <= left_out[3] <= 6


def test_outside_the_browser_nothing_is_left_out():
    code = "import sys, ssdseg_course; print('ssdseg_course.browser_python' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False"]


def test_an_import_elsewhere_ends_in_the_sentence():
    code = (
        "import sys; from ssdseg_course import browser_python; browser_python.LIBRARIES = ('nowhere',);"
        "browser_python.prepare()\ntry:\n    import nowhere.deep\nexcept ImportError as error:\n    print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == MISSING
