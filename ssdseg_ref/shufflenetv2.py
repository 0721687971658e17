"""ShuffleNetV2: a light backbone that splits its channels, works on one half, and shuffles the halves.

Source: Ma et al. 2018, "ShuffleNet V2: Practical Guidelines for Efficient CNN Architecture Design", table 5 and figure
3 (c, d); padding and batch normalisation as torchvision has them, so that the published weights would fit.

A step of stride 2 pads one pixel on every side, as PyTorch does. TensorFlow's "same" pads an image of even size at the
bottom and the right alone, which moves all that follows by half a pixel.
"""

from collections.abc import Sequence
from typing import NamedTuple

import keras
import numpy as np
from keras import KerasTensor, layers, ops

from ssdseg_ref.blocks import Norm, conv_bn, depthwise_bn


class Width(NamedTuple):
    """A column of the paper's table 5: the channels that come out of stages 2, 3 and 4, and out of conv5."""

    stages: tuple[int, int, int]
    conv5: int


WIDTHS = {
    "0.5": Width((48, 96, 192), 1024),
    "1.0": Width((116, 232, 464), 1024),
    "1.5": Width((176, 352, 704), 1024),
    "2.0": Width((244, 488, 976), 2048),
}
REPEATS = (4, 8, 4)  # units of stages 2, 3 and 4
STEM_CHANNELS = 24
SHUFFLENET_NORM = Norm(momentum=0.9, epsilon=1e-5)


def channel_shuffle(x: KerasTensor, groups: int = 2) -> KerasTensor:
    """Deal the channels out like cards, so that each group of them gets some of every other.

    Channels [a1 a2 a3 | b1 b2 b3] become [a1 b1 a2 b2 a3 b3].

    Args:
        x: (..., C) array, tensor or Keras tensor.
        groups: number of groups, which divides C.

    Returns:
        (..., C) tensor.

    Raises:
        ValueError: if the channels cannot be dealt out evenly.
    """
    *leading, channels = x.shape
    if groups < 1 or channels % groups:
        raise ValueError(f"{channels} channels cannot be dealt into {groups} groups of one size")
    if leading.count(None) > 1:  # no reshape with two unknown sides; a gather gives the same, only slower
        order = np.arange(channels).reshape(groups, -1).T.ravel()
        return ops.take(x, order.tolist(), axis=-1)
    leading = [-1 if side is None else side for side in leading]
    x = ops.reshape(x, (*leading, groups, channels // groups))
    x = ops.swapaxes(x, -1, -2)
    return ops.reshape(x, (*leading, channels))


def basic_unit(x: KerasTensor, *, name: str, norm: Norm = SHUFFLENET_NORM) -> KerasTensor:
    """Unit of stride 1: the left half of the channels passes, the right half is worked on.

    Args:
        x: (B, H, W, C), C even.
        name: prefix of the layers' names.
        norm: momentum and epsilon of the batch normalisations.

    Returns:
        (B, H, W, C).

    Source: figure 3 (c).
    """
    left, right = ops.split(x, 2, axis=-1)
    right = _right_branch(right, right.shape[-1], 1, name, norm)
    return channel_shuffle(layers.Concatenate(name=f"{name}_concat")([left, right]))


def downsampling_unit(x: KerasTensor, channels: int, *, name: str, norm: Norm = SHUFFLENET_NORM) -> KerasTensor:
    """Unit of stride 2: no split, both branches see all channels, each gives half of those that come out.

    Args:
        x: (B, H, W, C).
        channels: channels that come out, even.
        name: prefix of the layers' names.
        norm: momentum and epsilon of the batch normalisations.

    Returns:
        (B, ceil(H / 2), ceil(W / 2), channels).

    Source: figure 3 (d).
    """
    left = _depthwise(x, 2, f"{name}_left_filter", norm)
    left = conv_bn(left, channels // 2, name=f"{name}_left_project", activation="relu", norm=norm)
    right = _right_branch(x, channels // 2, 2, name, norm)
    return channel_shuffle(layers.Concatenate(name=f"{name}_concat")([left, right]))


def shufflenet_v2_features(
    x: KerasTensor, width: str = "1.0", repeats: Sequence[int] = REPEATS, norm: Norm = SHUFFLENET_NORM
) -> dict[int, KerasTensor]:
    """The feature maps of ShuffleNetV2, before its last convolution.

    Args:
        x: (B, H, W, 3) images.
        width: a key of `WIDTHS`.
        repeats: units of stages 2, 3 and 4.
        norm: momentum and epsilon of the batch normalisations.

    Returns:
        {2: conv1, 4: max pooling, 8: stage 2, 16: stage 3, 32: stage 4}, each (B, ceil(H / stride), ceil(W / stride),
        channels); with width "1.0" these have 24, 24, 116, 232 and 464 channels.

    Raises:
        ValueError: if the width is none of the published ones.
    """
    if width not in WIDTHS:
        raise ValueError(f"width must be one of {', '.join(map(repr, WIDTHS))}, got {width!r}")
    x = layers.ZeroPadding2D(1, name="stem_pad")(x)
    x = conv_bn(x, STEM_CHANNELS, 3, 2, name="stem", activation="relu", padding="valid", norm=norm)
    taps = {2: x}
    x = layers.ZeroPadding2D(1, name="pool_pad")(x)  # zeros never win, nothing behind a ReLU is below them
    x = taps[4] = layers.MaxPooling2D(3, 2, name="pool")(x)
    for stage, (channels, units) in enumerate(zip(WIDTHS[width].stages, repeats, strict=True), start=2):
        x = downsampling_unit(x, channels, name=f"stage{stage}_unit1", norm=norm)
        for repeat in range(2, units + 1):
            x = basic_unit(x, name=f"stage{stage}_unit{repeat}", norm=norm)
        taps[2 ** (stage + 1)] = x
    return taps


def shufflenet_v2(
    input_shape: tuple[int | None, int | None, int],
    width: str = "1.0",
    include_top: bool = True,
    classes: int = 1000,
) -> keras.Model:
    """The whole network.

    Args:
        input_shape: (height, width, channels) of the images.
        width: "0.5", "1.0", "1.5" or "2.0": the published networks, named by how wide they are.
        include_top: whether the classifier stands on top.
        classes: of the classifier.

    Returns:
        A model from (B, H, W, channels) to (B, classes) probabilities, or without top to (B, ceil(H / 32),
        ceil(W / 32), 1024) features; 2048 of them where the width is "2.0".

    Raises:
        ValueError: if an argument is out of range.
    """
    if len(input_shape) != 3:
        raise ValueError(f"input_shape must be (height, width, channels), got {tuple(input_shape)}")
    inputs = keras.Input(input_shape, name="image")
    x = shufflenet_v2_features(inputs, width)[32]
    x = conv_bn(x, WIDTHS[width].conv5, name="head", activation="relu", norm=SHUFFLENET_NORM)
    if include_top:
        x = layers.GlobalAveragePooling2D(name="global_pool")(x)
        x = layers.Dense(classes, activation="softmax", name="predictions")(x)
    return keras.Model(inputs, x, name="shufflenet_v2")


def _right_branch(x: KerasTensor, channels: int, stride: int, name: str, norm: Norm) -> KerasTensor:
    x = conv_bn(x, channels, name=f"{name}_expand", activation="relu", norm=norm)
    x = _depthwise(x, stride, f"{name}_filter", norm)
    return conv_bn(x, channels, name=f"{name}_project", activation="relu", norm=norm)


def _depthwise(x: KerasTensor, stride: int, name: str, norm: Norm) -> KerasTensor:
    x = layers.ZeroPadding2D(1, name=f"{name}_pad")(x)
    return depthwise_bn(x, stride=stride, name=name, activation=None, padding="valid", norm=norm)
