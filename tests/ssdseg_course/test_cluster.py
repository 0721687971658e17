"""Is what a Dask cluster draws what this machine would have drawn, and is another version of anything refused?"""

import threading

import numpy as np
import pytest
from clusters import workers_in_threads
from typer.testing import CliRunner

from ssdseg_course import cluster
from ssdseg_course.cli import app
from ssdseg_ref.data import splits, warehouse

SIZE = (32, 48)
SEEDS = range(100_000, 100_000 + 2 * splits.CHUNK + 5)  # the last chunk is not full


@pytest.fixture(scope="module")
def scheduler():
    """Of two workers, threads of this process."""
    with workers_in_threads() as address:
        yield address


@pytest.fixture(autouse=True)
def small_warehouse(monkeypatch, tmp_path):
    monkeypatch.setenv("SSDSEG_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(warehouse, "SPLITS", {"validation": SEEDS})


def ssdseg(*arguments):
    result = CliRunner().invoke(app, [*arguments], env={"COLUMNS": "120"})
    return result.exit_code, " ".join((result.stdout + result.stderr).split())


def test_scenes_drawn_on_a_cluster_are_the_same_to_the_last_bit(scheduler, monkeypatch):
    monkeypatch.setattr(splits, "_run", None)  # so that nothing is drawn here
    status, said = ssdseg("data", "make", "--size", "32x48", "--scheduler", scheduler)
    assert (status, said) == (0, "validation: 37 scenes are ready")
    drawn = splits.open_cache(splits.cache_folder("warehouse-validation", SEEDS, SIZE, warehouse.render), 37, SIZE)
    for seed, sample in zip(SEEDS, drawn, strict=True):
        here = warehouse.render(seed, SIZE)
        for name in ("image", "boxes", "labels", "mask"):
            np.testing.assert_array_equal(getattr(sample, name), getattr(here, name))


def test_workers_with_another_version_of_anything_are_refused(scheduler, monkeypatch):
    ours = cluster.versions()

    def versions():
        here = threading.current_thread() is threading.main_thread()
        return ours if here else ours | {"version of numpy": "1.0"}

    monkeypatch.setattr(cluster, "versions", versions)
    status, said = ssdseg("data", "make", "--scheduler", scheduler)
    assert status == 1
    assert f"has another version of numpy, 1.0 and not {ours['version of numpy']}; install the same everywhere" in said


@pytest.mark.parametrize(
    ("address", "words"),
    [("foo", "foo: that is not the address of a scheduler"), ("tcp://127.0.0.1:1", "no Dask scheduler answers there")],
)
def test_an_address_that_cannot_be_right_is_one_sentence(address, words, monkeypatch):
    monkeypatch.setattr(cluster, "CONNECT_SECONDS", 1)
    status, said = ssdseg("data", "make", "--scheduler", address)
    assert (status, words in said) == (1, True), said
