"""The process that answers are forked from: it has imported what they need, and runs none of them itself.

`main` reads jobs from stdin and writes replies to stdout, as `read_frame` and `write_frame` do. For each job it forks a
warden, which leaves all namespaces and forks the process that runs the answer: the first one of namespaces of its own,
so that all that it starts ends with it. That one ends by writing a word, a line end and a content into a pipe:

    outcomes   what `probe` saw, as `wire` writes it
    missing    why there is no such function
    too long   json: where the answer was when it was stopped, as function, line number and line

A job is (pickled) a dict of the arguments of `run_answer`, and the seconds of work that it may take.
"""

import builtins
import contextlib
import gc
import json
import os
import pickle
import select
import signal
import struct
import sys
import time
from collections.abc import Callable
from enum import IntEnum
from types import ModuleType

from ssdseg_course.checking.probe import describe, probe
from ssdseg_course.checking.time_limit import TimeIsUp, time_limit
from ssdseg_course.sandboxed import isolation
from ssdseg_course.sandboxed.definitions import define, statements
from ssdseg_course.sandboxed.wire import write_report

OUTCOMES, MISSING, TOO_LONG = b"outcomes", b"missing", b"too long"
LARGEST_REPLY = 32 * isolation.MIB
WALL = 2  # seconds on the clock that an answer may take for each second of work: the machine is busy
SECONDS_TO_END = 3.0  # for an answer that does not let itself be interrupted
SECONDS_BETWEEN_LOOKS = 0.05
LONGEST_PAUSE = 0.1  # seconds between two looks of the warden
SHARE_OF_A_STATEMENT = 1 / 8  # of the time of an answer, for what stands beside the definitions in its cell
HEADER = struct.Struct("<BQ")


class State(IntEnum):
    """How the process that ran an answer ended."""

    ENDED = 0
    KILLED_ITSELF = 1
    TOO_LONG = 2
    TOO_MUCH_MEMORY = 3
    TOO_MUCH_OUTPUT = 4
    NO_SANDBOX = 5
    TOO_MANY_PROCESSES = 6


def read_frame(descriptor: int) -> tuple[int, bytes] | None:
    """A number and a content; None where the other side is gone."""
    header = _read_exactly(descriptor, HEADER.size)
    if header is None:
        return None
    number, length = HEADER.unpack(header)
    content = _read_exactly(descriptor, length)
    return None if content is None else (number, content)


def write_frame(descriptor: int, number: int, content: bytes) -> None:
    """The opposite of `read_frame`."""
    view = memoryview(HEADER.pack(number, len(content)) + content)
    while view:
        view = view[os.write(descriptor, view) :]


def _read_exactly(descriptor: int, length: int) -> bytes | None:
    parts = []
    while length:
        part = os.read(descriptor, min(length, isolation.MIB))
        if not part:
            return None
        parts.append(part)
        length -= len(part)
    return b"".join(parts)


def main(keras: bool, isolated: bool) -> None:
    """Serve until stdin ends.

    Args:
        keras: whether to have Keras and TensorFlow ready.
        isolated: whether each answer gets namespaces of its own.
    """
    # What libraries print must not get between the replies.
    replies = os.dup(1)
    os.dup2(2, 1)
    _warm_up(keras)
    write_frame(replies, 0, b"ready")
    while (frame := read_frame(0)) is not None:
        seconds, job = frame
        state, content = _have_run(job, seconds, isolated)
        write_frame(replies, state, content)


def _warm_up(keras: bool) -> None:
    """Import what answers need, and what takes long."""
    import IPython.core.inputtransformer2  # noqa: F401
    import numpy  # noqa: F401

    from ssdseg_course.checking import networks  # noqa: F401

    if keras:
        from ssdseg_course.quiet import import_keras

        import_keras()
    gc.collect()
    gc.freeze()  # or a collection in a child would copy every page of the parent's objects


def _have_run(job: bytes, seconds: int, isolated: bool) -> tuple[State, bytes]:
    """Have an answer run by processes of its own, and take what comes out of them."""
    outlet, inlet = os.pipe()
    warden = os.fork()
    if warden == 0:
        status = 1
        try:
            os.close(outlet)
            status = _watch_over(job, seconds, inlet, isolated)
        finally:
            os._exit(status)
    os.close(inlet)
    os.set_blocking(outlet, False)
    content, ended = bytearray(), None
    while True:
        ready, _, _ = select.select([outlet, 0], [], [], SECONDS_BETWEEN_LOOKS)
        if 0 in ready:  # nobody is there who could want the reply
            os.kill(warden, signal.SIGKILL)
            raise SystemExit(1)
        if outlet in ready:
            part = os.read(outlet, isolation.MIB)
            content += part
            if len(content) > LARGEST_REPLY:
                break
            if part:
                continue
        pid, status = os.waitpid(warden, 0 if outlet in ready else os.WNOHANG)
        if pid:
            ended = status
            break
    with contextlib.suppress(BlockingIOError):
        while len(content) <= LARGEST_REPLY and (part := os.read(outlet, isolation.MIB)):
            content += part
    os.close(outlet)  # who still writes is told that nobody reads
    if len(content) > LARGEST_REPLY:
        if ended is None:
            os.waitpid(warden, 0)
        return State.TOO_MUCH_OUTPUT, b""
    try:
        return State(os.waitstatus_to_exitcode(ended)), bytes(content)
    except ValueError:  # the warden itself was killed
        return State.KILLED_ITSELF, b""


def _watch_over(job: bytes, seconds: int, inlet: int, isolated: bool) -> State:
    """The warden: fork the process that runs the answer, and end it and all its offspring in time."""
    if isolated:
        try:
            isolation.leave_the_rest()
        except OSError as error:
            os.write(inlet, str(error).encode())
            return State.NO_SANDBOX
    runner = os.fork()
    if runner == 0:
        _run_in_here(job, seconds, inlet, isolated)
    os.close(inlet)
    deadline = time.monotonic() + WALL * seconds + SECONDS_TO_END
    others = _processes() if isolated else set()
    at_start = _resident(runner)
    state, pause = State.ENDED, _pauses(runner)
    while True:
        pid, status, usage = os.wait4(runner, os.WNOHANG)
        if pid:
            if state is not State.ENDED or not os.WIFSIGNALED(status):
                return state
            return State.TOO_LONG if usage.ru_utime + usage.ru_stime >= seconds else State.KILLED_ITSELF
        if state is State.ENDED and time.monotonic() > deadline:
            state = State.TOO_LONG
        elif state is State.ENDED and isolated:
            # The fork shares its pages with its parent, and so do all that it forks itself.
            family = _processes() - others | {runner}
            if len(family) > isolation.PROCESSES:
                state = State.TOO_MANY_PROCESSES
            if sum(max(0, _resident(one) - at_start) for one in family) > isolation.MEMORY_BYTES:
                state = State.TOO_MUCH_MEMORY
        if state is not State.ENDED:
            os.kill(runner, signal.SIGKILL)  # the first of its namespace: the kernel ends all others with it
            if not isolated:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(runner, signal.SIGKILL)
        pause()


def _pauses(process: int) -> Callable[[], None]:
    """Gives a function that waits for a process's end, but not for long."""
    if not hasattr(os, "pidfd_open"):
        return lambda: time.sleep(LONGEST_PAUSE / 10)
    ended = os.pidfd_open(process)
    return lambda: select.select([ended], [], [], LONGEST_PAUSE) and None


def _processes() -> set[int]:
    """All processes of this sandbox."""
    return {int(name) for name in os.listdir("/proc") if name.isdigit()}


def _resident(process: int) -> int:
    """Bytes of memory that a process has, 0 if it has ended."""
    try:
        with open(f"/proc/{process}/statm") as file:
            return int(file.read().split()[1]) * isolation.PAGE
    except (OSError, IndexError):
        return 0


def _run_in_here(job: bytes, seconds: int, inlet: int, isolated: bool) -> None:
    """The process that runs the answer: never returns."""
    status = 1
    try:
        os.setsid()  # or a signal to its process group would reach us, namespaces or not
        isolation.die_with_parent()
        isolation.keep_only(inlet)
        isolation.limit_yourself(seconds, int(seconds + SECONDS_TO_END), count_processes=isolated)
        if isolated:
            isolation.hide_and_forget()
        word, content = run_answer(seconds=seconds, **pickle.loads(job))
        view = memoryview(word + b"\n" + content)
        while view:
            view = view[os.write(inlet, view) :]
        status = 0
    except BaseException as error:  # whatever an answer has made of this process
        with contextlib.suppress(BaseException):
            os.write(inlet, MISSING + b"\n" + f"running it broke down with {type(error).__name__}"[:200].encode())
    finally:
        os._exit(status)


def run_answer(*, sources, notebook, whole, name, run, cases, seconds) -> tuple[bytes, bytes]:
    """Define a learner's function and probe it.

    Args:
        sources: the cells of code, above the exercise's check.
        notebook: the file's name, for tracebacks.
        whole: names of the cells that are answers.
        name: of the function.
        run: the exercise's way to run it.
        cases: the arguments.
        seconds: of work that all of this may take.

    Returns:
        a word and a content, as the module says.
    """
    function = None
    module = sys.modules["__main__"] = ModuleType("__main__")  # where pickle, for one, looks for a learner's classes
    builtins.display = lambda *_, **__: None  # as Jupyter has it
    signal.signal(signal.SIGXCPU, _time_is_up)
    try:
        with time_limit(WALL * seconds):
            found = statements(sources, notebook, whole)
            function, error = define(found, name, module, lambda: time_limit_inside(SHARE_OF_A_STATEMENT * seconds))
            if not callable(function):
                return MISSING, _why_missing(sources, name, function, error).encode()
            trouble = f"{type(error).__name__}: {error}" if error else ""
            return OUTCOMES, write_report(probe(function, cases, run), trouble)
    except KeyboardInterrupt as stop:
        place = describe(stop, function)
        return TOO_LONG, json.dumps([place.function, place.line_number, place.line]).encode()


def _time_is_up(*_) -> None:
    raise TimeIsUp


@contextlib.contextmanager
def time_limit_inside(seconds: float):
    """A shorter limit inside of `time_limit`, which goes on afterwards."""
    left, _ = signal.getitimer(signal.ITIMER_REAL)
    start = time.monotonic()
    signal.setitimer(signal.ITIMER_REAL, min(seconds, left), 1.0)
    try:
        yield
    except TimeIsUp:
        pass
    finally:
        signal.setitimer(signal.ITIMER_REAL, max(0.1, left - (time.monotonic() - start)), 1.0)


def _why_missing(sources, name: str, found, error: Exception | None) -> str:
    if found is not None:
        return f"`{name}` is no function, but of the type {type(found).__name__}"
    cell = next((source.text for source in sources if source.name == name), "")
    try:
        compile(cell, "<cell>", "exec")
    except (SyntaxError, ValueError, RecursionError, MemoryError) as trouble:
        return f"Python cannot read its cell: {type(trouble).__name__}: {getattr(trouble, 'msg', trouble)}" + (
            f" (line {trouble.lineno})" if getattr(trouble, "lineno", None) else ""
        )
    if error is not None:
        return f"defining `{name}` stopped with {type(error).__name__}: {error}"
    return f"there is no function `{name}` in the notebook"
