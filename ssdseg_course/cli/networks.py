"""`ssdseg evaluate`: networks, shipped, trained or exported, and their scores on any data set."""

import json
import tempfile
import zipfile
from collections.abc import Sequence
from dataclasses import replace
from math import isnan
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table

from ssdseg_course.cli import console
from ssdseg_course.cli.console import print_plain
from ssdseg_course.cli.data import WAREHOUSE, are_the_same, must_have_read_all, open_data, open_samples, readable
from ssdseg_course.words import count

if TYPE_CHECKING:
    import keras

    from ssdseg_course.export.folder import Exported
    from ssdseg_ref.config import Config
    from ssdseg_ref.data.sample import Sample
    from ssdseg_ref.evaluation import Scores

NETWORK_FILE = "network.keras"
RUN_FILE = "run.json"  # in a run's folder: what it was begun with
CHECKPOINTS = "checkpoints"  # as in `ssdseg_ref.checkpoints`, which imports Keras


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
    if _learned_from(name, data, split):
        print_plain("it has learned from these images, so others would score lower")
    must_have_read_all(judged)


def _learned_from(name: str, data: str, split: str | None) -> bool:
    """Whether the note in a run's folder says that its network was trained on these images."""
    path = Path(name)
    try:
        folder = path.parent if path.is_file() else path
        noted = json.loads((folder / RUN_FILE).read_text(encoding="utf-8"))
        return are_the_same(data, split, noted["data"], noted.get("split"))
    except (OSError, ValueError, TypeError, KeyError, AttributeError):  # no such note, or a training on the Warehouse
        return False


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
        config = _own_config(path) or fitting_preset(network.input_shape[1:3], outputs["classes"].shape[1:])
        if config and network.input_shape == (None, *config.image_size, 3):
            return network, config
    raise ValueError(f"{path}: a Keras network, but built from none of the presets {', '.join(multitask.PRESETS)}")


def _own_config(path: Path) -> "Config | None":
    """The configuration that a `.keras` file carries; an `.h5` file carries none."""
    from ssdseg_ref.network import read_config

    return read_config(path) if zipfile.is_zipfile(path) else None


def score(network: "keras.Model | Exported", config: "Config", split: str) -> None:
    """Print a network's scores on a split of the Warehouse.

    Raises:
        ValueError: if the network knows other classes.
    """
    samples, names = open_samples(WAREHOUSE, split, config.image_size, None)
    if tuple(names) != tuple(config.classes):
        known = count(len(config.classes), "class", "classes")
        theirs = f"{len(names)} others" if len(names) == len(config.classes) else str(len(names))
        raise ValueError(f"the network knows {known}, the Warehouse has {theirs}; --data says what to score it on")
    print_scores(network, config, samples, f"{len(samples):,} {split} scenes of the Warehouse")


def print_scores(network: "keras.Model | Exported", config: "Config", samples: Sequence["Sample"], title: str) -> None:
    """Print a network's scores on samples that have its own labels."""
    import numpy as np

    from ssdseg_ref import evaluation
    from ssdseg_ref.prediction import Predictor

    with console.progress("evaluating") as update:
        scores = evaluation.evaluate(Predictor(network, config), samples, update)
    if not config.has_masks:
        scores = replace(scores, ious=np.full_like(scores.ious, np.nan))
    console.output.print(scores_table(scores, escape(title)))
    if not config.has_masks:
        print_plain("the network was trained on boxes alone, so its masks have no score")


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
