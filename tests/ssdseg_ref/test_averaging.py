"""Do several workers learn what one would, the same on all of them, and go on after one was killed?"""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from test_workers import addresses_of

from ssdseg_ref.averaging import only_to
from ssdseg_ref.checkpoints import finished_epochs

SCRIPT = Path(__file__).with_name("several_workers.py")
QUIET = {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1"}


@contextlib.contextmanager
def several(*jobs):
    """Processes that begin together; in the end they are gone."""
    running = subprocess.Popen([sys.executable, str(SCRIPT), *map(json.dumps, jobs)], env=os.environ | QUIET)
    try:
        yield running
    finally:
        for job in jobs:
            with contextlib.suppress(OSError, ValueError):
                os.kill(int(Path(job["folder"], "pid").read_text()), signal.SIGKILL)
        running.kill()
        running.wait()


def pair(tmp_path, epochs, *changes):
    """The jobs of two workers, with folders of their own."""
    addresses = addresses_of(2)
    jobs = [
        {"folder": str(tmp_path / name), "addresses": addresses, "rank": rank, "epochs": epochs}
        for rank, name in enumerate(("first", "second"))
    ]
    return [job | dict(change) for job, change in zip(jobs, changes or ({}, {}), strict=True)]


def run(*jobs):
    """What each of them has said."""
    with several(*jobs) as running:
        running.wait()
    return [Path(job["folder"], "said.txt").read_text() for job in jobs]


def weights(job):
    with np.load(Path(job["folder"], "weights.npz")) as arrays:
        return [arrays[name] for name in arrays]


def logs(job):
    lines = Path(job["folder"], "log.csv").read_text().splitlines()
    return np.array([line.split(",") for line in lines[1:]], float), lines[0].split(",")


def test_two_workers_learn_the_same_and_nearly_what_one_does(tmp_path):
    """Twenty steps by the lesson's recipe. Batch normalisation, and the parts of the loss that divide by a count, see
    half a batch each: no more than that is between one worker and two."""
    first, second = pair(tmp_path, 2)
    alone = {"folder": str(tmp_path / "alone"), "epochs": 2}
    said = run(first, second, alone)
    assert "waiting for worker 1" in said[0], said
    for one, other in zip(weights(first), weights(second), strict=True):
        np.testing.assert_array_equal(one, other)
    (rows, names), (other_rows, _), (alone_rows, _) = logs(first), logs(second), logs(alone)
    np.testing.assert_array_equal(rows, other_rows)
    losses = [names.index("loss"), names.index("val_loss")]
    of_an_epoch = np.ptp(alone_rows[:, losses], axis=0)
    assert (np.abs(rows - alone_rows)[:, losses] < 0.15 * of_an_epoch).all()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux can")
def test_a_socket_that_listens_everywhere_hears_one_address_alone():
    with socket.socket(socket.AF_INET6) as listener:
        listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        listener.bind(("::", 0))
        listener.listen()
        port = listener.getsockname()[1]
        socket.create_connection(("127.0.0.2", port), 1).close()
        assert only_to(("127.0.0.1", port))
        socket.create_connection(("127.0.0.1", port), 1).close()
        for other in ("127.0.0.2", "::1"):
            with pytest.raises(TimeoutError):
                socket.create_connection((other, port), 0.3)
        assert not only_to(("127.0.0.1", 1))


@pytest.mark.slow
def test_tensorflow_hears_the_given_address_alone(tmp_path):
    jobs = pair(tmp_path, 10_000)
    with several(*jobs):
        wait_for_epochs(jobs, 1)
        for number, address in enumerate(jobs[0]["addresses"]):
            port = int(address.split(":")[1])
            socket.create_connection(("127.0.0.1", port), 1).close()
            with pytest.raises(TimeoutError):
                socket.create_connection((f"127.0.0.{number + 2}", port), 0.5)


@pytest.mark.parametrize(
    ("sent", "victim"),
    [
        (signal.SIGKILL, 1),
        *(pytest.param(sent, 1, marks=pytest.mark.slow) for sent in (signal.SIGSTOP, signal.SIGINT)),
        *(pytest.param(sent, 0, marks=pytest.mark.slow) for sent in (signal.SIGKILL, signal.SIGSTOP, signal.SIGINT)),
    ],
)
def test_when_one_is_lost_the_other_says_so_within_a_minute_and_both_go_on(sent, victim, tmp_path):
    jobs = pair(tmp_path, 10_000)
    with several(*jobs) as running:
        wait_for_epochs(jobs, 2)
        os.kill(int(Path(jobs[victim]["folder"], "pid").read_text()), sent)
        start = time.monotonic()
        said = Path(jobs[1 - victim]["folder"], "said.txt")
        while "refused" not in said.read_text():
            assert time.monotonic() - start < 60, said.read_text()
            time.sleep(0.2)
        expected = "has stopped: Ctrl-C" if sent == signal.SIGINT else "is gone: its process has ended"
        assert f"worker {victim}, {jobs[0]['addresses'][victim]}, {expected}" in said.read_text()
        if sent != signal.SIGSTOP:
            running.wait(20)
    kept = max(finished_epochs(job["folder"]) for job in jobs)
    again = pair(tmp_path, 10_000)
    with several(*again):
        wait_for_epochs(again, kept + 1)
        assert [Path(job["folder"], "said.txt").read_text().count("refused") for job in again] == [0, 0]


def wait_for_epochs(jobs, epochs):
    start = time.monotonic()
    while min(finished_epochs(job["folder"]) for job in jobs) < epochs:
        assert time.monotonic() - start < 600, [Path(job["folder"], "said.txt").read_text() for job in jobs]
        time.sleep(0.2)
