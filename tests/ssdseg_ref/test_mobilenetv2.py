from functools import cache

import keras
import numpy as np
import pytest
from random_weights import multiply_adds, randomise

from ssdseg_ref.mobilenetv2 import mobilenet_v2, mobilenet_v2_features


def draw_images(size, seed=0):
    return np.random.default_rng(seed).uniform(-1, 1, (2, *size, 3)).astype(np.float32)


def shapes(model):
    return [tuple(weight.shape) for weight in model.weights]


@cache
def ours_and_theirs(alpha):
    size = (224, 224, 3)
    return mobilenet_v2(size, alpha), keras.applications.MobileNetV2(size, alpha, weights=None)


def test_it_has_the_published_number_of_parameters():
    model, _ = ours_and_theirs(1.0)
    assert model.count_params() == 3_538_984  # Keras's table of applications
    assert sum(np.prod(weight.shape) for weight in model.trainable_weights) == 3_504_872  # torchvision's table


@pytest.mark.parametrize(("alpha", "millions"), [(1.0, 300), (0.35, 59), (1.4, 582)])
def test_it_has_the_published_number_of_multiply_adds(alpha, millions):
    # Sandler et al. 2018, table 4 and figure 5, and the table beside the published weights.
    assert multiply_adds(ours_and_theirs(alpha)[0]) / 1e6 == pytest.approx(millions, rel=0.01)


# 0.28 is not published; there the rounding of the channels differs between the stem and the bottlenecks.
@pytest.mark.parametrize("alpha", [0.28, 0.35, 0.5, 0.75, 1.0, 1.3, 1.4])
def test_its_weights_are_those_of_keras_in_number_shape_and_order(alpha):
    ours, theirs = ours_and_theirs(alpha)
    assert shapes(ours) == shapes(theirs)
    assert ours.count_params() == theirs.count_params()


@pytest.mark.parametrize(
    ("size", "alpha", "include_top"), [((64, 64), 1.0, False), ((97, 131), 0.35, False), ((97, 131), 0.35, True)]
)
def test_with_the_weights_of_keras_it_gives_what_keras_gives(size, alpha, include_top):
    theirs = keras.applications.MobileNetV2((*size, 3), alpha, include_top, weights=None)
    randomise(theirs, seed=1)
    ours = mobilenet_v2((*size, 3), alpha, include_top)
    ours.set_weights(theirs.get_weights())

    images = draw_images(size)
    expected = theirs(images)
    assert np.std(expected, axis=0).max() > 0.1 * np.mean(expected)  # else any two networks would look equal
    np.testing.assert_allclose(ours(images), expected, rtol=1e-3, atol=1e-5)


def test_its_batch_normalisations_keep_their_statistics_as_those_of_keras_do():
    def settings(model):
        norms = [layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)]
        return [(norm.momentum, norm.epsilon) for norm in norms]

    ours, theirs = ours_and_theirs(0.35)
    assert settings(ours) == settings(theirs)


def test_the_features_are_the_expansions_that_leave_each_stride_and_the_last_bottleneck():
    features = mobilenet_v2_features(keras.Input((97, 131, 3)))
    assert {stride: feature.shape[1:] for stride, feature in features.items()} == {
        2: (49, 66, 96),
        4: (25, 33, 144),
        8: (13, 17, 192),
        16: (7, 9, 576),
        32: (4, 5, 320),
    }


@pytest.fixture(scope="module")
def small_network():
    network = mobilenet_v2((97, 131, 3), alpha=0.35, classes=7)
    randomise(network, seed=2)
    return network


def test_a_saved_network_loads_without_custom_code(small_network, tmp_path):
    small_network.save(tmp_path / "network.keras")
    images = draw_images((97, 131))
    loaded = keras.saving.load_model(tmp_path / "network.keras", safe_mode=True)
    np.testing.assert_allclose(loaded(images), small_network(images), atol=1e-6)


def test_a_network_for_any_size_gives_what_one_for_this_size_gives(small_network):
    for_any_size = mobilenet_v2((None, None, 3), alpha=0.35, classes=7)
    for_any_size.set_weights(small_network.get_weights())
    images = draw_images((97, 131))
    np.testing.assert_allclose(for_any_size(images), small_network(images), atol=1e-6)


def test_a_fresh_network_hands_the_image_on_to_its_end():
    network = mobilenet_v2((64, 64, 3), alpha=0.35, include_top=False)
    assert np.std(network(draw_images((64, 64))), axis=0).max() > 0.1


def test_imagenet_weights_are_those_that_keras_publishes(monkeypatch):
    published = keras.applications.MobileNetV2((96, 96, 3), 0.35, include_top=False, weights=None)
    randomise(published, seed=3)
    asked = []

    def download(input_shape, alpha, include_top, weights):
        asked.append((input_shape, alpha, include_top, weights))
        return published

    monkeypatch.setattr(keras.applications, "MobileNetV2", download)
    ours = mobilenet_v2((96, 96, 3), 0.35, include_top=False, weights="imagenet")
    assert asked == [((96, 96, 3), 0.35, False, "imagenet")]
    for got, expected in zip(ours.get_weights(), published.get_weights(), strict=True):
        np.testing.assert_array_equal(got, expected)


def test_a_failed_download_is_told_in_a_sentence(monkeypatch):
    def download(*arguments, **options):
        raise Exception("URL fetch failure: no route to host")

    monkeypatch.setattr(keras.applications, "MobileNetV2", download)
    with pytest.raises(ConnectionError, match="could not be fetched: URL fetch failure: no route to host"):
        mobilenet_v2((32, 32, 3), alpha=0.35, include_top=False, weights="imagenet")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"input_shape": (64, 64)}, r"must be \(height, width, channels\), got \(64, 64\)"),
        ({"alpha": 0}, "alpha must be positive, got 0"),
        ({"weights": "coco"}, "weights must be None or \"imagenet\", got 'coco'"),
        ({"weights": "imagenet", "alpha": 0.4}, r"alpha of 0\.35, 0\.5, 0\.75, 1\.0, 1\.3, 1\.4, got 0\.4"),
        ({"weights": "imagenet", "classes": 7}, "have 1000 classes, got 7"),
        ({"weights": "imagenet", "input_shape": (32, 32, 1)}, "images of 3 channels, got 1"),
    ],
)
def test_a_bad_argument_is_refused_in_a_sentence(arguments, sentence):
    with pytest.raises(ValueError, match=sentence):
        mobilenet_v2(**{"input_shape": (32, 32, 3), **arguments})
