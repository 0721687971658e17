"""Lesson 3: right answers that are written in another way. Every one must pass."""

import math

import keras
import numpy as np
import pytest
from answers import assert_passes, every_variant, exercises_of, report_on, words
from numpy.lib.stride_tricks import sliding_window_view

from ssdseg_course import EXERCISES
from ssdseg_ref.convolution import conv2d, conv_cost


def as_a_tensor(values):
    class Tensor:
        def __array__(self, dtype=None, copy=None):
            return np.array(values, np.float32)

    return Tensor()


def pointwise_by_loops(image, kernel):
    height, width, in_channels = image.shape
    output = []
    for y in range(height):
        output.append([])
        for x in range(width):
            pixel = [0.0] * kernel.shape[3]
            for o in range(kernel.shape[3]):
                for c in range(in_channels):
                    pixel[o] += float(image[y, x, c]) * float(kernel[0, 0, c, o])
            output[-1].append(pixel)
    return output


def pointwise_by_einsum(image, kernel):
    return np.einsum("yxc,co->yxo", np.float64(image), kernel[0, 0])


def pointwise_as_a_tensor(image, kernel):
    return as_a_tensor(np.tensordot(image, np.squeeze(kernel, (0, 1)), 1))


def pointwise_by_keras(image, kernel):
    return keras.ops.conv(image[None], kernel)[0]


def padding_by_ceil(side, kernel_size, stride, dilation):
    outputs = math.ceil(side / stride)
    reach = kernel_size + (kernel_size - 1) * (dilation - 1)
    missing = max(0, stride * (outputs - 1) + reach - side)
    before = int(missing / 2)
    return [before, missing - before]


def padding_by_cases(side, kernel_size, stride, dilation):
    """The rule as TensorFlow's guide has it, by the rest of the division."""
    reach = (kernel_size - 1) * dilation + 1
    missing = reach - (side % stride or stride)
    return np.array([np.floor(missing / 2), np.ceil(missing / 2)]) if missing > 0 else np.zeros(2)


def padding_by_counting(side, kernel_size, stride, dilation):
    places = {y + i * dilation for y in range(0, side, stride) for i in range(kernel_size)}
    missing = max(max(places) + 1 - side, 0)
    return missing // 2, (missing + 1) // 2


def padded_for(image, kernel_size, stride, dilation):
    widths = [padding_by_ceil(side, kernel_size, stride, dilation) for side in image.shape[:2]]
    return np.pad(image, (*widths, (0, 0)))


def loops_over_everything(image, kernel, stride, dilation):
    k, _, in_channels, out_channels = kernel.shape
    rows, cols = (math.ceil(side / stride) for side in image.shape[:2])
    padded = padded_for(image, k, stride, dilation)
    output = np.zeros((rows, cols, out_channels))
    for y in range(rows):
        for x in range(cols):
            for o in range(out_channels):
                for i in range(k):
                    for j in range(k):
                        for c in range(in_channels):
                            pixel = padded[y * stride + i * dilation, x * stride + j * dilation, c]
                            output[y, x, o] += pixel * kernel[i, j, c, o]
    return output


def loops_without_padding(image, kernel, stride, dilation):
    """Never pads: leaves out the taps that lie outside of the image."""
    k = kernel.shape[0]
    height, width, _ = image.shape
    (top, _), (left, _) = (padding_by_cases(side, k, stride, dilation) for side in (height, width))
    output = []
    for y in range(-int(top), height - int(top), stride):
        output.append([])
        for x in range(-int(left), width - int(left), stride):
            total = np.zeros(kernel.shape[3])
            for i in range(k):
                for j in range(k):
                    row, col = y + i * dilation, x + j * dilation
                    if 0 <= row < height and 0 <= col < width:
                        total += image[row, col] @ kernel[i, j]
            output[-1].append(total.tolist())
    return output


def loops_over_windows(image, kernel, stride, dilation):
    k = kernel.shape[0]
    padded = padded_for(image, k, stride, dilation)
    reach = dilation * (k - 1) + 1
    starts = [range(0, side, stride) for side in image.shape[:2]]
    windows = [[padded[y : y + reach : dilation, x : x + reach : dilation] for x in starts[1]] for y in starts[0]]
    return [[(window[..., None] * kernel).sum(axis=(0, 1, 2)) for window in row] for row in windows]


def taps_in_float64(image, kernel, stride, dilation):
    padded = padded_for(np.float64(image), kernel.shape[0], stride, dilation)
    rows, cols = (-(-side // stride) for side in image.shape[:2])
    output = 0
    for i, j in np.ndindex(*kernel.shape[:2]):
        shifted = padded[i * dilation :, j * dilation :][::stride, ::stride][:rows, :cols]
        output = output + shifted @ kernel[i, j]
    return output


def by_windows(image, kernel, stride, dilation):
    k = kernel.shape[0]
    reach = dilation * (k - 1) + 1
    windows = sliding_window_view(padded_for(image, k, stride, dilation), (reach, reach), axis=(0, 1))
    return np.einsum("yxcij,ijco->yxo", windows[::stride, ::stride, :, ::dilation, ::dilation], kernel)


def by_one_matrix(image, kernel, stride, dilation):
    """All windows as the rows of one matrix, as libraries often do it ("im2col")."""
    k, _, in_channels, out_channels = kernel.shape
    y, x = (np.arange(0, side, stride) for side in image.shape[:2])
    taps = np.arange(k) * dilation
    padded = padded_for(image, k, stride, dilation)
    windows = padded[(y[:, None] + taps)[:, None, :, None], (x[:, None] + taps)[None, :, None, :]]
    product = windows.reshape(-1, k * k * in_channels) @ kernel.reshape(-1, out_channels)
    return as_a_tensor(product.reshape(len(y), len(x), out_channels))


def by_keras(image, kernel, stride, dilation):
    return keras.ops.conv(image[None], kernel, stride, "same", dilation_rate=dilation)[0]


def depthwise_by_loops(image, kernel, stride, dilation):
    channels = []
    for c in range(kernel.shape[2]):
        for m in range(kernel.shape[3]):
            alone = loops_over_windows(image[..., c : c + 1], kernel[:, :, c : c + 1, m : m + 1], stride, dilation)
            channels.append(np.array(alone)[..., 0])
    return np.stack(channels, axis=-1)


def depthwise_by_taps(image, kernel, stride, dilation):
    k, _, channels, multiplier = kernel.shape
    padded = np.repeat(padded_for(image, k, stride, dilation), multiplier, axis=2)
    weights = kernel.reshape(k, k, channels * multiplier)
    rows, cols = (-(-side // stride) for side in image.shape[:2])
    output = np.zeros((rows, cols, channels * multiplier), np.float32)
    for i in range(k):
        for j in range(k):
            output += padded[i * dilation :: stride, j * dilation :: stride][:rows, :cols] * weights[i, j]
    return output


def depthwise_by_a_diagonal(image, kernel, stride, dilation):
    k, _, channels, multiplier = kernel.shape
    full = np.einsum("ijcm,cd->ijdcm", kernel, np.eye(channels)).reshape(k, k, channels, channels * multiplier)
    return by_windows(image, full, stride, dilation)


def depthwise_by_keras(image, kernel, stride, dilation):
    return keras.ops.depthwise_conv(image[None], kernel, stride, "same", dilation_rate=dilation)[0]


def separable_by_parts(image, depthwise_kernel, pointwise_kernel, stride, dilation):
    filtered = depthwise_by_taps(image, depthwise_kernel, stride, dilation)
    return pointwise_by_einsum(filtered, pointwise_kernel).tolist()


def separable_as_one_kernel(image, depthwise_kernel, pointwise_kernel, stride, dilation):
    *_, channels, multiplier = depthwise_kernel.shape
    mixes = pointwise_kernel.reshape(channels, multiplier, -1)
    return by_windows(image, np.einsum("ijcm,cmo->ijco", depthwise_kernel, mixes), stride, dilation)


def separable_by_keras(image, depthwise_kernel, pointwise_kernel, stride, dilation):
    kernels = (depthwise_kernel, pointwise_kernel)
    return keras.ops.separable_conv(image[None], *kernels, stride, "same", dilation_rate=dilation)[0]


def cost_by_shapes(kind, size, kernel_size, in_channels, out_channels, stride):
    square = (kernel_size, kernel_size)
    shapes = {
        "standard": [(*square, in_channels, out_channels)],
        "depthwise": [(*square, in_channels, out_channels // in_channels)],
        "pointwise": [(1, 1, in_channels, out_channels)],
        "separable": [(*square, in_channels, 1), (1, 1, in_channels, out_channels)],
    }[kind]
    parameters = sum(math.prod(shape) for shape in shapes)
    return [parameters, parameters * math.ceil(size[0] / stride) * math.ceil(size[1] / stride)]


def cost_in_floats(*arguments):
    parameters, multiply_adds = cost_by_shapes(*arguments)
    return np.array([parameters, multiply_adds], np.float32)


def cost_by_keras(kind, size, kernel_size, in_channels, out_channels, stride):
    """What Keras itself counts: the layer's parameters, and each of them once at each pixel that it gives."""
    steps = {"strides": stride, "padding": "same", "use_bias": False}
    layer = {
        "standard": lambda: keras.layers.Conv2D(out_channels, kernel_size, **steps),
        "depthwise": lambda: keras.layers.DepthwiseConv2D(
            kernel_size, depth_multiplier=out_channels // in_channels, **steps
        ),
        "pointwise": lambda: keras.layers.Conv2D(out_channels, 1, **steps),
        "separable": lambda: keras.layers.SeparableConv2D(out_channels, kernel_size, **steps),
    }[kind]()
    layer.build((1, *size, in_channels))
    _, rows, cols, _ = layer.compute_output_shape((1, *size, in_channels))
    return layer.count_params(), layer.count_params() * rows * cols


HONEST = {
    "03.pointwise_conv2d": (
        pointwise_by_loops,
        pointwise_by_einsum,
        pointwise_as_a_tensor,
        pointwise_by_keras,
    ),
    "03.same_padding": (padding_by_ceil, padding_by_cases, padding_by_counting),
    "03.conv2d_loops": (
        loops_over_everything,
        loops_without_padding,
        loops_over_windows,
        taps_in_float64,
        by_keras,
    ),
    "03.conv2d": (taps_in_float64, by_windows, by_one_matrix, loops_over_everything, by_keras),
    "03.depthwise_conv2d": (
        depthwise_by_loops,
        depthwise_by_taps,
        depthwise_by_a_diagonal,
        depthwise_by_keras,
    ),
    "03.separable_conv2d": (separable_by_parts, separable_as_one_kernel, separable_by_keras),
    "03.conv_cost": (cost_by_shapes, cost_in_floats, cost_by_keras),
}


@every_variant(HONEST)
def test_an_honest_variant_passes(exercise, variant):
    assert_passes(exercise, variant)


def test_every_exercise_has_honest_variants():
    assert set(HONEST) == exercises_of("03")


@pytest.mark.parametrize("exercise_id", ["03.conv2d_loops", "03.conv2d", "03.depthwise_conv2d"])
def test_the_cases_try_odd_and_even_sides_with_every_stride_and_dilation(exercise_id):
    always = EXERCISES[exercise_id].fixed_cases
    seen = {(kernel.shape[0], stride, dilation) for _, kernel, stride, dilation in always}
    assert {stride for _, stride, _ in seen} == {dilation for _, _, dilation in seen} == {1, 2, 3}
    assert {kernel_size % 2 for kernel_size, _, _ in seen} == {0, 1}
    assert {side % 2 for image, _, stride, _ in always if stride == 2 for side in image.shape[:2]} == {0, 1}
    for *_, stride, dilation in EXERCISES[exercise_id].cases(seed=0):
        assert 1 in (stride, dilation), "Keras refuses both at once"


def test_a_border_that_is_wrong_is_called_a_border():
    def forgets_the_last_column(image, kernel, stride, dilation):
        output = conv2d(image, kernel, stride, dilation)
        if output.shape == (4, 5, 3):
            output[:, -1] += 1
        return output

    report = report_on(EXERCISES["03.conv2d"], forgets_the_last_column)
    assert "the pixel in row 0, column 4 should be" in words(report)
    assert "4 of 20 pixels differ, all of them at the border" in words(report)


def test_a_kernel_of_many_numbers_is_told_by_its_shape():
    def forgets_the_dilation(image, kernel, stride, dilation):
        return conv2d(image, kernel, stride)

    report = words(report_on(EXERCISES["03.conv2d"], forgets_the_dilation))
    assert "kernel=<an array of shape (3, 3, 2, 3)>, stride=1, dilation=2" in report


def test_of_two_numbers_the_right_one_is_called_right():
    def forgets_the_places(*arguments):
        return conv_cost(*arguments).parameters, 0

    report = words(report_on(EXERCISES["03.conv_cost"], forgets_the_places))
    assert "parameters: 90 is right multiply-adds: should be 2,160, yours is 0" in report
