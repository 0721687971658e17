"""Grading, with nbgrader."""

from ssdseg_course.grading.nbgrader_course import GradingError, grade_in_temporary_course

__all__ = ["GradingError", "grade_in_temporary_course"]
