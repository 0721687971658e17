"""Does the whole path work on real photographs: reader, pipeline, training, prediction, metrics?

The shipped network for photographs is scored on Penn-Fudan's validation split, looked for at `../shared/pennfudan`, or
where SSDSEG_PENNFUDAN points.

Slow: `make slow` trains the lesson preset on 16 photographs until it knows them, and prints what it finds in them. That
says nothing of new photographs, 16 are far too few; it says that boxes, masks, anchors, losses and decoding agree with
each other on data that nobody drew. The photographs are looked for at `../shared/coco100`, or where SSDSEG_COCO100
points.
"""

import os
from dataclasses import replace
from pathlib import Path

import keras
import pytest

from ssdseg_ref.boxes import areas
from ssdseg_ref.config import LESSON, PHOTOS
from ssdseg_ref.data import coco, pennfudan
from ssdseg_ref.data.sample import IGNORE
from ssdseg_ref.evaluation import evaluate
from ssdseg_ref.network import build_network, load_network
from ssdseg_ref.prediction import Predictor
from ssdseg_ref.training import Recipe, train

COCO100 = Path(os.environ.get("SSDSEG_COCO100", Path(__file__).parents[3] / "shared" / "coco100"))
PENNFUDAN = Path(os.environ.get("SSDSEG_PENNFUDAN", Path(__file__).parents[3] / "shared" / "pennfudan"))
PHOTOGRAPHS = 16
MOST_PEOPLE = 3
LEAST_AREA = 0.03  # of the photograph, for every person in it
CONFIG = replace(LESSON, classes=("person",), image_size=(192, 256))
RECIPE = Recipe(epochs=24, class_weights=(1.0, 1.0), patience=24)
REPEATS = 16  # of the photographs in an epoch, each time augmented in another way


def with_people_to_be_seen(samples):
    """The first photographs with one to three people, none of them tiny, and no crowd."""
    for sample in samples:
        sizes = areas(sample.boxes)
        if 1 <= len(sizes) <= MOST_PEOPLE and sizes.min() >= LEAST_AREA and not (sample.mask == IGNORE).any():
            yield sample


@pytest.mark.skipif(not PENNFUDAN.is_dir(), reason=f"no photographs at {PENNFUDAN}: set SSDSEG_PENNFUDAN")
def test_the_shipped_network_for_photographs_scores_what_its_card_says():
    scores = evaluate(Predictor(load_network("photos"), PHOTOS), pennfudan.read(PENNFUDAN, "validation"))
    found = (scores.mean_ap50, scores.mean_ap, scores.mean_iou)
    assert found == pytest.approx((0.973, 0.709, 0.833), abs=0.01)


@pytest.mark.slow
@pytest.mark.skipif(not COCO100.is_dir(), reason=f"no photographs at {COCO100}: set SSDSEG_COCO100")
def test_a_network_that_has_learned_16_photographs_finds_their_people_again(tmp_path):
    photographs = list(with_people_to_be_seen(coco.read(COCO100, "train2017", {"person": ("person",)})))[:PHOTOGRAPHS]
    assert len(photographs) == PHOTOGRAPHS
    keras.utils.set_random_seed(1)
    network = build_network(CONFIG)
    train(network, CONFIG, RECIPE, photographs * REPEATS, photographs, tmp_path, verbose=2)
    scores = evaluate(Predictor(network, CONFIG), photographs)
    print(
        f"\n16 photographs: mAP@.5 {scores.mean_ap50:.3f}, mAP@[.5:.95] {scores.mean_ap:.3f}, IoU {scores.mean_iou:.3f}"
    )
    assert scores.mean_ap50 >= 0.9
    assert scores.mean_iou >= 0.8
