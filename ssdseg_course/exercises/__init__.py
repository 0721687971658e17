"""The bank of exercises, one module per lesson or several; each is imported when one of its exercises is asked for."""

from collections.abc import Iterator, Mapping
from importlib import import_module
from types import ModuleType

from ssdseg_course.checking.exercise import Exercise
from ssdseg_course.manifest import Lesson

MODULES = (
    ("tour",),
    ("anchors", "anchor_choice"),
    ("boxes", "matching", "coding"),
    ("convolutions",),
    ("mobilenetv2",),
    ("shufflenetv2",),
    ("ssdlite",),
    ("deeplabv3plus",),
    ("training",),
    ("on_device",),
    ("photographs",),
)
"""Of each lesson, by its number; each has its `EXERCISES`, and perhaps what else is `ALLOWED` in the lesson."""


def modules_of(number: int) -> list[ModuleType]:
    """The modules with the exercises of a lesson."""
    return [import_module(f"{__name__}.{name}") for name in MODULES[number]]


class Bank(Mapping[str, Exercise]):
    """All exercises by their id, in the order of the lessons."""

    def of_lesson(self, number: int) -> tuple[Exercise, ...]:
        """The exercises of a lesson, in their order."""
        return tuple(exercise for module in modules_of(number) for exercise in module.EXERCISES)

    def __getitem__(self, exercise_id: str) -> Exercise:
        numbers = {f"{number:02d}": number for number in range(len(MODULES))}
        number = numbers.get(exercise_id[:2]) if isinstance(exercise_id, str) else None
        for exercise in () if number is None else self.of_lesson(number):
            if exercise.id == exercise_id:
                return exercise
        raise KeyError(exercise_id)

    def __iter__(self) -> Iterator[str]:
        return (exercise.id for number in range(len(MODULES)) for exercise in self.of_lesson(number))

    def __len__(self) -> int:
        return sum(1 for _ in self)


EXERCISES = Bank()


def allowed_in(lesson: Lesson) -> tuple[str, ...]:
    """What a lesson's learners may use of the modules that hold its answers, besides the answers to earlier lessons."""
    return tuple(name for module in modules_of(lesson.number) for name in getattr(module, "ALLOWED", ()))


def exercises_of(lesson: Lesson) -> tuple[Exercise, ...]:
    """The exercises of a lesson, in their order."""
    return EXERCISES.of_lesson(lesson.number)
