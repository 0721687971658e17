"""Is the joint network what it says, at any size?"""

import zipfile
from dataclasses import replace

import keras
import numpy as np
import pytest
from random_weights import randomise

from ssdseg_ref.config import LESSON, SHIPPED, preset
from ssdseg_ref.network import build_network, load_network, read_config, save_network

ODD = replace(LESSON, image_size=(97, 131))


@pytest.fixture
def odd_network(network_of):
    return network_of(ODD)


def noise(*shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


@pytest.fixture(scope="module", params=[*SHIPPED, "lesson on shufflenetv2"])
def preset_and_network(request, shipped, network_of):
    """Every preset on both backbones: three of the four are shipped."""
    if request.param in SHIPPED:
        return SHIPPED[request.param], shipped(request.param)
    config = preset("lesson", "shufflenetv2")
    return config, network_of(config)


def test_the_network_has_one_row_per_anchor_and_one_logit_per_pixel_and_class(preset_and_network):
    config, network = preset_and_network
    shapes = {key: value.shape for key, value in network.output.items()}
    anchors, classes = len(config.anchors), len(config.classes)
    assert shapes == {
        "classes": (None, anchors, classes + 1),
        "offsets": (None, anchors, 4),
        "mask": (None, *config.image_size, classes + 1),
    }


@pytest.mark.parametrize("backbone", ["mobilenetv2", "shufflenetv2"])
def test_the_reference_preset_has_at_most_four_million_parameters(backbone, shipped):
    assert shipped(backbone).count_params() <= 4.0e6


def test_a_size_that_32_does_not_divide_works(odd_network):
    outputs = odd_network(noise(2, 97, 131, 3))
    assert outputs["mask"].shape == (2, 97, 131, 4)
    assert outputs["classes"].shape[1] == outputs["offsets"].shape[1] == len(ODD.anchors)


def test_offsets_and_logits_take_any_sign_and_size(odd_network):
    """A ReLU6 behind the outputs, as the old project had it, would keep them in 0 to 6."""
    generator = np.random.default_rng(1)
    odd_network.set_weights(
        [generator.normal(0, 0.4, w.shape) if w.ndim > 1 else np.abs(w) + 0.1 for w in odd_network.get_weights()]
    )
    outputs = odd_network(noise(1, 97, 131, 3), training=False)
    for name in ("offsets", "classes", "mask"):
        assert np.min(outputs[name]) < -6, name
        assert np.max(outputs[name]) > 6, name


@pytest.mark.parametrize("backbone", ["mobilenetv2", "shufflenetv2"])
def test_every_weight_of_the_network_is_reached_by_some_loss(backbone, network_of):
    """The old project's ShuffleNet had dead heads: nothing it was shown changed what it said."""
    import tensorflow as tf

    network = network_of(replace(ODD, backbone=backbone))
    generator = np.random.default_rng(2)
    for weight in network.trainable_weights:  # the last convolutions start near zero, and would hide what is behind
        if "predict" in weight.path and "kernel" in weight.path:
            weight.assign(generator.normal(0, 0.3, weight.shape))
    with tf.GradientTape() as tape:
        outputs = network(noise(2, 97, 131, 3).astype(np.float32), training=True)
        total = sum(tf.reduce_sum(value * generator.normal(size=value.shape)) for value in outputs.values())
    gradients = tape.gradient(total, network.trainable_weights)
    still = [w.path for w, g in zip(network.trainable_weights, gradients, strict=True) if g is None or not np.any(g)]
    assert still == []


def test_a_network_called_without_a_word_on_training_does_not_train(odd_network):
    """Keras's layer `Resizing` would make it train: it takes training for True where nobody says anything."""
    images = noise(2, *ODD.image_size, 3).astype(np.float32)
    before = [weight.numpy() for weight in odd_network.weights]
    called = odd_network(images)
    for weight, old in zip(odd_network.weights, before, strict=True):
        np.testing.assert_array_equal(weight.numpy(), old, err_msg=weight.path)
    predicted = odd_network(images, training=False)
    for name, value in called.items():
        np.testing.assert_allclose(np.asarray(value), np.asarray(predicted[name]), rtol=1e-4, atol=1e-4)


def test_a_saved_network_loads_without_custom_code(odd_network, tmp_path):
    odd_network.save(tmp_path / "network.keras")
    again = keras.models.load_model(tmp_path / "network.keras", compile=False, safe_mode=True)
    images = noise(1, 97, 131, 3)
    expected, got = odd_network(images, training=False), again(images, training=False)
    for name, value in expected.items():
        np.testing.assert_allclose(got[name], value, atol=1e-5)


def test_the_order_of_the_rows_is_the_order_of_the_anchors(odd_network):
    """Where one cell of the finest map changes, its rows change most: row by row, column by column, then shape."""
    maps = keras.Model(odd_network.input, odd_network.get_layer("map1_offsets_predict").output)
    images = noise(1, 97, 131, 3)
    cells, rows = maps(images, training=False), odd_network(images, training=False)["offsets"]
    _, height, width, values = cells.shape
    per_cell = values // 4
    for row, col, shape in ((0, 0, 0), (0, 1, 1), (1, 0, 2), (height - 1, width - 1, per_cell - 1)):
        index = (row * width + col) * per_cell + shape
        np.testing.assert_allclose(rows[0, index], cells[0, row, col, 4 * shape : 4 * shape + 4], atol=1e-5)
        middle = ODD.anchors[index].reshape(2, 2).mean(axis=0)
        np.testing.assert_allclose(middle, [(col + 0.5) / width, (row + 0.5) / height], atol=1e-5)


def test_names_that_do_not_exist_are_answered_with_those_that_do():
    with pytest.raises(ValueError, match="there is no shipped network 'resnet'; there is lesson"):
        load_network("resnet")
    with pytest.raises(ValueError, match='the backbone is "mobilenetv2" or "shufflenetv2"'):
        build_network(replace(ODD, backbone="vgg"))


@pytest.mark.parametrize("classes", [0, 255])
def test_more_classes_than_a_mask_can_hold_are_refused(classes):
    with pytest.raises(ValueError, match=f"a network knows 1 to 254 classes, got {classes}"):
        build_network(replace(ODD, classes=("x",) * classes))


def test_a_saved_network_carries_its_configuration_and_is_keras_still(tmp_path):
    config = replace(LESSON, classes=("cat", "dog"), image_size=(64, 96), has_masks=False)
    network = build_network(config)
    randomise(network, seed=1)
    path = tmp_path / "network.keras"
    save_network(network, config, path)
    assert read_config(path) == config
    image = np.random.default_rng(0).uniform(0, 255, (1, 64, 96, 3)).astype(np.float32)
    again = keras.models.load_model(path).predict_on_batch(image)
    for name, output in network.predict_on_batch(image).items():
        np.testing.assert_allclose(again[name], output, atol=1e-5)


def test_a_file_that_keras_alone_has_written_carries_none_and_a_damaged_one_is_named(tmp_path):
    path = tmp_path / "network.keras"
    keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)]).save(path)
    assert read_config(path) is None
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("ssdseg.json", '{"classes": 1}')
    with pytest.raises(ValueError, match=r"network\.keras: its ssdseg\.json is damaged"):
        read_config(path)
