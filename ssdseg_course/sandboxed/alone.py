"""Calls a function without the libraries that could do its work: they cannot be imported meanwhile."""

import sys
from typing import Any

from ssdseg_course.checking.exercise import Arguments, Function

LIBRARIES = ("cv2", "jax", "keras", "numba", "scipy", "skimage", "tensorflow", "torch")
MISSING = object()


def call_alone(function: Function, arguments: Arguments) -> Any:
    """What the function gives; where it imports one of the libraries, Python says that there is none."""
    before = {name: sys.modules.get(name, MISSING) for name in LIBRARIES}
    sys.modules.update(dict.fromkeys(LIBRARIES))  # type: ignore[arg-type]  # None is Python's own sign for "no such"
    try:
        return function(*arguments)
    finally:
        for name, module in before.items():
            if module is MISSING:
                sys.modules.pop(name, None)
            else:
                sys.modules[name] = module  # type: ignore[assignment]
