"""Is the joint network what it says, at any size, and does the predictor treat each image by itself?"""

import os
import subprocess
import sys
from dataclasses import replace

import keras
import numpy as np
import pytest
from PIL import Image

from ssdseg_ref.coding import encode
from ssdseg_ref.multitask import (
    LESSON,
    PRESETS,
    REFERENCE,
    SHIPPED,
    Predictor,
    build_network,
    load_network,
    preset,
    segmentation_gate,
)
from ssdseg_ref.prediction import _resized_argmax

SMALL = replace(LESSON, image_size=(64, 96))
ODD = replace(LESSON, image_size=(97, 131))


@pytest.fixture(scope="module")
def odd_network():
    return build_network(ODD)


def noise(*shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


class FakeNetwork:
    """Says what it is told, so that a test knows what the predictor should make of it."""

    def __init__(self, classes, offsets, mask):
        self.outputs = {"classes": classes, "offsets": offsets, "mask": mask}

    def predict_on_batch(self, images):
        return {name: value[: len(images)] for name, value in self.outputs.items()}


def logits_of(labels, classes, sure=10.0):
    return np.float32(sure) * np.eye(classes + 1, dtype=np.float32)[labels]


@pytest.mark.parametrize("backbone", ["mobilenetv2", "shufflenetv2"])
@pytest.mark.parametrize("name", PRESETS)
def test_the_network_has_one_row_an_anchor_and_one_logit_a_pixel(name, backbone):
    config = preset(name, backbone)
    shapes = {key: value.shape for key, value in build_network(config).output.items()}
    anchors, classes = len(config.anchors), len(config.classes)
    assert shapes == {
        "classes": (None, anchors, classes + 1),
        "offsets": (None, anchors, 4),
        "mask": (None, *config.image_size, classes + 1),
    }


@pytest.mark.parametrize("backbone", ["mobilenetv2", "shufflenetv2"])
def test_the_reference_preset_has_at_most_four_million_parameters(backbone):
    assert build_network(replace(REFERENCE, backbone=backbone)).count_params() <= 4.0e6


def test_a_size_that_32_does_not_divide_works(odd_network):
    outputs = odd_network.predict_on_batch(noise(2, 97, 131, 3))
    assert outputs["mask"].shape == (2, 97, 131, 4)
    assert outputs["classes"].shape[1] == outputs["offsets"].shape[1] == len(ODD.anchors)


def test_offsets_and_logits_take_any_sign_and_size(odd_network):
    """A ReLU6 behind the outputs, as the old project had it, would keep them in 0 to 6."""
    generator = np.random.default_rng(1)
    network = keras.models.clone_model(odd_network)
    network.set_weights(
        [generator.normal(0, 0.4, w.shape) if w.ndim > 1 else np.abs(w) + 0.1 for w in odd_network.get_weights()]
    )
    outputs = network.predict_on_batch(noise(1, 97, 131, 3))
    for name in ("offsets", "classes", "mask"):
        assert outputs[name].min() < -6, name
        assert outputs[name].max() > 6, name


@pytest.mark.parametrize("backbone", ["mobilenetv2", "shufflenetv2"])
def test_every_weight_of_the_network_is_reached_by_some_loss(backbone):
    """The old project's ShuffleNet had dead heads: nothing it was shown changed what it said."""
    import tensorflow as tf

    network = build_network(replace(SMALL, backbone=backbone))
    generator = np.random.default_rng(2)
    for weight in network.trainable_weights:  # the last convolutions start near zero, and would hide what is behind
        if "predict" in weight.path and "kernel" in weight.path:
            weight.assign(generator.normal(0, 0.3, weight.shape))
    with tf.GradientTape() as tape:
        outputs = network(noise(2, 64, 96, 3).astype(np.float32), training=True)
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
    expected, got = odd_network.predict_on_batch(images), again.predict_on_batch(images)
    for name, value in expected.items():
        np.testing.assert_allclose(got[name], value, atol=1e-5)


def test_the_order_of_the_rows_is_the_order_of_the_anchors(odd_network):
    """Where one cell of the finest map changes, its rows change most: row by row, column by column, then shape."""
    maps = keras.Model(odd_network.input, odd_network.get_layer("map1_offsets_predict").output)
    images = noise(1, 97, 131, 3)
    cells, rows = maps.predict_on_batch(images), odd_network.predict_on_batch(images)["offsets"]
    _, height, width, values = cells.shape
    per_cell = values // 4
    for row, col, shape in ((0, 0, 0), (0, 1, 1), (1, 0, 2), (height - 1, width - 1, per_cell - 1)):
        index = (row * width + col) * per_cell + shape
        np.testing.assert_allclose(rows[0, index], cells[0, row, col, 4 * shape : 4 * shape + 4], atol=1e-5)
        middle = ODD.anchors[index].reshape(2, 2).mean(axis=0)
        np.testing.assert_allclose(middle, [(col + 0.5) / width, (row + 0.5) / height], atol=1e-5)


def test_a_perfect_network_is_decoded_to_the_truth():
    config = SMALL
    anchors, classes = config.anchors, len(config.classes)
    boxes = np.float32([[0.2, 0.3, 0.5, 0.8], [0.6, 0.1, 0.9, 0.4]])
    chosen, labels = np.array([100, 200]), np.array([1, 3])
    row_labels, offsets = np.zeros(len(anchors), int), np.zeros((len(anchors), 4), np.float32)
    row_labels[chosen], offsets[chosen] = labels, encode(boxes, anchors[chosen])
    mask = np.zeros((64, 96), int)
    mask[20:50, 20:48], mask[7:25, 58:86] = 1, 3
    network = FakeNetwork(logits_of(row_labels, classes)[None], offsets[None], logits_of(mask, classes)[None])
    (prediction,) = Predictor(network, config, score_threshold=0.5)(noise(1, 64, 96, 3))
    order = np.argsort(prediction.labels)
    np.testing.assert_array_equal(prediction.labels[order], labels)
    np.testing.assert_allclose(prediction.boxes[order], boxes, atol=1e-5)
    np.testing.assert_array_equal(prediction.mask, mask)


def gate_case():
    """Two images with the same boxes of classes 1 and 2; class 1 is in the mask of the first image, 2 of the second."""
    anchors, classes = SMALL.anchors, len(SMALL.classes)
    row_labels = np.zeros(len(anchors), int)
    row_labels[10], row_labels[300] = 1, 2
    mask = np.zeros((2, 64, 96), int)
    mask[0, :8, :8], mask[1, :8, :8] = 1, 2
    rows = np.stack([logits_of(row_labels, classes)] * 2)
    return FakeNetwork(rows, np.zeros((2, len(anchors), 4), np.float32), logits_of(mask, classes))


def test_the_segmentation_gate_looks_at_each_image_by_itself():
    """The old project's gate let a class of one image pass in all images of the batch."""
    predictor = Predictor(gate_case(), SMALL, score_threshold=0.5)
    first, second = predictor(noise(2, 64, 96, 3))
    assert first.labels.tolist() == [1]
    assert second.labels.tolist() == [2]


@pytest.mark.parametrize(("least", "passing"), [(0, [0, 1, 2, 3]), (1, [0, 2, 3]), (2, [0, 3]), (3, [])])
def test_the_gate_counts_the_pixels_of_each_class(least, passing):
    mask = np.array([[0, 1, 1], [3, 0, 0]], np.uint8)
    assert segmentation_gate([1, 2, 3, 1], mask, least).tolist() == passing
    assert segmentation_gate([], mask, least).tolist() == []


def test_an_open_gate_lets_all_classes_pass():
    predictor = Predictor(gate_case(), SMALL, score_threshold=0.5, gate_pixels=0)
    assert [sorted(prediction.labels.tolist()) for prediction in predictor(noise(2, 64, 96, 3))] == [[1, 2], [1, 2]]


def test_background_takes_no_place_among_the_detections():
    """In the old project the background class went through NMS, and filled the list before any object did."""
    anchors, classes = SMALL.anchors, len(SMALL.classes)
    row_labels = np.zeros(len(anchors), int)
    row_labels[[10, 300]] = 2
    mask = np.full((1, 64, 96), 2)
    network = FakeNetwork(
        logits_of(row_labels, classes)[None], np.zeros((1, len(anchors), 4), np.float32), logits_of(mask, classes)
    )
    (prediction,) = Predictor(network, SMALL, score_threshold=0.5, max_detections=2)(noise(1, 64, 96, 3))
    assert prediction.labels.tolist() == [2, 2]


def test_predictions_come_best_first_inside_the_image_and_at_the_images_own_size():
    network = build_network(SMALL)
    predictions = Predictor(network, SMALL, gate_pixels=0)([noise(50, 33, 3), noise(64, 96, 3, seed=1)])
    assert [prediction.mask.shape for prediction in predictions] == [(50, 33), (64, 96)]
    for prediction in predictions:
        assert len(prediction.boxes) == len(prediction.labels) == len(prediction.scores) <= 100
        assert (np.diff(prediction.scores) <= 0).all()
        assert prediction.boxes.min(initial=0) >= 0
        assert prediction.boxes.max(initial=1) <= 1
        assert prediction.mask.dtype == np.uint8


def test_no_image_gives_no_prediction():
    assert Predictor(None, SMALL)([]) == []


@pytest.mark.parametrize("image", [np.zeros((8, 8), np.uint8), np.zeros((8, 8, 3)), np.zeros((0, 8, 3), np.uint8)])
def test_what_is_no_image_is_refused_in_one_sentence(image):
    with pytest.raises(ValueError, match=r"an image is \(H, W, 3\) uint8"):
        Predictor(None, SMALL)([image])


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_network_finds_the_people_of_a_scene_that_it_has_never_seen(name):
    from ssdseg_ref.boxes import pairwise_iou
    from ssdseg_ref.data import warehouse

    config = SHIPPED[name]
    scenes = [warehouse.render(seed, config.image_size) for seed in warehouse.SPLITS["test"][:8]]
    predictions = Predictor(load_network(name), config, score_threshold=0.3)([scene.image for scene in scenes])
    found = [
        pairwise_iou(scene.boxes, prediction.boxes).max(axis=1, initial=0) >= 0.5
        for scene, prediction in zip(scenes, predictions, strict=True)
    ]
    assert np.concatenate(found).mean() >= 0.7


def test_names_that_do_not_exist_are_answered_with_those_that_do():
    with pytest.raises(ValueError, match="there is no shipped network 'resnet'; there is lesson"):
        load_network("resnet")
    with pytest.raises(ValueError, match="there is no preset 'huge'; there is lesson, reference"):
        preset("huge")
    with pytest.raises(ValueError, match='the backbone is "mobilenetv2" or "shufflenetv2"'):
        build_network(replace(SMALL, backbone="vgg"))


@pytest.mark.parametrize("kind", ["float16", "bfloat16", "float64"])
def test_a_network_of_any_precision_predicts_in_single(kind):
    """As with Keras's policy mixed_float16, or "floatx" in keras.json."""
    network = gate_case()
    expected = Predictor(network, SMALL, score_threshold=0.5)(noise(2, 50, 70, 3))
    network.outputs = {name: np.asarray(keras.ops.cast(output, kind)) for name, output in network.outputs.items()}
    for before, after in zip(
        expected, Predictor(network, SMALL, score_threshold=0.5)(noise(2, 50, 70, 3)), strict=True
    ):
        assert (after.boxes.dtype, after.scores.dtype, after.mask.dtype) == (np.float32, np.float32, np.uint8)
        np.testing.assert_array_equal(after.labels, before.labels)
        np.testing.assert_array_equal(after.mask, before.mask)
        np.testing.assert_allclose(after.scores, before.scores, rtol=0.01)


def test_a_network_of_nan_is_said_to_have_diverged():
    network = gate_case()
    network.outputs["classes"] = network.outputs["classes"] * np.nan
    with pytest.raises(ValueError, match="nothing but NaN: its training must have diverged"):
        Predictor(network, SMALL)(noise(2, 64, 96, 3))


def test_anchors_that_give_no_number_cost_no_others():
    network = gate_case()
    network.outputs["classes"][:, :5] = np.nan
    network.outputs["offsets"][:, 5:9] = np.nan
    first, second = Predictor(network, SMALL, score_threshold=0.5)(noise(2, 64, 96, 3))
    assert (first.labels.tolist(), second.labels.tolist()) == ([1], [2])


def test_the_largest_of_all_planes_is_found_one_plane_at_a_time():
    logits = np.random.default_rng(0).normal(size=(9, 13, 6)).astype(np.float32)
    planes = [
        Image.fromarray(plane).resize((31, 17), Image.Resampling.BILINEAR) for plane in np.moveaxis(logits, -1, 0)
    ]
    np.testing.assert_array_equal(_resized_argmax(logits, (17, 31)), np.argmax([np.asarray(p) for p in planes], axis=0))


@pytest.mark.parametrize("classes", [0, 255])
def test_more_classes_than_a_mask_can_hold_are_refused(classes):
    with pytest.raises(ValueError, match=f"a network knows 1 to 254 classes, got {classes}"):
        build_network(replace(SMALL, classes=("x",) * classes))


def test_keras_json_does_not_decide_where_the_channels_are(tmp_path):
    """A file that another course has left; the numpy backend is quick to import."""
    (tmp_path / "keras.json").write_text('{"image_data_format": "channels_first"}')
    code = "import keras, ssdseg_ref.blocks; print(keras.config.image_data_format())"
    environment = {**os.environ, "KERAS_HOME": str(tmp_path), "KERAS_BACKEND": "numpy"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == "channels_last\n"
