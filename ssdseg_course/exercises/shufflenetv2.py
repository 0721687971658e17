"""The exercises of lesson 5: ShuffleNetV2, from the cost of fetching numbers to the whole network."""

import itertools
from functools import lru_cache

import numpy as np

from ssdseg_course.checking.exercise import Exercise, Mutant
from ssdseg_course.checking.networks import KINDS, compare_networks, run_network
from ssdseg_course.exercises.mobilenetv2 import HEAD_LAYERS, KERAS_ERRORS
from ssdseg_course.lazy import LazyModule

keras = LazyModule("keras")
layers = LazyModule("keras.layers")
ops = LazyModule("keras.ops")
blocks = LazyModule("ssdseg_ref.blocks")
reference = LazyModule("ssdseg_ref.shufflenetv2")

_NUMBERS = itertools.count()
_RNG = np.random.default_rng(5)  # of the fixed cases: always the same


def _maps(*shape: int) -> np.ndarray:
    return (4 * _RNG.normal(size=shape)).astype(np.float32)


def _new_name() -> str:
    return f"unit{next(_NUMBERS)}"


# 05.memory_access_cost


def memory_access_cost(height, width, in_channels, out_channels):
    """Numbers that a pointwise convolution reads and writes: its input, its output and its kernel.

    Source: Ma et al. 2018, "ShuffleNet V2", section 2, guideline G1.
    """
    return height * width * (in_channels + out_channels) + in_channels * out_channels


def _draw_sizes(rng: np.random.Generator):
    height, width, in_channels, out_channels = rng.choice(np.arange(2, 40), 4, replace=False).tolist()
    return height, width, in_channels, out_channels


MEMORY_ACCESS_COST = Exercise(
    id="05.memory_access_cost",
    title="What has to be fetched",
    points=10,
    difficulty="easy",
    minutes=10,
    reference=memory_access_cost,
    fixed_cases=((1, 1, 2, 3), (10, 14, 64, 64), (10, 14, 16, 256)),
    draw=_draw_sizes,
    hints=(
        "Three things pass between memory and processor: what goes in, what comes out, and the weights.",
        "A map has height x width x channels numbers. A pointwise kernel has a weight for each pair of channels.",
        "height * width * in_channels, plus height * width * out_channels, plus in_channels * out_channels.",
    ),
    mutants=(
        Mutant(
            lambda h, w, c, d: h * w * c * d,
            "those are the multiply-adds. Asked is how many numbers are read and written, each once.",
        ),
        Mutant(
            lambda h, w, c, d: h * w * (c + d), "the weights have to be fetched too, one for each pair of channels."
        ),
        Mutant(lambda h, w, c, d: h * w * c + c * d, "what comes out has to be written to memory as well."),
        Mutant(lambda h, w, c, d: h * w * d + c * d, "what goes in has to be read as well."),
        Mutant(
            lambda h, w, c, d: h * w * (c + d + c * d),
            "the weights are fetched once, not again for every place of the map.",
        ),
        Mutant(lambda h, w, c, d: (h + w) * (c + d) + c * d, "a map has height *times* width places."),
        Mutant(lambda h, w, c, d: h * w * (c + d) + c + d, "a kernel has a weight for each *pair* of channels."),
    ),
)


# 05.channel_shuffle


def channel_shuffle(x, groups):
    """The reference's."""
    return reference.channel_shuffle(x, groups)


def _reordered(order_of):
    """A shuffle that takes the channels in another order."""

    def shuffle(x, groups):
        order = order_of(x.shape[-1], groups)
        return ops.take(x, list(map(int, order)), axis=-1)

    return shuffle


CHANNEL_SHUFFLE = Exercise(
    id="05.channel_shuffle",
    title="Dealing out the channels",
    points=15,
    difficulty="easy",
    minutes=15,
    reference=channel_shuffle,
    fixed_cases=((_maps(2, 3, 4, 6), 2), (_maps(1, 2, 5, 12), 3), (_maps(1, 4, 3, 8), 4)),
    draw=None,
    hints=(
        "Write the numbers of six channels in two rows of three, one row a group. In which order do you have to read "
        "them?",
        "Column by column: so reshape the last axis into (groups, channels of a group), swap these two axes, and "
        "reshape "
        "back.",
        "x = ops.reshape(x, (-1, height, width, groups, channels // groups)); x = ops.swapaxes(x, -1, -2); and "
        "ops.reshape "
        "back to (-1, height, width, channels).",
    ),
    mutants=(
        Mutant(
            lambda x, groups: x + 0,
            "every channel is where it was: between the two reshapes the axes have to be swapped.",
        ),
        Mutant(
            _reordered(lambda c, g: np.arange(c).reshape(-1, g).T.ravel()),
            "that is the way back: the last axis is reshaped into (channels of a group, groups), not the other way "
            "round.",
        ),
        Mutant(
            _reordered(lambda c, g: np.arange(c)[::-1]), "that turns the channels round: the last has become the first."
        ),
        Mutant(
            _reordered(lambda c, g: np.roll(np.arange(c), c // g)),
            "whole groups have moved. Dealt like cards: one from each group in turns.",
        ),
        Mutant(
            _reordered(lambda c, g: np.arange(c).reshape(g, -1)[::-1].T.ravel()),
            "it begins with the last group: the first channel of the first group stays the first.",
        ),
        Mutant(
            _reordered(lambda c, g: np.arange(c).reshape(2, -1).T.ravel()),
            "it always deals two groups: take as many as `groups` says.",
        ),
        Mutant(
            lambda x, groups: ops.flip(channel_shuffle(x, groups), axis=1),
            "the channels are right, but the places are turned over: only the last axis may change.",
        ),
    ),
    run=run_network,
    compare=compare_networks(),
    errors=(
        (
            "NoneType",
            "the first side is None, as many pictures as will come: in a reshape, -1 stands for it, and stands there "
            "alone.",
        ),
        (
            "cannot reshape",
            "a reshape keeps the number of numbers: groups times channels // groups makes the channels again.",
        ),
        (
            "size of the tensor",
            "a reshape keeps the number of numbers: groups times channels // groups is channels again.",
        ),
        ("'float' object", "`//` divides whole numbers; `/` gives a float, which no shape takes."),
        ("Tshape", "a shape is made of whole numbers: `//` divides whole numbers, `/` gives a float."),
        *KERAS_ERRORS,
    ),
)


# 05.basic_unit and 05.downsampling_unit


def basic_unit(x):
    """The reference's, with the momentum and epsilon that a learner's layers have."""
    return reference.basic_unit(x, name=_new_name(), norm=blocks.NORM)


def downsampling_unit(x, channels):
    """The reference's, with the momentum and epsilon that a learner's layers have."""
    return reference.downsampling_unit(x, channels, name=_new_name(), norm=blocks.NORM)


def _look(x, stride, activation, padding):
    if padding == "valid":
        x = layers.ZeroPadding2D(1)(x)
    return blocks.depthwise_bn(x, stride=stride, activation=activation, padding=padding, name=_new_name())


def _branch(x, channels, stride, *, act="relu", look=None, last="relu", padding="valid", early=False, reads=True):
    if reads:
        x = blocks.conv_bn(x, channels, 1, stride if early else 1, activation=act, name=_new_name())
    x = _look(x, 1 if early else stride, look, padding)
    return blocks.conv_bn(x, channels, activation=last, name=_new_name())


def _basic_with(*, split=True, worked="right", order="left first", shuffled=True, joined="concat", **branch):
    """A unit of stride 1 with one mistake."""

    def unit(x):
        left, right = ops.split(x, 2, axis=-1)
        if not split:
            left, right = x, x
        if worked == "left":
            left, right = right, left
        right = _branch(right, right.shape[-1], 1, **branch)
        if joined == "add":
            y = layers.Add()([left, right])
        else:
            y = layers.Concatenate()([left, right] if (order == "left first") == (worked == "right") else [right, left])
        return channel_shuffle(y, 2) if shuffled else y

    return unit


def _downsampling_with(
    *, left_filter=True, left_act=None, left_last="relu", order=True, shuffled=True, split=False, halves=True,
    left_padding="valid", **branch,
):  # fmt: skip
    """A unit of stride 2 with one mistake."""

    def unit(x, channels):
        half = channels // 2 if halves else channels
        left, right = ops.split(x, 2, axis=-1) if split else (x, x)
        left = _look(left, 2, left_act, left_padding) if left_filter else layers.AveragePooling2D(2, 2, "same")(left)
        left = blocks.conv_bn(left, half, activation=left_last, name=_new_name())
        right = _branch(right, half, 2, **branch)
        y = layers.Concatenate()([left, right] if order else [right, left])
        return channel_shuffle(y, 2) if shuffled else y

    return unit


UNIT_ERRORS = (
    (
        "too many positional arguments",
        "a layer is applied to one thing, so `layers.Concatenate()` takes one list, `([left, right])`.",
    ),
    ("Concatenate", "`layers.Concatenate()` takes one list, `([left, right])`, of maps that differ in channels alone."),
    ("indices_or_sections", "`ops.split(x, 2, axis=-1)` gives a list of two halves."),
    *KERAS_ERRORS,
)

BASIC_UNIT = Exercise(
    id="05.basic_unit",
    title="The unit of stride 1",
    points=25,
    difficulty="medium",
    minutes=25,
    reference=basic_unit,
    fixed_cases=((_maps(1, 5, 6, 8),), (_maps(2, 4, 4, 12),)),
    draw=None,
    hints=(
        "Split, work on the right half in three steps, concatenate, shuffle. Which of the three steps has no "
        "activation?",
        '`left, right = ops.split(x, 2, axis=-1)`. Work: pointwise with "relu"; a frame of zeros and the depthwise '
        "step "
        'with padding "valid", no activation; pointwise with "relu". All with as many channels as the half has.',
        'right = conv_bn(right, half, 1, 1, "relu"); right = depthwise_bn(layers.ZeroPadding2D(1)(right), 3, 1, None, '
        '"valid"); right = conv_bn(right, half, 1, 1, "relu"); channel_shuffle(layers.Concatenate()([left, right]), '
        "2).",
    ),
    mutants=(
        Mutant(_basic_with(shuffled=False), "the channels are not shuffled: the left half would never be worked on."),
        Mutant(_basic_with(order="right first"), "the untouched half stands first when the two are joined."),
        Mutant(_basic_with(worked="left"), "the left half passes as it is; the right one is worked on."),
        Mutant(_basic_with(split=False), "both branches see all channels: split them first, each has a half."),
        Mutant(_basic_with(look="relu"), "there is an activation behind the depthwise step: here it has none."),
        Mutant(
            _basic_with(last=None),
            "the second pointwise step has its ReLU too: nothing is added here, so nothing is linear.",
        ),
        Mutant(_basic_with(act="relu6"), 'ShuffleNetV2 has plain ReLUs, "relu", not ReLU6.'),
        Mutant(
            _basic_with(joined="add"), "the halves are concatenated, not added: as many channels come out as went in."
        ),
        Mutant(_basic_with(reads=False), "the first pointwise step is missing, in front of the depthwise one."),
    ),
    run=run_network,
    compare=compare_networks(),
    errors=UNIT_ERRORS,
)

DOWNSAMPLING_UNIT = Exercise(
    id="05.downsampling_unit",
    title="The unit of stride 2",
    points=20,
    difficulty="medium",
    minutes=20,
    reference=downsampling_unit,
    fixed_cases=((_maps(1, 6, 8, 4), 12), (_maps(1, 5, 6, 8), 16)),
    draw=None,
    hints=(
        "No split: both branches start from x. The right one is that of the other unit, with a stride in its depthwise "
        "step. The left one has no first step.",
        'Left: a frame of zeros, the depthwise step of stride 2 with padding "valid" and no activation, then a '
        "pointwise "
        'step to channels // 2 with "relu".',
        'left = conv_bn(depthwise_bn(layers.ZeroPadding2D(1)(x), 3, 2, None, "valid"), channels // 2, 1, 1, "relu"); '
        "right "
        "the same behind a conv_bn of x; concatenate [left, right], shuffle.",
    ),
    mutants=(
        Mutant(
            _downsampling_with(left_padding="same", padding="same"),
            'with "same", the windows lie otherwise at stride 2: a frame of zeros by layers.ZeroPadding2D(1), then '
            '"valid".',
        ),
        Mutant(_downsampling_with(split=True), "there is no split here: both branches see all channels."),
        Mutant(_downsampling_with(halves=False), "each branch gives *half* of the channels that come out."),
        Mutant(
            _downsampling_with(left_filter=False), "the left branch looks around too: a depthwise step of stride 2."
        ),
        Mutant(
            _downsampling_with(left_act="relu"), "there is an activation behind the left depthwise step: it has none."
        ),
        Mutant(_downsampling_with(look="relu"), "there is an activation behind the right depthwise step: it has none."),
        Mutant(_downsampling_with(left_last=None), "the left pointwise step has its ReLU."),
        Mutant(_downsampling_with(shuffled=False), "the channels are not shuffled in the end."),
        Mutant(_downsampling_with(order=False), "the left branch stands first when the two are joined."),
        Mutant(
            _downsampling_with(early=True),
            "the stride belongs to the depthwise steps: a pointwise one would skip pixels.",
        ),
    ),
    run=run_network,
    compare=compare_networks(),
    errors=UNIT_ERRORS,
)


# 05.shufflenet_v2_features


def shufflenet_v2_features(x, width, repeats):
    """The reference's, with the momentum and epsilon that a learner's layers have."""
    return reference.shufflenet_v2_features(x, width, repeats, norm=blocks.NORM)


def _features_with(
    *, framed=True, stem="relu", pooled="max", pool_framed=True, more=0, stages=None, tap4=True, first="down", shift=1
):
    """The features with one mistake."""

    def features(x, width, repeats):
        channels = stages or reference.WIDTHS[width].stages
        padding = "valid" if framed else "same"
        x = layers.ZeroPadding2D(1)(x) if framed else x
        x = stem_map = blocks.conv_bn(x, 24, 3, 2, activation=stem, padding=padding, name=_new_name())
        pool = {"max": layers.MaxPooling2D, "average": layers.AveragePooling2D}[pooled]
        x = pool(3, 2)(layers.ZeroPadding2D(1)(x)) if pool_framed else pool(3, 2, "same")(x)
        maps = {2 * shift: stem_map, 4 * shift: x}
        if not tap4:
            del maps[4]
        for stage, (count, units) in enumerate(zip(channels, repeats, strict=True)):
            x = downsampling_unit(x, count)
            for _ in range(units - 1 + more):
                x = basic_unit(x)
            maps[8 * shift * 2**stage] = x
        return maps

    return features


def _where_in_the_network(index: int, rows: list) -> str:
    """The stem has two layers with weights, a unit of stride 2 ten, one of stride 1 six; a dense layer has a head."""
    if index < 2:
        return "(the stem)"
    if index >= len(rows) - HEAD_LAYERS and rows[-1].kind == KINDS.index("Dense"):
        return "(in the head)"
    number, at = 0, 2
    while at <= index:
        number += 1
        at += 10 if any(row.stride == 2 for row in rows[at : at + 6]) else 6
    return f"(unit {number})"


SHUFFLENET_V2_FEATURES = Exercise(
    id="05.shufflenet_v2_features",
    title="Three stages and a stem",
    points=20,
    difficulty="hard",
    minutes=25,
    reference=shufflenet_v2_features,
    fixed_cases=((_maps(1, 16, 24, 3), "0.5", (1, 1, 1)), (_maps(1, 18, 16, 3), "1.0", (2, 1, 1))),
    draw=None,
    hints=(
        "A frame of zeros and a convolution; a frame and a maximum; then a loop over three stages. What is the first "
        "unit "
        "of each stage, and what are the others?",
        "`WIDTHS[width].stages` are the channels of the three stages. With a repeat count of 4, a stage has one unit "
        "of "
        "stride 2 and three of stride 1.",
        'x = maps[2] = conv_bn(layers.ZeroPadding2D(1)(x), 24, 3, 2, "relu", "valid"); x = maps[4] = '
        "layers.MaxPooling2D(3, 2)(layers.ZeroPadding2D(1)(x)); then for each stage: downsampling_unit, the other "
        "units, "
        "and maps[8], [16], [32].",
    ),
    mutants=(
        Mutant(_features_with(more=1), "a unit too many in every stage: the one of stride 2 counts among the repeats."),
        Mutant(
            _features_with(framed=False), 'the stem\'s windows lie otherwise: a frame of zeros, then padding "valid".'
        ),
        Mutant(
            _features_with(pool_framed=False), "the pooling's windows lie otherwise: a frame of zeros, then no padding."
        ),
        Mutant(_features_with(stem="relu6"), 'the stem has a plain ReLU, "relu".'),
        Mutant(_features_with(pooled="average"), "behind the stem the maximum is taken, not the mean."),
        Mutant(_features_with(tap4=False), "the map behind the pooling is missing: its stride is 4."),
        Mutant(
            _features_with(stages=(116, 232, 464)), "the stages have the channels of width 1.0, whatever `width` says."
        ),
        Mutant(_features_with(shift=2), "the strides begin with 2: the stem halves the picture once."),
    ),
    run=run_network,
    compare=compare_networks(_where_in_the_network),
    errors=(
        ("KeyError", 'the keys of `WIDTHS` are texts, such as "0.5"; look up WIDTHS[width].stages.'),
        *KERAS_ERRORS,
    ),
)


# 05.shufflenet_v2


def shufflenet_v2(input_shape, width, classes):
    """The reference's, with the momentum and epsilon that a learner's layers have."""
    return _right_network(input_shape, width, classes)


@lru_cache(maxsize=4)
def _picture_and_last_map(input_shape, width):
    """What all mistakes in a head have in common, built once: building takes longer than all else in a check."""
    image = keras.Input(input_shape)
    return image, shufflenet_v2_features(image, width, reference.REPEATS)[32]


def _whole_with(*, conv5=None, head=True, pool="average", activation="softmax", extra=0, act="relu"):
    """The whole network with one mistake, or with none."""

    @lru_cache(maxsize=2)  # or every check would hang another head on the same map
    def network(input_shape, width, classes):
        image, x = _picture_and_last_map(input_shape, width)
        if head:
            x = blocks.conv_bn(x, conv5 or reference.WIDTHS[width].conv5, activation=act, name=_new_name())
        pools = {"average": layers.GlobalAveragePooling2D, "max": layers.GlobalMaxPooling2D, "flat": layers.Flatten}
        x = pools[pool]()(x)
        return keras.Model(image, layers.Dense(classes + extra, activation=activation)(x))

    return network


_right_network = _whole_with()

SHUFFLENET_V2 = Exercise(
    id="05.shufflenet_v2",
    title="The whole ShuffleNetV2",
    points=10,
    difficulty="easy",
    minutes=10,
    reference=shufflenet_v2,
    fixed_cases=(((32, 64, 3), "0.5", 10), ((32, 32, 3), "2.0", 3)),
    draw=None,
    hints=(
        "As lesson 4's: the last map, one more pointwise convolution, the mean over all places, a dense layer.",
        "The convolution has WIDTHS[width].conv5 channels and a plain ReLU.",
        'x = conv_bn(shufflenet_v2_features(image, width, REPEATS)[32], WIDTHS[width].conv5, 1, 1, "relu"); then '
        'layers.GlobalAveragePooling2D()(x) and layers.Dense(classes, activation="softmax")(x).',
    ),
    mutants=(
        Mutant(
            _whole_with(conv5=1024),
            "the last convolution has 2048 channels where the width is 2.0: WIDTHS[width].conv5.",
        ),
        Mutant(_whole_with(head=False), "the last convolution is missing, the table's conv5."),
        Mutant(_whole_with(pool="max"), "that takes the maximum over all places; here it is the mean."),
        Mutant(_whole_with(pool="flat"), "that lines up all places, a weight each; here it is their mean."),
        Mutant(
            _whole_with(activation=None), "the classes come out as logits; what is wanted are probabilities: a softmax."
        ),
        Mutant(_whole_with(extra=1), "there is a class too many."),
        Mutant(_whole_with(act=None), 'the last convolution has its ReLU, "relu", like all the others.'),
    ),
    run=run_network,
    compare=compare_networks(_where_in_the_network),
    errors=(("KeyError", "32 is the key of the last map, and the keys of `WIDTHS` are texts."), *KERAS_ERRORS),
)

EXERCISES = (
    MEMORY_ACCESS_COST,
    CHANNEL_SHUFFLE,
    BASIC_UNIT,
    DOWNSAMPLING_UNIT,
    SHUFFLENET_V2_FEATURES,
    SHUFFLENET_V2,
)
