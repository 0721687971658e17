"""MobileNetV2: a light backbone of inverted residuals with linear bottlenecks.

Source: Sandler et al. 2018, "MobileNetV2: Inverted Residuals and Linear Bottlenecks", table 2; layer by layer as
keras.applications builds it, so that its published weights fit.

All networks here take images scaled to [-1, 1]; the caller scales them.
"""

from collections.abc import Sequence
from typing import NamedTuple

import keras
import numpy as np
from keras import KerasTensor, layers

from ssdseg_ref.blocks import Norm, conv_bn, depthwise_bn, make_divisible


class Stage(NamedTuple):
    """A row of the paper's table 2: `repeats` bottlenecks, of which the first has the stride."""

    expansion: int  # t
    channels: int  # c
    repeats: int  # n
    stride: int  # s


STEM_CHANNELS = 32
STAGES = (
    Stage(1, 16, 1, 1),
    Stage(6, 24, 2, 2),
    Stage(6, 32, 3, 2),
    Stage(6, 64, 4, 2),
    Stage(6, 96, 3, 1),
    Stage(6, 160, 3, 2),
    Stage(6, 320, 1, 1),
)
HEAD_CHANNELS = 1280
MOBILENET_NORM = Norm(momentum=0.999, epsilon=1e-3)

PUBLISHED_ALPHAS = (0.35, 0.5, 0.75, 1.0, 1.3, 1.4)
PUBLISHED_SIZES = (96, 128, 160, 192, 224)


def bottleneck(
    x: KerasTensor, channels: int, stride: int = 1, expansion: int = 6, *, name: str, norm: Norm = MOBILENET_NORM
) -> tuple[KerasTensor, KerasTensor]:
    """Inverted residual: expand to many channels, filter each of them, project to few, linearly.

    Where the shape stays the same, the input is added to the output. An expansion of 1 leaves the first step out.

    Args:
        x: (B, H, W, C).
        channels: channels that come out.
        stride: of the depthwise convolution.
        expansion: how many times C the inner channels are.
        name: prefix of the layers' names.
        norm: momentum and epsilon of the batch normalisations.

    Returns:
        the output (B, ceil(H / stride), ceil(W / stride), channels), and the expansion (B, H, W, expansion * C) that
        it was made from, to which SSDLite can be attached.

    Source: figure 4 (d) and table 1.
    """
    expanded = x if expansion == 1 else conv_bn(x, expansion * x.shape[-1], name=f"{name}_expand", norm=norm)
    y = depthwise_bn(expanded, stride=stride, name=f"{name}_filter", norm=norm)
    y = conv_bn(y, channels, name=f"{name}_project", activation=None, norm=norm)
    if stride == 1 and x.shape[-1] == channels:
        y = layers.Add(name=f"{name}_add")([x, y])
    return y, expanded


def mobilenet_v2_features(
    x: KerasTensor,
    alpha: float = 1.0,
    stages: Sequence[tuple[int, int, int, int]] = STAGES,
    norm: Norm = MOBILENET_NORM,
) -> dict[int, KerasTensor]:
    """The feature maps of MobileNetV2, before its last convolution.

    Args:
        x: (B, H, W, 3) images in [-1, 1].
        alpha: width multiplier of all channels.
        stages: rows of the paper's table 2, each (expansion, channels, repeats, stride).
        norm: momentum and epsilon of the batch normalisations. The default suits long training: a momentum of 0.999
            needs some thousand steps until the moving averages are worth anything.

    Returns:
        {2: ..., 4: ..., 8: ..., 16: ..., 32: ...}, each (B, ceil(H / stride), ceil(W / stride), channels). The map of
        stride 32 is the output of the last bottleneck. Of each finer stride it is the expansion in the bottleneck that
        leaves it, where the paper attaches SSDLite (section 6.2): six times as rich as what lies before it, and
        computed anyway. With alpha 1 the maps have 96, 144, 192, 576 and 320 channels.

    Raises:
        ValueError: if alpha is not positive.
    """
    if alpha <= 0:
        raise ValueError(f"the width multiplier alpha must be positive, got {alpha}")
    x = conv_bn(x, make_divisible(STEM_CHANNELS * alpha), kernel_size=3, stride=2, name="stem", norm=norm)
    taps, output_stride = {}, 2
    for row, stage in enumerate(map(Stage._make, stages), start=1):
        channels = make_divisible(int(stage.channels * alpha))  # keras.applications cuts the fraction off, here alone
        for repeat in range(1, stage.repeats + 1):
            name, stride = f"stage{row}_block{repeat}", stage.stride if repeat == 1 else 1
            x, expanded = bottleneck(x, channels, stride, stage.expansion, name=name, norm=norm)
            if stride > 1:
                taps[output_stride] = expanded
                output_stride *= stride
    return taps | {output_stride: x}


def mobilenet_v2(
    input_shape: tuple[int | None, int | None, int],
    alpha: float = 1.0,
    include_top: bool = True,
    classes: int = 1000,
    weights: str | None = None,
) -> keras.Model:
    """The whole network, with the weights in the order of keras.applications.MobileNetV2.

    Args:
        input_shape: (height, width, channels) of the images, which come in scaled to [-1, 1].
        alpha: width multiplier of all channels; the last convolution alone never gets narrower than 1280.
        include_top: whether the classifier stands on top.
        classes: of the classifier.
        weights: None for a random start, or "imagenet" for the weights that Keras publishes (downloaded once).

    Returns:
        A model from (B, H, W, channels) to (B, classes) probabilities, or without top to (B, ceil(H / 32),
        ceil(W / 32), 1280) features.

    Raises:
        ValueError: if an argument is out of range, or there are no such weights.
        ConnectionError: if the weights cannot be fetched.
    """
    if len(input_shape) != 3:
        raise ValueError(f"input_shape must be (height, width, channels), got {tuple(input_shape)}")
    published = None if weights is None else _published_weights(weights, input_shape, alpha, include_top, classes)
    inputs = keras.Input(input_shape, name="image")
    x = mobilenet_v2_features(inputs, alpha)[32]
    x = conv_bn(x, make_divisible(HEAD_CHANNELS * max(alpha, 1.0)), name="head", norm=MOBILENET_NORM)
    if include_top:
        x = layers.GlobalAveragePooling2D(name="pool")(x)
        x = layers.Dense(classes, activation="softmax", name="predictions")(x)
    model = keras.Model(inputs, x, name="mobilenet_v2")
    if published is not None:
        model.set_weights(published)
    return model


def _published_weights(
    weights: str, input_shape: tuple[int | None, int | None, int], alpha: float, include_top: bool, classes: int
) -> list[np.ndarray]:
    if weights != "imagenet":
        raise ValueError(f'weights must be None or "imagenet", got {weights!r}')
    if alpha not in PUBLISHED_ALPHAS:
        raise ValueError(f"imagenet weights exist for an alpha of {', '.join(map(str, PUBLISHED_ALPHAS))}, got {alpha}")
    if input_shape[-1] != 3:
        raise ValueError(f"imagenet weights are for images of 3 channels, got {input_shape[-1]}")
    if include_top and classes != 1000:
        raise ValueError(f"imagenet weights have 1000 classes, got {classes}: set include_top=False to have your own")
    height, width, _ = input_shape
    size = height if height == width and height in PUBLISHED_SIZES else 224
    try:
        published = keras.applications.MobileNetV2((size, size, 3), alpha, include_top, weights="imagenet")
    except Exception as error:  # Keras raises a bare Exception where a download fails
        raise ConnectionError(f"the imagenet weights of MobileNetV2 could not be fetched: {error}") from error
    weights_in_order: list[np.ndarray] = published.get_weights()
    return weights_in_order
