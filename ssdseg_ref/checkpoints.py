"""What a training leaves in its folder after every epoch, so that a stop of any kind costs one epoch at most.

    log.csv                            one row per epoch
    checkpoints/0003.weights.h5        the network and its optimiser after the third epoch
    checkpoints/0002.best.weights.h5   the averaged weights of the best epoch so far, here the second
    checkpoints/0003.json              the log of all epochs, and what the training was begun with

Files are written whole or not at all, and the json last: an epoch counts once it is there. The epoch before it stays as
well, should a disk lose what it said that it had written.
"""

import csv
import io
import json
from base64 import b64decode, b64encode
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np

from ssdseg_ref.keeping import sweep_files, write_whole

CHECKPOINTS = "checkpoints"  # in a run's folder: what a training that was stopped goes on from
LOG = "log.csv"  # in a run's folder: one row per epoch
JUDGED_BY = "val_loss"
DAMAGED = (OSError, KeyError, RuntimeError)  # what h5py raises on a file that is cut off or overwritten

Log = list[dict[str, float]]  # Keras's logs, one per epoch


class Checkpoints:
    """The whole epochs of a training, in memory and on the disk.

    Args:
        folder: of the run, which this process has locked.
        begun_with: all that another training would differ in, as json takes it.

    Attributes:
        log: of the whole epochs.
        can_go_on: whether the optimiser's state was there as well; a training that has finished keeps none.
    """

    def __init__(self, folder: Path, begun_with: Mapping[str, Any]):
        self.run = folder
        self.folder = folder / CHECKPOINTS
        self.begun_with = json.loads(json.dumps(begun_with, default=str))
        self.log: Log = []
        self.can_go_on = True

    @property
    def epochs(self) -> int:
        """How many whole epochs there are."""
        return len(self.log)

    @property
    def best_epoch(self) -> int:
        """The epoch of least validation loss, the first one of several, counted from 1; 0 before the first."""
        return _best_epoch(self.log)

    def read(self, network: keras.Model, trainer: keras.Model) -> None:
        """Bring both to where the training was stopped; nothing happens where no epoch was whole.

        Args:
            network: gets the weights of the best epoch, if it is not the trainer's own.
            trainer: compiled, and its optimiser built; gets weights and optimiser, unless the training had finished.

        Raises:
            ValueError: if the checkpoints are another training's, or damaged.
        """
        sweep_files(self.folder)
        sweep_files(self.run)
        if (self.folder / "training_metadata.json").exists():
            raise ValueError(f"{self.folder}: checkpoints of an older version of the course; take another folder")
        records = list(_records(self.folder))
        for place, content in enumerate(records, start=1):
            if content["begun_with"] != self.begun_with:
                raise ValueError(
                    f"{self.run}: holds a training that was begun with another recipe, network or data; go on with "
                    "those, or take another folder"
                )
            log = content["log"]
            raw = self._raw(len(log))
            if not raw.exists() and place < len(records):
                continue
            try:
                _load(network.weights, self._best(_best_epoch(log)))
                if raw.exists():
                    _load(_all_of(trainer), raw)
            except DAMAGED:
                continue
            except ValueError as error:
                raise ValueError(
                    f"{self.folder}: the checkpoints are those of another network; take another folder"
                ) from error
            self.log, self.can_go_on = log, raw.exists()
            self._write_log()
            return
        if any(self.folder.glob("*.json")):
            raise self.damaged()

    def damaged(self) -> ValueError:
        """The sentence for checkpoints that no training can go on from."""
        return ValueError(f"{self.folder}: cut off or damaged; delete this folder, and the training starts over")

    def write(self, trainer: keras.Model) -> None:
        """Keep weights and optimiser of the epoch that has just ended, ahead of `add`.

        Raises:
            OSError: if they cannot be written; the epoch before is kept still.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        _save(_all_of(trainer), self._raw(self.epochs + 1))

    def add(self, network: keras.Model, logs: Mapping[str, float]) -> None:
        """Count the epoch whose weights `write` has kept.

        Args:
            network: holds the averaged weights that were judged.
            logs: Keras's, of the epoch.

        Raises:
            OSError: if it cannot be written; the epoch before is kept still.
        """
        log = [*self.log, {name: float(value) for name, value in logs.items()}]
        if _best_epoch(log) == len(log):
            _save(network.weights, self._best(len(log)))
        content = {"begun_with": self.begun_with, "log": log}
        write_whole(self._record(len(log)), json.dumps(content) + "\n")
        self.log = log
        self._write_log()
        self._forget_but(*self._files(log[:-1]), *self._files(log))

    def hand_out(self) -> dict[str, str]:
        """All files, by their names, as text: what `take_over` makes the same epochs of, on another machine."""
        return {path.name: b64encode(path.read_bytes()).decode() for path in self._there()}

    def take_over(self, files: Mapping[str, str]) -> None:
        """Put another one's files in the place of what is here, ahead of `read`.

        Raises:
            OSError: if they cannot be written.
        """
        self._forget_but()
        for name in sorted(files, key=lambda name: name.endswith(".json")):  # an epoch counts once its record is there
            write_whole(self.folder / Path(name).name, b64decode(files[name]))

    def finish(self, network: keras.Model) -> None:
        """Give the network the weights of the best epoch, and forget what only a training would need."""
        _load(network.weights, self._best(self.best_epoch))
        self._forget_but(self._record(self.epochs), self._best(self.best_epoch))

    def _files(self, log: Log) -> tuple[Path, ...]:
        return self._raw(len(log)), self._best(_best_epoch(log)), self._record(len(log))

    def _raw(self, epoch: int) -> Path:
        return self.folder / f"{epoch:04d}.weights.h5"

    def _best(self, epoch: int) -> Path:
        return self.folder / f"{epoch:04d}.best.weights.h5"

    def _record(self, epoch: int) -> Path:
        return self.folder / f"{epoch:04d}.json"

    def _forget_but(self, *kept: Path) -> None:
        # Records first: one without its weights would look like a training that had finished, or like a damaged one.
        for path in sorted(self._there(), key=lambda path: path.suffix != ".json"):
            if path not in kept:
                path.unlink()

    def _there(self) -> list[Path]:
        return [path for path in self.folder.iterdir() if path.is_file()] if self.folder.is_dir() else []

    def _write_log(self) -> None:
        """The whole file again: a line that was cut off is complete then, and no epoch is in it twice."""
        text = io.StringIO(newline="")
        rows = csv.DictWriter(text, ["epoch", *sorted(self.log[0])])
        rows.writeheader()
        rows.writerows({"epoch": epoch, **logs} for epoch, logs in enumerate(self.log))
        write_whole(self.run / LOG, text.getvalue())


def finished_epochs(folder: str | Path) -> int:
    """Whole epochs that are kept of a training; 0 where there is none."""
    return next((len(content["log"]) for content in _records(Path(folder) / CHECKPOINTS)), 0)


def _records(folder: Path) -> Iterator[dict[str, Any]]:
    """What the json files say, newest first; none that cannot be read."""
    for path in sorted(folder.glob("[0-9]*.json"), reverse=True):
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            whole = bool(content["log"]) and all(JUDGED_BY in logs for logs in content["log"])
            if whole and "begun_with" in content:
                yield content
        except (OSError, ValueError, KeyError, TypeError):
            continue


def _best_epoch(log: Log) -> int:
    return min(range(1, len(log) + 1), key=lambda epoch: log[epoch - 1][JUDGED_BY], default=0)


def _all_of(trainer: keras.Model) -> list[keras.Variable]:
    return [*trainer.weights, *trainer.optimizer.variables]


def _save(variables: Sequence[keras.Variable], path: Path) -> None:
    """Keep the values in their order. They are put together in memory: where a disk is full, HDF5 itself would go on
    complaining until the process ends."""
    memory = io.BytesIO()
    with h5py.File(memory, "w") as file:
        for index, variable in enumerate(variables):
            file[f"{index:04d}"] = keras.ops.convert_to_numpy(variable)
    try:
        write_whole(path, memory.getvalue())
    except OSError as error:
        reason = error.strerror or error
        raise OSError(f"{path}: cannot be written ({reason}); what was kept before is there still") from error


def _load(variables: Sequence[keras.Variable], path: Path) -> None:
    """Give the variables their values back, all of them or none.

    Raises:
        ValueError: if they are not those that were kept.
    """
    with h5py.File(path) as file:
        values = [np.asarray(file[name]) for name in sorted(file)]
    if [value.shape for value in values] != [tuple(variable.shape) for variable in variables]:
        raise ValueError(f"{path}: holds the values of other variables")
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)
