"""A network in whole numbers: folding, scales and zero points, and a convolution of int8 as LiteRT computes it.

A real number x is kept as the whole number q with x = scale * (q - zero_point). Activations have one scale and one zero
point a map; kernels have a scale for every output channel and no zero point, so that 0 is 0.

Source: Jacob et al. 2018, "Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only
Inference", section 2; Krishnamoorthi 2018, "Quantizing deep convolutional networks for efficient inference", sections 2
and 3; LiteRT's specification of 8-bit quantisation.
"""

import numpy as np
from numpy.typing import ArrayLike

from ssdseg_ref.convolution import conv2d, depthwise_conv2d

MANTISSA_BITS = 31  # of the multiplier that stands for a real factor
KERNEL_LIMIT = 127  # kernels leave -128 out, so that they are symmetric


def fold_batch_norm(
    kernel: ArrayLike, gamma: ArrayLike, beta: ArrayLike, mean: ArrayLike, variance: ArrayLike, epsilon: float
) -> tuple[np.ndarray, np.ndarray]:
    """One convolution with a bias for a convolution without one and the batch normalisation behind it.

    Args:
        kernel: (..., C), output channels last.
        gamma, beta: (C,) factor and addend of the batch normalisation.
        mean, variance: (C,) its moving averages.
        epsilon: that it adds to the variance.

    Returns:
        kernel (..., C) and bias (C,).

    Source: Jacob et al. 2018, section 3.2.
    """
    factor = np.asarray(gamma) / np.sqrt(np.asarray(variance) + epsilon)
    return np.asarray(kernel) * factor, np.asarray(beta) - np.asarray(mean) * factor


def quantization_parameters(low: float, high: float, bits: int = 8) -> tuple[float, int]:
    """Scale and zero point that lay the whole numbers of so many bits over a range.

    The range is widened to hold 0 first, which then is a whole number exactly: padding and ReLU need that.

    Args:
        low, high: the least and the largest value.
        bits: of a whole number; with 8 they are -128 to 127.

    Returns:
        scale, zero point. A range that holds nothing but 0 has the scale 1 and the zero point 0.

    Raises:
        ValueError: if low is above high, or there are fewer than 2 bits.

    Source: Jacob et al. 2018, section 3.
    """
    if low > high:
        raise ValueError(f"a range goes from low to high, got {low} to {high}")
    if bits < 2:
        raise ValueError(f"a whole number with a sign has at least 2 bits, got {bits}")
    least, largest = limits(bits)
    low, high = min(low, 0.0), max(high, 0.0)
    if low == high:
        return 1.0, 0
    scale = (high - low) / (largest - least)
    zero_point = round(least - low / scale)
    return float(scale), int(min(max(zero_point, least), largest))


def limits(bits: int) -> tuple[int, int]:
    """The least and the largest whole number of so many bits, with a sign."""
    return -(2 ** (bits - 1)), 2 ** (bits - 1) - 1


def quantize(x: ArrayLike, scale: float, zero_point: int, bits: int = 8) -> np.ndarray:
    """Real numbers as the nearest whole ones; what lies outside of the range becomes its end.

    Args:
        x: any shape.
        scale, zero_point: from `quantization_parameters`.
        bits: of a whole number.

    Returns:
        of the same shape, int8 for up to 8 bits and int32 for more.
    """
    rounded = np.round(np.asarray(x) / scale) + zero_point
    return np.clip(rounded, *limits(bits)).astype(np.int8 if bits <= 8 else np.int32)


def dequantize(q: ArrayLike, scale: ArrayLike, zero_point: ArrayLike = 0) -> np.ndarray:
    """The real numbers that whole ones stand for: (...) -> (...) float32."""
    real: np.ndarray = np.asarray(scale) * (np.asarray(q, np.float64) - np.asarray(zero_point))
    return real.astype(np.float32)


def quantize_kernel(kernel: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """A kernel in whole numbers, each output channel with a scale of its own, symmetric about 0.

    Args:
        kernel: (..., C), output channels last.

    Returns:
        (..., C) int8 from -127 to 127, and (C,) scales. A channel of zeros has the scale 1.

    Source: Krishnamoorthi 2018, section 3.1.1.
    """
    kernel = np.asarray(kernel)
    largest = np.abs(kernel).max(axis=tuple(range(kernel.ndim - 1)), initial=0)
    scales = np.where(largest > 0, largest / KERNEL_LIMIT, 1)
    return np.clip(np.round(kernel / scales), -KERNEL_LIMIT, KERNEL_LIMIT).astype(np.int8), scales


def fixed_point(factor: float) -> tuple[int, int]:
    """A real factor as a whole multiplier and a shift: factor = multiplier / 2**shift, very nearly.

    Args:
        factor: above 0.

    Returns:
        multiplier, from 2**30 to 2**31 - 1, so that all of its 31 bits are used, and shift.

    Raises:
        ValueError: if the factor is not above 0.

    Source: Jacob et al. 2018, section 2.2.
    """
    if not factor > 0:
        raise ValueError(f"the factor must be above 0, got {factor}")
    mantissa, exponent = np.frexp(np.float64(factor))  # factor = mantissa * 2**exponent, mantissa in [0.5, 1)
    multiplier, shift = round(float(mantissa) * 2**MANTISSA_BITS), MANTISSA_BITS - int(exponent)
    if multiplier == 2**MANTISSA_BITS:  # rounded up to 1
        return multiplier // 2, shift - 1
    return multiplier, shift


def requantize(
    sums: ArrayLike,
    multiplier: ArrayLike,
    shift: ArrayLike,
    zero_point: int,
    low: int = -128,
    high: int = 127,
) -> np.ndarray:
    """Sums of int32 brought back to int8, without a real number on the way.

    Rounded once, halves up: floor(sums * multiplier / 2**shift + 1/2), as LiteRT's optimised kernels do. Its reference
    kernels take halves away from zero, and XNNPACK, which takes a file over where it can, multiplies with a float32 and
    takes them to the even neighbour. With the scales of real maps an exact half hardly ever occurs, and all agree.

    Args:
        sums: (..., C) int32.
        multiplier, shift: (C,) from `fixed_point`, or one for all channels.
        zero_point: of what comes out.
        low, high: the least and largest that may come out, where an activation cuts off.

    Returns:
        (..., C) int8.
    """
    shift = np.asarray(shift, np.int64)
    half = np.int64(1) << (shift - 1)
    rounded = (np.asarray(sums, np.int64) * np.asarray(multiplier, np.int64) + half) >> shift
    clipped: np.ndarray = np.clip(rounded + zero_point, low, high)
    return clipped.astype(np.int8)


def conv2d_int8(q: ArrayLike, kernel: ArrayLike, bias: ArrayLike, zero_point: int, stride: int = 1) -> np.ndarray:
    """The sums of a convolution in whole numbers, with "same" padding.

    The padding is the zero point, which stands for 0.

    Args:
        q: (H, W, Cin) int8.
        kernel: (kh, kw, Cin, Cout) int8, from `quantize_kernel`.
        bias: (Cout,) int32, in units of the map's scale times the kernel's.
        zero_point: of the map.
        stride: step of the kernel, in pixels.

    Returns:
        (ceil(H / stride), ceil(W / stride), Cout) int32, in the bias's units.
    """
    convolved = conv2d(_from_zero(q, zero_point), np.asarray(kernel, np.int32), stride)
    return np.asarray(convolved + bias, np.int32)


def depthwise_conv2d_int8(
    q: ArrayLike, kernel: ArrayLike, bias: ArrayLike, zero_point: int, stride: int = 1
) -> np.ndarray:
    """The same for a depthwise kernel (kh, kw, C, 1): each channel has its own."""
    convolved = depthwise_conv2d(_from_zero(q, zero_point), np.asarray(kernel, np.int32), stride)
    return np.asarray(convolved + bias, np.int32)


def _from_zero(q: ArrayLike, zero_point: int) -> np.ndarray:
    """Counted from the zero point, in which the zeros of a padding are right; int8 has no room for the difference."""
    return np.asarray(q, np.int32) - np.int32(zero_point)


def least_error_range(values: ArrayLike, bits: int = 8, steps: int = 64) -> tuple[float, float]:
    """The range that costs least: what is cut off at its ends, against the coarser steps of a wider one.

    Args:
        values: a sample of what is to be quantised, any shape, not empty.
        bits: of a whole number.
        steps: how many ranges are tried, from the whole one down, shrunk towards 0.

    Returns:
        low, high: with the least mean squared error over the values.

    Raises:
        ValueError: if there are no values.
    """
    values = np.asarray(values, np.float64).ravel()
    if values.size == 0:
        raise ValueError("there are no values to take a range from")
    low, high = float(values.min()), float(values.max())
    best, found = np.inf, (low, high)
    for share in np.linspace(1, 1 / steps, steps).tolist():
        scale, zero_point = quantization_parameters(share * low, share * high, bits)
        back = scale * (np.clip(np.round(values / scale) + zero_point, *limits(bits)) - zero_point)
        error = float(np.square(back - values).mean())
        if error < best:
            best, found = error, (share * low, share * high)
    return found
