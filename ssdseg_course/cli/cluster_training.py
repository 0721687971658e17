"""One training on the workers of a Dask cluster: each starts a process of `ssdseg train --workers`.

The processes write into folders below the workers' `SSDSEG_HOME`. What they leave is brought back, at the end or when
one is lost; workers that come again go on from there. Dask starts, stops and carries; it has no part in a step.
"""

import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import CancelledError
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from distributed import Client, Future, KilledWorker, Worker, wait
from distributed.comm.core import CommClosedError

from ssdseg_course.cli.networks import NETWORK_FILE
from ssdseg_course.cluster import ClusterError
from ssdseg_course.words import count
from ssdseg_ref.checkpoints import CHECKPOINTS, LOG, finished_epochs
from ssdseg_ref.data.splits import home
from ssdseg_ref.keeping import write_whole

COMMAND = (sys.executable, "-m", "ssdseg_course")
NAME = "cluster"  # file in a run's folder: under which name the workers keep theirs, until all is brought back
LOOK = 3  # seconds between two looks at the log
STOP = 30  # seconds for a process to end by itself
LONGEST_SENTENCE = 1_000  # characters

Files = dict[str, bytes]  # by their paths in a run's folder

_running: dict[str, subprocess.Popen[str]] = {}  # in a worker: the process that trains


@dataclass(frozen=True)
class Ended:
    """How a worker's process has ended: its exit status, and the last it has said."""

    status: int
    sentence: str


def train_on(client: Client, folder: Path, options: Sequence[str], batch_size: int, say: Callable[[str], None]) -> None:
    """Train on as many workers as share a batch equally, and bring what they have trained to a folder.

    Args:
        client: of a cluster whose workers have the same versions as this process.
        folder: of the run; what it holds of an earlier one is gone on with.
        options: of `ssdseg train`, those that say what is trained.
        batch_size: of that training.
        say: takes a line for every epoch.

    Raises:
        ClusterError: if there are no two workers that could share a batch, or one of them could not go on; the whole
            epochs are in the folder.
    """
    everyone = sorted(client.nthreads())
    if len(everyone) < 2:
        raise ClusterError("the cluster has one worker; start another, or train here, without --scheduler")
    share = max(number for number in range(1, len(everyone) + 1) if batch_size % number == 0)
    if share == 1:
        raise ClusterError(
            f"a batch of {count(batch_size, 'picture')} cannot be shared equally by several workers; train here, "
            "without --scheduler"
        )
    workers = everyone[:share]
    say(f"training on {len(workers)} of {len(everyone)} workers")
    name = _name_of(folder)
    places = client.run(_free_address, workers=workers)
    addresses = ",".join(places[worker] for worker in workers)
    epochs = finished_epochs(folder)
    at_work: list[Future] = []
    try:
        for rank, worker in enumerate(workers):
            arguments = [*options, "--workers", addresses, "--rank", str(rank)]
            files = _files(folder) if rank == 0 else {}
            at_work.append(
                client.submit(_train, f"{name}-{rank}", arguments, files, epochs, workers=[worker], pure=False)
            )
        _watch(client, dict(zip(at_work, workers, strict=True)), f"{name}-0", epochs, say)
    except ClusterError:  # nobody can be asked any more
        raise
    except BaseException:
        client.run(_stop, name)
        with suppress(TimeoutError):
            wait(at_work, timeout=STOP)
        _bring_back(client, workers, name, folder)
        raise
    reasons = [f"worker {rank}, {places[workers[rank]]}: {why}" for rank, why in enumerate(map(_why, at_work)) if why]
    _bring_back(client, workers, name, folder)
    if reasons:
        own = [one for one in reasons if not any(words in one for words in ("has stopped: ", "is gone: "))]
        raise ClusterError((own or reasons)[0])
    client.run(_forget, name)
    (folder / NAME).unlink(missing_ok=True)


def counted_on(client: Client, count_it: Callable[[], int]) -> int:
    """What a function counts on one of the workers, which have the data set.

    Raises:
        ClusterError: if that worker dies, or the scheduler.
    """
    try:
        return int(client.submit(count_it, pure=False).result())
    except (KilledWorker, CommClosedError, CancelledError) as error:
        raise ClusterError(f"the worker that looked at the data has died, or the scheduler ({error})") from error


def _name_of(folder: Path) -> str:
    with suppress(OSError):
        return (folder / NAME).read_text(encoding="utf-8").strip()
    name = uuid4().hex
    write_whole(folder / NAME, f"{name}\n")
    return name


def _watch(client: Client, at_work: Mapping[Future, str], name: str, epochs: int, say: Callable[[str], None]) -> None:
    """Say what the first one logs until all have ended, or their workers are gone: Dask keeps what those were at."""
    worker = next(iter(at_work.values()))
    left = list(at_work)
    while left:
        try:
            with suppress(TimeoutError):
                wait(left, timeout=LOOK, return_when="FIRST_COMPLETED")
            there = client.nthreads()  # asked anew; `scheduler_info` may lack some
        except (CancelledError, CommClosedError, OSError) as error:
            raise ClusterError("the scheduler is gone") from error
        left = [future for future in left if not future.done() and at_work[future] in there]
        with suppress(OSError, KeyError, CommClosedError):  # that worker may be the one that has gone
            for row in client.run(_logged, name, workers=[worker])[worker][epochs:]:
                epochs += 1
                say(f"epoch {epochs}: {row}")


def _why(future: Future) -> str:
    """Why a worker has not trained to the end; empty if it has."""
    try:
        ended = future.result(timeout=STOP)
    except Exception as error:  # whatever Dask says of a worker that died
        return f"is gone: {type(error).__name__}"
    return ended.sentence if ended.status else ""


def _bring_back(client: Client, workers: Sequence[str], name: str, folder: Path) -> None:
    """Put the files of whoever has got farthest into the run's folder."""
    there = set(client.nthreads())
    farthest, most = None, (False, finished_epochs(folder))
    for rank, worker in enumerate(workers):
        if worker in there and (far := client.run(_how_far, f"{name}-{rank}", workers=[worker])[worker]) > most:
            farthest, most = (rank, worker), far
    if farthest:
        rank, worker = farthest
        _put(folder, client.run(_files_of, f"{name}-{rank}", workers=[worker])[worker])


def _put(folder: Path, files: Mapping[str, bytes]) -> None:
    shutil.rmtree(folder / CHECKPOINTS, ignore_errors=True)
    for path in sorted(files, key=lambda path: path.endswith(".json")):  # an epoch counts once its record is there
        target = (folder / path).resolve()
        if folder.resolve() not in target.parents:
            raise ClusterError(f"{path}: a worker has sent a file that is not of the run's folder")
        write_whole(target, files[path])


def _files(folder: Path) -> Files:
    paths = [path for path in folder.rglob("*") if path.is_file() and path.name != NAME]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


# What follows runs in the workers.


def _folder(name: str) -> Path:
    return home() / "cluster" / name


def _free_address(dask_worker: Worker) -> str:
    host = dask_worker.address.rpartition("://")[2].rpartition(":")[0]
    with socket.create_server((host, 0)) as server:
        return f"{host}:{server.getsockname()[1]}"


def _train(name: str, arguments: Sequence[str], files: Files, epochs: int) -> Ended:
    folder = _folder(name)
    folder.mkdir(parents=True, exist_ok=True)
    if files and epochs >= finished_epochs(folder) and not _how_far(name)[0]:
        _put(folder, files)
    command = [*COMMAND, "train", str(folder), *arguments]
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as process:
        _running[name] = process
        said = process.communicate()[1]
    _running.pop(name, None)
    lines = [line.removeprefix("ssdseg: ") for line in said.splitlines() if line.startswith("ssdseg: ")]
    last = (lines or said.strip().splitlines() or [f"exit status {process.returncode}"])[-1]
    return Ended(process.returncode, last[:LONGEST_SENTENCE])


def _logged(name: str) -> list[str]:
    """A line for every epoch, of the losses."""
    try:
        lines = (_folder(name) / LOG).read_text(encoding="utf-8").splitlines()
    except OSError:
        return []
    logs = [dict(zip(lines[0].split(","), line.split(","), strict=False)) for line in lines[1:]]
    return [f"loss {float(log['loss']):.3f}, validation loss {float(log['val_loss']):.3f}" for log in logs]


def _how_far(name: str) -> tuple[bool, int]:
    """Whether the network is there, and how many epochs."""
    return (_folder(name) / NETWORK_FILE).exists(), finished_epochs(_folder(name))


def _files_of(name: str) -> Files:
    return _files(_folder(name))


def _stop(name: str) -> None:
    """Have the processes of a training end as at Ctrl-C."""
    for own, process in list(_running.items()):
        if own.startswith(name):
            process.send_signal(signal.SIGTERM if os.name == "nt" else signal.SIGINT)


def _forget(name: str) -> None:
    for folder in _folder(name).parent.glob(f"{name}-*"):
        shutil.rmtree(folder, ignore_errors=True)
