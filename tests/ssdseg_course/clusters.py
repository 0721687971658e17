"""A Dask cluster for the tests: its workers are threads of this process, reached from this machine alone."""

from collections.abc import Iterator
from contextlib import contextmanager

from distributed import LocalCluster


@contextmanager
def workers_in_threads(count: int = 2) -> Iterator[str]:
    """The address of a scheduler with so many workers."""
    with LocalCluster(
        n_workers=count,
        threads_per_worker=1,
        processes=False,
        protocol="tcp",
        host="127.0.0.1",
        dashboard_address="127.0.0.1:0",
    ) as cluster:
        yield cluster.scheduler_address
