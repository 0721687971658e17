"""Any Dask cluster will do: a scheduler and two workers of their own, one of which is killed in the middle."""

import contextlib
import functools
import json
import os
import re
import signal
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest
import submissions
from distributed import Client
from learners import LESSON
from sandboxes import needs_sandbox
from test_grading_recording import folder_of, rows, scores, wait_for

from ssdseg_course.grading import cluster
from ssdseg_course.grading.cluster import ClusterError, connected
from ssdseg_course.grading.grader import NotGraded, Work
from ssdseg_course.grading.grading import Options, grade_folder
from ssdseg_course.grading.sandbox import SandboxError

SEVERAL = 8
DASK = Path(sysconfig.get_path("scripts"), "dask")


@contextlib.contextmanager
def dask(*arguments):
    """A process of Dask's."""
    command = [sys.executable, str(DASK), *arguments]
    running = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield running
    finally:
        running.kill()
        running.wait()


@contextlib.contextmanager
def scheduler(tmp_path):
    """A scheduler on loopback; gives the file in which it says where it is."""
    file = tmp_path / "scheduler.json"
    with dask("scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard", "--scheduler-file", str(file)):
        wait_for(file.exists)
        yield file


def worker(file):
    """A worker of it."""
    return dask("worker", "--scheduler-file", str(file), "--host", "127.0.0.1", "--nthreads", "1", "--no-nanny",
                "--no-dashboard")  # fmt: skip


def address(file) -> str:
    """Of a scheduler."""
    return json.loads(file.read_text())["address"]


@needs_sandbox
def test_a_worker_that_is_killed_costs_nobody_a_grade(tmp_path):
    root = tmp_path / "term"
    root.mkdir()
    cases = [submissions.Case(f"learner{k}", submissions.GOOD[3 * (k % 2)].write, None) for k in range(SEVERAL)]
    folder = folder_of(root, *cases)
    killed = []

    with scheduler(tmp_path) as file, worker(file) as first, worker(file):

        def kill_one(done, total):
            if done == 3:
                os.kill(first.pid, signal.SIGKILL)
                killed.append(len(rows(root)))

        outcome = grade_folder(folder, root, Options(lesson=LESSON, scheduler=address(file)), kill_one)
    assert killed == [3]
    assert (outcome.graded, outcome.not_graded) == (SEVERAL, [])
    assert scores(root) == {case.name: 90 if number % 2 else 100 for number, case in enumerate(cases)}


def test_an_address_where_nobody_is_is_named(monkeypatch):
    monkeypatch.setattr("ssdseg_course.cluster.CONNECT_SECONDS", 1)
    words = r"127\.0\.0\.1:1: no Dask scheduler answers"
    with pytest.raises(ClusterError, match=words), connected(None, "tcp://127.0.0.1:1", False):
        pass


def test_a_cluster_without_a_worker_says_how_to_start_one(tmp_path, monkeypatch):
    monkeypatch.setattr("ssdseg_course.cluster.CONNECT_SECONDS", 1)
    with scheduler(tmp_path) as file:
        where = address(file)
        with pytest.raises(ClusterError, match="`dask worker tcp"), connected(None, where, False):
            pass


def test_workers_with_another_version_of_the_course_are_refused(tmp_path, monkeypatch):
    with scheduler(tmp_path) as file, worker(file):
        monkeypatch.setattr(cluster, "course_digest", lambda: "another")
        with pytest.raises(ClusterError, match="another version of the course"), connected(None, address(file), False):
            pass


def test_without_a_sandbox_nothing_is_graded(monkeypatch):
    def none(*_):
        raise SandboxError("no sandbox: because")

    monkeypatch.setattr(cluster, "Sandbox", none)
    with pytest.raises(SandboxError, match="because"), connected(1, None, False):
        pass


@needs_sandbox
def test_nobody_else_on_this_machine_can_use_our_own_cluster():
    with connected(1, None, False) as client:
        address = client.scheduler.address
        open_address = address.replace("tls://", "tcp://")
        with pytest.raises(OSError, match=r"Connection|Timed out"), Client(open_address, timeout=2):
            pass
        assert address.startswith("tls://127.0.0.1:")


def test_what_is_no_address_is_named():
    with pytest.raises(ClusterError, match="foo: that is not the address"), connected(None, "foo", False):
        pass


def hang(work):
    """Stand still, or say whose it is."""
    if work.student == "hangs":
        re.match("(a|aa)+$", "a" * 60 + "b")
    return NotGraded(work.student, work.lesson, "done")


def hurry(hang):
    """Have a worker stand still, for no longer than a second."""
    cluster.grade, cluster.SECONDS_OF_A_WORKER = hang, 1


@pytest.mark.full
@needs_sandbox
def test_a_submission_at_which_a_worker_stands_still_costs_its_owner_alone():
    with connected(1, None, False) as client:
        client.register_worker_callbacks(functools.partial(hurry, hang))
        works = [Work(name, LESSON.name, b"", None, (), "", 0) for name in ("ada", "hangs", "bob", "cy")]
        reasons = {work.student: result.reason for work, result in cluster.grade_all(client, works)}
    assert reasons.pop("hangs") == "whatever grades it ends: look at it yourself"
    assert reasons == dict.fromkeys(("ada", "bob", "cy"), "done")
