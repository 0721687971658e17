"""The exercises of lesson 3: convolutions, and what they cost.

Images hold halves and kernels whole numbers, so that sums are exact in float32 too, and short to read.
"""

from dataclasses import replace

import numpy as np

from ssdseg_course.checking.compare import Complaint, compare_arrays, compare_whole_numbers, shape_in_words
from ssdseg_course.checking.exercise import Arguments, Exercise, Function, Mutant
from ssdseg_course.checking.values import Plain, close, row_in_words, same
from ssdseg_ref.convolution import (
    conv2d,
    conv_cost,
    depthwise_conv2d,
    pointwise_conv2d,
    same_padding,
    separable_conv2d,
)

FEW = 3  # random cases of what has many fixed ones, and may be slow
STEPS = ((1, 1), (2, 1), (3, 1), (1, 2), (1, 3))  # (stride, dilation); Keras refuses both above 1


def _image(rng: np.random.Generator, *shape: int) -> np.ndarray:
    return (rng.integers(-8, 9, shape) / 2).astype(np.float32)


def _kernel(rng: np.random.Generator, *shape: int) -> np.ndarray:
    return rng.integers(-4, 5, shape).astype(np.float32)


def _counting(*shape: int) -> np.ndarray:
    """An image that counts its pixels from 1, easy to read in a report."""
    return np.arange(1, np.prod(shape) + 1, dtype=np.float32).reshape(shape)


def _one_tap(kernel_size: int, row: int, col: int) -> np.ndarray:
    """A kernel for one channel that takes a single neighbour of each pixel."""
    kernel = np.zeros((kernel_size, kernel_size, 1, 1), np.float32)
    kernel[row, col] = 1
    return kernel


def _photograph(*shape: int) -> np.ndarray:
    """Whole numbers from 0 to 255, as a camera gives them; odd ones, so that half of each has something to lose."""
    return (2 * np.arange(np.prod(shape)) + 1).astype(np.uint8).reshape(shape)


def _half_of_one_tap(kernel_size: int, row: int, col: int, *channels: int) -> np.ndarray:
    """A kernel that takes half of a single neighbour: one product a sum, so that it is cut off but once."""
    kernel = np.zeros((kernel_size, kernel_size, *channels), np.float32)
    kernel[row, col, 0] = 0.5
    return kernel


def _cut_off(convolve):
    """A convolution whose output has the image's own type: of whole numbers, what stands behind the point is lost."""

    def convolution(image, *others):
        return convolve(image, *others).astype(image.dtype)

    return convolution


def _draw_size(rng: np.random.Generator) -> tuple[int, int]:
    height, width = rng.choice(np.arange(5, 10), 2, replace=False)
    return int(height), int(width)


def _draw_steps(rng: np.random.Generator) -> tuple[int, int]:
    return STEPS[rng.integers(len(STEPS))]


WHOLE_NUMBERS = (
    "your output has the type {}, and that one has no place for halves: `np.zeros(shape)` makes room for fractions."
)


def compare_maps(value: Plain, expected: np.ndarray) -> Complaint | None:
    """What is wrong with a map (H, W, C), told by row and column of the first wrong pixel."""
    complaint = compare_arrays(value, expected)
    if complaint is None or isinstance(value, tuple) or not _comparable(value, expected):
        return complaint
    wrong = np.asarray(~close(value, expected).all(axis=-1))
    row, col = np.argwhere(wrong)[0]
    wanted, got = (row_in_words(array[row, col], digits=6) for array in (expected, value))
    inside = wrong[1:-1, 1:-1]
    where = ", all of them at the border" if inside.size > 2 and not inside.any() else ""
    difference = (
        f"but the pixel in row {row}, column {col} should be {wanted} and yours is {got} "
        f"({wrong.sum()} of {wrong.size} pixels differ{where})"
    )
    if value.dtype.kind in "iu" and not np.array_equal(expected, np.round(expected)):
        return Complaint((*complaint.lines[:-1], difference), WHOLE_NUMBERS.format(value.dtype), complaint.kind)
    return replace(complaint, lines=(*complaint.lines[:-1], difference))


def _compare_named(*names: str) -> Function:
    """Compares a few whole numbers, and tells them by their names, in full; those that are wrong come last."""

    def compare(value: Plain, expected: np.ndarray) -> Complaint | None:
        complaint = compare_arrays(value, expected)
        if complaint is not None and (isinstance(value, tuple) or value.shape != expected.shape):
            if isinstance(value, tuple):
                yours = f"a list of {len(value)} that cannot be made one array"
            else:
                yours = shape_in_words(value.shape)
            lines = (f"it should be {len(names)} numbers, ({', '.join(names)}), and yours is {yours}",)
            return Complaint(lines, kind="shape")
        if complaint is None or isinstance(value, tuple) or not _comparable(value, expected):
            return complaint
        right, wrong = [], []
        for name, got, wanted in zip(names, value.tolist(), expected.tolist(), strict=True):
            if same(np.array(got), np.array(wanted)):
                right.append(f"{name}: {wanted:,} is right")
            else:
                wrong.append(f"{name}: should be {wanted:,}, yours is {got:,}")
        return replace(complaint, lines=(*right, *wrong))

    return compare


def _comparable(value: Plain, expected: np.ndarray) -> bool:
    return isinstance(value, np.ndarray) and value.shape == expected.shape and bool(np.isfinite(value).all())


OTHER_TYPES = (
    (
        "same_kind",
        "the output has the picture's own type, and a picture may hold whole numbers, as photographs do: "
        "`np.zeros(shape)` makes room for fractions.",
    ),
    (
        "not in the list of allowed values",
        "TensorFlow needs a picture of numbers with a point, and a picture may hold whole numbers, as photographs do: "
        "cast it first.",
    ),
    (
        "expected to be a",
        "TensorFlow needs both of one type, and a picture may hold whole numbers, as photographs do: cast both first.",
    ),
)


# 03.pointwise_conv2d


def _read_as_out_by_in(image, kernel):
    in_channels, out_channels = kernel.shape[2:]
    return image @ kernel.reshape(out_channels, in_channels).T


def _as_deep_as_the_image(image, kernel):
    out_channels = kernel.shape[3]
    if out_channels > image.shape[2]:
        return np.nan  # there the loop stops with an error
    output = np.zeros(image.shape)
    output[..., :out_channels] = pointwise_conv2d(image, kernel)
    return output


def _one_sum_for_all(image, kernel):
    return np.cumsum(pointwise_conv2d(image, kernel)).reshape(*image.shape[:2], -1)


def _channels_first_by_reshape(image, kernel):
    height, width, in_channels = image.shape
    return (kernel[0, 0].T @ image.reshape(in_channels, -1)).reshape(height, width, -1)


def _channels_first_and_back(image, kernel):
    height, width, in_channels = image.shape
    return (kernel[0, 0].T @ image.reshape(in_channels, -1)).T.reshape(height, width, -1)


def _draw_pointwise(rng: np.random.Generator) -> Arguments:
    in_channels, out_channels = rng.choice(np.arange(2, 6), 2, replace=False)
    return _image(rng, *_draw_size(rng), in_channels), _kernel(rng, 1, 1, in_channels, out_channels)


_RNG = np.random.default_rng(3)  # of the fixed cases: always the same

POINTWISE_CONV2D = Exercise(
    id="03.pointwise_conv2d",
    title="Mixing channels",
    points=10,
    difficulty="easy",
    minutes=10,
    home="convolution.pointwise_conv2d",
    fixed_cases=(
        (_counting(1, 3, 2), np.array([[[[1], [10]]]], np.float32)),  # wider than deep, or `*` would do for `@`
        (_counting(1, 3, 2), np.array([[[[1, 2], [10, 20]]]], np.float32)),
        (_counting(2, 4, 3), np.array([[[[1, 0], [0, 1], [0, -1]]]], np.float32)),
        (_image(_RNG, 4, 3, 2), _kernel(_RNG, 1, 1, 2, 5)),
        (_image(_RNG, 1, 1, 4), _kernel(_RNG, 1, 1, 4, 1)),
        (_photograph(2, 3, 2), _half_of_one_tap(1, 0, 0, 2, 1)),
    ),
    draw=_draw_pointwise,
    hints=(
        "Take one pixel first: a list of Cin numbers. Which sums make Cout numbers of it?",
        "kernel[0, 0] is a matrix of Cin rows and Cout columns. A pixel's channels times that matrix are the new "
        "pixel's channels.",
        "`@` multiplies the last axis of an array with a matrix, for all pixels at once: image @ kernel[0, 0].",
    ),
    mutants=(
        Mutant(
            _read_as_out_by_in,
            "the weights were read as Cout rows of Cin. Keras stores Cin rows of Cout: all weights of the first input "
            "channel come first.",
        ),
        Mutant(
            lambda image, kernel: image @ kernel,
            "an axis of length 1 is left over from the kernel. Which two of its four axes carry no choice here?",
        ),
        Mutant(
            lambda image, kernel: image @ np.squeeze(kernel),
            "where there is a single output channel, its axis is lost: `squeeze` drops every axis of length 1.",
        ),
        Mutant(
            _as_deep_as_the_image,
            "the output was made as deep as the image, and what no mix has filled stayed 0. It has Cout channels.",
        ),
        Mutant(
            lambda image, kernel: pointwise_conv2d(image, kernel) / image.shape[2],
            "this is the mean over the input channels. It should be their weighted sum.",
        ),
        Mutant(
            lambda image, kernel: image[..., :1] * kernel[0, 0, 0],
            "only the first input channel counts. Each output channel sums over all of them.",
        ),
        Mutant(
            lambda image, kernel: image[..., -1:] * kernel[0, 0, -1],
            "only the last input channel counts: was the sum overwritten instead of added to?",
        ),
        Mutant(
            lambda image, kernel: pointwise_conv2d(image, kernel).sum(axis=-1, keepdims=True),
            "all output channels were added up into one. Each of them is a mix of its own.",
        ),
        Mutant(
            lambda image, kernel: np.moveaxis(pointwise_conv2d(image, kernel), -1, 0),
            "the numbers are right, but the channels come first. An image is (H, W, C).",
        ),
        Mutant(
            lambda image, kernel: pointwise_conv2d(image, kernel).reshape(-1, kernel.shape[3]),
            "the pixels stand in one long list. Their rows and columns should stay as they were.",
        ),
        Mutant(
            lambda image, kernel: np.maximum(pointwise_conv2d(image, kernel), 0),
            "what is below 0 was cut off. A network often does that next, in a step of its own; a convolution does "
            "not.",
        ),
        Mutant(
            _cut_off(pointwise_conv2d),
            "a picture of whole numbers got an output of whole numbers, and halves were cut off: `np.zeros(shape)` "
            "makes room for fractions, `dtype=image.dtype` and `zeros_like(image)` do not.",
        ),
        Mutant(
            lambda image, kernel: pointwise_conv2d(image, kernel).swapaxes(0, 1),
            "rows and columns of the picture have changed places. An image is (H, W, C): its height comes first.",
        ),
        Mutant(
            _channels_first_by_reshape,
            "numbers of different pixels were mixed: `reshape(Cin, ...)` moves no number, so it does not bring the "
            "channels to the front.",
        ),
        Mutant(
            _channels_first_and_back,
            "numbers of different pixels were mixed. A reshape leaves all numbers in their order: to bring an axis to "
            "another place takes `np.moveaxis` or `transpose`.",
        ),
        Mutant(
            lambda image, kernel: image[..., None] * kernel[0, 0],
            "the products are right, and nothing has been added up: an output channel is their sum over the input "
            "channels.",
        ),
        Mutant(
            lambda image, kernel: pointwise_conv2d(image, kernel)[..., None, None, :],
            "two axes of length 1 are left over from the kernel. Which two of its four axes carry no choice here?",
        ),
        Mutant(
            lambda image, kernel: image @ kernel[0, 0, :, 0],
            "only the first mix is there, and its axis is gone. Each column of the kernel makes an output channel.",
        ),
        Mutant(
            lambda image, kernel: np.cumsum(pointwise_conv2d(image, kernel), axis=-1),
            "each output channel still holds the sum of those before it. Start from 0 for each of them.",
        ),
        Mutant(
            _one_sum_for_all,
            "the sum goes on from pixel to pixel. Start from 0 for each pixel and each output channel.",
        ),
    ),
    compare=compare_maps,
    errors=(
        *OTHER_TYPES,
        (
            "operands could not be broadcast",
            "two shapes do not fit: `a * b` goes number by number; `a @ b` takes the last axis of `a` through the "
            "matrix `b`, and sums.",
        ),
        (
            "matmul",
            "the two do not fit: `a @ b` takes the last axis of `a`, here Cin long, through the rows of `b`. Does your "
            "matrix have Cin rows and Cout columns?",
        ),
        (
            "IndexError",
            "an index beyond its axis. The kernel's axes are (1, 1, Cin, Cout), the old channel before the new one; "
            "the output has Cout channels.",
        ),
    ),
)


# 03.same_padding


def _reach(kernel_size, dilation):
    return dilation * (kernel_size - 1) + 1


def _output_side(side, stride):
    return -(-side // stride)


def _halves(missing):
    return missing // 2, missing - missing // 2


def _padding(reach=_reach, output_side=_output_side, split=_halves):
    """`same_padding` with another reach of the kernel, another output, or another way to share the zeros out."""

    def padding(side, kernel_size, stride, dilation):
        return split(max((output_side(side, stride) - 1) * stride + reach(kernel_size, dilation) - side, 0))

    return padding


def _negative_padding(side, kernel_size, stride, dilation):
    return _halves((_output_side(side, stride) - 1) * stride + _reach(kernel_size, dilation) - side)


def _symmetric_padding(side, kernel_size, stride, dilation):
    return (_reach(kernel_size, dilation) // 2,) * 2


def _half_of_the_gaps(side, kernel_size, stride, dilation):
    return ((_reach(kernel_size, dilation) - 1) // 2,) * 2


def _half_of_the_kernel(side, kernel_size, stride, dilation):
    return (kernel_size // 2,) * 2


def _missing_or_too_many(side, kernel_size, stride, dilation):
    return _halves(abs((_output_side(side, stride) - 1) * stride + _reach(kernel_size, dilation) - side))


_reach_too_short = _padding(reach=lambda kernel_size, dilation: dilation * (kernel_size - 1))
_output_rounded_down = _padding(output_side=lambda side, stride: side // stride)
_reach_too_long = _padding(reach=lambda kernel_size, dilation: dilation * kernel_size)
_more_at_the_beginning = _padding(split=lambda missing: _halves(missing)[::-1])


def _compare_padding(value: Plain, expected: np.ndarray) -> Complaint | None:
    return _compare_named("before", "after")(value, expected) or compare_whole_numbers(value, expected)


SAME_PADDING = Exercise(
    id="03.same_padding",
    title="How many zeros, and where",
    points=10,
    difficulty="medium",
    minutes=20,
    home="convolution.same_padding",
    returns=("before", "after"),
    compare=_compare_padding,
    fixed_cases=(
        (7, 3, 1, 1),
        (8, 3, 2, 1),
        (7, 3, 2, 1),
        (8, 4, 2, 1),
        (6, 2, 1, 1),
        (7, 3, 1, 2),
        (7, 1, 3, 1),
        (8, 1, 3, 1),
        (1, 3, 1, 3),
        (10, 4, 3, 1),
        (11, 3, 2, 2),
        (9, 4, 1, 1),
        (9, 2, 1, 3),
        (5, 3, 2, 1),
        (6, 5, 3, 1),
    ),
    draw=lambda rng: tuple(int(rng.integers(low, high)) for low, high in ((4, 20), (1, 6), (1, 4), (1, 4))),
    hints=(
        "Go along the row in the picture: where does the first window begin, where does the last one end, and how many "
        "pixels are there between?",
        "The last of `outputs` windows begins (outputs - 1) * stride pixels behind the first one, and is `reach` long. "
        "What that needs beyond `side` is missing, but never less than 0.",
        "outputs = -(-side // stride), which rounds up; reach = dilation * (kernel_size - 1) + 1; missing = "
        "max((outputs - 1) * stride + reach - side, 0). The first half of it, rounded down, goes before.",
    ),
    mutants=(
        Mutant(
            _more_at_the_beginning,
            "the number of missing zeros is odd, and the odd one went before. TensorFlow puts it after the image.",
        ),
        Mutant(
            _reach_too_long,
            "this is for a reach of k · dilation. Between k taps there are only k - 1 gaps: how long is a kernel of "
            "one tap?",
        ),
        Mutant(
            _reach_too_short,
            "a pixel is missing from the reach: from the first tap to the last, both of them count.",
        ),
        Mutant(
            lambda side, kernel_size, stride, dilation: same_padding(side, kernel_size, 1, dilation),
            "this is right for stride 1, and the stride did not enter. With larger steps fewer pixels are missing.",
        ),
        Mutant(
            lambda side, kernel_size, stride, dilation: same_padding(side, kernel_size, stride, 1),
            "this is right for dilation 1, and the dilation did not enter. Which reach does a dilated kernel have?",
        ),
        Mutant(
            lambda side, kernel_size, stride, dilation: same_padding(side, kernel_size, dilation, stride),
            "stride and dilation have changed places. Which of them moves the kernel, and which makes it longer?",
        ),
        Mutant(
            _symmetric_padding,
            "both sides get half the kernel's reach, as PyTorch users pad. TensorFlow counts what is missing, and "
            "shares that out.",
        ),
        Mutant(
            _half_of_the_kernel,
            "both sides get k // 2, whatever the stride and the dilation: the habit of PyTorch users. Count what is "
            "missing in all, then share it out.",
        ),
        Mutant(
            _half_of_the_gaps,
            "both sides get (reach - 1) // 2, whatever the stride. That fits odd kernels at stride 1 only: count what "
            "is missing in all, then share it out.",
        ),
        Mutant(
            _output_rounded_down,
            "this is for side / stride rounded down. Count the windows in the picture: 'same' rounds up.",
        ),
        Mutant(
            _negative_padding,
            "a negative number of zeros: the steps are longer than the kernel, so nothing at all is missing.",
        ),
        Mutant(
            _padding(split=lambda missing: (missing / 2, missing / 2)),
            "half a pixel cannot be padded. Round the first half down, and give the rest to the other side.",
        ),
        Mutant(
            _padding(split=lambda missing: (missing // 2, missing // 2)),
            "both halves were rounded down, so where an odd number is missing, a zero is lost. The two have to add up.",
        ),
        Mutant(
            _padding(split=lambda missing: (-(-missing // 2), -(-missing // 2))),
            "both halves were rounded up, so where an odd number is missing, there is a zero too many. The two have to "
            "add up.",
        ),
        Mutant(
            _missing_or_too_many,
            "where the steps are longer than the kernel, pixels are left over, and those were padded. Nothing is "
            "missing there.",
        ),
        Mutant(
            _padding(split=lambda missing: (0, missing)),
            "everything went after the image. Half of it, rounded down, belongs before.",
        ),
        Mutant(
            lambda side, kernel_size, stride, dilation: (sum(same_padding(side, kernel_size, stride, dilation)),) * 2,
            "this is what is missing in all, twice. The two sides share it.",
        ),
        Mutant(
            _padding(output_side=lambda side, stride: _output_side(side, stride) + 1),
            "one step too many: the first window needs no step to get where it is.",
        ),
        Mutant(
            _padding(split=lambda missing: (missing, 0)),
            "everything went before the image. Half of it, rounded down, belongs there, and the rest behind.",
        ),
        Mutant(
            lambda side, kernel_size, stride, dilation: (0, 0),
            "nothing is ever padded. Then there are fewer outputs than side / stride, rounded up: 'same' needs zeros.",
        ),
        Mutant(
            _padding(output_side=lambda side, stride: side),
            "this is for as many windows as there are pixels. With larger steps there are fewer: side / stride, "
            "rounded up.",
        ),
        Mutant(
            _padding(output_side=lambda side, stride: side // stride + 1),
            "where the stride divides the side, there is a window too many: rounding up is not the same as rounding "
            "down and adding one.",
        ),
        Mutant(
            _padding(output_side=lambda side, stride: round(side / stride)),
            "side / stride was rounded to the nearest whole number. 'Same' rounds up, however small the rest is.",
        ),
        Mutant(
            _padding(reach=lambda kernel_size, dilation: kernel_size + dilation * (kernel_size - 1)),
            "the reach is too long: between two taps, dilation - 1 pixels are left out, and the taps themselves count "
            "as well.",
        ),
        Mutant(
            _padding(reach=lambda kernel_size, dilation: kernel_size + dilation - 1),
            "the dilation widened a single gap between taps. There are k - 1 of them.",
        ),
        Mutant(
            _padding(split=lambda missing: (round(missing / 2), missing - round(missing / 2))),
            "`round` takes 1.5 to 2 and 0.5 to 0: halves go to the even number. Here the first half is rounded down.",
        ),
        Mutant(
            lambda side, kernel_size, stride, dilation: same_padding(side, stride, kernel_size, dilation),
            "kernel size and stride have changed places. Which of them makes steps, and which makes windows longer?",
        ),
        Mutant(
            lambda side, kernel_size, stride, dilation: _halves(max(_reach(kernel_size, dilation) - stride, 0)),
            "this is right where the stride divides the side. Elsewhere the last step goes less far beyond the end.",
        ),
        Mutant(
            _padding(split=lambda missing: (float(missing // 2), float(missing - missing // 2))),
            "`np.pad`, in the next exercise, takes whole numbers alone. `/`, `np.ceil` and `np.floor` give 1.0; `//` "
            "and `int(...)` give 1.",
        ),
    ),
)


# 03.conv2d_loops, 03.conv2d, 03.depthwise_conv2d: what goes wrong in all three


def _windows(
    convolve, padding=same_padding, mode="constant", step=lambda stride: stride, gap=lambda dilation: dilation
):
    """A convolution that pads in another way, or whose windows or taps lie otherwise, without windows that do not fit.

    Args:
        convolve: the right convolution.
        padding: in place of `same_padding`.
        mode: of `np.pad`.
        step: from window to window, for a stride.
        gap: from tap to tap, for a dilation.
    """

    def convolution(image, kernel, stride, dilation):
        widths = [padding(side, len(kernel), stride, dilation) for side in image.shape[:2]]
        padded = np.pad(image, [*widths, (0, 0)], mode=mode)
        reach = _reach(len(kernel), gap(dilation))
        middles = []  # of the windows, where `convolve` puts what it finds at stride 1
        for side, padded_side in zip(image.shape[:2], padded.shape[:2], strict=True):
            first = np.arange(_output_side(side, stride)) * step(stride)
            middles.append(first[first + reach <= padded_side] + (reach - 1) // 2)
        return convolve(padded, kernel, 1, gap(dilation))[np.ix_(*middles)]

    return convolution


def _swapped_in_the_index(convolve):
    """Right zeros, and `y * dilation + i * stride`; beyond the picture lie more zeros, or the reading would stop."""

    def convolution(image, kernel, stride, dilation):
        widths = [same_padding(side, len(kernel), stride, dilation) for side in image.shape[:2]]
        rows, cols = (_output_side(side, stride) for side in image.shape[:2])
        far = [_reach(len(kernel), stride) + side * dilation for side in (rows, cols)]
        padded = np.pad(np.pad(image, (*widths, (0, 0))), ((0, far[0]), (0, far[1]), (0, 0)))
        middle = (_reach(len(kernel), stride) - 1) // 2
        found = convolve(padded, kernel, 1, stride)[middle::dilation, middle::dilation]
        return found[:rows, :cols]

    return convolution


def _centred_twice(convolve):
    """Windows that begin half a kernel before where they should, in a picture that is padded already."""

    def convolution(image, kernel, stride, dilation):
        widths = [same_padding(side, len(kernel), stride, dilation) for side in image.shape[:2]]
        padded = np.pad(image, (*widths, (0, 0)))
        back = len(kernel) // 2 * dilation  # a negative index counts from the end, so that the picture goes round
        again = np.roll(padded, (back, back), (0, 1))
        rows, cols = (_output_side(side, stride) for side in image.shape[:2])
        middle = (_reach(len(kernel), dilation) - 1) // 2
        return convolve(again, kernel, 1, dilation)[middle::stride, middle::stride][:rows, :cols]

    return convolution


def _nothing_shifted(convolve):
    def convolution(image, kernel, stride, dilation):
        return convolve(image, kernel.sum(axis=(0, 1), keepdims=True), stride, 1)

    return convolution


def _without_the_last_taps(convolve):
    def convolution(image, kernel, stride, dilation):
        kernel = kernel.copy()
        kernel[-1], kernel[:, -1] = 0, 0
        return convolve(image, kernel, stride, dilation)

    return convolution


def _rounded_down(convolve):
    def convolution(image, kernel, stride, dilation):
        rows, cols = (side // stride for side in image.shape[:2])
        return convolve(image, kernel, stride, dilation)[:rows, :cols]

    return convolution


def _mutants_of_all(convolve: Function) -> tuple[Mutant, ...]:
    """Mistakes of any convolution with a kernel of k x k, a stride and a dilation."""
    return (
        Mutant(
            lambda image, kernel, stride, dilation: convolve(image, kernel[::-1, ::-1], stride, dilation),
            "the kernel was turned around, as a mathematician's convolution does. Here its first tap meets the first "
            "pixel of the window.",
        ),
        Mutant(
            lambda image, kernel, stride, dilation: convolve(image, kernel.swapaxes(0, 1), stride, dilation),
            "rows and columns of the kernel have changed places. Which of its axes goes down, and which to the right?",
        ),
        Mutant(
            lambda image, kernel, stride, dilation: convolve(image, kernel, stride, 1),
            "this is right for dilation 1, and the dilation did not enter. How far is it from one tap to the next?",
        ),
        Mutant(
            lambda image, kernel, stride, dilation: convolve(image, kernel, 1, dilation),
            "this is right for stride 1, and the stride did not enter. How far is it from one window to the next?",
        ),
        Mutant(
            lambda image, kernel, stride, dilation: convolve(image, kernel, dilation, stride),
            "stride and dilation have changed places. Which of them moves the window, and which spreads its taps?",
        ),
        Mutant(
            lambda image, kernel, stride, dilation: convolve(image, kernel, 1, dilation)[::stride, ::stride],
            "this is the convolution at stride 1 with pixels left out. With a stride less padding is missing, and the "
            "first window begins elsewhere.",
        ),
        Mutant(
            _windows(convolve, gap=lambda dilation: 1),
            "the zeros are right for this dilation, but the taps stand side by side. How far is it from one tap to the "
            "next one?",
        ),
        Mutant(
            _windows(convolve, step=lambda stride: 1),
            "the size is right, but the window went on by one pixel instead of `stride`. Where does it begin for the "
            "output pixel (y, x)?",
        ),
        Mutant(
            _windows(convolve, lambda *sides: (0, 0)),
            "nothing was padded: the kernel never reached over the border. Lay zeros around the image first.",
        ),
        Mutant(
            _windows(convolve, _more_at_the_beginning),
            "where an odd number of zeros is missing, one too many stands above and to the left. Of its two halves the "
            "first is rounded down.",
        ),
        Mutant(
            _windows(convolve, _half_of_the_kernel),
            "all four sides got k // 2 zeros, whatever the stride and the dilation. That is a habit of PyTorch users; "
            "`same_padding` says what each side gets here.",
        ),
        Mutant(
            _windows(convolve, _symmetric_padding),
            "all four sides were padded alike, as PyTorch users do. `same_padding` says what each side gets, with the "
            "stride in mind.",
        ),
        Mutant(
            _windows(convolve, _half_of_the_gaps),
            "all four sides got (reach - 1) // 2 zeros, which fits odd kernels at stride 1 only. `same_padding` says "
            "what each side gets.",
        ),
        Mutant(
            _windows(convolve, _reach_too_long),
            "too much was padded, for a reach of k · dilation. Between k taps there are only k - 1 gaps.",
        ),
        Mutant(
            _windows(convolve, mode="edge"),
            "the image was padded by repeating its border. 'Same' padding puts zeros there.",
        ),
        Mutant(
            _rounded_down(convolve),
            "the last row or column is missing where the stride does not divide the side. 'Same' rounds up.",
        ),
        Mutant(
            _windows(convolve, mode="wrap"),
            "what leaves the picture on one side came back on the other, as `np.roll` does. 'Same' padding puts zeros "
            "there.",
        ),
        Mutant(
            _windows(convolve, mode="symmetric"),
            "the image was padded by its own mirror image. 'Same' padding puts zeros there.",
        ),
        Mutant(
            _windows(convolve, mode="reflect"),
            "the image was padded by reflecting it. 'Same' padding puts zeros there.",
        ),
        Mutant(
            _swapped_in_the_index(convolve),
            "the zeros are right, but where the pixels are read, stride and dilation have changed places: the window "
            "goes on by `stride`, and its taps lie `dilation` apart.",
        ),
        Mutant(
            _centred_twice(convolve),
            "the windows begin too far up and too far left. In the padded picture, the window of the output pixel "
            "(y, x) begins at y * stride and x * stride: its middle needs no further care.",
        ),
        Mutant(
            _nothing_shifted(convolve),
            "all taps met the same pixels: none of them lies further down or further right than the others.",
        ),
        Mutant(
            _without_the_last_taps(convolve),
            "the kernel's last row and its last column have no effect: is a loop over the taps one short?",
        ),
        Mutant(
            lambda image, kernel, stride, dilation: convolve(image, kernel, stride, dilation).swapaxes(0, 1),
            "rows and columns of the output have changed places. Its height comes first.",
        ),
        Mutant(
            _cut_off(convolve),
            "a picture of whole numbers got an output of whole numbers, and halves were cut off: `np.zeros(shape)` "
            "makes room for fractions, `dtype=image.dtype` and `zeros_like(image)` do not.",
        ),
    )


def _mutants_by_taps(convolve: Function) -> tuple[Mutant, ...]:
    """Mistakes with the slices, where a tap is taken for all output pixels at once."""

    def stops_too_early(image, kernel, stride, dilation):
        rows, cols = (-(-_output_side(side, stride) // stride) for side in image.shape[:2])
        return convolve(image, kernel, stride, dilation)[:rows, :cols]

    def stops_too_early_and_repeats(image, kernel, stride, dilation):
        found, wanted = (f(image, kernel, stride, dilation) for f in (stops_too_early, convolve))
        fits = all(a in (1, b) for a, b in zip(found.shape, wanted.shape, strict=True))
        return np.broadcast_to(found, wanted.shape) if fits else np.nan  # where it does not, NumPy stops with an error

    return (
        Mutant(
            lambda image, kernel, stride, dilation: convolve(image, kernel, stride, dilation)[:-1, :-1],
            "the last row and the last column are missing. A slice stays below its stop: what stands there is not "
            "taken.",
        ),
        Mutant(
            stops_too_early,
            "right for stride 1, and at larger strides rows and columns are missing: the slices stop too early. How "
            "many places does one with a step have to cover, for so many outputs?",
        ),
        Mutant(
            stops_too_early_and_repeats,
            "right for stride 1. At larger strides the slices stop too early, and where a single pixel is left of "
            "them, NumPy repeats it over the whole output.",
        ),
    )


PADDING_ERRORS = (
    *OTHER_TYPES,
    (
        "remapped shapes",
        "`np.pad` needs a pair for each axis of the image, and there are three: (0, 0) for the channels leaves them as "
        "they are.",
    ),
    ("integral type", "`np.pad` takes whole numbers: does your `same_padding` divide with `/`? `//` keeps them whole."),
)


def _map_cases(rng: np.random.Generator, channels: Function) -> tuple[Arguments, ...]:
    """Arguments that are always tried; `channels` makes the last two axes of the kernel for C input channels."""

    def case(size, in_channels, kernel_size, stride, dilation):
        kernel = _kernel(rng, kernel_size, kernel_size, *channels(in_channels))
        return _image(rng, *size, in_channels), kernel, stride, dilation

    return (
        (_counting(3, 3, 1), _one_tap(3, 1, 2), 1, 1),
        (_counting(4, 4, 1), _one_tap(3, 0, 0), 2, 1),
        case((3, 3), 2, 1, 1, 1),
        case((4, 5), 2, 3, 1, 1),
        case((5, 4), 3, 2, 1, 1),
        case((6, 7), 2, 3, 2, 1),
        case((7, 6), 2, 3, 1, 2),
        case((7, 5), 1, 1, 3, 1),
        case((5, 8), 2, 4, 3, 1),
        case((1, 1), 2, 3, 1, 3),
        case((6, 5), 2, 2, 1, 2),
        case((5, 6), 1, 4, 1, 2),
        (_photograph(3, 2, 2), _half_of_one_tap(2, 1, 0, *channels(2)), 1, 1),
    )


def _map_draw(channels):
    def draw(rng: np.random.Generator) -> Arguments:
        in_channels, kernel_size = rng.integers(2, 5, 2)
        kernel = _kernel(rng, kernel_size, kernel_size, *channels(in_channels))
        return _image(rng, *_draw_size(rng), in_channels), kernel, *_draw_steps(rng)

    return draw


def _standard_channels(in_channels):
    return in_channels, 5 - in_channels if in_channels > 2 else 3  # others than go in


def _depthwise_channels(in_channels):
    return in_channels, 2


# 03.conv2d_loops


def _last_product_alone(image, kernel, stride, dilation):
    return conv2d(image[..., -1:], _last_tap(kernel)[:, :, -1:], stride, dilation)


def _last_tap(kernel):
    last = np.zeros_like(kernel)
    last[-1, -1] = kernel[-1, -1]
    return last


def _first_channel_alone(image, kernel, stride, dilation):
    return conv2d(image[..., :1], kernel[:, :, :1], stride, dilation)


def _mean_of_the_window(image, kernel, stride, dilation):
    return conv2d(image, kernel, stride, dilation) / kernel[..., 0].size


ONE_CHANNEL = "only the first input channel counts. An output channel sums over all of them."
DIVIDED = "the sum was divided by the number of products. A convolution is a weighted sum, no mean."
OUTSIDE = (
    "did a tap leave the padded image? `same_padding` is asked for the height and for the width, in this order; the "
    "output is ceil(side / stride) each; a tap lies at y * stride + i * dilation; and a kernel is (k, k, Cin, Cout)."
)

CONV2D_LOOPS = Exercise(
    id="03.conv2d_loops",
    title="Convolution, number by number",
    points=20,
    difficulty="medium",
    minutes=25,
    home="convolution.conv2d",
    fixed_cases=_map_cases(_RNG, _standard_channels),
    draw=_map_draw(_standard_channels),
    random_cases=FEW,
    hints=(
        "Pad first, with what `same_padding` gives for the height and for the width. Then the formula has six letters "
        "that run (y, x, o and i, j, c): each is a loop.",
        "An output pixel (y, x) has its window begin at (y * stride, x * stride) of the padded image, and tap (i, j) "
        "lies i * dilation further down and j * dilation further right. Start each output from 0 and add.",
        "rows = -(-H // stride), cols likewise; output = np.zeros((rows, cols, Cout)). In the innermost loop: "
        "output[y, x, o] += padded[y * stride + i * dilation, x * stride + j * dilation, c] * kernel[i, j, c, o].",
    ),
    mutants=(
        *_mutants_of_all(conv2d),
        Mutant(
            _last_product_alone,
            "only the very last product is left: each one overwrites the sum instead of being added to it.",
        ),
        Mutant(_first_channel_alone, ONE_CHANNEL),
        Mutant(_mean_of_the_window, DIVIDED),
        Mutant(
            lambda *arguments: np.cumsum(conv2d(*arguments), axis=-1),
            "each output channel still holds the sum of those before it. Start from 0 for each of them.",
        ),
        Mutant(
            lambda *arguments: np.cumsum(conv2d(*arguments)).reshape(conv2d(*arguments).shape),
            "the sum goes on from pixel to pixel. Start from 0 for each pixel and each output channel.",
        ),
    ),
    compare=compare_maps,
    errors=(
        *PADDING_ERRORS,
        (("IndexError", "broadcast"), OUTSIDE),
    ),
)


# 03.conv2d

FOUR_AXES = (
    "`pointwise_conv2d` needs a kernel of four axes, and `kernel[i, j]` has two. A slice of length 1, `i : i + 1`, "
    "keeps its axis; or mix with `@`."
)

CONV2D = Exercise(
    id="03.conv2d",
    title="Convolution, tap by tap",
    points=20,
    difficulty="hard",
    minutes=30,
    home="convolution.conv2d",
    fixed_cases=_map_cases(_RNG, _standard_channels),
    draw=_map_draw(_standard_channels),
    random_cases=FEW,
    hints=(
        "Keep one tap (i, j) fixed, and let the window slide over the padded image. Which pixels does this tap meet, "
        "in which rows and columns? They form a smaller image.",
        "Tap (i, j) meets the rows i * dilation, i * dilation + stride, i * dilation + 2 * stride ..., one for each "
        "output row, and columns likewise: a slice with a step. What it adds is that image, with channels mixed by "
        "kernel[i, j].",
        "For each i and j: rows = slice(i * dilation, i * dilation + out_rows * stride, stride), columns likewise "
        "from j; then output += padded[rows, cols] @ kernel[i, j].",
    ),
    mutants=(
        *_mutants_of_all(conv2d),
        *_mutants_by_taps(conv2d),
        Mutant(
            lambda image, kernel, stride, dilation: conv2d(image, _last_tap(kernel), stride, dilation),
            "only the last tap of the kernel is left: each one overwrites the output instead of being added to it.",
        ),
        Mutant(_first_channel_alone, ONE_CHANNEL),
        Mutant(_mean_of_the_window, DIVIDED),
    ),
    compare=compare_maps,
    errors=(
        *PADDING_ERRORS,
        (
            ("enough dimensions", "too many indices", "tuple index out of range", "not enough values to unpack"),
            FOUR_AXES,
        ),
        (
            "matmul",
            "the channels do not fit: `a @ b` takes the last axis of `a` through the rows of `b`, and `kernel[i, j]` "
            "has Cin rows and Cout columns.",
        ),
        (
            "broadcast",
            "two shapes do not fit: is it in the mix, where `@` takes each pixel's channels through `kernel[i, j]` and "
            "`*` goes number by number? Or has a tap's slice not one pixel for each output? Then look at its padding, "
            "start, stop and step.",
        ),
    ),
)


# 03.depthwise_conv2d


def _grouped(image, kernel, stride, dilation):
    """The outputs with input channel and multiplier on axes of their own: (H', W', C, multiplier)."""
    outputs = depthwise_conv2d(image, kernel, stride, dilation)
    return outputs.reshape(*outputs.shape[:2], *kernel.shape[2:])


def _multiplier_first(image, kernel, stride, dilation):
    outputs = _grouped(image, kernel, stride, dilation).swapaxes(2, 3)
    return outputs.reshape(*outputs.shape[:2], -1)


def _kernel_of_the_first_channel(image, kernel, stride, dilation):
    return depthwise_conv2d(image, np.repeat(kernel[:, :, :1], kernel.shape[2], axis=2), stride, dilation)


def _channels_by_tile(image, kernel, stride, dilation):
    """Output channel c * D + d has its own kernel, but looks at the channel that `np.tile` puts there."""
    channels, multiplier = kernel.shape[2:]
    looked_at = np.tile(np.arange(channels), multiplier)
    own = kernel.reshape(*kernel.shape[:2], -1, 1)
    return depthwise_conv2d(image[..., looked_at], own, stride, dilation)


def _turned_around(image, kernel, stride, dilation):
    channels, multiplier = kernel.shape[2:]
    if channels == 1:
        return depthwise_conv2d(image, kernel, stride, dilation)
    if multiplier not in (1, channels):
        return np.nan  # the shapes do not fit: NumPy stops with an error there
    turned = np.broadcast_to(kernel.swapaxes(2, 3), (*kernel.shape[:2], channels, channels))
    return depthwise_conv2d(image, turned, stride, dilation)


DEPTHWISE_CONV2D = Exercise(
    id="03.depthwise_conv2d",
    title="Each channel on its own",
    points=15,
    difficulty="medium",
    minutes=15,
    home="convolution.depthwise_conv2d",
    fixed_cases=(
        *_map_cases(_RNG, _depthwise_channels),
        (_image(_RNG, 4, 3, 3), _kernel(_RNG, 3, 3, 3, 1), 1, 1),
        (_image(_RNG, 3, 5, 2), _kernel(_RNG, 2, 2, 2, 3), 2, 1),
    ),
    draw=_map_draw(_depthwise_channels),
    random_cases=FEW,
    hints=(
        "Go tap by tap as before: the same slices. But now channel c is only weighted, by kernel[i, j, c], and not "
        "mixed with the others.",
        "With a multiplier of 1 a tap adds slice * kernel[i, j, :, 0]. With more, give the slice one more axis behind "
        "its channels, so that each channel meets all of its own kernels.",
        "Collect in an array of shape (rows, cols, C, multiplier): output += padded[rows, cols][..., None] * "
        "kernel[i, j]. At the end, reshape to (rows, cols, C * multiplier).",
    ),
    mutants=(
        *_mutants_of_all(depthwise_conv2d),
        *_mutants_by_taps(depthwise_conv2d),
        Mutant(
            lambda *arguments: _grouped(*arguments).sum(axis=2),
            "the input channels were added up. In a depthwise convolution they never meet.",
        ),
        Mutant(
            _multiplier_first,
            "the channels are right, but in another order: all first kernels, then all second ones. Keras lists all "
            "kernels of the first channel, then those of the second.",
        ),
        Mutant(
            lambda *arguments: _grouped(*arguments),
            "channels and kernels still stand on two axes. One reshape makes C * multiplier channels of them.",
        ),
        Mutant(
            lambda *arguments: _grouped(*arguments)[..., 0],
            "each channel has only one output, from its first kernel. How many kernels does the last axis hold?",
        ),
        Mutant(
            lambda *arguments: _grouped(*arguments).sum(axis=3),
            "the outputs of one channel's kernels were added up. Each of them is an output channel of its own.",
        ),
        Mutant(
            _turned_around,
            "rows and columns of `kernel[i, j]` have changed places. A row holds the weights of one channel's kernels: "
            "as it is, it meets that channel.",
        ),
        Mutant(
            _kernel_of_the_first_channel,
            "all channels were filtered by the kernels of the first one. Each has kernels of its own.",
        ),
        Mutant(
            lambda image, kernel, stride, dilation: depthwise_conv2d(image, _last_tap(kernel), stride, dilation),
            "only the last tap of the kernel is left: each one overwrites the output instead of being added to it.",
        ),
        Mutant(
            _channels_by_tile,
            "channels met kernels that are not theirs. `np.tile` puts the whole picture behind itself, channels 0, 1, "
            "0, 1; the kernels of one channel stand side by side, so `np.repeat` gives 0, 0, 1, 1.",
        ),
    ),
    compare=compare_maps,
    errors=(
        *PADDING_ERRORS,
        (
            "broadcast",
            "two shapes do not fit. Is a tap's picture (H', W', C, 1), with an axis for the kernels that it meets? "
            "Does each slice take ceil(H / stride) rows and ceil(W / stride) columns?",
        ),
    ),
)


# 03.separable_conv2d


def compare_with_both_steps(value: Plain, expected: np.ndarray) -> Complaint | None:
    """As `compare_maps`; where that knows no advice, a mistake is most likely in one of the two steps."""
    complaint = compare_maps(value, expected)
    if complaint is None or complaint.advice:
        return complaint
    return Complaint(
        complaint.lines,
        "this exercise only joins two others: do the checks of `depthwise_conv2d` and `pointwise_conv2d` pass?",
    )


def _pointwise_first(image, depthwise_kernel, pointwise_kernel, stride, dilation):
    if pointwise_kernel.shape[2:] != (image.shape[2],) * 2:
        return np.nan  # channels do not fit: whoever mixes first stops with an error there
    return depthwise_conv2d(pointwise_conv2d(image, pointwise_kernel), depthwise_kernel, stride, dilation)


def _first_kernels_alone(image, depthwise_kernel, pointwise_kernel, stride, dilation):
    multiplier = depthwise_kernel.shape[3]
    return separable_conv2d(image, depthwise_kernel[..., :1], pointwise_kernel[:, :, ::multiplier], stride, dilation)


def _draw_separable(rng: np.random.Generator) -> Arguments:
    in_channels, multiplier, kernel_size = rng.integers(2, 4, 3)
    out_channels = in_channels * multiplier + 1
    return (
        _image(rng, *_draw_size(rng), in_channels),
        _kernel(rng, kernel_size, kernel_size, in_channels, multiplier),
        _kernel(rng, 1, 1, in_channels * multiplier, out_channels),
        *_draw_steps(rng),
    )


def _separable_case(size, in_channels, multiplier, out_channels, stride, dilation):
    return (
        _image(_RNG, *size, in_channels),
        _kernel(_RNG, 3, 3, in_channels, multiplier),
        _kernel(_RNG, 1, 1, in_channels * multiplier, out_channels),
        stride,
        dilation,
    )


STEPS_DO_NOT_FIT = (
    "what comes out of the first step does not fit the second. The depthwise step comes first and gives C * D "
    "channels: was it `depthwise_conv2d` that you called?"
)

SEPARABLE_CONV2D = Exercise(
    id="03.separable_conv2d",
    title="First look around, then mix",
    points=10,
    difficulty="easy",
    minutes=5,
    home="convolution.separable_conv2d",
    fixed_cases=(
        (_counting(3, 3, 1), _one_tap(3, 1, 2), np.array([[[[10]]]], np.float32), 1, 1),
        _separable_case((3, 4), 2, 1, 2, 1, 1),
        _separable_case((4, 3), 2, 1, 3, 1, 1),
        _separable_case((6, 7), 2, 1, 4, 2, 1),
        _separable_case((7, 6), 2, 1, 2, 1, 2),
        _separable_case((8, 5), 3, 2, 4, 3, 1),
        (_photograph(3, 2, 2), _half_of_one_tap(3, 1, 1, 2, 1), np.eye(2, dtype=np.float32)[None, None], 1, 1),
    ),
    draw=_draw_separable,
    hints=(
        "You have both steps already. Which of them looks around, and which mixes?",
        "First depthwise_conv2d, with stride and dilation; what comes out goes into pointwise_conv2d.",
        "pointwise_conv2d(depthwise_conv2d(image, depthwise_kernel, stride, dilation), pointwise_kernel).",
    ),
    mutants=(
        Mutant(
            lambda image, depthwise, pointwise, stride, dilation: depthwise_conv2d(image, depthwise, stride, dilation),
            "this is the depthwise half alone. Its channels still have to be mixed.",
        ),
        Mutant(
            _pointwise_first,
            "the channels were mixed first and filtered then. The depthwise step comes first.",
        ),
        Mutant(
            lambda image, depthwise, pointwise, stride, dilation: separable_conv2d(
                image, depthwise, pointwise, stride, dilation
            )[::stride, ::stride],
            "the stride was taken twice, in both steps. It belongs to the depthwise one alone.",
        ),
        Mutant(
            lambda image, depthwise, pointwise, stride, dilation: separable_conv2d(
                image, depthwise, pointwise, 1, dilation
            )[::stride, ::stride],
            "this is the convolution at stride 1 with pixels left out. The stride belongs in the depthwise step.",
        ),
        Mutant(
            lambda image, depthwise, pointwise, stride, dilation: separable_conv2d(
                image, depthwise, pointwise, 1, dilation
            ),
            "this is right for stride 1: the stride did not reach the depthwise step.",
        ),
        Mutant(
            lambda image, depthwise, pointwise, stride, dilation: separable_conv2d(image, depthwise, pointwise, stride),
            "this is right for dilation 1: the dilation did not reach the depthwise step.",
        ),
        Mutant(
            lambda image, depthwise, pointwise, stride, dilation: separable_conv2d(
                image, depthwise, pointwise, dilation, stride
            ),
            "stride and dilation have changed places on their way to the depthwise step.",
        ),
        Mutant(
            lambda image, depthwise, pointwise, stride, dilation: pointwise_conv2d(
                np.maximum(depthwise_conv2d(image, depthwise, stride, dilation), 0), pointwise
            ),
            "between the two steps, what is below 0 was cut off. MobileNet does that there; a separable convolution by "
            "itself does not.",
        ),
        Mutant(
            _first_kernels_alone,
            "only the first kernel of each channel counts. The pointwise step mixes the outputs of all of them.",
        ),
        Mutant(
            lambda *arguments: np.maximum(separable_conv2d(*arguments), 0),
            "what is below 0 was cut off at the end. A network often does that next, in a step of its own.",
        ),
        Mutant(
            lambda image, depthwise, pointwise, stride, dilation: pointwise_conv2d(
                _multiplier_first(image, depthwise, stride, dilation), pointwise
            ),
            "the mix met the depthwise outputs in another order: all kernels of the first channel come first, then "
            "those of the second.",
        ),
        Mutant(
            lambda image, depthwise, pointwise, stride, dilation: separable_conv2d(
                image, depthwise[::-1, ::-1], pointwise, stride, dilation
            ),
            "the depthwise kernel was turned around. Here its first tap meets the first pixel of the window.",
        ),
        Mutant(
            _cut_off(separable_conv2d),
            "a picture of whole numbers got an output of whole numbers, and halves were cut off.",
        ),
    ),
    compare=compare_with_both_steps,
    errors=((("matmul", "IndexError"), STEPS_DO_NOT_FIT),),
)


# 03.conv_cost


def _places(size, stride):
    """Pixels that come out."""
    height, width = size
    return _output_side(height, stride) * _output_side(width, stride)


def _with_parameters(parameters):
    """`conv_cost` where `parameters(kind, kernel_size, in_channels, out_channels)` are counted."""

    def cost(kind, size, kernel_size, in_channels, out_channels, stride):
        weights = parameters(kind, kernel_size, in_channels, out_channels)
        return weights, weights * _places(size, stride)

    return cost


def _with_places(places):
    """`conv_cost` where each weight is used at `places(size, kernel_size, stride)` pixels."""

    def cost(kind, size, kernel_size, in_channels, out_channels, stride):
        weights = _weights(kind, kernel_size, in_channels, out_channels)
        return weights, weights * places(size, kernel_size, stride)

    return cost


def _weights(kind, kernel_size, in_channels, out_channels):
    return conv_cost(kind, (1, 1), kernel_size, in_channels, out_channels).parameters


def _instead(wrong_kind, parameters):
    """Wrong parameters of one kind, right ones of the others."""
    return _with_parameters(lambda kind, *sizes: parameters(*sizes) if kind == wrong_kind else _weights(kind, *sizes))


def _with_taps(taps):
    """`conv_cost` where a kernel of side k has `taps(k)` taps."""

    def parameters(kind, kernel_size, in_channels, out_channels):
        return {
            "standard": taps(kernel_size) * in_channels * out_channels,
            "depthwise": taps(kernel_size) * out_channels,
            "pointwise": in_channels * out_channels,
            "separable": taps(kernel_size) * in_channels + in_channels * out_channels,
        }[kind]

    return _with_parameters(parameters)


def _with_bias(*arguments):
    parameters, multiply_adds = conv_cost(*arguments)
    return parameters + arguments[4], multiply_adds


def _stride_in_the_pointwise_step(kind, size, kernel_size, in_channels, out_channels, stride):
    parameters, multiply_adds = conv_cost(kind, size, kernel_size, in_channels, out_channels, stride)
    if kind == "separable":
        looking = kernel_size**2 * in_channels
        multiply_adds += looking * (size[0] * size[1] - _places(size, stride))
    return parameters, multiply_adds


def _with_bias_at_every_pixel(kind, size, kernel_size, in_channels, out_channels, stride):
    parameters = _weights(kind, kernel_size, in_channels, out_channels) + out_channels
    return parameters, parameters * _places(size, stride)


def _pointwise_at_every_pixel(kind, size, kernel_size, in_channels, out_channels, stride):
    return conv_cost(kind, size, kernel_size, in_channels, out_channels, 1 if kind == "pointwise" else stride)


def _used_once_a_tap(*arguments):
    parameters, multiply_adds = conv_cost(*arguments)
    return parameters, multiply_adds * arguments[2] ** 2


def _draw_cost(rng: np.random.Generator) -> Arguments:
    kind = str(rng.choice(["standard", "depthwise", "pointwise", "separable"]))
    in_channels, out_channels = rng.choice(np.arange(2, 12), 2, replace=False).tolist()
    if kind == "depthwise":
        out_channels = in_channels * int(rng.integers(1, 3))
    kernel_size = 1 if kind == "pointwise" else int(rng.integers(2, 6))
    return kind, _draw_size(rng), kernel_size, in_channels, out_channels, int(rng.integers(1, 4))


CONV_COST = Exercise(
    id="03.conv_cost",
    title="What it costs",
    points=15,
    difficulty="medium",
    minutes=15,
    home="convolution.conv_cost",
    fixed_cases=(
        ("standard", (4, 6), 3, 2, 5, 1),
        ("depthwise", (4, 6), 3, 4, 4, 1),
        ("pointwise", (4, 6), 1, 2, 5, 1),
        ("separable", (4, 6), 3, 2, 5, 1),
        ("standard", (5, 8), 3, 2, 4, 2),
        ("depthwise", (5, 8), 5, 3, 6, 2),
        ("pointwise", (5, 8), 1, 3, 4, 2),
        ("separable", (8, 5), 5, 3, 4, 2),
        ("standard", (7, 8), 3, 2, 3, 3),
        ("standard", (14, 14), 3, 512, 512, 1),
        ("separable", (14, 14), 3, 512, 512, 1),
    ),
    draw=_draw_cost,
    hints=(
        "Parameters are the numbers in the kernel: multiply the four lengths of its shape. A separable convolution has "
        "two kernels.",
        "Each parameter is used once for every pixel that comes out. How many pixels come out of (height, width) at "
        "this stride, rounded up?",
        "standard: k * k * Cin * Cout. depthwise: k * k * Cout, since Cout is Cin * multiplier. pointwise: Cin * Cout. "
        "separable: k * k * Cin + Cin * Cout. Multiply-adds: that, times ceil(height / stride) * ceil(width / stride).",
    ),
    mutants=(
        Mutant(
            _with_bias,
            "the parameters hold Cout too many: a bias was counted. Here a convolution has none.",
        ),
        Mutant(
            _with_bias_at_every_pixel,
            "a bias was counted, Cout parameters too many, and with them too many multiply-adds. Here there is none.",
        ),
        Mutant(
            _with_places(lambda size, kernel_size, stride: size[0] * size[1]),
            "each weight was counted at every pixel that goes in. It is used once for every pixel that comes out.",
        ),
        Mutant(
            _with_places(lambda size, kernel_size, stride: (size[0] // stride) * (size[1] // stride)),
            "the output was rounded down. 'Same' padding rounds up: at stride 2, 5 pixels become 3.",
        ),
        Mutant(
            _with_places(lambda size, kernel_size, stride: size[0] / stride * (size[1] / stride)),
            "the output has no half pixels: where the stride does not divide a side, 'same' padding rounds it up.",
        ),
        Mutant(
            _with_places(lambda size, kernel_size, stride: -(-size[0] * size[1] // stride)),
            "the stride was taken into account only once. It makes both sides of the output shorter.",
        ),
        Mutant(
            _with_places(
                lambda size, kernel_size, stride: (
                    max((size[0] - kernel_size) // stride + 1, 0) * max((size[1] - kernel_size) // stride + 1, 0)
                )
            ),
            "this is the output without padding. With 'same' padding it does not depend on the kernel.",
        ),
        Mutant(
            _with_places(lambda size, kernel_size, stride: -(-size[0] * size[1] // stride**2)),
            "the area was rounded up, after its sides had been multiplied. Each side is rounded up by itself: 5 x 5 "
            "pixels at stride 2 become 3 x 3.",
        ),
        Mutant(
            _with_places(lambda size, kernel_size, stride: size[0] * size[1] // stride**2),
            "the area was rounded down, after its sides had been multiplied. Each side is rounded up by itself: 5 x 5 "
            "pixels at stride 2 become 3 x 3.",
        ),
        Mutant(
            _with_places(lambda size, kernel_size, stride: (size[0] // stride + 1) * (size[1] // stride + 1)),
            "where the stride divides a side, there is a pixel too many: rounding up is not the same as rounding down "
            "and adding one.",
        ),
        Mutant(
            _with_places(lambda size, kernel_size, stride: round(size[0] / stride) * round(size[1] / stride)),
            "a side was rounded to the nearest whole number. 'Same' padding rounds up, however small the rest is.",
        ),
        Mutant(
            _with_places(lambda size, kernel_size, stride: _output_side(size[0], stride) * size[1]),
            "the stride made the output less high, but not less wide.",
        ),
        Mutant(
            _used_once_a_tap,
            "the multiply-adds hold k x k twice: the parameters have it in them already.",
        ),
        Mutant(
            _with_taps(lambda kernel_size: kernel_size ^ 2),
            "in Python `^` is no power (3 ^ 2 is 1): `k ** 2`, or `k * k`.",
        ),
        Mutant(
            _with_taps(lambda kernel_size: 2 * kernel_size),
            "the kernel has k times k taps, and 2 times k were counted.",
        ),
        Mutant(
            _with_taps(lambda kernel_size: kernel_size),
            "the kernel has k rows of k taps, and only one side was counted.",
        ),
        Mutant(
            _instead("depthwise", lambda kernel_size, cin, cout: kernel_size**2 * cin * cout),
            "a depthwise convolution was counted like a standard one. Its output channels look at one input channel "
            "each.",
        ),
        Mutant(
            _instead("depthwise", lambda kernel_size, cin, cout: kernel_size**2 * cin),
            "the depthwise kernel was counted for a multiplier of 1. How many kernels are there for Cout output "
            "channels?",
        ),
        Mutant(
            _instead("separable", lambda kernel_size, cin, cout: kernel_size**2 * cin),
            "the pointwise half of the separable convolution is missing.",
        ),
        Mutant(
            _instead("separable", lambda kernel_size, cin, cout: kernel_size**2 * cout + cin * cout),
            "in the separable convolution, the depthwise half was counted for Cout channels. It comes first: how many "
            "channels does it see?",
        ),
        Mutant(
            _instead("separable", lambda kernel_size, cin, cout: kernel_size**2 * (cin + cin * cout)),
            "in the separable convolution, the pointwise half was counted with k x k taps. How many pixels does it "
            "look at?",
        ),
        Mutant(
            _instead("separable", lambda kernel_size, cin, cout: kernel_size**2 * cin * cin * cout),
            "the two halves of the separable convolution were multiplied. They are done one after the other.",
        ),
        Mutant(
            _stride_in_the_pointwise_step,
            "the depthwise half was counted at the full size, as if the stride came with the pointwise half. It comes "
            "with the depthwise one.",
        ),
        Mutant(
            _pointwise_at_every_pixel,
            "the pointwise convolution was counted at every pixel that goes in. It has a stride as well, and leaves "
            "pixels out.",
        ),
        Mutant(
            lambda *arguments: (conv_cost(*arguments)[0], 2 * conv_cost(*arguments)[1]),
            "multiplications and additions were counted apart. Here a multiplication and its addition count as one.",
        ),
        Mutant(
            lambda *arguments: conv_cost(*arguments)[::-1],
            "the two numbers have changed places. Parameters come first.",
        ),
    ),
    returns=("parameters", "multiply-adds"),
    compare=_compare_named("parameters", "multiply-adds"),
)


EXERCISES = (
    POINTWISE_CONV2D,
    SAME_PADDING,
    CONV2D_LOOPS,
    CONV2D,
    DEPTHWISE_CONV2D,
    SEPARABLE_CONV2D,
    CONV_COST,
)
