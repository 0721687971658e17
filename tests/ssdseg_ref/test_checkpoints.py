"""What is kept of a training: does it go on from every state that a kill, a full disk or a second command leaves?"""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

from ssdseg_ref import checkpoints, keeping
from ssdseg_ref.checkpoints import CHECKPOINTS, LOG, Checkpoints, finished_epochs

BEGUN = {"recipe": {"epochs": 9}}


class Run:
    """A training without its steps: weights that say which epoch they are of, raw and averaged."""

    def __init__(self, folder, begun_with=BEGUN):
        self.network = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, use_bias=False)])
        self.trainer = keras.Sequential([keras.Input((1,)), self.network])
        self.trainer.compile("adam")
        self.trainer.optimizer.build(self.trainer.trainable_variables)
        self.kept = Checkpoints(folder, begun_with)

    def read(self):
        self.kept.read(self.network, self.trainer)
        return self

    def epoch(self, loss):
        number = self.kept.epochs + 1
        self._set(number)
        self.kept.write(self.trainer)
        self._set(-number)
        self.kept.add(self.network, {"val_loss": loss, "loss": np.float32(1)})

    def _set(self, value):
        self.network.set_weights([np.full((1, 1), value, np.float32)])

    @property
    def weight(self):
        return float(self.network.get_weights()[0][0, 0])

    def finished_with(self):
        self.kept.finish(self.network)
        return self.weight


@pytest.fixture
def run(tmp_path):
    """Three epochs of which the second is the best."""
    run = Run(tmp_path)
    for loss in (0.5, 0.25, 0.75):
        run.epoch(loss)
    return run


def test_a_fresh_folder_begins_anew(tmp_path):
    assert Run(tmp_path / "new").read().kept.epochs == finished_epochs(tmp_path / "new") == 0


def test_a_stopped_training_goes_on_from_its_last_epoch_and_remembers_its_best(run, tmp_path):
    again = Run(tmp_path).read()
    assert (again.kept.epochs, again.kept.best_epoch, again.weight) == (3, 2, 3)
    again.epoch(0.3)
    assert again.finished_with() == -2


@pytest.mark.parametrize("own_epochs", [0, 1, 4])
def test_another_machine_goes_on_with_the_epochs_that_it_is_handed(run, tmp_path, own_epochs):
    other = Run(tmp_path / "other")
    for _ in range(own_epochs):
        other.epoch(0.1)
    other.kept.take_over(json.loads(json.dumps(run.kept.hand_out())))
    again = Run(tmp_path / "other").read()
    assert again.kept.log == run.kept.log
    assert again.kept.best_epoch == 2
    assert float(again.trainer.get_weights()[0][0, 0]) == Run(tmp_path).read().weight
    assert again.finished_with() == -2


def test_of_equal_epochs_the_first_is_the_best(tmp_path):
    run = Run(tmp_path)
    run.epoch(0.5)
    run.epoch(0.5)
    assert run.finished_with() == -1


def test_a_finished_training_keeps_its_best_weights_alone(run, tmp_path):
    run.kept.finish(run.network)
    assert {path.name for path in (tmp_path / CHECKPOINTS).iterdir()} == {"0002.best.weights.h5", "0003.json"}
    again = Run(tmp_path).read()
    assert (again.kept.epochs, again.finished_with()) == (3, -2)


def test_no_more_than_two_epochs_are_kept(run, tmp_path):
    assert len(list((tmp_path / CHECKPOINTS).iterdir())) == 5  # the best of both is the same


@pytest.mark.parametrize(
    ("name", "share"),
    [(name, share) for name in ("0003.weights.h5", "0003.json") for share in (0, 0.1, 0.5, 0.99)]
    + [("0003.json", None)]
    + [("0003.weights.h5", None)],
)
def test_a_last_epoch_that_is_damaged_costs_that_epoch(run, tmp_path, name, share):
    damage(tmp_path / CHECKPOINTS / name, share)
    again = Run(tmp_path).read()
    assert (again.kept.epochs, again.weight) == (2, 2)
    with open(tmp_path / LOG, newline="") as file:
        assert len(list(csv.DictReader(file))) == 2


def damage(path, share):
    content = path.read_bytes()
    path.unlink()
    if share is not None:
        path.write_bytes(content[: int(share * len(content))])


def test_without_the_optimisers_state_no_training_goes_on(run, tmp_path):
    for path in (tmp_path / CHECKPOINTS).iterdir():
        if path.name in ("0002.json", "0002.weights.h5", "0003.weights.h5"):
            path.unlink()
    again = Run(tmp_path).read()
    assert (again.kept.epochs, again.kept.can_go_on) == (3, False)
    assert "delete this folder" in str(again.kept.damaged())


def test_what_cannot_be_read_at_all_says_which_folder_to_delete(run, tmp_path):
    damage(tmp_path / CHECKPOINTS / "0002.best.weights.h5", 0.5)
    with pytest.raises(ValueError, match=f"{tmp_path / CHECKPOINTS}: .* damaged; delete this folder"):
        Run(tmp_path).read()


def test_weights_without_a_whole_epoch_begin_anew(run, tmp_path):
    """As after a cut in the very first save."""
    for path in (tmp_path / CHECKPOINTS).iterdir():
        damage(path, 0.5 if path.suffix == ".h5" else None)
    assert Run(tmp_path).read().kept.epochs == 0


def test_a_log_that_is_cut_off_is_whole_again(run, tmp_path):
    whole = (tmp_path / LOG).read_bytes()
    damage(tmp_path / LOG, 0.7)
    Run(tmp_path).read()
    assert (tmp_path / LOG).read_bytes() == whole


@pytest.mark.parametrize("other", [Run, lambda folder: Run(folder, {"recipe": {"epochs": 10}})])
def test_another_training_is_told_so(run, tmp_path, other):
    other = other(tmp_path)
    if other.kept.begun_with == BEGUN:
        other.network = keras.Sequential([keras.Input((2,)), keras.layers.Dense(3)])
    with pytest.raises(ValueError, match=r"another .*take another folder"):
        other.read()


def test_checkpoints_of_an_older_version_are_left_alone(tmp_path):
    (tmp_path / CHECKPOINTS).mkdir()
    (tmp_path / CHECKPOINTS / "training_metadata.json").write_text('{"epoch": 2}')
    with pytest.raises(ValueError, match="older version"):
        Run(tmp_path).read()


class Stopped(Exception):
    """A kill, or a disk that is full."""


@pytest.mark.parametrize("where", ["replace", "bring_to_disk"])
def test_a_stop_at_any_moment_leaves_a_whole_epoch(tmp_path, monkeypatch, where):
    """The third epoch's writing is stopped at its first step, its second, and so on: two epochs or three are there."""
    owner = os if where == "replace" else keeping
    original, seen = getattr(owner, where), set()
    for stop in range(30):
        folder, steps = tmp_path / str(stop), iter(range(1000))
        run = Run(folder)
        run.epoch(0.5)
        run.epoch(0.7)

        def step(*arguments, stop=stop, steps=steps):
            if next(steps) == stop:
                raise Stopped
            return original(*arguments)

        monkeypatch.setattr(owner, where, step)
        try:
            run.epoch(0.25)
            stopped = False
        except Stopped:
            stopped = True
        monkeypatch.setattr(owner, where, original)
        again = Run(folder).read()
        assert again.weight == again.kept.epochs
        seen.add(again.kept.epochs)
        assert not [path for path in folder.rglob("*") if path.name.startswith(".")]
        assert again.finished_with() == (-1 if again.kept.epochs == 2 else -3)
        if not stopped:
            break
    assert not stopped
    assert seen == {2, 3}


def test_a_stop_while_a_finished_training_is_cleared_up_loses_nothing(tmp_path, monkeypatch):
    unlink = Path.unlink
    for stop in range(10):
        folder, steps = tmp_path / str(stop), iter(range(1000))
        run = Run(folder)
        for loss in (0.5, 0.25, 0.75):
            run.epoch(loss)

        def step(path, missing_ok=False, stop=stop, steps=steps):
            if next(steps) == stop:
                raise Stopped
            unlink(path, missing_ok)

        monkeypatch.setattr(Path, "unlink", step)
        try:
            run.kept.finish(run.network)
            stopped = False
        except Stopped:
            stopped = True
        monkeypatch.undo()
        again = Run(folder).read()
        assert (again.kept.epochs, again.finished_with()) == (3, -2)
        if not stopped:
            break
    assert not stopped


def test_a_full_disk_is_named_and_what_was_kept_stays(run, tmp_path, monkeypatch):
    monkeypatch.setattr(keeping, "bring_to_disk", lambda _: (_ for _ in ()).throw(OSError(28, "No space left")))
    with pytest.raises(OSError, match=r"0004\.weights\.h5: cannot be written \(No space left\)"):
        run.epoch(0.1)
    monkeypatch.undo()
    assert Run(tmp_path).read().kept.epochs == 3


def test_two_commands_do_not_train_in_one_folder(tmp_path):
    code = "import sys; from ssdseg_ref.keeping import locked\nwith locked(sys.argv[1]): print(1, flush=True); input()"
    command = [sys.executable, "-c", code, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        other.stdout.readline()
        with pytest.raises(ValueError, match="another command is at work there"), keeping.locked(tmp_path):
            pass
        other.kill()
        other.wait()
    with keeping.locked(tmp_path), keeping.locked(tmp_path):  # a killed process holds nothing
        pass


def test_where_nothing_can_be_locked_work_goes_on(tmp_path, monkeypatch):
    monkeypatch.setattr(keeping, "fcntl", None)
    with keeping.locked(tmp_path):
        assert checkpoints.finished_epochs(tmp_path) == 0
