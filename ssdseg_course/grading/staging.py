"""What of the course a sandbox gets to see: how answers are probed, and the reference without this lesson's answers."""

import ast
import json
import shutil
from pathlib import Path

import numpy as np

import ssdseg_course
import ssdseg_ref
from ssdseg_course.assemble import SPECIAL, homes
from ssdseg_course.exercises.anchor_choice import warehouse_boxes
from ssdseg_course.manifest import Lesson

# Of the reference, what holds a lesson's answers: by module, the functions that its learners may use all the same, or
# NOTHING where the module itself is not to be had. What a kept function needs in its module is kept as well.
NOTHING = None
HIDDEN: dict[int, dict[str, tuple[str, ...] | None]] = {
    0: {"boxes": ("centers_to_corners", "corners_to_centers", "areas", "pairwise_iou")},
    1: {"anchors": NOTHING},
    2: {"boxes": ("centers_to_corners", "to_pixels"), "matching": NOTHING, "coding": NOTHING},
    3: {"convolution": NOTHING},
    4: {"blocks": NOTHING, "mobilenetv2": NOTHING},
    5: {"shufflenetv2": ()},  # its tables are given: WIDTHS, REPEATS
    6: {"ssdlite": NOTHING, "losses": NOTHING, "nms": NOTHING},
    7: {
        "deeplabv3plus": NOTHING,
        "losses": ("class_cross_entropy",),
        "metrics": NOTHING,
        "convolution": (
            "same_padding",
            "conv2d",
            "depthwise_conv2d",
            "pointwise_conv2d",
            "separable_conv2d",
            "conv_cost",
        ),
    },
    8: {
        "network": NOTHING,
        "prediction": NOTHING,
        "data.augment": NOTHING,
        "data.statistics": NOTHING,
        "metrics": ("match_detections", "confusion_matrix", "class_ious", "mean_iou"),
    },
}
CONFESSION = "holds the reference's answers to this lesson, which are not there when it is graded"
COURSE_PARTS = ("checking", "sandboxed", "lazy.py", "quiet.py")
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
    (course / "homes.json").write_text(json.dumps(_homes_to_be_had(lesson)))
    shutil.copytree(Path(ssdseg_ref.__file__).parent, folder / "ssdseg_ref", ignore=CODE_ALONE)
    for module, kept in HIDDEN[lesson.number].items():
        path = folder / "ssdseg_ref" / Path(*module.split(".")).with_suffix(".py")
        name = f"ssdseg_ref.{module}"
        if kept is NOTHING:
            path.write_text(f"raise ImportError({f'{name} {CONFESSION}'!r})\n")
        else:
            path.write_text(_without_answers(path.read_text(encoding="utf-8"), name, kept), encoding="utf-8")


def _homes_to_be_had(lesson: Lesson) -> dict[str, str]:
    """Where `mine` finds the functions of other lessons."""
    own = f"{lesson.number:02d}."
    return {name: home for name, home in homes().items() if name not in SPECIAL and not name.startswith(own)}


def _without_answers(source: str, name: str, kept: tuple[str, ...]) -> str:
    """A module with an error in the place of every function but those kept and what they need."""
    tree = ast.parse(source)
    functions = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
    needed, wanted = set(), set(kept)
    while wanted:
        needed |= wanted
        used = {node.id for it in wanted for node in ast.walk(functions[it]) if isinstance(node, ast.Name)}
        wanted = (used & functions.keys()) - needed
    for function in functions.values():
        if function.name not in needed:
            function.body = ast.parse(f"raise ImportError({f'{name}.{function.name} {CONFESSION}'!r})").body
    return ast.unparse(tree)
