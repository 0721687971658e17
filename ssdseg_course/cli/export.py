"""`ssdseg export`: a network in the formats of phones and browsers, tried out before it counts."""

from collections import defaultdict
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Column, Table

from ssdseg_course.cli import console
from ssdseg_course.cli.console import print_plain
from ssdseg_course.cli.networks import must_be_writable, open_network

if TYPE_CHECKING:
    import keras
    import numpy as np

    from ssdseg_course.export.folder import Exported
    from ssdseg_ref.config import Config
    from ssdseg_ref.data.sample import Sample

CALIBRATION_SCENES = 100  # of the training split
SCENES = 100  # of the validation split, that both networks look at
SAME = 1e-3  # of the spread of an output: what 32 bits may change, by adding in another order
SLOWEST = 12  # operators that are shown one by one


class Format(StrEnum):
    """What a network is exported to."""

    LITERT = "litert"
    ONNX = "onnx"
    SAVEDMODEL = "savedmodel"
    WEB = "web"


NEEDED = {
    Format.LITERT: ("ai_edge_litert",),
    Format.ONNX: ("tf2onnx", "onnx", "onnxruntime"),
    Format.SAVEDMODEL: (),
    Format.WEB: (),
}


class Bits(StrEnum):
    """Of a number."""

    FLOAT32 = "32"
    FLOAT16 = "16"
    INT8 = "8"


def export(
    network: Annotated[
        str, typer.Argument(help="A shipped network, such as mobilenetv2, or what `train` has written.")
    ],
    to: Annotated[
        Format, typer.Option(help="litert for phones, onnx, TensorFlow's savedmodel, or a page with a live camera.")
    ],
    out: Annotated[Path, typer.Option(help="The folder to write, new, empty, or an earlier export.")],
    bits: Annotated[
        Bits | None, typer.Option(help="Of litert and web. Default: 32, and 16 for web; 8 is all in whole numbers.")
    ] = None,
    one_file: Annotated[
        bool, typer.Option("--one-file", help="Of web: one html file that needs nothing else.")
    ] = False,
    explain: Annotated[
        bool, typer.Option("--explain", help="Of litert: also time every operator of the file, and print a table.")
    ] = False,
) -> None:
    """Write a network for phones, browsers or other programs, with labels, anchors and lines of code that use it.

    What is written is run beside the network on scenes of the Warehouse first: it prints the largest difference and
    the scores of both.

    \b
    ssdseg export mobilenetv2 --to litert --bits 8 --out out/phone
    ssdseg evaluate out/phone

    For the web it writes a page with a live camera, which needs no server and no network, and in which the shipped
    networks can be chosen as well.

    \b
    ssdseg export my_run --to web --one-file --out out/page
    """
    _refuse_what_does_not_fit(to, bits, one_file, explain)
    must_be_writable(out)  # before the seconds that a network takes
    from ssdseg_course.export import folder as exports
    from ssdseg_course.export.tracing import must_be_installed
    from ssdseg_ref.config import SHIPPED

    must_be_installed(*NEEDED[to])
    exports.must_be_free(out)
    model, config = open_network(network)
    _must_be_a_network(model, network)
    name, number = Path(network).absolute().name, int(bits or (16 if to is Format.WEB else 32))
    if to is Format.WEB:
        own = f"{name} (yours)" if name in SHIPPED and network not in SHIPPED else name
        _write_page(own, model, config, out, number, one_file)
        return
    with exports.replaced_folder(out) as draft:
        calibration = _calibration(config) if number == 8 else None
        with console.output.status("converting" + ("; 8 bits take a minute" if number == 8 else "")):
            exports.write_export(model, name, config, to, number, draft, calibration)
        exported, _ = exports.open_export(draft)
        _try_out(model, exported, config, number)
    size = sum(path.stat().st_size for path in out.rglob("*") if path.is_file()) / 1e6
    print_plain(f"written: {out} ({size:.1f} MB); README.md there shows how to use it")
    if explain:
        _explain((out / exports.MODELS[to]).read_bytes())


def _write_page(name: str, model: "keras.Model", config: "Config", out: Path, bits: int, one_file: bool) -> None:
    """Write the page with this network and the shipped ones; this one is tried out, the others are known."""
    from functools import cache

    from ssdseg_course.export import litert
    from ssdseg_course.export.page import write_page
    from ssdseg_course.export.tracing import must_be_installed
    from ssdseg_ref import multitask

    calibration = cache(_calibration)

    def convert(title: str, network: "keras.Model", its_config: "Config", bits: int) -> bytes:
        images = calibration(its_config) if bits == 8 else None
        with console.output.status(f"converting {title}" + ("; 8 bits take a minute" if bits == 8 else "")):
            content = litert.convert(network, bits, images)
        if title == name:
            try:
                must_be_installed("ai_edge_litert")
            except ValueError as error:
                print_plain(f"not tried out beside the network: {error}")
            else:
                _try_out(network, litert.LiteRTNetwork(content), its_config, bits)
        return content

    shipped = {
        other: (multitask.load_network(other), shape) for other, shape in multitask.SHIPPED.items() if other != name
    }
    write_page({name: (model, config), **shipped}, out, bits, one_file, convert)
    page = out / "index.html"
    size = sum(path.stat().st_size for path in out.rglob("*") if path.is_file()) / 1e6
    print_plain(
        f"written: {out} ({size:.1f} MB); open {page} in a browser" + ("; it needs no other file" if one_file else "")
    )


def _refuse_what_does_not_fit(to: Format, bits: Bits | None, one_file: bool, explain: bool) -> None:
    if bits not in (None, Bits.FLOAT32) and to not in (Format.LITERT, Format.WEB):
        raise ValueError(f"--bits {bits} is for --to litert and --to web; {to} has 32 bits")
    if one_file and to is not Format.WEB:
        raise ValueError("--one-file is for --to web only")
    if explain and to is not Format.LITERT:
        raise ValueError("--explain is for --to litert only")


def _must_be_a_network(model: "keras.Model", name: str) -> None:
    import keras
    import numpy as np

    if not isinstance(model, keras.Model):
        raise ValueError(f"{name}: is exported already; export the network that it was made from")
    if not all(np.isfinite(values).all() for values in model.get_weights()):
        raise ValueError(f"{name}: some of its weights are not finite numbers: its training must have diverged")


def _calibration(config: "Config") -> "np.ndarray":
    import numpy as np

    return np.stack([sample.image for sample in _scenes("train", CALIBRATION_SCENES, config)])


def _scenes(split: str, count: int, config: "Config") -> list["Sample"]:
    """The first scenes of a split, without drawing the others."""
    from ssdseg_ref.data import warehouse

    seeds = warehouse.SPLITS[split][:count]
    return [warehouse.render(seed, config.image_size) for seed in console.tracked(seeds, f"drawing {split} scenes")]


def _try_out(model: "keras.Model", exported: "Exported", config: "Config", bits: int) -> None:
    """Run both on the same scenes; print the largest difference of each output, and both scores.

    Raises:
        ValueError: if the outputs are not the network's.
    """
    import numpy as np

    from ssdseg_ref import evaluation
    from ssdseg_ref.data import warehouse
    from ssdseg_ref.prediction import Predictor

    samples = _scenes("validation", SCENES, config)
    few = np.stack([sample.image for sample in samples[:8]])
    right, got = model.predict_on_batch(few), exported.predict_on_batch(few)
    off = {name: float(np.abs(right[name] - got[name]).max()) for name in right}
    spread = {name: float(np.std(right[name])) for name in right}
    said = ", ".join(f"{name} {off[name]:.2g} (spread {spread[name]:.2g})" for name in off)
    print_plain(f"largest difference of the raw outputs from the network's: {said}")
    if not all(np.isfinite(value) for value in off.values()) or (
        bits == 32 and any(off[name] > SAME * max(spread[name], SAME) for name in off)
    ):
        raise ValueError("what was written does not compute what the network computes, so nothing was kept")
    if tuple(config.classes) != tuple(warehouse.CLASSES):
        ranges = " Its ranges come from the Warehouse's scenes all the same." if bits == 8 else ""
        print_plain(f"It knows other classes than the Warehouse, so there is no score.{ranges}")
        return
    table = Table("", title=f"{len(samples)} validation scenes of the Warehouse")
    for heading in ("mAP@.5", "mAP@[.5:.95]", "mIoU"):
        table.add_column(heading, justify="right")
    for title, network in (("the network", model), ("what was written", exported)):
        with console.progress(f"scoring {title}") as update:
            scores = evaluation.evaluate(Predictor(network, config), samples, update)
        table.add_row(title, *(f"{value:.3f}" for value in (scores.mean_ap50, scores.mean_ap, scores.mean_iou)))
    console.output.print(table)


def _explain(content: bytes) -> None:
    """Print the operators of a file by their type, and the slowest of them."""
    from ssdseg_course.export.operators import operators, whole_milliseconds

    with console.progress("timing operators") as update:
        found = operators(content, progress=update)
    together = sum(operator.milliseconds for operator in found)
    kinds: dict[str, list[float]] = defaultdict(list)
    for operator in found:
        kinds[operator.kind].append(operator.milliseconds)
    types = Table("type", title="operators, each timed alone, on one thread")
    for heading in ("count", "ms", "share"):
        types.add_column(heading, justify="right")
    for kind, times in sorted(kinds.items(), key=lambda entry: -sum(entry[1])):
        types.add_row(kind, f"{len(times)}", f"{sum(times):.2f}", f"{sum(times) / together:.1%}")
    types.add_section()
    types.add_row("together", f"{len(found)}", f"{together:.2f}", "")
    types.add_row("the whole file", "", f"{whole_milliseconds(content):.2f}", "")
    console.output.print(types)
    slowest = Table(Column("operator", overflow="fold"), "type", "makes", title=f"the {SLOWEST} slowest")
    for heading in ("ms", "share"):
        slowest.add_column(heading, justify="right")
    for operator in sorted(found, key=lambda operator: -operator.milliseconds)[:SLOWEST]:
        shape = " x ".join(map(str, operator.shape))
        share = f"{operator.milliseconds / together:.1%}"
        slowest.add_row(escape(operator.name), operator.kind, shape, f"{operator.milliseconds:.2f}", share)
    console.output.print(slowest)
