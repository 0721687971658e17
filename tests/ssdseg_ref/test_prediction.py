"""What the predictor makes of a network's output: does it treat each image by itself?"""

from dataclasses import replace

import keras
import numpy as np
import pytest
from PIL import Image

from ssdseg_ref.boxes import pairwise_iou
from ssdseg_ref.coding import encode
from ssdseg_ref.config import LESSON, SHIPPED
from ssdseg_ref.data import warehouse
from ssdseg_ref.prediction import Predictor, segmentation_gate

SMALL = replace(LESSON, image_size=(64, 96))
ODD = replace(LESSON, image_size=(97, 131))


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


def test_a_network_that_has_learned_boxes_alone_gates_nothing_and_shows_no_mask():
    predictor = Predictor(gate_case(), replace(SMALL, has_masks=False), score_threshold=0.5)
    for prediction in predictor([noise(64, 96, 3), noise(50, 33, 3)]):
        assert sorted(prediction.labels.tolist()) == [1, 2]
        assert not prediction.mask.any()
    assert prediction.mask.shape == (50, 33)


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


def test_predictions_come_best_first_inside_the_image_and_at_the_images_own_size(network_of):
    predictions = Predictor(network_of(ODD), ODD, gate_pixels=0)([noise(50, 33, 3), noise(97, 131, 3, seed=1)])
    assert [prediction.mask.shape for prediction in predictions] == [(50, 33), (97, 131)]
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


@pytest.mark.parametrize("name", [name for name, config in SHIPPED.items() if config.classes == warehouse.CLASSES])
def test_a_shipped_network_finds_the_people_of_a_scene_that_it_has_never_seen(name, shipped):
    config = SHIPPED[name]
    scenes = [warehouse.render(seed, config.image_size) for seed in warehouse.SPLITS["test"][:8]]
    predictions = Predictor(shipped(name), config, score_threshold=0.3)([scene.image for scene in scenes])
    found = [
        pairwise_iou(scene.boxes, prediction.boxes).max(axis=1, initial=0) >= 0.5
        for scene, prediction in zip(scenes, predictions, strict=True)
    ]
    assert np.concatenate(found).mean() >= 0.7


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


def test_the_mask_is_the_best_class_of_the_logits_at_the_images_size():
    """The logits are resized, and not the classes."""
    anchors, classes = len(SMALL.anchors), len(SMALL.classes)
    logits = np.random.default_rng(0).normal(size=(9, 13, 6)).astype(np.float32)
    network = FakeNetwork(np.zeros((1, anchors, classes + 1)), np.zeros((1, anchors, 4)), logits[None])
    (prediction,) = Predictor(network, SMALL)(noise(1, 17, 31, 3))
    planes = [
        Image.fromarray(plane).resize((31, 17), Image.Resampling.BILINEAR) for plane in np.moveaxis(logits, -1, 0)
    ]
    np.testing.assert_array_equal(prediction.mask, np.argmax([np.asarray(plane) for plane in planes], axis=0))
