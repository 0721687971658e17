"""What the explorers of a page know: scenes, boxes, and the numbers that only Python can give, by `ssdseg_ref` itself.

float32 stays float32: the shortest decimals that give the same number back are written, so the page computes with the
very numbers of the notebook.
"""

import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from PIL import Image

from ssdseg_course.exercises.anchor_choice import FEATURE_MAPS
from ssdseg_course.explorers import anchors, canvas, cost, field_of_view, hits, matching, mining, quantization, relu
from ssdseg_course.explorers import prediction as predicting
from ssdseg_course.explorers.canvas import draw_scene
from ssdseg_course.explorers.raw_output import NETWORK, raw_output
from ssdseg_course.quiet import import_keras
from ssdseg_ref.boxes import pairwise_iou
from ssdseg_ref.convolution import conv_cost
from ssdseg_ref.data.sample import BACKGROUND, CLASSES, IMAGE_SIZE
from ssdseg_ref.data.warehouse import SPLITS
from ssdseg_ref.metrics import assign_detections
from ssdseg_ref.plot import MASK_OPACITY, class_colour, mask_palette

TEST_SCENES = 40  # of the 100 that the notebook offers, with what the network finds there
RAW_SCENES = 20  # of those, with all that it says before anything is filtered: 100 kB each
QUALITY = 75  # of WebP
LEAST_SCORE = 0.05  # where the explorers' sliders begin
SEEN = range(matching.SCENES)  # scenes without a network; the anchor explorer shows the first 100 of them

Files = Iterator[tuple[str, bytes]]


def files() -> Files:
    """Paths below the explorers' folder, with what goes there."""
    for seed in (*SEEN, *_test_seeds()):
        yield f"scenes/{seed}.webp", _scene(seed).picture
    boxes = {"anchors": anchors_data(), "matching": matching_data()}
    small = {
        "cost": cost_data(),
        "relu": relu_data(),
        "quantization": quantization_data(),
        "field_of_view": field_data(),
    }
    for name, content in {**boxes, **small, "network": network_data()}.items():
        yield f"data/{name}.js", _script(name, content)
    yield "scenes/brightness.webp", _grey()
    predictions = _predictions()
    for place, prediction in enumerate(predictions):
        yield f"scenes/mask-{_test_seeds()[place]}.png", _mask(prediction.mask)
    yield "data/detections.js", _script("detections", detections_data(predictions))


def anchors_data() -> dict[str, Any]:
    """The maps, and each scene's boxes, for the anchor explorer."""
    return {
        "image_size": IMAGE_SIZE,
        "maps": FEATURE_MAPS,
        "strides": anchors.STRIDES,
        "ratios": anchors.RATIOS,
        "threshold": anchors.THRESHOLD,
        "scenes": [_truth(seed) for seed in range(canvas.SCENES)],
    }


def matching_data() -> dict[str, Any]:
    """The anchors that lesson 1 ends with, and each scene's boxes, for the matching explorer."""
    spec = matching.ANCHOR_SPEC
    return {
        "image_size": IMAGE_SIZE,
        "maps": spec.feature_maps,
        "scales": spec.scales,
        "ratios": spec.ratios_by_map,
        "nearest": matching.NEAREST,
        "scenes": [_truth(seed) for seed in SEEN],
    }


def cost_data() -> dict[str, Any]:
    """What each convolution costs, for each kernel, numbers of channels and map, by `conv_cost`."""
    table = {}
    for k in cost.KERNEL_SIZES:
        for inputs in cost.CHANNELS:
            for outputs in cost.CHANNELS:
                asked = (("standard", k, outputs), ("depthwise", k, inputs), ("pointwise", 1, outputs))
                table[f"{k} {inputs} {outputs}"] = [
                    conv_cost(kind, (1, 1), side, inputs, channels).parameters for kind, side, channels in asked
                ]
    return {"parameters": table}  # each is used once at each place of the map


def relu_data() -> dict[str, Any]:
    """The spiral and the random matrices; for each number of dimensions what is lost on average."""
    return {
        "spiral": relu.spiral(),
        "matrices": {n: [relu.draw_matrix(n, number) for number in range(relu.MOST_MATRICES)] for n in relu.DIMENSIONS},
        "lost": {n: relu.lost(n) for n in relu.DIMENSIONS},
        "colours": [relu.START, relu.END],
    }


def quantization_data() -> dict[str, Any]:
    """How many pixels of the picture have which of 256 shades."""
    shades = np.rint(quantization.brightness() * quantization.GREY_LEVELS).astype(int)
    return {"counts": np.bincount(shades.ravel(), minlength=256), "size": quantization.SIZE}


def field_data() -> dict[str, Any]:
    """The maps to choose from."""
    return {"maps": field_of_view.MAPS}


def network_data() -> dict[str, Any]:
    """What the network says of test scenes before anything is filtered: what mining and suppression need of it."""
    seeds = _test_seeds()[:RAW_SCENES]
    return {
        "image_size": IMAGE_SIZE,
        "classes": CLASSES,
        "seeds": seeds,
        "anchors": raw_output(seeds[0]).anchors,
        "nearly": mining.NEARLY,
        "least_negatives": mining.LEAST_NEGATIVES,
        "drawn": mining.HARDEST_DRAWN,
        "scenes": [{**_mined(seed), **_scored(seed)} for seed in seeds],
    }


def detections_data(predictions: list[Any]) -> dict[str, Any]:
    """What the network finds in the test scenes after all, which of it is right, and the shares of its masks."""
    return {
        "image_size": IMAGE_SIZE,
        "classes": CLASSES,
        "colours": ["#" + "".join(f"{round(255 * part):02X}" for part in class_colour(n + 1)) for n in range(3)],
        "mask_opacity": MASK_OPACITY,
        "least_share": predicting.LEAST_SHARE,
        "most_named": predicting.MOST_NAMED,
        "seeds": _test_seeds(),
        "scenes": [_found(seed, prediction) for seed, prediction in zip(_test_seeds(), predictions, strict=True)],
    }


@dataclass(frozen=True)
class _Scene:
    """A scene without its pixels, of which hundreds would be too many: the file of its picture, and what is there."""

    picture: bytes
    boxes: np.ndarray
    labels: np.ndarray


@cache
def _scene(seed: int) -> _Scene:
    sample = draw_scene(seed)
    return _Scene(webp(sample.image), sample.boxes, sample.labels)


def webp(image: np.ndarray) -> bytes:
    """(H, W, 3) uint8 as a file."""
    return _file(Image.fromarray(image), "WEBP", quality=QUALITY)


def _file(image: Image.Image, kind: str, **options: Any) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def _grey() -> bytes:
    """The picture of the quantisation explorer, every shade as it is."""
    shades = np.rint(quantization.brightness() * quantization.GREY_LEVELS).astype(np.uint8)
    return _file(Image.fromarray(shades).convert("RGB"), "WEBP", lossless=True)


def _mask(mask: np.ndarray) -> bytes:
    """(H, W) classes in their colours, the background transparent."""
    image = Image.fromarray(mask)
    image.putpalette(mask_palette())
    return _file(image, "PNG", transparency=BACKGROUND, optimize=True)


def _test_seeds() -> list[int]:
    return list(SPLITS["test"][:TEST_SCENES])


def _truth(seed: int) -> dict[str, Any]:
    scene = _scene(seed)
    return {"boxes": scene.boxes, "names": [CLASSES[label - 1] for label in scene.labels]}


def _mined(seed: int) -> dict[str, Any]:
    """Of a scene: the positives, and as many of the hardest negatives as the slider can ask for."""
    output = raw_output(seed)
    positives, negatives = np.flatnonzero(output.positive), np.flatnonzero(~output.positive)
    most = max(mining.MOST_PER_POSITIVE * len(positives), mining.LEAST_NEGATIVES)
    hardest = negatives[np.argsort(-output.losses[negatives], kind="stable")][:most]
    mined = [max(ratio * len(positives), mining.LEAST_NEGATIVES) for ratio in range(mining.MOST_PER_POSITIVE + 1)]
    overlaps = pairwise_iou(output.anchors, _scene(seed).boxes).max(axis=1, initial=0)
    return {
        "positives": positives,
        "positive_loss": output.losses[positives].sum(),
        "negative_loss": output.losses[negatives].sum(),
        "hardest": hardest,
        "losses": output.losses[hardest],
        "overlaps": overlaps[hardest],
        "mined_losses": [output.losses[hardest[:count]].sum() for count in mined],
        "shares": output.shares[hardest[: mining.HARDEST_DRAWN], BACKGROUND + 1 :],
    }


def _scored(seed: int) -> dict[str, Any]:
    """Of a scene: the boxes that could take part in suppression, for each class."""
    output = raw_output(seed)
    boxes, shares = np.clip(output.boxes, 0, 1), output.shares
    rows = [np.flatnonzero(shares[:, label] >= LEAST_SCORE) for label in range(BACKGROUND + 1, shares.shape[1])]
    return {
        "candidates": [
            {"boxes": boxes[chosen], "scores": shares[chosen, label]} for label, chosen in enumerate(rows, start=1)
        ]
    }


def _predictions() -> list[Any]:
    """Of each test scene, one by one as the notebook asks for them."""
    import_keras()
    from ssdseg_ref.multitask import SHIPPED, Predictor, load_network

    predictor = Predictor(load_network(NETWORK), SHIPPED[NETWORK])
    return [predictor([draw_scene(seed).image])[0] for seed in _test_seeds()]


def _found(seed: int, prediction: Any) -> dict[str, Any]:
    """Of a scene: its detections, best first, each with the true box that it takes, or -1.

    A better detection chooses first, so what one takes does not depend on how many worse ones there are.
    """
    scene, seen = _scene(seed), prediction.scores >= LEAST_SCORE
    boxes, labels = prediction.boxes[seen], prediction.labels[seen]
    taken = np.full(len(boxes), -1)
    for label in range(BACKGROUND + 1, len(CLASSES) + 1):
        rows, true = np.flatnonzero(labels == label), np.flatnonzero(scene.labels == label)
        given = assign_detections(pairwise_iou(boxes[rows], scene.boxes[true]), np.array([hits.LEAST_IOU]))[0]
        taken[rows] = [true[one] if one >= 0 else -1 for one in given]
    mask = prediction.mask
    return {
        "truth": {"boxes": scene.boxes, "labels": scene.labels},
        "boxes": boxes,
        "labels": labels,
        "scores": prediction.scores[seen],
        "taken": taken,
        "shares": np.bincount(mask.ravel(), minlength=len(CLASSES) + 1)[BACKGROUND + 1 :] / mask.size,
    }


def _script(name: str, content: Any) -> bytes:
    """A script that hands the content over: from the disk a browser loads scripts, but no JSON."""
    text = json.dumps(content, default=_plain, separators=(",", ":"), allow_nan=False)
    return f'explorerParts["data/{name}"] = {text};\n'.encode()


def _plain(value: Any) -> Any:
    """NumPy's values as Python's, float32 in its own shortest decimals."""
    if isinstance(value, np.ndarray):
        if value.dtype != np.float32:
            return value.tolist()
        return np.array([float(str(number)) for number in value.ravel()]).reshape(value.shape).tolist()
    if isinstance(value, np.float32):
        return float(str(value))
    return value.item()
