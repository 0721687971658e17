"""How long functions take, side by side: in turn, over several rounds, with the spread."""

import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

SECONDS_A_ROUND = 0.005  # a shorter one would measure the clock
SECONDS_IN_ALL = 1.0
LONGEST_WAIT = 1.0  # seconds on the clock, for a function that sleeps
FEWEST_ROUNDS, MOST_ROUNDS = 3, 21
HAS_PROCESSOR_TIME = sys.platform != "emscripten"  # in the browser's Python that clock stands still
NOISE = 1.2  # a ratio of times below this tells nothing


@dataclass(frozen=True)
class Timing:
    """Processor time of one call, in seconds; in the browser's Python, time on the clock.

    Attributes:
        median: of all rounds.
        low, high: between which the middle half of the rounds lies.
    """

    median: float
    low: float
    high: float

    def is_like(self, other: "Timing") -> bool:
        """Whether the two cannot be told apart: the middle halves overlap, or the medians are near."""
        return (
            (self.low <= other.high and other.low <= self.high)
            or max(self.median, other.median) < NOISE * min(self.median, other.median)
        )  # fmt: skip

    def __str__(self) -> str:
        return f"{duration(self.median)} ({duration(self.low)} to {duration(self.high)})"


def in_turn(
    functions: Sequence[Callable[[], object]], seconds: float = SECONDS_IN_ALL, a_round: float = SECONDS_A_ROUND
) -> list[Timing]:
    """The time of each function; a round of one, then of the next, so that whatever else the machine does affects all.

    Args:
        functions: of no arguments; each is called at least four times.
        seconds: of work in all, roughly.
        a_round: seconds of work of each, at least.
    """
    calls, spent = zip(*(_enough(function, a_round) for function in functions), strict=True)
    rounds = int(np.clip(seconds / max(sum(spent), a_round), FEWEST_ROUNDS, MOST_ROUNDS))
    times = [
        [_seconds(function, number) for function, number in zip(functions, calls, strict=True)] for _ in range(rounds)
    ]
    return [Timing(*map(float, np.quantile(column, (0.5, 0.25, 0.75)))) for column in zip(*times, strict=True)]


def _enough(function: Callable[[], object], a_round: float) -> tuple[int, float]:
    """How many calls make a round that a clock can measure, and the seconds that those took.

    The clock may stand still for some milliseconds where a process has other threads: one call can seem to take none.
    """
    calls, began = 1, time.monotonic()
    while (spent := calls * _seconds(function, calls)) < a_round and time.monotonic() - began < LONGEST_WAIT:
        calls *= 2
    return calls, spent


def _seconds(function: Callable[[], object], calls: int) -> float:
    """Processor time of one call, the mean of several."""
    clock = time.process_time if HAS_PROCESSOR_TIME else time.perf_counter
    start = clock()
    for _ in range(calls):
        function()
    return (clock() - start) / calls


def duration(seconds: float) -> str:
    """A time with two digits, since more would be noise: 0.45 ms."""
    for unit, factor in (("s", 1), ("ms", 1e3), ("µs", 1e6)):
        if seconds * factor >= 1 or unit == "µs":
            digits = float(f"{seconds * factor:.2g}")
            return f"{digits:g} {unit}" if digits < 10 and digits % 1 else f"{digits:.0f} {unit}"
    raise AssertionError
