"""Lesson 6's exercises take every honest answer, and have words for the mistakes that people make."""

import numpy as np
from answers import assert_passes, assert_told, every_mistake, every_variant, exercises_of
from keras import layers, ops

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


def mined_by_sorting(losses, positive):
    """The least loss that still counts, in each image."""
    count = ops.shape(losses)[1]
    hard = ops.where(positive, -1.0, losses)
    found = ops.sum(ops.cast(positive, "int32"), axis=1)
    wanted = ops.clip(3 * found, 3, count)
    ranked = -ops.sort(-hard, axis=1)
    least = ops.take_along_axis(ranked, ops.expand_dims(wanted - 1, 1), axis=1)
    return ops.logical_and(hard >= ops.maximum(least, 0.0), ops.logical_not(positive))


def mined_by_comparing(losses, positive):
    hard = ops.where(positive, -np.inf, losses)
    harder = ops.sum(ops.cast(hard[:, None, :] > hard[:, :, None], "float32"), axis=-1)
    positives = ops.sum(ops.cast(positive, "float32"), axis=1, keepdims=True)
    return ops.logical_and(harder < ops.maximum(3 * positives, 3.0), ~positive)


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
    "06.extra_maps": (extras_as_a_tuple,),
    "06.prediction_head": (head_by_reshaping,),
    "06.class_cross_entropy": (entropy_by_taking, entropy_by_hand),
    "06.smooth_l1": (smooth_by_minimum,),
    "06.mine_hard_negatives": (mined_by_sorting, mined_by_comparing),
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


def depthwise_with_a_bias(x, anchors_per_cell, values):
    return layers.Reshape((-1, values))(
        layers.Conv2D(anchors_per_cell * values, 1)(layers.DepthwiseConv2D(3, padding="same")(x))
    )


MISTAKES = {
    "06.prediction_head": (
        (lambda x, a, v: layers.Conv2D(a * v, 1), "not yet applied, as in `layer(x)`?"),
        (lambda x, a, v: layers.Conv2D(a * v, 3, padding="same")(x), "should be a DepthwiseConv2D 3 × 3"),
        (depthwise_with_a_bias, "use_bias=False"),
    ),
    "06.smooth_l1": (
        (in_numpy, "does not know where it came from"),
        (with_an_if, "but not as part of a graph"),
    ),
    "06.mine_hard_negatives": (
        (forgets_keepdims, "sum with keepdims=True"),
        (returns_indices, "should be"),
    ),
    "06.multibox_loss": ((history_forgotten, "gradient"),),
    "06.non_max_suppression": ((lambda b, s, i, t, m: b[suppression_with_lists(b, s, i, t, m)], "array of shape"),),
}


@every_mistake(MISTAKES)
def test_a_mistake_as_people_write_it_gets_the_sentence_that_helps(exercise, mistake, sentence):
    assert_told(exercise, mistake, sentence)
