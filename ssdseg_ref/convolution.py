"""Convolutions in NumPy, and what they cost: standard, depthwise, pointwise, and separable.

All pad as TensorFlow's "same" does: the output is ceil(side / stride), and where an odd number of rows or columns is
missing, the bottom or the right gets one more. An image is (H, W, C) and a kernel is shaped as Keras stores it. As in
every network library the kernel is not flipped: what is called convolution here is correlation.

Source: Howard et al. 2017, "MobileNets: Efficient Convolutional Neural Networks for Mobile Vision Applications",
section 3.1; Yu and Koltun 2016, "Multi-Scale Context Aggregation by Dilated Convolutions", for the dilation.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import ArrayLike


def same_padding(side: int, kernel_size: int, stride: int = 1, dilation: int = 1) -> tuple[int, int]:
    """Zeros that "same" padding puts before and after one side of the image.

    Args:
        side: height or width of the image, in pixels.
        kernel_size: taps of the kernel along that side.
        stride: step of the kernel, in pixels.
        dilation: distance of the kernel's taps, in pixels.

    Returns:
        (above, below) or (left, right), in pixels; where their sum is odd, the second is larger by one.

    Raises:
        ValueError: if a number is below 1.
    """
    if min(side, kernel_size, stride, dilation) < 1:
        raise ValueError(
            "side, kernel_size, stride and dilation must be at least 1, "
            f"got side {side}, kernel_size {kernel_size}, stride {stride}, dilation {dilation}"
        )
    needed = (_output_side(side, stride) - 1) * stride + _reach(kernel_size, dilation)
    missing = max(needed - side, 0)
    return missing // 2, missing - missing // 2


def conv2d(image: ArrayLike, kernel: ArrayLike, stride: int = 1, dilation: int = 1) -> np.ndarray:
    """Standard convolution: each output channel looks at all input channels.

    Args:
        image: (H, W, Cin).
        kernel: (kh, kw, Cin, Cout).
        stride: step of the kernel, in pixels.
        dilation: distance of the kernel's taps, in pixels.

    Returns:
        (ceil(H / stride), ceil(W / stride), Cout).

    Raises:
        ValueError: if the shapes do not fit together, or stride or dilation is below 1.
    """
    image, kernel = _checked(image, kernel)
    windows = _windows(image, kernel.shape[:2], stride, dilation)
    convolved: np.ndarray = np.tensordot(windows, kernel, axes=((3, 4, 2), (0, 1, 2)))
    return convolved


def depthwise_conv2d(image: ArrayLike, kernel: ArrayLike, stride: int = 1, dilation: int = 1) -> np.ndarray:
    """Depthwise convolution: each input channel has kernels of its own.

    Args:
        image: (H, W, C).
        kernel: (kh, kw, C, multiplier): as many kernels per channel as the multiplier says.
        stride: step of the kernel, in pixels.
        dilation: distance of the kernel's taps, in pixels.

    Returns:
        (ceil(H / stride), ceil(W / stride), C * multiplier), all outputs of the first channel first.

    Raises:
        ValueError: if the shapes do not fit together, or stride or dilation is below 1.
    """
    image, kernel = _checked(image, kernel)
    windows = _windows(image, kernel.shape[:2], stride, dilation)
    filtered: np.ndarray = np.einsum("yxcij,ijcm->yxcm", windows, kernel)
    return filtered.reshape(*filtered.shape[:2], -1)


def pointwise_conv2d(image: ArrayLike, kernel: ArrayLike) -> np.ndarray:
    """Pointwise convolution: mixes the channels of each pixel, and looks at no other pixel.

    Args:
        image: (H, W, Cin).
        kernel: (1, 1, Cin, Cout).

    Returns:
        (H, W, Cout).

    Raises:
        ValueError: if the shapes do not fit together.
    """
    image, kernel = _checked(image, kernel)
    if kernel.shape[:2] != (1, 1):
        raise ValueError(f"a pointwise kernel must be (1, 1, Cin, Cout), got shape {kernel.shape}")
    mixed: np.ndarray = image @ kernel[0, 0]
    return mixed


def separable_conv2d(
    image: ArrayLike, depthwise_kernel: ArrayLike, pointwise_kernel: ArrayLike, stride: int = 1, dilation: int = 1
) -> np.ndarray:
    """Depthwise separable convolution: look around channel by channel, then mix the channels.

    Args:
        image: (H, W, C).
        depthwise_kernel: (kh, kw, C, multiplier).
        pointwise_kernel: (1, 1, C * multiplier, Cout).
        stride: step of the depthwise kernel, in pixels.
        dilation: distance of the depthwise kernel's taps, in pixels.

    Returns:
        (ceil(H / stride), ceil(W / stride), Cout).

    Raises:
        ValueError: if the shapes do not fit together, or stride or dilation is below 1.
    """
    return pointwise_conv2d(depthwise_conv2d(image, depthwise_kernel, stride, dilation), pointwise_kernel)


class Cost(NamedTuple):
    """What a convolution costs, without bias.

    Attributes:
        parameters: weights to store and to learn.
        multiply_adds: multiplications, each with its addition, for one image; those with the padding's zeros included.
    """

    parameters: int
    multiply_adds: int


def conv_cost(
    kind: str, size: tuple[int, int], kernel_size: int, in_channels: int, out_channels: int, stride: int = 1
) -> Cost:
    """What one convolution costs.

    Args:
        kind: "standard", "depthwise", "pointwise" or "separable" (depthwise, then pointwise).
        size: (height, width) of the image that goes in.
        kernel_size: side of the kernel; 1 where the kind is pointwise.
        in_channels: channels that go in.
        out_channels: channels that come out; a multiple of `in_channels` where the kind is depthwise.
        stride: step of the kernel, in pixels.

    Returns:
        Parameters and multiply-adds. Each weight is used once at each place of the output, so the second is the first
        times the output's height and width.

    Raises:
        ValueError: if the kind is unknown, a number is not positive, or the channels or the kernel do not suit the
            kind.
    """
    height, width = size
    if min(height, width, kernel_size, in_channels, out_channels, stride) < 1:
        raise ValueError(
            f"sizes, channels and stride must be positive, got size {size}, kernel_size {kernel_size}, "
            f"in_channels {in_channels}, out_channels {out_channels}, stride {stride}"
        )
    if kind == "depthwise" and out_channels % in_channels:
        raise ValueError(f"a depthwise convolution of {in_channels} channels cannot give {out_channels}: no multiple")
    if kind == "pointwise" and kernel_size != 1:
        raise ValueError(f"a pointwise convolution has a kernel_size of 1, got {kernel_size}")
    taps = kernel_size**2
    weights = {
        "standard": taps * in_channels * out_channels,
        "depthwise": taps * out_channels,
        "pointwise": in_channels * out_channels,
        "separable": taps * in_channels + in_channels * out_channels,
    }
    if kind not in weights:
        raise ValueError(f"kind must be one of {', '.join(map(repr, weights))}, got {kind!r}")
    places = _output_side(height, stride) * _output_side(width, stride)
    return Cost(weights[kind], weights[kind] * places)


def field_of_view(layers: Sequence[tuple[int, int, int]]) -> int:
    """Side of the square of pixels that one value behind a stack of convolutions can know of.

    Args:
        layers: (kernel_size, stride, dilation) of each, from the picture on.

    Returns:
        the side in pixels; 1 without any layer.

    Source: Luo et al. 2016, "Understanding the Effective Receptive Field", calls it the theoretical receptive field.
    """
    side, step = 1, 1  # step: pixels between neighbours of the map
    for kernel_size, stride, dilation in layers:
        side += (kernel_size - 1) * dilation * step
        step *= stride
    return side


def _checked(image: ArrayLike, kernel: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    image, kernel = np.asarray(image), np.asarray(kernel)
    if image.ndim != 3:
        raise ValueError(f"an image must be (H, W, C), got shape {image.shape}")
    if kernel.ndim != 4:
        raise ValueError(f"a kernel must have four axes, as Keras stores it, got shape {kernel.shape}")
    if kernel.shape[2] != image.shape[2]:
        raise ValueError(
            f"the kernel is for {kernel.shape[2]} input channels and the image has {image.shape[2]}: "
            f"kernel {kernel.shape}, image {image.shape}"
        )
    if image.dtype.kind in "iub" and kernel.dtype.kind in "iub":  # sums of narrow whole numbers would wrap
        return image.astype(np.int64), kernel.astype(np.int64)
    return image, kernel


def _windows(image: np.ndarray, kernel_size: tuple[int, int], stride: int, dilation: int) -> np.ndarray:
    """What the kernel sees at each place: (H', W', C, kh, kw), a view of the padded image."""
    paddings = [
        same_padding(side, taps, stride, dilation) for side, taps in zip(image.shape[:2], kernel_size, strict=True)
    ]
    reach = [_reach(taps, dilation) for taps in kernel_size]
    windows = sliding_window_view(np.pad(image, [*paddings, (0, 0)]), reach, axis=(0, 1))
    return windows[::stride, ::stride, :, ::dilation, ::dilation]


def _reach(kernel_size: int, dilation: int) -> int:
    """Pixels from the first tap of a kernel to the last, both counted."""
    return dilation * (kernel_size - 1) + 1


def _output_side(side: int, stride: int) -> int:
    return -(-side // stride)
