"""The exercises of lesson 4: MobileNetV2, from the rounding of its widths to the whole network.

What builds a network is tried on maps whose numbers reach well over 6, so that ReLU and ReLU6 differ.
"""

from functools import lru_cache

import numpy as np

from ssdseg_course.checking.compare import compare_whole_numbers
from ssdseg_course.checking.exercise import Arguments, Exercise, Mutant
from ssdseg_course.checking.home import new_name
from ssdseg_course.checking.networks import Layer, compare_networks, run_network
from ssdseg_course.exercises.shared import KERAS_ERRORS, maps_of_seed, place_in_network
from ssdseg_course.lazy import LazyModule

keras = LazyModule("keras")
layers = LazyModule("keras.layers")
blocks = LazyModule("ssdseg_ref.blocks")
reference = LazyModule("ssdseg_ref.mobilenetv2")

_maps = maps_of_seed(4)

# 04.make_divisible


def _never_up_again(channels, divisor):
    return max(divisor, int(channels + divisor / 2) // divisor * divisor)


def _a_tenth_of_the_divisor(channels, divisor):
    rounded = max(divisor, int(channels + divisor / 2) // divisor * divisor)
    return rounded if rounded >= channels - 0.1 * divisor else rounded + divisor


def _always_down(channels, divisor):
    return max(divisor, int(channels) // divisor * divisor)


def _always_up(channels, divisor):
    return max(divisor, -(-channels // divisor) * divisor)


def _twice_the_divisor(channels, divisor):
    rounded = max(divisor, int(channels + divisor) // divisor * divisor)
    return rounded if rounded >= 0.9 * channels else rounded + divisor


def _up_to_the_channels(channels, divisor):
    rounded = max(divisor, int(channels + divisor / 2) // divisor * divisor)
    return rounded if rounded >= 0.9 * channels else int(channels)


def _number_of_divisors(channels, divisor):
    return blocks.make_divisible(channels, divisor) / divisor


def _cut_off_first(channels, divisor):
    return blocks.make_divisible(int(channels), divisor)


def _halves_to_the_even(channels, divisor):
    rounded = max(divisor, round(channels / divisor) * divisor)
    return rounded if rounded >= 0.9 * channels else rounded + divisor


def _halves_down(channels, divisor):
    rounded = max(divisor, int(-((divisor / 2 - channels) // divisor)) * divisor)
    return rounded if rounded >= 0.9 * channels else rounded + divisor


def _whole_half_of_the_divisor(channels, divisor):
    rounded = max(divisor, int(channels + divisor // 2) // divisor * divisor)
    return rounded if rounded >= 0.9 * channels else rounded + divisor


def _up_at_a_tenth(channels, divisor):
    rounded = max(divisor, int(channels + divisor / 2) // divisor * divisor)
    return rounded if rounded > 0.9 * channels else rounded + divisor


def _a_tenth_of_the_result(channels, divisor):
    rounded = max(divisor, int(channels + divisor / 2) // divisor * divisor)
    return rounded if channels - rounded <= 0.1 * rounded else rounded + divisor


def _gains_taken_back(channels, divisor):
    rounded = max(divisor, int(channels + divisor / 2) // divisor * divisor)
    return rounded - divisor if rounded > max(1.1 * channels, divisor) else rounded


def _down_with_the_rule(channels, divisor):
    rounded = max(divisor, int(channels // divisor) * divisor)
    return rounded if rounded >= 0.9 * channels else rounded + divisor


def _draw_channels(rng: np.random.Generator) -> Arguments:
    return float(rng.integers(1, 160)) + 0.5 * int(rng.integers(2)), int(rng.choice([4, 8, 16]))


MAKE_DIVISIBLE = Exercise(
    id="04.make_divisible",
    title="Rounding a width",
    points=10,
    difficulty="easy",
    minutes=10,
    home="blocks.make_divisible",
    piece=True,
    fixed_cases=(
        *((32, 8), (33.6, 8), (20.0, 8), (11.2, 8), (3.0, 8), (1, 4), (18.0, 16), (11, 8), (5.6, 4), (16.5, 8)),
        *((52, 8), (60.0, 8)),  # half-way above an even and above an odd multiple, where a tenth is no matter
        *((35.7, 8), (51.6, 8), (52.6, 5)),  # a fraction that decides
        *((10, 3), (71, 16), (70.0, 8)),  # just a tenth, nearly a tenth, less than a tenth below what is nearer above
    ),
    draw=_draw_channels,
    compare=compare_whole_numbers,
    hints=(
        "Three steps: the nearest multiple, at least one divisor, and then a look at whether too much was lost.",
        "The nearest multiple: add half a divisor, then divide with `//`, which cuts off, and multiply again. Mind "
        "that "
        "`int(...)` makes a whole number of what may be 33.6.",
        "rounded = max(divisor, int(channels + divisor / 2) // divisor * divisor); and if that is less than 0.9 * "
        "channels, one divisor more.",
    ),
    mutants=(
        Mutant(
            _never_up_again,
            "the nearest multiple may lose more than a tenth of the channels: 11 becomes 8. Then it goes up.",
        ),
        Mutant(_a_tenth_of_the_divisor, "it may lose a tenth of the *channels*, not of the divisor: 33.6 becomes 32."),
        Mutant(_always_down, "that always rounds down. The nearest multiple of 8 to 20.0 is 24, a half going up."),
        Mutant(_always_up, "that always rounds up. 33.6 is nearer to 32 than to 40, and loses less than a tenth."),
        Mutant(_twice_the_divisor, "to round to the nearest multiple, add *half* a divisor before you cut off."),
        Mutant(_up_to_the_channels, "what goes up has to be a multiple of the divisor again."),
        Mutant(_number_of_divisors, "that is how many divisors there are; multiply by the divisor again."),
        Mutant(
            _cut_off_first,
            "the fraction of `channels` was cut off too soon: 35.7 lies more than a tenth above 32, and 35 does not.",
        ),
        Mutant(
            lambda channels, divisor: blocks.make_divisible(round(channels), divisor),
            "`channels` was rounded before all else: 51.6 lies nearest to 48, and 52 lies half-way to 56.",
        ),
        Mutant(
            _halves_to_the_even,
            "Python's `round` takes 6.5 to 6 and 7.5 to 8: halves go to the even number. Here what lies half-way goes "
            "up.",
        ),
        Mutant(_halves_down, "what lies half-way between two multiples goes up: 52 becomes 56."),
        Mutant(
            _whole_half_of_the_divisor,
            "half of an odd divisor is no whole number: half of 5 is 2.5, so 52.6 lies nearest to 55.",
        ),
        Mutant(_up_at_a_tenth, "10 becomes 9 where the divisor is 3: it loses a tenth, and no *more* than that."),
        Mutant(
            _a_tenth_of_the_result,
            "it may lose a tenth of the `channels` that come in, and not of what comes out: in sixteens 71 becomes 64.",
        ),
        Mutant(
            _gains_taken_back,
            "rounding up may gain more than a tenth; it is a *loss* of more than a tenth that sends the number up "
            "again.",
        ),
        Mutant(_down_with_the_rule, "the first step takes the nearest multiple: from 70 that is 72, above it, not 64."),
        Mutant(
            lambda channels, divisor: blocks.make_divisible(channels, 8),
            "the divisor is always 8: take the one that comes in.",
        ),
        Mutant(
            lambda channels, divisor: max(8, blocks.make_divisible(channels, divisor)),
            "the least that may come out is one divisor, and not always 8.",
        ),
        Mutant(
            lambda channels, divisor: float(blocks.make_divisible(channels, divisor)),
            "a layer takes whole numbers of channels alone: 32, not 32.0. `int(...)` makes one of it.",
        ),
    ),
)


# 04.conv_bn


def _conv_block(
    convolution=None, *, bias=False, norms=1, first_activation=False, fixed=None, always=False, never=False,
    padding="same", around=False,
):  # fmt: skip
    """A block with one mistake, for `conv_bn`."""

    def block(x, filters, kernel_size, stride, activation):
        filters, kernel_size, stride = (convolution or _as_they_are)(filters, kernel_size, stride)
        name = (fixed or activation) if activation else ("relu6" if always else None)
        x = layers.ZeroPadding2D(kernel_size // 2)(x) if around else x
        x = layers.Conv2D(filters, kernel_size, stride, padding, use_bias=bias)(x)
        return _finished(x, name, norms, first_activation, never)

    return block


def _finished(x, name, norms, first_activation, never):
    """What follows the convolution in both blocks: normalisations, and the activation last, first or never."""
    if name and first_activation:
        x = layers.Activation(name)(x)
    for _ in range(norms):
        x = layers.BatchNormalization()(x)
    return layers.Activation(name)(x) if name and not (first_activation or never) else x


def _as_they_are(*sizes):
    return sizes


CONV_BN = Exercise(
    id="04.conv_bn",
    title="A convolution, its normalisation, its activation",
    points=15,
    difficulty="easy",
    minutes=15,
    home="blocks.conv_bn",
    arguments=("x", "filters", "kernel_size", "stride", "activation"),
    piece=True,
    fixed_cases=(
        (_maps(2, 5, 6, 3), 4, 1, 1, "relu6"),
        (_maps(1, 6, 7, 3), 8, 3, 2, "relu6"),
        (_maps(1, 5, 4, 6), 5, 3, 1, None),
        (_maps(1, 4, 4, 2), 6, 1, 1, "relu"),
    ),
    draw=None,
    hints=(
        "Three layers, one behind the other. Each is made first, `layers.Conv2D(...)`, and then applied, `(x)`.",
        'The convolution needs padding="same" and use_bias=False. `layers.BatchNormalization()` needs no argument. '
        "`layers.Activation(...)` takes the name of the activation.",
        'x = layers.Conv2D(filters, kernel_size, stride, padding="same", use_bias=False)(x); then '
        "x = layers.BatchNormalization()(x); and where activation is not None, layers.Activation(activation)(x).",
    ),
    mutants=(
        Mutant(
            _conv_block(bias=True),
            "the convolution has a bias, which the batch normalisation takes out again: use_bias=False.",
        ),
        Mutant(_conv_block(norms=0), "where is the batch normalisation? It stands between convolution and activation."),
        Mutant(
            _conv_block(first_activation=True), "the activation stands before the batch normalisation; it comes last."
        ),
        Mutant(_conv_block(fixed="relu"), "the activation is always a ReLU: take the one that `activation` names."),
        Mutant(_conv_block(fixed="relu6"), "the activation is always a ReLU6: take the one that `activation` names."),
        Mutant(_conv_block(always=True), "where `activation` is None, nothing comes behind the normalisation."),
        Mutant(_conv_block(padding="valid"), 'the map shrinks at its border: padding="same".'),
        Mutant(_conv_block(lambda f, k, s: (f, k, 1)), "the stride has no effect: hand it on to the convolution."),
        Mutant(
            _conv_block(lambda f, k, s: (f, 1, s)),
            "the kernel is always 1 × 1: hand `kernel_size` on to the convolution.",
        ),
        Mutant(
            _conv_block(lambda f, k, s: (f, s, k)),
            "kernel size and stride have changed places. In Conv2D the kernel size comes first.",
        ),
        Mutant(
            _conv_block(lambda f, k, s: (k, f, s)),
            "filters and kernel size have changed places. In Conv2D the number of filters comes first.",
        ),
        Mutant(_conv_block(norms=2), "there are two batch normalisations, one behind the other; one is wanted."),
        Mutant(_conv_block(never=True), "where is the activation? Behind the normalisation comes what it names."),
        Mutant(
            _conv_block(around=True, padding="valid"),
            'all four sides were padded alike, as PyTorch users do. Keras\'s own "same" pads as in lesson 3.',
        ),
    ),
    run=run_network,
    compare=compare_networks(),
    errors=(
        ("Unknown activation function", "was the activation None? Then there is none to apply."),
        *KERAS_ERRORS,
    ),
)


# 04.depthwise_bn


def _depthwise_block(
    change=None, *, bias=False, norms=1, standard=False, always=False, never=False, padding="same", fixed=None,
    first_activation=False, around=False, mixed=False, multiplier=False, counted=False,
):  # fmt: skip
    """A block with one mistake, for `depthwise_bn`."""

    def block(x, kernel_size, stride, dilation, activation):
        k, s, d = (change or _as_they_are)(kernel_size, stride, dilation)
        name = (fixed or activation) if activation else ("relu6" if always else None)
        options = {"padding": padding, "use_bias": bias}
        channels = x.shape[-1]
        x = layers.ZeroPadding2D(d * (k // 2))(x) if around else x
        if standard:
            x = layers.Conv2D(channels, k, s, dilation_rate=d, **options)(x)
        elif counted:
            x = layers.DepthwiseConv2D(channels, kernel_size, **options)(x)
        elif multiplier:
            x = layers.DepthwiseConv2D(k, s, depth_multiplier=dilation, **options)(x)
        else:
            x = layers.DepthwiseConv2D(k, s, dilation_rate=d, **options)(x)
        x = layers.Conv2D(channels, 1, use_bias=False)(x) if mixed else x
        return _finished(x, name, norms, first_activation, never)

    return block


DEPTHWISE_BN = Exercise(
    id="04.depthwise_bn",
    title="The same, depthwise",
    points=10,
    difficulty="easy",
    minutes=5,
    home="blocks.depthwise_bn",
    arguments=("x", "kernel_size", "stride", "dilation", "activation"),
    piece=True,
    fixed_cases=(
        (_maps(2, 5, 6, 3), 3, 1, 1, "relu6"),
        (_maps(1, 6, 7, 4), 3, 2, 1, "relu6"),
        (_maps(1, 9, 8, 2), 3, 1, 2, None),
        (_maps(1, 6, 5, 3), 5, 1, 1, "relu"),
    ),
    draw=None,
    hints=(
        "It is `conv_bn` with another first layer, and without a number of filters: a map comes out for each that "
        "goes in.",
        "The layer is `layers.DepthwiseConv2D(kernel_size, stride, ...)`; it calls the dilation `dilation_rate`.",
        'layers.DepthwiseConv2D(kernel_size, stride, padding="same", dilation_rate=dilation, use_bias=False), and then '
        "as in `conv_bn`.",
    ),
    mutants=(
        Mutant(
            _depthwise_block(standard=True),
            "that is a standard convolution, which mixes the channels: `layers.DepthwiseConv2D`.",
        ),
        Mutant(
            _depthwise_block(bias=True),
            "the convolution has a bias, which the batch normalisation takes out again: use_bias=False.",
        ),
        Mutant(_depthwise_block(norms=0), "where is the batch normalisation?"),
        Mutant(
            _depthwise_block(lambda k, s, d: (k, s, 1)), "the dilation has no effect: Keras calls it `dilation_rate`."
        ),
        Mutant(_depthwise_block(lambda k, s, d: (k, 1, d)), "the stride has no effect: hand it on to the convolution."),
        Mutant(_depthwise_block(lambda k, s, d: (3, s, d)), "the kernel is always 3 × 3: hand `kernel_size` on."),
        Mutant(_depthwise_block(always=True), "where `activation` is None, nothing comes behind the normalisation."),
        Mutant(_depthwise_block(padding="valid"), 'the map shrinks at its border: padding="same".'),
        Mutant(
            _depthwise_block(fixed="relu6"), "the activation is always a ReLU6: take the one that `activation` names."
        ),
        Mutant(
            _depthwise_block(fixed="relu"), "the activation is always a ReLU: take the one that `activation` names."
        ),
        Mutant(
            _depthwise_block(first_activation=True),
            "the activation stands before the batch normalisation; it comes last.",
        ),
        Mutant(_depthwise_block(never=True), "where is the activation? Behind the normalisation comes what it names."),
        Mutant(
            _depthwise_block(multiplier=True),
            "the dilation was given as the depth multiplier, how many kernels a channel has: say `dilation_rate=` "
            "before it.",
        ),
        Mutant(
            _depthwise_block(counted=True),
            "the number of channels was given first, where the kernel size belongs: a depthwise convolution counts its "
            "channels itself.",
        ),
        Mutant(_depthwise_block(mixed=True), "a pointwise convolution has come in: here no channel hears of another."),
        Mutant(_depthwise_block(norms=2), "there are two batch normalisations, one behind the other; one is wanted."),
        Mutant(
            _depthwise_block(around=True, padding="valid"),
            'all four sides were padded alike, as PyTorch users do. Keras\'s own "same" pads as in lesson 3.',
        ),
        Mutant(
            _depthwise_block(lambda k, s, d: (k, d, s)),
            "stride and dilation have changed places. Which of them moves the kernel, and which spreads its taps?",
        ),
    ),
    run=run_network,
    compare=compare_networks(),
    errors=(
        (
            "strides > 1 not supported in conjunction with dilation",
            "stride and dilation have got into each other's places.",
        ),
        *KERAS_ERRORS,
    ),
)


# 04.through_relu


def through_relu(points, matrix):
    """Points (N, d) into n dimensions by a matrix (d, n), ReLU, and back by the matrix's pseudo-inverse: (N, d).

    Source: Sandler et al. 2018, "MobileNetV2", figure 1.
    """
    return np.maximum(points @ matrix, 0) @ np.linalg.pinv(matrix)


def _without_relu(points, matrix):
    return points @ matrix @ np.linalg.pinv(matrix)


def _back_by_the_transpose(points, matrix):
    return np.maximum(points @ matrix, 0) @ matrix.T


def _relu_first(points, matrix):
    return np.maximum(points, 0) @ matrix @ np.linalg.pinv(matrix)


def _not_back(points, matrix):
    return np.maximum(points @ matrix, 0)


def _the_negative_half(points, matrix):
    return np.minimum(points @ matrix, 0) @ np.linalg.pinv(matrix)


def _absolute(points, matrix):
    return np.abs(points @ matrix) @ np.linalg.pinv(matrix)


def _relu6(points, matrix):
    return np.clip(points @ matrix, 0, 6) @ np.linalg.pinv(matrix)


def _greatest_of_a_column(points, matrix):
    return np.max(points @ matrix, 0) @ np.linalg.pinv(matrix)


def _point_lost(points, matrix):
    wide = points @ matrix
    wide[(wide < 0).any(axis=1)] = 0
    return wide @ np.linalg.pinv(matrix)


def _relu_of_the_matrix(points, matrix):
    return points @ np.maximum(matrix, 0) @ np.linalg.pinv(matrix)


def _whether_positive(points, matrix):
    return (points @ matrix > 0) @ np.linalg.pinv(matrix)


def _relu_on_both_sides(points, matrix):
    return np.maximum(through_relu(points, matrix), 0)


def _draw_points(rng: np.random.Generator) -> Arguments:
    dimensions = int(rng.integers(3, 9))
    return rng.normal(size=(int(rng.integers(2, 6)), 2)), rng.normal(size=(2, dimensions))


THROUGH_RELU = Exercise(
    id="04.through_relu",
    title="What a ReLU destroys",
    points=10,
    difficulty="medium",
    minutes=15,
    reference=through_relu,
    fixed_cases=(
        (np.array([[1.0, -2.0]]), np.array([[1.0, 0.0], [0.0, 2.0]])),
        (np.array([[1.0, -2.0], [4.0, 0.5], [-1.0, -1.0]]), np.array([[1.0, -1.0, 0.0, 2.0], [0.0, 1.0, -1.0, 1.0]])),
        (np.array([[2.0, -1.0, 0.5], [0.0, 3.0, 1.0]]), np.random.default_rng(4).normal(size=(3, 5))),
    ),
    draw=_draw_points,
    hints=(
        "Three steps: into n dimensions, ReLU, and back into d.",
        "Into n dimensions: `points @ matrix`. A ReLU is the greater of a number and 0: `np.maximum`. What takes "
        "`points @ matrix` back to `points`? `np.linalg.pinv(matrix)` does.",
        "np.maximum(points @ matrix, 0), and that `@ np.linalg.pinv(matrix)`.",
    ),
    mutants=(
        Mutant(
            _without_relu, "the points come back as they went: nothing happened to them on the way. Where is the ReLU?"
        ),
        Mutant(
            _back_by_the_transpose,
            "the transpose turns back, but does not undo the lengths: np.linalg.pinv(matrix) does.",
        ),
        Mutant(_relu_first, "the ReLU meets the points where they have d dimensions: it belongs where they have n."),
        Mutant(_not_back, "those are the points in n dimensions. Now the way back, to d."),
        Mutant(_the_negative_half, "a ReLU keeps what is above 0, and you have kept what is below."),
        Mutant(_absolute, "a ReLU makes 0 of what is below 0; an absolute value turns its sign."),
        Mutant(_relu6, "what is above 6 was cut off as well. Here it is a plain ReLU, which knows no upper end."),
        Mutant(
            _greatest_of_a_column,
            "`np.max(a, 0)` finds the greatest number along axis 0, and the points are gone. `np.maximum(a, 0)` "
            "compares each number with 0.",
        ),
        Mutant(
            _point_lost,
            "a point with one negative number was lost altogether. A ReLU looks at each number by itself.",
        ),
        Mutant(_relu_of_the_matrix, "the ReLU was applied to the matrix: it belongs on the points, in n dimensions."),
        Mutant(
            _whether_positive,
            "`a > 0` says only whether a number is positive, 1 or 0. A ReLU keeps the number itself.",
        ),
        Mutant(
            _relu_on_both_sides,
            "there is a second ReLU behind the way back; what comes back may be negative.",
        ),
    ),
    errors=(
        ("mismatch in its core dimension", "`a @ b` needs as many columns in a as rows in b. Print both shapes."),
        (("Singular matrix", "must be square"), "only square matrices have an inverse; `np.linalg.pinv` takes any."),
    ),
)


# 04.bottleneck

conv_bn, depthwise_bn = CONV_BN.reference, DEPTHWISE_BN.reference


def _bottleneck_with(
    *, project="linear", shortcut="where it fits", behind=False, from_output=False, always_expand=False,
    strides=(False, True, False), tap="expanded", swapped=False,
):  # fmt: skip
    """A bottleneck with one mistake; `strides` says which of the three steps have the block's."""

    def block(x, channels, stride, expansion):
        expand, look, narrow = (stride if has else 1 for has in strides)
        inner = expansion * (channels if from_output else x.shape[-1])
        wide = expanded = x
        if expansion != 1 or always_expand:
            wide = conv_bn(x, inner, 1, expand, None)
            expanded = layers.Activation("relu6")(wide)
        y = filtered = depthwise_bn(expanded, 3, look, 1, "relu6")
        y = conv_bn(y, channels, 1, narrow, None if project == "linear" else "relu6")
        fits = stride == 1 and x.shape[-1] == channels
        if shortcut == "projected":
            x_there = x if fits else conv_bn(x, channels, 1, stride, None)
            y = layers.Add()([x_there, y])
        elif shortcut == "joined" and fits:
            y = layers.Concatenate()([x, y])
        elif fits and (shortcut == "where it fits" or (shortcut == "where it widens" and expansion != 1)):
            y = layers.Add()([x, y])
            y = layers.Activation("relu6")(y) if behind else y
        second = {"expanded": expanded, "filtered": filtered, "input": x, "wide": wide}[tap]
        return (second, y) if swapped else (y, second)

    return block


def _only_the_output(x, channels, stride, expansion):
    return BOTTLENECK.reference(x, channels, stride, expansion)[0]


def _where_in_the_bottleneck(index: int, rows: list[Layer]) -> str:
    names = ("the expansion", "the depthwise step", "the projection")
    return f"({names[-(-(len(rows) - index) // 2) * -1]})" if len(rows) in (4, 6) else ""


BOTTLENECK = Exercise(
    id="04.bottleneck",
    title="The inverted residual",
    points=20,
    difficulty="medium",
    minutes=25,
    home="mobilenetv2.bottleneck",
    arguments=("x", "channels", "stride", "expansion"),
    piece=True,
    fixed_cases=(
        (_maps(1, 6, 7, 8), 8, 1, 6),
        (_maps(1, 6, 7, 8), 12, 1, 3),
        (_maps(1, 6, 7, 8), 8, 2, 6),
        (_maps(1, 5, 4, 8), 4, 1, 1),
        (_maps(1, 5, 4, 6), 6, 1, 1),
    ),
    draw=None,
    hints=(
        "Widen with `conv_bn`, look around with `depthwise_bn`, narrow with `conv_bn`. Which of the three has the "
        "stride, "
        "and which has no activation?",
        "The channels that come in are `x.shape[-1]`. Keep what the first step gives under a name of its own; where "
        "the "
        "expansion is 1, that is x itself. The sum: `layers.Add()([x, y])`, or `x + y`.",
        'expanded = conv_bn(x, expansion * x.shape[-1], 1, 1, "relu6"), or x; y = depthwise_bn(expanded, 3, stride, 1, '
        '"relu6"); y = conv_bn(y, channels, 1, 1, None); add x if stride is 1 and the channels are as many; return y, '
        "expanded.",
    ),
    mutants=(
        Mutant(
            _bottleneck_with(project="relu6"),
            "the projection has an activation, and that is what this lesson warns of: a linear bottleneck has None.",
        ),
        Mutant(
            _bottleneck_with(shortcut=None),
            "where stride is 1 and the channels stay as many, the input is added to the output.",
        ),
        Mutant(
            _bottleneck_with(behind=True),
            "there is an activation behind the sum: the sum itself comes out, linear as both its parts.",
        ),
        Mutant(
            _bottleneck_with(from_output=True),
            "the inner width is so many times the channels that come *in*, x.shape[-1].",
        ),
        Mutant(
            _bottleneck_with(always_expand=True),
            "with an expansion of 1 there is nothing to widen: leave the first step out.",
        ),
        Mutant(
            _bottleneck_with(strides=(True, False, False)),
            "the stride belongs to the depthwise step, not to the expansion: the wide map stays fine.",
        ),
        Mutant(
            _bottleneck_with(tap="filtered"),
            "the second thing to return is what the expansion gives, before the depthwise step.",
        ),
        Mutant(
            _bottleneck_with(tap="input"), "the second thing to return is what the expansion gives, not what came in."
        ),
        Mutant(_bottleneck_with(swapped=True), "the order of what is returned: first the output, then the expansion."),
        Mutant(
            _bottleneck_with(strides=(False, False, True)),
            "the stride belongs to the depthwise step, not to the projection, which looks at single places.",
        ),
        Mutant(
            _bottleneck_with(strides=(True, True, False)),
            "the stride was taken twice, in the expansion as well. It belongs to the depthwise step alone.",
        ),
        Mutant(
            _bottleneck_with(shortcut="projected"),
            "where the shapes differ, nothing is added: ResNet brings the input to the new shape by a convolution, and "
            "an inverted residual does not.",
        ),
        Mutant(
            _bottleneck_with(shortcut="joined"),
            "the input stands beside the output, as more channels. It should be added to it.",
        ),
        Mutant(
            _bottleneck_with(shortcut="where it widens"),
            "with an expansion of 1 the input is added, too, where stride and channels let it.",
        ),
        Mutant(
            _bottleneck_with(tap="wide"),
            "the second thing to return is what the expansion gives in the end, behind its activation.",
        ),
        Mutant(_only_the_output, "return two things: the output, and the expansion that it was made from."),
    ),
    run=run_network,
    compare=compare_networks(_where_in_the_bottleneck),
    errors=(
        (
            ("incompatible shapes", "cannot be broadcast"),
            "only maps of one shape can be added: ask for the stride *and* for the channels first.",
        ),
        ("unsupported operand type(s) for *", "`x.shape` is a tuple; its last entry is the number of channels."),
        *KERAS_ERRORS,
    ),
)


# 04.mobilenet_v2_features

SHORT = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 1, 2))
SHORTER = ((1, 16, 1, 1), (3, 40, 2, 2))


def _rounded(channels, alpha):
    return blocks.make_divisible(channels * alpha)


def _cut_off_width(channels, alpha):
    return int(channels * alpha)


def _unscaled(channels, alpha):
    return channels


def _features_with(
    *, stem_width=_rounded, width=_rounded, strided="first", tap="expanded", starts_at=2, last="output", last_key=1,
    repeats=True, expansion=lambda t, alpha: t,
):  # fmt: skip
    """The features with one mistake."""

    def features(x, alpha, stages):
        x = blocks.conv_bn(x, stem_width(32, alpha), 3, 2, name="stem")
        maps: dict[int, object] = {}
        so_far = starts_at
        for row, (t, channels, n, s) in enumerate(stages):
            for repeat in range(n if repeats else 1):
                has_stride = {"first": repeat == 0, "last": repeat == n - 1, "every": True}[strided]
                stride, before, name = s if has_stride else 1, x, f"row{row}_{repeat}"
                x, expanded = reference.bottleneck(
                    x, width(channels, alpha), stride, expansion(t, alpha), name=name, norm=blocks.NORM
                )
                if stride > 1:
                    found = {"expanded": expanded, "input": before, "output": x, "one block before": expanded}[tap]
                    maps[so_far] = maps.get(so_far, found)
                    so_far *= stride
                elif tap == "one block before":
                    maps[so_far] = expanded
        return {**maps, last_key * so_far: x if last == "output" else expanded}

    return features


def _features_scaled_again_by_every_repeat(x, alpha, stages):
    rows = []
    for t, channels, n, s in stages:
        for repeat in range(n):
            channels *= alpha if repeat else 1
            rows.append((t, channels, 1, s if repeat == 0 else 1))
    return MOBILENET_V2_FEATURES.reference(x, alpha, rows)


def _features_without_the_last(x, alpha, stages):
    maps = MOBILENET_V2_FEATURES.reference(x, alpha, stages)
    return {stride: maps[stride] for stride in list(maps)[:-1]}


# A bottleneck has six layers with weights, or four where it does not expand.
_where_in_the_table = place_in_network(
    "bottleneck", lambda layers: 6 if len(layers) > 2 and layers[0].kernel == 1 else 4
)

MOBILENET_V2_FEATURES = Exercise(
    id="04.mobilenet_v2_features",
    title="The table is the network",
    points=20,
    difficulty="hard",
    minutes=25,
    home="mobilenetv2.mobilenet_v2_features",
    arguments=("x", "alpha", "stages"),
    piece=True,
    fixed_cases=(
        (_maps(1, 16, 24, 3), 1.0, SHORTER),
        (_maps(1, 17, 16, 3), 0.5, SHORT),
        (_maps(1, 16, 16, 3), 0.35, ((1, 16, 1, 1), (6, 24, 1, 2), (6, 32, 2, 1))),
        (_maps(1, 8, 12, 3), 1.4, ((1, 16, 1, 1), (2, 24, 2, 2))),
    ),
    draw=None,
    hints=(
        "Two loops: over the rows of the table, and over the repeats of each. Only the first bottleneck of a row has "
        "the "
        "row's stride.",
        "Before you apply a bottleneck whose stride is 2, the map has some stride, 2 behind the stem. That is the "
        "key for "
        "its expansion; then the stride doubles. In the end the last output gets the key that you have come to.",
        "for expansion, channels, repeats, stride in stages: for repeat in range(repeats): step = stride if repeat "
        "== 0 "
        "else 1; x, expanded = bottleneck(x, make_divisible(channels * alpha, 8), step, expansion); if step == 2: "
        "maps[so_far] = expanded; so_far *= 2. At last maps[so_far] = x.",
    ),
    mutants=(
        Mutant(
            _features_with(stem_width=lambda channels, alpha: channels),
            "alpha scales the stem as well: its 32 channels become make_divisible(32 * alpha, 8).",
        ),
        Mutant(
            _features_with(stem_width=_cut_off_width, width=_cut_off_width),
            "a width is rounded: make_divisible(channels * alpha, 8).",
        ),
        Mutant(
            _features_with(width=_cut_off_width),
            "the widths behind the stem are not rounded: make_divisible(channels * alpha, 8) for each of them.",
        ),
        Mutant(
            _features_with(stem_width=_unscaled, width=_unscaled),
            "alpha has no effect: every width is multiplied by it, and then rounded.",
        ),
        Mutant(
            _features_with(strided="every"),
            "every repeat has the row's stride, so the map shrinks too often: only the first has.",
        ),
        Mutant(
            _features_with(repeats=False),
            "each row is there once; it needs as many bottlenecks as its third number says.",
        ),
        Mutant(
            _features_with(tap="output"),
            "a key's map is the expansion *in* the bottleneck that leaves that stride, still fine, not its output.",
        ),
        Mutant(
            _features_with(tap="input"),
            "a key's map is the expansion in the bottleneck that leaves that stride, not what came into it.",
        ),
        Mutant(_features_with(last_key=2), "the last output has the stride that the map has come to, not twice that."),
        Mutant(
            _features_with(expansion=lambda t, alpha: 6),
            "the expansion is the first number of each row; in the first row it is 1.",
        ),
        Mutant(
            _features_without_the_last,
            "the last bottleneck's output is missing: it has a key too, the stride in the end.",
        ),
        Mutant(
            _features_scaled_again_by_every_repeat,
            "within a row the bottlenecks get narrower and narrower: alpha is multiplied in once, not at every repeat.",
        ),
        Mutant(
            _features_with(expansion=lambda t, alpha: max(1, round(t * alpha))),
            "alpha was multiplied into the expansion as well. It scales widths; the expansion is that of the table.",
        ),
        Mutant(
            _features_with(strided="last"), "the *first* bottleneck of a row has the row's stride, and here the last."
        ),
        Mutant(
            _features_with(starts_at=1),
            "the keys are too small by half: the stem has halved the map before the first bottleneck.",
        ),
        Mutant(
            _features_with(tap="one block before"),
            "a key's map is the expansion in the bottleneck that *leaves* the stride, not in the one before it.",
        ),
        Mutant(
            _features_with(last="expanded"),
            "the last key's map is the *output* of the last bottleneck: no other one leaves that stride.",
        ),
    ),
    run=run_network,
    compare=compare_networks(_where_in_the_table),
    errors=(
        ("too many values to unpack", "a row has four numbers: expansion, channels, repeats, stride."),
        ("not enough values to unpack", "`bottleneck` gives two things: the output and its expansion."),
        ("object has no attribute 'shape'", "`bottleneck` gives two things, and x is the first of them."),
        *KERAS_ERRORS,
    ),
)


# 04.mobilenet_v2


@lru_cache(maxsize=4)
def _picture_and_maps(input_shape, alpha):
    """What all mistakes in a head have in common, built once: building takes longer than all else in a check."""
    image = keras.Input(input_shape)
    return image, MOBILENET_V2_FEATURES.reference(image, alpha, reference.STAGES)


def _head_width(alpha):
    return blocks.make_divisible(1280 * max(alpha, 1.0))


def _whole_with(
    *, width=_head_width, head=True, stride=32, pool="average", pool_first=False, more=0, scale=True,
):  # fmt: skip
    """The whole network with one mistake."""

    @lru_cache(maxsize=2)  # or every check would hang another head on the same map
    def network(input_shape, alpha, classes):
        image, maps = _picture_and_maps(input_shape, alpha if scale else 1.0)
        x = maps[stride]
        if pool_first:
            x = layers.GlobalAveragePooling2D(keepdims=True)(x)
        if head:
            x = blocks.conv_bn(x, width(alpha), name=new_name())
        x = {
            "average": layers.GlobalAveragePooling2D(),
            "max": layers.GlobalMaxPooling2D(),
            "flat": layers.Flatten(),
        }[pool](x)
        return keras.Model(image, layers.Dense(classes + more, activation="softmax")(x))

    return network


MOBILENET_V2 = Exercise(
    id="04.mobilenet_v2",
    title="The whole network",
    points=15,
    difficulty="medium",
    minutes=15,
    home="mobilenetv2.mobilenet_v2",
    arguments=("input_shape", "alpha", "classes"),
    fixed_cases=(
        ((32, 64, 3), 0.35, 10),  # two places in the last map, or their mean would be their maximum
        ((32, 32, 3), 1.03, 10),  # 1280 * 1.03 is 1318.4: the head grows, and has to be rounded
    ),
    draw=None,
    hints=(
        "An input, the features' last map, one more `conv_bn`, the mean over all places, and a dense layer.",
        "`image = keras.Input(input_shape)`; the map is `mobilenet_v2_features(image, alpha, STAGES)[32]`; the last "
        "convolution is pointwise and has 1280 channels, or alpha times as many where alpha is over 1.",
        'x = conv_bn(x, make_divisible(1280 * max(alpha, 1.0), 8), 1, 1, "relu6"); x = '
        "layers.GlobalAveragePooling2D()(x); "
        'x = layers.Dense(classes, activation="softmax")(x); return keras.Model(image, x).',
    ),
    mutants=(
        Mutant(
            _whole_with(width=lambda alpha: blocks.make_divisible(1280 * alpha)),
            "with alpha under 1 the last convolution keeps its 1280 channels; above 1 it grows.",
        ),
        Mutant(
            _whole_with(head=False), "the convolution with 1280 channels is missing, between the features and the mean."
        ),
        Mutant(_whole_with(pool="max"), "that takes the maximum over all places; here it is the mean."),
        Mutant(_whole_with(pool="flat"), "that lines up all places, a weight each; here it is their mean."),
        Mutant(
            _whole_with(more=1),
            "there is a class too many: ImageNet's classes know no background.",
        ),
        Mutant(_whole_with(scale=False), "alpha has no effect on the features: hand it on."),
        Mutant(
            _whole_with(width=lambda alpha: 1280),
            "with alpha above 1 the last convolution grows as well: the 1280 channels are the least that it has.",
        ),
        Mutant(
            _whole_with(width=lambda alpha: int(1280 * max(alpha, 1.0))),
            "the width of the last convolution is rounded as all others are: `make_divisible`.",
        ),
        Mutant(
            _whole_with(pool_first=True),
            "the mean was taken before the last convolution. It comes behind it, over what its ReLU6 has left.",
        ),
        Mutant(_whole_with(stride=16), "the head stands on a finer map: the last one has the key 32."),
    ),
    run=run_network,
    compare=compare_networks(_where_in_the_table),
    errors=(
        (
            "KeyError: 32",
            "`mobilenet_v2_features` gives a dict, and 32 is the key of the last map; have you handed all of STAGES "
            "on?",
        ),
        *KERAS_ERRORS,
    ),
)

EXERCISES = (
    MAKE_DIVISIBLE,
    CONV_BN,
    DEPTHWISE_BN,
    THROUGH_RELU,
    BOTTLENECK,
    MOBILENET_V2_FEATURES,
    MOBILENET_V2,
)
