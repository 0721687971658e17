"""What of the course a sandbox gets to see: how answers are probed, and the reference without this lesson's answers."""

import ast
import json
import shutil
from collections.abc import Set
from functools import cache
from pathlib import Path

import numpy as np

import ssdseg_course
import ssdseg_ref
from ssdseg_course.checking.home import AtHome
from ssdseg_course.exercises import EXERCISES, allowed_in, exercises_of
from ssdseg_course.exercises.anchor_choice import warehouse_boxes
from ssdseg_course.manifest import Lesson

REFERENCE = Path(ssdseg_ref.__file__).parent
NOT_WHILE_GRADED = "holds the reference's answers to this lesson, which are not there when it is graded"
COURSE_PARTS = ("checking", "sandboxed", "lazy.py", "quiet.py")
ANY_ARGUMENTS = ast.arguments([], [], ast.arg("_"), [], [], ast.arg("__"), [])
CODE_ALONE = shutil.ignore_patterns("__pycache__", "weights", "*.npy")


def stage(lesson: Lesson, folder: Path) -> None:
    """Write the packages that a sandbox for this lesson sees.

    Args:
        lesson: whose answers are hidden.
        folder: empty; goes on the path where modules are looked for.
    """
    course = folder / "ssdseg_course"
    course.mkdir()
    source = Path(ssdseg_course.__file__).parent
    for name in COURSE_PARTS:
        if (source / name).is_dir():
            shutil.copytree(source / name, course / name, ignore=CODE_ALONE)
        else:
            shutil.copy(source / name, course)
    shutil.copy(source / "sandboxed" / "stand_in.py", course / "__init__.py")
    if "warehouse_boxes" in lesson.source().read_text(encoding="utf-8"):  # its cells show them
        boxes, labels = warehouse_boxes()
        np.savez(course / "warehouse_boxes.npz", boxes=boxes, labels=labels)
    (course / "mine.json").write_text(json.dumps(_for_mine(lesson)))
    shutil.copytree(REFERENCE, folder / "ssdseg_ref", ignore=CODE_ALONE)
    answers = {_definition(exercise.home) for exercise in exercises_of(lesson) if exercise.home}
    allowed = _allowed(lesson) - answers
    for module in {module for module, _ in answers}:
        path = folder / "ssdseg_ref" / _file(module)
        kept = {name for place, name in allowed if place == module}
        hidden = {name for place, name in answers if place == module}
        path.write_text(_without_answers(path.read_text(encoding="utf-8"), module, kept, hidden), encoding="utf-8")


def _for_mine(lesson: Lesson) -> dict[str, list[str]]:
    """Homes and arguments of other lessons' functions, by which `mine` finds them."""
    return {
        exercise.id: [exercise.home, *exercise.arguments]
        for exercise in EXERCISES.values()
        if isinstance(exercise.reference, AtHome) and exercise not in exercises_of(lesson)
    }


def _allowed(lesson: Lesson) -> set[tuple[str, str]]:
    """What learners of a lesson may use although its answers may stand in the same module: module and name of each."""
    earlier = {e.home for e in EXERCISES.values() if e.home and int(e.lesson) < lesson.number}
    return {_definition(home) for home in {*earlier, *allowed_in(lesson)}}


def _definition(home: str) -> tuple[str, str]:
    """The module of `ssdseg_ref` that defines something, whichever module it was imported from, and its name there."""
    module, _, name = home.rpartition(".")
    elsewhere = _imported_by(module).get(name)
    return _definition(elsewhere) if elsewhere else (module, name)


@cache
def _imported_by(module: str) -> dict[str, str]:
    """What a module of `ssdseg_ref` imports from others of its functions: by the name there, the home."""
    return {
        imported.asname or imported.name: f"{node.module.removeprefix('ssdseg_ref.')}.{imported.name}"
        for node in ast.parse((REFERENCE / _file(module)).read_text(encoding="utf-8")).body
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("ssdseg_ref.")
        for imported in node.names
    }


def _file(module: str) -> Path:
    path = Path(*module.split("."))
    return path / "__init__.py" if (REFERENCE / path).is_dir() else path.with_suffix(".py")


def _without_answers(source: str, module: str, kept: Set[str], answers: Set[str]) -> str:
    """A module with an error in the place of every function but those kept and what they need.

    Where nothing is kept, the module itself raises the error.
    """
    if not kept:
        return f"raise ImportError({f'ssdseg_ref.{module} {NOT_WHILE_GRADED}'!r})\n"
    tree = ast.parse(source)
    functions = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
    needed: set[str] = set()
    wanted = kept & functions.keys()
    while wanted:
        needed |= wanted
        used = {node.id for name in wanted for node in ast.walk(functions[name]) if isinstance(node, ast.Name)}
        wanted = (used & functions.keys()) - needed - answers
    for name, function in functions.items():
        if name not in needed:
            function.args = ANY_ARGUMENTS  # so that it says so however it is called
            function.body = ast.parse(f"raise ImportError({f'ssdseg_ref.{module}.{name} {NOT_WHILE_GRADED}'!r})").body
    return ast.unparse(tree)
