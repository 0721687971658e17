"""Runs an answer on many cases in one go: for its time to be taken from outside, with as little besides as can be."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from ssdseg_course.checking.exercise import Arguments, Function

LARGEST, SUMS = 10_000, 64  # a result of more numbers leaves the sandbox as so many sums


@dataclass(frozen=True)
class Rounds:
    """A way to run a function that has the cases with it: copying and comparing them would take time, too.

    Attributes:
        name: of the function.
        each: runs it on one case.
        cases: all of them.
    """

    name: str
    each: Callable[[Function, Arguments], Any]
    cases: Sequence[Arguments]

    def run(self, function: Function, _: Arguments) -> list[np.ndarray]:
        """What the function gives, case by case, shortened."""
        return [shortened(self.each(function, arguments)) for arguments in self.cases]


def shortened(result: Any) -> np.ndarray:
    """The result itself or, of many numbers, weighted sums: who has those has worked out every number."""
    numbers = np.asarray(result)
    if numbers.size <= LARGEST:
        return numbers
    products = numbers.reshape(-1) * _weights(numbers.size)
    sums: np.ndarray = np.add.reduceat(products, np.linspace(0, numbers.size, SUMS, endpoint=False).astype(int))
    return sums.astype(np.float64)


@lru_cache(maxsize=4)
def _weights(size: int) -> np.ndarray:
    return np.random.default_rng(size).uniform(-1, 1, size).astype(np.float32)
