"""How the course is taught: exercises and their checks, explorers, authoring, grading, the command line.

In a lesson: `check("01.grid_centers", grid_centers)` checks an answer, and `hint("01.grid_centers")` helps.
`mine("01.grid_centers")` takes that answer into another lesson.
"""

from ssdseg_course.check import CheckFailed, check, hint
from ssdseg_course.checking.report import Report
from ssdseg_course.exercises import EXERCISES
from ssdseg_course.mine import mine

__all__ = ["EXERCISES", "CheckFailed", "Report", "check", "hint", "mine"]
