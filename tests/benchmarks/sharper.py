"""What makes the boxes sharper? The rows of docs/ablations.md, "Sharper boxes".

    python tests/benchmarks/sharper.py errors mobilenetv2                       # no training: where the errors are
    python tests/benchmarks/sharper.py tune mobilenetv2 --steps 300 --variant giou5 --variant quality --seed 1 --seed 2
    python tests/benchmarks/sharper.py tune lesson --fresh --steps 1250 --variant none

`errors` scores a shipped network on the validation scenes, with boxes as NMS keeps them, with boxes that are averaged,
and with what an oracle knows. `tune` trains on from a shipped network's weights, from those of a file, or `--fresh`
from none, once per variant and seed, and prints a line of json each; `--save FOLDER` keeps the weights. No test scene
is looked at.
"""

import argparse
import json
import os
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
from variants import VARIANTS, Varied, varied_config, varied_network, with_boxes

from ssdseg_ref.boxes import pairwise_iou
from ssdseg_ref.coding import decode
from ssdseg_ref.config import SHIPPED, Config
from ssdseg_ref.data import warehouse
from ssdseg_ref.data.pipeline import batches
from ssdseg_ref.data.sample import BACKGROUND
from ssdseg_ref.fused import fused_twin
from ssdseg_ref.metrics import COCO_IOU_THRESHOLDS, average_precisions, class_ious, confusion_matrix
from ssdseg_ref.network import load_network
from ssdseg_ref.nms import average_boxes, non_max_suppression
from ssdseg_ref.prediction import softmax
from ssdseg_ref.training import Recipe, optimizer

IOU_THRESHOLD, SCORE_THRESHOLD, DETECTIONS = 0.65, 0.01, 100
STEPS = 500  # of an epoch
PICTURES = 20  # in one batch that is judged


# --- judging


def suppressed(boxes: np.ndarray, scores: np.ndarray, truth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The boxes that NMS keeps, and their scores."""
    kept = non_max_suppression(boxes, scores, IOU_THRESHOLD, SCORE_THRESHOLD, DETECTIONS)
    return boxes[kept], scores[kept]


def suppressed_and_averaged(boxes: np.ndarray, scores: np.ndarray, truth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The same, each box averaged with those that it has suppressed: what `Predictor` does."""
    kept = non_max_suppression(boxes, scores, IOU_THRESHOLD, SCORE_THRESHOLD, DETECTIONS)
    return average_boxes(boxes, scores, kept, SCORE_THRESHOLD), scores[kept]


def ranked_by_oracle(boxes: np.ndarray, scores: np.ndarray, truth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The same boxes, sorted as if their scores were their IoU with the truth."""
    kept, scores = suppressed(boxes, scores, truth)
    return kept, pairwise_iou(kept, truth).max(axis=1) if len(truth) and len(kept) else scores


def chosen_by_oracle(boxes: np.ndarray, scores: np.ndarray, truth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """NMS that knows which of many boxes of one thing is the best."""
    if len(truth):
        scores = np.where(scores >= SCORE_THRESHOLD, scores * pairwise_iou(boxes, truth).max(axis=1) ** 2, 0)
    kept = non_max_suppression(boxes, scores, IOU_THRESHOLD, SCORE_THRESHOLD / 20, DETECTIONS)
    return boxes[kept], scores[kept]


Choice = Callable[[np.ndarray, np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]


def scores_of(network: keras.Model, config: Config, samples: Any, choices: dict[str, Choice]) -> dict[str, Any]:
    """AP of each way to choose boxes, and the mIoU; the gate is that of `Predictor`."""
    truths: list[SimpleNamespace] = []
    masks, found = [], {name: [] for name in choices}
    for start in range(0, len(samples), PICTURES):
        part = [samples[index] for index in range(start, min(start + PICTURES, len(samples)))]
        outputs = network.predict_on_batch(np.stack([sample.image for sample in part]))
        shares = softmax(outputs["classes"])
        boxes = np.clip(decode(outputs["offsets"], config.anchors), 0, 1)
        for index, sample in enumerate(part):
            mask = outputs["mask"][index].argmax(axis=-1)
            truths.append(SimpleNamespace(boxes=sample.boxes, labels=sample.labels, mask=sample.mask))
            masks.append(mask)
            for name, choose in choices.items():
                chosen = [
                    (label, *choose(boxes[index], shares[index, :, label], sample.boxes[sample.labels == label]))
                    for label in range(BACKGROUND + 1, shares.shape[-1])
                    if (mask == label).any()
                ]
                found[name].append(
                    SimpleNamespace(
                        boxes=np.concatenate([np.empty((0, 4)), *(one[1] for one in chosen)]),
                        labels=np.concatenate([np.empty(0, int), *(np.full(len(one[1]), one[0]) for one in chosen)]),
                        scores=np.concatenate([np.empty(0), *(one[2] for one in chosen)]),
                    )
                )
    result: dict[str, Any] = {}
    for name, predictions in found.items():
        precisions = average_precisions(predictions, truths, COCO_IOU_THRESHOLDS, len(config.classes))
        result[name] = {
            "AP": round(float(precisions.mean()), 4),
            "AP@.5": round(float(precisions[0].mean()), 3),
            "classes": precisions.mean(axis=0).round(3).tolist(),
            "IoUs": precisions.mean(axis=1).round(2).tolist(),
        }
    confusion = confusion_matrix([truth.mask for truth in truths], masks, len(config.classes))
    return result | {"mIoU": round(float(class_ious(confusion)[1:].mean()), 4)}


# --- training


def tuned(name: str, variant: dict[str, Any], seed: int, given: argparse.Namespace) -> tuple[keras.Model, Config]:
    """A network that was trained on from a shipped one's weights, or from none."""
    config = replace(SHIPPED[name], image_size=tuple(given.size)) if given.size else SHIPPED[name]
    keras.utils.set_random_seed(seed)
    network = varied_network(config, variant)
    config = varied_config(config, variant)
    if given.weights:
        network.load_weights(given.weights)
    elif not given.fresh:
        network.set_weights(load_network(name).get_weights())
    twin = fused_twin(network)
    for layer in twin.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = variant.get("bn", layer.momentum)
    trainer = Varied(twin, config, variant)
    zoom = variant.get("zoom", given.zoom)
    recipe = Recipe(
        epochs=1,
        batch_size=given.batch,
        learning_rate=given.rate,
        ema_momentum=variant.get("ema", given.ema),
        zoom_share=zoom,
        muon_rate=variant.get("muon", given.muon),
    )
    learner = optimizer(recipe, given.steps)
    trainer.compile(optimizer=learner, jit_compile=False)
    learner.build(twin.trainable_variables)
    samples = warehouse.split(given.split, config.image_size)
    epochs = max(1, given.steps // STEPS)
    dataset = batches(samples, config, recipe.batch_size, seed=seed, zoom_share=zoom)
    trainer.fit(
        with_boxes(dataset, config.anchors) if variant.get("cost") else dataset,
        epochs=epochs,
        steps_per_epoch=given.steps // epochs,
        callbacks=[keras.callbacks.SwapEMAWeights(swap_on_epoch=True)],
        verbose=2 if epochs > 1 else 0,
    )
    network.set_weights(twin.get_weights())
    return network, config


def main() -> None:
    """Parse the command line and do what it asks for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("errors", "tune"))
    parser.add_argument("network", choices=[name for name in SHIPPED if name != "photos"])
    parser.add_argument("--variant", action="append", help=f"of {', '.join(VARIANTS)}; joined by a plus")
    parser.add_argument("--seed", type=int, action="append")
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--batch", type=int, default=16, help="pictures in a step")
    parser.add_argument("--rate", type=float, default=6e-4, help="learning rate; 2.5e-3 for a fresh network")
    parser.add_argument("--muon", type=float, default=0.0, help="learning rate of kernels by Muon; 0: AdamW for all")
    parser.add_argument("--ema", type=float, default=0.99)
    parser.add_argument("--zoom", type=float, default=1 / 3)
    parser.add_argument("--size", type=int, nargs=2, metavar=("HEIGHT", "WIDTH"))
    parser.add_argument("--split", default="train")
    parser.add_argument("--fresh", action="store_true")
    parser.add_argument("--weights", type=Path, metavar="FILE", help="to begin with, such as one that --save has kept")
    parser.add_argument("--save", type=Path, metavar="FOLDER")
    given = parser.parse_args()
    ways: dict[str, Choice] = {"not averaged": suppressed, "averaged": suppressed_and_averaged}
    if given.what == "errors":
        config = SHIPPED[given.network]
        samples = warehouse.split("validation", config.image_size)
        ways |= {"ranked by an oracle": ranked_by_oracle, "chosen by an oracle": chosen_by_oracle}
        for name, row in scores_of(load_network(given.network), config, samples, ways).items():
            print(name, json.dumps(row))
        return
    for seed in given.seed or (1,):
        for name in given.variant or ("none",):
            variant = {key: value for part in name.split("+") for key, value in VARIANTS[part].items()}
            start = time.process_time()
            network, config = tuned(given.network, variant, seed, given)
            row = {"variant": name, "seed": seed, "core minutes": round((time.process_time() - start) / 60, 1)}
            row |= scores_of(network, config, warehouse.split("validation", config.image_size), ways)
            print(json.dumps(row), flush=True)
            if given.save:
                given.save.mkdir(parents=True, exist_ok=True)
                network.save_weights(given.save / f"{given.network}-{name}-{seed}.weights.h5")


if __name__ == "__main__":
    main()
