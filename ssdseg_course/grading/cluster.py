"""Grades on a Dask cluster: that of this machine, or any other by its address. Dask does all the scheduling."""

import contextlib
import ctypes
import logging
import signal
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import islice

import dask
from distributed import Client, Future, KilledWorker, LocalCluster, as_completed
from distributed.security import Security

from ssdseg_course.cluster import CONNECT, ClusterError, no_course, reached
from ssdseg_course.digest import course_digest
from ssdseg_course.grading.grader import Graded, NotGraded, Work, grade
from ssdseg_course.grading.sandbox import Sandbox, SandboxError
from ssdseg_course.grading.text import LONGEST_SENTENCE, shown, shown_lines
from ssdseg_course.manifest import LESSONS
from ssdseg_ref.data.splits import cores

AT_ONCE = 4  # submissions that wait for each worker: enough to keep it busy, few enough to hold in memory
SECONDS_OF_A_WORKER = 900  # of its processor, for a submission; answers run elsewhere, and the rest takes seconds
MOST_LINES = 50  # remarks on a submission, messages on an exercise
LONGEST_CELL = 200_000  # characters of a cell that a page shows
PR_SET_PDEATHSIG = 1  # of Linux's prctl
SETTINGS = {
    **CONNECT,
    "distributed.scheduler.http.routes": [],  # no pages for anybody to look at
    "distributed.worker.http.routes": [],
    "distributed.scheduler.allowed-failures": 0,  # what ends a worker is graded once more, by itself
    "distributed.worker.memory.target": False,  # what a worker holds is small; answers run elsewhere
    "distributed.worker.memory.spill": False,
    "distributed.worker.memory.pause": False,
    "distributed.worker.memory.terminate": False,
}


@contextmanager
def connected(workers: int | None, scheduler: str | None, unsafe: bool) -> Iterator[Client]:
    """A cluster whose workers have this version of the course and a sandbox.

    Args:
        workers: processes on this machine, by default one per core.
        scheduler: address of another cluster instead.
        unsafe: whether workers may do without a sandbox.

    Raises:
        ClusterError: if the cluster does not answer, has no worker, or another version of the course.
        SandboxError: if a worker has no sandbox.
    """
    logging.getLogger("distributed").setLevel(logging.CRITICAL)  # what matters becomes an error
    security = None  # of another cluster: as Dask is configured
    with dask.config.set(SETTINGS), contextlib.ExitStack() as stack:
        if scheduler is None:
            Sandbox(LESSONS[0], unsafe).close()  # or say at once that there is none
            scratch = stack.enter_context(tempfile.TemporaryDirectory(prefix="ssdseg-dask-"))
            stack.enter_context(dask.config.set({"temporary-directory": scratch}))
            security = Security.temporary()  # others on this machine can reach a port, but have no certificate
            scheduler = stack.enter_context(
                LocalCluster(
                    n_workers=workers or cores(),
                    threads_per_worker=1,
                    host="127.0.0.1",
                    security=security,
                    dashboard_address="127.0.0.1:0",
                    scheduler_kwargs={"dashboard": False},
                    silence_logs=logging.CRITICAL,
                    memory_limit=0,
                )
            )
        client = stack.enter_context(reached(scheduler, security))
        _look_at_workers(client, str(scheduler), unsafe, security is not None)
        yield client


def _look_at_workers(client: Client, address: str, unsafe: bool, ours: bool) -> None:
    try:
        said = client.run(_introduce_yourself, unsafe, ours)
    except ModuleNotFoundError as error:
        raise no_course(address, error) from None
    for worker, (digest, trouble) in said.items():
        if digest != course_digest():
            raise ClusterError(f"worker {worker} has another version of the course; install the same everywhere")
        if trouble:
            raise SandboxError(f"worker {worker}: {trouble}")


def _introduce_yourself(unsafe: bool, ends_with_parent: bool) -> tuple[str, str]:
    """What a worker says of itself: its version of the course, and why it has no sandbox, "" if it has one.

    One of our own ends with the process that grades, however that ends and whatever the worker is at.
    """
    if ends_with_parent:
        with contextlib.suppress(OSError, AttributeError):  # Linux alone knows this
            ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    try:
        Sandbox(LESSONS[0], unsafe).close()
    except SandboxError as error:
        return course_digest(), str(error)
    return course_digest(), ""


def grade_all(client: Client, works: Iterable[Work]) -> Iterator[tuple[Work, Graded | NotGraded]]:
    """Grade submissions, and give them back as they are done.

    A submission whose worker has ended may only have been next to the one that ends it: it is graded once more at the
    end, alone.

    Args:
        client: of a cluster.
        works: what to grade; taken from no faster than it is graded.
    """
    works = iter(works)
    by_key: dict[str, Work] = {}

    def submit(some: Iterable[Work]) -> Iterator[Future]:
        for work in some:
            future = client.submit(_grade, work, pure=False)
            by_key[future.key] = work
            yield future

    at_once = AT_ONCE * max(1, sum(client.nthreads().values()))
    suspects = []
    waiting = as_completed(submit(islice(works, at_once)), loop=client.loop)
    for future in waiting:
        work = by_key.pop(future.key)
        result = result_of(future, work)
        if result is None:
            suspects.append(work)
        else:
            yield work, result
        waiting.update(submit(islice(works, 1)))
    for work in suspects:
        result = result_of(client.submit(_grade, work, pure=False), work)
        reason = "whatever grades it ends: look at it yourself"
        yield work, result or NotGraded(work.student, work.lesson, reason)


def _grade(work: Work) -> Graded | NotGraded:
    """What a worker does; the signal ends one that takes far too long, also inside a C function."""
    signal.setitimer(signal.ITIMER_PROF, SECONDS_OF_A_WORKER)
    try:
        return grade(work)
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)


def result_of(future: Future, work: Work) -> Graded | NotGraded | None:
    """What came of a submission; None where its worker has ended."""
    try:
        return _cleaned(future.result())
    except KilledWorker:
        return None
    except SandboxError as error:  # there was one when the workers were looked at: this submission has broken it
        reason = f"its sandbox failed: {shown(error, LONGEST_SENTENCE)}"
    except Exception as error:  # a mistake of ours must not cost the others their grades
        reason = f"grading failed: {type(error).__name__}: {shown(error, LONGEST_SENTENCE)}"
    return NotGraded(work.student, work.lesson, reason)


def _cleaned(result: Graded | NotGraded) -> Graded | NotGraded:
    """A result whose texts are fit to be stored and shown, whatever a submission has made of them."""
    if isinstance(result, NotGraded):
        return replace(result, reason=shown(result.reason, LONGEST_SENTENCE))
    reports = tuple(
        replace(one, messages=tuple(map(shown_lines, one.messages[:MOST_LINES])), advice=shown_lines(one.advice))
        for one in result.reports
    )
    remarks = tuple(shown(remark, LONGEST_SENTENCE) for remark in result.remarks[:MOST_LINES])
    cells = [{**cell, "source": shown_lines(cell["source"], LONGEST_CELL)} for cell in result.notebook["cells"]]
    return replace(result, reports=reports, remarks=remarks, notebook={**result.notebook, "cells": cells})
