"""`ssdseg train` and `ssdseg evaluate`: train a preset on the Warehouse, and score networks on it."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table

from ssdseg_course.cli import console
from ssdseg_course.cli.data import WAREHOUSE, open_samples

if TYPE_CHECKING:
    from ssdseg_ref.evaluation import Scores

NETWORK_FILE = "network.keras"


class Preset(StrEnum):
    """The two configurations of the network."""

    LESSON = "lesson"
    REFERENCE = "reference"


class Backbone(StrEnum):
    """The two backbones."""

    MOBILENETV2 = "mobilenetv2"
    SHUFFLENETV2 = "shufflenetv2"


def train(
    folder: Annotated[Path, typer.Argument(help="Of this run: gets log.csv, checkpoints and the trained network.")],
    preset: Annotated[Preset, typer.Option(help="Which configuration and recipe.")] = Preset.LESSON,
    backbone: Annotated[Backbone, typer.Option(help="Which backbone.")] = Backbone.MOBILENETV2,
) -> None:
    """Train the joint network on the Warehouse; called again with the same folder, go on where it was stopped."""
    folder.mkdir(parents=True, exist_ok=True)  # or say at once that it cannot be
    console.import_keras()
    import keras

    from ssdseg_ref import multitask, training

    config = multitask.preset(preset, backbone)
    samples, _ = open_samples(WAREHOUSE, "train", config.image_size, None)
    validation, _ = open_samples(WAREHOUSE, "validation", config.image_size, None)
    recipe = training.RECIPES[preset]
    keras.utils.set_random_seed(recipe.seed)
    network = multitask.build_network(config)
    console.output.print(
        f"{preset} on {backbone}: {network.count_params():,} parameters, {len(config.anchors):,} anchors, "
        f"{recipe.epochs} epochs of {len(samples):,} scenes"
    )
    verbose = 1 if console.output.is_terminal else 2  # Keras's bar, or a line an epoch where a bar makes no sense
    training.train(network, config, recipe, samples, validation, folder, verbose=verbose)
    network.save(folder / NETWORK_FILE)
    console.output.print(f"trained network: {escape(str(folder / NETWORK_FILE))}", soft_wrap=True)
    _score(network, config, "validation")


def evaluate(
    name: Annotated[str, typer.Argument(help="A shipped network, such as lesson, or a .keras file that train wrote.")],
    split: Annotated[str, typer.Option(help="Of the Warehouse: train, validation or test.")] = "test",
    preset: Annotated[
        Preset, typer.Option(help="Of a .keras file: the preset that it was trained with.")
    ] = Preset.LESSON,
) -> None:
    """Score a network on the Warehouse: average precision and IoU of every class."""
    console.import_keras()
    import keras

    from ssdseg_ref import multitask

    if name in multitask.SHIPPED:
        _score(multitask.load_network(name), multitask.SHIPPED[name], split)
    elif Path(name).is_file():
        _score(keras.models.load_model(name, compile=False), multitask.preset(preset, Backbone.MOBILENETV2), split)
    else:
        raise ValueError(f"{name}: neither a file nor a shipped network; those are {', '.join(multitask.SHIPPED)}")


def _score(network, config, split: str) -> None:
    from ssdseg_ref import evaluation
    from ssdseg_ref.multitask import Predictor

    samples, _ = open_samples(WAREHOUSE, split, config.image_size, None)
    with console.progress("evaluating") as update:
        scores = evaluation.evaluate(Predictor(network, config), samples, update)
    console.output.print(scores_table(scores, f"{scores.images:,} {split} scenes of the Warehouse"))


def scores_table(scores: "Scores", title: str) -> Table:
    """A row a class, and their means."""
    table = Table("class", title=title)
    for heading in ("AP@.5", "AP@[.5:.95]", "IoU"):
        table.add_column(heading, justify="right")
    for name, ap50, ap, iou in zip(scores.classes, scores.ap50, scores.ap, scores.ious[1:], strict=True):
        table.add_row(escape(name), f"{ap50:.3f}", f"{ap:.3f}", f"{iou:.3f}")
    table.add_section()
    table.add_row("mean", f"{scores.mean_ap50:.3f}", f"{scores.mean_ap:.3f}", f"{scores.mean_iou:.3f}", style="bold")
    return table
