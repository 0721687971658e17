"""What an exercise is: one object that holds all a check, a hint or a grade needs to know about it."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ssdseg_course.checking.compare import Complaint, compare_arrays
from ssdseg_course.checking.home import AtHome, function_at

Arguments = tuple[Any, ...]
Function = Callable[..., Any]  # a learner's, or one that does the same

RANDOM_CASES = 6


def call(function: Function, arguments: Arguments) -> Any:
    """What comes back is what is judged: how most exercises are run."""
    return function(*arguments)


@dataclass(frozen=True)
class Mutant:
    """A typical wrong answer, and the sentence that helps those who gave it."""

    function: Function
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
        fixed_cases: arguments that are always tried, the simplest first.
        draw: draws further arguments; None for a function without any.
        hints: three, each telling more than the one before.
        mutants: typical wrong answers.
        home: where `ssdseg_ref` has the right answer, "mobilenetv2.bottleneck"; "" where it has none. That function is
            shown beside the learner's, and hidden from answers that are graded.
        arguments: names of the arguments of the learner's function, where they are not all of those at home.
        reference: the right answer, with the arguments that the learner's function has; by default the one at home,
            and needed where there is none or where it takes something else.
        piece: whether the function stands in the joint network, or in its training, predicting and scoring. Where the
            one at home takes something else, a function that plays its part: from the learner's function and the
            arguments that the one at home gets.
        compare: says what is wrong with a plain value, given what the reference gives. Its attribute `same`, if it has
            one, says whether two values are the same answer.
        run: gives what is judged, from a function and arguments; of a network, for instance, what it computes. Its
            attribute `show`, if it has one, gives that as a learner looks at it; `rules_out` says at once, without a
            run, that a function does not give a value.
        random_cases: how many are drawn.
        returns: names of the things that are returned together, ("boxes", "indices"); () for a single one. With the
            default `compare`, each is compared by itself.
        errors: words of an error ("IndexError", or a part of NumPy's message) or of a wrong type ("array of bool"), or
            several, each with the sentence that helps those who meet one; the first whose words are there counts.
    """

    id: str
    title: str
    points: int
    difficulty: str
    minutes: int
    fixed_cases: tuple[Arguments, ...]
    draw: Callable[[np.random.Generator], Arguments] | None
    hints: tuple[str, str, str]
    mutants: tuple[Mutant, ...]
    home: str = ""
    arguments: tuple[str, ...] = ()
    reference: Function = None  # type: ignore[assignment]  # never None behind `__post_init__`
    piece: bool | Function = False
    compare: Callable[[Any, Any], Complaint | None] = compare_arrays
    run: Callable[[Function, Arguments], Any] = call
    random_cases: int = RANDOM_CASES
    returns: tuple[str, ...] = ()
    errors: tuple[tuple[str | tuple[str, ...], str], ...] = ()

    def __post_init__(self) -> None:
        """Take the reference from home where none is given."""
        if self.reference is None:
            object.__setattr__(self, "reference", AtHome(self.home, self.arguments))

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

    @property
    def model_answer(self) -> Function:
        """The right answer as it is written: the function at home or, where there is none, the reference."""
        model: Function = inspect.unwrap(function_at(self.home) if self.home else self.reference)
        return model

    def cases(self, seed: int) -> list[Arguments]:
        """The arguments of one check: the fixed ones, then random ones; the same for the same seed."""
        if self.draw is None:
            return list(self.fixed_cases)
        rng = np.random.default_rng(seed)
        return [*self.fixed_cases, *(self.draw(rng) for _ in range(self.random_cases))]
