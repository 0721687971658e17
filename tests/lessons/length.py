"""Which lessons `make test` runs: those that take a quarter of a minute or more are for `make test-all`."""

import pytest

from ssdseg_course.manifest import Lesson

LONG = range(3, 11)  # numbers of lessons


def of_length(lesson: Lesson) -> tuple[pytest.MarkDecorator, ...]:
    """The marks of a test that runs that lesson."""
    return (pytest.mark.full,) if lesson.number in LONG else ()
