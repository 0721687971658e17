"""The exercises of lesson 6: SSDLite's maps and heads, its loss, and non-maximum suppression."""

import itertools

import numpy as np

from ssdseg_course.checking.exercise import Exercise, Mutant
from ssdseg_course.checking.networks import compare_losses, compare_networks, run_loss, run_mask, run_network
from ssdseg_course.exercises.mobilenetv2 import KERAS_ERRORS
from ssdseg_course.lazy import LazyModule
from ssdseg_ref import nms
from ssdseg_ref.boxes import pairwise_iou

layers = LazyModule("keras.layers")
ops = LazyModule("keras.ops")
blocks = LazyModule("ssdseg_ref.blocks")
reference = LazyModule("ssdseg_ref.ssdlite")
joint = LazyModule("ssdseg_ref.losses")

_NUMBERS = itertools.count()
_RNG = np.random.default_rng(6)  # of the fixed cases: always the same

OPS_ERRORS = (
    (
        "Using a symbolic",
        "as a graph a tensor has no numbers yet: no `if`, `for` or `np` may ask for them; `ops.where` chooses.",
    ),
    (
        "cannot compute",
        "two things of different types met: `ops.cast(x, other.dtype)` makes one type of them.",
    ),
    (
        "must be the same",
        "two things of different types or shapes met: `ops.cast(x, other.dtype)` makes one type of them.",
    ),
    ("has no attribute", "keras.ops has NumPy's names, nearly all of them: is this one spelt as in NumPy?"),
)


def _maps(*shape: int) -> np.ndarray:
    return (4 * _RNG.normal(size=shape)).astype(np.float32)


def _new_name() -> str:
    return f"head{next(_NUMBERS)}"


# 06.extra_maps


def extra_maps(x, channels):
    """The reference's. Its layers bear the same names each time, which only matters within one network."""
    return reference.extra_maps(x, channels)


def _extras_with(*, squeeze=True, half=True, first=None, stride=2, chained=True, last_only=False, plain=False):
    def extras(x, channels):
        maps, start = [], x
        for filters in channels:
            y = x if chained else start
            if squeeze:
                y = blocks.conv_bn(
                    y, filters // 2 if half else filters, activation="relu" if first == "relu" else "relu6",
                    stride=2 if first == "stride" else 1, name=_new_name(),
                )  # fmt: skip
            step = 1 if first == "stride" else stride
            if plain:
                x = blocks.conv_bn(y, filters, 3, step, name=_new_name())
            else:
                x = blocks.separable_conv_bn(y, filters, stride=step, name=_new_name())
            maps.append(x)
        return maps[-1:] if last_only else maps

    return extras


EXTRA_MAPS = Exercise(
    id="06.extra_maps",
    title="Coarser maps",
    points=10,
    difficulty="easy",
    minutes=15,
    reference=extra_maps,
    fixed_cases=((_maps(1, 6, 8, 16), (12,)), (_maps(2, 5, 7, 8), (16, 8, 10))),
    draw=None,
    hints=(
        "A loop over `channels`: two blocks each, and the next turn begins with what the last one gave.",
        "x = conv_bn(x, filters // 2, 1, 1), then a depthwise step of stride 2 and a pointwise one to `filters`; all "
        "with ReLU6.",
        "for filters in channels: x = conv_bn(x, filters // 2, 1, 1); x = depthwise_bn(x, 3, 2); "
        "x = conv_bn(x, filters, 1, 1); maps.append(x).",
    ),
    mutants=(
        Mutant(_extras_with(squeeze=False), "the squeeze is missing: a pointwise step to half of the channels first."),
        Mutant(_extras_with(half=False), "the first pointwise step gives *half* of the map's channels."),
        Mutant(_extras_with(stride=1), "the depthwise step has stride 2: each map is half as large as the last one."),
        Mutant(
            _extras_with(first="stride"),
            "the stride belongs to the depthwise step: a pointwise one with a stride never looks at most places.",
        ),
        Mutant(
            _extras_with(chained=False),
            "every map begins with x again: the second extra map stands behind the first one.",
        ),
        Mutant(_extras_with(last_only=True), "all maps are wanted, in a list, not the last one alone."),
        Mutant(
            _extras_with(plain=True),
            "that is a plain 3 × 3 convolution: SSDLite's is depthwise, then pointwise, each with ReLU6.",
        ),
        Mutant(_extras_with(first="relu"), 'the squeeze has ReLU6, "relu6", as all of these blocks.'),
    ),
    run=run_network,
    compare=compare_networks(),
    errors=KERAS_ERRORS,
)


# 06.prediction_head


def prediction_head(x, anchors_per_cell, values):
    """The reference's, with a new name each time."""
    return reference.prediction_head(x, anchors_per_cell, values, name=_new_name())


def _head_with(
    *, looks=True, bias=True, activation=None, norm=False, channels=lambda a, v: a * v, rows=None, order=None,
    plain=False,
):  # fmt: skip
    def head(x, anchors_per_cell, values):
        if plain:
            x = blocks.conv_bn(x, x.shape[-1], 3, name=_new_name())
        elif looks:
            x = blocks.depthwise_bn(x, name=_new_name())
        x = layers.Conv2D(channels(anchors_per_cell, values), 1, use_bias=bias, activation=activation)(x)
        if norm:
            x = layers.BatchNormalization()(x)
        if order == "swapped":
            height, width = x.shape[1:3]
            x = ops.reshape(x, (-1, height * width, values, anchors_per_cell))
            return ops.reshape(ops.swapaxes(x, -1, -2), (-1, height * width * anchors_per_cell, values))
        if order == "columns":
            x = ops.swapaxes(x, 1, 2)
        return layers.Reshape((-1, rows(anchors_per_cell, values) if rows else values))(x)

    return head


PREDICTION_HEAD = Exercise(
    id="06.prediction_head",
    title="A head",
    points=15,
    difficulty="medium",
    minutes=15,
    reference=prediction_head,
    fixed_cases=((_maps(1, 3, 4, 8), 2, 4), (_maps(2, 2, 3, 6), 3, 5)),
    draw=None,
    hints=(
        "Look around, predict, put into rows. How many numbers does one cell need?",
        "depthwise_bn(x, 3, 1), then layers.Conv2D(anchors_per_cell * values, 1), which has a bias and nothing behind "
        "it, then layers.Reshape.",
        "x = layers.Conv2D(anchors_per_cell * values, 1)(depthwise_bn(x, 3, 1)); return "
        "layers.Reshape((-1, values))(x). Keras leaves the pictures' axis alone.",
    ),
    mutants=(
        Mutant(_head_with(looks=False), "the depthwise step is missing: the head looks around before it predicts."),
        Mutant(_head_with(bias=False), "the last convolution has a bias: no normalisation behind it would undo it."),
        Mutant(
            _head_with(activation="relu6"),
            "there is an activation behind the last convolution: no offset could be negative, nor over 6.",
        ),
        Mutant(_head_with(activation="sigmoid"), "logits and offsets come out as they are, without a sigmoid."),
        Mutant(
            _head_with(norm=True), "no batch normalisation behind the last convolution: it would hold all to one scale."
        ),
        Mutant(
            _head_with(channels=lambda a, v: v), "each cell predicts `values` numbers for *every* one of its anchors."
        ),
        Mutant(
            _head_with(rows=lambda a, v: a * v), "a row for each anchor, not for each cell: a row has `values` numbers."
        ),
        Mutant(
            _head_with(order="swapped"),
            "the numbers of one anchor stand side by side in a cell's channels; yours go anchor by anchor.",
        ),
        Mutant(
            _head_with(order="columns"), "that goes column by column. Lesson 1's anchors go row by row, from the left."
        ),
        Mutant(_head_with(plain=True), "that is a plain 3 × 3 convolution; SSDLite's looks at each channel by itself."),
    ),
    run=run_network,
    compare=compare_networks(),
    errors=(
        ("NoneType", "-1 in a shape says: as many as come out. `layers.Reshape` leaves the pictures' axis alone."),
        *KERAS_ERRORS,
    ),
)


# 06.class_cross_entropy


def class_cross_entropy(classes, logits):
    """The reference's."""
    return joint.class_cross_entropy(classes, logits)


def _one_hot(classes, logits):
    return ops.one_hot(classes, logits.shape[-1], dtype=logits.dtype)


def _draw_logits(rng: np.random.Generator):
    *leading, count = (int(side) for side in rng.integers(2, 6, 3))
    return rng.integers(0, count, leading).astype(np.int32), (3 * rng.normal(size=(*leading, count))).astype(np.float32)


CLASS_CROSS_ENTROPY = Exercise(
    id="06.class_cross_entropy",
    title="Softmax and its loss",
    points=15,
    difficulty="medium",
    minutes=20,
    reference=class_cross_entropy,
    fixed_cases=(
        (np.array([[0, 1]], np.int32), np.array([[[0, 0, 0, 0], [1, 3, 0, 0]]], np.float32)),
        (np.array([[2, 0]], np.int32), np.array([[[0, 500, 0], [-300, 100, 0]]], np.float32)),
    ),
    draw=_draw_logits,
    random_cases=3,
    hints=(
        "`ops.log_softmax(logits)` has the logarithms of all shares. Of each row you need one, that of the true class.",
        "`ops.one_hot(classes, logits.shape[-1])` has a 1 at the true class and 0 elsewhere: multiply and add up.",
        "-ops.sum(ops.one_hot(classes, logits.shape[-1]) * ops.log_softmax(logits, axis=-1), axis=-1).",
    ),
    mutants=(
        Mutant(lambda c, x: -class_cross_entropy(c, x), "the sign is missing: a logarithm of a share is negative."),
        Mutant(
            lambda c, x: ops.mean(class_cross_entropy(c, x)), "one loss for each anchor, not the mean of all of them."
        ),
        Mutant(
            lambda c, x: -ops.log(ops.sum(_one_hot(c, x) * ops.softmax(x), -1)),
            "a share so small that it is 0 has no logarithm: ops.log_softmax computes both in one step.",
        ),
        Mutant(
            lambda c, x: -ops.log(ops.sum(_one_hot(c, x) * ops.softmax(x), -1) + 1e-7),
            "something was added, or cut off, to keep the logarithm finite, which flattens the loss. ops.log_softmax "
            "needs no such thing.",
        ),
        Mutant(lambda c, x: 1 - ops.sum(_one_hot(c, x) * ops.softmax(x), -1), "where is the logarithm?"),
        Mutant(lambda c, x: -ops.sum(_one_hot(c, x) * x, -1), "those are the logits; what about the softmax?"),
        Mutant(
            lambda c, x: -ops.mean(_one_hot(c, x) * ops.log_softmax(x), -1),
            "the mean over the classes divides by their number: add up instead.",
        ),
        Mutant(
            lambda c, x: ops.sum(ops.softplus(x) - _one_hot(c, x) * x, -1),
            "that asks yes or no for each class alone (a sigmoid); here the shares of all classes make 1.",
        ),
        Mutant(
            lambda c, x: -ops.log_softmax(x)[..., 0],
            "that takes the background everywhere, whatever the true class is.",
        ),
        Mutant(
            lambda c, x: -ops.sum(_one_hot(c, x) * ops.log_softmax(x, axis=1), -1),
            "the shares make 1 over the classes, the last axis.",
        ),
        Mutant(
            lambda c, x: class_cross_entropy(c, x) * ops.cast(c > 0, x.dtype),
            "the background is a class, too: an anchor without a box has a loss.",
        ),
    ),
    run=run_loss(wrt=(1,)),
    compare=compare_losses,
    errors=OPS_ERRORS,
)


# 06.smooth_l1


def smooth_l1(truth, predicted):
    """The reference's."""
    return joint.smooth_l1(truth, predicted)


def _draw_offsets(rng: np.random.Generator):
    count = int(rng.integers(1, 6))
    return tuple((2 * rng.normal(size=(count, 4))).astype(np.float32) for _ in range(2))


def _smooth(inner, outer, bound=1.0):
    def smooth(truth, predicted):
        d = ops.abs(truth - predicted)
        return ops.where(d < bound, inner(d), outer(d))

    return smooth


SMOOTH_L1 = Exercise(
    id="06.smooth_l1",
    title="Smooth L1",
    points=10,
    difficulty="easy",
    minutes=10,
    reference=smooth_l1,
    fixed_cases=(
        (np.zeros((1, 4), np.float32), np.array([[0.5, -0.5, 2, -3]], np.float32)),
        (np.array([[0, 1, 0, -2]], np.float32), np.array([[0, 1.2, 0.9, 4]], np.float32)),
    ),
    draw=_draw_offsets,
    random_cases=3,
    hints=(
        "Two formulas and a choice between them, for all numbers at once.",
        "`ops.abs` of the difference is d; `ops.where(condition, this, that)` chooses number by number.",
        "d = ops.abs(truth - predicted); ops.where(d < 1, 0.5 * d * d, d - 0.5).",
    ),
    mutants=(
        Mutant(
            _smooth(lambda d: 0.5 * d * d, lambda d: d), "far out it is d - 0.5: without that the curve jumps at 1."
        ),
        Mutant(_smooth(lambda d: d * d, lambda d: d - 0.5), "near zero it is *half* the square."),
        Mutant(_smooth(lambda d: d * d, lambda d: d), "those two meet at 1, but with a kink: 0.5 d² and d - 0.5."),
        Mutant(_smooth(lambda d: 0.5 * d * d, lambda d: 0.5 * d * d), "far out it is straight, d - 0.5, no square."),
        Mutant(_smooth(lambda d: d - 0.5, lambda d: 0.5 * d * d), "the two are swapped: the square belongs near zero."),
        Mutant(lambda t, p: ops.abs(t - p), "that is the plain L1: near zero it is to be half the square."),
        Mutant(
            lambda t, p: ops.where(t - p < 1, 0.5 * ops.square(t - p), ops.abs(t - p) - 0.5),
            "the *size* of the difference decides, by ops.abs: a large negative one is far out, too.",
        ),
        Mutant(lambda t, p: ops.sum(smooth_l1(t, p), -1), "a loss for each number: the sum over four comes later."),
        Mutant(lambda t, p: ops.mean(smooth_l1(t, p)), "a loss for each number, not their mean."),
        Mutant(
            _smooth(lambda d: 0.5 * d * d / 0.5, lambda d: d - 0.25, 0.5),
            "the change from square to straight line is at d = 1.",
        ),
    ),
    run=run_loss(wrt=(1,)),
    compare=compare_losses,
    errors=OPS_ERRORS,
)


# 06.mine_hard_negatives


def mine_hard_negatives(losses, positive):
    """The reference's."""
    return joint.mine_hard_negatives(losses, positive)


def _mine_with(
    *, ratio=3, least=3, per_image=True, easiest=False, with_positives=False, free_of_positives=True, least_only=False
):  # fmt: skip
    def mine(values, positive):
        positive = ops.cast(positive, "bool")
        found = ops.sum(ops.cast(positive, "int32"), axis=1 if per_image else None, keepdims=True)
        wanted = ops.maximum(ratio * found, least) if not least_only else found * 0 + least
        hardness = ops.where(positive, -1e9, -values if easiest else values) if free_of_positives else values
        if not per_image:
            flat = ops.reshape(hardness, (1, -1))
            rank = ops.reshape(ops.argsort(ops.argsort(-flat, axis=1), axis=1), ops.shape(values))
        else:
            rank = ops.argsort(ops.argsort(-hardness, axis=1), axis=1)
        chosen = ops.cast(rank, "int32") < wanted
        if free_of_positives:
            chosen = ops.logical_and(chosen, ops.logical_not(positive))
        return ops.logical_or(chosen, positive) if with_positives else chosen

    return mine


def _one_argsort(values, positive):
    hardness = ops.where(ops.cast(positive, "bool"), -1.0, values)
    wanted = ops.maximum(3 * ops.sum(ops.cast(positive, "int32"), axis=1, keepdims=True), 3)
    wanted = ops.minimum(wanted, ops.shape(values)[1] - wanted // 3)
    return ops.cast(ops.argsort(-hardness, axis=1), "int32") < wanted


def _positives_when_few(values, positive):
    """Right but where there are fewer negatives than wanted."""
    positive = ops.cast(positive, "bool")
    wanted = ops.maximum(3 * ops.sum(ops.cast(positive, "int32"), axis=1, keepdims=True), 3)
    rank = ops.argsort(ops.argsort(-ops.where(positive, -1.0, values), axis=1), axis=1)
    return ops.cast(rank, "int32") < wanted


def _draw_losses(rng: np.random.Generator):
    images, anchors = int(rng.integers(2, 4)), int(rng.integers(12, 30))
    values = rng.permutation(images * anchors).reshape(images, anchors) / 10 + 0.05  # no two are equal
    return values.astype(np.float32), rng.random((images, anchors)) < rng.choice([0.05, 0.15, 0.3], (images, 1))


MINE_HARD_NEGATIVES = Exercise(
    id="06.mine_hard_negatives",
    title="The hardest negatives",
    points=20,
    difficulty="hard",
    minutes=30,
    reference=mine_hard_negatives,
    fixed_cases=(
        (
            np.array([[0.1, 2.0, 0.3, 0.7, 0.2, 0.9, 0.6, 0.4]], np.float32),
            np.array([[False, True] + 6 * [False]]),
        ),
        (
            np.array([[0.1, 0.5, 0.3, 0.7, 0.2, 0.9], [5.0, 6.0, 7.0, 8.0, 9.0, 4.0]], np.float32),
            np.array([6 * [False], [True, False, False, True, False, True]]),
        ),
    ),
    draw=_draw_losses,
    hints=(
        "Two questions: how many does each image want, and which rank has each anchor among the negatives of its "
        "image?",
        "Give the positives a hardness of -1, so that they come last. `ops.argsort` of the *argsort* of -hardness is "
        "each anchor's rank, 0 for the hardest. Which ranks are wanted?",
        "found = ops.sum(ops.cast(positive, 'int32'), axis=1, keepdims=True); wanted = ops.minimum(ops.maximum(3 * "
        "found, 3), anchors - found); rank = ops.argsort(ops.argsort(-ops.where(positive, -1.0, losses), axis=1), "
        "axis=1); rank < wanted.",
    ),
    mutants=(
        Mutant(
            _mine_with(per_image=False),
            "that mines over the whole batch: one hard image takes the negatives of all. Each image by itself, axis=1.",
        ),
        Mutant(_mine_with(easiest=True), "those are the easiest negatives, with the smallest losses."),
        Mutant(_mine_with(with_positives=True), "the positives are marked as well; only negatives are wanted here."),
        Mutant(
            _mine_with(free_of_positives=False),
            "positives take the places of negatives: give them a hardness of -1, so that they come last.",
        ),
        Mutant(_mine_with(least=0), "an image without a box gets none at all: at least three an image."),
        Mutant(_mine_with(ratio=1), "three negatives a positive, not one."),
        Mutant(
            _mine_with(least_only=True), "it takes three an image; it should be three a *positive*, at least three."
        ),
        Mutant(_mine_with(ratio=4), "the three are negatives alone; the positive does not count among them."),
        Mutant(
            _positives_when_few,
            "where an image has too few negatives, positives are taken in their place: no more than there are.",
        ),
        Mutant(
            _one_argsort,
            "argsort says which anchor comes first, second, ...; you need the place of each anchor. Argsort that "
            "again.",
        ),
    ),
    run=run_mask,
    errors=(
        ("keepdims", "`keepdims=True` goes into the sum, so that (B,) is (B, 1) and lies beside (B, N)."),
        (
            "Incompatible shapes",
            "a number an image has the shape (B,); beside (B, N) it has to be (B, 1): sum with keepdims=True.",
        ),
        *OPS_ERRORS,
    ),
)


# 06.multibox_loss


def multibox_loss(classes, offsets, class_logits, predicted_offsets):
    """The reference's."""
    return joint.multibox_loss(classes, offsets, class_logits, predicted_offsets)


def _multibox_with(
    *, mined=True, divisor="positives", boxes="positive", background=False, per_image=True, mean=False, swapped=False,
    summed=True, positives=True,
):  # fmt: skip
    def loss(classes, offsets, class_logits, predicted_offsets):
        positive = classes > 0
        entropies = joint.class_cross_entropy(classes, class_logits)
        counted = joint.mine_hard_negatives(ops.stop_gradient(entropies), positive)
        counted = ops.logical_or(counted, positive) if positives else counted
        counted = counted if mined else ops.ones_like(positive)
        images = ops.cast(ops.shape(classes)[0], entropies.dtype)
        found = ops.sum(ops.cast(positive, entropies.dtype))
        total = {
            "positives": ops.maximum(found, images),
            "one": ops.maximum(found, 1.0),
            "counted": ops.maximum(ops.sum(ops.cast(counted, entropies.dtype)), images),
            "images": images,
            "nothing": 1.0,
        }[divisor]
        distances = ops.sum(joint.smooth_l1(offsets, predicted_offsets), axis=-1)
        if not summed:
            distances = distances / 4
        inside = positive if boxes == "positive" else (counted if boxes == "counted" else ops.ones_like(positive))
        both = (
            ops.sum(ops.where(counted, entropies, 0.0)) / total,
            ops.sum(ops.where(inside, distances, 0.0)) / total,
        )
        return both[::-1] if swapped else (both[0] + both[1] if mean else both)

    return loss


def _draw_targets(rng: np.random.Generator, share: float | None = None):
    images, anchors, count = int(rng.integers(1, 4)), int(rng.integers(16, 30)), 3
    share = rng.choice([0.1, 0.2]) if share is None else share
    classes = np.where(rng.random((images, anchors)) < share, rng.integers(1, count + 1, (images, anchors)), 0)
    offsets = np.where(classes[..., None] > 0, rng.normal(size=(images, anchors, 4)), 0)
    logits, predicted = 2 * rng.normal(size=(images, anchors, count + 1)), 2 * rng.normal(size=(images, anchors, 4))
    return classes.astype(np.int32), *(part.astype(np.float32) for part in (offsets, logits, predicted))


MULTIBOX_LOSS = Exercise(
    id="06.multibox_loss",
    title="The multibox loss",
    points=15,
    difficulty="medium",
    minutes=20,
    reference=multibox_loss,
    fixed_cases=(
        _draw_targets(np.random.default_rng(1), 0.2),
        _draw_targets(np.random.default_rng(3), 0.0),
    ),
    draw=_draw_targets,
    random_cases=3,
    hints=(
        "Positive is where the class is not 0. Cross-entropy of all; which of them count? Smooth L1 of all; which "
        "count?",
        "counted = ops.logical_or(positive, mine_hard_negatives(losses, positive)), and "
        "ops.sum(ops.where(counted, losses, 0.0)) adds those up. Divide by the larger of positives and images.",
        "total = ops.maximum(ops.sum(ops.cast(positive, losses.dtype)), ops.cast(ops.shape(classes)[0], "
        "losses.dtype)); the box loss: ops.sum(ops.where(positive, ops.sum(smooth_l1(offsets, predicted_offsets), "
        "axis=-1), 0.0)) / total.",
    ),
    mutants=(
        Mutant(_multibox_with(mined=False), "all negatives count; only the mined ones should, and the positives."),
        Mutant(_multibox_with(positives=False), "the class loss of the positives is missing."),
        Mutant(_multibox_with(divisor="counted"), "divide by the positives alone, the mined negatives do not count."),
        Mutant(
            _multibox_with(divisor="one"),
            "where a batch has fewer positives than images, divide by the images, or empty ones weigh too much.",
        ),
        Mutant(_multibox_with(divisor="images"), "divide by the positives; by the images only where those are more."),
        Mutant(_multibox_with(divisor="nothing"), "divide by the positives, or the loss grows with the boxes."),
        Mutant(
            _multibox_with(boxes="all"),
            "the box loss asks anchors without a box for offsets of 0; only positives have offsets to learn.",
        ),
        Mutant(_multibox_with(boxes="counted"), "negatives have no box: in the box loss only positives count."),
        Mutant(_multibox_with(mean=True), "two losses are wanted, class and box, not their sum."),
        Mutant(_multibox_with(swapped=True), "the class loss comes first, then the box loss."),
        Mutant(_multibox_with(summed=False), "a box has four offsets: their losses are added up, no mean is taken."),
    ),
    run=run_loss(wrt=(2, 3)),
    compare=compare_losses,
    errors=OPS_ERRORS,
)


# 06.non_max_suppression


def non_max_suppression(boxes, scores, iou_threshold, score_threshold, max_detections):
    """The reference's."""
    return nms.non_max_suppression(boxes, scores, iou_threshold, score_threshold, max_detections)


def _suppress_with(
    *, drop=lambda iou, threshold: iou > threshold, count=None, order="best", candidates=None, again=False
):  # fmt: skip
    def suppress(boxes, scores, iou_threshold, score_threshold, max_detections):
        scores = np.asarray(scores)
        left = list(np.flatnonzero(candidates(scores, score_threshold) if candidates else scores >= score_threshold))
        if order == "best":
            left.sort(key=lambda k: -scores[k])
        elif order == "worst":
            left.sort(key=lambda k: scores[k])
        kept, dropped = [], []
        while left and len(kept) < (max_detections if count is None else count(max_detections)):
            best, *rest = left
            kept.append(best)
            overlaps = pairwise_iou(boxes[[best]], boxes[rest])[0]
            gone = [k for k, iou in zip(rest, overlaps, strict=True) if drop(iou, iou_threshold)]
            dropped += gone
            left = [k for k in rest if k not in gone]
        return np.array(dropped if again else kept, np.int64)

    return suppress


def _all_against_all(boxes, scores, iou_threshold, score_threshold, max_detections):
    """Suppressed boxes go on to suppress."""
    order = np.argsort(-np.asarray(scores), kind="stable")
    order = order[scores[order] >= score_threshold]
    ious = np.triu(pairwise_iou(boxes[order], boxes[order]), 1)
    return order[~(ious > iou_threshold).any(axis=0)][:max_detections]


def _limit_first(boxes, scores, iou_threshold, score_threshold, max_detections):
    best = np.argsort(-scores, kind="stable")[:max_detections]
    return best[non_max_suppression(boxes[best], scores[best], iou_threshold, score_threshold, max_detections)]


def _draw_detections(rng: np.random.Generator):
    count = int(rng.integers(6, 25))
    middle, size = 0.5 + 0.15 * rng.normal(size=(count, 2)), rng.uniform(0.15, 0.4, (count, 2))
    boxes = np.concatenate([middle - size / 2, middle + size / 2], axis=1).astype(np.float32)
    scores = (rng.permutation(count) + 1) / (count + 1)  # no two are equal
    limit = int(rng.choice([2, 4, 100]))
    return boxes, scores.astype(np.float32), float(rng.choice([0.2, 0.35, 0.5])), float(rng.choice([0.05, 0.3])), limit


_CHAIN = np.array([[0, 0, 4, 4], [1, 0, 5, 4], [2, 0, 6, 4], [7, 0, 9, 4]], np.float32) / 10

NON_MAX_SUPPRESSION = Exercise(
    id="06.non_max_suppression",
    title="Only the best stays",
    points=15,
    difficulty="medium",
    minutes=25,
    reference=non_max_suppression,
    fixed_cases=(
        (_CHAIN, np.array([0.9, 0.8, 0.7, 0.6], np.float32), 0.5, 0.1, 10),
        (_CHAIN[[3, 1, 0, 2]], np.array([0.25, 0.8, 0.9, 0.7], np.float32), 0.5, 0.25, 10),
        (np.array([[0, 0, 2, 2], [1, 0, 3, 2]], np.float32), np.array([0.5, 0.75], np.float32), 1 / 3, 0.1, 10),
        (_CHAIN, np.array([0.9, 0.8, 0.7, 0.6], np.float32), 0.3, 0.1, 10),
        (_CHAIN, np.array([0.9, 0.8, 0.7, 0.2], np.float32), 0.5, 0.3, 10),
        (_CHAIN, np.array([0.9, 0.8, 0.7, 0.6], np.float32), 0.5, 0.1, 2),
        (_CHAIN, np.array([0.9, 0.8, 0.7, 0.6], np.float32), 0.5, 0.1, 1),
        (np.empty((0, 4), np.float32), np.empty(0, np.float32), 0.5, 0.1, 10),
    ),
    draw=_draw_detections,
    hints=(
        "First who takes part, then in which order. Then a loop: the first stays, and what overlaps it too much goes.",
        "candidates = np.flatnonzero(scores >= score_threshold), sorted by -scores with np.argsort. While there are "
        "any: keep candidates[0]; of the rest only those whose pairwise_iou with it is at most the threshold go on.",
        "best, rest = candidates[0], candidates[1:]; kept.append(best); candidates = rest[pairwise_iou(boxes[[best]], "
        "boxes[rest])[0] <= iou_threshold]; stop at max_detections; np.array(kept, np.int64) in the end.",
    ),
    mutants=(
        Mutant(_suppress_with(order="given"), "the best comes first: sort the candidates by score, largest first."),
        Mutant(_suppress_with(order="worst"), "that begins with the worst: argsort rises, so sort by -scores."),
        Mutant(_suppress_with(drop=lambda iou, threshold: iou < threshold), "those that overlap *much* have to go."),
        Mutant(_suppress_with(drop=lambda iou, threshold: iou >= threshold), "an IoU equal to the threshold stays."),
        Mutant(_suppress_with(drop=lambda iou, threshold: iou > 0.5), "the threshold is 0.5 whatever is asked for."),
        Mutant(_suppress_with(drop=lambda iou, threshold: False), "nothing is suppressed."),
        Mutant(
            _suppress_with(drop=lambda iou, threshold: iou > 0), "whatever touches the best one goes, however little."
        ),
        Mutant(
            _suppress_with(candidates=lambda s, t: s > t),
            "a score equal to the threshold takes part: at least, not over.",
        ),
        Mutant(_suppress_with(candidates=lambda s, t: s >= 0), "scores below the threshold take part."),
        Mutant(_suppress_with(count=lambda m: 10**9), "it does not stop at max_detections."),
        Mutant(_suppress_with(count=lambda m: m + 1), "that is one more than max_detections."),
        Mutant(_limit_first, "the limit counts what is kept, so suppress first and count then."),
        Mutant(
            _all_against_all,
            "a box that is gone suppresses nothing any more: in a chain of three the third stays.",
        ),
        Mutant(_suppress_with(again=True), "those are the ones that were dropped."),
        Mutant(
            lambda b, s, i, t, m: np.sort(non_max_suppression(b, s, i, t, m)),
            "the indices come best first, not sorted by themselves.",
        ),
        Mutant(
            lambda b, s, i, t, m: s[non_max_suppression(b, s, i, t, m)],
            "the *indices* of the kept ones are wanted, not their scores.",
        ),
    ),
    errors=(
        (
            "only integer",
            "an index has to be whole numbers: an empty list becomes floats, np.array(kept, np.int64) does not.",
        ),
        ("IndexError", "which list does the index point into: that of all boxes, or that of the candidates?"),
    ),
)

EXERCISES = (
    EXTRA_MAPS,
    PREDICTION_HEAD,
    CLASS_CROSS_ENTROPY,
    SMOOTH_L1,
    MINE_HARD_NEGATIVES,
    MULTIBOX_LOSS,
    NON_MAX_SUPPRESSION,
)
