"""The process that answers are forked from: it has imported what they need, and runs none of them itself.

`main` waits for jobs on stdin. For each it forks a warden, which reads the job, leaves all namespaces, forks the
process that runs the answer, takes what comes out of that one, and writes the reply to stdout. So the process that all
others are forked from has never held a job or a reply, and nothing of one learner's lies in the memory of the next. The
process that runs the answer is the first one of namespaces of its own, so that all that it starts ends with it. It ends
by writing a word, a line end and a content into a pipe:

    outcomes   what `probe` saw, as `wire` writes it
    missing    why there is no such function
    too long   json: where the answer was when it was stopped, as function, line number and line
    the same   this way to find the function comes to the same as the one that was tried before

A job is (pickled) a dict of the arguments of `run_answer` and, as "most", the bytes that may come out of it; with it go
the seconds of work that it may take. Jobs come from the process that grades, and are trusted.
"""

import builtins
import contextlib
import gc
import json
import os
import pickle
import select
import shutil
import signal
import struct
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from enum import IntEnum
from pathlib import PurePosixPath
from types import ModuleType, SimpleNamespace
from typing import Any

from ssdseg_course.checking.exercise import Arguments
from ssdseg_course.checking.probe import describe, probe
from ssdseg_course.checking.time_limit import WAITING, TimeIsUp, time_limit
from ssdseg_course.sandboxed import isolation
from ssdseg_course.sandboxed.definitions import Source, Statement, adds_nothing, define, needed_for, statements
from ssdseg_course.sandboxed.wire import write_report

OUTCOMES, MISSING, TOO_LONG, THE_SAME = b"outcomes", b"missing", b"too long", b"the same"
SECONDS_TO_END = 3.0  # for an answer that cannot be interrupted
LONGEST_PAUSE = 0.1  # seconds between two looks of the warden
SHARE_OF_A_STATEMENT = 1 / 8  # of the time of an answer, for what stands beside the definitions in its cell
SHARE_OF_ALL_STATEMENTS = 1 / 2
CORES = 2  # that there seem to be: a pool with a process for each must stay small
SHORTEST = 0.1  # seconds for a statement where no time is left
NO_MORE = 3  # the exit status of a warden that has found no job
HEADER = struct.Struct("<IQ")  # a number, of seconds or of an ending, and the length of the content


class Way(IntEnum):
    """How a function is found in a notebook, each way wider than the one before."""

    DEFINITIONS = 0  # what it uses, of the cells above its check
    ABOVE = 1  # besides, all cells of the learner's own that stand above its check
    ALL = 2  # all cells of the learner's own


class Ending(IntEnum):
    """How the process that ran an answer ended."""

    NORMAL = 0
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


def main(keras: bool, isolated: bool, under_tmp: Sequence[str] = ()) -> None:
    """Serve until stdin ends.

    Args:
        keras: whether to have Keras and TensorFlow ready.
        isolated: whether each answer gets namespaces of its own.
        under_tmp: what below /tmp belongs to Python and its libraries.
    """
    # What libraries print must not get between the replies.
    replies = os.dup(1)
    os.dup2(2, 1)
    _warm_up(keras)
    write_frame(replies, 0, b"ready")
    status = 0
    while status == 0:
        select.select([0], [], [])
        warden = os.fork()
        if warden == 0:
            status = 1
            try:
                status = _serve(replies, under_tmp, isolated)
            finally:
                os._exit(status)
        status = os.waitstatus_to_exitcode(os.waitpid(warden, 0)[1])
        if status < 0:  # killed: without namespaces an answer can do that
            write_frame(replies, Ending.KILLED_ITSELF, b"")
            status = 0
    raise SystemExit(0 if status == NO_MORE else 1)


def _warm_up(keras: bool) -> None:
    """Import what answers need, and what takes long."""
    import IPython.core.inputtransformer2  # noqa: F401
    import numpy  # noqa: F401

    from ssdseg_course.checking import networks  # noqa: F401

    if keras:
        from ssdseg_course.quiet import import_keras

        import_keras()
    vars(os).update(cpu_count=lambda: CORES, process_cpu_count=lambda: CORES)  # the second one is Python 3.13's
    vars(os).update(sched_getaffinity=lambda _=0: set(range(CORES)))
    gc.collect()
    gc.freeze()  # or a collection in a child would copy every page of the parent's objects


def _serve(replies: int, under_tmp: Sequence[str], isolated: bool) -> int:
    """The warden: take a job, have it done, and give the reply; its exit status."""
    frame = read_frame(0)
    if frame is None:
        return NO_MORE
    seconds, content = frame
    job = pickle.loads(content)
    most = job.pop("most")
    if isolated:
        try:
            isolation.unshare_all_but_files()
        except OSError as error:
            write_frame(replies, Ending.NO_SANDBOX, str(error).encode())
            return 0
    scratch = "/tmp" if isolated else tempfile.mkdtemp(prefix="ssdseg-answer-")
    outlet, inlet = os.pipe()
    try:
        runner = os.fork()
        if runner == 0:
            os.close(outlet)
            _run_in_here(job, seconds, inlet, scratch, under_tmp, isolated)
        os.close(inlet)
        ending, content = _watch_over(runner, outlet, seconds, most, isolated)
    finally:
        if not isolated:
            shutil.rmtree(scratch, ignore_errors=True)
    write_frame(replies, ending, content)
    return 0


def _watch_over(runner: int, outlet: int, seconds: int, most: int, isolated: bool) -> tuple[Ending, bytes]:
    """Take what comes out of the process that runs the answer, and end it and all its offspring in time."""
    start, most_slept = time.monotonic(), WAITING * seconds + SECONDS_TO_END
    others = _processes() - {runner} if isolated else set()
    at_start = _resident(runner)
    os.set_blocking(outlet, False)
    content, ending = bytearray(), Ending.NORMAL
    signs = [0, outlet, *([os.pidfd_open(runner)] if hasattr(os, "pidfd_open") else [])]
    while True:
        pid, status, usage = os.wait4(runner, os.WNOHANG)
        if not _take(outlet, content, most) and outlet in signs:
            signs.remove(outlet)
        if len(content) > most and ending is Ending.NORMAL:
            ending = Ending.TOO_MUCH_OUTPUT
        if pid:
            break
        if ending is Ending.NORMAL and time.monotonic() - start > most_slept + _busy_seconds(runner):
            ending = Ending.TOO_LONG
        elif ending is Ending.NORMAL and isolated:
            # The fork shares its pages with its parent, and so do all that it forks itself.
            family = _processes() - others | {runner}
            if len(family) - 1 > isolation.PROCESSES:
                ending = Ending.TOO_MANY_PROCESSES
            if sum(max(0, _resident(one) - at_start) for one in family) > isolation.MEMORY_BYTES:
                ending = Ending.TOO_MUCH_MEMORY
        if ending is not Ending.NORMAL:
            _end(runner, isolated)
        ready, _, _ = select.select(signs, [], [], LONGEST_PAUSE)
        if 0 in ready:  # nobody is there who could want the reply
            _end(runner, isolated)
            os._exit(1)
    if not isolated:
        _end(runner, isolated)
    if ending is Ending.NORMAL and os.WIFSIGNALED(status):
        ending = Ending.TOO_LONG if usage.ru_utime + usage.ru_stime >= seconds else Ending.KILLED_ITSELF
    return ending, bytes(content) if ending is Ending.NORMAL else b""


def _take(outlet: int, content: bytearray, most: int) -> bool:
    """Add what there is to be read; whether there may come more."""
    try:
        while len(content) <= most:
            part = os.read(outlet, isolation.MIB)
            if not part:
                return False
            content += part
    except BlockingIOError:
        return True
    return False


def _end(runner: int, isolated: bool) -> None:
    """Kill the process that runs the answer: the first of its namespace, so that the kernel ends all others with it."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(runner, signal.SIGKILL)
    if not isolated:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(runner, signal.SIGKILL)


def _processes() -> set[int]:
    """All processes of this sandbox."""
    return {int(name) for name in os.listdir("/proc") if name.isdigit()}


def _busy_seconds(process: int) -> float:
    """Seconds that the first thread of a process has worked, or waited for a core because others had them all."""
    try:
        with open(f"/proc/{process}/schedstat") as file:
            return sum(map(int, file.read().split()[:2])) / 1e9
    except (OSError, ValueError):
        return 0.0


def _resident(process: int) -> int:
    """Bytes of memory that a process has, 0 if it has ended."""
    try:
        with open(f"/proc/{process}/statm") as file:
            return int(file.read().split()[1]) * isolation.PAGE
    except (OSError, IndexError):
        return 0


def _run_in_here(
    job: dict[str, Any], seconds: int, inlet: int, scratch: str, under_tmp: Sequence[str], isolated: bool
) -> None:
    """The process that runs the answer: never returns."""
    status = 1
    try:
        os.setsid()  # or a signal to its process group would reach us, namespaces or not
        isolation.die_with_parent()
        isolation.keep_only(inlet)
        isolation.limit_yourself(seconds + 1, int(seconds + SECONDS_TO_END), count_processes=isolated)
        if isolated:
            isolation.hide_system_and_drop_rights(under_tmp)
        os.chdir(scratch)
        word, content = run_answer(seconds=seconds, **job)
        view = memoryview(word + b"\n" + content)
        while view:
            view = view[os.write(inlet, view) :]
        status = 0
    except BaseException as error:  # whatever an answer has made of this process
        with contextlib.suppress(BaseException):
            os.write(inlet, MISSING + b"\n" + f"running it broke down with {type(error).__name__}"[:200].encode())
    finally:
        os._exit(status)


def run_answer(
    *,
    sources: Sequence[Source],
    check: int,
    notebook: str,
    whole: frozenset[str],
    name: str,
    run: Callable[[Callable[..., Any], Arguments], object],
    cases: Sequence[Arguments],
    seconds: int,
    way: Way = Way.DEFINITIONS,
    substitutes: Iterable[tuple[str, Sequence[Source]]] = (),
    beside: Iterable[tuple[str, bytes]] = (),
) -> tuple[bytes, bytes]:
    """Define a learner's function and probe it.

    Args:
        sources: the notebook's cells of code.
        check: place of the cell that checks the exercise.
        notebook: the file's name, for tracebacks.
        whole: names of the cells that are answers.
        name: of the function.
        run: the exercise's way to run it.
        cases: the arguments.
        seconds: of work that all of this may take.
        way: how to find the function.
        substitutes: names of earlier functions that are the course's own, each with the cells that define it.
        beside: paths of the files that stand beside the notebook, and their content.

    Returns:
        a word and a content, as the module says.
    """
    function: Any = None  # whatever the name stands for
    module = sys.modules["__main__"] = ModuleType("__main__")  # where pickle, for one, looks for a learner's classes
    jupyters = SimpleNamespace(run_line_magic=_run_magic, run_cell_magic=_run_magic)
    vars(builtins).update(display=lambda *_, **__: None, get_ipython=lambda: jupyters)  # as Jupyter has them
    signal.signal(signal.SIGXCPU, _time_is_up)
    try:
        with time_limit(seconds):
            _write_files(beside)
            sys.path.insert(0, os.getcwd())
            found = statements(sources, notebook, whole)
            above = [statement for statement in found if statement.place < check]
            few = needed_for(above, name)
            tried = {
                Way.DEFINITIONS: few,
                Way.ABOVE: needed_for(above, name, True),
                Way.ALL: needed_for(found, name, True),
            }
            if way is not Way.DEFINITIONS and adds_nothing(tried[way], tried[Way(way - 1)], name):
                return THE_SAME, b""
            fixed: dict[str, object] = {}
            for other, cells in substitutes:
                solution = define(needed_for(statements(cells, ""), other), other, ModuleType(other))
                if callable(solution.function):
                    fixed[other] = solution.function
            limit = _Limits(seconds, {id(statement) for statement in few if statement.is_definition})
            function, error = define(tried[way], name, module, limit, fixed, check)
            if not callable(function):
                return MISSING, _why_missing(sources, name, function, error).encode(errors="replace")
            trouble = f"{type(error).__name__}: {error}" if error else ""
            return OUTCOMES, write_report(probe(function, cases, run), trouble)
    except KeyboardInterrupt as stop:
        place = describe(stop, function)
        return TOO_LONG, json.dumps([place.function, place.line_number, place.line]).encode()


class _Limits:
    """Time for statements: as much as there is for definitions that are needed, and a share of it for all others."""

    def __init__(self, seconds: float, free: set[int]):
        self._each = SHARE_OF_A_STATEMENT * seconds
        self._left = SHARE_OF_ALL_STATEMENTS * seconds
        self._free = free

    @contextlib.contextmanager
    def __call__(self, statement: Statement) -> Iterator[None]:
        if id(statement) in self._free:
            yield
            return
        start = time.process_time(), time.monotonic()
        with contextlib.suppress(TimeIsUp), time_limit(max(SHORTEST, min(self._each, self._left))):
            yield
        worked, waited = time.process_time() - start[0], time.monotonic() - start[1]
        self._left -= max(worked, waited / WAITING)


def _write_files(beside: Iterable[tuple[str, bytes]]) -> None:
    """Write the files that stand beside the notebook where it would find them."""
    for name, content in beside:
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts:
            continue
        with contextlib.suppress(OSError):
            os.makedirs(path.parent, exist_ok=True)
            with open(path, "xb") as file:
                file.write(content)


def _run_magic(magic: str, line: str, cell: str | None = None) -> None:
    """Those of IPython's magics by which code comes from a file, or gets there; all others do nothing."""
    scope = vars(sys.modules["__main__"])
    if magic == "run":
        with open(line.strip(), encoding="utf-8") as file:
            exec(compile(file.read(), line, "exec"), scope)
    elif magic == "writefile" and cell is not None:
        with open(line.split()[-1], "a" if "-a" in line.split() else "w", encoding="utf-8") as file:
            file.write(cell)


def _time_is_up(*_: object) -> None:
    raise TimeIsUp


def _why_missing(sources: Sequence[Source], name: str, found: object, error: Exception | SystemExit | None) -> str:
    if found is not None:
        return f"`{name}` is not a function, but of the type {type(found).__name__}"
    cell = next((source.text for source in sources if source.name == name), "")
    try:
        compile(cell, "<cell>", "exec")
    except (SyntaxError, ValueError, RecursionError, MemoryError) as trouble:
        line = f" (line {trouble.lineno})" if isinstance(trouble, SyntaxError) and trouble.lineno else ""
        return f"Python cannot read its cell: {type(trouble).__name__}: {getattr(trouble, 'msg', trouble)}{line}"
    if error is not None:
        return f"defining `{name}` stopped with {type(error).__name__}: {error}"
    return f"there is no function `{name}` in the notebook"
