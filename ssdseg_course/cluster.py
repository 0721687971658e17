"""A Dask cluster by its address, for commands that take `--scheduler`; and what is done on one besides grading."""

import re
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import CancelledError
from contextlib import contextmanager
from itertools import islice
from typing import TYPE_CHECKING

import dask
from distributed import Client, KilledWorker, LocalCluster, as_completed
from distributed.comm.core import CommClosedError
from distributed.security import Security

from ssdseg_course.digest import versions

if TYPE_CHECKING:
    from ssdseg_ref.data.sample import Sample
    from ssdseg_ref.data.splits import Elsewhere, Render

CONNECT_SECONDS = 10
ADDRESS = re.compile(r"(\w+://)?[^/\s]+:\d+/?")
CONNECT = {"distributed.comm.timeouts.connect": f"{CONNECT_SECONDS}s"}
CHUNKS_AT_ONCE = 2  # for each thread of the cluster: one that is drawn, and one that waits


class ClusterError(ValueError):
    """A cluster that cannot be used; the message says why."""


@contextmanager
def reached(scheduler: str | LocalCluster, security: Security | None = None) -> Iterator[Client]:
    """A cluster that has at least one worker.

    Args:
        scheduler: its address, or one of this process's own.
        security: by default as Dask is configured.

    Raises:
        ClusterError: if nothing answers there, or it has no worker.
    """
    if isinstance(scheduler, str) and not ADDRESS.fullmatch(scheduler):
        raise ClusterError(f"{scheduler}: that is not the address of a scheduler, such as tcp://10.0.0.5:8786")
    try:
        client = Client(scheduler, timeout=CONNECT_SECONDS, set_as_default=False, security=security)
    except (OSError, TimeoutError, CommClosedError, ValueError) as error:
        raise ClusterError(f"{scheduler}: no Dask scheduler answers there ({_first_line(error)})") from None
    with client:
        try:
            client.wait_for_workers(1, timeout=CONNECT_SECONDS)
        except TimeoutError:
            raise ClusterError(
                f"{scheduler}: this cluster has no worker; start one with `dask worker {scheduler}`"
            ) from None
        yield client


def no_course(address: str, error: ModuleNotFoundError) -> ClusterError:
    """The sentence for workers that cannot import what they are asked to run."""
    return ClusterError(f"{address}: its workers do not have the course ({error}); install it there")


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


@contextmanager
def same_everywhere(scheduler: str) -> Iterator[Client]:
    """A cluster whose workers have the same versions as this process.

    Raises:
        ClusterError: if it cannot be used, or one of its workers has another version of something.
    """
    with dask.config.set(CONNECT), reached(scheduler) as client:
        try:
            said = client.run(versions)
        except ModuleNotFoundError as error:
            raise no_course(scheduler, error) from None
        for worker, theirs in said.items():
            for name, ours in versions().items():
                if theirs.get(name) != ours:
                    raise ClusterError(
                        f"worker {worker} has another {name}, {theirs.get(name)} and not {ours}; install the same "
                        "everywhere"
                    )
        with client.as_current():
            yield client


def drawing_on(client: Client) -> "Elsewhere":
    """Draws scenes on a cluster; what a worker was at when it died, another one draws."""

    def drawn(
        chunks: Sequence[range], size: tuple[int, int], render: "Render"
    ) -> Generator[tuple[int, list["Sample"]], None, None]:
        places = iter(range(len(chunks)))
        at_work = {}

        def submit(some: int) -> Iterator[object]:
            for place in islice(places, some):
                future = client.submit(_draw, chunks[place], tuple(size), render, pure=False)
                at_work[future] = place
                yield future

        waiting = as_completed(submit(CHUNKS_AT_ONCE * max(1, sum(client.nthreads().values()))), loop=client.loop)
        for future in waiting:
            try:
                scenes = future.result()
            except (KilledWorker, CommClosedError, CancelledError) as error:
                raise ClusterError(
                    f"the workers that drew scenes have died, or the scheduler ({_first_line(error)})"
                ) from None
            yield at_work.pop(future), scenes
            waiting.update(submit(1))

    return drawn


def _draw(seeds: range, size: tuple[int, int], render: "Render") -> list["Sample"]:
    return [render(seed, size) for seed in seeds]
