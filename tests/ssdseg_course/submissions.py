"""A class of lesson 1 as instructors meet it: good, broken and hostile submissions, and what each deserves.

Hostile ones attack from the cell of `linear_scales`, which no other answer needs, and have all other answers right.
"""

import difflib
import json
import os
import socket
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from learners import (
    IMPORTING,
    cell_of,
    handed_out,
    insert_behind,
    new_cell,
    right_answers,
    with_answers,
)

from ssdseg_course import EXERCISES
from ssdseg_course.manifest import find_lesson
from ssdseg_course.work.workspace import grade_id, notebook_text

LESSON = "01_anchors"
ANSWERS = right_answers()
ALL = 100
TARGET = "linear_scales"
BUT_THE_TARGET = ALL - EXERCISES[f"01.{TARGET}"].points
WRONG = f"def {TARGET}(first, last, maps):\n    return [0.5] * (maps + 1)\n"
RIGHT = ANSWERS[TARGET]


@dataclass(frozen=True)
class Case:
    """A submission.

    Attributes:
        name: the learner's.
        write: puts it into the learner's folder of the lesson.
        points: that it deserves; None where it cannot be graded.
        words: that the instructor must read, among the remarks, the feedback or the reasons.
    """

    name: str
    write: Callable[[Path], None]
    points: int | None
    words: str = ""


def solved(**changes: str) -> dict:
    """Lesson 1 with right answers, but for those given."""
    return with_answers(handed_out(), **{**ANSWERS, **changes})


def saved(notebook, name: str = f"{LESSON}.ipynb", encoding: str = "utf-8") -> Callable[[Path], None]:
    """Writes a notebook, or whatever stands for one."""
    text = notebook_text(notebook) if isinstance(notebook, dict) else notebook
    if isinstance(text, str):
        text = text.replace("\ud800", "\\ud800")  # as json writes what is no letter

    def write(folder: Path) -> None:
        content = text if isinstance(text, bytes) else text.encode(encoding, "surrogatepass")
        (folder / name).write_bytes(content)

    return write


def attack(code: str, answer: str = WRONG) -> Callable[[Path], None]:
    """An answer of which this code stands in the cell, above the function."""
    return saved(solved(**{TARGET: f"{code}\n\n\n{answer}"}))


def body(code: str) -> Callable[[Path], None]:
    """An answer whose function does this, and then gives what is wrong."""
    lines = "\n".join(f"    {line}" for line in code.splitlines())
    return saved(solved(**{TARGET: f"def {TARGET}(first, last, maps):\n{lines}\n    return [0.5] * (maps + 1)\n"}))


def edited(change: Callable[[dict], None]) -> Callable[[Path], None]:
    """The solved lesson, changed."""
    notebook = solved()
    change(notebook)
    return saved(notebook)


# Good ones, which some would take points from.


def _insert(code: str, behind: str = IMPORTING, **answers: str) -> Callable[[Path], None]:
    notebook = solved(**answers)
    insert_behind(notebook, behind, new_cell(code))
    return saved(notebook)


def _with_changed_imports(notebook: dict) -> None:
    cell = cell_of(notebook, IMPORTING)
    cell["source"] = "import math\n" + cell["source"]
    cell_of(notebook, TARGET)["source"] = RIGHT.replace("return [", "assert math.pi > 3\n    return [")


GOOD = (
    Case("ada", saved(solved()), ALL),
    Case("bob", saved(solved()), ALL),
    Case("untouched", saved(handed_out()), 0, "not written yet"),
    Case("one-wrong", saved(solved(**{TARGET: WRONG})), BUT_THE_TARGET, "should be"),
    Case("stderr", attack("import sys", RIGHT.replace("return", "print('hm', file=sys.stderr)\n    return")), ALL),
    Case("warning", attack("import warnings\nwarnings.warn('careful')", RIGHT), ALL),
    Case("slow-own-cell", _insert("import time\ntime.sleep(1000)"), ALL),
    Case("slow-statement", attack("import time\nfor _ in range(1000):\n    time.sleep(1)", RIGHT), ALL),
    Case("failing-own-cell", _insert("1 / 0"), ALL),
    Case("failing-statement", attack("1 / 0", RIGHT), ALL),
    Case("exit-in-a-cell", attack("exit()", RIGHT), ALL),
    Case("magics", attack("%matplotlib inline\n!ls", RIGHT), ALL),
    Case("helper", _insert("def half(x):\n    return x / 2", **{TARGET: "half(1)\n\n" + RIGHT}), ALL),
    Case("own-import", edited(_with_changed_imports), ALL),
    Case("prints", attack("print('x' * 10**8)", RIGHT), ALL),
    Case("calls-check", attack(f"check('01.{TARGET}', 1)", RIGHT), ALL),
    Case("table-by-loop", attack("T = []\nfor k in range(9):\n    T.append(k)", RIGHT.replace("range", "list(T) and range")), ALL),
    Case("takes-mine", attack("from ssdseg_course import mine\niou = mine('02.iou')", RIGHT), ALL),
    Case("cell-magic", saved(solved(**{TARGET: "%%time\n" + RIGHT})), ALL),
    Case("future", saved(solved(**{TARGET: "from __future__ import annotations\n\n\n" + RIGHT.replace(
        "(first, last, maps)", "(first: Unknown, last, maps) -> Sequence[float]")})), ALL),
    Case("table-filled-in-own-cells", _insert("T = {}\nT['one'] = 1\nL = []\nL.append(1)\nfor k in range(3):\n    L.append(k)",
        **{TARGET: RIGHT.replace("range", "T['one'] and L[3] == 2 and range")}), ALL),
    Case("with-in-own-cell", _insert("import contextlib\nwith contextlib.suppress(ImportError):\n    one = 1\n(two := 2)",
        **{TARGET: RIGHT.replace("range", "one and two and range")}), ALL),
    Case("shadow-and-back", _insert("range = 3\ndel range"), ALL),
    Case("lambda", _insert(WRONG, **{TARGET: f"{TARGET} = lambda first, last, maps: [first + (last - first) / (maps - 1) * k "
                                             "for k in range(maps + 1)]"}), ALL),
    Case("display", saved(solved(**{TARGET: RIGHT.replace("    return [", "    display(first)\n    return [")})), ALL),
    Case("huge-literal", attack("BIG = 0x" + "f" * 5000, RIGHT.replace("range", "BIG and range")), ALL),
    Case("pickles", attack("import pickle\n\n\nclass P:\n    pass\n\n\npickle.loads(pickle.dumps(P()))\nfine = 1",
        RIGHT.replace("range", "fine and range")), ALL),
    Case("long-number", edited(lambda notebook: notebook["metadata"].update(n=10**20)), ALL),
)  # fmt: skip

# Honest work that stands where the notebook finds it, but not among the definitions above its check.

USING = "def {name}(first, last, maps):\n    assert {test}\n    return [first + (last - first) / (maps - 1) * k for k in range(maps + 1)]\n"


def using(test: str) -> str:
    """A right answer that stops where a test does not hold."""
    return USING.format(name=TARGET, test=test)


def above(code: str, test: str) -> Callable[[Path], None]:
    """A right answer that needs what a cell of the learner's own does at the top of the notebook."""
    return _insert(code, **{TARGET: using(test)})


def below(code: str, test: str, behind: str = f"check_{TARGET}") -> Callable[[Path], None]:
    """A right answer that needs what a cell below its check defines."""
    return _insert(code, behind, **{TARGET: using(test)})


def beside(files: dict[str, str | bytes], code: str, test: str) -> Callable[[Path], None]:
    """A right answer that needs files that stand beside the notebook."""
    notebook = above(code, test)

    def write(folder: Path) -> None:
        notebook(folder)
        for name, content in files.items():
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)

    return write


def _in_another_answer(notebook: dict) -> None:
    cell_of(notebook, "coverage")["source"] += "\n\n\ndef half(x):\n    return x / 2\n"
    cell_of(notebook, TARGET)["source"] = using("half(2) == 1")


LAST = "check_choose_anchors"
FILL = "T = {}\n\n\ndef fill(table):\n    table['one'] = 1\n\n\nfill(T)"
POOL = (
    "import multiprocessing\n\n\ndef one(x):\n    return x\n\n\n"
    f"def {TARGET}(first, last, maps):\n    with multiprocessing.Pool(multiprocessing.cpu_count()) as pool:\n"
    "        return pool.map(one, [first + (last - first) / (maps - 1) * k for k in range(maps + 1)])\n"
)
EXECUTOR = (
    "import os\nfrom concurrent.futures import ProcessPoolExecutor\n\n\ndef one(x):\n    return x\n\n\n"
    f"def {TARGET}(first, last, maps):\n    with ProcessPoolExecutor(os.cpu_count()) as pool:\n"
    "        return list(pool.map(one, [first + (last - first) / (maps - 1) * k for k in range(maps + 1)]))\n"
)
WRONG_SIZES = ANSWERS["anchor_sizes"].replace("height, width = image_size", "width, height = image_size")
STUBS = {name: cell_of(handed_out(), name)["source"] for name in ANSWERS}

HONEST = (
    Case("helper-below", below("def half(x):\n    return x / 2", "half(2) == 1"), ALL),
    Case("helper-in-the-last-cell", below("def half(x):\n    return x / 2", "half(2) == 1", LAST), ALL),
    Case("import-in-the-last-cell", below("import math\nfrom math import pi as PI", "math.pi == PI", LAST), ALL),
    Case("constant-below", below("HALF = 1 / 2", "HALF == 0.5"), ALL),
    Case("helper-in-another-answer", edited(_in_another_answer), ALL),
    Case("helper-below-by-a-call", below("names = {}\nnames.update(half=lambda x: x / 2)\nglobals().update(names)",
                                         "half(2) == 1"), ALL),
    Case("table-by-a-call", above(FILL, "T['one'] == 1"), ALL),
    Case("table-by-a-call-of-a-module", above("import numpy as np\nA = np.zeros(3)\nnp.copyto(A, 1)", "A.sum() == 3"), ALL),
    Case("globals-by-a-call", above("def set_up():\n    global ONE\n    ONE = 1\n\n\nset_up()", "ONE == 1"), ALL),
    Case("globals-by-name", above("globals()['ONE'] = 1", "ONE == 1"), ALL),
    Case("executed", above("exec('ONE = 1')", "ONE == 1"), ALL),
    Case("registry-by-a-call", above("R = []\n\n\ndef register(f):\n    R.append(f)\n\n\n"
                                     "def half(x):\n    return x / 2\n\n\nregister(half)", "R[0](2) == 1"), ALL),
    Case("set-by-a-call", above("class K:\n    pass\n\n\nsetattr(K, 'one', 1)", "K.one == 1"), ALL),
    Case("table-beside-slow-cells",
         above(f"import time\ntime.sleep(1000)\n{FILL}\nwhile True:\n    pass", "T['one'] == 1"), ALL),
    Case("table-emptied-at-the-end", edited(lambda notebook: (
        insert_behind(notebook, LAST, new_cell("T.clear()")), insert_behind(notebook, IMPORTING, new_cell(FILL)),
        cell_of(notebook, TARGET).update(source=using("T['one'] == 1")))), ALL),
    Case("leaves-below-a-helper", edited(lambda notebook: (
        insert_behind(notebook, LAST, new_cell("exit()\nimport os\nos._exit(0)")),
        insert_behind(notebook, IMPORTING, new_cell(FILL)),
        cell_of(notebook, TARGET).update(source=using("T['one'] == 1")))), ALL),
    Case("module-beside", beside({"helper.py": "def half(x):\n    return x / 2\n"}, "from helper import half",
                                 "half(2) == 1"), ALL),
    Case("module-beside-in-the-answer", beside({"helper.py": "ONE = 1\n"}, "", "__import__('helper').ONE == 1"), ALL),
    Case("package-beside", beside({"mine_too/__init__.py": "", "mine_too/a.py": "from .b import ONE\n",
                                   "mine_too/b.py": "ONE = 1\n"}, "from mine_too.a import ONE", "ONE == 1"), ALL),
    Case("data-beside", beside({"table.csv": "1,2\n"}, "import numpy as np\nT = np.loadtxt('table.csv', delimiter=',')",
                               "T[1] == 2"), ALL),
    Case("data-beside-in-the-answer", beside({"table.json": "[1]"}, "import json", "json.load(open('table.json')) == [1]"),
         ALL),
    Case("run-beside", beside({"helper.py": "ONE = 1\n"}, "%run helper.py", "ONE == 1"), ALL),
    Case("written-from-a-cell", edited(lambda notebook: (
        insert_behind(notebook, IMPORTING, new_cell("%%writefile helper.py\nONE = 1\n", "5eed0001"),
                      new_cell("from helper import ONE", "5eed0002")),
        cell_of(notebook, TARGET).update(source=using("ONE == 1")))), ALL),
    Case("boxes-of-the-lesson", edited(lambda notebook: cell_of(notebook, TARGET).update(
        source=using("len(all_boxes) == len(all_labels) > 500")) or insert_behind(
        notebook, IMPORTING, new_cell("all_boxes, all_labels = warehouse_boxes()"))), ALL),
    Case("pool-of-all-cores", saved(solved(**{TARGET: POOL})), ALL),
    Case("executor-of-all-cores", saved(solved(**{TARGET: EXECUTOR})), ALL),
    Case("pool-of-eight", saved(solved(**{TARGET: POOL.replace("multiprocessing.cpu_count()", "8")})), ALL),
    Case("threads-of-all-cores", saved(solved(**{TARGET: POOL.replace("multiprocessing.Pool", "ThreadPool").replace(
        "import multiprocessing\n", "import multiprocessing\nfrom multiprocessing.pool import ThreadPool\n")})), ALL),
    Case("wrong-early", saved(solved(anchor_sizes=WRONG_SIZES)), ALL - 20, "judged with the course's own `anchor_sizes`"),
    Case("list-early", saved(solved(grid_centers=ANSWERS["grid_centers"] + ".tolist()")), ALL,
         "right, judged with the course's own `grid_centers`, for your `grid_centers` gives a list where an array"),
    Case("unwritten-early", saved(solved(anchor_sizes=STUBS["anchor_sizes"], grid_centers=STUBS["grid_centers"])),
         ALL - 30, "`grid_centers` and `anchor_sizes`, for yours are not right yet: mend 01.grid_centers first"),
    Case("endless-early", saved(solved(grid_centers="def grid_centers(rows, cols):\n    while True:\n        pass")),
         ALL - 10, "judged with the course's own `grid_centers`"),
    Case("wrong-early-and-itself", saved(solved(
        anchor_sizes=WRONG_SIZES, map_anchors=ANSWERS["map_anchors"].replace("return ", "return 2 * "))),
         ALL - 35, "judged with the course's own `anchor_sizes`"),
)  # fmt: skip

# Broken ones.


def _truncated(folder: Path) -> None:
    text = notebook_text(solved())
    (folder / f"{LESSON}.ipynb").write_text(text[: text.index('"grade_id": "choose_anchors"')])


def _without_metadata(notebook: dict) -> None:
    for number, cell in enumerate(notebook["cells"]):
        cell["metadata"] = {}
        cell["id"] = f"new{number}"
    notebook["metadata"] = {}


def _duplicated(notebook: dict) -> None:
    for name in (TARGET, f"check_{TARGET}", "grid_centers"):
        insert_behind(notebook, name, dict(cell_of(notebook, name)))


def _without(*names: str) -> Callable[[dict], None]:
    def change(notebook: dict) -> None:
        notebook["cells"] = [cell for cell in notebook["cells"] if grade_id(cell) not in names]

    return change


def _retyped(notebook: dict) -> None:
    cell = cell_of(notebook, TARGET)
    cell["cell_type"] = "markdown"
    del cell["outputs"], cell["execution_count"]


def _check_edited(notebook: dict) -> None:
    cell_of(notebook, f"check_{TARGET}")["source"] = "assert True"


def _reversed(notebook: dict) -> None:
    places = [place for place, cell in enumerate(notebook["cells"]) if grade_id(cell)]
    cells = [notebook["cells"][place] for place in places]
    for place, cell in zip(places, cells[::-1], strict=True):
        notebook["cells"][place] = cell


def _kernel(notebook: dict) -> None:
    notebook["metadata"]["kernelspec"] = {"name": "ir", "language": "R", "display_name": "R"}


def _format_3(folder: Path) -> None:
    cells = []
    for cell in solved()["cells"]:
        old = {"cell_type": cell["cell_type"], "metadata": cell["metadata"]}
        if cell["cell_type"] == "code":
            old |= {"input": cell["source"], "language": "python", "outputs": [], "collapsed": False}
        else:
            old |= {"source": cell["source"]}
        cells.append(old)
    notebook = {"nbformat": 3, "nbformat_minor": 0, "metadata": {"name": ""}, "worksheets": [{"cells": cells}]}
    (folder / f"{LESSON}.ipynb").write_text(json.dumps(notebook))


def _one_cell(notebook: dict) -> None:
    for name in ANSWERS:
        cell_of(notebook, name)["source"] = cell_of(handed_out(), name)["source"]
    notebook["cells"].append(new_cell("\n\n".join(ANSWERS.values())))


def _merged(notebook: dict) -> None:
    cell = cell_of(notebook, TARGET)
    cell_of(notebook, "map_anchors")["source"] += f"\n\n{cell['source']}"
    notebook["cells"].remove(cell)


def _crlf(folder: Path) -> None:
    (folder / f"{LESSON}.ipynb").write_bytes(notebook_text(solved()).replace("\\n", "\\r\\n").encode())


def _odd_cells(folder: Path) -> None:
    notebook = json.loads(notebook_text(solved()))
    notebook["cells"] += [{"cell_type": 5, "source": 7}, {"source": ["a", None]}, {"cell_type": "code", "metadata": 3}]
    notebook["cells"].append({"cell_type": "code", "source": "", "metadata": {"nbgrader": "yes"}, "outputs": []})
    (folder / f"{LESSON}.ipynb").write_text(json.dumps(notebook))


CONFLICT_OF_COUNTS = (
    '<<<<<<< HEAD\n   "execution_count": 3,\n=======\n   "execution_count": 4,\n>>>>>>> a branch of mine'
)
TRICKY = ["]", '["[', "\\"]
OUTPUTS = [
    {"output_type": "display_data", "data": {"image/png": "A" * 10_000_000, "text/plain": TRICKY}, "metadata": {}}
]


def _merged_texts(one: dict, other: dict) -> str:
    """What `git merge` makes of two versions of a notebook."""
    upper, lower = (notebook_text(notebook).splitlines(keepends=True) for notebook in (one, other))
    parts = []
    for kind, a, b, c, d in difflib.SequenceMatcher(None, upper, lower, autojunk=False).get_opcodes():
        if kind == "equal":
            parts += upper[a:b]
        else:
            parts += ["<<<<<<< HEAD\n", *upper[a:b], "=======\n", *lower[c:d], ">>>>>>> theirs\n"]
    return "".join(parts)


UMLAUT = RIGHT.replace("return [", "größe = 1\n    return [")
OTHER_LESSON = find_lesson("02_matching").solution().read_bytes()

BROKEN = (
    Case("many-ones", saved('{"cells": [' + "1, " * 300_000 + '"一'), None, "none of the functions"),
    Case("truncated", _truncated, ALL - EXERCISES["01.choose_anchors"].points, "breaks off"),
    Case("empty", saved(""), None, "the file is empty"),
    Case("spaces", saved("  \n"), None, "the file is empty"),
    Case("byte-order-mark", saved(solved(), encoding="utf-8-sig"), ALL, "byte-order mark"),
    Case("utf-16", saved(solved(), encoding="utf-16"), ALL, "byte-order mark"),
    Case("latin-1", saved(notebook_text(solved(**{TARGET: UMLAUT})).replace("–", "-").encode("latin-1", "replace")),
         ALL, "Latin-1"),
    Case("renamed", saved(solved(), name="My anchors (1).ipynb"), ALL, "was taken for 01_anchors.ipynb"),
    Case("copy", saved(solved(), name="01_anchors (2).ipynb"), ALL, "was taken for 01_anchors.ipynb"),
    Case("no-metadata", edited(_without_metadata), ALL, "marks are gone"),
    Case("duplicated", edited(_duplicated), ALL, "2 cells"),
    Case("checks-deleted", edited(_without(*(f"check_{name}" for name in ANSWERS))), ALL),
    Case("answer-deleted", edited(_without(TARGET)), BUT_THE_TARGET, f"cell of `{TARGET}` is missing"),
    Case("check-edited", edited(_check_edited), ALL, f"`check_{TARGET}` was changed"),
    Case("moved", edited(_reversed), ALL, "another order"),
    Case("retyped", edited(_retyped), ALL, "another type of cell"),
    Case("other-kernel", edited(_kernel), ALL, "run with Python"),
    Case("format-3", _format_3, ALL, "converted to format 4"),
    Case("half-letters", edited(lambda notebook: cell_of(notebook, TARGET).update(
        source=RIGHT.replace("return [", "'\\ud800'; '\ud800'\n    return ["))), ALL),
    *(Case(f"{encoding}-without-a-mark", saved(solved(), encoding=encoding), ALL, encoding.upper())
      for encoding in ("utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be")),
    Case("utf-32", saved(solved(), encoding="utf-32"), ALL, "byte-order mark"),
    Case("unseen-letters", saved(solved(**{TARGET: "\ufeff" + RIGHT.replace("    return", "\u00a0   return\u200b")})), ALL,
         "cannot be seen"),
    Case("conflict-of-counts", saved(notebook_text(solved()).replace('   "execution_count": null,', CONFLICT_OF_COUNTS)),
         ALL, "merge conflict"),
    Case("conflict-of-answers", saved(_merged_texts(solved(**{TARGET: STUBS[TARGET]}), solved())), ALL, "merge conflict"),
    Case("conflict-of-answers-turned", saved(_merged_texts(solved(), solved(**{TARGET: STUBS[TARGET]}))), ALL,
         "merge conflict"),
    Case("conflict-in-a-cell", saved(solved(
        **{TARGET: f"<<<<<<< HEAD\n{RIGHT}\n||||||| base\n1\n=======\n{WRONG}\n>>>>>>> other"})), ALL, "merge conflict"),
    Case("many-outputs", edited(lambda notebook: cell_of(notebook, "grid_centers").update(outputs=OUTPUTS)), ALL),
    Case("blank-lines", saved(solved(**{TARGET: " \n" * 20_000 + WRONG})), BUT_THE_TARGET, "should be"),
    Case("same-cells", edited(lambda notebook: notebook["cells"].extend(
        dict(cell_of(notebook, TARGET)) for _ in range(1500))), ALL, "1501 cells"),
    Case("format-99", edited(lambda notebook: notebook.update(nbformat=99)), ALL, "of format 99"),
    Case("all-in-one-cell", edited(_one_cell), ALL, "found in"),
    Case("merged", edited(_merged), ALL, "found in the cell of `map_anchors`"),
    Case("crlf", _crlf, ALL),
    Case("odd-cells", _odd_cells, ALL, "left out"),
    Case("list", saved("[1, 2]"), None, "not a notebook"),
    Case("other-lesson", saved(OTHER_LESSON), None, "it looks like 02_matching"),
    Case("garbage", saved(bytes(range(256)) * 50), None, "damaged"),
    Case("nested", saved("[" * 100_000), None, "nested"),
    Case("syntax-error", attack("def ("), BUT_THE_TARGET, "Python cannot read its cell"),
    Case("no-function", saved(solved(**{TARGET: f"{TARGET} = 3"})), BUT_THE_TARGET, "is not a function"),
)  # fmt: skip

# Hostile ones: files.


def _link(folder: Path) -> None:
    (folder / f"{LESSON}.ipynb").symlink_to(find_lesson(LESSON).solution())


def _linked_folder(folder: Path) -> None:
    folder.rmdir()
    folder.symlink_to(find_lesson(LESSON).solution().parent)


def _hard_link(folder: Path) -> None:
    os.link(folder.parents[1] / "neighbour" / LESSON / f"{LESSON}.ipynb", folder / f"{LESSON}.ipynb")


def _pipe(folder: Path) -> None:
    os.mkfifo(folder / f"{LESSON}.ipynb")


def _socket(folder: Path) -> None:
    here = os.open(".", os.O_RDONLY)
    try:
        os.chdir(folder)  # a socket's path is short
        socket.socket(socket.AF_UNIX).bind(f"{LESSON}.ipynb")
    finally:
        os.fchdir(here)
        os.close(here)


def _strays(folder: Path) -> None:
    saved(solved(**{TARGET: f"import numpy\nassert not hasattr(numpy, 'shadow')\n{WRONG}"}))(folder)
    for name in ("numpy.py", "json.py", "ipykernel_launcher.py", "sitecustomize.py"):
        (folder / name).write_text("shadow = True\nimport os\nos._exit(0)\n")
    (folder / "ssdseg_course").mkdir()
    (folder / "ssdseg_course" / "__init__.py").write_text("def check(*_): ...\n")
    saved(solved(), name="another one.ipynb")(folder)


FILES = (
    Case("neighbour", saved(solved()), ALL),  # its file has two names once the next one is there
    Case("neighbours-file", _hard_link, ALL),
    Case("link", _link, None, "links are not followed"),
    Case("linked-folder", _linked_folder, None, "1 link"),
    Case("pipe", _pipe, None, "not a plain file"),
    Case("socket-file", _socket, None, "not a plain file"),
    Case("oversized", saved(b" " * (21 * 2**20)), None, "more than 20 MiB"),
    Case("archive", saved(b"PK\x03\x04" + bytes(1000), name="work.zip"), None, "no notebook of this lesson"),
    Case("strays", _strays, BUT_THE_TARGET, "other files"),
)

# Hostile ones: what is written in the notebook beside the code.


def _forged_outputs(notebook: dict) -> None:
    cell_of(notebook, TARGET)["source"] = WRONG
    text = f"✓ 01.{TARGET}  10/10"
    outputs = [{"output_type": "stream", "name": "stdout", "text": text}]
    cell_of(notebook, f"check_{TARGET}").update(outputs=outputs, execution_count=1)


def _points(notebook: dict) -> None:
    cell_of(notebook, TARGET)["source"] = WRONG
    for cell in notebook["cells"]:
        if "points" in cell["metadata"].get("nbgrader", {}):
            cell["metadata"]["nbgrader"]["points"] = 1000


def _no_longer_graded(notebook: dict) -> None:
    cell_of(notebook, TARGET)["source"] = WRONG
    cell_of(notebook, f"check_{TARGET}")["metadata"]["nbgrader"].update(grade=False, solution=True)


def _tags(notebook: dict) -> None:
    for cell in notebook["cells"]:
        cell["metadata"]["tags"] = ["skip-execution", "raises-exception", "remove-cell"]


def _script(notebook: dict) -> None:
    cell = new_cell("<script>alert(1)</script>", "5cr1p7", "markdown")
    insert_behind(notebook, IMPORTING, cell)
    cell_of(notebook, TARGET)["source"] = WRONG.replace("return", "raise ValueError('<script>alert(2)</script>')#")


def _redefined_below(notebook: dict) -> None:
    cell_of(notebook, TARGET)["source"] = WRONG
    insert_behind(notebook, f"check_{TARGET}", new_cell(f"def check(*_):\n    pass\n\n\n{TARGET} = 5"))


MARKS = (
    Case("forged-outputs", edited(_forged_outputs), BUT_THE_TARGET, "should be"),
    Case("points-edited", edited(_points), BUT_THE_TARGET, "marks were changed"),
    Case("no-longer-graded", edited(_no_longer_graded), BUT_THE_TARGET, "marks were changed"),
    Case("tags", edited(_tags), ALL),
    Case("script", edited(_script), BUT_THE_TARGET, "ValueError"),
    Case("redefined-below", edited(_redefined_below), BUT_THE_TARGET, "should be"),
)

# Hostile ones: code that harms itself or the machine.

LOOP = "while True:\n    pass"
HARMS = (
    Case("crash", body("import ctypes\nctypes.string_at(0)"), BUT_THE_TARGET, "crashed it"),
    Case("os-exit", body("import os\nos._exit(0)"), BUT_THE_TARGET, "ended the process"),
    Case("system-exit", body("raise SystemExit(0)"), BUT_THE_TARGET, "SystemExit"),
    Case("abort", body("import os\nos.abort()"), BUT_THE_TARGET, "ended the process"),
    Case("kills-itself", body("import os\nos.kill(os.getpid(), 9)"), BUT_THE_TARGET),
    Case("kills-everybody", body("import os\nos.kill(-1, 9)"), BUT_THE_TARGET),
    Case("kills-its-parent", body("import os\nos.kill(os.getppid(), 9)"), BUT_THE_TARGET, "should be"),
    Case("kills-its-group", body("import os\nos.killpg(0, 9)"), BUT_THE_TARGET, "should be"),
    Case("kills-all-numbers",
         body("import os\nfor p in range(2, 9999):\n    try:\n        os.kill(p, 9)\n    except OSError:\n        pass"),
         BUT_THE_TARGET, "should be"),
    Case("loop", body(LOOP), BUT_THE_TARGET, "did not come to its end"),
    Case("loop-in-the-cell", attack(f"def spin():\n    {LOOP.replace(chr(10), chr(10) + '    ')}\n\nX = spin()", RIGHT),
         BUT_THE_TARGET, "did not come to its end"),
    Case("swallows-interrupts",
         body("while True:\n    try:\n        while True:\n            pass\n    except BaseException:\n        pass"),
         BUT_THE_TARGET, "did not let itself be interrupted"),
    Case("deaf", body(f"import signal\nsignal.signal(signal.SIGALRM, signal.SIG_IGN)\nsignal.signal(signal.SIGPROF, signal.SIG_IGN)\nsignal.signal(signal.SIGXCPU, signal.SIG_IGN)\n{LOOP}"), BUT_THE_TARGET,
         "did not let itself be interrupted"),
    Case("sleeps", body("import time\ntime.sleep(1000)"), BUT_THE_TARGET, "did not come to its end"),
    Case("flood", body("import os\nfor _ in range(10**5):\n    os.write(1, b'x' * 1000)\n    os.write(2, b'x')"),
         BUT_THE_TARGET, "should be"),
    Case("flood-every-file",
         body("import os\nfor f in range(256):\n    try:\n        os.write(f, b'{' * 10**6)\n    except OSError:\n        pass"),
         BUT_THE_TARGET),
    Case("memory", body("import numpy\nnumpy.ones(10**11)"), BUT_THE_TARGET, "Memory"),
    Case("memory-by-and-by", body("import numpy\nx = []\nwhile True:\n    x.append(numpy.empty(10**8, 'u1'))"), BUT_THE_TARGET, "emory"),
    Case("memory-of-children",
         body("import os, time\nfor _ in range(6):\n    if os.fork() == 0:\n        x = bytearray(b'x') * (10**9)\n"
              "        time.sleep(1000)\ntime.sleep(1000)"),
         BUT_THE_TARGET),
    Case("fills-the-disk",
         body("for k in range(99):\n    with open(f'/tmp/{k}', 'wb') as f:\n        f.write(bytes(10**8))"),
         BUT_THE_TARGET, "Error"),
    Case("forks", body("import os\nwhile True:\n    try:\n        os.fork()\n    except OSError:\n        pass"),
         BUT_THE_TARGET),
    Case("leaves-a-process",
         attack("import subprocess\nsubprocess.Popen(['sleep', '98765'], start_new_session=True)", RIGHT), ALL),
    Case("leaves-a-thread", attack(
        "import threading, time\nthreading.Thread(target=time.sleep, args=(1000,)).start()", RIGHT), ALL),
    Case("hog", body("import os\nfor _ in range(55):\n    if os.fork() == 0:\n        os.setsid()\n        while True:\n"
                     "            pass\nwhile True:\n    pass"), BUT_THE_TARGET, "more than 8 processes"),
    Case("more-namespaces", body("import ctypes\nassert ctypes.CDLL(None).unshare(0x10020000) == 0"), BUT_THE_TARGET,
         "AssertionError"),
    Case("shared-memory", body("import ctypes\nc = ctypes.CDLL(None)\nassert c.shmget(0, 1 << 30, 0o1600) >= 0"),
         BUT_THE_TARGET, "AssertionError"),
    Case("memory-in-files", body("import os\nos.memfd_create('x')"), BUT_THE_TARGET, "PermissionError"),
    Case("notes-in-keys", body("import ctypes\nassert ctypes.CDLL(None).syscall(248, b'user', b'n', b'x', 1, -2) > 0"),
         BUT_THE_TARGET, "AssertionError"),
    Case("many-ratios", saved(solved(choose_anchors="def choose_anchors():\n    return (0.16, 0.27, 0.38, 0.49, 0.6), "
                                                    "[0.43 + k / 1e6 for k in range(80_000)]\n")), ALL - 15, "anchors, and at most"),
    Case("many-lists", body("return [[] for _ in range(9_000_000)]"), BUT_THE_TARGET),
    Case("many-uneven-lists", body("return [[]] * 200_000 + [[1]]"), BUT_THE_TARGET),
    Case("long-rows", body("import numpy as np\nreturn np.zeros((2, 10**6))"), BUT_THE_TARGET, "far more numbers"),
    Case("long-row", body("import numpy as np\nreturn np.zeros((5, 1000))"), BUT_THE_TARGET, "should be"),
    Case("recursion", body(f"return {TARGET}(first, last, maps)"), BUT_THE_TARGET, "RecursionError"),
    Case("reads-input", body("input()"), BUT_THE_TARGET, "EOFError"),
)  # fmt: skip

# Hostile ones: code that wants points.


FORGERIES = (
    Case("patched-numpy", attack("import numpy as np\nnp.allclose = np.isclose = np.array_equal = lambda *a, **k: True"),
         BUT_THE_TARGET, "broke down"),
    Case("patched-builtins", attack("import builtins\nbuiltins.all = builtins.any = lambda *a: True"), BUT_THE_TARGET),
    Case("patched-len", attack("import builtins\nbuiltins.len = lambda x: 1 / 0"), BUT_THE_TARGET),
    Case("patched-probe",
         attack("import sys\nsys.modules['ssdseg_course.checking.probe']._call = lambda *a: None"), BUT_THE_TARGET),
    Case("patched-report",
         attack("import sys\nz = sys.modules['ssdseg_course.sandboxed.zygote']\n"
                "z.write_report = lambda *a: b'{\"outcomes\": \"all right\", \"trouble\": \"\"}'"),
         BUT_THE_TARGET, "could not be read"),
    Case("pickled-report",
         attack("import sys\nz = sys.modules['ssdseg_course.sandboxed.zygote']\n"
                "z.write_report = lambda *a: b'\\x80\\x04\\x95cos\\nsystem\\n(S\"touch /tmp/owned\"\\ntR.'"),
         BUT_THE_TARGET, "could not be read"),
    Case("bomb",
         attack("import sys\nz = sys.modules['ssdseg_course.sandboxed.zygote']\ne = '{\"dtype\": \"|u1\", \"shape\": [1, 2000000000, 0], \"data\": \"\"}'\n"
                "one = '{\"value\": %s, \"type_name\": \"\", \"failure\": null, \"changed\": []}' % e\n"
                "z.write_report = lambda outcomes, *a: ('{\"outcomes\": [%s], \"trouble\": \"\"}' % ', '.join([one] * len(outcomes))).encode()"),
         BUT_THE_TARGET, "could not be read"),
    Case("patched-judge", attack(
        "try:\n    import ssdseg_course.checking.judge as j\n    j.judge = lambda *a: None\nexcept ImportError:\n    pass"),
         BUT_THE_TARGET, "should be"),
    Case("import-hook",
         attack("import sys\n\n\nclass Hook:\n    def find_spec(self, *a):\n        raise ImportError('no')\n\n\n"
                "sys.meta_path.insert(0, Hook())"),
         BUT_THE_TARGET, "should be"),
    Case("always-equal",
         saved(solved(**{TARGET: "class Yes:\n    def __eq__(self, other):\n        return True\n\n    __hash__ = None\n\n\n"
                                 f"def {TARGET}(*_):\n    return Yes()\n"})),
         BUT_THE_TARGET, "something else"),
    Case("equal-array",
         saved(solved(**{TARGET: "import numpy as np\n\n\nclass Yes(np.ndarray):\n    def __eq__(self, other):\n"
                                 "        return True\n\n    def __ne__(self, other):\n        return False\n\n\n"
                                 f"def {TARGET}(first, last, maps):\n    return np.zeros(maps + 1).view(Yes)\n"})),
         BUT_THE_TARGET, "should be"),
    Case("any-array",
         saved(solved(**{TARGET: "class A:\n    def __array__(self, *a, **k):\n        while True:\n            pass\n\n\n"
                                 f"def {TARGET}(*_):\n    return A()\n"})),
         BUT_THE_TARGET, "did not come to its end"),
    Case("unpicklable",
         saved(solved(**{TARGET: "import os\n\n\nclass P:\n    def __reduce__(self):\n        return os.system, ('id',)\n\n\n"
                                 f"def {TARGET}(*_):\n    return P()\n"})),
         BUT_THE_TARGET, "something else"),
    Case("endless-iterator", body("import itertools\nreturn itertools.count()"), BUT_THE_TARGET, "something else"),
    Case("raw-lists",
         attack("import sys\nz = sys.modules['ssdseg_course.sandboxed.zygote']\n"
                "z.write_report = lambda *a: b'{\"outcomes\": [' + b'[],' * 300_000 + b'[]], \"trouble\": \"\"}'"),
         BUT_THE_TARGET, "could not be read"),
    Case("asks-the-helper",
         saved(solved(grid_centers="def grid_centers(rows, cols):\n    return 0\n",
                      map_anchors="import inspect\n\n\ndef map_anchors(*a):\n    import sys\n"
                                  "    found = [v for v in vars(sys.modules['__main__']).values() if callable(v)]\n"
                                  "    found += [v for f in found for v in getattr(f, '__globals__', {}).values()]\n"
                                  "    for f in found:\n        if getattr(f, '__name__', '') == 'map_anchors' and f is not map_anchors:\n"
                                  "            return f(*a)\n"
                                  "    raise ValueError(inspect.getsource(grid_centers))\n")),
         ALL - 25, "not right yet"),
    Case("huge", body("import numpy\nreturn numpy.ones(10**8)"), BUT_THE_TARGET, ""),
    Case("ipython-hooks",
         attack("ip = get_ipython()\nip.events.register('post_run_cell', print)\nip.run_cell_async = None"),
         BUT_THE_TARGET, "should be"),
    Case("input-transformer", attack("get_ipython().input_transformers_post.append(lambda lines: ['1\\n'])"),
         BUT_THE_TARGET, "should be"),
    Case("ast-transformer",
         attack("import IPython.core.inputtransformer2 as t\nt.TransformerManager.transform_cell = lambda self, cell: ''"),
         BUT_THE_TARGET, "should be"),
    Case("displayhook", attack("import sys\nsys.displayhook = sys.excepthook = lambda *a: None"), BUT_THE_TARGET,
         "should be"),
    Case("exception-handler", attack("get_ipython().set_custom_exc((Exception,), lambda *a: None)"), BUT_THE_TARGET,
         "should be"),
    Case("cell-history", attack("In[-1] = Out[-1] = 'passed'\nget_ipython().history_manager.reset()"), BUT_THE_TARGET,
         "should be"),
    Case("prints-a-pass", body(f"print('✓ 01.{TARGET}  10/10')"), BUT_THE_TARGET, "should be"),
    Case("looks-up-the-stack",
         body("import sys\nframe = sys._getframe()\nwhile frame:\n    for name, value in list(frame.f_locals.items()):\n"
              "        if 'expected' in name or 'reference' in name:\n            return value\n    frame = frame.f_back"),
         BUT_THE_TARGET, "should be"),
    Case("takes-the-reference", attack("from ssdseg_ref.anchors import linear_scales as known",
                                       f"def {TARGET}(first, last, maps):\n    return known(first, last, maps)\n"),
         BUT_THE_TARGET, "takes the reference's answer"),
    Case("takes-the-exercise",
         saved(solved(**{TARGET: f"def {TARGET}(*a):\n    from ssdseg_course import EXERCISES\n\n"
                                 f"    return EXERCISES['01.{TARGET}'].reference(*a)\n"})),
         BUT_THE_TARGET, "ImportError"),
    Case("terminal-letters", body("raise ValueError('\\x1b[2J\\x1b[31mall right')"), BUT_THE_TARGET, "ValueError"),
)  # fmt: skip


def reaching(root: Path, port: int) -> tuple[Case, ...]:
    """Hostile submissions that know where everything is.

    Args:
        root: the folder of the grading.
        port: where somebody on this machine listens.
    """
    course = find_lesson(LESSON).source().parents[2]
    gradebook = root / "gradebook.db"
    search = (
        "import os\nfor folder in (%r, '/'):\n    for here, _, names in os.walk(folder):\n        for name in names:\n"
        "            if name == %r:\n                return [1e9]\nraise LookupError('nothing there')"
    )
    return (
        Case("reads-the-solution", body(f"open({str(find_lesson(LESSON).source())!r})"), BUT_THE_TARGET, "FileNotFound"),
        Case("looks-for-solutions", body(search % (str(course), "01_anchors.py")), BUT_THE_TARGET, "nothing there"),
        Case("looks-for-exercises", body(search % (str(course), "anchor_choice.py")), BUT_THE_TARGET, "nothing there"),
        Case("looks-for-neighbours", body(search % (str(root), "01_anchors.ipynb")), BUT_THE_TARGET, "nothing there"),
        Case("reads-a-neighbour", body(f"open({str(root / 'submitted' / 'ada' / LESSON / '01_anchors.ipynb')!r})"),
             BUT_THE_TARGET, "FileNotFound"),
        Case("writes-the-gradebook", body(f"open({str(gradebook)!r}, 'w')"), BUT_THE_TARGET, "FileNotFound"),
        Case("locks-the-gradebook",
             body(f"import sqlite3\nsqlite3.connect({str(gradebook)!r}).execute('begin exclusive')"),
             BUT_THE_TARGET, "OperationalError"),
        Case("writes-into-python", body("import numpy\nopen(numpy.__file__, 'a').write('x = 1')"), BUT_THE_TARGET,
             "Error: "),
        Case("writes-into-the-course", body("open('/course/ssdseg_course/sandboxed/zygote.py', 'a')"), BUT_THE_TARGET,
             "Error: "),
        Case("leaves-a-note", attack("open('/tmp/note', 'w').write('linear_scales is ...')\n"
                                     "open('/dev/shm/note', 'w').write('linear_scales is ...')"),
             BUT_THE_TARGET, "should be"),
        Case("reads-the-note", body("return open('/tmp/note').read()"), BUT_THE_TARGET, "FileNotFound"),
        Case("reads-the-other-note", body("return open('/dev/shm/note').read()"), BUT_THE_TARGET, "FileNotFound"),
        Case("connects", body(f"import socket\nsocket.create_connection(('127.0.0.1', {port}), 1)"), BUT_THE_TARGET,
             "OSError"),
        Case("looks-at-processes", body("import os\nreturn [int(p) for p in os.listdir('/proc') if p.isdigit()][0]"),
             BUT_THE_TARGET, "IndexError"),
        Case("reads-the-environment", body("import os\nassert 'SECRET_OF_THE_INSTRUCTOR' in os.environ"), BUT_THE_TARGET,
             "AssertionError"),
        Case("mounts",
             body("import ctypes\nc = ctypes.CDLL(None, use_errno=True)\n"
                  "assert c.mount(b'proc', b'/proc', b'proc', 0, None) == 0 or c.umount(b'/proc') == 0"),
             BUT_THE_TARGET, "AssertionError"),
    )  # fmt: skip


def write_class(folder: Path, cases: tuple[Case, ...]) -> None:
    """Hand everything in."""
    for case in cases:
        place = folder / case.name / LESSON
        place.mkdir(parents=True)
        case.write(place)
