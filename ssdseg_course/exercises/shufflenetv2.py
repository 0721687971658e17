"""The exercises of lesson 5: ShuffleNetV2, from the cost of fetching numbers to the whole network."""

from functools import lru_cache

import numpy as np

from ssdseg_course.checking.compare import Complaint
from ssdseg_course.checking.exercise import Arguments, Exercise, Mutant
from ssdseg_course.checking.home import new_name
from ssdseg_course.checking.networks import Network, compare_networks, run_network
from ssdseg_course.checking.values import Plain
from ssdseg_course.exercises.shared import KERAS_ERRORS, maps_of_seed, place_in_network
from ssdseg_course.lazy import LazyModule

keras = LazyModule("keras")
layers = LazyModule("keras.layers")
ops = LazyModule("keras.ops")
blocks = LazyModule("ssdseg_ref.blocks")
reference = LazyModule("ssdseg_ref.shufflenetv2")

_maps = maps_of_seed(5)


RESHAPE = (
    "a reshape keeps the number of numbers: do the sides of its shape multiply to height * width * channels, with -1 "
    "for the pictures?"
)

# 05.memory_access_cost


def memory_access_cost(height, width, in_channels, out_channels):
    """Numbers that a pointwise convolution reads and writes: its input, its output and its kernel.

    Source: Ma et al. 2018, "ShuffleNet V2", section 2, guideline G1.
    """
    return height * width * (in_channels + out_channels) + in_channels * out_channels


def _draw_sizes(rng: np.random.Generator) -> Arguments:
    height, width, in_channels, out_channels = rng.choice(np.arange(2, 40), 4, replace=False).tolist()
    return height, width, in_channels, out_channels


MEMORY_ACCESS_COST = Exercise(
    id="05.memory_access_cost",
    title="What has to be fetched",
    points=10,
    difficulty="easy",
    minutes=10,
    reference=memory_access_cost,
    fixed_cases=((1, 1, 2, 3), (5, 3, 12, 4), (10, 14, 64, 64), (10, 14, 16, 256)),
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
            lambda h, w, c, d: h * w * c * d + h * w * (c + d) + c * d,
            "the multiply-adds are in it: what is computed passes nowhere, only what is read and written does.",
        ),
        Mutant(
            lambda h, w, c, d: h * w * (c + d), "the weights have to be fetched too, one for each pair of channels."
        ),
        Mutant(lambda h, w, c, d: h * w * c + c * d, "what comes out has to be written to memory as well."),
        Mutant(lambda h, w, c, d: h * w * d + c * d, "what goes in has to be read as well."),
        Mutant(
            lambda h, w, c, d: 2 * h * w * c + c * d, "what comes out has its own number of channels, `out_channels`."
        ),
        Mutant(lambda h, w, c, d: 2 * h * w * d + c * d, "what goes in has its own number of channels, `in_channels`."),
        Mutant(
            lambda h, w, c, d: h * w * max(c, d) + c * d, "both maps pass, what goes in and what comes out, not one."
        ),
        Mutant(
            lambda h, w, c, d: h * w * c * d + c * d,
            "the map that comes in has `in_channels`, the one that goes out `out_channels`: two maps, not a product.",
        ),
        Mutant(
            lambda h, w, c, d: h * w * (c + d + c * d),
            "the weights are fetched once, not again for every place of the map.",
        ),
        Mutant(
            lambda h, w, c, d: h * w * (c * d + d) + c * d,
            "what goes in is read once, not again for every channel that comes out.",
        ),
        Mutant(lambda h, w, c, d: (h + w) * (c + d) + c * d, "a map has height *times* width places."),
        Mutant(lambda h, w, c, d: h * w * (c + d) + c + d, "a kernel has a weight for each *pair* of channels."),
        Mutant(
            lambda h, w, c, d: h * w * (c + d) + 9 * c * d,
            "a pointwise kernel is 1 × 1: one weight for each pair of channels, not nine.",
        ),
        Mutant(
            lambda h, w, c, d: h * w * (c + d) + c * d + d, "there is no bias here, so no weights but the kernel's."
        ),
        Mutant(
            lambda h, w, c, d: 4 * (h * w * (c + d) + c * d), "those are bytes, four a number; asked are the numbers."
        ),
        Mutant(
            lambda h, w, c, d: 2 * (h * w * c * d) ** 0.5 + c * d,
            "that is the least that any two numbers of channels could have; asked is what these two have.",
        ),
    ),
)


# 05.channel_shuffle


def _reordered(order_of):
    """A shuffle that takes the channels in another order."""

    def shuffle(x, groups):
        order = order_of(x.shape[-1], groups)
        return ops.take(x, list(map(int, order)), axis=-1)

    return shuffle


def _reshaped(*first, swap, then=lambda h, w, c, g: (h, w, c)):
    """A reshape, a swap and another reshape, by other shapes or axes; each side is "h", "w", "g" or "c/g"."""

    def shuffle(x, groups):
        _, height, width, channels = x.shape
        sides = {"h": height, "w": width, "g": groups, "c/g": channels // groups}
        x = ops.reshape(x, (-1, *(sides[side] for side in first)))
        x = ops.swapaxes(x, *swap) if swap else x
        shape = then(height, width, channels, groups)
        return ops.reshape(x, (-1, *shape)) if shape else x

    return shuffle


def _compare_shuffled(value: Plain, expected: Plain) -> Complaint | None:
    """As any tensor that comes back; where the right channels stand in other places, with one that does."""
    complaint: Complaint | None = compare_networks()(value, expected)
    if complaint is None or not isinstance(value, tuple) or len(value) != len(Network._fields):
        return complaint
    if len(Network(*value).layers):
        return Complaint(("a shuffle has no weights, and yours has a layer that has some",), kind="layers")
    yours, right = Network(*value).outputs, Network(*expected).outputs
    if not isinstance(yours, np.ndarray) or isinstance(right, tuple):
        return Complaint(("it should return one tensor, and returned several things",), kind="shape")
    if yours.shape != right.shape:
        return Complaint(
            (f"it should return a tensor of shape {right.shape}, and yours has {yours.shape}",), kind="shape"
        )
    places = [_place_of(yours[..., channel], right) for channel in range(right.shape[-1])]
    if sorted(places) == list(range(len(places))):
        wrong = next(channel for channel, place in enumerate(places) if place != channel)
        return Complaint(
            (
                "all channels are there, but in another order",
                f"yours has in place {wrong} the channel that belongs in place {places[wrong]}; as it should be: "
                f"{', '.join(map(str, range(len(places))))}, and yours: {', '.join(map(str, places))}",
            ),
            kind="order",
        )
    lost = next((channel for channel, place in enumerate(places) if place < 0), None)
    if lost is None:
        twice = next(place for place in places if places.count(place) > 1)
        return Complaint((f"the channel that belongs in place {twice} is there more than once",), kind="twice")
    return Complaint(
        (f"the shape is right, but place {lost} of yours holds no whole channel of x: it is mixed from several",),
        "only the last axis may be taken apart: height and width stay as they are.",
        kind="mixed",
    )


def _place_of(channel: np.ndarray, right: np.ndarray) -> int:
    """Where a channel belongs, -1 for one that is none of those."""
    return next((place for place in range(right.shape[-1]) if np.allclose(channel, right[..., place])), -1)


CHANNEL_SHUFFLE = Exercise(
    id="05.channel_shuffle",
    title="Dealing out the channels",
    points=15,
    difficulty="easy",
    minutes=15,
    home="shufflenetv2.channel_shuffle",
    piece=True,
    fixed_cases=(
        (_maps(1, 1, 2, 6), 2),  # small enough to be read
        (_maps(2, 3, 4, 6), 2),
        (_maps(1, 2, 5, 12), 3),
        (_maps(2, 4, 3, 8), 4),
        (_maps(1, 3, 2, 10), 2),
        (_maps(1, 3, 4, 3), 1),
    ),
    draw=None,
    hints=(
        "Write the numbers of six channels in two rows of three, one row a group. In which order do you have to read "
        "them?",
        "Column by column: so reshape the last axis into (groups, channels of a group), swap these two axes, and "
        "reshape back.",
        "x = ops.reshape(x, (-1, height, width, groups, channels // groups)); x = ops.swapaxes(x, -1, -2); and "
        "ops.reshape back to (-1, height, width, channels).",
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
            _reordered(lambda c, g: np.arange(c).reshape(-1, 2).T.ravel() if c % 2 == 0 else np.arange(c)),
            "first come the even places, then the odd ones; dealt out, each group gives one channel in turns.",
        ),
        Mutant(
            _reordered(lambda c, g: np.arange(c)[::-1]), "that turns the channels round: the last has become the first."
        ),
        Mutant(
            _reordered(lambda c, g: np.roll(np.arange(c), c // g)),
            "whole groups have moved. Dealt like cards: one from each group in turns.",
        ),
        Mutant(
            _reordered(lambda c, g: np.arange(c).reshape(g, -1)[::-1].ravel()),
            "the groups stand in the opposite order, each as it was. Dealt like cards: one from each group in turns.",
        ),
        Mutant(
            _reordered(lambda c, g: np.arange(c).reshape(g, -1)[::-1].T.ravel()),
            "it begins with the last group: the first channel of the first group stays the first.",
        ),
        Mutant(
            _reordered(lambda c, g: np.arange(c).reshape(g, -1)[:, ::-1].T.ravel()),
            "each group gives its last channel first: the first one of each group comes first.",
        ),
        Mutant(
            _reordered(lambda c, g: np.arange(c).reshape(2, -1).T.ravel() if c % 2 == 0 else np.arange(c)),
            "it always deals two groups: take as many as `groups` says.",
        ),
        Mutant(
            lambda x, groups: reference.channel_shuffle(reference.channel_shuffle(x, groups), groups),
            "that deals the channels out twice.",
        ),
        Mutant(
            lambda x, groups: ops.flip(reference.channel_shuffle(x, groups), axis=1),
            "the channels are right, but the places are turned over: only the last axis may change.",
        ),
        Mutant(
            _reshaped("h", "w", "g", "c/g", swap=(-1, -2), then=lambda h, w, c, g: None),
            "the last reshape is missing, which makes one axis of the channels again.",
        ),
        Mutant(
            _reshaped("h", "w", "g", "c/g", swap=None, then=lambda h, w, c, g: None),
            "the channels are in groups now; the swap of these two axes is missing, and the reshape back.",
        ),
        Mutant(
            _reshaped("g", "c/g", "h", "w", swap=(1, 2)),
            "that is PyTorch's order, with the channels in front: here they are the last axis, (B, H, W, C).",
        ),
        Mutant(
            _reshaped("h", "w", "g", "c/g", swap=(2, 3)),
            "the groups have changed places with the width: swap the *last two* axes, -1 and -2.",
        ),
        Mutant(
            _reshaped("h", "w", "g", "c/g", swap=(1, 2)),
            "height and width have changed places: swap the *last two* axes, -1 and -2.",
        ),
    ),
    run=run_network,
    compare=_compare_shuffled,
    errors=(
        (
            "NoneType",
            "the first side is None, as many pictures as will come: in a reshape, -1 stands for it, and stands there "
            "alone.",
        ),
        (("cannot reshape", "size of the tensor", "total size"), RESHAPE),
        ("'float' object", "`//` divides whole numbers; `/` gives a float, which no shape takes."),
        ("Tshape", "a shape is made of whole numbers: `//` divides whole numbers, `/` gives a float."),
        *KERAS_ERRORS,
    ),
)


# 05.basic_unit and 05.downsampling_unit


def _look(x, stride, activation, padding):
    if padding == "valid":
        x = layers.ZeroPadding2D(1)(x)
    return blocks.depthwise_bn(x, stride=stride, activation=activation, padding=padding, name=new_name())


def _branch(
    x, channels, stride, *, act="relu", look=None, last="relu", padding="valid", early=False, reads=True, writes=True,
    framed_first=False, plain=False,
):  # fmt: skip
    """The branch that works, with the activations of its three steps: `act`, `look`, `last`."""
    x = layers.ZeroPadding2D(1)(x) if framed_first else x
    if reads:
        x = blocks.conv_bn(x, channels, 1, stride if early else 1, activation=act, name=new_name())
    stride = 1 if early else stride
    if framed_first:
        x = blocks.depthwise_bn(x, stride=stride, activation=look, padding="valid", name=new_name())
    elif plain:
        x = blocks.conv_bn(
            layers.ZeroPadding2D(1)(x), channels, 3, stride, activation=look, padding="valid", name=new_name()
        )
    else:
        x = _look(x, stride, look, padding)
    return blocks.conv_bn(x, channels, activation=last, name=new_name()) if writes else x


def _basic_with(
    *, split="halves", worked="right", order="left first", joined="concat",
    deal=lambda y: reference.channel_shuffle(y, 2), dealt_first=False, **branch,
):  # fmt: skip
    """A unit of stride 1 with one mistake."""

    def unit(x):
        x = reference.channel_shuffle(x, 2) if dealt_first else x
        half = x.shape[-1] // 2
        left, right = ops.split(x, 2, axis=-1)
        if split == "none":
            left, right = x, x
        elif split == "left alone":
            right = x
        elif split == "even and odd":
            left, right = x[..., ::2], x[..., 1::2]
        if worked == "left":
            left, right = right, left
        right = _branch(right, x.shape[-1] if split == "none" else half, 1, **branch)
        if joined == "right alone":
            return right
        if joined == "add":
            y = layers.Add()([left, right])
        else:
            y = layers.Concatenate()([left, right] if (order == "left first") == (worked == "right") else [right, left])
        y = layers.Add()([x, y]) if joined == "concat, add x" else y
        return deal(y)

    return unit


def _downsampling_with(
    *, left_filter="depthwise", left_mixes_first=False, left_act=None, left_last="relu", joined="left first",
    shuffled=True, split=False, halves=True, left_padding="valid", **branch,
):  # fmt: skip
    """A unit of stride 2 with one mistake."""

    def unit(x, channels):
        half = channels // 2 if halves else channels
        left, right = ops.split(x, 2, axis=-1) if split else (x, x)
        if left_mixes_first:
            left = blocks.conv_bn(left, half, activation="relu", name=new_name())
        if left_filter == "depthwise":
            left = _look(left, 2, left_act, left_padding)
        elif left_filter == "mean":
            left = layers.AveragePooling2D(3, 2, "same")(left)
        elif left_filter == "maximum":
            left = layers.MaxPooling2D(3, 2, "same")(left)
        elif left_filter == "stride":
            left = blocks.conv_bn(left, half, 1, 2, activation=left_last, name=new_name())
        if left_filter != "stride":
            left = blocks.conv_bn(left, half, activation=left_last, name=new_name())
        right = _branch(right, half, 2, **branch)
        if joined == "add":
            return reference.channel_shuffle(layers.Add()([left, right]), 2)
        y = layers.Concatenate()([left, right] if joined == "left first" else [right, left])
        return reference.channel_shuffle(y, 2) if shuffled else y

    return unit


UNIT_ERRORS = (
    (
        "too many positional arguments",
        "a layer is applied to one thing, so `layers.Concatenate()` takes one list, `([left, right])`.",
    ),
    (
        "`Concatenate` layer requires inputs with matching shapes",
        "the two branches differ in more than their channels, and only maps of one size can be joined: which of them "
        "has no frame of zeros, two frames, or another stride?",
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
    home="shufflenetv2.basic_unit",
    arguments=("x",),
    piece=True,
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
        Mutant(_basic_with(deal=lambda y: y), "the channels are not shuffled: the left half would never be worked on."),
        Mutant(_basic_with(order="right first"), "the untouched half stands first when the two are joined."),
        Mutant(_basic_with(worked="left"), "the left half passes as it is; the right one is worked on."),
        Mutant(_basic_with(split="none"), "both branches see all channels: split them first, each has a half."),
        Mutant(
            _basic_with(split="left alone"),
            "the branch that works sees all channels; of the two halves it has the right one alone.",
        ),
        Mutant(
            _basic_with(split="even and odd"), "every other channel is worked on; it is the whole right half, as split."
        ),
        Mutant(_basic_with(look="relu"), "there is an activation behind the depthwise step: here it has none."),
        Mutant(_basic_with(look="relu6"), "there is a ReLU6 behind the depthwise step: here it has no activation."),
        Mutant(
            _basic_with(last=None),
            "the second pointwise step has its ReLU too: nothing is added here, so nothing is linear.",
        ),
        Mutant(
            _basic_with(act="relu6", last="relu6"), 'ShuffleNetV2 has plain ReLUs, "relu", not ReLU6, in both places.'
        ),
        Mutant(
            _basic_with(act="relu6", look="relu6", last="relu6"),
            "those are MobileNetV2's activations: here it is a plain ReLU, and none behind the depthwise step.",
        ),
        Mutant(
            _basic_with(joined="add"), "the halves are concatenated, not added: as many channels come out as went in."
        ),
        Mutant(
            _basic_with(joined="concat, add x"),
            "x is added in the end: here nothing is, the left half carries on what came in.",
        ),
        Mutant(_basic_with(joined="right alone"), "the left half is missing in what comes back: concatenate the two."),
        Mutant(
            _basic_with(deal=lambda y: reference.channel_shuffle(y, y.shape[-1] // 2)),
            "that deals out as many groups as a half has channels; there are two groups, left and right.",
        ),
        Mutant(
            _basic_with(deal=lambda y: y, dealt_first=True),
            "the shuffle comes at the end, behind the concatenation, not before the split.",
        ),
        Mutant(_basic_with(reads=False), "the first pointwise step is missing, in front of the depthwise one."),
        Mutant(_basic_with(writes=False), "the second pointwise step is missing, behind the depthwise one."),
        Mutant(
            _basic_with(framed_first=True),
            "the frame of zeros goes directly around what the depthwise step sees: a pointwise step makes of zeros "
            "what its bias, in the normalisation, says.",
        ),
        Mutant(_basic_with(plain=True), "the step in the middle is depthwise, each channel by itself: `depthwise_bn`."),
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
    home="shufflenetv2.downsampling_unit",
    arguments=("x", "channels"),
    piece=True,
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
        Mutant(
            _downsampling_with(left_padding="same"), 'the left branch has "same" in the place of a frame and "valid".'
        ),
        Mutant(_downsampling_with(padding="same"), 'the right branch has "same" in the place of a frame and "valid".'),
        Mutant(_downsampling_with(split=True), "there is no split here: both branches see all channels."),
        Mutant(_downsampling_with(halves=False), "each branch gives *half* of the channels that come out."),
        Mutant(
            _downsampling_with(left_filter="mean"),
            "the left branch takes a mean; it looks around by a depthwise step of stride 2.",
        ),
        Mutant(
            _downsampling_with(left_filter="maximum"),
            "the left branch takes a maximum; it looks around by a depthwise step of stride 2.",
        ),
        Mutant(
            _downsampling_with(left_filter="stride"),
            "the left branch only skips places; it looks around, too, by a depthwise step of stride 2.",
        ),
        Mutant(
            _downsampling_with(left_mixes_first=True),
            "the left branch begins with its depthwise step; only the right one has a pointwise step before.",
        ),
        Mutant(
            _downsampling_with(left_act="relu", look="relu"),
            "there is an activation behind the depthwise steps: neither of them has one.",
        ),
        Mutant(
            _downsampling_with(left_act="relu"), "there is an activation behind the left depthwise step: it has none."
        ),
        Mutant(_downsampling_with(look="relu"), "there is an activation behind the right depthwise step: it has none."),
        Mutant(_downsampling_with(left_last=None), "the left pointwise step has its ReLU."),
        Mutant(_downsampling_with(last=None), "the last pointwise step of the right branch has its ReLU."),
        Mutant(
            _downsampling_with(left_last="relu6", act="relu6", last="relu6"),
            'all pointwise steps have plain ReLUs, "relu", not ReLU6.',
        ),
        Mutant(
            _downsampling_with(left_act="relu6", left_last="relu6", act="relu6", look="relu6", last="relu6"),
            "those are MobileNetV2's activations: here it is a plain ReLU, and none behind the depthwise steps.",
        ),
        Mutant(_downsampling_with(shuffled=False), "the channels are not shuffled in the end."),
        Mutant(_downsampling_with(joined="right first"), "the left branch stands first when the two are joined."),
        Mutant(
            _downsampling_with(joined="add", halves=False),
            "the branches are added, each with all channels; each gives half of them, and they are concatenated.",
        ),
        Mutant(
            _downsampling_with(joined="add"), "the branches are added: concatenated, two halves make all the channels."
        ),
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


def _features_with(
    *, framed=True, stem="relu", pool=lambda x: layers.MaxPooling2D(3, 2)(layers.ZeroPadding2D(1)(x)), missing=(),
    stages=None, units=lambda repeats: repeats, first="down", tapped="last", strides=(2, 4, 8, 16, 32),
):  # fmt: skip
    """The features with one mistake."""

    def features(x, width, repeats):
        x = layers.ZeroPadding2D(1)(x) if framed else x
        padding = "valid" if framed else "same"
        stem_map = blocks.conv_bn(x, 24, 3, 2, activation=stem, padding=padding, name=new_name())
        x = pool(stem_map)
        maps = [stem_map, x]
        for channels, count in zip(stages or reference.WIDTHS[width].stages, units(repeats), strict=True):
            if first == "basic":  # of 24, 48, ... channels: all of them even
                for _ in range(count - 1):
                    x = BASIC_UNIT.reference(x)
            x = tap = DOWNSAMPLING_UNIT.reference(x, channels)
            if first == "down":
                for _ in range(count - 1):
                    x = BASIC_UNIT.reference(x)
            maps.append(x if tapped == "last" else tap)
        return {stride: tap for stride, tap in zip(strides, maps, strict=True) if stride not in missing}

    return features


def _pool_same(x):
    return layers.MaxPooling2D(3, 2, "same")(x)


# A unit of stride 2 has ten layers with weights, one of stride 1 six.
_where_in_the_network = place_in_network(
    "unit", lambda layers: 10 if any(layer.stride == 2 for layer in layers[:6]) else 6
)

SHUFFLENET_V2_FEATURES = Exercise(
    id="05.shufflenet_v2_features",
    title="Three stages and a stem",
    points=20,
    difficulty="hard",
    minutes=25,
    home="shufflenetv2.shufflenet_v2_features",
    arguments=("x", "width", "repeats"),
    piece=True,
    fixed_cases=((_maps(1, 16, 24, 3), "0.5", (1, 1, 1)), (_maps(1, 18, 16, 3), "1.0", (3, 1, 1))),
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
        Mutant(
            _features_with(units=lambda repeats: [count + 1 for count in repeats]),
            "a unit too many in every stage: the one of stride 2 counts among the repeats.",
        ),
        Mutant(
            _features_with(units=lambda repeats: 3 * repeats[:1]),
            "every stage has as many units as the first one: each has its own number, in their order.",
        ),
        Mutant(
            _features_with(framed=False), 'the stem\'s windows lie otherwise: a frame of zeros, then padding "valid".'
        ),
        Mutant(
            _features_with(pool=_pool_same), "the pooling's windows lie otherwise: a frame of zeros, then no padding."
        ),
        Mutant(
            _features_with(framed=False, pool=_pool_same),
            'stem and pooling have "same" in the place of a frame of zeros and "valid": at stride 2 their windows lie '
            "otherwise.",
        ),
        Mutant(
            _features_with(pool=lambda x: layers.MaxPooling2D(2)(x)),
            "the windows of the pooling are 3 × 3, with a frame of zeros around; yours are 2 × 2.",
        ),
        Mutant(
            _features_with(pool=lambda x: layers.AveragePooling2D(3, 2)(layers.ZeroPadding2D(1)(x))),
            "behind the stem the maximum is taken, not the mean.",
        ),
        Mutant(_features_with(stem="relu6"), 'the stem has a plain ReLU, "relu", not ReLU6.'),
        Mutant(_features_with(missing=(4,)), "the map behind the pooling is missing: its stride is 4."),
        Mutant(
            _features_with(missing=(2, 4)), "the maps behind the stem and the pooling are missing: their keys are 2, 4."
        ),
        Mutant(
            _features_with(stages=(116, 232, 464)), "the stages have the channels of width 1.0, whatever `width` says."
        ),
        Mutant(
            _features_with(first="basic"),
            "the unit of stride 2 comes last in each stage: it comes first, and those of stride 1 follow.",
        ),
        Mutant(
            _features_with(tapped="first"),
            "each map is taken behind the unit of stride 2; it is what the *last* unit of the stage gives.",
        ),
        Mutant(
            _features_with(strides=(4, 8, 16, 32, 64)), "the strides begin with 2: the stem halves the picture once."
        ),
        Mutant(
            _features_with(strides=(1, 2, 4, 8, 16)), "the stem's map has stride 2 already: it has half of the rows."
        ),
    ),
    run=run_network,
    compare=compare_networks(_where_in_the_network),
    errors=(
        ("KeyError: 0.5", 'the keys of `WIDTHS` are texts, such as "0.5"; look up WIDTHS[width].stages.'),
        ("KeyError: 1.0", 'the keys of `WIDTHS` are texts, such as "1.0"; look up WIDTHS[width].stages.'),
        ("tuple indices must be integers", "`WIDTHS[width]` has its channels under a name: `WIDTHS[width].stages`."),
        *KERAS_ERRORS,
    ),
)


# 05.shufflenet_v2


def shufflenet_v2(input_shape, width, classes):
    """The reference's, with the momentum and epsilon that a learner's layers have."""
    return _right_network(input_shape, width, classes)


@lru_cache(maxsize=4)
def _picture_and_maps(input_shape, width):
    """What all mistakes in a head have in common, built once: building takes longer than all else in a check."""
    image = keras.Input(input_shape)
    return image, SHUFFLENET_V2_FEATURES.reference(image, width, reference.REPEATS)


def _whole_with(*, conv5=None, head=True, pool="average", activation="softmax", count=None, act="relu", last=32):
    """The whole network with one mistake, or with none."""

    @lru_cache(maxsize=2)  # or every check would hang another head on the same map
    def network(input_shape, width, classes):
        image, maps = _picture_and_maps(input_shape, width)
        x = maps[last]
        channels = conv5 or reference.WIDTHS[width].conv5
        pools = {"average": layers.GlobalAveragePooling2D, "max": layers.GlobalMaxPooling2D}
        if head:
            x = blocks.conv_bn(x, channels, activation=act, name=new_name())
        x = pools[pool]()(x)
        return keras.Model(image, layers.Dense(count or classes, activation=activation)(x))

    return network


_right_network = _whole_with()

SHUFFLENET_V2 = Exercise(
    id="05.shufflenet_v2",
    title="The whole ShuffleNetV2",
    points=10,
    difficulty="easy",
    minutes=10,
    home="shufflenetv2.shufflenet_v2",
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
        Mutant(_whole_with(act="relu6"), 'the last convolution has a plain ReLU, "relu", not ReLU6.'),
        Mutant(
            _whole_with(last=16), "that stands on the map of stride 16: it is the last one, 32, that the head sees."
        ),
        Mutant(_whole_with(pool="max"), "that takes the maximum over all places; here it is the mean."),
        Mutant(_whole_with(activation=None), "the classes come out as logits; probabilities are wanted: a softmax."),
        Mutant(
            _whole_with(activation="sigmoid"),
            "that asks yes or no for each class alone (a sigmoid); a softmax makes probabilities that add up to 1.",
        ),
        Mutant(_whole_with(count=1000), "there are always 1000 classes; take as many as `classes` says."),
    ),
    run=run_network,
    compare=compare_networks(_where_in_the_network),
    errors=(
        ("KeyError: 0.5", 'the keys of `WIDTHS` are texts, such as "0.5".'),
        ("KeyError: 2.0", 'the keys of `WIDTHS` are texts, such as "2.0".'),
        ("KeyError", "the keys of the maps are their strides, 32 the last one; those of `WIDTHS` are texts."),
        *KERAS_ERRORS,
    ),
)

ALLOWED = ("shufflenetv2.WIDTHS", "shufflenetv2.REPEATS")
EXERCISES = (
    MEMORY_ACCESS_COST,
    CHANNEL_SHUFFLE,
    BASIC_UNIT,
    DOWNSAMPLING_UNIT,
    SHUFFLENET_V2_FEATURES,
    SHUFFLENET_V2,
)
