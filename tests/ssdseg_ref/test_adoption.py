"""Does a network begin with all that another one has learned, its heads class by class?"""

from dataclasses import replace

import keras
import numpy as np
import pytest
from random_weights import randomise

from ssdseg_ref.adoption import adopt
from ssdseg_ref.config import LESSON
from ssdseg_ref.fused import fused_twin
from ssdseg_ref.mobilenetv2 import mobilenet_v2
from ssdseg_ref.network import backbone_features, build_network

SMALL = replace(LESSON, image_size=(64, 96))


@pytest.fixture(scope="module")
def learned():
    network = build_network(SMALL)
    randomise(network, seed=1)
    return network


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).uniform(0, 255, (2, 64, 96, 3)).astype(np.float32)


def test_a_network_of_the_same_classes_begins_as_the_other_one(learned, images):
    network = build_network(SMALL)
    adopted = adopt(network, SMALL.classes, learned, SMALL.classes)
    assert len(adopted.whole) == len(network.weights)
    assert adopted.partly == adopted.anew == ()
    for name, output in network.predict_on_batch(images).items():
        np.testing.assert_allclose(output, learned.predict_on_batch(images)[name], atol=1e-5)


def test_a_class_that_both_know_is_found_at_its_new_place(learned, images):
    classes = ("dog", "monorail", "person")
    network = build_network(replace(SMALL, classes=classes))
    adopted = adopt(network, classes, learned, SMALL.classes)
    assert adopted.anew == ()
    assert {path.split("/")[0] for path in adopted.partly} == {
        *(f"map{number}_classes_predict" for number in (1, 2, 3, 4)),
        "mask_predict",
    }
    theirs, own = learned.predict_on_batch(images), network.predict_on_batch(images)
    np.testing.assert_allclose(own["offsets"], theirs["offsets"], atol=1e-5)
    for output in ("classes", "mask"):
        np.testing.assert_allclose(own[output][..., [0, 2, 3]], theirs[output][..., [0, 3, 1]], atol=1e-4)


def test_heads_of_other_classes_stay_fresh(learned):
    classes = ("cat", "dog", "cow")  # as many, so that the shapes would fit
    network = build_network(replace(SMALL, classes=classes))
    before = {weight.path: np.asarray(weight) for weight in network.weights}
    adopted = adopt(network, classes, learned, SMALL.classes)
    assert adopted.partly == ()
    assert all("_classes_predict/" in path or "mask_predict/" in path for path in adopted.anew)
    assert len(adopted.anew) == 10
    for weight in network.weights:
        if weight.path in adopted.anew:
            np.testing.assert_array_equal(weight, before[weight.path])


def test_other_anchors_take_fresh_heads_where_their_number_differs(learned):
    config = replace(SMALL, aspect_ratios=((0.5,), (0.35, 0.6, 2.0), (0.5, 1.0, 2.0), (0.5, 1.0, 2.0)))
    network = build_network(config)
    adopted = adopt(network, config.classes, learned, SMALL.classes)
    assert set(adopted.anew) == {
        f"map1_{head}_predict/{kind}" for head in ("classes", "offsets") for kind in ("kernel", "bias")
    }


def test_a_published_backbone_is_taken_over_whole():
    published = mobilenet_v2((64, 64, 3), SMALL.alpha, include_top=False)
    randomise(published, seed=2)
    network = build_network(SMALL)
    adopted = adopt(network, SMALL.classes, published)
    image = keras.Input((64, 96, 3))
    backbone = keras.Model(image, backbone_features(image, SMALL))
    assert set(adopted.whole) == {weight.path for weight in backbone.weights}
    theirs = {weight.path: np.asarray(weight) for weight in published.weights}
    for weight in network.weights:
        if weight.path in adopted.whole:
            np.testing.assert_array_equal(weight, theirs[weight.path])


def test_with_the_weights_of_imagenet_the_backbone_sees_what_keras_sees(images, monkeypatch):
    theirs = keras.applications.MobileNetV2((64, 96, 3), SMALL.alpha, include_top=False, weights=None)
    randomise(theirs, seed=3)  # statistics of the batch normalisations, too
    monkeypatch.setattr(
        keras.applications, "MobileNetV2", lambda *_, weights: theirs if weights == "imagenet" else None
    )
    published = mobilenet_v2((64, 96, 3), SMALL.alpha, include_top=False, weights="imagenet")
    network = build_network(SMALL)
    adopt(network, SMALL.classes, published)
    own = keras.Model(network.input, network.get_layer("stage7_block1_project_bn").output)(images)
    expected = keras.Model(theirs.input, theirs.get_layer("block_16_project_BN").output)(images / 127.5 - 1)
    assert np.std(expected) > 0.1
    np.testing.assert_allclose(own, expected, rtol=1e-3, atol=1e-3 * float(np.std(expected)))


def test_a_training_twin_has_the_paths_of_its_network(learned):
    assert [weight.path for weight in fused_twin(learned).weights] == [weight.path for weight in learned.weights]
