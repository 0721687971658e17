"""Does the start page for Colab give what a lesson needs there? Colab itself is out of reach of a test."""

import ast
import json
import subprocess
import sys
from importlib.metadata import packages_distributions
from pathlib import Path

import nbformat
import pytest

from ssdseg_course.manifest import LESSONS, ROOT

START = ROOT / "colab" / "start.ipynb"
HAS = {"IPython", "PIL", "h5py", "ipywidgets", "keras", "matplotlib", "numpy", "platformdirs", "tensorflow"}  # on Colab
DOWNLOADING = {"pooch", "requests"}  # imported by `data get` alone, when it begins


def clone(command) -> subprocess.CompletedProcess:
    """Stands in for git, which would need a network: the lessons of this repository."""
    folder = Path(command[-1])
    for lesson in LESSONS:
        lesson.notebook(folder).parent.mkdir(parents=True)
        lesson.notebook(folder).touch()
    return subprocess.CompletedProcess(command, 0)


def told(repository, capsys, git=clone):
    (cell,) = (cell for cell in json.loads(START.read_text(encoding="utf-8"))["cells"] if cell["cell_type"] == "code")
    code = "".join(cell["source"]).replace('REPOSITORY = ""', f"REPOSITORY = {repository!r}")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(subprocess, "run", git)
        exec(code, {})
    return capsys.readouterr().out


def test_the_page_is_a_notebook():
    nbformat.validate(nbformat.read(START, as_version=4))


@pytest.mark.parametrize("end", ["", "/", ".git"])
def test_every_lesson_has_a_link(end, capsys):
    said = told(f"https://github.com/NAME/ssdseg{end}", capsys)
    for lesson in LESSONS:
        path = f"NAME/ssdseg/blob/main/lessons/{lesson.name}/{lesson.name}.ipynb"
        assert f"https://colab.research.google.com/github/{path}\n" in said
        assert (ROOT / path.partition("/main/")[2]).exists()
    assert "--branch main https://github.com/NAME/ssdseg.git /content/ssdseg" in said


def test_a_repository_elsewhere_gets_the_other_way(capsys):
    assert "File > Upload notebook" in told("https://git.example.org/NAME/ssdseg.git", capsys)


def test_without_an_address_it_asks_for_one(capsys):
    with pytest.raises(SystemExit, match="Fill in REPOSITORY first"):
        told("", capsys)


def test_an_address_that_git_cannot_fetch_is_named(capsys):
    with pytest.raises(SystemExit, match=r"git cannot fetch https://git\.example\.org/nowhere: is that its address"):
        told("https://git.example.org/nowhere", capsys, lambda command: subprocess.CompletedProcess(command, 128))


def test_the_first_cell_makes_the_course_importable_without_installing_it(capsys, tmp_path):
    """What the cell does, with the clone that is there already and a Python that has not this course installed."""
    lines = told("https://github.com/NAME/ssdseg", capsys).partition("# The course on Colab")[2].splitlines()[1:]
    code = "\n".join(line for line in lines if not line.strip().startswith(("!", "%", "if ")))
    code = code.replace("/content/ssdseg", str(ROOT)) + "\nimport ssdseg_course; print(ssdseg_course.__file__)"
    done = subprocess.run([sys.executable, "-I", "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert Path(done.stdout.strip()).is_relative_to(ROOT)


def test_a_lesson_imports_nothing_that_colab_has_not():
    """Walks through the sources, from what the lessons import."""
    todo, seen, others = ["ssdseg_course"], set(), set()
    for source in ROOT.glob("solutions/*/*.py"):
        todo += [name for name in imported(source) if name.startswith("ssdseg")]
    while todo:
        name = todo.pop()
        places = [ROOT / f"{name.replace('.', '/')}{end}" for end in (".py", "/__init__.py")]
        if name in seen or not any(place.exists() for place in places):
            continue
        seen.add(name)
        for other in imported(next(place for place in places if place.exists())):
            (todo.append if other.startswith("ssdseg") else others.add)(other)
    others = {name.partition(".")[0] for name in others} - set(sys.stdlib_module_names)
    assert others & set(packages_distributions()) <= HAS | DOWNLOADING


def imported(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
