"""Stops an answer that does not come to its end, as an endless loop does not.

What counts is work, the processor's time of the whole process, and not the clock: on a busy machine a right answer may
wait for long. The clock only ends what does not work at all, such as an answer that waits for somebody to type.
A notebook's check, `ssdseg check` and grading all have the same limit.
"""

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

SECONDS = 40.0  # of work, for all cases; the longest right answer, a whole network, takes 6 to 8, loops perhaps five
WAITING = 3  # seconds on the clock for each second of work, after which one that hardly works is ended: it waits
LEAST_WORK = 0.02  # of the time on the clock, by which an answer on a busy machine is told from one that waits
LONGEST = 25  # seconds on the clock for each second of work, however busy the machine is
SECONDS_BETWEEN_CALLS = 1.0  # for an answer that takes a KeyboardInterrupt for an error of its own, and goes on


class TimeIsUp(KeyboardInterrupt):
    """Raised inside an answer that takes too long; no `except Exception` of the learner's swallows it.

    Attributes:
        worked: seconds of work that it had done.
        waited: seconds that had passed on the clock.
        by_clock: whether it was the clock that ended it.
    """

    def __init__(self, worked: float = 0.0, waited: float = 0.0, by_clock: bool = False):
        super().__init__()
        self.worked = worked
        self.waited = waited
        self.by_clock = by_clock

    @property
    def waits(self) -> bool:
        """Whether it hardly worked at all."""
        return self.worked < LEAST_WORK * self.waited

    def __str__(self) -> str:
        if not self.by_clock:
            return f"it took too long: it was stopped after {self.worked:.3g} seconds of work"
        why = "what does it wait for?" if self.waits else "the machine is too busy, try again later"
        return (
            f"it took too long: it was stopped after {self.waited:.3g} seconds on the clock, in which it worked for "
            f"{self.worked:.2g}: {why}"
        )


@contextmanager
def time_limit(seconds: float = SECONDS) -> Iterator[None]:
    """Raise `TimeIsUp` in what stands under it once it has worked for that long. Limits may stand in each other.

    Where there is no such alarm, on Windows or outside the main thread, nothing happens, and the learner interrupts.

    Args:
        seconds: of work, by all threads of this process.
    """
    if not hasattr(signal, "setitimer") or threading.current_thread() is not threading.main_thread():
        yield
        return
    start = time.process_time(), time.monotonic()

    def ring(number: Any, _: Any) -> None:
        by_clock = number == signal.SIGALRM
        stop = TimeIsUp(time.process_time() - start[0], time.monotonic() - start[1], by_clock)
        if not by_clock or stop.waits or stop.waited > LONGEST * seconds:
            raise stop

    timers = (
        (signal.SIGPROF, signal.ITIMER_PROF, seconds, time.process_time),
        (signal.SIGALRM, signal.ITIMER_REAL, WAITING * seconds, time.monotonic),
    )
    before = []
    try:
        for number, timer, limit, clock in timers:
            outer, left = signal.signal(number, ring), signal.getitimer(timer)[0]
            before.append((number, timer, outer, clock() + left if left else None, clock))
            signal.setitimer(timer, min(limit, left) if left else limit, SECONDS_BETWEEN_CALLS)
        yield
    finally:
        for number, timer, outer, end, clock in before:
            signal.setitimer(timer, 0)
            signal.signal(number, outer)
            if end is not None:
                signal.setitimer(timer, max(end - clock(), 0.001), SECONDS_BETWEEN_CALLS)
