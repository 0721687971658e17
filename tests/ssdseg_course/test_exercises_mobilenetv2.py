"""Lesson 4's exercises take every honest answer, and have words for the mistakes that people make."""

import math

import keras
import numpy as np
from answers import assert_passes, assert_told, every_mistake, every_variant, exercises_of, report_on, words
from keras import layers, ops

from ssdseg_course import EXERCISES
from ssdseg_course.checking.networks import run_network
from ssdseg_ref.mobilenetv2 import STAGES, bottleneck, mobilenet_v2_features

# Right answers, written in another way


def rounded_by_comparing(channels, divisor):
    below = int(channels) - int(channels) % divisor
    candidates = [multiple for multiple in (below, below + divisor) if multiple > 0]
    nearest = min(candidates, key=lambda multiple: (abs(multiple - channels), -multiple))
    return nearest if nearest >= 0.9 * channels else nearest + divisor


def rounded_by_quotients(channels, divisor):
    packs = max(1, math.floor(channels / divisor + 0.5))
    return (packs + (channels - packs * divisor > 0.1 * channels)) * divisor


def rounded_by_searching(channels, divisor):
    multiples = np.arange(1, int(channels / divisor) + 3) * divisor
    distances = np.abs(multiples - channels)
    nearest = np.flatnonzero(distances == distances.min())[-1]
    return multiples[nearest + 1] if 1 - multiples[nearest] / channels > 0.1 else multiples[nearest]


def conv_bn_in_a_sequential(x, filters, kernel_size, stride, activation):
    steps = [layers.Conv2D(filters, kernel_size, stride, "same", use_bias=False), layers.BatchNormalization()]
    return keras.Sequential([*steps, layers.Activation(activation or "linear")])(x)


def conv_bn_padded_by_hand(x, filters, kernel_size, stride, activation):
    """As Keras's own MobileNetV2 does it."""
    missing = [max((-(-side // stride) - 1) * stride + kernel_size - side, 0) for side in x.shape[1:3]]
    x = layers.ZeroPadding2D([(zeros // 2, zeros - zeros // 2) for zeros in missing])(x)
    x = layers.BatchNormalization()(layers.Conv2D(filters, kernel_size, stride, use_bias=False)(x))
    return x if activation is None else layers.Activation(activation)(x)


def conv_bn_by_layers_of_their_own(x, filters, kernel_size, stride, activation):
    x = layers.Conv2D(filters, (kernel_size, kernel_size), (stride, stride), "same", use_bias=False, name="mine")(x)
    x = layers.BatchNormalization(name="my_norm")(x)
    if activation == "relu6":
        return layers.ReLU(max_value=6.0)(x)
    return layers.ReLU()(x) if activation == "relu" else x


def conv_bn_with_operations(x, filters, kernel_size, stride, activation):
    x = layers.BatchNormalization()(layers.Conv2D(filters, kernel_size, stride, "same", use_bias=False)(x))
    return x if activation is None else getattr(ops, activation)(x)


def depthwise_with_operations(x, kernel_size, stride, dilation, activation):
    x = layers.DepthwiseConv2D(kernel_size, stride, "same", dilation_rate=dilation, use_bias=False)(x)
    x = layers.BatchNormalization()(x)
    return x if activation is None else getattr(ops, activation)(x)


def depthwise_by_groups(x, kernel_size, stride, dilation, activation):
    """Padded by hand where that is the same."""
    padding = "same"
    if stride == 1:
        x, padding = layers.ZeroPadding2D(dilation * (kernel_size - 1) // 2)(x), "valid"
    x = layers.DepthwiseConv2D(kernel_size, stride, padding, dilation_rate=dilation, use_bias=False)(x)
    x = layers.BatchNormalization()(x)
    return x if activation is None else layers.Activation(activation)(x)


def depthwise_by_a_grouped_convolution(x, kernel_size, stride, dilation, activation):
    channels = x.shape[-1]
    x = layers.Conv2D(channels, kernel_size, stride, "same", dilation_rate=dilation, groups=channels, use_bias=False)(x)
    x = layers.BatchNormalization()(x)
    return x if activation is None else layers.Activation(activation)(x)


def through_relu_by_singular_values(points, matrix):
    u, s, vt = np.linalg.svd(matrix, full_matrices=False)
    wide = points @ matrix
    return (wide * (wide > 0)) @ vt.T @ np.diag(1 / s) @ u.T


def through_relu_point_by_point(points, matrix):
    back = np.linalg.pinv(matrix)
    return [
        [sum(max(m, 0) * b for m, b in zip(point @ matrix, column, strict=True)) for column in back.T]
        for point in points
    ]


def through_relu_by_least_squares(points, matrix):
    wide = points @ matrix
    wide[wide < 0] = 0
    return np.linalg.lstsq(matrix.T, wide.T, rcond=None)[0].T


def bottleneck_in_other_words(x, channels, stride, expansion):
    y = expanded = conv_bn_with_operations(x, expansion * x.shape[-1], 1, 1, "relu6") if expansion > 1 else x
    y = depthwise_with_operations(y, 3, stride, 1, "relu6")
    y = conv_bn_with_operations(y, channels, 1, 1, None)
    return [y + x if y.shape == x.shape else y, expanded]


def features_by_counting(x, alpha, stages):
    def width(channels):
        return int(rounded_by_comparing(channels * alpha, 8))

    x = conv_bn_with_operations(x, width(32), 3, 2, "relu6")
    maps, stride = [], 2
    for t, c, n, s in stages:
        for step in [s] + [1] * (n - 1):
            x, expanded = bottleneck_in_other_words(x, width(c), step, t)
            if step == 2:
                maps.append((stride, expanded))
                stride *= 2
    return dict([*maps, (stride, x)])


def whole_with_an_average_by_hand(input_shape, alpha, classes):
    image = layers.Input(shape=input_shape)
    x = mobilenet_v2_features(image, alpha)[32]
    x = conv_bn_with_operations(x, rounded_by_quotients(1280 * max(1, alpha), 8), 1, 1, "relu6")
    x = ops.mean(x, axis=(1, 2))
    return keras.Model(inputs=image, outputs=layers.Softmax()(layers.Dense(classes)(x)))


HONEST = {
    "04.make_divisible": (rounded_by_comparing, rounded_by_quotients, rounded_by_searching),
    "04.conv_bn": (
        conv_bn_by_layers_of_their_own,
        conv_bn_with_operations,
        conv_bn_in_a_sequential,
        conv_bn_padded_by_hand,
    ),
    "04.depthwise_bn": (depthwise_with_operations, depthwise_by_groups, depthwise_by_a_grouped_convolution),
    "04.through_relu": (
        through_relu_point_by_point,
        through_relu_by_least_squares,
        through_relu_by_singular_values,
    ),
    "04.bottleneck": (bottleneck_in_other_words,),
    "04.mobilenet_v2_features": (features_by_counting,),
    "04.mobilenet_v2": (whole_with_an_average_by_hand,),
}


@every_variant(HONEST)
def test_an_honest_variant_passes(exercise, variant):
    assert_passes(exercise, variant)


def test_every_exercise_has_honest_variants():
    assert set(HONEST) == exercises_of("04")


# Mistakes, written as people write them


def layer_not_applied(x, filters, kernel_size, stride, activation):
    x = layers.Conv2D(filters, kernel_size, stride, padding="same", use_bias=False)(x)
    x = layers.BatchNormalization()(x)
    return layers.Activation(activation) if activation else x


def activation_of_none(x, filters, kernel_size, stride, activation):
    x = layers.Conv2D(filters, kernel_size, stride, padding="same", use_bias=False)(x)
    return layers.Activation(activation)(layers.BatchNormalization()(x)) if filters != 4 else ops.relu6(x)


def loops_over_a_tensor(x, filters, kernel_size, stride, activation):
    return [row for row in x]


def sum_without_asking_for_channels(x, channels, stride, expansion):
    y, expanded = bottleneck_in_other_words(x, channels, stride, expansion)
    return (y, expanded) if x.shape[-1] == channels else (layers.Add()([x, y]), expanded)


def shape_as_a_number(x, channels, stride, expansion):
    return conv_bn_with_operations(x, expansion * x.shape, 1, 1, "relu6"), x


def one_thing_for_two(x, alpha, stages):
    x = conv_bn_with_operations(x, 32, 3, 2, "relu6")
    for t, c, n, s in stages:
        for _ in range(n):
            x = bottleneck_in_other_words(x, c, s, t)
    return {4: x}


def three_columns(x, alpha, stages):
    return {2: [t for t, c, n in stages]}


def the_wrong_key(input_shape, alpha, classes):
    image = keras.Input(input_shape)
    return keras.Model(image, features_by_counting(image, alpha, STAGES[:4])[32])


def a_stem_that_is_missing(x, alpha, stages):
    return {2: bottleneck(x, 16, 1, 1, name="only")[0]}


def always_as_in_training(x, filters, kernel_size, stride, activation):
    x = layers.Conv2D(filters, kernel_size, stride, padding="same", use_bias=False)(x)
    x = layers.BatchNormalization()(x, training=True)
    return x if activation is None else layers.Activation(activation)(x)


def activation_inside_of_the_convolution(x, filters, kernel_size, stride, activation):
    x = layers.Conv2D(filters, kernel_size, stride, padding="same", use_bias=False, activation=activation)(x)
    return layers.BatchNormalization()(x)


def dilation_as_a_multiplier(x, kernel_size, stride, dilation, activation):
    x = layers.BatchNormalization()(layers.DepthwiseConv2D(kernel_size, stride, "same", dilation, use_bias=False)(x))
    return x if activation is None else layers.Activation(activation)(x)


def nothing_expanded(x, channels, stride, expansion):
    y, expanded = bottleneck_in_other_words(x, channels, stride, expansion)
    return y, None if expansion == 1 else expanded


def cut_off_to_a_half(channels, divisor):
    rounded = max(divisor, int(channels + divisor // 2) // divisor * divisor)
    return rounded if rounded >= 0.9 * channels else rounded + divisor


def rounded_by_python(channels, divisor):
    rounded = max(divisor, round(channels / divisor) * divisor)
    return rounded if rounded >= 0.9 * channels else rounded + divisor


def rounded_to_a_float(channels, divisor):
    rounded = max(divisor, np.floor(channels / divisor + 0.5) * divisor)
    return rounded if rounded >= 0.9 * channels else rounded + divisor


def plain_relu_in_the_widened_part(x, channels, stride, expansion):
    y = expanded = conv_bn_with_operations(x, expansion * x.shape[-1], 1, 1, "relu") if expansion > 1 else x
    y = depthwise_with_operations(y, 3, stride, 1, "relu")
    y = conv_bn_with_operations(y, channels, 1, 1, None)
    return y + x if y.shape == x.shape else y, expanded


def tensor_in_the_place_of_a_model(input_shape, alpha, classes):
    image = keras.Input(input_shape)
    return layers.Dense(classes)(layers.GlobalAveragePooling2D()(image))


MISTAKES = {
    "04.make_divisible": (
        (cut_off_to_a_half, "half of an odd divisor is no whole number"),
        (rounded_by_python, "halves go to the even number"),
        (rounded_to_a_float, "a layer takes whole numbers of channels alone"),
        (lambda channels, divisor: rounded_by_comparing(int(channels), divisor), "was cut off too soon"),
    ),
    "04.depthwise_bn": ((dilation_as_a_multiplier, "the dilation was given as the depth multiplier"),),
    "04.conv_bn": (
        (always_as_in_training, "a layer is called with `training` given"),
        (activation_inside_of_the_convolution, "the activation stands before the batch normalisation"),
        (layer_not_applied, "not yet applied, as in `layer(x)`?"),
        (loops_over_a_tensor, "a Keras tensor"),
    ),
    "04.through_relu": (
        (lambda points, matrix: np.clip(points @ matrix, 0, 6) @ np.linalg.pinv(matrix), "above 6 was cut off"),
        (lambda points, matrix: np.max(points @ matrix, 0) @ np.linalg.pinv(matrix), "`np.max(a, 0)` finds the"),
        (lambda points, matrix: np.maximum(points @ matrix, 0) @ np.linalg.inv(matrix), "`np.linalg.pinv` takes any"),
        (lambda points, matrix: matrix @ points, "as many columns in a as rows in b"),
    ),
    "04.bottleneck": (
        (plain_relu_in_the_widened_part, "there should be `relu6`, and yours has a `relu`"),
        (nothing_expanded, "thing 2 of the 2 that it returns is None, and should be a Keras tensor"),
        (sum_without_asking_for_channels, "ask for the stride *and* for the channels first"),
        (lambda x, channels, stride, expansion: None, "returned None: does every way end in `return`?"),
    ),
    "04.mobilenet_v2_features": (
        (three_columns, "a row has four numbers"),
        (one_thing_for_two, "`bottleneck` gives two things"),
        (a_stem_that_is_missing, "layer 1 (the stem) should be a Conv2D 3 × 3, stride 2"),
    ),
    "04.mobilenet_v2": (
        (the_wrong_key, "32 is the key of the last map"),
        (tensor_in_the_place_of_a_model, "it should return a Keras model, and returned a Keras tensor"),
    ),
}


@every_mistake(MISTAKES)
def test_a_mistake_as_people_write_it_gets_the_sentence_that_helps(exercise, mistake, sentence):
    assert_told(exercise, mistake, sentence)


def test_a_head_of_another_width_is_told_without_running_it():
    """Building a network on features that are there already is quick, and running it is not."""
    exercise = EXERCISES["04.mobilenet_v2"]
    arguments = exercise.fixed_cases[0]
    value = run_network(exercise.reference, arguments)
    told = [mutant for mutant in exercise.mutants if exercise.run.rules_out(mutant.function, arguments, value)]
    assert len(told) > len(exercise.mutants) / 2
    assert not exercise.run.rules_out(exercise.reference, arguments, value)


def test_the_first_bottleneck_that_differs_is_named():
    def one_too_wide(x, alpha, stages):
        maps = EXERCISES["04.mobilenet_v2_features"].reference(
            x, alpha, (*stages[:-1], (*stages[-1][:1], 99, *stages[-1][2:]))
        )
        return maps

    report = words(report_on(EXERCISES["04.mobilenet_v2_features"], one_too_wide))
    assert "(bottleneck 2) should be a Conv2D 1 × 1 that gives 8 × 12 × 40" in report or "(bottleneck 2)" in report


def test_what_stands_behind_the_features_is_said_to_be_in_the_head():
    """The last convolution and the dense layer belong to no bottleneck of the table."""

    def without_a_last_convolution(input_shape, alpha, classes):
        image = keras.Input(input_shape)
        x = features_by_counting(image, alpha, STAGES)[32]
        return keras.Model(image, layers.Dense(classes, activation="softmax")(layers.GlobalAveragePooling2D()(x)))

    report = words(report_on(EXERCISES["04.mobilenet_v2"], without_a_last_convolution))
    assert "(in the head) should be a Conv2D 1 × 1" in report
