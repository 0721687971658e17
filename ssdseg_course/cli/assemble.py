"""`ssdseg assemble`: the joint network out of the learner's own functions, with the shipped weights in it."""

from enum import StrEnum
from typing import Annotated

import typer

from ssdseg_course.cli import console
from ssdseg_course.cli.data import WAREHOUSE, open_samples
from ssdseg_course.cli.networks import own_pieces

SCENES = 16  # of the test split, that both networks look at
SAME = 1e-3  # of the spread of an output: what another order of additions may change


class Shipped(StrEnum):
    """The networks whose weights are there."""

    LESSON = "lesson"
    MOBILENETV2 = "mobilenetv2"
    SHUFFLENETV2 = "shufflenetv2"


def assemble(
    network: Annotated[Shipped, typer.Option(help="The shipped network whose weights are put in.")] = Shipped.LESSON,
) -> None:
    """Build the joint network out of your own functions, put the shipped weights in, and compare with the reference."""
    console.import_keras()
    from dataclasses import replace

    import numpy as np

    from ssdseg_course.checking.layer_graph import copy_weights
    from ssdseg_ref import multitask

    assembly = own_pieces()
    config = multitask.SHIPPED[network]
    shipped = multitask.load_network(network)
    built = assembly.build_network(config)
    copy_weights(shipped, built)
    samples, _ = open_samples(WAREHOUSE, "test", config.image_size, None)
    images = np.stack([samples[index].image for index in range(SCENES)])

    right, yours = shipped.predict_on_batch(images), built.predict_on_batch(images)
    off = {key: float(np.abs(right[key] - yours[key]).max() / np.std(right[key])) for key in right}
    console.output.print(
        f"{built.count_params():,} parameters, the weights of {network}, {SCENES} test scenes. Largest difference of "
        "outputs, in parts of their spread: " + ", ".join(f"{key} {value:.1g}" for key, value in off.items()),
        highlight=False,
    )
    expected = multitask.Predictor(shipped, config)(images)
    with assembly.in_place():
        got = multitask.Predictor(built, replace(config))(images)
    same = sum(_agree(*pair) for pair in zip(got, expected, strict=True))
    found = sum(len(prediction.boxes) for prediction in got)
    console.output.print(f"{same} of {SCENES} scenes have the same boxes, classes and mask; {found:,} boxes in all")
    if max(off.values()) > SAME or same < SCENES:
        raise ValueError("the network out of your functions does not give what the reference gives")


def _agree(a, b) -> bool:
    import numpy as np

    return (
        len(a.boxes) == len(b.boxes)
        and np.array_equal(a.labels, b.labels)
        and np.allclose(a.boxes, b.boxes, atol=1e-3)
        and np.mean(a.mask == b.mask) > 0.999
    )
