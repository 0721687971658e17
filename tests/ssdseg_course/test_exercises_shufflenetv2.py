"""Lesson 5's exercises take every honest answer, and have words for the mistakes that people make."""

import keras
import numpy as np
from answers import assert_passes, assert_told, every_mistake, every_variant, exercises_of, report_on, words
from keras import layers, ops

from ssdseg_course import EXERCISES
from ssdseg_ref.shufflenetv2 import REPEATS, WIDTHS

# Right answers, written in another way


def cost_part_by_part(height, width, in_channels, out_channels):
    read, written = np.prod([height, width, in_channels]), np.prod([height, width, out_channels])
    return float(read + written + in_channels * out_channels)


def shuffle_by_taking(x, groups):
    order = [
        place for first in range(x.shape[-1] // groups) for place in range(first, x.shape[-1], x.shape[-1] // groups)
    ]
    return ops.take(x, order, axis=-1)


def shuffle_by_transposing(x, groups):
    _, h, w, c = x.shape
    x = layers.Reshape((h, w, groups, c // groups))(x)
    return layers.Reshape((h, w, c))(layers.Permute((1, 2, 4, 3))(x))


def shuffle_by_stacking(x, groups):
    parts = ops.stack(ops.split(x, groups, axis=-1), axis=-1)
    return ops.reshape(parts, (-1, *x.shape[1:]))


def conv(x, filters, *, relu=True):
    x = layers.BatchNormalization()(layers.Conv2D(filters, (1, 1), use_bias=False)(x))
    return ops.relu(x) if relu else x


def look(x, stride):
    x = ops.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    return layers.BatchNormalization()(layers.DepthwiseConv2D(3, stride, use_bias=False)(x))


def basic_with_slices(x):
    half = x.shape[-1] // 2
    right = conv(look(conv(x[..., half:], half), 1), half)
    return shuffle_by_stacking(ops.concatenate([x[..., :half], right], axis=-1), 2)


def basic_with_same(x):
    left, right = ops.split(x, 2, axis=-1)
    right = conv(right, left.shape[-1])
    right = layers.BatchNormalization()(layers.DepthwiseConv2D(3, padding="same", use_bias=False)(right))
    right = conv(right, left.shape[-1])
    return shuffle_by_taking(layers.Concatenate()([left, right]), 2)


def downsampling_right_branch_first(x, channels):
    right = conv(look(conv(x, channels // 2), 2), channels // 2)
    left = conv(look(x, 2), channels // 2)
    return shuffle_by_taking(layers.Concatenate()([left, right]), 2)


def features_written_out(x, width, repeats):
    x = ops.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    stem = layers.ReLU()(layers.BatchNormalization()(layers.Conv2D(24, 3, 2, use_bias=False)(x)))
    x = layers.MaxPooling2D(3, strides=2, padding="valid")(layers.ZeroPadding2D(((1, 1), (1, 1)))(stem))
    maps = [stem, x]
    for stage in range(3):
        x = downsampling_right_branch_first(x, WIDTHS[width][0][stage])
        for _ in range(1, repeats[stage]):
            x = basic_with_same(x)
        maps.append(x)
    return dict(zip([2, 4, 8, 16, 32], maps, strict=True))


def whole_written_out(input_shape, width, classes):
    image = layers.Input(shape=input_shape)
    x = conv(features_written_out(image, width, REPEATS)[32], WIDTHS[width].conv5)
    return keras.Model(image, layers.Softmax()(layers.Dense(classes)(ops.mean(x, axis=(1, 2)))))


HONEST = {
    "05.memory_access_cost": (cost_part_by_part,),
    "05.channel_shuffle": (shuffle_by_taking, shuffle_by_transposing, shuffle_by_stacking),
    "05.basic_unit": (basic_with_slices, basic_with_same),
    "05.downsampling_unit": (downsampling_right_branch_first,),
    "05.shufflenet_v2_features": (features_written_out,),
    "05.shufflenet_v2": (whole_written_out,),
}


@every_variant(HONEST)
def test_an_honest_variant_passes(exercise, variant):
    assert_passes(exercise, variant)


def test_every_exercise_has_honest_variants():
    assert set(HONEST) == exercises_of("05")


# Mistakes, written as people write them


def reshape_with_none(x, groups):
    return ops.reshape(x, (*x.shape[:-1], groups, x.shape[-1] // groups))


def float_channels(x, groups):
    return ops.reshape(x, (-1, x.shape[1], x.shape[2], groups, x.shape[-1] / groups))


def joined_without_a_list(x):
    left, right = ops.split(x, 2, axis=-1)
    return layers.Concatenate()(left, right)


def halves_of_the_rows(x):
    left, right = ops.split(x, 2, axis=1)
    return shuffle_by_taking(layers.Concatenate()([left, right]), 2)


def width_as_a_number(x, width, repeats):
    return {2: conv(x, WIDTHS[float(width)].stages[0])}


def a_list_of_maps(x, width, repeats):
    return list(features_written_out(x, width, repeats).values())


def the_wrong_key(input_shape, width, classes):
    image = keras.Input(input_shape)
    return keras.Model(image, features_written_out(image, width, REPEATS)[64])


MISTAKES = {
    "05.memory_access_cost": ((lambda h, w, c, d: h * w * c * d, "those are the multiply-adds"),),
    "05.channel_shuffle": (
        (reshape_with_none, "-1 stands for it"),
        (float_channels, "`//` divides whole numbers"),
        (lambda x, groups: ops.swapaxes(x, -1, -2), "shape"),
    ),
    "05.basic_unit": ((joined_without_a_list, "takes one list"), (halves_of_the_rows, "gives a list of two halves")),
    "05.shufflenet_v2_features": (
        (width_as_a_number, "are texts, such as"),
        (a_list_of_maps, "it should return a dict with the keys"),
    ),
    "05.shufflenet_v2": ((the_wrong_key, "32 is the key of the last map"),),
}


@every_mistake(MISTAKES)
def test_a_mistake_as_people_write_it_gets_the_sentence_that_helps(exercise, mistake, sentence):
    assert_told(exercise, mistake, sentence)


def test_the_first_unit_that_differs_is_named():
    def another_second_unit(x, width, repeats):
        maps = EXERCISES["05.shufflenet_v2_features"].reference(x, width, (repeats[0] + 1, *repeats[1:]))
        return maps

    assert "(unit 2)" in words(report_on(EXERCISES["05.shufflenet_v2_features"], another_second_unit))


def test_an_error_deep_in_a_library_is_not_blamed_on_a_line_of_its_own():
    """A Keras tensor's shape is only wrong once numbers run through it: then no line of the learner's is at work."""
    report = words(report_on(EXERCISES["05.channel_shuffle"], float_channels))
    assert "error_handler" not in report
    assert "in line" not in report


def test_what_stands_behind_the_features_is_said_to_be_in_the_head():
    """The last convolution and the dense layer belong to no unit of a stage."""

    def without_a_last_convolution(input_shape, width, classes):
        image = keras.Input(input_shape)
        x = features_written_out(image, width, REPEATS)[32]
        return keras.Model(image, layers.Dense(classes, activation="softmax")(layers.GlobalAveragePooling2D()(x)))

    report = words(report_on(EXERCISES["05.shufflenet_v2"], without_a_last_convolution))
    assert "(in the head) should be a Conv2D 1 × 1" in report
