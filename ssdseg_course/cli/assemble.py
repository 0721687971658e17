"""`ssdseg assemble`: the joint network out of the learner's own functions, with the shipped weights in it."""

from collections.abc import Iterator, Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table

from ssdseg_course.cli import console
from ssdseg_course.cli.console import print_plain
from ssdseg_course.cli.data import WAREHOUSE, open_samples
from ssdseg_course.manifest import LESSONS

if TYPE_CHECKING:
    import numpy as np

    from ssdseg_course.assemble import Assembly, Piece
    from ssdseg_ref.multitask import Prediction

    Outputs = dict[str, np.ndarray]  # of a network

SCENES = 16  # of the test split, that both networks look at
SAME = 1e-3  # of the spread of an output: what adding in another order may change


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

    assembly = look_at_pieces()
    config = multitask.SHIPPED[network]
    shipped = multitask.load_network(network)
    with console.output.status("building the network and looking at scenes"):
        built = assembly.build_network(config)
        copy_weights(shipped, built)
        samples, _ = open_samples(WAREHOUSE, "test", config.image_size, None)
        images = np.stack([samples[index].image for index in range(SCENES)])
        right, yours = shipped.predict_on_batch(images), built.predict_on_batch(images)
        expected = multitask.Predictor(shipped, config)(images)
        with assembly.in_place():
            got = multitask.Predictor(built, replace(config))(images)
    console.output.print(pieces_table(assembly.at_work, f"the pieces of the network {network}"))
    same = sum(_agree(*pair) for pair in zip(got, expected, strict=True))
    found = sum(len(prediction.boxes) for prediction in got)
    print_plain(
        f"{built.count_params():,} parameters, with the weights of {network}. In {same} of {SCENES} test scenes it "
        f"sees what the reference sees: the same boxes, classes and mask ({found:,} boxes in all)."
    )
    off = {key: float(np.abs(right[key] - yours[key]).max() / np.std(right[key])) for key in right}
    if max(off.values()) <= SAME and same == SCENES:
        print_plain("Its raw outputs are the reference's, too, but for rounding in the last digits.")
        return
    for difference in differences(right, yours, off):
        print_plain(f"- {difference}")
    raise ValueError("the network out of your functions does not see what the reference sees")


def pieces_table(pieces: "Sequence[Piece]", title: str) -> Table:
    """Whose the pieces are, one row per lesson, and what to do about those that are not the learner's."""
    own = sum(piece.function is not None for piece in pieces)
    table = Table(title=f"{title}: {own} of {len(pieces)} are yours")
    for heading in ("lesson", "yours", "the reference's", "why"):
        table.add_column(heading, overflow="fold")
    for lesson in LESSONS:
        of_lesson = [piece for piece in pieces if int(piece.exercise_id[:2]) == lesson.number]
        if of_lesson:
            sides = [
                "\n".join(piece.exercise_id[3:] for piece in of_lesson if (piece.function is not None) == mine)
                for mine in (True, False)
            ]
            why = "\n".join(dict.fromkeys(piece.note for piece in of_lesson if piece.note))
            table.add_row(str(lesson.number), *sides, escape(why))
    return table


def look_at_pieces() -> "Assembly":
    """The learner's functions, each tried out, with progress."""
    from ssdseg_course.assemble import assemble

    with console.progress("trying your functions") as update:
        return assemble(progress=update)


def differences(right: "Outputs", yours: "Outputs", off: dict[str, float]) -> Iterator[str]:
    """What differs between the outputs of two networks, in words."""
    import numpy as np

    if off["classes"] > SAME:
        other = np.mean(right["classes"].argmax(-1) != yours["classes"].argmax(-1))
        yield f"{100 * other:.1f} % of the anchors are given another class: look at the backbone and at the class heads"
    if off["offsets"] > SAME:
        yield (
            f"boxes are moved and scaled differently, by up to {off['offsets']:.2g} times the spread of the offsets: "
            "look at the backbone and at the box heads"
        )
    if off["mask"] > SAME:
        other = np.mean(right["mask"].argmax(-1) != yours["mask"].argmax(-1))
        yield f"{100 * other:.1f} % of the pixels get another class: look at the backbone, at `aspp` and at `decoder`"
    if max(off.values()) <= SAME:
        yield "its raw outputs are right, so look at what follows them: anchors, decoding, suppression, the gate"


def _agree(a: "Prediction", b: "Prediction") -> bool:
    import numpy as np

    return (
        len(a.boxes) == len(b.boxes)
        and np.array_equal(a.labels, b.labels)
        and np.allclose(a.boxes, b.boxes, atol=1e-3)
        and np.mean(a.mask == b.mask) > 0.999
    )
