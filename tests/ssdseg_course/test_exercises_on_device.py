"""Lesson 9's exercises take every honest answer, and have words for the mistakes that people make."""

import math

import numpy as np
import tensorflow as tf
from answers import assert_passes, assert_told, every_mistake, every_variant, exercises_of

from ssdseg_ref.convolution import conv2d
from ssdseg_ref.quantization import fixed_point, quantize_kernel

# Right answers, written in another way


def fold_channel_by_channel(kernel, gamma, beta, mean, variance, epsilon):
    folded, bias = np.array(kernel), []
    for channel in range(kernel.shape[-1]):
        deviation = math.sqrt(variance[channel] + epsilon)
        folded[..., channel] = kernel[..., channel] / deviation * gamma[channel]
        bias.append(beta[channel] - gamma[channel] * mean[channel] / deviation)
    return folded, bias


def fold_by_what_it_gives(kernel, gamma, beta, mean, variance, epsilon):
    """The normalisation of zeros is the bias, and what a kernel of its own adds is the rest."""

    def normalised(y):
        return (y - mean) / (variance + epsilon) ** 0.5 * gamma + beta

    bias = normalised(np.zeros_like(mean))
    return [normalised(kernel) - bias, bias]


def fold_tensors(kernel, gamma, beta, mean, variance, epsilon):
    factor = tf.cast(gamma, tf.float32) * tf.math.rsqrt(tf.cast(variance, tf.float32) + epsilon)
    return tf.cast(kernel, tf.float32) * factor, tf.cast(beta, tf.float32) - tf.cast(mean, tf.float32) * factor


def parameters_in_numpy(low, high, bits):
    least, largest = -(1 << bits - 1), (1 << bits - 1) - 1
    low, high = np.minimum(low, 0), np.maximum(high, 0)
    scale = (high - low) / (largest - least)
    return np.array([scale, np.rint(least - low / scale)])


def parameters_by_cases(low, high, bits):
    if low > 0:
        low = 0
    elif high < 0:
        high = 0
    scale = (high - low) / (2**bits - 1)
    return [scale, math.floor(-(2 ** (bits - 1)) - low / scale + 0.5)]


def parameters_from_above(low, high, bits):
    low, high = min(low, 0), max(high, 0)
    scale = (high - low) / (2**bits - 1)
    return np.float32(scale), np.int8(round(2 ** (bits - 1) - 1 - high / scale))


def quantize_number_by_number(x, scale, zero_point, bits):
    least, largest = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1
    q = np.zeros(x.shape, int)
    for place in np.ndindex(*x.shape):
        q[place] = min(max(round(float(x[place]) / scale) + zero_point, least), largest)
    return q


def quantize_by_floor(x, scale, zero_point, bits):
    q = np.floor(x / scale + zero_point + 0.5)
    return np.minimum(np.maximum(q, -(2 ** (bits - 1))), 2 ** (bits - 1) - 1).astype(np.int8)


def quantize_a_tensor(x, scale, zero_point, bits):
    q = tf.cast(tf.round(tf.cast(x, tf.float32) / scale), tf.int32) + zero_point
    return tf.clip_by_value(q, -(2 ** (bits - 1)), 2 ** (bits - 1) - 1)


def kernel_channel_by_channel(kernel):
    whole, scales = np.zeros(kernel.shape, np.int8), []
    for channel in range(kernel.shape[3]):
        weights = kernel[..., channel]
        scale = max(abs(weights.min()), abs(weights.max())) / 127
        if scale == 0:
            scale = 1
        scales.append(scale)
        whole[..., channel] = np.rint(weights / scale)
    return whole, scales


def kernel_in_rows(kernel):
    rows = kernel.reshape(-1, kernel.shape[-1])
    largest = np.linalg.norm(rows, np.inf, axis=0) if rows.shape[1] == 1 else np.max(np.abs(rows), axis=0)
    scales = np.where(largest == 0, 127.0, largest) / 127
    return (np.round(rows / scales).reshape(kernel.shape)).astype(int), scales


def point_by_halving(factor):
    shift = 0
    while factor < 2**30 or round(factor) < 2**30:
        factor *= 2
        shift += 1
    return (round(factor), shift) if round(factor) < 2**31 else (2**30, shift - 1)


def point_by_logarithm(factor):
    shift = 30 - math.floor(math.log2(factor))
    multiplier = int(np.round(factor * 2.0**shift))
    while multiplier >= 2**31:
        multiplier, shift = multiplier // 2, shift - 1
    return multiplier, shift


def point_by_math(factor):
    mantissa, exponent = math.frexp(factor)
    multiplier = np.int64(np.rint(mantissa * (1 << 31)))
    carry = multiplier >> 31
    return multiplier >> carry, np.int64(31 - exponent) - carry


def requantize_in_python(sums, multiplier, shift, zero_point, low, high):
    """Python's whole numbers have all the room there is."""
    q = np.zeros(sums.shape, int)
    for place in np.ndindex(*sums.shape):
        m, n = int(multiplier[place[-1]]), int(shift[place[-1]])
        q[place] = min(max((int(sums[place]) * m + 2 ** (n - 1) >> n) + zero_point, low), high)
    return q


def requantize_by_division(sums, multiplier, shift, zero_point, low, high):
    whole = (2 * sums.astype(np.int64) * multiplier + 2**shift) // (2 * 2**shift)
    return np.clip(whole + zero_point, low, high).astype(np.int8)


def requantize_by_floor(sums, multiplier, shift, zero_point, low, high):
    real = np.float64(sums) * multiplier / 2.0**shift
    return np.int32(np.minimum(np.maximum(np.floor(real + 0.5) + zero_point, low), high))


def convolve_by_loops(q, kernel, bias, zero_point, stride):
    side = kernel.shape[0]
    rows, cols = (-(-size // stride) for size in q.shape[:2])
    before = [max((n - 1) * stride + side - size, 0) // 2 for n, size in zip((rows, cols), q.shape[:2], strict=True)]
    sums = np.zeros((rows, cols, kernel.shape[3]), np.int32)
    for y, x, o in np.ndindex(*sums.shape):
        total = int(bias[o])
        for i in range(side):
            for j in range(side):
                row, col = y * stride + i - before[0], x * stride + j - before[1]
                if 0 <= row < q.shape[0] and 0 <= col < q.shape[1]:
                    total += sum(
                        (int(a) - zero_point) * int(w) for a, w in zip(q[row, col], kernel[i, j, :, o], strict=True)
                    )
        sums[y, x, o] = total
    return sums


def convolve_in_float64(q, kernel, bias, zero_point, stride):
    """Float64 has room for whole numbers of 53 bits."""
    return np.rint(conv2d(np.float64(q) - zero_point, np.float64(kernel), stride) + bias).astype(int)


def convolve_by_a_correction(q, kernel, bias, zero_point, stride):
    """The zero point taken out of the sums: what a map of zero points would give."""
    wide, weights = np.int64(q), np.int64(kernel)
    return conv2d(wide, weights, stride) - conv2d(np.full_like(wide, zero_point), weights, stride) + bias


def convolve_by_tensorflow(q, kernel, bias, zero_point, stride):
    moved = tf.cast(q, tf.float64)[None] - zero_point
    return tf.cast(tf.nn.conv2d(moved, tf.cast(kernel, tf.float64), stride, "SAME")[0] + bias, tf.int32)


HONEST = {
    "09.fold_batch_norm": (fold_channel_by_channel, fold_by_what_it_gives, fold_tensors),
    "09.quantization_parameters": (parameters_in_numpy, parameters_by_cases, parameters_from_above),
    "09.quantize": (quantize_number_by_number, quantize_by_floor, quantize_a_tensor),
    "09.quantize_kernel": (kernel_channel_by_channel, kernel_in_rows),
    "09.fixed_point": (point_by_halving, point_by_logarithm, point_by_math),
    "09.requantize": (requantize_in_python, requantize_by_division, requantize_by_floor),
    "09.conv2d_int8": (convolve_by_loops, convolve_in_float64, convolve_by_a_correction, convolve_by_tensorflow),
}


@every_variant(HONEST)
def test_an_honest_answer_written_in_another_way_passes(exercise, variant):
    assert_passes(exercise, variant)


def test_every_exercise_has_honest_variants():
    assert set(HONEST) == exercises_of("09")


# Mistakes as people write them


def mean_left_alone(kernel, gamma, beta, mean, variance, epsilon):
    factor = gamma / np.sqrt(variance + epsilon)
    return kernel * factor, beta - mean


def kernel_only(kernel, gamma, beta, mean, variance, epsilon):
    return kernel * (gamma / np.sqrt(variance + epsilon))


def range_as_it_is(low, high, bits):
    scale = (high - low) / (2**bits - 1)
    return scale, round(-(2 ** (bits - 1)) - low / scale)


def of_eight_bits(low, high, bits):
    low, high = min(low, 0), max(high, 0)
    scale = (high - low) / 255
    return scale, round(-128 - low / scale)


def unsigned(low, high, bits):
    low, high = min(low, 0), max(high, 0)
    scale = (high - low) / (2**bits - 1)
    return scale, round(-low / scale)


def straight_to_int8(x, scale, zero_point, bits):
    return (np.round(x / scale) + zero_point).astype(np.int64).astype(np.int8)


def left_as_floats(x, scale, zero_point, bits):
    return np.clip(np.round(x / scale) + zero_point, -(2 ** (bits - 1)), 2 ** (bits - 1) - 1)


def no_rounding(x, scale, zero_point, bits):
    return np.clip(x / scale + zero_point, -(2 ** (bits - 1)), 2 ** (bits - 1) - 1).astype(np.int8)


def scales_kept_in_four_axes(kernel):
    scales = np.maximum(np.abs(kernel).max(axis=(0, 1, 2), keepdims=True), 1e-12) / 127
    return np.round(kernel / scales).astype(np.int8), scales


def whole_in_floats(kernel):
    whole, scales = quantize_kernel(kernel)
    return whole.astype(float), scales


def mantissa_as_it_is(factor):
    return np.frexp(factor)


def shift_first(factor):
    return fixed_point(factor)[::-1]


def nearly_right(factor):
    multiplier, shift = fixed_point(factor)
    return multiplier + 100_000, shift


def sums_of_32_bits(sums, multiplier, shift, zero_point, low, high):
    product = sums * multiplier.astype(np.int32)
    return np.clip((product + (1 << (shift - 1)) >> shift) + zero_point, low, high)


def shifted_only(sums, multiplier, shift, zero_point, low, high):
    return np.clip((sums.astype(np.int64) * multiplier >> shift) + zero_point, low, high)


def numpy_rounds(sums, multiplier, shift, zero_point, low, high):
    return np.clip(np.round(sums * multiplier / 2.0**shift).astype(int) + zero_point, low, high)


def in_float32(sums, multiplier, shift, zero_point, low, high):
    real = sums.astype(np.float32) * (multiplier / 2.0**shift).astype(np.float32)
    return np.clip(np.floor(real + np.float32(0.5)).astype(int) + zero_point, low, high)


def moved_in_eight_bits(q, kernel, bias, zero_point, stride):
    return conv2d((q - np.int8(zero_point)).astype(int), kernel.astype(int), stride) + bias


def moved_behind_the_padding(q, kernel, bias, zero_point, stride):
    wide, weights = q.astype(int), kernel.astype(int)
    return conv2d(wide, weights, stride) - zero_point * weights.sum(axis=(0, 1, 2)) + bias


def sums_as_floats(q, kernel, bias, zero_point, stride):
    return conv2d(q.astype(float) - zero_point, kernel.astype(float), stride) + bias


MISTAKES = {
    "09.fold_batch_norm": (
        (mean_left_alone, "goes through the factor"),
        (kernel_only, "it should return 2 things, kernel and bias"),
    ),
    "09.quantization_parameters": (
        (range_as_it_is, "so 0 has to be in it"),
        (of_eight_bits, "bits=4"),
        (unsigned, "whole numbers from 0 on"),
    ),
    "09.quantize": (
        (straight_to_int8, "came out at its other end"),
        (left_as_floats, "it should be whole numbers in type, too"),
        (no_rounding, "cut off at the end"),
    ),
    "09.quantize_kernel": (
        (scales_kept_in_four_axes, "scales: it should be an array of shape"),
        (whole_in_floats, "kernel: its value is right, but it should be whole numbers in type"),
    ),
    "09.fixed_point": (
        (mantissa_as_it_is, "multiplier"),
        (shift_first, "in the other order"),
        (nearly_right, "it should be 1,610,612,736 exactly, and yours is 1,610,712,736"),
    ),
    "09.requantize": (
        (sums_of_32_bits, "no room in 32 bits"),
        (shifted_only, "Add half of what is divided by first"),
        (numpy_rounds, "all is right but for halves"),
        (in_float32, "in float32"),
    ),
    "09.conv2d_int8": (
        (moved_in_eight_bits, "no room in eight bits"),
        (moved_behind_the_padding, "the border is wrong"),
        (sums_as_floats, "it should be whole numbers in type, too"),
    ),
}


@every_mistake(MISTAKES)
def test_a_mistake_as_people_write_it_gets_the_sentence_that_helps(exercise, mistake, sentence):
    assert_told(exercise, mistake, sentence)
