"""Building blocks that the backbones and the heads share: convolution, batch normalisation, activation.

Each is a plain function from a Keras tensor to a Keras tensor, out of stock layers only, so that a saved `.keras` file
loads without custom code. The convolutions have no bias: the batch normalisation behind them would take it out again.

Source: Ioffe and Szegedy 2015, "Batch Normalization"; Howard et al. 2017, "MobileNets", figure 3.
"""

from typing import NamedTuple

from keras import KerasTensor, config, initializers, layers

config.set_image_data_format("channels_last")  # as all of the course's arrays are, whatever keras.json says


class Norm(NamedTuple):
    """How a batch normalisation keeps its statistics.

    Attributes:
        momentum: share of the old moving average that a training step keeps. At 0.99 it takes some hundred steps until
            the average has forgotten its start.
        epsilon: added to the variance, against division by zero.
    """

    momentum: float = 0.99
    epsilon: float = 1e-3


NORM = Norm()


def make_divisible(channels: float, divisor: int = 8) -> int:
    """Number of channels that a width multiplier gives: the nearest multiple of `divisor`, at least one `divisor`.

    Where rounding down would lose more than a tenth of the channels, it goes up instead.
    """
    rounded = max(divisor, int(channels + divisor / 2) // divisor * divisor)
    return rounded if rounded >= 0.9 * channels else rounded + divisor


def conv_bn(
    x: KerasTensor,
    filters: int,
    kernel_size: int = 1,
    stride: int = 1,
    *,
    name: str,
    activation: str | None = "relu6",
    padding: str = "same",
    norm: Norm = NORM,
) -> KerasTensor:
    """Convolution, batch normalisation, activation; as it stands, a pointwise convolution.

    Args:
        x: (B, H, W, C).
        filters: channels that come out.
        kernel_size: side of the kernel.
        stride: step of the kernel.
        name: the layers are called `{name}_conv`, `{name}_bn` and `{name}_{activation}`.
        activation: a Keras activation, or None for a linear output.
        padding: "same" or "valid".
        norm: momentum and epsilon of the batch normalisation.

    Returns:
        (B, ceil(H / stride), ceil(W / stride), filters) where padding is "same".
    """
    x = layers.Conv2D(
        filters, kernel_size, stride, padding, use_bias=False, kernel_initializer="he_normal", name=f"{name}_conv"
    )(x)
    return _normalise(x, activation, norm, name)


def depthwise_bn(
    x: KerasTensor,
    kernel_size: int = 3,
    stride: int = 1,
    dilation: int = 1,
    *,
    name: str,
    activation: str | None = "relu6",
    padding: str = "same",
    norm: Norm = NORM,
) -> KerasTensor:
    """Depthwise convolution (one kernel per channel), batch normalisation, activation.

    Args:
        x: (B, H, W, C).
        kernel_size: side of the kernel.
        stride: step of the kernel.
        dilation: distance of the kernel's taps; Keras needs a stride of 1 where it is over 1.
        name: the layers are called `{name}_depthwise`, `{name}_bn` and `{name}_{activation}`.
        activation: a Keras activation, or None for a linear output.
        padding: "same" or "valid".
        norm: momentum and epsilon of the batch normalisation.

    Returns:
        (B, ceil(H / stride), ceil(W / stride), C) where padding is "same".
    """
    # He's deviation by hand: Keras takes every channel for an input of a depthwise kernel, which sees only its own,
    # and would start it so small that nothing comes through a fresh network.
    x = layers.DepthwiseConv2D(
        kernel_size,
        stride,
        padding,
        dilation_rate=dilation,
        use_bias=False,
        depthwise_initializer=initializers.RandomNormal(stddev=2**0.5 / kernel_size),
        name=f"{name}_depthwise",
    )(x)
    return _normalise(x, activation, norm, name)


def separable_conv_bn(
    x: KerasTensor,
    filters: int,
    kernel_size: int = 3,
    stride: int = 1,
    dilation: int = 1,
    *,
    name: str,
    activation: str | None = "relu6",
    norm: Norm = NORM,
) -> KerasTensor:
    """Depthwise, then pointwise convolution, each with its batch normalisation and activation.

    Args:
        x: (B, H, W, C).
        filters: channels that come out.
        kernel_size, stride, dilation: of the depthwise convolution.
        name: the layers are called as those of `depthwise_bn` and `conv_bn`, behind `{name}_dw` and `{name}_pw`.
        activation: a Keras activation, or None for a linear output; the same behind both.
        norm: momentum and epsilon of the batch normalisations.

    Returns:
        (B, ceil(H / stride), ceil(W / stride), filters).
    """
    x = depthwise_bn(x, kernel_size, stride, dilation, name=f"{name}_dw", activation=activation, norm=norm)
    return conv_bn(x, filters, name=f"{name}_pw", activation=activation, norm=norm)


def output_conv(x: KerasTensor, filters: int, *, name: str) -> KerasTensor:
    """The last convolution of a head: pointwise, with a bias, linear, for a logit or an offset may be anything.

    It starts so small that a fresh network finds every class equally likely and every box where its anchor is.

    Args:
        x: (B, H, W, C).
        filters: values predicted at each place.
        name: of the layer.

    Returns:
        (B, H, W, filters).
    """
    return layers.Conv2D(filters, 1, kernel_initializer=initializers.RandomNormal(stddev=0.01), name=name)(x)


def _normalise(x: KerasTensor, activation: str | None, norm: Norm, name: str) -> KerasTensor:
    x = layers.BatchNormalization(momentum=norm.momentum, epsilon=norm.epsilon, name=f"{name}_bn")(x)
    return x if activation is None else layers.Activation(activation, name=f"{name}_{activation}")(x)
