"""Stops an answer that does not come to its end, as an endless loop does not."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

SECONDS_BETWEEN_CALLS = 1.0  # for an answer that takes a KeyboardInterrupt for an error of its own, and goes on


class TimeIsUp(KeyboardInterrupt):
    """Raised inside an answer that takes too long; no `except Exception` of the learner's swallows it."""


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Raise `TimeIsUp` in what stands under it once the time is up.

    Where there is no such alarm, on Windows or outside the main thread, nothing happens, and the learner interrupts.
    """
    if not hasattr(signal, "setitimer") or threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGALRM, _ring)
    signal.setitimer(signal.ITIMER_REAL, seconds, SECONDS_BETWEEN_CALLS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _ring(*_) -> None:
    raise TimeIsUp
