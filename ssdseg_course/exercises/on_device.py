"""The exercises of lesson 9: a folded batch normalisation, numbers in eight bits, a convolution in whole numbers.

Values to be rounded stay clear of halves wherever people round those in different ways, and are halves where it counts.
"""

import numpy as np

from ssdseg_course.checking.compare import Complaint, compare_arrays, compare_parts, compare_whole_numbers
from ssdseg_course.checking.exercise import Arguments, Exercise, Mutant
from ssdseg_course.checking.values import Plain
from ssdseg_ref.convolution import conv2d, same_padding
from ssdseg_ref.quantization import (
    conv2d_int8,
    fixed_point,
    fold_batch_norm,
    limits,
    quantization_parameters,
    quantize,
    quantize_kernel,
    requantize,
)

_RNG = np.random.default_rng(9)  # of the fixed cases: always the same


def compare_by_type(value: Plain, expected: np.ndarray) -> Complaint | None:
    """Whole numbers have to be whole in type, too; of others only the values count."""
    return (compare_whole_numbers if expected.dtype.kind in "iu" else compare_arrays)(value, expected)


def _cut_off(x):
    """What stands behind the point is lost, as `int` and `astype` do it."""
    return np.trunc(x)


def _the_other_way_round(function):
    """What should be returned together, in the other order."""
    return lambda *arguments: function(*arguments)[::-1]


# 09.fold_batch_norm


def _factor(gamma, variance, epsilon):
    return gamma / np.sqrt(variance + epsilon)


def _folded_by(factor):
    """`fold_batch_norm` with another factor."""

    def fold(kernel, gamma, beta, mean, variance, epsilon):
        by = factor(gamma, variance, epsilon)
        return kernel * by, beta - mean * by

    return fold


def _with_bias(bias):
    """`fold_batch_norm` with another bias, made from beta, mean and the factor."""

    def fold(kernel, gamma, beta, mean, variance, epsilon):
        factor = _factor(gamma, variance, epsilon)
        return kernel * factor, bias(beta, mean, factor)

    return fold


def _kernel_as_it_was(kernel, *norm):
    return kernel, fold_batch_norm(kernel, *norm)[1]


def _along_the_channels_that_come_in(kernel, gamma, beta, mean, variance, epsilon):
    factor = _factor(gamma, variance, epsilon)
    return kernel * np.resize(factor, kernel.shape[2])[:, None], beta - mean * factor


def _draw_norm(rng: np.random.Generator, channels: int) -> Arguments:
    gamma = rng.choice([-1, 1], channels, p=[0.2, 0.8]) * rng.uniform(0.4, 2, channels)
    mean = rng.choice([-1, 1], channels) * rng.uniform(0.5, 2, channels)
    beta = rng.choice([-1, 1], channels) * rng.uniform(0.3, 2, channels)
    return gamma, beta, mean, rng.uniform(0.2, 3, channels), 1e-2


def _draw_fold(rng: np.random.Generator) -> Arguments:
    side, in_channels, out_channels = (int(n) for n in (rng.choice([1, 3]), *rng.integers(2, 5, 2)))
    return rng.normal(size=(side, side, in_channels, out_channels)), *_draw_norm(rng, out_channels)


def _row(*values: float) -> np.ndarray:
    return np.array(values, float)


FOLD_BATCH_NORM = Exercise(
    id="09.fold_batch_norm",
    title="Two layers become one",
    points=15,
    difficulty="easy",
    minutes=15,
    home="quantization.fold_batch_norm",
    returns=("kernel", "bias"),
    fixed_cases=(
        (np.array([[[[2.0]]]]), _row(3), _row(1), _row(5), _row(3.75), 0.25),
        (np.array([[[[1.0, 2.0]]]]), _row(2, -1), _row(1, 10), _row(3, 4), _row(15, 3), 1.0),
        (_RNG.normal(size=(1, 1, 3, 2)), *_draw_norm(_RNG, 2)),
        (_RNG.normal(size=(3, 3, 2, 2)), *_draw_norm(_RNG, 2)),
        (_RNG.normal(size=(3, 3, 4, 1)), *_draw_norm(_RNG, 1)),
    ),
    draw=_draw_fold,
    hints=(
        "Put y = sum of kernel times input into the formula of the batch normalisation, and sort: what is multiplied "
        "with the input, what is added in any case?",
        "Let factor = gamma / sqrt(variance + epsilon), one number for each output channel. Then (y - mean) · factor + "
        "beta = y · factor + (beta - mean · factor).",
        "factor = gamma / np.sqrt(variance + epsilon); the kernel is kernel * factor, for the last axis is that of the "
        "output channels; the bias is beta - mean * factor.",
    ),
    mutants=(
        Mutant(
            _folded_by(lambda gamma, variance, epsilon: gamma / (variance + epsilon)),
            "this divides by the variance. A batch normalisation divides by its root, the standard deviation.",
        ),
        Mutant(
            _folded_by(lambda gamma, variance, epsilon: gamma / np.sqrt(variance)),
            "epsilon is left out. It stands under the root, added to the variance.",
        ),
        Mutant(
            _folded_by(lambda gamma, variance, epsilon: gamma / (np.sqrt(variance) + epsilon)),
            "epsilon is added behind the root. It belongs under it, to the variance.",
        ),
        Mutant(
            _folded_by(lambda gamma, variance, epsilon: 1 / np.sqrt(variance + epsilon)),
            "gamma is left out of the factor: what is normalised is multiplied with it.",
        ),
        Mutant(
            _folded_by(lambda gamma, variance, epsilon: gamma * np.sqrt(variance + epsilon)),
            "this multiplies with the standard deviation, where a batch normalisation divides by it.",
        ),
        Mutant(
            _with_bias(lambda beta, mean, factor: beta - mean),
            "the mean is subtracted as it is. It goes through the factor, as the sum it is subtracted from does.",
        ),
        Mutant(
            _with_bias(lambda beta, mean, factor: beta + mean * factor),
            "the mean is added, where a batch normalisation subtracts it.",
        ),
        Mutant(
            _with_bias(lambda beta, mean, factor: -mean * factor),
            "beta is left out: it is added after everything else.",
        ),
        Mutant(
            _with_bias(lambda beta, mean, factor: (beta - mean) * factor),
            "beta goes through the factor, too. It is added behind it.",
        ),
        Mutant(
            _with_bias(lambda beta, mean, factor: beta),
            "the mean is missing from the bias: what does the layer give where the convolution gives 0?",
        ),
        Mutant(
            _kernel_as_it_was,
            "the kernel is what it was. The factor belongs into it, and into the mean's part of the bias.",
        ),
        Mutant(
            _the_other_way_round(fold_batch_norm),
            "both are right, but in the other order: the kernel comes first, then the bias.",
        ),
        Mutant(
            _along_the_channels_that_come_in,
            "the factor runs along the channels that come in. A batch normalisation has one for each that goes out, "
            "the kernel's last axis.",
        ),
    ),
    errors=(
        (
            "operands could not be broadcast",
            "the factor and the kernel do not fit: the factor is (Cout,), and NumPy lays it along the last axis of the "
            "kernel, which is that of the output channels, by itself.",
        ),
    ),
)


# 09.quantization_parameters


def _parameters(
    widened=lambda low, high: (min(low, 0), max(high, 0)),
    steps=lambda bits: 2**bits - 1,
    least=lambda bits: limits(bits)[0],
    zero_point=lambda least, low, scale: round(least - low / scale),
):
    """`quantization_parameters` with another range, number of steps, least whole number or zero point."""

    def parameters(low, high, bits):
        low, high = widened(low, high)
        scale = (high - low) / steps(bits)
        return scale, zero_point(least(bits), low, scale)

    return parameters


def _symmetric(low, high, bits):
    return max(abs(low), abs(high)) / limits(bits)[1], 0


def _of_eight_bits(low, high, bits):
    return quantization_parameters(low, high, 8)


def _steps_a_unit(low, high, bits):
    scale, zero_point = quantization_parameters(low, high, bits)
    return 1 / scale, zero_point


def _draw_range(rng: np.random.Generator) -> Arguments:
    """A range whose zero point is no matter of how halves are rounded."""
    bits = int(rng.choice([8, 8, 4, 5]))
    while True:
        low, high = np.sort(rng.uniform(-6, 6, 2)).round(2).tolist()
        if low < high:
            scale, _ = quantization_parameters(low, high, bits)
            if abs((min(low, 0) / scale) % 1 - 0.5) > 0.05:
                return low, high, bits


QUANTIZATION_PARAMETERS = Exercise(
    id="09.quantization_parameters",
    title="A scale and a zero point",
    points=15,
    difficulty="medium",
    minutes=20,
    home="quantization.quantization_parameters",
    returns=("scale", "zero_point"),
    fixed_cases=(
        (0.0, 255.0, 8),
        (0.0, 6.0, 8),
        (-1.0, 2.0, 4),
        (-1.0, 1.4, 8),
        (-1.0, 3.0, 8),
        (2.0, 5.0, 8),
        (-7.0, -3.0, 8),
        (-0.3, 0.9, 3),
        (-2.7, 0.4, 8),
    ),
    draw=_draw_range,
    hints=(
        "First let the range hold 0. Then count: from the least whole number to the largest, how many steps are there?",
        "scale = (high - low) / (2**bits - 1). And `low` has to land on the least whole number: least = low / scale + "
        "zero_point, but for the rounding.",
        "low, high = min(low, 0), max(high, 0); least = -(2 ** (bits - 1)); zero_point = round(least - low / scale).",
    ),
    mutants=(
        Mutant(
            _parameters(widened=lambda low, high: (low, high)),
            "a range that does not hold 0 was taken as it is. Zeros are what padding is made of, so 0 has to be in it.",
        ),
        Mutant(
            _parameters(widened=lambda low, high: (min(low, 0), high)),
            "a range that lies below 0 was taken as it is: `high` has to be at least 0, as `low` has to be at most 0.",
        ),
        Mutant(
            _parameters(widened=lambda low, high: (low, max(high, 0))),
            "a range that lies above 0 was taken as it is: `low` has to be at most 0, as `high` has to be at least 0.",
        ),
        Mutant(
            _parameters(steps=lambda bits: 2**bits),
            "there are 2**bits whole numbers, and one step less between the first and the last of them.",
        ),
        Mutant(
            _parameters(steps=lambda bits: limits(bits)[1]),
            "the range was laid over the whole numbers above 0 only. Those below 0 count as well.",
        ),
        Mutant(
            _parameters(least=lambda bits: 0),
            "this zero point is for whole numbers from 0 on. Here they begin at -2**(bits - 1).",
        ),
        Mutant(
            _parameters(least=lambda bits: -128),
            "the whole numbers begin at -128 with 8 bits only; with fewer they begin later.",
        ),
        Mutant(
            _parameters(least=lambda bits: -limits(bits)[1]),
            "the zero point is one too large: the least whole number is -2**(bits - 1), one further down than the "
            "largest is up.",
        ),
        Mutant(
            _parameters(zero_point=lambda least, low, scale: round(least + low / scale)),
            "`low` went to the wrong side. A range that begins below 0 has its 0 further up: subtract low / scale.",
        ),
        Mutant(
            _parameters(zero_point=lambda least, low, scale: round(least - low)),
            "`low` was subtracted as it is. In whole numbers it is low / scale.",
        ),
        Mutant(
            _parameters(zero_point=lambda least, low, scale: int(least - low / scale)),
            "the zero point was cut off: `int` goes towards 0. The nearest whole number is wanted.",
        ),
        Mutant(
            _parameters(zero_point=lambda least, low, scale: int(np.floor(least - low / scale))),
            "the zero point was rounded down. The nearest whole number is wanted.",
        ),
        Mutant(
            _parameters(zero_point=lambda least, low, scale: int(np.ceil(least - low / scale))),
            "the zero point was rounded up. The nearest whole number is wanted.",
        ),
        Mutant(
            _of_eight_bits,
            "that is right for 8 bits, whatever `bits` says.",
        ),
        Mutant(
            _the_other_way_round(quantization_parameters),
            "both are right, but in the other order: the scale comes first, then the zero point.",
        ),
        Mutant(
            _parameters(zero_point=lambda least, low, scale: least - low / scale),
            "the zero point has a fraction. It is one of the whole numbers itself: round it.",
        ),
        Mutant(
            _symmetric,
            "this is symmetric about 0, as kernels will have it. Here the whole numbers go from `low` to `high`.",
        ),
        Mutant(
            _steps_a_unit,
            "that is how many steps there are in 1. The scale is how far one step goes.",
        ),
    ),
)


# 09.quantize


def _quantized(rounded=np.round, sign=1, clipped=lambda whole, bits: np.clip(whole, *limits(bits))):
    """`quantize` with another way to round, to move by the zero point, or to clip."""

    def quantized(x, scale, zero_point, bits):
        return clipped(rounded(x / scale) + sign * zero_point, bits).astype(np.int64)

    return quantized


def _clipped_too_early(x, scale, zero_point, bits):
    return (np.clip(np.round(x / scale), *limits(bits)) + zero_point).astype(np.int64)


def _wrapped_round(x, scale, zero_point, bits):
    return (np.round(x / scale) + zero_point).astype(np.int64).astype(np.int8)


def _cut_off_at_the_end(x, scale, zero_point, bits):
    return np.clip(x / scale + zero_point, *limits(bits)).astype(np.int64)


def _draw_values(rng: np.random.Generator) -> Arguments:
    """Values at most 0.4 of a step beside a whole number, a few of them outside of the range."""
    bits = int(rng.choice([8, 8, 4]))
    scale, zero_point = float(rng.uniform(0.01, 0.5)), int(rng.integers(*limits(bits)))
    least, largest = limits(bits)
    whole = rng.integers(least - 20, largest + 20, (3, 4)) - zero_point
    return (whole + rng.uniform(-0.4, 0.4, whole.shape)) * scale, scale, zero_point, bits


QUANTIZE = Exercise(
    id="09.quantize",
    title="To the nearest step",
    points=10,
    difficulty="easy",
    minutes=10,
    home="quantization.quantize",
    compare=compare_whole_numbers,
    fixed_cases=(
        (_row(0, 0.5, 1, 3.5), 0.5, 0, 8),
        (_row(0, 0.7, -0.7, 1.8), 0.5, 10, 8),
        (_row(-0.8, -0.2, 0.2, 0.9), 0.5, -3, 8),
        (_row(-100, 100, 63.4, -63.9), 0.5, 0, 8),
        (_row(-100, 100, 3.1, 65), 0.5, 20, 8),
        (_row(-10, 10, 3, -3), 0.9, -2, 4),
        (np.array([[0.3, 254.9], [128.2, 90.7]]), 1.0, -128, 8),
        (_row(-127.9, -127.2), 1.0, 0, 8),
    ),
    draw=_draw_values,
    hints=(
        "Turn x = scale · (q - zero_point) round until q stands alone.",
        "q = x / scale + zero_point, rounded to the nearest whole number. What lies beyond the ends of the whole "
        "numbers becomes an end: np.clip.",
        "np.clip(np.round(x / scale) + zero_point, -(2 ** (bits - 1)), 2 ** (bits - 1) - 1).astype(np.int32), in this "
        "order: clip first and make whole numbers of it then.",
    ),
    mutants=(
        Mutant(
            _quantized(rounded=_cut_off),
            "what stands behind the point was cut off. Round: the nearest whole number is wanted.",
        ),
        Mutant(
            _cut_off_at_the_end,
            "what stands behind the point was cut off at the end, towards 0. Round before: the nearest whole number is "
            "wanted.",
        ),
        Mutant(_quantized(rounded=np.floor), "this rounds down. The nearest whole number is wanted."),
        Mutant(_quantized(rounded=np.ceil), "this rounds up. The nearest whole number is wanted."),
        Mutant(
            _quantized(sign=-1),
            "the zero point was subtracted. Solve x = scale · (q - zero_point) for q.",
        ),
        Mutant(
            _quantized(sign=0),
            "the zero point is left out: x = 0 should become the zero point.",
        ),
        Mutant(
            _quantized(clipped=lambda whole, bits: whole),
            "nothing was clipped: numbers came out that have no room in so many bits.",
        ),
        Mutant(
            _quantized(clipped=lambda whole, bits: np.clip(whole, -128, 127)),
            "the ends are those of 8 bits. With fewer bits they come sooner.",
        ),
        Mutant(
            _quantized(clipped=lambda whole, bits: np.clip(whole, -limits(bits)[1], limits(bits)[1])),
            "the least whole number was left out: with 8 bits it is -128.",
        ),
        Mutant(
            _quantized(clipped=lambda whole, bits: np.clip(whole, 0, 2**bits - 1)),
            "these ends are those of numbers without a sign. Ours begin at -2**(bits - 1).",
        ),
        Mutant(
            _quantized(clipped=lambda whole, bits: np.clip(whole, -(2 ** (bits - 1)), 2 ** (bits - 1))),
            "the largest whole number is 2**(bits - 1) - 1, one less than yours: 0 is one of them.",
        ),
        Mutant(
            _clipped_too_early,
            "the zero point was added behind the clipping, so numbers came out that have no room. Clip last.",
        ),
        Mutant(
            _wrapped_round,
            "what lies outside of the range came out at its other end: the numbers were put into so many bits before "
            "they were clipped.",
        ),
        Mutant(
            lambda x, scale, zero_point, bits: quantize(x * scale * scale, scale, zero_point, bits),
            "x was multiplied with the scale. The scale is the length of a step: how many steps is x long?",
        ),
    ),
)


# 09.quantize_kernel


def _kernel_by(
    largest=lambda kernel: np.abs(kernel).max(axis=(0, 1, 2)),
    steps=127,
    whole=lambda x: np.clip(np.round(x), -127, 127),
):
    """`quantize_kernel` with another largest weight, number of steps, or way to make whole numbers."""

    def quantized(kernel):
        top = largest(kernel)
        scales = np.where(top > 0, top / steps, 1.0)
        return whole(kernel / scales).astype(np.int64), scales

    return quantized


def _per_tensor(kernel):
    largest = np.abs(kernel).max()
    scale = largest / 127 if largest > 0 else 1.0
    return np.round(kernel / scale).astype(np.int64), np.full(kernel.shape[3], scale)


def _per_channel_that_comes_in(kernel):
    largest = np.abs(kernel).max(axis=(0, 1, 3))
    scales = np.resize(np.where(largest > 0, largest / 127, 1.0), kernel.shape[3])
    return np.clip(np.round(kernel / scales), -127, 127).astype(np.int64), scales


def _per_pair_of_channels(kernel):
    largest = np.abs(kernel).max(axis=(0, 1))
    scales = np.where(largest > 0, largest / 127, 1.0)
    return np.round(kernel / scales).astype(np.int64), scales


def _first_largest_then_steps(kernel):
    largest = np.abs(kernel).max(axis=(0, 1, 2))
    scales = np.where(largest > 0, largest, 1.0)
    return np.round(kernel / scales).astype(np.int64), scales


def _zeros_with_the_scale_of_ones(kernel):
    whole, scales = quantize_kernel(kernel)
    return whole, np.where(whole.any(axis=(0, 1, 2)), scales, 1 / 127)


def _in_int8(x):
    """What has no room comes out at the other end."""
    return np.round(x).astype(np.int64).astype(np.int8)


def _zeros_with_scale_zero(kernel):
    whole, scales = quantize_kernel(kernel)
    return whole, np.where(whole.any(axis=(0, 1, 2)), scales, 0.0)


def _steps_a_unit_each(kernel):
    whole, scales = quantize_kernel(kernel)
    return whole, 1 / scales


def _draw_kernel(rng: np.random.Generator) -> Arguments:
    side, in_channels, out_channels = (int(n) for n in (rng.choice([1, 3]), *rng.integers(2, 5, 2)))
    return (_uneven_kernel(rng, side, in_channels, out_channels),)


def _uneven_kernel(rng: np.random.Generator, side: int, in_channels: int, out_channels: int) -> np.ndarray:
    """Channels of very different size; each weight at most 0.4 of a step beside a whole number of them."""
    shape = (side, side, in_channels, out_channels)
    whole = rng.integers(-120, 121, shape) + rng.uniform(-0.4, 0.4, shape)
    whole[0, 0, 0] = np.where(rng.random(out_channels) < 0.5, -127, 127)  # the largest, once
    return whole * 10.0 ** rng.uniform(-3, 0, out_channels)


QUANTIZE_KERNEL = Exercise(
    id="09.quantize_kernel",
    title="A scale for every channel",
    points=15,
    difficulty="medium",
    minutes=15,
    home="quantization.quantize_kernel",
    returns=("kernel", "scales"),
    compare=lambda value, expected: compare_parts(value, expected, ("kernel", "scales"), compare_by_type),
    fixed_cases=(
        (np.array([[[[1.27, 12.7], [0.637, -3.04]]]]),),
        (np.array([[[[127.0], [-63.2]]]]),),
        (np.array([[[[-2.54, 0.0], [1.012, 0.0]]]]),),
        (np.array([[[[12.7, 0.5], [-5.03, -0.25 / 1.27]], [[0.72, 0.1], [3.0, 0.05]]]]),),
        (_uneven_kernel(_RNG, 3, 2, 2),),
        (_uneven_kernel(_RNG, 3, 4, 3),),
        (_uneven_kernel(_RNG, 1, 2, 4),),
    ),
    draw=_draw_kernel,
    hints=(
        "For each output channel: which weight is the largest, sign aside? It becomes 127 or -127.",
        "np.abs(kernel).max(axis=(0, 1, 2)) is that weight of every output channel, (Cout,). Divided by 127 it is the "
        "channel's scale. A channel of zeros has the scale 1.",
        "largest = np.abs(kernel).max(axis=(0, 1, 2)); scales = np.where(largest > 0, largest / 127, 1); and the whole "
        "numbers are np.round(kernel / scales).astype(np.int8).",
    ),
    mutants=(
        Mutant(
            _per_tensor,
            "all channels have one scale. Each output channel should have its own.",
        ),
        Mutant(
            _per_channel_that_comes_in,
            "the scales belong to the channels that come in, axis 2. Each that goes out, the last axis, has its own.",
        ),
        Mutant(
            _kernel_by(largest=lambda kernel: np.maximum(kernel.max(axis=(0, 1, 2)), 1e-9)),
            "only weights above 0 were looked at. The largest may be one below 0: np.abs.",
        ),
        Mutant(
            _kernel_by(largest=lambda kernel: kernel.max(axis=(0, 1, 2)), whole=_in_int8),
            "only weights above 0 were looked at, and those below had no room in int8 then. The largest may be one "
            "below 0: np.abs.",
        ),
        Mutant(
            _per_pair_of_channels,
            "`max` went over rows and columns only, so each pair of channels has a scale. Only the output channels "
            "have one: let it go over three axes.",
        ),
        Mutant(
            _first_largest_then_steps,
            "the largest weight of each channel is 1 here. It should become 127: the scale is a 127th of it.",
        ),
        Mutant(
            _kernel_by(steps=128, whole=_in_int8),
            "the largest weight becomes 128, and came out as -128, for int8 ends at 127.",
        ),
        Mutant(
            _zeros_with_the_scale_of_ones,
            "a channel of zeros has the scale 1 / 127 here. It should be 1.",
        ),
        Mutant(
            lambda kernel: (quantize_kernel(kernel)[0] * quantize_kernel(kernel)[1], quantize_kernel(kernel)[1]),
            "these are the real numbers again, whole ones times their scales. Return the whole ones themselves.",
        ),
        Mutant(
            _the_other_way_round(quantize_kernel),
            "both are right, but in the other order: the whole numbers come first, then the scales.",
        ),
        Mutant(
            _kernel_by(largest=lambda kernel: np.ptp(kernel, axis=(0, 1, 2)) / 2),
            "this is half of the way from the least to the largest weight. Symmetric about 0, the largest of np.abs "
            "counts.",
        ),
        Mutant(
            _kernel_by(steps=128),
            "the largest weight becomes 128, which int8 has no room for. It should become 127.",
        ),
        Mutant(
            _kernel_by(steps=255),
            "the largest weight becomes 255: these are the steps from end to end. From 0 to an end there are 127.",
        ),
        Mutant(
            _kernel_by(whole=_cut_off),
            "what stands behind the point was cut off. Round: the nearest whole number is wanted.",
        ),
        Mutant(
            _kernel_by(whole=np.floor),
            "this rounds down. The nearest whole number is wanted.",
        ),
        Mutant(
            _kernel_by(whole=lambda x: np.clip(np.round(x) + 128, 0, 255)),
            "these begin at 0. Kernels are symmetric about 0 and have no zero point.",
        ),
        Mutant(
            _zeros_with_scale_zero,
            "a channel of zeros has the scale 0, and its weights are 0 / 0 then. Give it the scale 1.",
        ),
        Mutant(
            _steps_a_unit_each,
            "these are steps in 1, 127 / largest. The scale is how far one step goes.",
        ),
    ),
    errors=(
        (
            "operands could not be broadcast",
            "scales and kernel do not fit: one scale for each output channel, (Cout,), which is the kernel's last "
            "axis. Over which three axes does `max` go?",
        ),
    ),
)


# 09.fixed_point


def _exactly(value: Plain, expected: np.ndarray) -> Complaint | None:
    """As `compare_whole_numbers`, to the last bit: a multiplier of ten digits is nearly right with any last four."""
    if isinstance(value, tuple) or np.ndim(value) or not np.isfinite(value) or np.array_equal(value, expected):
        return compare_whole_numbers(value, expected)
    return Complaint((f"it should be {int(expected):,} exactly, and yours is {float(value):,.10g}",), kind="numbers")


def _compare_fixed_point(value: Plain, expected: np.ndarray) -> Complaint | None:
    return compare_parts(value, expected, ("multiplier", "shift"), _exactly)


def _exactly_the_same(a: Plain | None, b: Plain | None) -> bool:
    return a is not None and b is not None and np.array_equal(np.asarray(a), np.asarray(b))


_compare_fixed_point.same = _exactly_the_same  # type: ignore[attr-defined]


def _point(bits=31, rounded=round):
    """`fixed_point` with another number of bits, or another way to round."""

    def point(factor):
        mantissa, exponent = np.frexp(factor)
        return rounded(float(mantissa) * 2**bits), bits - int(exponent)

    return point


def _without_a_carry(factor):
    mantissa, exponent = np.frexp(factor)
    return round(float(mantissa) * 2**31), 31 - int(exponent)


def _carried_without_the_shift(factor):
    multiplier, shift = _without_a_carry(factor)
    return (multiplier // 2, shift) if multiplier == 2**31 else (multiplier, shift)


def _in_float32(factor):
    return fixed_point(float(np.float32(factor)))


def _shift_of_all(factor):
    return round(factor * 2**31), 31


def _shift_the_other_way(factor):
    multiplier, shift = fixed_point(factor)
    return multiplier, -shift


def _exponent_added(factor):
    mantissa, exponent = np.frexp(factor)
    return round(float(mantissa) * 2**31), 31 + int(exponent)


def _exponent_alone(factor):
    return fixed_point(factor)[0], -int(np.frexp(factor)[1])


def _as_many_zeros_as_there_are(factor):
    """The shift from the logarithm, rounded to the nearest."""
    shift = 31 - round(float(np.log2(factor)))
    return round(factor * 2**shift), shift


FIXED_POINT = Exercise(
    id="09.fixed_point",
    title="A factor without a point",
    points=15,
    difficulty="medium",
    minutes=15,
    home="quantization.fixed_point",
    returns=("multiplier", "shift"),
    compare=_compare_fixed_point,
    fixed_cases=(
        (0.75,),
        (0.3,),
        (0.25,),
        (0.5,),
        (0.001,),
        (1.0,),
        (1.7,),
        (7.3,),
        (2e-5,),
        (1 / 3,),
        (0.0007,),
        (1 - 2**-40,),
    ),
    draw=lambda rng: (float(10 ** rng.uniform(-6, 0.5)),),
    hints=(
        "np.frexp(12.0) gives (0.75, 4), for 12 = 0.75 · 2**4. What does it give for your factor?",
        "With factor = mantissa · 2**exponent the multiplier is mantissa · 2**31, rounded. By how much must its "
        "product be shifted back to the right?",
        "mantissa, exponent = np.frexp(factor); the multiplier is round(mantissa * 2**31), and the shift "
        "31 - exponent, both as int. If the multiplier has become 2**31, halve it, and shift one less.",
    ),
    mutants=(
        Mutant(
            _point(rounded=int),
            "the multiplier's fraction was cut off. Round: the nearest whole number is wanted.",
        ),
        Mutant(
            _point(bits=30),
            "the multiplier has 30 bits. It has room for one more: from 2**30 to 2**31 - 1.",
        ),
        Mutant(
            _point(bits=32),
            "the multiplier has 32 bits, and int32 has room for 31 and a sign.",
        ),
        Mutant(
            _point(bits=15),
            "the multiplier has 15 bits. The more it has, the closer it comes: 31 fit.",
        ),
        Mutant(
            _shift_of_all,
            "the shift is always 31, so a small factor keeps few bits. Let the multiplier use all of its 31: shift "
            "further.",
        ),
        Mutant(
            _shift_the_other_way,
            "the shift has the wrong sign. It says by how much the product goes to the *right*: factor = multiplier / "
            "2**shift.",
        ),
        Mutant(
            _exponent_added,
            "the exponent went into the shift with the wrong sign: a smaller factor has to be shifted further.",
        ),
        Mutant(
            _exponent_alone,
            "the shift takes back the exponent alone. The mantissa was multiplied with 2**31: take that back, too.",
        ),
        Mutant(
            _without_a_carry,
            "a mantissa just below 1 was rounded up to 2**31, which has no room in int32. Halve it then, and shift one "
            "less.",
        ),
        Mutant(
            _carried_without_the_shift,
            "a multiplier that was rounded up to 2**31 was halved, but the shift stayed: it is one less then.",
        ),
        Mutant(
            _in_float32,
            "the factor went through float32, which keeps 24 bits. Keep it in Python's floats or float64.",
        ),
        Mutant(
            _the_other_way_round(fixed_point),
            "both are right, but in the other order: the multiplier comes first, then the shift.",
        ),
        Mutant(
            _as_many_zeros_as_there_are,
            "the logarithm was rounded to the nearest: sometimes the multiplier has 31 bits, sometimes 32, which int32 "
            "has no room for.",
        ),
    ),
)


# 09.requantize


def _requantized(
    half=lambda shift: np.int64(1) << (shift - 1),
    product=lambda sums, multiplier: np.int64(sums) * np.int64(multiplier),
    finished=lambda whole, zero_point, low, high: np.clip(whole + zero_point, low, high),
):
    """`requantize` with another half, another product, or another end."""

    def requantized(sums, multiplier, shift, zero_point, low, high):
        shift = np.int64(shift)
        return finished((product(sums, multiplier) + half(shift)) >> shift, zero_point, low, high)

    return requantized


def _by_real_numbers(rounded):
    def requantized(sums, multiplier, shift, zero_point, low, high):
        real = sums * (multiplier / 2.0**shift)
        return np.clip(rounded(real).astype(np.int64) + zero_point, low, high)

    return requantized


def _away_from_zero(x):
    return np.sign(x) * np.floor(np.abs(x) + 0.5)


def _all_in_float32(sums, multiplier, shift, zero_point, low, high):
    real = np.float32(sums) * np.float32(multiplier) / np.float32(2) ** np.float32(shift)
    return np.clip(np.floor(real + np.float32(0.5)).astype(np.int64) + zero_point, low, high)


def _first_channel_for_all(sums, multiplier, shift, zero_point, low, high):
    return requantize(sums, multiplier[:1], shift[:1], zero_point, low, high)


def _shift_as_a_factor(sums, multiplier, shift, zero_point, low, high):
    whole = np.round(np.float64(sums) * multiplier / shift).astype(np.int64)
    return np.clip(whole + zero_point, low, high)


def _sums_of(factors: np.ndarray, rng: np.random.Generator, rows: int) -> np.ndarray:
    """Sums whose results lie in int8 and a bit outside."""
    sums: np.ndarray = np.round(rng.uniform(-200, 200, (rows, 3, len(factors))) / factors).astype(np.int32)
    return sums


def _scales(*factors: float) -> Arguments:
    multipliers, shifts = np.transpose([fixed_point(factor) for factor in factors])
    return multipliers, shifts


def _draw_sums(rng: np.random.Generator) -> Arguments:
    factors = 10 ** rng.uniform(-4, -1, 3)
    zero_point = int(rng.integers(-128, 50))
    low, high = (zero_point, 127) if rng.random() < 0.5 else (-128, 127)
    return _sums_of(factors, rng, 4), *_scales(*factors), zero_point, low, high


REQUANTIZE = Exercise(
    id="09.requantize",
    title="Back to eight bits",
    points=15,
    difficulty="medium",
    minutes=20,
    home="quantization.requantize",
    compare=compare_whole_numbers,
    fixed_cases=(
        (np.array([[100], [-100], [300]], np.int32), *_scales(0.25), 0, -128, 127),
        (np.array([[3], [7], [-3], [-7], [9]], np.int32), *_scales(0.3), 0, -128, 127),
        (np.array([[1], [3], [5], [-1], [-3], [-5]], np.int32), *_scales(0.5), 0, -128, 127),  # halves
        (np.array([[1], [3], [5]], np.int32), np.array([2**31 - 1]), np.array([32]), 0, -128, 127),  # hardly less
        (np.array([[1000], [-1000], [40]], np.int32), *_scales(0.3), 20, -128, 127),
        (np.array([[100, 100], [-100, -100]], np.int32), *_scales(0.3, 0.02), -5, -128, 127),
        (np.array([[-400], [-10], [10], [400]], np.int32), *_scales(0.3), -20, -20, 90),  # ReLU6
        (np.array([[2_000_000], [-2_000_000], [123_456]], np.int32), *_scales(5e-5), 3, -128, 127),
        (_sums_of(_row(0.01, 0.003, 0.0004), _RNG, 2), *_scales(0.01, 0.003, 0.0004), 4, -128, 127),
    ),
    draw=_draw_sums,
    hints=(
        "Shifting to the right by n divides by 2**n and rounds down. What has to be added first, so that it rounds to "
        "the nearest?",
        "Half of 2**shift: 1 << (shift - 1). The product has up to 62 bits, so make int64 of the sums first. Then add "
        "the zero point, then clip.",
        "product = sums.astype(np.int64) * multiplier; whole = (product + (1 << (shift - 1))) >> shift, with shift in "
        "int64; return np.clip(whole + zero_point, low, high).",
    ),
    mutants=(
        Mutant(
            _requantized(half=lambda shift: 0),
            "a shift to the right rounds down. Add half of what is divided by first, so that it goes to the nearest.",
        ),
        Mutant(
            _requantized(half=lambda shift: np.int64(1) << shift),
            "a whole was added before the shift, so all is one too large. A half of 2**shift is 1 << (shift - 1).",
        ),
        Mutant(
            _requantized(product=lambda sums, multiplier: np.multiply(np.int32(sums), np.int32(multiplier))),
            "the product had no room in 32 bits, and what is too much was lost. Make int64 of the sums first.",
        ),
        Mutant(
            _by_real_numbers(np.round),
            "all is right but for halves: np.round takes them to the even neighbour. Half added, then shifted to the "
            "right, they all go up.",
        ),
        Mutant(
            _by_real_numbers(_away_from_zero),
            "all is right but for halves below 0: -0.5 becomes 0, not -1. Half added, then shifted to the right, all "
            "halves go up.",
        ),
        Mutant(
            _by_real_numbers(_cut_off),
            "what stands behind the point was cut off, towards 0. The nearest whole number is wanted.",
        ),
        Mutant(
            _requantized(finished=lambda whole, zero_point, low, high: np.clip(whole, low, high)),
            "the zero point is left out, or was added before the shift, which takes it away again: a sum of 0 should "
            "become the zero point.",
        ),
        Mutant(
            _all_in_float32,
            "nearly right: in float32 a sum of 24 bits times a multiplier of 31 loses its last bits. Stay with whole "
            "numbers, in int64.",
        ),
        Mutant(
            _first_channel_for_all,
            "all channels were multiplied with the first one's multiplier. Each has its own: the last axis.",
        ),
        Mutant(
            _requantized(
                finished=lambda whole, zero_point, low, high: np.clip((whole + zero_point).astype(np.int8), low, high)
            ),
            "what had no room in int8 came out at its other end: clip first, and make int8 of it then.",
        ),
        Mutant(
            _requantized(finished=lambda whole, zero_point, low, high: np.clip(whole, low, high) + zero_point),
            "it was clipped first, and the zero point was added then. `low` and `high` are the ends of what comes out.",
        ),
        Mutant(
            _requantized(finished=lambda whole, zero_point, low, high: np.clip(whole - zero_point, low, high)),
            "the zero point was subtracted. The way back to whole numbers adds it.",
        ),
        Mutant(
            _requantized(finished=lambda whole, zero_point, low, high: np.clip(whole + zero_point, -128, 127)),
            "it was clipped to all of int8. `low` and `high` say where: there the activation cuts off.",
        ),
        Mutant(
            _requantized(finished=lambda whole, zero_point, low, high: whole + zero_point),
            "nothing was clipped: what lies beyond `low` and `high` becomes one of the two.",
        ),
        Mutant(
            _shift_as_a_factor,
            "the product was divided by the shift itself. To shift by n is to divide by 2**n.",
        ),
    ),
    errors=(
        (
            ("'float' and 'int'", "right_shift"),
            "only whole numbers can be shifted: make int64 of sums, multiplier and shift first.",
        ),
        (
            "operands could not be broadcast",
            "multiplier and shift are (Cout,), and NumPy lays them along the last axis of the sums by itself.",
        ),
    ),
)


# 09.conv2d_int8


def _convolved(
    moved=lambda q, zero_point: np.int64(q) - zero_point,
    convolve=conv2d,
    biased=lambda sums, bias: sums + bias,
):
    """`conv2d_int8` with another way to subtract the zero point, to convolve, or to add the bias."""

    def convolved(q, kernel, bias, zero_point, stride):
        sums = convolve(moved(q, zero_point), np.int64(kernel), stride)
        return biased(np.asarray(sums), bias).astype(np.int64)

    return convolved


def _padded(image, kernel, stride):
    """With the zeros that "same" padding takes."""
    rows, cols = (same_padding(side, kernel.shape[0], stride) for side in image.shape[:2])
    return np.pad(image, (rows, cols, (0, 0)))


def _windows(padded, kernel, stride):
    """(H', W', Cin, k, k): what the kernel lies on, at each place of the output."""
    side = kernel.shape[0]
    return np.lib.stride_tricks.sliding_window_view(padded, (side, side), axis=(0, 1))[::stride, ::stride]


def _valid(padded, kernel, stride):
    return np.einsum("yxcij,ijco->yxo", _windows(padded, kernel, stride), kernel)


def _padded_with_zeros_of_the_store(q, kernel, bias, zero_point, stride):
    return _valid(_padded(np.int64(q), kernel, stride) - zero_point, np.int64(kernel), stride) + bias


def _same_on_both_sides(image, kernel, stride):
    around = kernel.shape[0] // 2
    padded = np.pad(image, ((around, around), (around, around), (0, 0)))
    rows, cols = (-(-side // stride) for side in image.shape[:2])
    return _valid(padded, kernel, stride)[:rows, :cols]


def _in_sixteen_bits(q, kernel, bias, zero_point, stride):
    return np.int64(np.int16(conv2d_int8(q, kernel, bias, zero_point, stride) & 0xFFFF))


def _products_in_eight_bits(q, kernel, bias, zero_point, stride):
    """Each product keeps eight bits, as int8 times int8 does in NumPy."""
    windows = _windows(_padded(np.int64(q) - zero_point, kernel, stride), kernel, stride)
    products = windows.transpose(0, 1, 3, 4, 2)[..., None] * np.int64(kernel)
    return ((products + 128) % 256 - 128).sum(axis=(2, 3, 4)) + bias


def _draw_q(rng: np.random.Generator, height: int, width: int, channels: int) -> np.ndarray:
    return rng.integers(-128, 128, (height, width, channels), dtype=np.int8)


def _draw_whole(rng: np.random.Generator, side: int, in_channels: int, out_channels: int) -> Arguments:
    kernel = rng.integers(-127, 128, (side, side, in_channels, out_channels), dtype=np.int8)
    return kernel, rng.integers(-3000, 3000, out_channels, dtype=np.int32)


def _draw_convolution(rng: np.random.Generator) -> Arguments:
    height, width, in_channels, out_channels = (int(n) for n in rng.integers((4, 4, 2, 2), (8, 8, 4, 5)))
    kernel, bias = _draw_whole(rng, int(rng.choice([1, 3, 3])), in_channels, out_channels)
    zero_point = int(rng.integers(-128, 100))
    return _draw_q(rng, height, width, in_channels), kernel, bias, zero_point, int(rng.integers(1, 3))


CONV2D_INT8 = Exercise(
    id="09.conv2d_int8",
    title="A convolution in whole numbers",
    points=15,
    difficulty="hard",
    minutes=25,
    home="quantization.conv2d_int8",
    compare=compare_whole_numbers,
    fixed_cases=(
        (np.array([[[1], [2], [3]]], np.int8), np.array([[[[2]]]], np.int8), np.array([10], np.int32), 0, 1),
        (np.array([[[5], [6], [7]]], np.int8), np.array([[[[2]]]], np.int8), np.array([10], np.int32), 5, 1),
        (np.array([[[100], [-100]]], np.int8), np.array([[[[1]]]], np.int8), np.array([0], np.int32), -100, 1),
        (np.array([[[100], [-100]]], np.int8), np.array([[[[100]]]], np.int8), np.array([0], np.int32), 0, 1),
        (np.full((3, 3, 1), 7, np.int8), np.ones((3, 3, 1, 1), np.int8), np.array([0], np.int32), 7, 1),
        (np.full((4, 4, 1), 1, np.int8), np.ones((3, 3, 1, 1), np.int8), np.array([5], np.int32), -2, 2),
        (_draw_q(_RNG, 4, 5, 2), *_draw_whole(_RNG, 3, 2, 3), -128, 1),
        (_draw_q(_RNG, 6, 7, 3), *_draw_whole(_RNG, 3, 3, 2), 20, 2),
    ),
    draw=_draw_convolution,
    hints=(
        "Write it with lesson 3's conv2d: what has to happen to q before, and to the sums after it?",
        "Subtract the zero point first, but in more than eight bits: 100 - (-100) has no room in int8. Then the zeros "
        "that conv2d pads with are right.",
        "moved = q.astype(np.int32) - zero_point; conv2d(moved, kernel.astype(np.int32), stride) + bias.",
    ),
    mutants=(
        Mutant(
            _convolved(moved=lambda q, zero_point: np.int64(q)),
            "the zero point was not subtracted: q counts from there.",
        ),
        Mutant(
            _convolved(moved=lambda q, zero_point: np.int64(q) + zero_point),
            "the zero point was added. x = scale · (q - zero_point) subtracts it.",
        ),
        Mutant(
            _convolved(moved=lambda q, zero_point: (np.int64(q) - zero_point + 128) % 256 - 128),
            "q - zero_point had no room in eight bits and came out at the other end. Make int32 of q first.",
        ),
        Mutant(
            _products_in_eight_bits,
            "products had no room in eight bits, and what is too much was lost. Make int32 of q and of the kernel "
            "first.",
        ),
        Mutant(
            _in_sixteen_bits,
            "sums had no room in sixteen bits. A sum of many products needs 32.",
        ),
        Mutant(
            _padded_with_zeros_of_the_store,
            "the border is wrong: it was padded with q = 0, and that stands for -scale · zero_point. Subtract the zero "
            "point first, and pad then.",
        ),
        Mutant(
            _convolved(convolve=_same_on_both_sides),
            "the padding is the same on both sides. Lesson 3's `same_padding` puts the odd one after the image.",
        ),
        Mutant(
            _convolved(convolve=lambda image, kernel, stride: conv2d(image, kernel, 1)),
            "the stride is left out: every stride-th row and column has an output.",
        ),
        Mutant(
            _convolved(biased=lambda sums, bias: np.clip(sums + bias, -128, 127)),
            "the sums were clipped to eight bits. They keep 32; `requantize` brings them back.",
        ),
        Mutant(
            _convolved(biased=lambda sums, bias: sums),
            "the bias is left out.",
        ),
        Mutant(
            _convolved(biased=lambda sums, bias: sums - bias),
            "the bias was subtracted. It is added.",
        ),
        Mutant(
            _convolved(biased=lambda sums, bias: np.maximum(sums + bias, 0)),
            "what is below 0 was cut off. The activation comes later, with `requantize`.",
        ),
        Mutant(
            _convolved(convolve=lambda image, kernel, stride: conv2d(image, kernel[::-1, ::-1], stride)),
            "the kernel is turned upside down. Networks lay it over the picture as it is.",
        ),
    ),
    errors=(
        (
            "OverflowError",
            "a number has no room in eight bits: make int32 of q before the zero point is subtracted.",
        ),
        (
            "UFuncTypeError",
            "a result has no room in its array's type: make int32 of q and of the kernel first.",
        ),
    ),
)


EXERCISES = (
    FOLD_BATCH_NORM,
    QUANTIZATION_PARAMETERS,
    QUANTIZE,
    QUANTIZE_KERNEL,
    FIXED_POINT,
    REQUANTIZE,
    CONV2D_INT8,
)

ALLOWED = ("quantization.least_error_range",)
