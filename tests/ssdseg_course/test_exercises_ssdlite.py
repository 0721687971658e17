"""Lesson 6's exercises take every honest answer, and have words for the mistakes that people make."""

import keras
import numpy as np
import pytest
from answers import (
    assert_passes,
    assert_told,
    every_mistake,
    every_variant,
    exercises_of,
    report_on,
    report_on_fixed_cases,
    words,
)
from keras import layers, ops

from ssdseg_course import EXERCISES
from ssdseg_ref.boxes import pairwise_iou
from ssdseg_ref.losses import class_cross_entropy, mine_hard_negatives, smooth_l1

# Right answers, written in another way


def block(x, filters=None, stride=1):
    layer = layers.Conv2D(filters, 1, use_bias=False) if filters else layers.DepthwiseConv2D(
        (3, 3), strides=stride, padding="same", use_bias=False
    )  # fmt: skip
    return layers.ReLU(6.0)(layers.BatchNormalization()(layer(x)))


def extras_as_a_tuple(x, channels):
    maps = [x]
    for filters in channels:
        maps.append(block(block(block(maps[-1], int(filters / 2)), stride=2), filters))
    return maps[1:]


def head_by_reshaping(x, anchors_per_cell, values):
    x = layers.Conv2D(anchors_per_cell * values, kernel_size=(1, 1), padding="same", activation="linear")(block(x))
    return ops.reshape(x, (-1, x.shape[1] * x.shape[2] * anchors_per_cell, values))


def extras_with_groups(x, channels):
    """A depthwise step as a convolution in groups; a tuple comes back."""
    maps = []
    for filters in channels:
        half = filters // 2
        x = layers.Conv2D(half, 3, 2, padding="same", groups=half, use_bias=False)(block(x, half))
        x = block(ops.relu6(layers.BatchNormalization()(x)), filters)
        maps.append(x)
    return tuple(maps)


def head_with_a_dense_layer(x, anchors_per_cell, values):
    """On a map, a dense layer is a pointwise convolution."""
    return layers.Reshape((-1, values))(layers.Dense(anchors_per_cell * values)(block(x)))


def head_as_a_sequence(x, anchors_per_cell, values):
    steps = [
        layers.DepthwiseConv2D(3, padding="same", use_bias=False),
        layers.BatchNormalization(),
        layers.ReLU(6.0),
        layers.Conv2D(anchors_per_cell * values, 1),
        layers.Reshape((-1, values)),
    ]
    return keras.Sequential(steps)(x)


def entropy_of_keras(classes, logits):
    return keras.losses.sparse_categorical_crossentropy(classes, logits, from_logits=True)


def entropy_by_taking(classes, logits):
    shares = ops.log_softmax(logits)
    return -ops.squeeze(ops.take_along_axis(shares, ops.expand_dims(classes, -1), axis=-1), -1)


def entropy_by_hand(classes, logits):
    logits = logits - ops.stop_gradient(ops.max(logits, axis=-1, keepdims=True))
    total = ops.log(ops.sum(ops.exp(logits), axis=-1))
    return total - ops.sum(ops.one_hot(classes, logits.shape[-1]) * logits, axis=-1)


def smooth_by_minimum(truth, predicted):
    distance = ops.absolute(predicted - truth)
    near = ops.minimum(distance, 1.0)
    return 0.5 * near * near + (distance - near)


def mined_from_the_end(losses, positive):
    """The ranks of an argsort that rises: of equal ones it takes the last, not the first."""
    count = ops.shape(losses)[1]
    place = count - 1 - ops.argsort(ops.argsort(ops.where(positive, -np.inf, losses), axis=1), axis=1)
    wanted = 3 * ops.maximum(ops.sum(ops.cast(positive, "int32"), axis=1, keepdims=True), 1)
    return ops.logical_and(ops.cast(place, "int32") < wanted, ops.logical_not(positive))


def mined_by_comparing(losses, positive):
    """How many are harder, or as hard and further in front."""
    hard, index = ops.where(positive, -np.inf, losses), ops.arange(losses.shape[1])
    is_harder = ops.logical_or(
        hard[:, None, :] > hard[:, :, None],
        ops.logical_and(hard[:, None, :] == hard[:, :, None], index[None, None, :] < index[None, :, None]),
    )
    positives = ops.sum(ops.cast(positive, "float32"), axis=1, keepdims=True)
    return ops.logical_and(
        ops.sum(ops.cast(is_harder, "float32"), axis=-1) < ops.maximum(3 * positives, 3.0), ~positive
    )


def mined_image_by_image(losses, positive):
    rows = []
    for image in range(losses.shape[0]):
        count = losses.shape[1]
        order = ops.top_k(ops.where(positive[image], -1.0, losses[image]), count)[1]
        wanted = ops.maximum(3 * ops.sum(ops.cast(positive[image], "int32")), 3)
        marks = ops.cast(ops.arange(count) < wanted, "float32")
        rows.append(ops.logical_and(ops.matmul(marks, ops.one_hot(order, count)) > 0.5, ~positive[image]))
    return ops.stack(rows)


def multibox_with_weights(classes, offsets, class_logits, predicted_offsets):
    positive = ops.cast(classes != 0, "float32")
    entropy = class_cross_entropy(classes, class_logits)
    weight = positive + ops.cast(mine_hard_negatives(entropy, classes != 0), "float32")
    total = ops.maximum(ops.sum(positive), float(classes.shape[0]))
    box = ops.sum(smooth_l1(offsets, predicted_offsets) * ops.expand_dims(positive, -1))
    return [ops.sum(weight * entropy) / total, box / total]


def suppression_with_lists(boxes, scores, iou_threshold, score_threshold, max_detections):
    left = sorted((k for k in range(len(scores)) if scores[k] >= score_threshold), key=lambda k: -scores[k])
    kept = []
    for k in left:
        if all(pairwise_iou([boxes[k]], [boxes[other]])[0, 0] <= iou_threshold for other in kept):
            kept.append(int(k))
    return kept[:max_detections]


def suppression_with_a_table(boxes, scores, iou_threshold, score_threshold, max_detections):
    ious, alive, kept = pairwise_iou(boxes, boxes), scores >= score_threshold, []
    while alive.any() and len(kept) < max_detections:
        best = np.where(alive, scores, -np.inf).argmax()
        kept.append(best)
        alive = alive & (ious[best] <= iou_threshold)
        alive[best] = False
    return np.array(kept, float)


HONEST = {
    "06.extra_maps": (extras_as_a_tuple, extras_with_groups),
    "06.prediction_head": (head_by_reshaping, head_with_a_dense_layer, head_as_a_sequence),
    "06.class_cross_entropy": (entropy_by_taking, entropy_by_hand, entropy_of_keras),
    "06.smooth_l1": (smooth_by_minimum,),
    "06.mine_hard_negatives": (mined_from_the_end, mined_by_comparing, mined_image_by_image),
    "06.multibox_loss": (multibox_with_weights,),
    "06.non_max_suppression": (suppression_with_lists, suppression_with_a_table),
}


@every_variant(HONEST)
def test_an_honest_variant_passes(exercise, variant):
    assert_passes(exercise, variant)


def test_every_exercise_has_honest_variants():
    assert set(HONEST) == exercises_of("06")


# Mistakes, written as people write them


def in_numpy(truth, predicted):
    distance = np.abs(np.asarray(truth) - np.asarray(predicted))
    return np.where(distance < 1, 0.5 * distance**2, distance - 0.5)


def with_an_if(truth, predicted):
    return ops.abs(truth - predicted) if ops.max(ops.abs(truth - predicted)) >= 1 else 0.5 * (truth - predicted) ** 2


def forgets_keepdims(losses, positive):
    rank = ops.argsort(ops.argsort(-ops.where(positive, -1.0, losses), axis=1), axis=1)
    return rank < ops.maximum(3 * ops.sum(ops.cast(positive, "int32"), axis=1), 3)


def returns_indices(losses, positive):
    return ops.argsort(-ops.where(positive, -1.0, losses), axis=1)


def history_forgotten(classes, offsets, class_logits, predicted_offsets):
    class_loss, box_loss = multibox_with_weights(classes, offsets, class_logits, predicted_offsets)
    return class_loss, ops.stop_gradient(box_loss)


def history_of_the_classes_forgotten(classes, offsets, class_logits, predicted_offsets):
    return multibox_with_weights(classes, offsets, ops.stop_gradient(class_logits), predicted_offsets)


def multibox_of(
    divide=lambda positives, mined, images: ops.maximum(ops.sum(positives), images), mine=mine_hard_negatives
):
    """The loss, with the divisor as a learner writes it; `positives` and `mined` are (B, N) of 0 and 1."""

    def loss(classes, offsets, class_logits, predicted_offsets):
        positive = classes > 0
        entropy = class_cross_entropy(classes, class_logits)
        mined = mine(entropy, positive)
        p, m = ops.cast(positive, "float32"), ops.cast(mined, "float32")
        divisor = divide(p, m, float(classes.shape[0]))
        box = p * ops.sum(smooth_l1(offsets, predicted_offsets), axis=-1)
        return ops.sum((p + m) * entropy / divisor), ops.sum(box / divisor)

    return loss


def mined_over_the_batch(losses, positive):
    flat = mine_hard_negatives(ops.reshape(losses, (1, -1)), ops.reshape(positive, (1, -1)))
    return ops.reshape(flat, ops.shape(losses))


def depthwise_with_a_bias(x, anchors_per_cell, values):
    return layers.Reshape((-1, values))(
        layers.Conv2D(anchors_per_cell * values, 1)(layers.DepthwiseConv2D(3, padding="same")(x))
    )


def head_of(looks="relu6", norm=False, behind=None, rows=lambda x, a, v: layers.Reshape((-1, v))(x), **options):
    """A head, layer by layer: an activation stands in a layer of its own."""

    def head(x, anchors_per_cell, values):
        x = layers.BatchNormalization()(layers.DepthwiseConv2D(3, padding="same", use_bias=False)(x))
        x = layers.Activation(looks)(x) if looks else x
        x = layers.Conv2D(anchors_per_cell * values, 1, use_bias=not norm, **options)(x)
        x = layers.BatchNormalization()(x) if norm else x
        x = layers.Activation(behind)(x) if behind else x
        return rows(x, anchors_per_cell, values)

    return head


def extras_of(acts=("relu6", "relu6", "relu6"), padding="same", squeezed=lambda new, old: new // 2):
    def extras(x, channels):
        maps = []
        for filters in channels:
            steps = (
                layers.Conv2D(squeezed(filters, x.shape[-1]), 1, use_bias=False),
                layers.DepthwiseConv2D(3, 2, padding=padding, use_bias=False),
                layers.Conv2D(filters, 1, use_bias=False),
            )
            for layer, activation in zip(steps, acts, strict=True):
                x = layers.BatchNormalization()(layer(x))
                x = layers.Activation(activation)(x) if activation else x
            maps.append(x)
        return maps

    return extras


def entropy_over(axis):
    def entropy(classes, logits):
        true_class = ops.one_hot(classes, logits.shape[-1])
        return -ops.sum(true_class * ops.log_softmax(logits, axis=axis), axis=-1)

    return entropy


def entropy_cut_off_at(smallest):
    def entropy(classes, logits):
        shares = ops.clip(ops.softmax(logits, axis=-1), smallest, 1.0)
        return -ops.sum(ops.one_hot(classes, logits.shape[-1]) * ops.log(shares), axis=-1)

    return entropy


def entropy_that_overflows(classes, logits):
    exponentials = ops.exp(logits)
    share = ops.sum(ops.one_hot(classes, logits.shape[-1]) * exponentials, -1) / ops.sum(exponentials, -1)
    return -ops.log(share)


def entropy_of_a_softmax(classes, logits):
    return entropy_by_taking(classes, ops.softmax(logits))


def mined_of(hidden=-1.0, wanted=lambda found: ops.maximum(3 * found, 3), rank=None, give=lambda mask: mask):
    """Mining, its parts as learners write them."""
    rank = rank or (lambda hard: ops.argsort(ops.argsort(-hard, axis=1), axis=1))

    def mine(losses, positive):
        hard = ops.where(positive, hidden, losses) if hidden is not None else losses
        found = ops.sum(ops.cast(positive, "int32"), axis=1, keepdims=True)
        return give(ops.logical_and(ops.cast(rank(hard), "int32") < wanted(found), ops.logical_not(positive)))

    return mine


def mined_up_to_the_last(losses, positive):
    """Everything at least as hard as the last that is wanted: equal ones come in on top."""
    hard = ops.where(positive, -1.0, losses)
    wanted = ops.minimum(ops.maximum(3 * ops.sum(ops.cast(positive, "int32"), axis=1), 3), losses.shape[1])
    least = ops.take_along_axis(-ops.sort(-hard, axis=1), ops.expand_dims(wanted - 1, 1), axis=1)
    return ops.logical_and(hard >= least, ops.logical_not(positive))


def positives_by_multiplying(losses, positive):
    hard = losses * ops.cast(ops.logical_not(positive), losses.dtype)
    found = ops.sum(ops.cast(positive, "int32"), axis=1, keepdims=True)
    rank = ops.cast(ops.argsort(ops.argsort(-hard, axis=1), axis=1), "int32")
    return rank < ops.minimum(ops.maximum(3 * found, 3), losses.shape[1] - found)


def suppression_of(goes_on=lambda iou, threshold: iou <= threshold, give=lambda kept, boxes, scores, order: kept):
    """NMS over boxes that were sorted first."""

    def suppress(boxes, scores, iou_threshold, score_threshold, max_detections):
        order = np.argsort(-scores)
        left = [k for k in order if scores[k] >= score_threshold]
        kept = []
        while left and len(kept) < max_detections:
            best, *rest = left
            kept.append(best)
            left = [k for k in rest if goes_on(pairwise_iou(boxes[[best]], boxes[[k]])[0, 0], iou_threshold)]
        return give(np.array(kept, int), boxes, scores, order)

    return suppress


def as_a_mask(kept, boxes, scores, order):
    mask = np.zeros(len(boxes), bool)
    mask[kept] = True
    return mask


MISTAKES = {
    "06.extra_maps": (
        (extras_of(padding="valid"), "the map shrinks by its border"),
        (extras_of(acts=("relu", "relu", "relu")), "ReLU6 here, not a plain ReLU"),
        (extras_of(acts=("relu6", "relu6", None)), "no bottleneck of lesson 4"),
        (extras_of(acts=("relu6", None, "relu6")), "there should be `relu6`, and yours has none"),
        (extras_of(squeezed=lambda new, old: old // 2), "the *new* map"),
        (lambda x, channels: [x, *extras_with_groups(x, channels)], "x itself is none of the extra maps"),
        (lambda x, channels: extras_with_groups(x, channels)[::-1], "the largest map comes first"),
    ),
    "06.prediction_head": (
        (lambda x, a, v: layers.Conv2D(a * v, 1), "not yet applied, as in `layer(x)`?"),
        (lambda x, a, v: layers.Conv2D(a * v, 3, padding="same")(x), "should be a DepthwiseConv2D 3 × 3"),
        (depthwise_with_a_bias, "use_bias=False"),
        (head_of(looks=None), "the depthwise step has an activation"),
        (head_of(looks="relu"), "not a plain ReLU"),
        (head_of(behind="relu"), "no offset could be negative, and no logit"),
        (head_of(activation="relu"), "no offset could be negative, and no logit"),
        (head_of(norm=True), "without the normalisation that `conv_bn` puts behind it"),
        (head_of(norm=True, behind="relu6"), "the last step is a `conv_bn`"),
        (head_of(rows=lambda x, a, v: x), "the cut into rows is missing"),
        (head_of(rows=lambda x, a, v: layers.Reshape((-1, a))(x)), "a row is what *one* anchor gets"),
        (head_of(rows=lambda x, a, v: layers.Reshape((-1, v))(layers.Permute((3, 1, 2))(x))), "leave them last"),
    ),
    "06.class_cross_entropy": (
        (entropy_over(0), "among all rows"),
        (entropy_over(1), "however many there are: -1"),
        (entropy_over(2), "the classes are the last axis, -1"),
        (entropy_cut_off_at(1e-7), "to keep the logarithm finite"),
        (entropy_cut_off_at(1e-10), "to keep the logarithm finite"),
        (entropy_cut_off_at(1e-3), "should be"),
        (entropy_that_overflows, "infinity / infinity is nan"),
        (entropy_of_a_softmax, "the softmax is taken twice"),
        (lambda c, x: -ops.sum(ops.one_hot(c - 1, x.shape[-1]) * ops.log_softmax(x), -1), "one less than they are"),
        (lambda c, x: entropy_of_keras(c, x) / np.log(2), "the logarithm to base 2"),
        (lambda c, x: ops.stop_gradient(entropy_of_keras(c, x)), "no gradient flows back"),
    ),
    "06.smooth_l1": (
        (in_numpy, "no gradient flows back"),
        (with_an_if, "but not as part of a graph"),
        (lambda t, p: smooth_l1(t, ops.maximum(p, t)), "should be"),
        (lambda t, p: smooth_l1(t, ops.minimum(p, t)), "not a ReLU"),
        (lambda t, p: ops.where(ops.abs(t - p) < 0.5, 0.5 * (t - p) ** 2, ops.abs(t - p) - 0.5), "not one half"),
        (lambda t, p: ops.where(ops.abs(t - p) < 1, 0.5 * (t - p) ** 2, t - p - 0.5), "a loss is never negative"),
    ),
    "06.mine_hard_negatives": (
        (forgets_keepdims, "sum with keepdims=True"),
        (returns_indices, "tensor of true and false"),
        (mined_of(give=lambda mask: ops.cast(mask, "float32")), "tensor of true and false"),
        (mined_up_to_the_last, "of equally hard ones it takes all"),
        (positives_by_multiplying, "a positive of hardness 0"),
        (mined_of(hidden=0.0), "a positive of hardness 0"),
        (mined_of(hidden=None), "places stay empty"),
        (mined_of(rank=lambda hard: ops.argsort(-hard, axis=1)), "Argsort that again"),
        (mined_of(wanted=lambda found: ops.minimum(3 * found, 3)), "at *least* three"),
        (mined_of(wanted=lambda found: 3 * ops.maximum(found, 3)), "at least nine"),
        (mined_of(wanted=lambda found: ops.maximum(3 * found, 3) + 1), "one too many in each image"),
        (mined_over_the_batch, "mines over the whole batch"),
    ),
    "06.multibox_loss": (
        (history_forgotten, "no gradient flows back to `predicted_offsets`"),
        (history_of_the_classes_forgotten, "`stop_gradient` stands between"),
        (multibox_of(lambda p, m, images: ops.maximum(ops.sum(p + m), images)), "the mined negatives do not count"),
        (multibox_of(lambda p, m, images: ops.sum(p + m)), "the mined negatives do not count"),
        (multibox_of(lambda p, m, images: ops.sum(p)), "nan from 0 / 0"),
        (multibox_of(lambda p, m, images: ops.sum(p) + images), "not by their sum"),
        (multibox_of(lambda p, m, images: ops.maximum(ops.sum(p, axis=1, keepdims=True), 1.0)), "its own positives"),
        (
            multibox_of(lambda p, m, images: images * ops.maximum(ops.sum(p, axis=1, keepdims=True), 1.0)),
            "its own positives",
        ),
        (multibox_of(mine=mined_over_the_batch), "the negatives are mined over the whole batch"),
    ),
    "06.non_max_suppression": (
        (lambda b, s, i, t, m: b[suppression_with_lists(b, s, i, t, m)], "not the boxes themselves"),
        (suppression_of(lambda iou, threshold: iou > threshold), "the wrong ones go on"),
        (suppression_of(give=as_a_mask), "says nothing of their order"),
        (suppression_of(give=lambda kept, *_: as_a_mask(kept, *_).astype(int)), "that marks each box by 1 or 0"),
        (suppression_of(give=lambda kept, boxes, scores, order: np.argsort(order)[kept]), "in a list that was sorted"),
        (suppression_of(give=lambda kept, *_: kept[::-1]), "yours are worst first"),
        (suppression_of(give=lambda kept, *_: np.sort(kept)), "not sorted by themselves"),
    ),
}


@every_mistake(MISTAKES)
def test_a_mistake_as_people_write_it_gets_the_sentence_that_helps(exercise, mistake, sentence):
    assert_told(exercise, mistake, sentence)


def test_indices_in_another_order_are_not_told_of_rows():
    """What general advice there is for rows of a grid says nothing about a list of indices."""
    report = words(
        report_on_fixed_cases(EXERCISES["06.non_max_suppression"], suppression_of(give=lambda k, *_: k[::-1]))
    )
    assert "index should move" not in report
    assert "rows" not in report


def test_the_first_case_of_the_loss_can_be_checked_by_hand():
    classes, offsets, class_logits, predicted = EXERCISES["06.multibox_loss"].fixed_cases[0]
    entropies = np.log([2, 4, 8, 2])  # all count: one positive, and three negatives
    np.testing.assert_allclose(class_cross_entropy(classes, class_logits)[0], entropies, rtol=1e-5)
    class_loss, box_loss = EXERCISES["06.multibox_loss"].reference(classes, offsets, class_logits, predicted)
    np.testing.assert_allclose(class_loss, entropies.sum(), rtol=1e-5)
    np.testing.assert_allclose(box_loss, 0.125 + 0 + 1.5 + 1.5, rtol=1e-5)
    report = words(report_on_fixed_cases(EXERCISES["06.multibox_loss"], multibox_of(lambda p, m, images: 2.0)))
    assert "<an array" not in report


@pytest.mark.parametrize("seed", range(200))
def test_no_suppression_is_right_by_luck(seed):
    """It is run in a way of its own, which the bank's test of many seeds leaves out."""
    exercise = EXERCISES["06.non_max_suppression"]
    for variant in HONEST[exercise.id]:
        assert report_on(exercise, variant, seed).passed
