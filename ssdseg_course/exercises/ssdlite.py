"""The exercises of lesson 6: SSDLite's maps and heads, its loss, and non-maximum suppression."""

from dataclasses import replace
from typing import Any

import numpy as np

from ssdseg_course.checking.choices import run_choice, run_indices
from ssdseg_course.checking.compare import Complaint
from ssdseg_course.checking.exercise import Arguments, Exercise, Mutant
from ssdseg_course.checking.home import new_name
from ssdseg_course.checking.networks import compare_losses, compare_networks, run_loss, run_network
from ssdseg_course.checking.values import Plain, close
from ssdseg_course.exercises.shared import KERAS_ERRORS, OPS_ERRORS, maps_of_seed
from ssdseg_course.lazy import LazyModule
from ssdseg_ref import nms
from ssdseg_ref.boxes import pairwise_iou

layers = LazyModule("keras.layers")
ops = LazyModule("keras.ops")
blocks = LazyModule("ssdseg_ref.blocks")
reference = LazyModule("ssdseg_ref.ssdlite")
joint = LazyModule("ssdseg_ref.losses")

_maps = maps_of_seed(6)

# 06.extra_maps


def _extras_with(
    *, squeeze="half of the map's", acts=("relu6", "relu6", "relu6"), strides=(1, 2, 1), padding="same", chained=True,
    plain=False, project=True, first_count=False, returned=lambda x, maps: maps,
):  # fmt: skip
    """The extra maps with one mistake; `acts` and `strides` are those of squeeze, depthwise and last step."""

    def extras(x, channels):
        maps: list[Any] = []
        start = x
        for count in channels:
            filters = channels[0] if first_count else count
            y = maps[-1] if maps and chained else start
            squeezed = {"half of the map's": filters // 2, "all": filters, "half of x's": y.shape[-1] // 2}
            if squeeze:
                y = blocks.conv_bn(y, squeezed[squeeze], 1, strides[0], activation=acts[0], name=new_name())
            if plain:
                y = blocks.conv_bn(y, filters, 3, strides[1], activation=acts[2], name=new_name())
            else:
                y = blocks.depthwise_bn(y, 3, strides[1], activation=acts[1], padding=padding, name=new_name())
                if project:
                    y = blocks.conv_bn(y, filters, 1, strides[2], activation=acts[2], name=new_name())
            maps.append(y)
        return returned(start, maps)

    return extras


EXTRA_MAPS = Exercise(
    id="06.extra_maps",
    title="Coarser maps",
    points=10,
    difficulty="easy",
    minutes=15,
    home="ssdlite.extra_maps",
    piece=True,
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
        Mutant(_extras_with(squeeze=None), "the squeeze is missing: a pointwise step to half of the channels first."),
        Mutant(_extras_with(squeeze="all"), "the first pointwise step gives *half* of the map's channels."),
        Mutant(
            _extras_with(squeeze="half of x's"),
            "the squeeze gives half of the channels that the *new* map will have, not half of those that come in.",
        ),
        Mutant(
            _extras_with(strides=(1, 1, 1)), "the depthwise step has stride 2: each map is half as large as the last."
        ),
        Mutant(
            _extras_with(strides=(2, 1, 1)),
            "the stride belongs to the depthwise step: in the squeeze it would never look at most places.",
        ),
        Mutant(
            _extras_with(strides=(1, 1, 2)),
            "the stride belongs to the depthwise step: in the last step it would throw away most of what was computed.",
        ),
        Mutant(
            _extras_with(padding="valid"),
            'without a padding of zeros ("same") the map shrinks by its border, and odd sides are rounded down.',
        ),
        Mutant(
            _extras_with(chained=False),
            "every map begins with x again: the second extra map stands behind the first one.",
        ),
        Mutant(_extras_with(returned=lambda x, maps: maps[-1:]), "all maps are wanted, not the last one alone."),
        Mutant(
            _extras_with(returned=lambda x, maps: maps[-1]), "a list of all maps is wanted, not the last map itself."
        ),
        Mutant(_extras_with(returned=lambda x, maps: maps[::-1]), "the largest map comes first in the list."),
        Mutant(
            _extras_with(returned=lambda x, maps: [x, *maps]),
            "x itself is none of the extra maps: the list begins with the first one that was made from it.",
        ),
        Mutant(
            _extras_with(first_count=True), "every map has the first of the channels: each has its own, in their order."
        ),
        Mutant(_extras_with(project=False), "the last step is missing: a pointwise one to the map's channels."),
        Mutant(
            _extras_with(plain=True),
            "that is a plain 3 × 3 convolution: SSDLite's is depthwise, then pointwise, each with ReLU6.",
        ),
        Mutant(_extras_with(acts=("relu", "relu", "relu")), "all three steps have ReLU6 here, not a plain ReLU."),
        Mutant(
            _extras_with(acts=("relu6", "relu6", None)),
            "the last step has its ReLU6: this is no bottleneck of lesson 4, which ends without one.",
        ),
        Mutant(_extras_with(acts=(None, None, None)), "there is no activation at all: each of the three has ReLU6."),
    ),
    run=run_network,
    compare=compare_networks(),
    errors=KERAS_ERRORS,
)


# 06.prediction_head


def _into_rows(x, anchors_per_cell, values):
    return layers.Reshape((-1, values))(x)


def _values_first(x, anchors_per_cell, values):
    height, width = x.shape[1:3]
    x = ops.reshape(x, (-1, height * width, values, anchors_per_cell))
    return ops.reshape(ops.swapaxes(x, -1, -2), (-1, height * width * anchors_per_cell, values))


def _anchor_by_anchor(x, anchors_per_cell, values):
    height, width = x.shape[1:3]
    x = ops.reshape(x, (-1, height * width, anchors_per_cell, values))
    return ops.reshape(ops.swapaxes(x, 1, 2), (-1, height * width * anchors_per_cell, values))


def _head_with(
    *, looks="relu6", last=3 * (None,), norm=False, bias=True, kernel=1, count=lambda a, v: a * v, rows=_into_rows
):  # fmt: skip
    """A head with one mistake.

    Args:
        looks: activation of the depthwise step; "plain" for a 3 x 3 convolution in its place, "nothing" for none.
        last: activations of the last convolution, behind its normalisation (where it has one), behind the rows.
        norm: whether a normalisation stands behind the last convolution.
        bias: whether the last convolution has one.
        kernel: its side.
        count: its channels.
        rows: from what comes out of it to rows.
    """
    inside, behind, at_last = last

    def head(x, anchors_per_cell, values):
        if looks == "plain":
            x = blocks.conv_bn(x, x.shape[-1], 3, name=new_name())
        elif looks != "nothing":
            x = blocks.depthwise_bn(x, activation=looks, name=new_name())
        channels = count(anchors_per_cell, values)
        x = layers.Conv2D(channels, kernel, padding="same", use_bias=bias, activation=inside)(x)
        x = layers.BatchNormalization()(x) if norm else x
        x = layers.Activation(behind)(x) if behind else x
        x = rows(x, anchors_per_cell, values)
        return layers.Activation(at_last)(x) if at_last else x

    return head


PREDICTION_HEAD = Exercise(
    id="06.prediction_head",
    title="A head",
    points=15,
    difficulty="medium",
    minutes=15,
    home="ssdlite.prediction_head",
    arguments=("x", "anchors_per_cell", "values"),
    piece=True,
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
        Mutant(_head_with(looks="nothing"), "the depthwise step is missing: the head looks around, then it predicts."),
        Mutant(
            _head_with(looks=None), "the depthwise step has an activation, ReLU6: only the last convolution has none."
        ),
        Mutant(_head_with(looks="relu"), 'the depthwise step has ReLU6, "relu6", not a plain ReLU.'),
        Mutant(
            _head_with(looks="plain"), "that is a plain 3 × 3 convolution; SSDLite's looks at each channel by itself."
        ),
        Mutant(_head_with(bias=False), "the last convolution has a bias: no normalisation behind it would undo it."),
        Mutant(
            _head_with(last=("relu6", None, None)),
            "there is an activation behind the last convolution: no offset could be negative, nor over 6.",
        ),
        Mutant(
            _head_with(last=("relu", None, None)),
            "there is a ReLU behind the last convolution: no offset could be negative, and no logit.",
        ),
        Mutant(_head_with(last=("sigmoid", None, None)), "logits and offsets come out as they are, without a sigmoid."),
        Mutant(_head_with(last=("tanh", None, None)), "logits and offsets come out as they are, without a tanh."),
        Mutant(
            _head_with(last=(None, None, "softmax")),
            "logits come out as they are: the softmax belongs to the loss, and offsets need none at all.",
        ),
        Mutant(
            _head_with(norm=True), "no batch normalisation behind the last convolution: it would hold all to one scale."
        ),
        Mutant(
            _head_with(norm=True, bias=False),
            "the last step is a convolution with a bias, and without the normalisation that `conv_bn` puts behind it.",
        ),
        Mutant(
            _head_with(norm=True, bias=False, last=(None, "relu6", None)),
            "the last step is a `conv_bn`: no normalisation, no ReLU6, but a bias is what a last convolution has.",
        ),
        Mutant(_head_with(kernel=3), "the last convolution is pointwise, 1 × 1: the depthwise step has looked around."),
        Mutant(_head_with(count=lambda a, v: v), "each cell predicts `values` numbers for *every* one of its anchors."),
        Mutant(_head_with(rows=lambda x, a, v: x), "the cut into rows is missing: a row for each anchor of each cell."),
        Mutant(
            _head_with(rows=lambda x, a, v: layers.Reshape((-1, a * v))(x)),
            "a row for each anchor, not for each cell: a row has `values` numbers.",
        ),
        Mutant(
            _head_with(rows=lambda x, a, v: layers.Reshape((-1, a))(x)),
            "a row is what *one* anchor gets, `values` numbers; yours are as long as there are anchors in a cell.",
        ),
        Mutant(
            _head_with(rows=lambda x, a, v: layers.Reshape((-1, a, v))(x)),
            "that keeps an axis for the anchors of a cell: one long list of rows is wanted, for all cells.",
        ),
        Mutant(
            _head_with(rows=_values_first),
            "the numbers of one anchor stand side by side in a cell's channels; in yours those of one kind do.",
        ),
        Mutant(
            _head_with(rows=_anchor_by_anchor),
            "that lists all cells for the first anchor, then all for the second; all anchors of a cell come together.",
        ),
        Mutant(
            _head_with(rows=lambda x, a, v: _into_rows(ops.transpose(x, (0, 3, 1, 2)), a, v)),
            "with the channels moved to the front, a row holds one channel of many places: leave them last.",
        ),
        Mutant(
            _head_with(rows=lambda x, a, v: _into_rows(ops.swapaxes(x, 1, 2), a, v)),
            "that goes column by column. Lesson 1's anchors go row by row, from the left.",
        ),
    ),
    run=run_network,
    compare=compare_networks(),
    errors=(
        ("NoneType", "-1 in a shape says: as many as come out. `layers.Reshape` leaves the pictures' axis alone."),
        *KERAS_ERRORS,
    ),
)


# 06.class_cross_entropy


def _one_hot(classes, logits):
    return ops.one_hot(classes, logits.shape[-1], dtype=logits.dtype)


def _picked(classes, logits, shares):
    """Of each row the number at the true class."""
    return ops.sum(_one_hot(classes, logits) * shares, axis=-1)


def _log_softmax_over(axis):
    """Over an axis from the front; over the last one where there are not so many."""

    def cross_entropy(classes, logits):
        over = min(axis, len(logits.shape) - 1)
        return -_picked(classes, logits, ops.log_softmax(logits, axis=over))

    return cross_entropy


def _draw_logits(rng: np.random.Generator) -> Arguments:
    count = int(rng.integers(2, 6))
    leading = tuple(int(side) for side in rng.integers(1, 6, rng.integers(1, 4)))
    return rng.integers(0, count, leading).astype(np.int32), (3 * rng.normal(size=(*leading, count))).astype(np.float32)


CUT_OFF = (
    "something was added, or cut off, to keep the logarithm finite, which flattens the loss. ops.log_softmax needs no "
    "such thing."
)
TOO_LARGE = (
    "a share that a computer rounds to 0 has no logarithm (minus infinity), and e to the power of 500 is no number for "
    "it either (infinity; and infinity / infinity is nan): ops.log_softmax computes both in one step."
)
STEEP = 100.0  # a loss that no logarithm of a float32 can give: the smallest share above 0 has 103


def _compare_entropies(value: Plain, expected: Plain) -> Complaint | None:
    """As any losses; where the logits are far apart, with the reason for numbers that are none, or are cut off."""
    complaint = compare_losses(value, expected)
    yours, right = value[0] if isinstance(value, tuple) else value, expected[0]
    if complaint is None or not isinstance(yours, np.ndarray) or yours.shape != right.shape:
        return complaint
    steep = right > STEEP
    if not steep.any() or not close(yours, right)[~steep].all():
        return complaint
    if not np.isfinite(yours).all():
        return replace(complaint, advice=TOO_LARGE)
    return replace(complaint, advice=CUT_OFF) if (yours[steep] < STEEP).all() else complaint


CLASS_CROSS_ENTROPY = Exercise(
    id="06.class_cross_entropy",
    title="Softmax and its loss",
    points=15,
    difficulty="medium",
    minutes=20,
    home="losses.class_cross_entropy",
    piece=True,
    fixed_cases=(
        (np.array([[0, 1]], np.int32), np.array([[[0, 0, 0, 0], [1, 3, 0, 0]]], np.float32)),
        (np.array([1, 2, 0], np.int32), np.array([[1, 0, 2], [-2, 1, 3], [0.5, -1, -3]], np.float32)),
        (np.array([[2, 0]], np.int32), np.array([[[0, 500, 0], [-300, 100, 0]]], np.float32)),
        (np.arange(12).reshape(2, 3, 2).astype(np.int64) % 3, _maps(2, 3, 2, 3)),
    ),
    draw=_draw_logits,
    random_cases=3,
    hints=(
        "`ops.log_softmax(logits)` has the logarithms of all shares. Of each row you need one, that of the true class.",
        "`ops.one_hot(classes, logits.shape[-1])` has a 1 at the true class and 0 elsewhere: multiply and add up.",
        "-ops.sum(ops.one_hot(classes, logits.shape[-1]) * ops.log_softmax(logits, axis=-1), axis=-1).",
    ),
    mutants=(
        Mutant(
            lambda c, x: -joint.class_cross_entropy(c, x), "the sign is missing: a logarithm of a share is negative."
        ),
        Mutant(
            lambda c, x: ops.mean(joint.class_cross_entropy(c, x)),
            "one loss for each row, not the mean of all of them.",
        ),
        Mutant(
            lambda c, x: ops.sum(joint.class_cross_entropy(c, x)), "one loss for each row, not all of them added up."
        ),
        Mutant(
            lambda c, x: -_one_hot(c, x) * ops.log_softmax(x),
            "a row has one loss: of its products all but one are 0, so add them up over the classes.",
        ),
        Mutant(
            lambda c, x: -ops.log(_picked(c, x, ops.softmax(x))),
            "a share so small that it is 0 has no logarithm: ops.log_softmax computes both in one step.",
        ),
        Mutant(lambda c, x: -ops.log(_picked(c, x, ops.softmax(x)) + 1e-7), CUT_OFF),
        Mutant(lambda c, x: 1 - _picked(c, x, ops.softmax(x)), "where is the logarithm?"),
        Mutant(
            lambda c, x: -_picked(c, x, ops.softmax(x)),
            "that is minus the share of the true class; the loss is minus its *logarithm*.",
        ),
        Mutant(
            lambda c, x: joint.class_cross_entropy(c, x) / np.log(2),
            "that is the logarithm to base 2; it is the natural one here, as in ops.log.",
        ),
        Mutant(
            lambda c, x: joint.class_cross_entropy(c, x) / np.log(10),
            "that is the logarithm to base 10; it is the natural one here, as in ops.log.",
        ),
        Mutant(lambda c, x: -_picked(c, x, x), "those are the logits; what about the softmax?"),
        Mutant(
            lambda c, x: -_picked(c, x, ops.log_softmax(ops.softmax(x))),
            "the softmax is taken twice: ops.log_softmax takes the logits, not the shares.",
        ),
        Mutant(
            lambda c, x: -ops.sum(ops.log(_one_hot(c, x) * ops.softmax(x)), -1),
            "that takes the logarithm of 0 for all other classes: first the logarithms, then that of the true class.",
        ),
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
            lambda c, x: -ops.max(ops.log_softmax(x), axis=-1),
            "that takes the class with the largest share; the *true* class counts, however small its share.",
        ),
        Mutant(
            lambda c, x: -ops.sum(ops.softmax(x) * ops.log_softmax(x), axis=-1),
            "that is how unsure the row is, whatever is true: only the share of the true class counts.",
        ),
        Mutant(
            lambda c, x: -_picked(c - 1, x, ops.log_softmax(x)),
            "the classes are one less than they are: the logits have a place for the background, 0, as well.",
        ),
        Mutant(
            lambda c, x: -_picked(c + 1, x, ops.log_softmax(x)),
            "the classes are one more than they are: class 0 has the first of the logits.",
        ),
        Mutant(
            _log_softmax_over(0),
            "the shares make 1 over the first axis, among all rows; it is the last one, the classes.",
        ),
        Mutant(_log_softmax_over(1), "the shares make 1 over axis 1; it is the last axis, however many there are: -1."),
        Mutant(
            _log_softmax_over(2),
            "the shares make 1 over axis 2, which is the last one only of (B, N, K + 1): -1 always is.",
        ),
        Mutant(
            lambda c, x: joint.class_cross_entropy(c, x) * ops.cast(c > 0, x.dtype),
            "the background is a class, too: an anchor without a box has a loss.",
        ),
        Mutant(
            lambda c, x: ops.expand_dims(joint.class_cross_entropy(c, x), -1),
            "an axis too many: what comes back has the shape of `classes`, without keepdims.",
        ),
    ),
    run=run_loss(wrt=(1,)),
    compare=_compare_entropies,
    errors=(
        (
            "must be in the range",
            "is that axis there? The rows may lie in one axis, or in several: the classes are the last axis, -1.",
        ),
        *OPS_ERRORS,
    ),
)


# 06.smooth_l1


def _draw_offsets(rng: np.random.Generator) -> Arguments:
    shape = tuple(int(side) for side in rng.integers(1, 5, rng.integers(0, 3)))
    return tuple((2 * rng.normal(size=(*shape, 4))).astype(np.float32) for _ in range(2))


def _smooth(inner, outer, bound=1.0, size=lambda d: ops.abs(d)):
    """A choice between two formulas for d, the `size` of the difference."""

    def smooth(truth, predicted):
        d = size(truth - predicted)
        return ops.where(d < bound, inner(d), outer(d))

    return smooth


def _half_square(d):
    return 0.5 * d * d


def _less_half(d):
    return d - 0.5


SMOOTH_L1 = Exercise(
    id="06.smooth_l1",
    title="Smooth L1",
    points=10,
    difficulty="easy",
    minutes=10,
    home="losses.smooth_l1",
    piece=True,
    fixed_cases=(
        (np.zeros((1, 4), np.float32), np.array([[0.5, -0.5, 1.75, -3]], np.float32)),
        (np.array([[0, 1, 0, -2]], np.float32), np.array([[0, 1.25, 0.875, 4]], np.float32)),
        (_maps(2, 3, 4), _maps(2, 3, 4)),
        (np.array([1, -1, 0.25], np.float32), np.array([-0.25, -1.75, 0.5], np.float32)),
    ),
    draw=_draw_offsets,
    random_cases=3,
    hints=(
        "Two formulas and a choice between them, for all numbers at once.",
        "`ops.abs` of the difference is d; `ops.where(condition, this, that)` chooses number by number.",
        "d = ops.abs(truth - predicted); ops.where(d < 1, 0.5 * d * d, d - 0.5).",
    ),
    mutants=(
        Mutant(_smooth(_half_square, lambda d: d), "far out it is d - 0.5: without that the curve jumps at 1."),
        Mutant(_smooth(_half_square, lambda d: d + 0.5), "far out it is d *less* one half, so that both meet at 1."),
        Mutant(_smooth(lambda d: d * d, _less_half), "near zero it is *half* the square."),
        Mutant(_smooth(lambda d: (0.5 * d) ** 2, _less_half), "half the square it is, 0.5 d², not the square of half."),
        Mutant(_smooth(lambda d: 0.5 * d, _less_half), "near zero it is half the *square*, 0.5 d²."),
        Mutant(
            _smooth(lambda d: 0.5 * ops.sqrt(d + 1e-12), _less_half), "near zero it is half the square, not the root."
        ),
        Mutant(_smooth(lambda d: d * d, lambda d: d), "those two meet at 1, but with a kink: 0.5 d² and d - 0.5."),
        Mutant(_smooth(_half_square, _half_square), "far out it is straight, d - 0.5, no square."),
        Mutant(_smooth(_less_half, _less_half), "near zero it is half the square: d - 0.5 would be negative there."),
        Mutant(_smooth(_less_half, _half_square), "the two are swapped: the square belongs near zero."),
        Mutant(lambda t, p: ops.abs(t - p), "that is the plain L1: near zero it is to be half the square."),
        Mutant(lambda t, p: ops.square(t - p), "that is the square everywhere; it needs a half, and a straight line."),
        Mutant(
            lambda t, p: ops.where(t - p < 1, 0.5 * ops.square(t - p), ops.abs(t - p) - 0.5),
            "the *size* of the difference decides, by ops.abs: a large negative one is far out, too.",
        ),
        Mutant(
            lambda t, p: ops.where(ops.abs(t - p) < 1, 0.5 * ops.square(t - p), t - p - 0.5),
            "far out, too, the *size* of the difference counts: a loss is never negative.",
        ),
        Mutant(
            _smooth(_half_square, _less_half, size=lambda d: ops.relu(d)),
            "predictions above the truth have no loss at all: the size of the difference is ops.abs, not a ReLU.",
        ),
        Mutant(
            lambda t, p: ops.sum(joint.smooth_l1(t, p), -1), "a loss for each number: the sum over four comes later."
        ),
        Mutant(lambda t, p: ops.mean(joint.smooth_l1(t, p), -1), "a loss for each number, not the mean over four."),
        Mutant(lambda t, p: ops.mean(joint.smooth_l1(t, p)), "a loss for each number, not their mean."),
        Mutant(lambda t, p: ops.sum(joint.smooth_l1(t, p)), "a loss for each number: they are added up later."),
        Mutant(
            _smooth(lambda d: d * d, lambda d: d - 0.25, 0.5),
            "the change from square to straight line is at d = 1, not at one half.",
        ),
        Mutant(_smooth(_half_square, _less_half, 0.5), "the square reaches as far as d = 1, not one half."),
        Mutant(_smooth(_half_square, _less_half, 2.0), "the square reaches as far as d = 1, not 2."),
    ),
    run=run_loss(wrt=(1,)),
    compare=compare_losses,
    errors=OPS_ERRORS,
)


# 06.mine_hard_negatives


def _rank(hardness, axis=1):
    """The place of each, 0 for the hardest."""
    return ops.cast(ops.argsort(ops.argsort(-hardness, axis=axis), axis=axis), "int32")


def _count(positive, axis=1):
    return ops.sum(ops.cast(positive, "int32"), axis=axis, keepdims=True)


def _three_a_positive(found):
    return ops.maximum(3 * found, 3)


def _mine_with(
    *, wanted=_three_a_positive, found=_count, hardness=lambda values: values, of_positives=-1e9, rank=_rank,
    among=lambda rank, wanted: rank < wanted, clamped=False, dropped=True, with_positives=False,
):  # fmt: skip
    """Mining with one mistake.

    Args:
        wanted: how many, from the number of positives.
        found: the number of positives.
        hardness: from the losses.
        of_positives: the hardness of these; None leaves them theirs.
        rank: from the hardness.
        among: which ranks are chosen.
        clamped: whether no more are wanted than there are negatives.
        dropped: whether positives are left out in the end.
        with_positives: whether they are marked as well.
    """

    def mine(values, positive):
        hard = hardness(values)
        hard = hard if of_positives is None else ops.where(positive, of_positives, hard)
        count = wanted(found(positive))
        count = ops.minimum(count, ops.shape(values)[1] - _count(positive)) if clamped else count
        chosen = among(rank(hard), count)
        chosen = ops.logical_and(chosen, ops.logical_not(positive)) if dropped else chosen
        return ops.logical_or(chosen, positive) if with_positives else chosen

    return mine


def _rank_in_the_batch(hardness):
    return ops.reshape(_rank(ops.reshape(hardness, (1, -1))), ops.shape(hardness))


def _as_hard_as_the_last(values, positive):
    """All that are as hard as the last one that is wanted."""
    hard = ops.where(positive, -1.0, values)
    last = ops.minimum(_three_a_positive(_count(positive)), ops.shape(values)[1]) - 1
    least = ops.take_along_axis(-ops.sort(-hard, axis=1), last, axis=1)
    return ops.logical_and(hard >= least, ops.logical_not(positive))


def _draw_losses(rng: np.random.Generator) -> Arguments:
    images, anchors = int(rng.integers(2, 4)), int(rng.integers(12, 30))
    values = rng.permutation(images * anchors).reshape(images, anchors) / 10 + 0.05  # no two are equal
    return values.astype(np.float32), rng.random((images, anchors)) < rng.choice([0.05, 0.15, 0.3], (images, 1))


def _marks(*rows: str) -> np.ndarray:
    """Positives as rows of letters: "..P." for the third of four."""
    return np.array([[letter == "P" for letter in row] for row in rows])


MINE_HARD_NEGATIVES = Exercise(
    id="06.mine_hard_negatives",
    title="The hardest negatives",
    points=20,
    difficulty="hard",
    minutes=30,
    home="losses.mine_hard_negatives",
    piece=True,
    fixed_cases=(
        (np.array([[0.1, 2.0, 0.3, 0.7, 0.2, 0.9, 0.6, 0.4]], np.float32), _marks(".P......")),
        (
            np.array([[0.1, 0.5, 0.3, 0.7, 0.2, 0.9], [5.0, 6.0, 7.0, 8.0, 9.0, 4.0]], np.float32),
            _marks("......", "P..P.P"),
        ),
        # As many are equally hard as there are, and losses of 0: a network is quite sure of much that is floor.
        (np.array([[0.5, 0.5, 0.5, 0.25, 0.5, 0.5, 0.5, 0.75]], np.float32), _marks("...P....")),
        (np.array([[3.0, 0.0, 1.0, 0.0]], np.float32), _marks("P...")),
        (
            np.array([[0.2, 0.9, 0.4, 0.1, 0.8, 0.3, 0.6, 0.7], [0.6, 0.1, 0.5, 0.9, 0.2, 0.8, 0.3, 0.7]], np.float32),
            _marks("PP......", "........"),
        ),
        _draw_losses(np.random.default_rng(8)),
    ),
    draw=_draw_losses,
    hints=(
        "Two questions: how many does each image need, and which rank has each anchor among the negatives of its "
        "image?",
        "Give the positives a hardness of -1, so that they come last. `ops.argsort` of the *argsort* of -hardness is "
        "each anchor's rank, 0 for the hardest. Which ranks are wanted?",
        "found = ops.sum(ops.cast(positive, 'int32'), axis=1, keepdims=True); wanted = ops.minimum(ops.maximum(3 * "
        "found, 3), anchors - found); rank = ops.argsort(ops.argsort(-ops.where(positive, -1.0, losses), axis=1), "
        "axis=1); rank < wanted.",
    ),
    mutants=(
        Mutant(
            _mine_with(found=lambda positive: _count(positive, None), rank=_rank_in_the_batch),
            "that mines over the whole batch: one hard image takes the negatives of all. Each image by itself, axis=1.",
        ),
        Mutant(
            _mine_with(found=lambda positive: _count(positive, None)),
            "each image gets three for every positive of the *batch*: count the positives of each image, axis=1.",
        ),
        Mutant(
            _mine_with(rank=_rank_in_the_batch),
            "the ranks are those among all images: each image has a first, a second and a third of its own, axis=1.",
        ),
        Mutant(
            _mine_with(rank=lambda hardness: _rank(hardness, 0)),
            "the ranks are those among the images, anchor by anchor: rank the anchors of an image, axis=1.",
        ),
        Mutant(
            _mine_with(hardness=lambda values: -values), "those are the easiest negatives, with the smallest losses."
        ),
        Mutant(_mine_with(with_positives=True), "the positives are marked as well; only negatives are wanted here."),
        Mutant(
            _mine_with(of_positives=None, dropped=False),
            "positives take the places of negatives: give them a hardness of -1, so that they come last.",
        ),
        Mutant(
            _mine_with(of_positives=None),
            "positives are ranked among the negatives and dropped then, so places stay empty: they have to come last.",
        ),
        Mutant(
            _mine_with(of_positives=0.0, dropped=False),
            "a positive of hardness 0 is as hard as a negative whose loss is 0, and may take its place: give it less.",
        ),
        Mutant(
            _mine_with(of_positives=0.0, clamped=True, dropped=False),
            "a positive of hardness 0 can stand before a negative whose loss is 0: -1 is below every loss.",
        ),
        Mutant(
            _mine_with(of_positives=0.0),
            "a positive of hardness 0 ranks among negatives whose loss is 0, and their places stay empty: less than 0.",
        ),
        Mutant(
            _mine_with(wanted=lambda found: 3 * found),
            "an image without a box gets none at all: at least three an image.",
        ),
        Mutant(
            _mine_with(wanted=lambda found: ops.minimum(3 * found, 3)),
            "at *least* three an image, not at most: the larger of the two counts, ops.maximum.",
        ),
        Mutant(
            _mine_with(wanted=lambda found: 3 * ops.maximum(found, 3)),
            "at least three *negatives* an image; yours are at least nine, as if for three positives.",
        ),
        Mutant(
            _mine_with(wanted=lambda found: 3 * found + 3), "the three are the least that an image gets, no extra ones."
        ),
        Mutant(_mine_with(wanted=lambda found: ops.maximum(found, 3)), "three negatives a positive, not one."),
        Mutant(_mine_with(wanted=lambda found: ops.maximum(found, 1)), "three a positive and at least three, not one."),
        Mutant(_mine_with(wanted=lambda found: ops.maximum(3 * found, 1)), "at least three an image, not one."),
        Mutant(
            _mine_with(wanted=lambda found: found * 0 + 3),
            "it takes three an image; it should be three a *positive*, at least three.",
        ),
        Mutant(
            _mine_with(wanted=lambda found: ops.maximum(4 * found, 3)),
            "the three are negatives alone; the positive does not count among them.",
        ),
        Mutant(_mine_with(wanted=lambda found: ops.maximum(2 * found, 3)), "three negatives a positive, not two."),
        Mutant(
            _mine_with(among=lambda rank, wanted: rank <= wanted),
            "one too many in each image: ranks begin with 0, so the third has rank 2.",
        ),
        Mutant(
            _mine_with(among=lambda rank, wanted: rank < wanted - 1), "one too few in each image: ranks begin with 0."
        ),
        Mutant(
            _mine_with(among=lambda rank, wanted: rank >= wanted),
            "those are the negatives that should *not* count: the hardest have the small ranks.",
        ),
        Mutant(
            _mine_with(of_positives=-1.0, dropped=False),
            "where an image has too few negatives, positives are taken in their place: no more than there are.",
        ),
        Mutant(
            _as_hard_as_the_last,
            "of equally hard ones it takes all, so some images get more than three a positive: count by rank.",
        ),
        Mutant(
            _mine_with(rank=lambda hardness: ops.cast(ops.argsort(-hardness, axis=1), "int32")),
            "argsort says which anchor comes first, second, ...; you need the place of each anchor. Argsort that "
            "again.",
        ),
        Mutant(
            _mine_with(rank=lambda hardness: ops.cast(ops.argsort(-hardness, axis=1), "int32"), dropped=False),
            "a single argsort lists anchors, the hardest first, and is no rank; the argsort of it gives each place.",
        ),
    ),
    run=run_choice,
    errors=(
        ("keepdims", "`keepdims=True` goes into the sum, so that (B,) is (B, 1) and lies beside (B, N)."),
        (
            "Incompatible shapes",
            "one number per image has the shape (B,); beside (B, N) it has to be (B, 1): sum with keepdims=True.",
        ),
        *OPS_ERRORS,
    ),
)


# 06.multibox_loss


def _total(values, axis=None):
    return ops.sum(ops.cast(values, "float32"), axis=axis)


def _images(positive):
    return ops.cast(ops.shape(positive)[0], "float32")


def _mined(entropies, positive):
    return joint.mine_hard_negatives(entropies, positive)


def _mined_over_the_batch(entropies, positive):
    flat = joint.mine_hard_negatives(ops.reshape(entropies, (1, -1)), ops.reshape(positive, (1, -1)))
    return ops.reshape(flat, ops.shape(positive))


def _right_divisor(positive, counted):
    return ops.maximum(_total(positive), _images(positive))


def _positives_of_each_image(positive, counted):
    """(B,), for losses that are summed an image."""
    return ops.maximum(_total(positive, axis=1), 1.0)


def _multibox_with(
    *, background=0, mined=_mined, counts=lambda positive, mined: ops.logical_or(positive, mined),
    has_box=lambda positive, counted: positive, divisor=_right_divisor, of_boxes=None, axis=None, offset_mean=False,
    distance=lambda truth, predicted: joint.smooth_l1(truth, predicted), of_images=lambda loss: loss,
    returned=lambda class_loss, box_loss: (class_loss, box_loss),
):  # fmt: skip
    """The loss with one mistake.

    Args:
        background: the last class that is no positive.
        mined: from losses and positives to what is mined.
        counts: which anchors the class loss counts, from the positive ones and the mined ones.
        has_box: which anchors the box loss counts, from the positive ones and those of the class loss.
        divisor: from the positive anchors and those that count.
        of_boxes: another divisor for the box loss.
        axis: over which losses are added up; 1 for one sum an image.
        offset_mean: whether the mean of the four offsets is taken.
        distance: of two offsets.
        of_images: what is made of one loss an image.
        returned: what comes back.
    """

    def loss(classes, offsets, class_logits, predicted_offsets):
        positive = classes > background
        entropies = joint.class_cross_entropy(classes, class_logits)
        counted = counts(positive, mined(ops.stop_gradient(entropies), positive))
        distances = ops.sum(distance(offsets, predicted_offsets), axis=-1) / (4 if offset_mean else 1)
        class_loss = _total(ops.where(counted, entropies, 0.0), axis) / divisor(positive, counted)
        inside = has_box(positive, counted)
        box_loss = _total(ops.where(inside, distances, 0.0), axis) / (of_boxes or divisor)(positive, counted)
        return returned(of_images(class_loss), of_images(box_loss))

    return loss


def _draw_targets(rng: np.random.Generator, share: float | None = None) -> Arguments:
    images, anchors, count = int(rng.integers(1, 4)), int(rng.integers(16, 30)), 3
    share = rng.choice([0.1, 0.2]) if share is None else share
    classes = np.where(rng.random((images, anchors)) < share, rng.integers(1, count + 1, (images, anchors)), 0)
    offsets = np.where(classes[..., None] > 0, rng.normal(size=(images, anchors, 4)), 0)
    logits, predicted = 2 * rng.normal(size=(images, anchors, count + 1)), 2 * rng.normal(size=(images, anchors, 4))
    return classes.astype(np.int32), *(part.astype(np.float32) for part in (offsets, logits, predicted))


def _by_hand(positive: bool) -> Arguments:
    """One image of four anchors and one class: small enough for a pencil, with losses of log 2, log 4 and log 8.

    Without a positive three of the four negatives are mined; with one the other three are.
    """
    log = np.log(np.array([1, 3, 7, 1]))  # a row (0, log 3) gives the background a share of 1/4
    logits = np.stack([0 * log, log], axis=-1)[None]
    classes = np.array([[1 if positive else 0, 0, 0, 0]], np.int32)
    offsets = np.zeros((1, 4, 4))
    offsets[0, 0] = (0.5, 0, -1, 2) if positive else 0
    predicted = np.zeros((1, 4, 4))
    predicted[0, :2] = (0, 0, 1, 0), (1, 1, 1, 1)
    return classes, *(part.astype(np.float32) for part in (offsets, logits, predicted))


def _crowded_and_empty():
    """A batch of one image with many positives, and two without any, where mining chooses differently an image."""
    classes, offsets, logits, predicted = _draw_targets(np.random.default_rng(5), 0.0)
    classes, offsets, logits, predicted = (
        np.concatenate([part[:1]] * 3) for part in (classes, offsets, logits, predicted)
    )
    classes[0, [1, 4, 7, 9, 12]] = 1, 2, 3, 1, 2
    offsets[0, classes[0] > 0] = np.arange(20, dtype=np.float32).reshape(5, 4) / 10 - 1
    logits[1:] *= np.array([0.5, 2], np.float32)[:, None, None]
    return classes, offsets, logits, predicted


MULTIBOX_LOSS = Exercise(
    id="06.multibox_loss",
    title="The multibox loss",
    points=15,
    difficulty="medium",
    minutes=20,
    home="losses.multibox_loss",
    piece=True,
    fixed_cases=(
        _by_hand(positive=True),
        _by_hand(positive=False),
        _crowded_and_empty(),
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
        Mutant(
            _multibox_with(counts=lambda positive, mined: ops.ones_like(positive)),
            "all negatives count; only the mined ones should, and the positives.",
        ),
        Mutant(_multibox_with(counts=lambda positive, mined: mined), "the class loss of the positives is missing."),
        Mutant(
            _multibox_with(counts=lambda positive, mined: positive),
            "the class loss of the mined negatives is missing: the network would never learn to say background.",
        ),
        Mutant(
            _multibox_with(mined=_mined_over_the_batch),
            "the negatives are mined over the whole batch: each image has its own, so hand over (B, N) as it is.",
        ),
        Mutant(
            _multibox_with(background=-1), "every anchor counts as positive: class 0 is the background, which is none."
        ),
        Mutant(
            _multibox_with(background=1), "class 1 is a class like the others; only 0, the background, is no positive."
        ),
        Mutant(
            _multibox_with(divisor=lambda positive, counted: ops.maximum(_total(counted), _images(positive))),
            "divide by the positives alone, the mined negatives do not count.",
        ),
        Mutant(
            _multibox_with(
                divisor=lambda positive, counted: ops.maximum(_total(counted), _images(positive)),
                of_boxes=_right_divisor,
            ),
            "the class loss is divided by all that count; divide it by the positives alone, as the box loss.",
        ),
        Mutant(
            _multibox_with(divisor=lambda positive, counted: ops.maximum(_total(positive), 1.0)),
            "where a batch has fewer positives than images, divide by the images, or empty ones weigh too much.",
        ),
        Mutant(
            _multibox_with(divisor=lambda positive, counted: _total(positive)),
            "a batch may have no positive at all, and then that divides by 0: by the images, where they are more.",
        ),
        Mutant(
            _multibox_with(divisor=lambda positive, counted: _images(positive)),
            "divide by the positives; by the images only where those are more.",
        ),
        Mutant(
            _multibox_with(divisor=lambda positive, counted: ops.minimum(_total(positive) + 1e-9, _images(positive))),
            "divide by the *larger* of both numbers, positives and images: ops.maximum.",
        ),
        Mutant(
            _multibox_with(divisor=lambda positive, counted: _total(positive) + _images(positive)),
            "divide by the larger of both numbers, positives and images, not by their sum.",
        ),
        Mutant(
            _multibox_with(divisor=lambda positive, counted: _total(ops.ones_like(positive))),
            "that divides by all anchors, most of which count for nothing: divide by the positives.",
        ),
        Mutant(
            _multibox_with(divisor=lambda positive, counted: 1.0),
            "divide by the positives, or the loss grows with the boxes.",
        ),
        Mutant(
            _multibox_with(divisor=_positives_of_each_image, axis=1, of_images=lambda losses: ops.mean(losses)),
            "each image is divided by its own positives; add up over the batch, and divide once.",
        ),
        Mutant(
            _multibox_with(divisor=_positives_of_each_image, axis=1, of_images=lambda losses: ops.sum(losses)),
            "each image is divided by its own positives, and the quotients are added; add up first, divide once.",
        ),
        Mutant(_multibox_with(axis=1), "one loss for the whole batch, not one per image: add up over both axes."),
        Mutant(
            _multibox_with(has_box=lambda positive, counted: ops.ones_like(positive)),
            "the box loss asks anchors without a box for offsets of 0; only positives have offsets to learn.",
        ),
        Mutant(
            _multibox_with(has_box=lambda positive, counted: counted),
            "negatives have no box: in the box loss only positives count.",
        ),
        Mutant(
            _multibox_with(distance=lambda truth, predicted: ops.abs(truth - predicted)),
            "the box loss is that of plain distances; your `smooth_l1` is what it needs.",
        ),
        Mutant(
            _multibox_with(distance=lambda truth, predicted: 0.5 * ops.square(truth - predicted)),
            "the box loss is that of squares; your `smooth_l1` is what it needs.",
        ),
        Mutant(
            _multibox_with(offset_mean=True), "a box has four offsets: their losses are added up, no mean is taken."
        ),
        Mutant(
            _multibox_with(returned=lambda class_loss, box_loss: class_loss + box_loss),
            "two losses are wanted, class and box, not their sum.",
        ),
        Mutant(
            _multibox_with(returned=lambda class_loss, box_loss: (box_loss, class_loss)),
            "the class loss comes first, then the box loss.",
        ),
    ),
    run=run_loss(wrt=(2, 3)),
    compare=compare_losses,
    returns=("class_loss", "box_loss"),
    errors=OPS_ERRORS,
)


# 06.non_max_suppression


def _suppress_with(
    *, drop=lambda iou, threshold: iou > threshold, count=lambda limit: limit, order=lambda scores: -scores,
    candidates=lambda scores, threshold: scores >= threshold, overlap=pairwise_iou,
    returned=lambda kept, dropped: kept,
):  # fmt: skip
    """NMS with one mistake."""

    def suppress(boxes, scores, iou_threshold, score_threshold, max_detections):
        scores = np.asarray(scores)
        left = sorted(np.flatnonzero(candidates(scores, score_threshold)), key=lambda k: order(scores)[k])
        kept: list[np.integer] = []
        dropped: list[np.integer] = []
        while left and len(kept) < count(max_detections):
            best, *rest = left
            kept.append(best)
            overlaps = overlap(boxes[[best]], boxes[rest])[0]
            gone = [k for k, iou in zip(rest, overlaps, strict=True) if drop(iou, iou_threshold)]
            dropped += gone
            left = [k for k in rest if k not in gone]
        return np.array(returned(kept, dropped), np.int64)

    return suppress


def _as_returned(change):
    """The right indices, given back as something else: from boxes, scores and indices."""

    def suppress(boxes, scores, iou_threshold, score_threshold, max_detections):
        kept = nms.non_max_suppression(boxes, scores, iou_threshold, score_threshold, max_detections)
        return change(boxes, scores, kept)

    return suppress


def _among_the_sorted(boxes, scores, kept):
    """Places in the list that was sorted by score."""
    order = np.argsort(-scores, kind="stable")
    return np.argsort(order, kind="stable")[kept]


def _marked(boxes, scores, kept):
    return np.isin(np.arange(len(boxes)), kept).astype(np.int64)


def _larger_share(boxes, others):
    """The overlap as a share of the smaller box."""
    low, high = np.maximum(boxes[:, None, :2], others[:, :2]), np.minimum(boxes[:, None, 2:], others[:, 2:])
    sides = lambda some: np.prod(some[:, 2:] - some[:, :2], axis=-1)  # noqa: E731
    return np.prod(np.maximum(high - low, 0), axis=-1) / np.minimum(sides(boxes)[:, None], sides(others))


def _pixel_iou(boxes, others):
    """The IoU of old code for whole pixels, whose widths and heights are one more."""
    low, high = np.maximum(boxes[:, None, :2], others[:, :2]), np.minimum(boxes[:, None, 2:], others[:, 2:])
    both = np.prod(np.maximum(high - low + 1, 0), axis=-1)
    areas = [np.prod(some[:, 2:] - some[:, :2] + 1, axis=-1) for some in (boxes, others)]
    return both / (areas[0][:, None] + areas[1] - both)


def _compared_with(some):
    """Each candidate is compared with `some` of the kept ones alone."""

    def suppress(boxes, scores, iou_threshold, score_threshold, max_detections):
        order = np.argsort(-scores, kind="stable")
        kept: list[int] = []
        for k in order[scores[order] >= score_threshold]:
            others = some(kept)
            if not others or (pairwise_iou(boxes[[k]], boxes[others]) <= iou_threshold).all():
                kept.append(k)
        return np.array(kept[:max_detections], np.int64)

    return suppress


def _thresholds_swapped(boxes, scores, iou_threshold, score_threshold, max_detections):
    return nms.non_max_suppression(boxes, scores, score_threshold, iou_threshold, max_detections)


def _all_against_all(boxes, scores, iou_threshold, score_threshold, max_detections):
    """Suppressed boxes go on to suppress."""
    order = np.argsort(-np.asarray(scores), kind="stable")
    order = order[scores[order] >= score_threshold]
    ious = np.triu(pairwise_iou(boxes[order], boxes[order]), 1)
    return order[~(ious > iou_threshold).any(axis=0)][:max_detections]


def _limit_first(boxes, scores, iou_threshold, score_threshold, max_detections):
    best = np.argsort(-scores, kind="stable")[:max_detections]
    return best[nms.non_max_suppression(boxes[best], scores[best], iou_threshold, score_threshold, max_detections)]


def _draw_detections(rng: np.random.Generator) -> Arguments:
    count = int(rng.integers(6, 25))
    middle, size = 0.5 + 0.15 * rng.normal(size=(count, 2)), rng.uniform(0.15, 0.4, (count, 2))
    boxes = np.concatenate([middle - size / 2, middle + size / 2], axis=1).astype(np.float32)
    scores = (rng.permutation(count) + 1) / (count + 1)  # no two are equal
    limit = int(rng.choice([2, 4, 100]))
    return boxes, scores.astype(np.float32), float(rng.choice([0.2, 0.35, 0.5])), float(rng.choice([0.05, 0.3])), limit


def _scores(*scores: float) -> np.ndarray:
    return np.array(scores, np.float32)


# Three in a row, each overlapping the next by an IoU of 0.6 and the next but one by 0.33, and one that stands apart.
_CHAIN = np.array([[0, 0, 4, 4], [1, 0, 5, 4], [2, 0, 6, 4], [7, 0, 9, 4]], np.float32) / 10
# A quarter of the first: an IoU that is exact in every arithmetic.
_QUARTER = np.array([[0, 0, 1, 1], [0, 0, 0.5, 0.5]], np.float32)
# In a row with the chain's steps: the first and the fourth do not overlap, nor do neighbours but one by much.
_LONG_CHAIN = np.array([[x, 0, x + 4, 4] for x in range(5)], np.float32) / 10

NON_MAX_SUPPRESSION = Exercise(
    id="06.non_max_suppression",
    title="Only the best stays",
    points=15,
    difficulty="medium",
    minutes=25,
    home="nms.non_max_suppression",
    piece=True,
    fixed_cases=(
        (_CHAIN, _scores(0.9, 0.8, 0.7, 0.6), 0.5, 0.1, 10),
        (_CHAIN[[3, 1, 0, 2]], _scores(0.25, 0.8, 0.9, 0.7), 0.5, 0.25, 10),
        (_QUARTER, _scores(0.5, 0.75), 0.25, 0.125, 10),
        (_QUARTER, _scores(0.5, 0.75), 0.5, 0.125, 10),
        (_CHAIN, _scores(0.9, 0.7, 0.6, 0.8), 0.5, 0.1, 10),
        (_CHAIN, _scores(0.9, 0.8, 0.7, 0.6), 0.25, 0.1, 10),
        (_CHAIN, _scores(0.9, 0.8, 0.7, 0.2), 0.5, 0.3, 10),
        (_CHAIN, _scores(0.9, 0.8, 0.7, 0.6), 0.5, 0.1, 2),
        (_CHAIN, _scores(0.9, 0.8, 0.7, 0.6), 0.5, 0.1, 1),
        (_CHAIN, _scores(0.1, 0.2, 0.15, 0.05), 0.5, 0.3, 10),
        (np.empty((0, 4), np.float32), np.empty(0, np.float32), 0.5, 0.1, 10),
        (_LONG_CHAIN[[2, 0, 4, 1, 3]], _scores(0.5, 0.9, 0.7, 0.8, 0.6), 0.3, 0.1, 10),
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
        Mutant(
            _suppress_with(order=lambda scores: np.arange(len(scores))),
            "the best comes first: sort the candidates by score, largest first.",
        ),
        Mutant(
            _suppress_with(order=lambda scores: scores),
            "that begins with the worst: argsort rises, so sort by -scores.",
        ),
        Mutant(_suppress_with(drop=lambda iou, threshold: iou < threshold), "those that overlap *much* have to go."),
        Mutant(
            _suppress_with(drop=lambda iou, threshold: iou <= threshold),
            "the wrong ones go on: those that overlap the best one much are dropped, and the others stay.",
        ),
        Mutant(_suppress_with(drop=lambda iou, threshold: iou >= threshold), "an IoU equal to the threshold stays."),
        Mutant(_suppress_with(drop=lambda iou, threshold: iou > 0.5), "the threshold is 0.5 whatever is asked for."),
        Mutant(_suppress_with(drop=lambda iou, threshold: False), "nothing is suppressed."),
        Mutant(
            _suppress_with(drop=lambda iou, threshold: iou > 0), "whatever touches the best one goes, however little."
        ),
        Mutant(_suppress_with(drop=lambda iou, threshold: True), "all but the best one are dropped, near or far."),
        Mutant(
            _suppress_with(drop=lambda iou, threshold: iou > 1 - threshold),
            "the threshold is that of the IoU itself, not of one less the IoU.",
        ),
        Mutant(_thresholds_swapped, "the two thresholds are swapped: one is for scores, the other for the IoU."),
        Mutant(
            _suppress_with(overlap=_larger_share),
            "the overlap is divided by the smaller box; the IoU, as `pairwise_iou` gives it, divides by the union.",
        ),
        Mutant(
            _suppress_with(overlap=_pixel_iou),
            'a width is xmax - xmin: the "+ 1" of old code for pixels swells boxes that are fractions of the image.',
        ),
        Mutant(
            _suppress_with(candidates=lambda scores, threshold: scores > threshold),
            "a score equal to the threshold takes part: at least, not over.",
        ),
        Mutant(
            _suppress_with(candidates=lambda scores, threshold: scores >= 0), "scores below the threshold take part."
        ),
        Mutant(_suppress_with(count=lambda limit: 10**9), "it does not stop at max_detections."),
        Mutant(_suppress_with(count=lambda limit: limit + 1), "that is one more than max_detections."),
        Mutant(_suppress_with(count=lambda limit: limit - 1), "that is one fewer than max_detections."),
        Mutant(_limit_first, "the limit counts what is kept, so suppress first and count then."),
        Mutant(
            _all_against_all,
            "a box that is gone suppresses nothing any more: in a chain of three the third stays.",
        ),
        Mutant(
            _compared_with(lambda kept: kept[:1]),
            "each box is compared with the best of all alone: whatever is kept later suppresses, too.",
        ),
        Mutant(
            _compared_with(lambda kept: kept[-1:]),
            "each box is compared with the one kept last alone: all that are kept suppress.",
        ),
        Mutant(_suppress_with(returned=lambda kept, dropped: dropped), "those are the ones that were dropped."),
        Mutant(
            _as_returned(lambda boxes, scores, kept: np.sort(kept)),
            "the indices come best first, not sorted by themselves.",
        ),
        Mutant(
            _as_returned(lambda boxes, scores, kept: kept[::-1]), "the indices come best first; yours are worst first."
        ),
        Mutant(
            _as_returned(lambda boxes, scores, kept: scores[kept]),
            "the *indices* of the kept ones are wanted, not their scores.",
        ),
        Mutant(
            _as_returned(lambda boxes, scores, kept: boxes[kept]),
            "the *indices* of the kept ones are wanted, not the boxes themselves.",
        ),
        Mutant(
            _as_returned(lambda boxes, scores, kept: len(kept)), "that is how many are kept; which ones, best first?"
        ),
        Mutant(
            _as_returned(_marked),
            "that marks each box by 1 or 0, kept or not: the indices of the kept ones are wanted, best first.",
        ),
        Mutant(
            _as_returned(_among_the_sorted),
            "those are places in a list that was sorted: the index of a box is its place in `boxes`.",
        ),
        Mutant(
            _as_returned(lambda boxes, scores, kept: kept + 1), "indices begin with 0: yours are one too many each."
        ),
    ),
    run=run_indices,
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
