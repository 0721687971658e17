"""The bank of exercises, a module a lesson."""

from ssdseg_course.checking.exercise import Exercise
from ssdseg_course.exercises import anchors

EXERCISES: dict[str, Exercise] = {exercise.id: exercise for exercise in anchors.EXERCISES}
"""All exercises by their id, in the order of the lessons."""
