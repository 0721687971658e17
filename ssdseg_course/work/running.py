"""Runs a learner's notebook in a process of its own, and says which of its exercises are right.

Where grading could come to something else, each answer is tried as grading will, too, and that counts.

The file is only read. Cells run in their order in a fresh kernel, and where a check stands the exercise is judged. Of
the course's own cells only that runs which the learner's need.
A cell that fails stops nothing but itself. A cell that neither ends nor lets itself be interrupted, or that ends the
kernel, costs a new run without it, so that it costs no other exercise its points.
"""

import ast
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from queue import Empty
from typing import Any

from jupyter_client.blocking import BlockingKernelClient
from jupyter_client.kernelspec import KernelSpec, KernelSpecManager
from jupyter_client.manager import KernelManager

from ssdseg_course.checking.exercise import Exercise
from ssdseg_course.checking.report import Report
from ssdseg_course.checking.time_limit import LONGEST, SECONDS
from ssdseg_course.exercises import exercises_of
from ssdseg_course.manifest import ROOT, Lesson
from ssdseg_course.sandboxed.definitions import Source, needed_for, statements
from ssdseg_course.words import cut
from ssdseg_course.work import in_kernel
from ssdseg_course.work.fresh import handed_out
from ssdseg_course.work.results import LessonResult, Result, State
from ssdseg_course.work.workspace import (
    CHECK_CALL,
    CHECKING,
    Notebook,
    NotebookError,
    cell_in_words,
    code_cells,
    grade_id,
    is_answer,
    parse_notebook,
    read_lesson,
)

CELL_SECONDS = 60.0
CHECK_SECONDS = (LONGEST + 1) * SECONDS  # on the clock; the check itself stops an answer that has worked for too long
INTERRUPT_SECONDS = 3.0  # what a cell may take to notice that it is interrupted
START_SECONDS = 60.0
POLL_SECONDS = 0.2
KERNEL_ARGUMENTS = ["--HistoryManager.hist_file=:memory:", "--log-level=CRITICAL"]
KERNEL_COMMAND = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
EXPECTED_ERRORS = ("CheckFailed", in_kernel.TookTooLong.__name__)  # what is wrong there, a check says better
FILE_OF_A_CELL = re.compile(r"\(\S+\.py, line (\d+)\)")  # IPython's name for it means nothing to a reader
LONGEST_ERROR = 200  # characters

WOULD_BE_LOST = "it is right here, and would be lost when it is graded:"
HOW_TO_MEND = (
    "grading runs your own cells in an empty folder, with what you hand in beside the notebook, with the course's "
    "libraries alone and without a network: put what the answer needs into the notebook, or beside it."
)
FOUND_ALL_THE_SAME = "grading finds it right; run from its first cell to its last, the notebook says otherwise: {}"

Progress = Callable[[int, int], None]
Handed = dict[str, Any]  # what `in_kernel` hands out of a check


class KernelError(ValueError):
    """The process that should run a notebook does not start."""


def run_lesson(lesson: Lesson, root: Path, progress: Progress | None = None) -> LessonResult:
    """Run the learner's notebook of a lesson, and judge its exercises.

    Args:
        lesson: which.
        root: the course folder.
        progress: called with (cells run, cells) before the first cell and after each.

    Raises:
        NotebookError: if there is no notebook that can be read.
        KernelError: if no process starts that could run it.
    """
    notebook, release = read_lesson(lesson, root), release_of(lesson)
    run = _Run(notebook, release, list(exercises_of(lesson)), lesson.notebook(root).parent, progress)
    return as_graded(lesson, root, release, run.result())


def release_of(lesson: Lesson) -> Notebook | None:
    """The lesson's notebook as it was handed out; None where there is no solution to make it from."""
    try:
        return parse_notebook(handed_out(lesson, ROOT), lesson.name)
    except NotebookError:
        return None


def as_graded(lesson: Lesson, root: Path, release: Notebook | None, result: LessonResult) -> LessonResult:
    """The result as grading would have it, where that could be another one.

    Args:
        lesson: which.
        root: the course folder.
        release: the lesson's notebook as it was handed out; None where that is not known, and nothing can be graded.
        result: of some or all of its exercises.
    """
    if release is None or all(one.state is State.UNWRITTEN for one in result.results):
        return result
    from ssdseg_course.grading.rehearsal import rehearsed  # with it come the tools of grading

    endless = [one.exercise.id for one in result.results if one.state is State.TIMED_OUT]
    found = rehearsed(lesson, root, release, endless)
    if not found:
        return result
    notes = tuple(f"{name}: {answer.note}" for name, answer in found.items() if answer.note)
    results = tuple(_as_rehearsed(one, found[one.exercise.id].report) for one in result.results)
    return replace(result, results=results, notes=notes)


def _as_rehearsed(result: Result, report: Report) -> Result:
    """The result of an exercise, given what grading would say of it."""
    passes = result.state is State.PASSED
    if passes == report.passed or result.state is State.UNWRITTEN or report.helpers:
        return result
    if passes:
        first, *others = str(report).splitlines()
        lines = (first, f"  {WOULD_BE_LOST}", *others, f"  {HOW_TO_MEND}")
        return replace(result, state=State.LOST, text="\n".join(lines))
    otherwise = next((line.strip() for line in result.text.splitlines()[1:] if not line.startswith("  called")), "")
    return replace(result, state=State.PASSED, text=f"{report}\n  {FOUND_ALL_THE_SAME.format(otherwise)}")


@dataclass
class _Step:
    """One thing to have done by the kernel: a cell of the notebook, or the check of an exercise."""

    code: str
    seconds: float
    place: int = -1  # of a cell; a check has none
    exercise: Exercise | None = None


def shortened(notebook: Notebook, release: Notebook | None) -> dict[int, str]:
    """Of the course's own cells, by their places, what the learner's cells need: no figure, no training, no clock.

    Args:
        notebook: the learner's.
        release: as it was handed out; None where that is not known, and all is run as it stands.
    """
    provided = {cell["source"] for _, cell in code_cells(release) if not is_answer(cell)} if release else set()
    courses = {place for place, cell in code_cells(notebook) if cell["source"] in provided}
    sources = [
        Source(place, grade_id(cell), cell["source"], place not in courses) for place, cell in code_cells(notebook)
    ]
    needed = needed_for(statements(sources, "notebook"), "", whole=True)
    return {
        place: "\n".join(ast.unparse(statement.code) for statement in needed if statement.place == place)
        for place in courses
    }


@dataclass
class _Run:
    notebook: Notebook
    release: Notebook | None
    exercises: list[Exercise]
    folder: Path
    progress: Progress | None
    results: dict[str, Result] = field(default_factory=dict)
    stops: dict[int, str] = field(default_factory=dict)  # by place of the cell
    banned: dict[str, Result] = field(default_factory=dict)  # of answers that must not be called again, by exercise
    skipped: set[int] = field(default_factory=set)  # places of cells that cannot be run

    def result(self) -> LessonResult:
        steps = self._steps()
        while not self._get_through(steps):
            self.results = dict(self.banned)
            self.stops = {place: stop for place, stop in self.stops.items() if place in self.skipped}
        results = tuple(self.results[exercise.id] for exercise in self.exercises)
        stops = tuple(
            f"{cell_in_words(self.notebook, place)} stopped: {why}" for place, why in sorted(self.stops.items())
        )
        return LessonResult(results, stops)

    def _steps(self) -> list[_Step]:
        steps, checked = [], set()
        needed = shortened(self.notebook, self.release)
        by_check = {f"check_{exercise.name}": exercise for exercise in self.exercises}
        by_id = {exercise.id: exercise for exercise in self.exercises}
        for place, cell in code_cells(self.notebook):
            call = CHECK_CALL.fullmatch(cell["source"].strip())
            exercise = by_check.get(grade_id(cell) or "") or (by_id.get(call[1]) if call else None)
            if exercise:
                steps.append(self._check_step(exercise))
                checked.add(exercise.id)
            elif code := needed.get(place, cell["source"]):
                steps.append(_Step(code, CELL_SECONDS, place=place))
        steps += [self._check_step(exercise) for exercise in self.exercises if exercise.id not in checked]
        return steps

    def _check_step(self, exercise: Exercise) -> _Step:
        return _Step(_call("judge_here", exercise), CHECK_SECONDS, exercise=exercise)

    def _get_through(self, steps: list[_Step]) -> bool:
        """Run everything in a fresh kernel; False, and wiser, where that one was lost on the way."""
        with _kernel(self.folder) as kernel:
            for number, step in enumerate(steps):
                if self.progress:
                    self.progress(number, len(steps))
                if step.place in self.skipped:
                    continue
                if step.exercise and step.exercise.id in self.banned:
                    kernel.run(_call("replace", step.exercise), step.seconds)
                    continue
                reply = kernel.run(step.code, step.seconds)
                if step.exercise:
                    self._take_result(step.exercise, reply)
                elif reply.stopped and reply.error not in EXPECTED_ERRORS:
                    self.stops[step.place] = reply.stopped
                if reply.kernel_lost:
                    if not step.exercise:
                        self.skipped.add(step.place)
                    return False
        if self.progress:
            self.progress(len(steps), len(steps))
        return True

    def _take_result(self, exercise: Exercise, reply: "_Reply") -> None:
        """Keep the result of a check; a better one, where the check stands in the notebook twice."""
        result = self._result_of(exercise, reply)
        if reply.kernel_lost or result.state is State.TIMED_OUT:
            self.banned[exercise.id] = result
        before = self.results.get(exercise.id)
        if not (before and before.state is State.PASSED):
            self.results[exercise.id] = result

    def _result_of(self, exercise: Exercise, reply: "_Reply") -> Result:
        judged = next((result for result in reply.results if result.get("exercise") == exercise.id), None)
        if judged and judged["state"] == in_kernel.TIMED_OUT and judged["text"]:
            return Result(exercise, State.TIMED_OUT, judged["text"])
        if reply.timed_out or (judged and judged["state"] == in_kernel.TIMED_OUT):
            return _failed(exercise, State.TIMED_OUT, f"it did not come to its end within {CHECK_SECONDS:.0f} seconds")
        if reply.kernel_lost or not judged:
            return _failed(exercise, State.STOPPED, f"checking it was not possible: {reply.stopped}")
        if judged["state"] == in_kernel.MISSING:
            return self._missing(exercise)
        if judged["passed"]:
            state = State.PASSED
        else:
            state = State.UNWRITTEN if judged["state"] == in_kernel.UNWRITTEN else State.WRONG
        return Result(exercise, state, judged["text"], judged["cases"])

    def _missing(self, exercise: Exercise) -> Result:
        """The function is not there: because its cell failed, or because there is no such cell."""
        for place, cell in code_cells(self.notebook):
            if place in self.stops and (grade_id(cell) == exercise.name or f"def {exercise.name}(" in cell["source"]):
                return _failed(exercise, State.STOPPED, f"its cell stopped: {self.stops[place]}")
        number = exercise.id.split(".")[0].lstrip("0") or "0"
        return _failed(
            exercise,
            State.MISSING,
            f"the notebook has no function `{exercise.name}`; write it again, or start afresh with "
            f"`ssdseg reset {number}`, which keeps a copy of what you have",
        )


def _call(function: str, exercise: Exercise) -> str:
    """Code that calls a function of `in_kernel`, and leaves no name behind in the notebook."""
    module = f"__import__('importlib').import_module({in_kernel.__name__!r})"
    return f"{module}.{function}({exercise.id!r}, globals())"


def _failed(exercise: Exercise, state: State, why: str) -> Result:
    return Result(exercise, state, str(Report(exercise.id, False, exercise.points, (why,), seed=0)))


@dataclass(frozen=True)
class _Reply:
    """What came of a piece of code.

    Attributes:
        error: the type of the error that ended it, "" if none did.
        stopped: why it did not come to its end, in a line; "" if it did.
        results: of checks, as `in_kernel` hands them out.
        timed_out: whether it had to be stopped.
        kernel_lost: whether the kernel can no longer be used.
    """

    error: str = ""
    stopped: str = ""
    results: tuple[Handed, ...] = ()
    timed_out: bool = False
    kernel_lost: bool = False


class _Kernel:
    """A kernel of which each cell comes back, whatever it does.

    By hand, because nbclient interrupts a cell that swallows interrupts for ever, or else gives up on every cell before
    it has shown its result; it does not see that `exit()` ends the kernel, and takes seconds to import.
    """

    def __init__(self, manager: KernelManager, client: BlockingKernelClient):
        self._manager = manager
        self._client = client

    def run(self, code: str, seconds: float) -> _Reply:
        """Run code for at most that many seconds."""
        request = self._client.execute(code, store_history=False, allow_stdin=False, stop_on_error=False)
        results: list[Handed] = []
        interrupted = False
        deadline = time.monotonic() + seconds
        while not self._is_done(request, results):
            if not self._manager.is_alive():
                return _Reply("died", "it ended the process that runs the notebook", kernel_lost=True)
            if time.monotonic() > deadline:
                if interrupted:
                    return _Reply("timeout", _too_long(seconds), timed_out=True, kernel_lost=True)
                self._manager.interrupt_kernel()
                interrupted, deadline = True, time.monotonic() + INTERRUPT_SECONDS
        return self._reply(request, tuple(results), _too_long(seconds) if interrupted else "")

    def _is_done(self, request: str, results: list[Handed]) -> bool:
        """Take one message of the kernel, or wait a moment for it; whether it was the last one of this request."""
        try:
            message = self._client.get_iopub_msg(timeout=POLL_SECONDS)
        except Empty:
            return False
        if message["parent_header"].get("msg_id") != request:
            return False
        content = message["content"]
        if message["msg_type"] == "display_data" and in_kernel.RESULT in content["data"]:
            results.append(content["data"][in_kernel.RESULT])
        return bool(message["msg_type"] == "status" and content["execution_state"] == "idle")

    def _reply(self, request: str, results: tuple[Handed, ...], too_long: str) -> _Reply:
        content = self._shell_reply(request)
        if any(payload.get("source") == "ask_exit" for payload in content.get("payload", ())):  # exit() or quit()
            return _Reply("exit", "it ended the process that runs the notebook", results, kernel_lost=True)
        if content.get("status") != "error":
            return _Reply(results=results)
        if too_long and content["ename"] == "KeyboardInterrupt":
            return _Reply("timeout", too_long, results, timed_out=not results)
        return _Reply(content["ename"], _error_in_words(content["ename"], content["evalue"]), results)

    def _shell_reply(self, request: str) -> dict[str, Any]:
        while True:  # it is sent before the message that ended the request
            try:
                message = self._client.get_shell_msg(timeout=START_SECONDS)
            except Empty:
                return {}
            if message["parent_header"].get("msg_id") == request:
                content: dict[str, Any] = message["content"]
                return content


class _ThisPython(KernelSpecManager):
    """Knows one kernel, that of this environment, whatever kernels are installed for the user."""

    def get_kernel_spec(self, kernel_name: str) -> KernelSpec:
        return KernelSpec(argv=KERNEL_COMMAND, display_name=kernel_name, language="python")


@contextmanager
def _kernel(folder: Path) -> Iterator[_Kernel]:
    """A fresh kernel, with `folder` as its working directory, that ends with the block."""
    manager = KernelManager(kernel_spec_manager=_ThisPython(), kernel_name="course")
    client = None
    try:
        manager.start_kernel(
            cwd=str(folder),
            env={**os.environ, CHECKING: "1", "TF_CPP_MIN_LOG_LEVEL": "3"},
            extra_arguments=KERNEL_ARGUMENTS,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        client = manager.client()
        client.start_channels()
        try:
            client.wait_for_ready(timeout=START_SECONDS)
        except RuntimeError as error:
            raise KernelError(f"{sys.executable}: no Jupyter kernel starts there: {error}; try `make setup`") from None
        yield _Kernel(manager, client)
    finally:
        if client:
            client.stop_channels()
        if manager.has_kernel:
            manager.shutdown_kernel(now=True)


def _too_long(seconds: float) -> str:
    return f"it took longer than {seconds:.0f} seconds"


def _error_in_words(name: str, message: str) -> str:
    """An error in one line."""
    message = FILE_OF_A_CELL.sub(r"(line \1)", " ".join(message.split()))
    return cut(f"{name}: {message}" if message else name, LONGEST_ERROR)
