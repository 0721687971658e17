"""How the course is taught: exercises and their checks, explorers, authoring, grading, the command line.

In a lesson: `check("01.grid_centers", grid_centers)` checks an answer, and `hint("01.grid_centers")` helps.
`mine("01.grid_centers")` takes that answer into another lesson. `challenge("01", my_anchors)` measures an answer to the
open challenge at its end.

Nothing is imported before one of these names is asked for: `ssdseg --help` needs none of them.
"""

import sys
from importlib import import_module
from types import ModuleType
from typing import Any

HOMES = {
    "EXERCISES": "ssdseg_course.exercises",
    "CheckFailed": "ssdseg_course.check",
    "Report": "ssdseg_course.checking.report",
    "challenge": "ssdseg_course.challenges.take_on",
    "check": "ssdseg_course.check",
    "hint": "ssdseg_course.check",
    "mine": "ssdseg_course.mine",
}
__all__ = ["EXERCISES", "CheckFailed", "Report", "challenge", "check", "hint", "mine"]


class _Course(ModuleType):
    """This package: its functions `check` and `mine` go by the names of the modules that hold them."""

    def __getattr__(self, name: str) -> Any:
        if name not in HOMES:
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        value = getattr(import_module(HOMES[name]), name)
        setattr(self, name, value)
        return value

    def __setattr__(self, name: str, value: object) -> None:
        # Python sets a package's attribute to a module that it has imported: the function must not be lost to that.
        if not (name in HOMES and isinstance(value, ModuleType)):
            super().__setattr__(name, value)

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *HOMES})


sys.modules[__name__].__class__ = _Course

if sys.platform == "emscripten":  # a lesson in the browser
    import_module("ssdseg_course.browser_python").prepare()
