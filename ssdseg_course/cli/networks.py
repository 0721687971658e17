"""`ssdseg train` and `ssdseg evaluate`: train a preset on the Warehouse, and score networks on it."""

import json
import shutil
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from math import isnan
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table

from ssdseg_course.cli import console
from ssdseg_course.cli.assemble import look_at_pieces, pieces_table
from ssdseg_course.cli.console import print_plain
from ssdseg_course.cli.data import WAREHOUSE, must_have_read_all, open_data, open_samples, readable
from ssdseg_course.words import count
from ssdseg_ref.keeping import locked, sweep_files, whole_file, write_whole

if TYPE_CHECKING:
    import keras

    from ssdseg_course.export.folder import Exported
    from ssdseg_ref.config import Config
    from ssdseg_ref.data.sample import Sample
    from ssdseg_ref.evaluation import Scores

NETWORK_FILE = "network.keras"
RUN_FILE = "run.json"  # in a run's folder: what it was begun with
CHECKPOINTS = "checkpoints"  # as in `ssdseg_ref.checkpoints`, which imports Keras


class Preset(StrEnum):
    """The two configurations of the network."""

    LESSON = "lesson"
    REFERENCE = "reference"


class Backbone(StrEnum):
    """The two backbones."""

    MOBILENETV2 = "mobilenetv2"
    SHUFFLENETV2 = "shufflenetv2"


def train(
    folder: Annotated[
        Path, typer.Argument(help="Folder of this run, for its log, its checkpoints and the trained network.")
    ],
    preset: Annotated[Preset, typer.Option(help="Which configuration and recipe.")] = Preset.LESSON,
    backbone: Annotated[Backbone, typer.Option(help="Which backbone.")] = Backbone.MOBILENETV2,
    mine: Annotated[bool, typer.Option("--mine", help="Train with your own functions from the lessons.")] = False,
) -> None:
    """Train the joint network on the Warehouse; with the folder of a run that was stopped, resume it."""
    begun = TrainingRun(preset.value, backbone.value, mine)
    if not folder.is_dir():
        must_be_writable(folder)  # or say so before anything is drawn
        folder.mkdir(parents=True)
    with locked(folder):
        _must_go_on_as_begun(folder, begun)
        if _has_finished(folder):
            _clear_up(folder)
            print_plain(
                f"{folder}: this training has finished; `ssdseg evaluate {folder}` scores its network. To train again, "
                "use another folder."
            )
            return
        must_be_writable(folder)
        with _stops_explained(folder, begun):
            _train(folder, begun)


def _train(folder: Path, begun: "TrainingRun") -> None:
    """Train what was begun, or the rest of it, save it, and score it."""
    console.import_keras()
    import keras

    from ssdseg_ref import multitask, training

    own = look_at_pieces() if begun.mine else None
    if own:
        console.output.print(pieces_table(own.pieces, "what a training can call"))
    write_whole(folder / RUN_FILE, json.dumps(asdict(begun)) + "\n")
    with own.in_place() if own else nullcontext():
        config = replace(multitask.preset(begun.preset, begun.backbone))
        recipe = training.RECIPES[begun.preset]
        samples, _ = open_samples(WAREHOUSE, recipe.split, config.image_size, None)
        validation, _ = open_samples(WAREHOUSE, "validation", config.image_size, None)
        keras.utils.set_random_seed(recipe.seed)
        network = multitask.build_network(config)
        done = training.finished_epochs(folder)
        console.output.print(
            f"{begun.preset} on {begun.backbone}: {network.count_params():,} parameters, "
            f"{len(config.anchors):,} anchors, {recipe.epochs} epochs of {len(samples):,} scenes"
            + (f", {done} of them done" if done else "")
        )
        verbose = 1 if console.output.is_terminal else 2  # Keras's bar, or one line per epoch in a file
        training.train(network, config, recipe, samples, validation, folder, verbose=verbose)
        _save(network, folder / NETWORK_FILE)
        _clear_up(folder)
        console.output.print(f"trained network: {escape(str(folder / NETWORK_FILE))}", soft_wrap=True)
        score(network, config, "validation")
    if own:
        idle = [piece.exercise_id for piece in own.own if piece not in own.at_work]
        never = f"; right, but never called: {', '.join(idle)}" if idle else ""
        print_plain(f"{len(own.own) - len(idle)} of your functions were at work in it{never}")


def _save(network: "keras.Model", path: Path) -> None:
    try:
        with whole_file(path) as draft:
            network.save(draft)
    except (OSError, RuntimeError) as error:  # the latter from h5py
        reason = getattr(error, "strerror", None) or error
        raise OSError(
            f"{path}: cannot be written ({reason}); the training is kept, once there is room the same command saves it"
        ) from error


def _has_finished(folder: Path) -> bool:
    """Whether a whole network is there, which nothing may write over.

    Raises:
        ValueError: if it is there and cannot be this command's, or is not whole and cannot be saved again.
    """
    path = folder / NETWORK_FILE
    if not path.exists():
        return False
    if zipfile.is_zipfile(path):  # it looks for the end of the file
        if not (folder / RUN_FILE).exists():
            raise ValueError(f"{path}: the network of some other training; use another folder")
        return True
    if not any((folder / CHECKPOINTS).glob("*.json")):
        raise ValueError(f"{path}: cut off, or not a network; delete it, and the same command trains again")
    return False


def _clear_up(folder: Path) -> None:
    """Remove what a finished training no longer needs."""
    shutil.rmtree(folder / CHECKPOINTS, ignore_errors=True)
    sweep_files(folder)


@contextmanager
def _stops_explained(folder: Path, begun: "TrainingRun") -> Iterator[None]:
    """At Ctrl-C, say what is kept and how to resume."""
    try:
        yield
    except KeyboardInterrupt:
        command = f"`ssdseg train {folder} {begun}`"
        if (folder / NETWORK_FILE).exists() and zipfile.is_zipfile(folder / NETWORK_FILE):
            words = f"stopped; the training has finished, its network is {folder / NETWORK_FILE}"
        elif records := sorted((folder / CHECKPOINTS).glob("*.json")):
            epochs = int(records[-1].stem)
            words = f"stopped; {count(epochs, 'complete epoch')} kept in {folder}: {command} resumes from there"
        else:
            words = f"stopped before the first epoch was complete; {command} starts again"
        print_plain(words, console.errors)
        raise typer.Exit(130) from None


@dataclass(frozen=True)
class TrainingRun:
    """What a training was begun with; another network cannot go on from its checkpoints.

    Attributes:
        preset: of the network.
        backbone: of the network.
        mine: whether with the learner's functions.
    """

    preset: str
    backbone: str
    mine: bool

    def __str__(self) -> str:
        return f"--preset {self.preset} --backbone {self.backbone}{' --mine' if self.mine else ''}"


def must_be_writable(folder: Path) -> None:
    """Say so at once, and by its name, if a folder cannot be written to; make nothing.

    Raises:
        ValueError: if it is not a folder, or cannot be written to, or the nearest one above it cannot.
    """
    above = next(place for place in (folder, *folder.absolute().parents) if place.exists())
    if not above.is_dir():
        raise ValueError(f"{above}: is a file, not a folder")
    try:
        with tempfile.TemporaryFile(dir=above):
            pass
    except OSError as error:
        raise ValueError(f"{above}: cannot be written to ({error.strerror}); use another folder") from error


def _must_go_on_as_begun(folder: Path, wanted: TrainingRun) -> None:
    path = folder / RUN_FILE
    try:
        noted = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return
    except ValueError as error:
        raise ValueError(
            f"{path}: damaged; delete it and go on with the options that the training was begun with, or use another "
            "folder"
        ) from error
    if not isinstance(noted, dict) or set(noted) != set(asdict(wanted)):
        raise ValueError(f"{path}: written by another version of the course; use another folder")
    if noted != asdict(wanted):
        raise ValueError(
            f"{folder}: holds a training that was begun with {TrainingRun(**noted)}; go on with these, or use "
            "another folder"
        )


def evaluate(
    name: Annotated[
        str,
        typer.Argument(help="A shipped network, such as mobilenetv2, or what `train` or `export` has written."),
    ],
    data: Annotated[
        str, typer.Option("--data", metavar="NAME", help="A data set by its name or its path, see `ssdseg data list`.")
    ] = WAREHOUSE,
    split: Annotated[
        str | None,
        typer.Option(help="Such as validation. Default: test of the Warehouse, else the only one, or train."),
    ] = None,
) -> None:
    """Score a network on a data set: average precision and IoU of every class.

    Classes are found by their names; one that the network does not know is background.

    \b
    ssdseg evaluate mobilenetv2 --data pennfudan --split validation
    """
    if data != WAREHOUSE:
        opened = open_data(data, split, None, None)  # before the seconds that a network takes
    network, config = open_network(name)
    if data == WAREHOUSE:
        score(network, config, split or "test")
        return
    from ssdseg_ref.data import registry

    judged = readable(registry.in_labels_of(opened, config.classes).samples)
    for _ in console.tracked(judged, "reading"):  # once, so that nothing ends the evaluation half-way
        pass
    print_scores(network, config, judged, f"{len(judged):,} images of {data}")
    if not opened.has_masks:
        print_plain(f"{data} has boxes alone, so masks have no score")
    must_have_read_all(judged)


def open_network(name: str) -> tuple["keras.Model | Exported", "Config"]:
    """A network, and the configuration that it was built from.

    Args:
        name: of a shipped network, of a `.keras` file, of a folder that `train` wrote one into, of what `export` has
            written, or of a `.tflite` or `.onnx` file.

    Raises:
        ValueError: if there is none, its training has not finished, or it was built from no preset. One with another
            number of classes counts as a preset's; their names are not known, so they are numbered.
    """
    from ssdseg_course.export.folder import is_export, open_export
    from ssdseg_ref.config import SHIPPED, fitting_preset

    path = Path(name)
    if name not in SHIPPED and path.exists() and is_export(path):
        return open_export(path)
    path = path / NETWORK_FILE if path.is_dir() else path
    console.import_keras()
    import keras

    from ssdseg_ref import multitask

    if name in SHIPPED:
        return multitask.load_network(name), SHIPPED[name]
    if not path.exists() and any((Path(name) / part).exists() for part in (RUN_FILE, CHECKPOINTS)):
        raise ValueError(f"{name}: its training has not finished; `ssdseg train {name}` goes on with it")
    if not path.is_file():
        raise ValueError(
            f"{name}: neither a file, nor a folder of a finished training, nor a shipped network; those are "
            f"{', '.join(SHIPPED)}"
        )
    try:
        network = keras.models.load_model(path, compile=False)
    except (ValueError, TypeError, KeyError, OSError, zipfile.BadZipFile) as error:  # some with a page about formats
        raise ValueError(f"{path}: not a network that Keras can read; `ssdseg train` writes {NETWORK_FILE}") from error
    outputs = getattr(network, "output", None)
    if isinstance(outputs, dict) and {"classes", "offsets", "mask"} <= set(outputs):
        config = fitting_preset(network.input_shape[1:3], outputs["classes"].shape[1:])
        if config and network.input_shape == (None, *config.image_size, 3):
            return network, config
    raise ValueError(f"{path}: a Keras network, but built from none of the presets {', '.join(multitask.PRESETS)}")


def score(network: "keras.Model | Exported", config: "Config", split: str) -> None:
    """Print a network's scores on a split of the Warehouse.

    Raises:
        ValueError: if the network has another number of classes.
    """
    samples, names = open_samples(WAREHOUSE, split, config.image_size, None)
    if len(names) != len(config.classes):
        raise ValueError(f"the network knows {len(config.classes)} classes, the Warehouse has {len(names)}")
    print_scores(network, config, samples, f"{len(samples):,} {split} scenes of the Warehouse")


def print_scores(network: "keras.Model | Exported", config: "Config", samples: Sequence["Sample"], title: str) -> None:
    """Print a network's scores on samples that have its own labels."""
    from ssdseg_ref import evaluation
    from ssdseg_ref.prediction import Predictor

    with console.progress("evaluating") as update:
        scores = evaluation.evaluate(Predictor(network, config), samples, update)
    console.output.print(scores_table(scores, escape(title)))


def scores_table(scores: "Scores", title: str) -> Table:
    """One row per class, and their means."""
    table = Table("class", title=title)
    for heading in ("AP@.5", "AP@[.5:.95]", "IoU"):
        table.add_column(heading, justify="right")
    for name, ap50, ap, iou in zip(scores.classes, scores.ap50, scores.ap, scores.ious[1:], strict=True):
        table.add_row(escape(name), *map(_three_digits, (ap50, ap, iou)))
    table.add_section()
    means = map(_three_digits, (scores.mean_ap50, scores.mean_ap, scores.mean_iou))
    table.add_row("mean", *means, style="bold")
    return table


def _three_digits(number: float) -> str:
    """A score; a dash where a class does not occur."""
    return "-" if isnan(number) else f"{number:.3f}"
