"""Challenges whose answers are trained, from end to end on little: too long for every run."""

import numpy as np
import pytest

from ssdseg_course.challenges import few_labels, joint, on_device, small_networks
from ssdseg_course.challenges.challenge import CLASSES as CLASS_SEEDS
from ssdseg_course.challenges.small_networks import BOTTLENECKS
from ssdseg_course.checking.settings import run_settings
from ssdseg_course.grading.sandbox import Code, Sandbox
from ssdseg_course.manifest import find_lesson
from ssdseg_course.sandboxed.definitions import Source

pytestmark = pytest.mark.slow

OTHER = CLASS_SEEDS.start  # first seed of a class table

OF_A_NOTEBOOK = """\
import keras
from keras import layers

def my_network():
    image = keras.Input((48, 48, 3))
    x = layers.BatchNormalization()(layers.Conv2D(8, 3, 4)(image))
    return keras.Model(image, layers.Dense({logits})(layers.GlobalAveragePooling2D()(x)))
"""


@pytest.fixture
def few_steps(monkeypatch):
    monkeypatch.setattr(small_networks, "STEPS", 12)
    monkeypatch.setattr(small_networks, "LEARNED", range(4_000_000, 4_000_030))
    monkeypatch.setattr(small_networks, "JUDGED", 30)


def in_a_sandbox(logits):
    code = Code([Source(0, None, OF_A_NOTEBOOK.format(logits=logits))], 1, "04_mobilenetv2.ipynb", frozenset(), {})
    with Sandbox(find_lesson("04")) as sandbox:
        return sandbox.probe(BOTTLENECKS, BOTTLENECKS.cases(OTHER, 1), code, round(BOTTLENECKS.seconds))


@pytest.mark.usefixtures("few_steps")
def test_a_classifier_is_trained_in_a_sandbox_which_holds_no_truth():
    probed = in_a_sandbox(4)
    score = BOTTLENECKS.judge(OTHER, 1, BOTTLENECKS.values(probed.outcomes))
    assert 0 <= score.value <= 100
    assert score.note == "292 parameters, 0.0 million multiply-adds"


@pytest.mark.usefixtures("few_steps")
def test_a_classifier_that_is_refused_in_a_sandbox_is_told_why():
    with pytest.raises(small_networks.Refused, match="gives 4 logits a picture"):
        BOTTLENECKS.values(in_a_sandbox(5).outcomes)


def test_a_joint_training_is_kept_and_found_again(monkeypatch, tmp_path):
    monkeypatch.setenv("SSDSEG_HOME", str(tmp_path))
    splits = {name: range(seeds.start, seeds.start + 16) for name, seeds in joint.warehouse.SPLITS.items()}
    monkeypatch.setattr(joint.warehouse, "SPLITS", splits)
    small = {"alpha": 0.1, "mask_channels": 8, "image_size": [64, 96], "batch_size": 8, "low_level_channels": 8}
    planned = joint.plan(run_settings(lambda: small, ()))
    assert planned.recipe["epochs"] == joint.MOST_EPOCHS
    planned.recipe["epochs"] = 1
    first, second = (joint.trained_network(planned, scenes=16, validation=8) for _ in range(2))
    for one, other in zip(first.get_weights(), second.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    assert len(list((tmp_path / "challenges").iterdir())) == 1


def test_a_candidate_is_converted_judged_and_timed_beside_the_baseline(monkeypatch):
    pytest.importorskip("ai_edge_litert")
    monkeypatch.setattr(on_device, "JUDGED", 4)
    monkeypatch.setattr(on_device, "SECONDS_OF_TIMING", 0.3)
    score = on_device.ON_DEVICE.score(lambda: {"network": "lesson", "bits": 8, "calibration": 4}, OTHER)
    assert "lesson, 160 x 224, 8 bits" in score.note
    assert 40 < score.value < 110  # a network that sees nothing would have its five points for each halving alone


def test_a_network_learns_from_ten_labels_and_a_frozen_backbone_stays_as_it_is():
    pool = few_labels.pool()
    keep = few_labels.trained({}, pool, steps=0)
    frozen = few_labels.trained({"rate": 0, "heads_rate": 0.002}, pool, steps=2)
    moved = few_labels.trained({"augmentation": "strong", "new_statistics": True, "decay": 0.7}, pool, steps=2)
    before = {weight.path: np.asarray(weight) for weight in keep.weights}
    for network, is_moved in ((frozen, False), (moved, True)):
        for weight in network.trainable_weights + network.non_trainable_weights:
            if weight.path.startswith("stage5") and weight.path.endswith("/kernel"):
                assert np.array_equal(before[weight.path], weight) != is_moved
    heads = [weight for weight in frozen.weights if "mask_predict" in weight.path]
    assert not any(np.array_equal(before[weight.path], weight) for weight in heads)
