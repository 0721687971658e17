"""Do the losses measure what their papers say, on every backend, whatever the size of image and batch?"""

import os
import subprocess
import sys
from importlib.util import find_spec

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from ssdseg_ref.boxes import pairwise_iou
from ssdseg_ref.losses import (
    class_cross_entropy,
    dice_loss,
    dice_square_loss,
    giou_loss,
    iou_aware_loss,
    mine_hard_negatives,
    multibox_loss,
    smooth_l1,
    weighted_cross_entropy,
)

DICES = [dice_loss, dice_square_loss]
WEIGHTS = (0.5, 2.0, 3.0, 1.0)


def _softmax(logits):
    exponentials = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return exponentials / exponentials.sum(axis=-1, keepdims=True)


def _random_masks(rng, batch=2, height=5, width=7, classes=3):
    mask = rng.integers(0, classes + 1, (batch, height, width)).astype(np.uint8)
    mask[rng.random(mask.shape) < 0.2] = 255
    return mask, rng.normal(0, 2, (*mask.shape, classes + 1)).astype(np.float32)


def _sure(mask, classes=3, logit=30.0):
    """Logits that say just what the mask says."""
    return logit * np.eye(classes + 1, dtype=np.float32)[np.where(mask == 255, 0, mask)]


def _random_detections(rng, batch=3, anchors=40, classes=3, share=0.1):
    labels = np.where(rng.random((batch, anchors)) < share, rng.integers(1, classes + 1, (batch, anchors)), 0)
    offsets = rng.normal(0, 2, (batch, anchors, 4)).astype(np.float32)
    logits = rng.normal(0, 2, (batch, anchors, classes + 1)).astype(np.float32)
    return labels.astype(np.int32), offsets, logits, rng.normal(0, 2, offsets.shape).astype(np.float32)


def _random_boxes(rng, *shape):
    corners = rng.random((*shape, 2, 2))
    return np.concatenate([corners.min(axis=-2), corners.max(axis=-2)], axis=-1).astype(np.float32)


def _slow_multibox(classes, offsets, logits, predicted):
    """One image at a time: its own positives, its own three hardest negatives a positive, at least three."""
    shares = _softmax(logits.astype(np.float64))
    class_total = box_total = positives = 0
    for image in range(len(classes)):
        losses = [-np.log(shares[image, n, label]) for n, label in enumerate(classes[image])]
        mine = [n for n, label in enumerate(classes[image]) if label]
        others = sorted((n for n in range(len(losses)) if n not in mine), key=lambda n: -losses[n])
        counted = mine + others[: max(3 * len(mine), 3)]
        class_total += sum(losses[n] for n in counted)
        for n in mine:
            for d in np.abs(offsets[image, n].astype(np.float64) - predicted[image, n]):
                box_total += 0.5 * d * d if d < 1 else d - 0.5
        positives += len(mine)
    return class_total / max(positives, 1), box_total / max(positives, 1)


def _slow_giou(a, b):
    def area(box):
        return (box[2] - box[0]) * (box[3] - box[1])

    shared = max(0, min(a[2], b[2]) - max(a[0], b[0])) * max(0, min(a[3], b[3]) - max(a[1], b[1]))
    union = area(a) + area(b) - shared
    hull = area((min(a[0], b[0]), min(a[1], b[1]), max(a[2], b[2]), max(a[3], b[3])))
    return shared / union - (hull - union) / hull


@pytest.mark.parametrize("seed", range(3))
def test_smooth_l1_is_hubers_loss_with_a_delta_of_one(seed):
    rng = np.random.default_rng(seed)
    truth, predicted = rng.normal(0, 2, (2, 50, 1)).astype(np.float32)
    huber = keras.losses.Huber(delta=1.0, reduction=None)
    np.testing.assert_allclose(smooth_l1(truth, predicted)[:, 0], huber(truth, predicted), rtol=1e-5, atol=1e-6)


def test_smooth_l1_is_square_near_zero_and_straight_farther_out():
    distances = np.array([0, 0.5, -0.5, 1, -1, 3], np.float32)
    np.testing.assert_allclose(smooth_l1(np.zeros(6, np.float32), distances), [0, 0.125, 0.125, 0.5, 0.5, 2.5])


@pytest.mark.parametrize("shape", [(11,), (2, 9), (2, 3, 5)])
def test_class_cross_entropy_is_that_of_keras(shape):
    rng = np.random.default_rng(0)
    classes, logits = rng.integers(0, 4, shape), rng.normal(0, 5, (*shape, 4)).astype(np.float32)
    of_keras = keras.losses.SparseCategoricalCrossentropy(from_logits=True, reduction=None)(classes, logits)
    np.testing.assert_allclose(class_cross_entropy(classes, logits), of_keras, rtol=1e-5, atol=1e-6)


def test_a_class_that_is_all_but_excluded_costs_much_and_stays_finite():
    loss = class_cross_entropy(np.array([1]), np.array([[500.0, -500.0]], np.float32))
    np.testing.assert_allclose(loss, [1000])


@pytest.mark.parametrize("seed", range(8))
def test_multibox_is_what_a_loop_over_the_images_finds(seed):
    rng = np.random.default_rng(seed)
    detections = _random_detections(rng, share=float(rng.choice([0.02, 0.1, 0.4])))
    np.testing.assert_allclose(multibox_loss(*detections), _slow_multibox(*detections), rtol=1e-4)


@pytest.mark.parametrize("seed", range(5))
def test_each_image_mines_three_negatives_a_positive_of_its_own(seed):
    """The old project mined over the batch: one hard image took the negatives of all."""
    rng = np.random.default_rng(seed)
    losses = rng.random((4, 30)).astype(np.float32)
    losses[0] += 10  # an image that is harder throughout
    positive = np.zeros((4, 30), bool)
    positive[1, :2], positive[2, :5], positive[3, :20] = True, True, True
    mined = np.asarray(mine_hard_negatives(losses, positive))
    assert mined.sum(axis=1).tolist() == [3, 6, 15, 10]  # without a box three; at most all that there are
    assert not (mined & positive).any()
    for image in range(4):
        left_out = ~mined[image] & ~positive[image]
        assert losses[image][mined[image]].min() > losses[image][left_out].max(initial=-1)


def test_mining_an_image_does_not_depend_on_its_batch():
    rng = np.random.default_rng(7)
    losses, positive = rng.random((5, 40)).astype(np.float32), rng.random((5, 40)) < 0.1
    together = np.asarray(mine_hard_negatives(losses, positive))
    alone = [np.asarray(mine_hard_negatives(losses[k : k + 1], positive[k : k + 1]))[0] for k in range(5)]
    np.testing.assert_array_equal(together, alone)


def test_an_image_of_positives_alone_has_no_negative_to_mine():
    assert not np.asarray(mine_hard_negatives(np.ones((1, 6), np.float32), np.ones((1, 6), bool))).any()


def test_multibox_does_not_grow_with_the_batch():
    detections = _random_detections(np.random.default_rng(8))
    twice = [np.concatenate([part, part]) for part in detections]
    np.testing.assert_allclose(multibox_loss(*twice), multibox_loss(*detections), rtol=1e-5)


def test_offsets_of_background_anchors_cost_nothing():
    classes, offsets, logits, predicted = _random_detections(np.random.default_rng(9))
    elsewhere = np.where((classes == 0)[..., None], 1e3, predicted).astype(np.float32)
    before, after = (
        multibox_loss(classes, offsets, logits, predicted),
        multibox_loss(classes, offsets, logits, elsewhere),
    )
    np.testing.assert_allclose(after, before, rtol=1e-6)


def test_images_without_any_box_still_teach_what_background_is():
    _, offsets, logits, predicted = _random_detections(np.random.default_rng(10))
    logits, predicted = tf.Variable(logits), tf.Variable(predicted)
    with tf.GradientTape() as tape:
        class_loss, box_loss = multibox_loss(np.zeros((3, 40), np.int32), np.zeros_like(offsets), logits, predicted)
        total = class_loss + box_loss
    of_logits, of_offsets = tape.gradient(total, [logits, predicted], unconnected_gradients="zero")
    assert np.isfinite(total)
    assert box_loss == 0
    assert np.isfinite(of_logits).all()
    assert (np.abs(of_logits).max(axis=(1, 2)) > 0).all()
    assert not np.any(of_offsets)


def test_a_perfect_detector_has_no_multibox_loss():
    classes, offsets, _, _ = _random_detections(np.random.default_rng(11))
    losses = multibox_loss(classes, offsets, 40 * np.eye(4, dtype=np.float32)[classes], offsets)
    np.testing.assert_allclose(losses, [0, 0], atol=1e-6)


@pytest.mark.parametrize("seed", range(3))
def test_giou_is_what_plain_arithmetic_finds_box_by_box(seed):
    rng = np.random.default_rng(seed)
    truth, predicted = _random_boxes(rng, 3, 20), _random_boxes(rng, 3, 20)
    expected = [
        [1 - _slow_giou(*pair) for pair in zip(*row, strict=True)] for row in zip(truth, predicted, strict=True)
    ]
    np.testing.assert_allclose(giou_loss(truth, predicted), expected, atol=1e-3)  # some boxes are slivers


def test_giou_loss_of_equal_boxes_is_zero_and_of_boxes_far_apart_nearly_two():
    boxes = np.array([[0.1, 0.2, 0.6, 0.5], [0.0, 0.0, 0.1, 0.1]], np.float32)
    far = np.array([[0.1, 0.2, 0.6, 0.5], [99.9, 99.9, 100, 100]], np.float32)
    np.testing.assert_allclose(giou_loss(boxes, far), [0, 2], atol=1e-4)


def test_boxes_that_do_not_touch_still_pull_at_each_other():
    predicted = tf.Variable([[0.6, 0.6, 0.8, 0.8]])
    with tf.GradientTape() as tape:
        loss = giou_loss(np.array([[0.1, 0.1, 0.3, 0.3]], np.float32), predicted)
    left, top, _, _ = tape.gradient(loss, predicted).numpy()[0]
    assert left > 0  # descending moves it up and to the left
    assert top > 0


@pytest.mark.parametrize("seed", range(3))
def test_with_the_iou_aware_loss_a_class_gets_as_much_of_the_target_as_its_box_has_iou(seed):
    rng = np.random.default_rng(seed)
    truth, predicted = _random_boxes(rng, 40), _random_boxes(rng, 40)
    predicted[:20] = truth[:20] + rng.normal(0, 0.01, (20, 4)).astype(np.float32)
    classes, logits = rng.integers(1, 4, 40), rng.normal(0, 3, (40, 4)).astype(np.float32)
    soft = np.zeros((40, 4), np.float32)
    for row, (label, pair) in enumerate(zip(classes, zip(truth, predicted, strict=True), strict=True)):
        soft[row, label] = pairwise_iou(*(box[None] for box in pair))[0, 0]
        soft[row, 0] = 1 - soft[row, label]
    expected = keras.losses.categorical_crossentropy(soft, logits, from_logits=True)
    ours = class_cross_entropy(classes, logits) + iou_aware_loss(truth, predicted, classes, logits)
    np.testing.assert_allclose(ours, expected, atol=1e-4)


def test_the_iou_is_a_target_and_moves_no_box():
    predicted = tf.Variable([[0.1, 0.1, 0.4, 0.4]])
    with tf.GradientTape() as tape:
        loss = iou_aware_loss(np.array([[0.1, 0.1, 0.3, 0.3]], np.float32), predicted, np.array([1]), np.eye(4)[[2]])
    assert tape.gradient(loss, predicted) is None


@pytest.mark.parametrize("seed", range(3))
def test_weighted_cross_entropy_is_the_weighted_mean_over_the_pixels_that_count(seed):
    mask, logits = _random_masks(np.random.default_rng(seed))
    shares = _softmax(logits.astype(np.float64))
    total = weight = 0
    for place in np.ndindex(*mask.shape):
        if mask[place] != 255:
            total -= WEIGHTS[mask[place]] * np.log(shares[place][mask[place]])
            weight += WEIGHTS[mask[place]]
    np.testing.assert_allclose(weighted_cross_entropy(mask, logits, WEIGHTS), total / weight, rtol=1e-5)


over_the_mask_losses = pytest.mark.parametrize(
    "loss", [lambda *pair: weighted_cross_entropy(*pair, WEIGHTS), *DICES], ids=["cross-entropy", "dice", "dice-square"]
)


@over_the_mask_losses
def test_a_mask_loss_does_not_grow_with_the_image(loss):
    """The old project summed cross-entropy over the pixels."""
    mask, logits = _random_masks(np.random.default_rng(1))
    tiled = loss(np.tile(mask, (1, 2, 3)), np.tile(logits, (1, 2, 3, 1)))
    np.testing.assert_allclose(tiled, loss(mask, logits), rtol=1e-4)


@over_the_mask_losses
def test_a_mask_loss_does_not_grow_with_the_batch(loss):
    mask, logits = _random_masks(np.random.default_rng(2))
    twice = loss(np.concatenate([mask, mask]), np.concatenate([logits, logits]))
    np.testing.assert_allclose(twice, loss(mask, logits), rtol=1e-4)


@over_the_mask_losses
def test_a_perfect_mask_costs_nothing(loss):
    mask, _ = _random_masks(np.random.default_rng(3))
    assert float(loss(mask, _sure(mask))) == pytest.approx(0, abs=1e-5)


@over_the_mask_losses
def test_a_mask_that_is_wrong_throughout_costs_at_least_one(loss):
    mask, _ = _random_masks(np.random.default_rng(4))
    wrong = np.where(mask == 255, 255, (mask.astype(int) + 1) % 4)
    assert loss(mask, _sure(wrong)) >= 1 - 1e-5


@over_the_mask_losses
def test_what_is_predicted_at_ignored_pixels_does_not_matter(loss):
    mask, logits = _random_masks(np.random.default_rng(5))
    elsewhere = np.where((mask == 255)[..., None], 50 * logits[..., ::-1], logits)
    assert (elsewhere != logits).any()
    np.testing.assert_allclose(loss(mask, elsewhere), loss(mask, logits), rtol=1e-6)


@over_the_mask_losses
def test_where_all_is_ignored_a_mask_loss_is_zero_with_a_finite_gradient(loss):
    mask, logits = _random_masks(np.random.default_rng(6))
    logits = tf.Variable(logits)
    with tf.GradientTape() as tape:
        value = loss(np.full_like(mask, 255), logits)
    assert value == 0
    assert np.isfinite(tape.gradient(value, logits)).all()


@over_the_mask_losses
def test_descending_the_gradient_of_a_mask_loss_makes_it_smaller(loss):
    mask, logits = _random_masks(np.random.default_rng(7))
    logits = tf.Variable(logits)
    with tf.GradientTape() as tape:
        before = loss(mask, logits)
    assert loss(mask, logits - 0.1 * tape.gradient(before, logits)) < before


@over_the_mask_losses
@pytest.mark.parametrize("kind", [np.uint8, np.int32, np.int64])
def test_a_mask_of_any_whole_numbers_will_do(loss, kind):
    mask, logits = _random_masks(np.random.default_rng(8))
    np.testing.assert_allclose(loss(mask.astype(kind), logits), loss(mask, logits), rtol=1e-6)
    np.testing.assert_allclose(loss(tf.constant(mask.astype(kind)), logits), loss(mask, logits), rtol=1e-6)


@pytest.mark.parametrize(("loss", "power"), [(dice_loss, 1), (dice_square_loss, 2)])
def test_dice_is_twice_the_overlap_over_both_areas_class_by_class(loss, power):
    mask, logits = _random_masks(np.random.default_rng(9))
    seen = mask != 255
    shares = _softmax(logits.astype(np.float64))[seen]
    losses = []
    for label in range(4):
        truth, share = mask[seen] == label, shares[:, label]
        losses.append(1 - 2 * share[truth].sum() / (truth.sum() + (share**power).sum()))
    np.testing.assert_allclose(loss(mask, logits), np.mean(losses), rtol=1e-4)


@pytest.mark.parametrize("loss", DICES)
def test_dice_leaves_out_a_class_that_no_mask_holds(loss):
    mask, logits = _random_masks(np.random.default_rng(10))
    mask[mask == 3] = 1
    seen, shares = mask != 255, _softmax(logits.astype(np.float64))
    power = 2 if loss is dice_square_loss else 1
    losses = []
    for label in range(3):
        truth, share = mask[seen] == label, shares[seen][:, label]
        losses.append(1 - 2 * share[truth].sum() / (truth.sum() + (share**power).sum()))
    np.testing.assert_allclose(loss(mask, logits), np.mean(losses), rtol=1e-4)


def test_squares_in_the_denominator_judge_an_unsure_pixel_more_mildly():
    mask, unsure = np.ones((1, 4, 4), np.uint8), np.zeros((1, 4, 4, 2), np.float32)
    assert float(dice_loss(mask, unsure)) == pytest.approx(1 - 2 * 0.5 / 1.5)
    assert float(dice_square_loss(mask, unsure)) == pytest.approx(1 - 2 * 0.5 / 1.25)


def test_a_heavier_class_weighs_more():
    mask, logits = np.array([[[0, 1]]], np.uint8), np.array([[[[2.0, 0], [2.0, 0]]]], np.float32)
    right, wrong = np.log1p(np.exp(-2.0)), np.log1p(np.exp(2.0))
    assert float(weighted_cross_entropy(mask, logits, (1, 3))) == pytest.approx((right + 3 * wrong) / 4)


@over_the_mask_losses
def test_ignore_is_never_taken_for_a_class(loss, monkeypatch):
    """TensorFlow gives zeros for the one-hot code of 255; NumPy and PyTorch raise an error."""
    one_hot, asked = ops.one_hot, []
    monkeypatch.setattr(
        ops, "one_hot", lambda x, *args, **kwargs: asked.append(np.max(x)) or one_hot(x, *args, **kwargs)
    )
    loss(*_random_masks(np.random.default_rng(11)))
    assert max(asked) == 3


def every_loss() -> list[float]:
    """All losses on fixed inputs, on whichever backend this process has."""
    rng = np.random.default_rng(12)
    mask, logits = _random_masks(rng)
    return [
        float(value)
        for value in (
            *multibox_loss(*_random_detections(rng)),
            ops.mean(giou_loss(_random_boxes(rng, 9), _random_boxes(rng, 9))),
            weighted_cross_entropy(mask, logits, WEIGHTS),
            dice_loss(mask, logits),
            dice_square_loss(mask, logits),
        )
    ]


@pytest.mark.full
@pytest.mark.parametrize(("backend", "needs"), [("numpy", ("scipy", "jax")), ("jax", ("jax",)), ("torch", ("torch",))])
def test_another_backend_computes_the_same_losses(backend, needs):
    missing = [package for package in needs if find_spec(package) is None]
    if missing:
        pytest.skip(f"Keras's backend {backend} needs {' and '.join(missing)}")
    here = os.path.dirname(__file__)
    run = subprocess.run(
        [sys.executable, "-c", "import test_losses as t; print(t.keras.backend.backend(), *t.every_loss())"],
        env={**os.environ, "KERAS_BACKEND": backend, "PYTHONPATH": os.pathsep.join([here, *sys.path])},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert run.returncode == 0, run.stderr
    used, *values = run.stdout.split()
    assert used == backend
    np.testing.assert_allclose([float(value) for value in values], every_loss(), rtol=1e-4)


@pytest.mark.parametrize("kind", ["float16", "bfloat16"])
def test_outputs_in_half_precision_are_summed_in_single(kind):
    """Over a batch of masks float16 passes 65,504, and an epsilon of 1e-7 is 0 in it."""
    rng = np.random.default_rng(0)
    mask, logits = _random_masks(rng, batch=8, height=96, width=128)
    labels, offsets, class_logits, predicted = _random_detections(rng, batch=8, anchors=3000)
    boxes = _random_boxes(rng, 3000)

    def all_of(kind):
        as_kind = [ops.cast(x, kind) for x in (logits, class_logits, predicted, boxes)]
        pixels, rows, deltas, corners = (ops.cast(x, "float32") for x in as_kind) if kind == "float32" else as_kind
        return [
            dice_loss(mask, pixels),
            dice_square_loss(mask, pixels),
            weighted_cross_entropy(mask, pixels, WEIGHTS),
            *multibox_loss(labels, offsets, rows, deltas),
            ops.mean(giou_loss(boxes, corners)),
            ops.mean(iou_aware_loss(boxes, corners, labels[0], rows[0])),
            ops.mean(smooth_l1(offsets, 300 * deltas)),
        ]

    for half, single in zip(all_of(kind), all_of("float32"), strict=True):
        assert keras.backend.standardize_dtype(half.dtype) == "float32"
        np.testing.assert_allclose(float(half), float(single), rtol=0.02, atol=0.05)


@pytest.mark.parametrize("weights", [(1.0,), (1.0,) * 3, np.ones(5)])
def test_as_many_weights_as_classes_are_wanted(weights):
    mask, logits = _random_masks(np.random.default_rng(0))
    with pytest.raises(ValueError, match=rf"4 classes, .* need as many weights, got {len(weights)}"):
        weighted_cross_entropy(mask, logits, weights)
