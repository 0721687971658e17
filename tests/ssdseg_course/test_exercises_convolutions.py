"""Lesson 3: right answers that are written in another way. Every one must pass."""

import math

import keras
import numpy as np
import pytest
from answers import (
    assert_passes,
    assert_told,
    every_mistake,
    every_variant,
    exercises_of,
    report_on,
    report_on_fixed_cases,
    words,
)
from numpy.lib.stride_tricks import sliding_window_view

from ssdseg_course import EXERCISES
from ssdseg_ref.convolution import conv2d, conv_cost, depthwise_conv2d, same_padding


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
    return keras.ops.conv(np.float32(image[None]), kernel)[0]


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
    return np.int64([np.floor(missing / 2), np.ceil(missing / 2)]) if missing > 0 else np.zeros(2, int)


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


def rolled_in_a_padded_picture(image, kernel, stride, dilation):
    """`np.roll` loses nothing where zeros enough stand behind the picture."""
    padded = padded_for(image, kernel.shape[0], stride, dilation)
    output = np.zeros((*padded.shape[:2], kernel.shape[3]))
    for i, j in np.ndindex(*kernel.shape[:2]):
        output += np.roll(padded, (-i * dilation, -j * dilation), (0, 1)) @ kernel[i, j]
    rows, cols = (-(-side // stride) for side in image.shape[:2])
    return output[::stride, ::stride][:rows, :cols]


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
    return keras.ops.conv(np.float32(image[None]), kernel, stride, "same", dilation_rate=dilation)[0]


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
    return keras.ops.depthwise_conv(np.float32(image[None]), kernel, stride, "same", dilation_rate=dilation)[0]


def separable_by_parts(image, depthwise_kernel, pointwise_kernel, stride, dilation):
    filtered = depthwise_by_taps(image, depthwise_kernel, stride, dilation)
    return pointwise_by_einsum(filtered, pointwise_kernel).tolist()


def separable_as_one_kernel(image, depthwise_kernel, pointwise_kernel, stride, dilation):
    *_, channels, multiplier = depthwise_kernel.shape
    mixes = pointwise_kernel.reshape(channels, multiplier, -1)
    return by_windows(image, np.einsum("ijcm,cmo->ijco", depthwise_kernel, mixes), stride, dilation)


def separable_by_keras(image, depthwise_kernel, pointwise_kernel, stride, dilation):
    kernels = (depthwise_kernel, pointwise_kernel)
    return keras.ops.separable_conv(np.float32(image[None]), *kernels, stride, "same", dilation_rate=dilation)[0]


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
    "03.pointwise_conv2d": (pointwise_by_loops, pointwise_by_einsum, pointwise_as_a_tensor),
    "03.same_padding": (padding_by_ceil, padding_by_cases, padding_by_counting),
    "03.conv2d_loops": (
        loops_over_everything,
        loops_without_padding,
        loops_over_windows,
        taps_in_float64,
        rolled_in_a_padded_picture,
    ),
    "03.conv2d": (taps_in_float64, by_windows, by_one_matrix, loops_over_everything, rolled_in_a_padded_picture),
    "03.depthwise_conv2d": (depthwise_by_loops, depthwise_by_taps, depthwise_by_a_diagonal),
    "03.separable_conv2d": (separable_by_parts, separable_as_one_kernel),
    "03.conv_cost": (cost_by_shapes, cost_in_floats),
}
BY_KERAS = {  # slow, so that they see the fixed cases alone
    "03.pointwise_conv2d": (pointwise_by_keras,),
    "03.conv2d_loops": (by_keras,),
    "03.conv2d": (by_keras,),
    "03.depthwise_conv2d": (depthwise_by_keras,),
    "03.separable_conv2d": (separable_by_keras,),
    "03.conv_cost": (cost_by_keras,),
}


@every_variant(HONEST)
def test_an_honest_variant_passes(exercise, variant):
    assert_passes(exercise, variant)


@every_variant(BY_KERAS)
def test_what_keras_itself_computes_passes(exercise, variant):
    report = report_on_fixed_cases(exercise, variant)
    assert report.passed, report


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


def test_a_kernel_of_one_tap_is_printed_as_rows_of_taps():
    def forgets_the_last_tap(image, kernel, stride, dilation):
        return conv2d(image, kernel, stride, dilation) * 0

    report = words(report_on(EXERCISES["03.conv2d"], forgets_the_last_tap))
    assert "image=[[1, 2, 3], [4, 5, 6], [7, 8, 9]] of shape (3, 3, 1), " in report
    assert "kernel=[[0, 0, 0], [0, 0, 1], [0, 0, 0]] of shape (3, 3, 1, 1), stride=1, dilation=1" in report


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


@pytest.mark.parametrize(
    ("exercise_id", "names", "answer", "yours"),
    [
        ("03.same_padding", "before, after", 3, "one number"),
        ("03.same_padding", "before, after", [1, 2, 3], "an array of shape (3,)"),
        ("03.conv_cost", "parameters, multiply-adds", 90, "one number"),
        ("03.conv_cost", "parameters, multiply-adds", [[90], [1, 2]], "a list of 2 that cannot be made one array"),
    ],
)
def test_what_is_no_pair_is_told_which_pair_it_should_be(exercise_id, names, answer, yours):
    report = words(report_on(EXERCISES[exercise_id], lambda *arguments: answer))
    assert f"it should be 2 numbers, ({names}), and yours is {yours}" in report


# Mistakes, written as people write them: what the mutants say has to fit these too


def k_half(side, kernel_size, stride, dilation):
    return kernel_size // 2, kernel_size // 2


def rounded_up_twice(side, kernel_size, stride, dilation):
    missing = sum(same_padding(side, kernel_size, stride, dilation))
    return -(-missing // 2), -(-missing // 2)


def rounded_down_twice(side, kernel_size, stride, dilation):
    missing = sum(same_padding(side, kernel_size, stride, dilation))
    return missing // 2, missing // 2


def nothing(*sides):
    return 0, 0


def in_floats(*sides):
    before, after = same_padding(*sides)
    return before / 1, after / 1


def output_size(image, stride):
    return tuple(-(-side // stride) for side in image.shape[:2])


def padded_by(padding, image, kernel, stride, dilation):
    widths = [padding(side, kernel.shape[0], stride, dilation) for side in image.shape[:2]]
    return np.pad(image, (*widths, (0, 0)))


def loops(padding=same_padding, size=output_size, apart=None, pad=None):
    """`conv2d_loops`, window by window, with one mistake.

    Args:
        padding: in place of `same_padding`.
        size: (rows, cols) of the output, of the image and the stride.
        apart: distance of the taps, in place of the dilation.
        pad: makes the padded image; by default with `padding`.
    """

    def convolution(image, kernel, stride, dilation):
        padded = pad(image, kernel, stride, dilation) if pad else padded_by(padding, image, kernel, stride, dilation)
        gap = apart or dilation
        output = np.zeros((*size(image, stride), kernel.shape[3]))
        for y, x in np.ndindex(output.shape[:2]):
            for i, j in np.ndindex(kernel.shape[:2]):
                output[y, x] += padded[y * stride + i * gap, x * stride + j * gap] @ kernel[i, j]
        return output

    return convolution


def padded_for_the_height_alone(image, kernel, stride, dilation):
    widths = same_padding(image.shape[0], kernel.shape[0], stride, dilation)
    return np.pad(image, (widths, widths, (0, 0)))


def padded_with_the_sides_swapped(image, kernel, stride, dilation):
    height, width, _ = image.shape
    widths = [same_padding(side, kernel.shape[0], stride, dilation) for side in (width, height)]
    return np.pad(image, (*widths, (0, 0)))


def padded_without_a_word_on_channels(image, kernel, stride, dilation):
    return np.pad(image, [same_padding(side, kernel.shape[0], stride, dilation) for side in image.shape[:2]])


def windows_of_an_image_without_zeros(image, kernel, stride, dilation):
    k = kernel.shape[0]
    output = np.zeros((*output_size(image, stride), kernel.shape[3]))
    for y, x, o in np.ndindex(output.shape):
        top, left = y * stride, x * stride
        window = image[top : top + k * dilation : dilation, left : left + k * dilation : dilation]
        output[y, x, o] = (window * kernel[..., o]).sum()
    return output


def size_of_the_image(image, stride):
    return image.shape[:2]


def taps(
    into=True, padding=same_padding, apart=None, pad=None, stop=lambda outputs, stride: outputs * stride, mix=None
):
    """`conv2d`, tap by tap, with one mistake.

    Args:
        into: add to an array of the right size, or to this one, instead of adding the taps' pictures to one another.
        padding: in place of `same_padding`.
        apart: distance of the taps, in place of the dilation.
        pad: makes the padded image; by default with `padding`.
        stop: where a slice stops, behind its start.
        mix: what a tap does with its picture; by default `@`.
    """

    def convolution(image, kernel, stride, dilation):
        padded = pad(image, kernel, stride, dilation) if pad else padded_by(padding, image, kernel, stride, dilation)
        rows, cols = output_size(image, stride)
        output = np.zeros((rows, cols, kernel.shape[3])) if into is True else into
        for i, j in np.ndindex(kernel.shape[:2]):
            top, left = i * (apart or dilation), j * (apart or dilation)
            picture = padded[top : top + stop(rows, stride) : stride, left : left + stop(cols, stride) : stride]
            mixed = mix(picture, kernel[i, j]) if mix else picture @ kernel[i, j]
            if into is not False:
                output += mixed
            else:
                output = output + mixed
        return output

    return convolution


def depthwise(weight, apart=None):
    """`depthwise_conv2d`, tap by tap, where `weight(picture, kernel[i, j])` is what a tap gives."""

    def convolution(image, kernel, stride, dilation):
        summed = taps(into=False, apart=apart, mix=weight)(image, kernel, stride, dilation)
        return summed.reshape(*summed.shape[:2], -1)

    return convolution


def then_mixed(answer, pointwise):
    def separable(image, depthwise_kernel, pointwise_kernel, stride, dilation):
        return pointwise(answer(image, depthwise_kernel, stride, dilation), pointwise_kernel)

    return separable


def pointwise_by_the_lesson(image, kernel):
    return image @ kernel[0, 0]


def pointwise_with_loops_of_the_kernel(image, kernel):
    output = np.zeros((*image.shape[:2], kernel.shape[3]))
    for c, o in np.ndindex(kernel.shape[2:]):
        output[..., o] += image[..., c] * kernel[0, 0, c, o]
    return output


def twice_the_depthwise_one(image, kernel, stride, dilation):
    return 2 * depthwise_conv2d(image, kernel, stride, dilation)


def pointwise_into_an_array_of_the_images_shape(image, kernel):
    output = np.zeros(image.shape)
    for o in range(kernel.shape[3]):
        output[..., o] = (image * kernel[0, 0, :, o]).sum(axis=-1)
    return output


def pointwise_with_channels_swapped(image, kernel):
    output = np.zeros((*image.shape[:2], kernel.shape[3]))
    for o, c in np.ndindex(kernel.shape[3], kernel.shape[2]):
        output[..., o] += image[..., c] * kernel[0, 0, o, c]
    return output


def one_short(outputs, stride):
    return (outputs - 1) * stride


def without_the_stride(outputs, stride):
    return outputs


def in_the_pictures_own_type(image, kernel, stride, dilation):
    padded = padded_for(image, kernel.shape[0], stride, dilation)
    output = np.zeros((*output_size(image, stride), kernel.shape[3]), dtype=image.dtype)
    for y, x, o in np.ndindex(output.shape):
        for i, j, c in np.ndindex(kernel.shape[:3]):
            output[y, x, o] += padded[y * stride + i * dilation, x * stride + j * dilation, c] * kernel[i, j, c, o]
    return output


def added_up_in_the_pictures_own_type(image, kernel, stride, dilation):
    return taps(into=np.zeros((*output_size(image, stride), kernel.shape[3]), image.dtype))(
        image, kernel, stride, dilation
    )


def mixed_in_whole_numbers(image, kernel):
    output = np.zeros((*image.shape[:2], kernel.shape[3]), int)
    for c, o in np.ndindex(kernel.shape[2:]):
        output[..., o] = output[..., o] + image[..., c] * kernel[0, 0, c, o]
    return output


def stride_and_dilation_swapped_in_the_index(image, kernel, stride, dilation):
    padded = np.pad(padded_for(image, kernel.shape[0], stride, dilation), ((0, 40), (0, 40), (0, 0)))
    output = np.zeros((*output_size(image, stride), kernel.shape[3]))
    for y, x in np.ndindex(output.shape[:2]):
        for i, j in np.ndindex(kernel.shape[:2]):
            output[y, x] += padded[y * dilation + i * stride, x * dilation + j * stride] @ kernel[i, j]
    return output


def stride_around_everything(image, kernel, stride, dilation):
    padded = padded_for(image, kernel.shape[0], stride, dilation)
    output = np.zeros((*output_size(image, stride), kernel.shape[3]))
    for y, x in np.ndindex(output.shape[:2]):
        for i, j in np.ndindex(kernel.shape[:2]):
            output[y, x] += padded[(y + i * dilation) * stride, (x + j * dilation) * stride] @ kernel[i, j]
    return output


def rolled(image, kernel, stride, dilation):
    output = 0
    (above, _), (left, _) = (same_padding(side, kernel.shape[0], stride, dilation) for side in image.shape[:2])
    for i, j in np.ndindex(kernel.shape[:2]):
        output = output + np.roll(image, (above - i * dilation, left - j * dilation), (0, 1)) @ kernel[i, j]
    return output[::stride, ::stride]


def centred_in_a_padded_picture(image, kernel, stride, dilation):
    k = kernel.shape[0]
    padded = padded_for(image, k, stride, dilation)
    output = np.zeros((*output_size(image, stride), kernel.shape[3]))
    for y, x in np.ndindex(output.shape[:2]):
        for i, j in np.ndindex(kernel.shape[:2]):
            row, col = y * stride + (i - k // 2) * dilation, x * stride + (j - k // 2) * dilation
            output[y, x] += padded[row, col] @ kernel[i, j]
    return output


def repeated_by_tile(image, kernel, stride, dilation):
    k, _, channels, multiplier = kernel.shape
    padded = np.tile(padded_for(image, k, stride, dilation), (1, 1, multiplier))
    flat = kernel.reshape(k, k, channels * multiplier)
    rows, cols = output_size(image, stride)
    return sum(
        padded[i * dilation :: stride, j * dilation :: stride][:rows, :cols] * flat[i, j] for i, j in np.ndindex(k, k)
    )


def total_for_the_whole_pixel(image, kernel):
    output = np.zeros((*image.shape[:2], kernel.shape[3]))
    for y, x in np.ndindex(image.shape[:2]):
        total = 0
        for o in range(kernel.shape[3]):
            for c in range(kernel.shape[2]):
                total += image[y, x, c] * kernel[0, 0, c, o]
            output[y, x, o] = total
    return output


def with_height_and_width_swapped(image, kernel):
    width, height, _ = image.shape
    output = np.zeros((height, width, kernel.shape[3]))
    for y, x in np.ndindex(height, width):
        output[y, x] = image[x, y] @ kernel[0, 0]
    return output


def by_the_power_of_a_caret(kind, size, kernel_size, in_channels, out_channels, stride):
    taps = kernel_size ^ 2
    parameters = {
        "standard": taps * in_channels * out_channels,
        "depthwise": taps * out_channels,
        "pointwise": in_channels * out_channels,
        "separable": taps * in_channels + in_channels * out_channels,
    }[kind]
    return parameters, parameters * math.ceil(size[0] / stride) * math.ceil(size[1] / stride)


def by_the_area(kind, size, kernel_size, in_channels, out_channels, stride):
    parameters = conv_cost(kind, size, kernel_size, in_channels, out_channels, stride).parameters
    return parameters, parameters * math.ceil(size[0] * size[1] / stride**2)


MISTAKES = {
    "03.pointwise_conv2d": (
        (mixed_in_whole_numbers, "your output has the type int64, and that one has no place for halves"),
        (total_for_the_whole_pixel, "Start from 0 for each of them"),
        (with_height_and_width_swapped, "rows and columns of the picture have changed places"),
        (lambda image, kernel: image * kernel[0, 0], "`a * b` goes number by number"),
        (lambda image, kernel: np.dot(image, kernel), "two axes of length 1 are left over"),
        (pointwise_into_an_array_of_the_images_shape, "the output was made as deep as the image"),
        (lambda image, kernel: image @ np.squeeze(kernel), "`squeeze` drops every axis of length 1"),
        (lambda image, kernel: image @ kernel[0, 0].T, "Does your matrix have Cin rows and Cout columns?"),
        (pointwise_with_channels_swapped, "the old channel before the new one"),
    ),
    "03.same_padding": (
        (k_half, "both sides get k // 2"),
        (rounded_up_twice, "both halves were rounded up"),
        (rounded_down_twice, "both halves were rounded down"),
        (in_floats, "`np.pad`, in the next exercise, takes whole numbers alone"),
        (lambda *sides: same_padding(*sides)[::-1], "the odd one went before"),
    ),
    "03.conv2d_loops": (
        (loops(apart=1), "the taps stand side by side"),
        (loops(padding=k_half), "all four sides got k // 2 zeros"),
        (loops(padding=rounded_up_twice), "one too many stands above and to the left"),
        (loops(padding=rounded_down_twice), "did a tap leave the padded image?"),
        (loops(padding=nothing), "did a tap leave the padded image?"),
        (windows_of_an_image_without_zeros, "did a tap leave the padded image?"),
        (loops(pad=padded_for_the_height_alone), "did a tap leave the padded image?"),
        (loops(pad=padded_with_the_sides_swapped), "did a tap leave the padded image?"),
        (loops(size=size_of_the_image), "did a tap leave the padded image?"),
        (loops(pad=padded_without_a_word_on_channels), "`np.pad` needs a pair for each axis"),
        (loops(padding=in_floats), "`np.pad` takes whole numbers"),
        (in_the_pictures_own_type, "halves were cut off"),
        (stride_and_dilation_swapped_in_the_index, "where the pixels are read, stride and dilation have changed"),
        (stride_around_everything, "a tap lies at y * stride + i * dilation"),
        (rolled, "as `np.roll` does"),
        (centred_in_a_padded_picture, "its middle needs no further care"),
    ),
    "03.conv2d": (
        (taps(apart=1), "the taps stand side by side"),
        (taps(into=False, apart=1), "the taps stand side by side"),
        (taps(padding=rounded_up_twice), "one too many stands above and to the left"),
        (taps(padding=rounded_down_twice), "Or has a tap's slice not one pixel for each output?"),
        (taps(padding=nothing), "Or has a tap's slice not one pixel for each output?"),
        (taps(pad=padded_for_the_height_alone), "Or has a tap's slice not one pixel for each output?"),
        (taps(stop=one_short), "Or has a tap's slice not one pixel for each output?"),
        (taps(into=False, stop=one_short), "the last row and the last column are missing"),
        (taps(stop=without_the_stride), "NumPy repeats it over the whole output"),
        (taps(into=False, stop=without_the_stride), "rows and columns are missing: the slices stop too early"),
        (taps(mix=pointwise_by_the_lesson), "a kernel of four axes"),
        (taps(mix=pointwise_by_loops), "a kernel of four axes"),
        (taps(mix=pointwise_with_loops_of_the_kernel), "a kernel of four axes"),
        (taps(mix=lambda picture, weights: picture @ weights[0, 0, :, :]), "a kernel of four axes"),
        (taps(mix=lambda picture, weights: picture @ weights.T), "takes the last axis of `a` through the rows of `b`"),
        (taps(pad=padded_without_a_word_on_channels), "`np.pad` needs a pair for each axis"),
        (taps(padding=in_floats), "`np.pad` takes whole numbers"),
        (taps(mix=lambda picture, weights: picture * weights), "`*` goes number by number"),
        (added_up_in_the_pictures_own_type, "`np.zeros(shape)` makes room for fractions"),
        (rolled, "as `np.roll` does"),
    ),
    "03.depthwise_conv2d": (
        (repeated_by_tile, "so `np.repeat` gives 0, 0, 1, 1"),
        (depthwise(lambda picture, weights: picture[..., None] * weights, apart=1), "the taps stand side by side"),
        (depthwise(lambda picture, weights: picture[..., None] * weights.T), "A row holds the weights of one channel"),
        (depthwise(lambda picture, weights: picture * weights), "with an axis for the kernels that it meets?"),
    ),
    "03.separable_conv2d": (
        (then_mixed(conv2d, pointwise_by_the_lesson), "was it `depthwise_conv2d` that you called?"),
        (then_mixed(conv2d, pointwise_with_loops_of_the_kernel), "was it `depthwise_conv2d` that you called?"),
        (then_mixed(twice_the_depthwise_one, pointwise_by_the_lesson), "this exercise only joins two others"),
    ),
    "03.conv_cost": (
        (by_the_power_of_a_caret, "in Python `^` is no power"),
        (by_the_area, "Each side is rounded up by itself"),
    ),
}


@every_mistake(MISTAKES)
def test_a_mistake_as_people_write_it_gets_the_sentence_that_helps(exercise, mistake, sentence):
    assert_told(exercise, mistake, sentence)
