"""`ssdseg predict`: what a network sees in pictures of the user's own."""

import io
import itertools
import json
import os
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ssdseg_course.cli import console
from ssdseg_course.cli.console import print_plain
from ssdseg_course.cli.data import WAREHOUSE, open_samples
from ssdseg_course.cli.networks import must_be_writable, open_network
from ssdseg_course.words import count
from ssdseg_ref.keeping import locked, sweep_files, write_whole

if TYPE_CHECKING:
    import numpy as np
    from PIL import Image

    from ssdseg_ref.multitask import Config, Prediction, Predictor

    Read = Callable[[Path], np.ndarray]

SUFFIXES = (".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")
PHONES = (".heic", ".heif")  # pictures too, which cannot be read: they are named rather than passed over
RESULTS = "detections.json"
WIDTH = 1280  # pixels of the pictures that are written

Detection = dict[str, Any]  # one box, as COCO's result files have it


def predict(
    source: Annotated[
        Path, typer.Argument(help="A picture, a folder of pictures, or a data set by its name or its path.")
    ],
    out: Annotated[Path, typer.Option(help="The folder for the results.")] = Path("out/predictions"),
    network: Annotated[
        str,
        typer.Option(
            "--network", "--model", help="A shipped network, what `train` or `export` has written, a .tflite or .onnx."
        ),
    ] = "photos",
    least_score: Annotated[float, typer.Option(min=0, max=1, help="The least score of a box that is drawn.")] = 0.4,
    split: Annotated[str | None, typer.Option(help="Of a data set. Default: the only one, or train.")] = None,
) -> None:
    """Detect and segment in pictures of your own.

    PICTURE.jpg gives PICTURE.png, with boxes and masks drawn in, and PICTURE_mask.png, whose pixels are class numbers,
    with a palette that shows them in colours. All detections are in detections.json, in COCO's result format, including
    the unsure ones, which scores need. A picture's id is its number if all files are named by different numbers,
    otherwise the name of its file. The images of a data set go by their numbers from 0.
    """
    paths, read = _images(source, split)
    if out.exists() and os.path.realpath(out) == os.path.realpath(source if source.is_dir() else source.parent):
        raise ValueError(f"{out}: holds the pictures themselves; use another folder with --out")
    must_be_writable(out)  # before the seconds that a network takes
    model, config = open_network(network)
    out.mkdir(parents=True, exist_ok=True)

    from ssdseg_ref.prediction import Predictor

    found: dict[Path, list[Detection]] = {}
    unread: list[Path] = []
    stopped = False
    with locked(out):
        sweep_files(out)
        try:
            _predict_all(paths, read, out, Predictor(model, config), least_score, found, unread)
        except KeyboardInterrupt:  # what is done is kept
            stopped = True
        by_id = zip(image_ids(list(found)), found.values(), strict=True)
        results = [{**result, "image_id": image_id} for image_id, own in by_id for result in own]
        write_whole(out / RESULTS, "[\n" + ",\n".join(map(json.dumps, results)) + "\n]\n")
    sure = sum(result["score"] >= least_score for result in results)
    done = len(found)
    print_plain(
        f"{count(done, 'picture') or 'no pictures'}, {sure:,} boxes with a score of at least {least_score:g}: {out}"
    )
    if done and _knows_the_warehouse(config):
        print_plain(
            f"The network {network} has only seen drawn scenes of a warehouse: in photographs it may see anything."
        )
    if stopped:
        rest = len(paths) - done - len(unread)
        console.errors.print(f"stopped; {rest:,} of {len(paths):,} pictures were not looked at", highlight=False)
        raise typer.Exit(130)
    if unread:
        raise ValueError(f"{len(unread)} of {len(paths)} pictures could not be read, see above")


def _predict_all(
    paths: Sequence[Path],
    read: "Read",
    out: Path,
    predictor: "Predictor",
    least_score: float,
    found: dict[Path, list[Detection]],
    unread: list[Path],
) -> None:
    """For each picture, note what is found in it, or that it could not be read, and write its two results."""
    for path, name in zip(console.tracked(paths, "looking"), result_names(paths), strict=True):
        try:
            image = read(path)
            prediction = predictor([image])[0]
            pictures = result_pictures(image, prediction, predictor.config.classes, least_score)
        except (FileNotFoundError, PermissionError, ValueError, MemoryError) as error:
            unread.append(path)
            reason = getattr(error, "strerror", None) or str(error).removeprefix(f"{path}: ") or "not enough memory"
            print_plain(f"{path}: left out, {reason}", console.errors)
            continue
        for file, content in zip(result_files(name), pictures, strict=True):
            write_whole(out / file, content)
        found[path] = coco_results(path.name, prediction, image.shape[:2])


def _knows_the_warehouse(config: "Config") -> bool:
    from ssdseg_ref.data import warehouse

    return tuple(config.classes) == tuple(warehouse.CLASSES)


def coco_results(image_id: int | str, prediction: "Prediction", size: tuple[int, int]) -> list[Detection]:
    """Detections as COCO's result files hold them: one dict per box, (x, y, width, height) in pixels.

    Args:
        image_id: that the annotations know the picture by.
        prediction: of `Predictor`.
        size: (height, width) of the picture.
    """
    height, width = size
    results = []
    for (xmin, ymin, xmax, ymax), label, score in zip(
        prediction.boxes.tolist(), prediction.labels.tolist(), prediction.scores.tolist(), strict=True
    ):
        box = (xmin * width, ymin * height, (xmax - xmin) * width, (ymax - ymin) * height)
        results.append(
            {
                "image_id": image_id,
                "category_id": label,
                "bbox": [round(side, 2) for side in box],
                "score": round(score, 5),
            }
        )
    return results


def _images(source: Path, split: str | None) -> tuple[list[Path], "Read"]:
    """The pictures that are meant, and what reads one of them: files, or the images of a data set by their numbers.

    A folder with pictures in it is a folder of pictures, whatever lies beside them, unless a split is asked for.
    """
    from ssdseg_ref.data.pictures import read_photograph

    found = _pictures(source) if split is None and source.exists() and source.suffix != ".json" else []
    if not found and (split is not None or _is_data_set(source)):
        samples, _ = open_samples(str(source), split, None, None)
        return [Path(f"{number:06d}") for number in range(len(samples))], lambda path: samples[int(path.name)].image
    if not source.exists():
        raise FileNotFoundError(2, "there is no such picture, folder or data set", str(source))
    if not found:
        raise ValueError(f"{source}: there are no pictures in it; those end in {', '.join(SUFFIXES)}")
    return found, read_photograph


def _is_data_set(source: Path) -> bool:
    from ssdseg_ref.data import downloads, registry

    if not source.exists():
        return str(source) in (WAREHOUSE, *downloads.DATA_SETS)
    return any(known.recognises(source) for known in registry.FORMATS)


def _pictures(source: Path) -> list[Path]:
    if source.is_file():
        return [source]
    # Hidden files are not pictures: a Mac leaves `._photo.jpg` beside photo.jpg. A broken link is one, and is named.
    return sorted(
        path
        for path in source.iterdir()
        if path.suffix.lower() in SUFFIXES + PHONES and not path.name.startswith(".") and not path.is_dir()
    )


def result_names(paths: Sequence[Path]) -> list[str]:
    """Names for the results, such that none overwrites another: the picture's without its suffix, where that is enough.

    `x.jpg` and `x_mask.jpg`, or `x.jpg` and `x.png`, need the suffix as well, and where that is not enough either, a
    number.
    """
    wanted = Counter(file.casefold() for path in paths for file in result_files(path.stem))
    names: list[str] = []
    taken: set[str] = set()
    for path in paths:
        alone = all(wanted[file.casefold()] == 1 for file in result_files(path.stem))
        first = path.stem if alone else path.name.replace(".", "_")
        candidates = itertools.chain([first], (f"{first}_{number}" for number in itertools.count(2)))
        name = next(name for name in candidates if taken.isdisjoint(file.casefold() for file in result_files(name)))
        taken.update(file.casefold() for file in result_files(name))  # to some file systems `A.png` is `a.png`
        names.append(name)
    return names


def result_files(name: str) -> tuple[str, str]:
    """The files that a picture gives: with what is seen drawn in, and the mask."""
    return f"{name}.png", f"{name}_mask.png"


def image_ids(paths: Sequence[Path]) -> list[int] | list[str]:
    """The pictures' numbers, by which COCO names its files; the files' names, where two numbers are the same.

    All are of one type, so that they can be sorted, and no two are equal.
    """
    stems = [path.stem for path in paths]
    if all(stem.isascii() and stem.isdigit() for stem in stems):
        numbers = [int(stem) for stem in stems]
        if len(set(numbers)) == len(numbers):
            return numbers
    return [path.name for path in paths]


def result_pictures(
    image: "np.ndarray", prediction: "Prediction", classes: tuple[str, ...], least_score: float
) -> tuple[bytes, bytes]:
    """The content of the two `result_files`, as PNG."""
    from PIL import Image

    from ssdseg_ref.plot import mask_palette, paint_prediction

    sure = prediction.scores >= least_score
    boxes, labels, scores = prediction.boxes[sure], prediction.labels[sure], prediction.scores[sure]
    painted = Image.fromarray(paint_prediction(image, prediction.mask, boxes, labels, scores, classes, width=WIDTH))
    mask = Image.fromarray(prediction.mask).convert("P")
    mask.putpalette(mask_palette())
    return _png(painted), _png(mask)


def _png(picture: "Image.Image") -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, "png")
    return buffer.getvalue()
