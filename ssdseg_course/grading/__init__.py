"""Grading, with nbgrader, which is imported when it is asked for: `check` and `doctor` try answers without it."""

from importlib import import_module

__all__ = ["GradingError", "grade_in_temporary_course"]


def __getattr__(name: str):
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module("ssdseg_course.grading.nbgrader_course"), name)
