"""What an exercise is: one object that holds all a check, a hint or a grade needs to know about it."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ssdseg_course.checking.compare import Complaint, compare_arrays
from ssdseg_course.checking.values import Plain

Arguments = tuple

RANDOM_CASES = 6


def call(function: Callable, arguments: Arguments):
    """What comes back is what is judged: how most exercises are run."""
    return function(*arguments)


@dataclass(frozen=True)
class Mutant:
    """A typical wrong answer, and the sentence that helps whoever gave it."""

    function: Callable
    sentence: str


@dataclass(frozen=True)
class Exercise:
    """One exercise.

    Attributes:
        id: lesson and function, "01.grid_centers".
        title: what the learner reads.
        points: what it earns; those of a lesson make 100.
        difficulty: "easy", "medium" or "hard".
        minutes: how long it takes.
        reference: the right answer, with the names of the arguments that the learner's function has.
        fixed_cases: arguments that are always tried, the simplest first.
        draw: draws further arguments; None for a function without any.
        hints: three, each telling more than the one before.
        mutants: typical wrong answers.
        compare: says what is wrong with a value, given what the reference gives. Its attribute `same`, if it has one,
            says whether two values are the same answer.
        run: gives what is judged, from a function and arguments; of a network, for instance, what it computes. Its
            attribute `show`, if it has one, gives that as a learner looks at it; `rules_out` says at once, without a
            run, that a function does not give a value.
        random_cases: how many are drawn.
        returns: names of the things that are returned together, ("boxes", "indices"); () for a single one. With the
            default `compare`, each is compared by itself.
        errors: words of an error ("IndexError", or a part of NumPy's message) or of a wrong type ("array of bool"),
            each with the sentence that helps whoever meets it; the first whose words are there counts.
    """

    id: str
    title: str
    points: int
    difficulty: str
    minutes: int
    reference: Callable
    fixed_cases: tuple[Arguments, ...]
    draw: Callable[[np.random.Generator], Arguments] | None
    hints: tuple[str, str, str]
    mutants: tuple[Mutant, ...]
    compare: Callable[[Plain, Plain], Complaint | None] = compare_arrays
    run: Callable[[Callable, Arguments], object] = call
    random_cases: int = RANDOM_CASES
    returns: tuple[str, ...] = ()
    errors: tuple[tuple[str, str], ...] = ()

    @property
    def name(self) -> str:
        """The function's name."""
        return self.id.split(".")[1]

    @property
    def lesson(self) -> str:
        """The lesson's number, "01"."""
        return self.id.split(".")[0]

    @property
    def argument_names(self) -> tuple[str, ...]:
        """Names of the function's arguments, in order."""
        return tuple(inspect.signature(self.reference).parameters)

    def cases(self, seed: int) -> list[Arguments]:
        """The arguments of one check: the fixed ones, then random ones; the same for the same seed."""
        if self.draw is None:
            return list(self.fixed_cases)
        rng = np.random.default_rng(seed)
        return [*self.fixed_cases, *(self.draw(rng) for _ in range(self.random_cases))]
