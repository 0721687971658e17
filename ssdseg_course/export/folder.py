"""The folder of an export: the model, and all that an app needs to feed it and to decode what it says."""

import json
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import numpy as np

from ssdseg_course.export import litert, onnx, savedmodel
from ssdseg_course.export.recipes import readme
from ssdseg_course.export.tracing import INPUT
from ssdseg_course.manifest import version
from ssdseg_ref.coding import VARIANCES
from ssdseg_ref.config import PRESETS, Config, config_of, fitting_preset
from ssdseg_ref.keeping import whole_folder
from ssdseg_ref.prediction import Predictor

if TYPE_CHECKING:
    import keras

MODELS = {"litert": "model.tflite", "onnx": "model.onnx", "savedmodel": "saved_model"}
DESCRIPTION = "model.json"
FORMAT = "ssdseg-export"
PAGE = "index.html"  # in the place of a model: what `ssdseg export --to web` writes
LABELS = "labels.txt"
ANCHORS = "anchors.bin"
DRAFT = re.compile(r".*[\\/]\.[^\\/]+\.[0-9a-f]{32}(?=[\\/]|$)")  # the path of the folder that `whole_folder` gives
LEAST_SCORE = 0.4  # of a box that is shown, as in `ssdseg predict`

Exported = litert.LiteRTNetwork | onnx.OnnxNetwork | savedmodel.SavedModelNetwork


def describe(name: str, config: Config, model: str = MODELS["litert"], bits: int = 32) -> dict[str, Any]:
    """What stands in `model.json`: how to feed the network, what comes out, and all that decoding needs.

    Args:
        name: of the network, as the user knows it.
        config: that it was built from.
        model: the file beside the description.
        bits: of its numbers.
    """
    height, width = config.image_size
    values, anchors = len(config.classes) + 1, len(config.anchors)
    batch = 1 if model.endswith(".tflite") else None
    predictor = Predictor(None, config)
    return {
        "format": FORMAT,
        "course": version(),
        "network": name,
        "model": model,
        "bits": bits,
        "input": {
            "name": INPUT,
            "shape": [batch, height, width, 3],
            "type": "float32",
            "channels": "RGB",
            "range": [0, 255],
        },
        "outputs": {
            "classes": {"shape": [batch, anchors, values], "holds": "logits of every anchor, background first"},
            "offsets": {"shape": [batch, anchors, 4], "holds": "dx, dy, dw, dh of a box from its anchor"},
            "mask": {"shape": [batch, height, width, values], "holds": "logits of every pixel, background first"},
        },
        "labels": labels(config),
        "anchors": {
            "file": ANCHORS,
            "shape": [anchors, 4],
            "type": "float32, little endian",
            "holds": "xmin, ymin, xmax, ymax in fractions of the image",
        },
        "decoding": {
            "variances": list(VARIANCES),
            "least_score": LEAST_SCORE,
            "score_threshold": predictor.score_threshold,
            "iou_threshold": predictor.iou_threshold,
            "max_detections": predictor.max_detections,
            "gate_pixels": predictor.gate_pixels,
        },
        "config": asdict(config),
    }


def labels(config: Config) -> list[str]:
    """The names of the classes by their numbers, background first, each on one line."""
    return ["background", *(" ".join(name.split()) for name in config.classes)]


def write_export(
    network: "keras.Model",
    name: str,
    config: Config,
    kind: str,
    bits: int,
    folder: Path,
    calibration: np.ndarray | None = None,
) -> None:
    """Write the model, its labels, its anchors, its description and its README into a folder that exists.

    Args:
        network: the Keras network.
        name: that the description gives it.
        config: that it was built from.
        kind: a key of `MODELS`.
        bits: of its numbers; other than 32 for LiteRT alone.
        folder: empty.
        calibration: (B, H, W, 3) images, for LiteRT in 8 bits.

    Raises:
        ValueError: if a tool is missing or cannot convert the network.
        OSError: if something cannot be written.
    """
    model = folder / MODELS[kind]
    if kind == "litert":
        model.write_bytes(litert.convert(network, bits, calibration))
    elif kind == "onnx":
        model.write_bytes(onnx.convert(network))
    else:
        savedmodel.save(network, model)
    description = describe(name, config, model.name, bits)
    (folder / LABELS).write_text("\n".join(labels(config)) + "\n", encoding="utf-8")
    (folder / ANCHORS).write_bytes(config.anchors.astype("<f4").tobytes())
    (folder / DESCRIPTION).write_text(json.dumps(description, indent=2) + "\n", encoding="utf-8")
    (folder / "README.md").write_text(readme(kind, description), encoding="utf-8")


@contextmanager
def replaced_folder(folder: Path) -> Iterator[Path]:
    """Give a folder to write into that takes the place of `folder` when the block ends well, and vanishes otherwise.

    Raises:
        ValueError: if something is there already that is not an export.
        OSError: if it cannot be written.
    """
    must_be_free(folder)
    folder = Path(os.path.realpath(folder))  # a link stays one
    old = None
    try:
        with whole_folder(folder) as draft:
            yield draft
            if folder.is_dir() and any(folder.iterdir()):
                must_be_free(folder)  # still
                old = folder.with_name(f".{folder.name}.{uuid4().hex}")
                os.replace(folder, old)
    except BaseException as error:
        if old is not None and not folder.exists():
            with suppress(OSError):
                os.replace(old, folder)
        if isinstance(error, OSError) and error.strerror:  # a full disk names no file, others the draft
            error.filename = DRAFT.sub(lambda _: str(folder), str(error.filename or folder))
        raise
    if old is not None:
        shutil.rmtree(old, ignore_errors=True)


def must_be_free(folder: Path) -> None:
    """Refuse a place where something is that an export must not write over.

    Raises:
        ValueError: if it is a file, a folder that holds anything but an export, or the working folder, which would be
            gone under the user's feet.
    """
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"{folder}: is a file, not a folder")
    if os.path.realpath(folder) == os.path.realpath(os.curdir):
        raise ValueError(f"{folder}: is the working folder; use another folder with --out")
    if folder.is_dir() and any(folder.iterdir()) and read_description(folder) is None:
        raise ValueError(f"{folder}: holds something other than an export; use another folder with --out")


def read_description(folder: Path) -> dict[str, Any] | None:
    """The `model.json` of an export; None if the folder is none."""
    try:
        content = json.loads((folder / DESCRIPTION).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) and content.get("format") == FORMAT else None


def is_export(path: Path) -> bool:
    """Whether `open_export` is to open this: a file that ends as one of an export, or an export's folder."""
    if path.is_dir():
        return read_description(path) is not None or (path / "saved_model.pb").is_file()
    return path.suffix in (".tflite", ".onnx")


def open_export(path: Path) -> tuple[Exported, Config]:
    """An exported network, and the configuration that it was built from.

    Args:
        path: an export's folder, or a `.tflite`, a `.onnx` or a SavedModel's folder. Its configuration stands in the
            description beside it; where there is none, it is the preset with its shapes.

    Raises:
        ValueError: if it is damaged or not a network of the course, a tool to run it is missing, or no description and
            no preset fits it.
        OSError: if it cannot be read.
    """
    description = read_description(path) if path.is_dir() else None
    if description is not None:
        model = str(description.get("model"))
        if model == PAGE:
            raise ValueError(f"{path}: a page for a browser, which nothing else runs; open {path / PAGE} in one")
        if model not in MODELS.values():
            raise ValueError(f"{path / DESCRIPTION}: damaged; export the network again")
        path /= model
    else:
        description = read_description(path.parent)
    network: Exported
    if path.suffix == ".tflite":
        network = litert.LiteRTNetwork(path)
    elif path.suffix == ".onnx":
        network = onnx.OnnxNetwork(path)
    else:
        network = savedmodel.SavedModelNetwork(path)
    if description is not None:
        config = _config(description, path.parent)
        if _fits(network, config):
            return network, config
        raise ValueError(f"{path}: not the network that {path.parent / DESCRIPTION} describes")
    found = fitting_preset(network.image_size, network.rows)
    if found:
        return network, found
    raise ValueError(
        f"{path}: there is no {DESCRIPTION} beside it to say how it was built, and it has the shapes of none of the "
        f"presets {', '.join(PRESETS)}"
    )


def _fits(network: Exported, config: Config) -> bool:
    rows = (len(config.anchors), len(config.classes) + 1)
    return (network.image_size, network.rows) == (tuple(config.image_size), rows)


def _config(description: dict[str, Any], folder: Path) -> Config:
    try:
        return config_of(description["config"])
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ValueError(f"{folder / DESCRIPTION}: damaged; export the network again") from error
