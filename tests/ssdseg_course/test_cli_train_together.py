"""Does one command a machine, or one for a whole cluster, train one network?"""

import json
import re
import shutil
import socket
import subprocess
import sys
import threading
import zipfile
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest
from clusters import workers_in_threads
from distributed import Client
from distributed.comm.core import CommClosedError
from typer.testing import CliRunner

from ssdseg_course import cluster
from ssdseg_course.cli import app, cluster_training
from ssdseg_course.cli.networks import NETWORK_FILE, open_network
from ssdseg_course.cluster import ClusterError
from ssdseg_course.digest import versions
from ssdseg_ref.checkpoints import finished_epochs
from ssdseg_ref.data import convert, warehouse
from ssdseg_ref.training import RECIPES
from ssdseg_ref.workers import joined

SCRIPT = (sys.executable, str(Path(__file__).with_name("quick_ssdseg.py")))


@pytest.fixture(scope="module")
def coco(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data") / "coco"
    scenes = [warehouse.render(seed, (72, 100)) for seed in range(24)]
    convert.TARGETS["coco"].write({"train": scenes[:16], "val": scenes[16:]}, warehouse.CLASSES, folder, True)
    return folder


@pytest.fixture(autouse=True)
def quiet(monkeypatch, tmp_path):
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "3")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    monkeypatch.setenv("SSDSEG_HOME", str(tmp_path / "home"))


def ssdseg(*arguments):
    result = CliRunner().invoke(app, [str(argument) for argument in arguments], env={"COLUMNS": "120"})
    return result.exit_code, " ".join((result.stdout + result.stderr).split())


def addresses():
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
    found = [f"127.0.0.1:{one.getsockname()[1]}" for one in sockets]
    for one in sockets:
        one.close()
    return ",".join(found)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--workers", "127.0.0.1:2222,127.0.0.1:2223"], "--workers and --rank belong together"),
        (["--rank", "0"], "--workers and --rank belong together"),
        (["--workers", "a:1,b:2", "--rank", "0", "--mine"], "--mine is for one machine"),
        (["--scheduler", "tcp://127.0.0.1:1", "--mine"], "--mine is for one machine"),
        (["--workers", "a:1,b:2", "--rank", "0", "--scheduler", "c:3"], "not both"),
        (["--workers", "127.0.0.1:2222", "--rank", "0"], "several workers need several addresses"),
        (["--scheduler", "foo"], "foo: that is not the address of a scheduler"),
    ],
)
def test_what_cannot_be_meant_is_one_sentence(options, words, tmp_path):
    status, said = ssdseg("train", tmp_path / "run", *options)
    assert (status, words in said) == (1, True), said
    assert not (tmp_path / "run" / NETWORK_FILE).exists()


@pytest.mark.parametrize("options", [["--workers", "a:1,b:2", "--rank", "0"], ["--scheduler", "tcp://127.0.0.1:1"]])
def test_a_training_begun_with_own_functions_does_not_go_on_on_several_machines(options, tmp_path):
    (tmp_path / "run.json").write_text(json.dumps({"preset": "lesson", "backbone": "mobilenetv2", "mine": True}))
    status, said = ssdseg("train", tmp_path, *options)
    assert (status, "--mine is for one machine" in said) == (1, True), said


@pytest.mark.slow
def test_one_command_a_machine_trains_one_network(coco, tmp_path):
    places = addresses()
    runs = [tmp_path / "first", tmp_path / "second"]
    options = ["--data", str(coco), "--workers", places]
    commands = [[*SCRIPT, "train", str(run), *options, "--rank", str(rank)] for rank, run in enumerate(runs)]
    processes = [subprocess.Popen(one, stdout=subprocess.PIPE, text=True) for one in commands]
    said = [process.communicate()[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], said
    assert ["forklift" in one.split("trained network")[1] for one in said] == [True, False]  # the table of scores
    first, second = (open_network(str(run))[0].get_weights() for run in runs)
    for one, other in zip(first, second, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("what", ["version of keras", "version of the course", "set of options"])
def test_a_worker_of_other_versions_or_options_is_refused_before_anything_is_trained(what, tmp_path):
    places = addresses()
    same = {**versions(), "set of options": "--preset reference --backbone mobilenetv2"}
    refused = []

    def other_machine():
        try:
            with joined(places.split(","), 1, same | {what: "another"}, lambda _: None):
                pass
        except ValueError as error:
            refused.append(str(error))

    other = threading.Thread(target=other_machine)
    other.start()
    status, said = ssdseg("train", tmp_path, "--preset", "reference", "--workers", places, "--rank", "0")
    other.join()
    assert (status, f"has another {what} than worker 0" in said) == (1, True), said
    assert f"has another {what} than worker 0" in refused[0]
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("seed", "split", "words"),
    [
        (0, "val", "has another set of options than worker 0"),
        (1, "train", "has another checksum of images and labels than worker 0"),
    ],
)
def test_other_options_and_other_data_are_refused_before_the_first_step(seed, split, words, coco, tmp_path):
    """The data set has the same name on both, in folders that differ, as on two machines."""
    places = addresses()
    scenes = [warehouse.render(seed + number, (72, 100)) for number in range(24)]
    other = tmp_path / "coco"
    convert.TARGETS["coco"].write({"train": scenes[:16], "val": scenes[16:]}, warehouse.CLASSES, other, True)
    processes = [
        subprocess.Popen(
            [*SCRIPT, "train", str(tmp_path / f"run{rank}"), *options, "--workers", places, "--rank", str(rank)],
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank, options in enumerate(
            (["--data", str(coco), "--split", "train"], ["--data", str(other), "--split", split])
        )
    ]
    said = [process.communicate()[1] for process in processes]
    assert [process.returncode for process in processes] == [1, 1], said
    assert all(words in one for one in said), said
    assert not list(tmp_path.glob("run?/checkpoints"))


@pytest.mark.slow
def test_a_cluster_trains_and_what_it_has_trained_comes_back(coco, tmp_path, monkeypatch):
    monkeypatch.setattr(cluster_training, "COMMAND", SCRIPT)
    run = tmp_path / "run"
    with workers_in_threads() as scheduler:
        status, said = ssdseg("train", run, "--data", coco, "--scheduler", scheduler)
    assert status == 0, said
    assert "training on 2 of 2 workers epoch 1: loss" in said
    assert open_network(str(run))[1].classes == tuple(warehouse.CLASSES)
    assert not list((tmp_path / "home" / "cluster").iterdir())
    status, said = ssdseg("train", run)
    assert (status, "this training has finished" in said) == (0, True)


def test_what_ends_a_training_on_a_cluster_is_named_and_the_same_command_goes_on(tmp_path, monkeypatch):
    """Where the workers do no more than leave what a training leaves."""
    monkeypatch.setattr(
        cluster_training, "COMMAND", (sys.executable, str(Path(__file__).with_name("training_stub.py")))
    )
    monkeypatch.setattr(cluster_training, "LOOK", 0.2)
    run, home = tmp_path / "run", tmp_path / "home"
    home.mkdir()
    (home / "fail").touch()
    with workers_in_threads() as scheduler:
        status, said = ssdseg("train", run, "--preset", "reference", "--scheduler", scheduler)
        assert status == 1
        assert re.search(r"ssdseg: worker 1, 127\.0\.0\.1:\d+: the disk is full$", said), said
        assert finished_epochs(run) == 1
        (home / "fail").unlink()
        shutil.rmtree(home / "cluster")  # another cluster: what it goes on from has come back to the run's folder
        status, said = ssdseg("train", run, "--scheduler", scheduler)
    assert status == 0, said
    assert "training on 2 of 2 workers epoch 2: loss 1.500, validation loss 2.000 trained network" in said
    with zipfile.ZipFile(run / NETWORK_FILE) as file:
        assert file.read("arguments").startswith(b"--preset reference --backbone mobilenetv2 --workers 127.0.0.1:")
    assert sorted(path.name for path in run.iterdir()) == ["log.csv", NETWORK_FILE, "run.json"]
    assert not list((home / "cluster").iterdir())


@pytest.mark.parametrize("preset", RECIPES)
def test_a_batch_is_shared_equally_by_as_many_of_a_cluster_as_can(preset, monkeypatch, tmp_path):
    """Eleven workers, a prime number; who they are is asked, and no more."""
    batch, asked = RECIPES[preset].batch_size, []

    class Cluster:
        def nthreads(self):
            return {f"tcp://10.0.0.{number}:1": 1 for number in range(10, 21)}

        def run(self, function, workers):
            asked.extend(workers)
            raise ClusterError("that is enough")

    monkeypatch.setattr(cluster, "same_everywhere", lambda _: nullcontext(Cluster()))
    status, said = ssdseg("train", tmp_path / "run", "--preset", preset, "--scheduler", "tcp://10.0.0.5:8786")
    assert status == 1, said
    assert len(asked) > 1
    assert batch % len(asked) == 0
    assert not any(batch % more == 0 for more in range(len(asked) + 1, 12))


@pytest.mark.parametrize(
    ("images", "workers"), [(24, 4), (9, 4), (3, 2), pytest.param(1, None, id="one image is no work for two")]
)
def test_data_of_few_images_is_shared_by_as_many_as_fill_its_batch(images, workers, monkeypatch, tmp_path):
    scenes = [warehouse.render(seed, (72, 100)) for seed in range(images)]
    convert.TARGETS["coco"].write({"train": scenes}, warehouse.CLASSES, tmp_path / "coco", True)
    monkeypatch.setattr(
        cluster_training, "COMMAND", (sys.executable, str(Path(__file__).with_name("training_stub.py")))
    )
    (tmp_path / "home").mkdir()
    with workers_in_threads(4) as scheduler:
        status, said = ssdseg("train", tmp_path / "run", "--data", tmp_path / "coco", "--scheduler", scheduler)
    expected = f"training on {workers} of 4 workers" if workers else "a batch of 1 picture cannot be shared equally by"
    assert (status, expected in said) == (0 if workers else 1, True), said


def test_a_worker_that_dies_while_it_counts_is_one_sentence():
    def die():
        raise CommClosedError("gone")

    with workers_in_threads(1) as scheduler, Client(scheduler, set_as_default=False) as client:
        assert cluster_training.counted_on(client, lambda: 16) == 16
        with pytest.raises(ClusterError, match="the worker that looked at the data has died"):
            cluster_training.counted_on(client, die)


def test_one_worker_is_no_cluster(tmp_path):
    with workers_in_threads(1) as scheduler:
        status, said = ssdseg("train", tmp_path / "run", "--scheduler", scheduler)
    assert (status, "the cluster has one worker; start another, or train here" in said) == (1, True), said
