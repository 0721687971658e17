"""The bank of exercises, a module a lesson."""

from ssdseg_course.checking.exercise import Exercise
from ssdseg_course.exercises import (
    anchors,
    convolutions,
    deeplabv3plus,
    matching,
    mobilenetv2,
    shufflenetv2,
    ssdlite,
    tour,
    training,
)

EXERCISES: dict[str, Exercise] = {
    exercise.id: exercise
    for lesson in (tour, anchors, matching, convolutions, mobilenetv2, shufflenetv2, ssdlite, deeplabv3plus, training)
    for exercise in lesson.EXERCISES
}
"""All exercises by their id, in the order of the lessons."""
