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


def basic_with_a_grouped_convolution(x):
    """A convolution in as many groups as there are channels is a depthwise one; two stacked halves are shuffled."""
    left, right = ops.split(x, 2, axis=-1)
    half = right.shape[-1]
    right = ops.pad(conv(right, half), ((0, 0), (1, 1), (1, 1), (0, 0)))
    right = layers.BatchNormalization()(layers.Conv2D(half, 3, groups=half, use_bias=False)(right))
    return ops.reshape(ops.stack([left, conv(right, half)], axis=-1), (-1, *x.shape[1:]))


def basic_with_a_model_inside(x):
    half = x.shape[-1] // 2
    branch = keras.Sequential(
        [
            layers.Conv2D(half, 1, use_bias=False),
            layers.BatchNormalization(),
            layers.ReLU(),
            layers.ZeroPadding2D(1),
            layers.DepthwiseConv2D(3, use_bias=False),
            layers.BatchNormalization(),
            layers.Conv2D(half, 1, use_bias=False),
            layers.BatchNormalization(),
            layers.ReLU(),
        ]
    )
    return shuffle_by_stacking(layers.Concatenate()([x[..., :half], branch(x[..., half:])]), 2)


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
    "05.basic_unit": (
        basic_with_slices,
        basic_with_same,
        basic_with_a_grouped_convolution,
        basic_with_a_model_inside,
    ),
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


def a_random_order(x, groups):
    return ops.take(x, np.random.default_rng(0).permutation(x.shape[-1]).tolist(), axis=-1)


def channels_in_front(x, groups):
    _, h, w, c = x.shape
    x = ops.swapaxes(ops.reshape(x, (-1, groups, c // groups, h, w)), 1, 2)
    return ops.reshape(x, (-1, h, w, c))


def groups_of_two_channels(x, groups):
    _, h, w, c = x.shape
    return ops.reshape(ops.swapaxes(ops.reshape(x, (-1, h, w, 2, c // 2)), 3, 4), (-1, h, w, c))


def shuffle_of_a_mixture(x, groups):
    return shuffle_by_stacking(ops.cumsum(x, axis=-1), groups)


def given_blocks(x, steps):
    """Steps as a learner writes them: ("point", channels, activation) and ("look", stride, activation, padding)."""
    for step, number, activation, *padding in steps:
        if step == "look":
            if padding != ["same"]:
                x = layers.ZeroPadding2D(1)(x)
            layer = layers.DepthwiseConv2D(3, number, padding=padding[0] if padding else "valid", use_bias=False)
        else:
            layer = layers.Conv2D(number, 1, use_bias=False)
        x = layers.BatchNormalization()(layer(x))
        x = layers.Activation(activation)(x) if activation else x
    return x


def basic_of(first="relu", looks=None, last="relu"):
    def unit(x):
        left, right = ops.split(x, 2, axis=-1)
        half = right.shape[-1]
        right = given_blocks(right, [("point", half, first), ("look", 1, looks), ("point", half, last)])
        return shuffle_by_taking(layers.Concatenate()([left, right]), 2)

    return unit


def downsampling_of(left_looks=None, right_looks=None, left_padding="valid", right_padding="valid", ends="relu"):
    def unit(x, channels):
        half = channels // 2
        left = given_blocks(x, [("look", 2, left_looks, left_padding), ("point", half, ends)])
        right = [("point", half, "relu"), ("look", 2, right_looks, right_padding), ("point", half, ends)]
        return shuffle_by_taking(layers.Concatenate()([left, given_blocks(x, right)]), 2)

    return unit


def stride_in_one_branch_alone(x, channels):
    left = conv(look(x, 1), channels // 2)
    right = conv(look(conv(x, channels // 2), 2), channels // 2)
    return shuffle_by_taking(layers.Concatenate()([left, right]), 2)


def features_of(stem=("frame", "relu"), pool="frame", early=False):
    def features(x, width, repeats):
        framed, activation = stem
        x = layers.ZeroPadding2D(1)(x) if framed == "frame" else x
        padding = "valid" if framed == "frame" else "same"
        x = layers.BatchNormalization()(layers.Conv2D(24, 3, 2, padding=padding, use_bias=False)(x))
        stem_map = layers.Activation(activation)(x)
        if pool == "frame":
            x = layers.MaxPooling2D(3, 2)(layers.ZeroPadding2D(1)(stem_map))
        else:
            x = layers.MaxPooling2D(3, 2, padding="same")(stem_map)
        maps = {2: stem_map, 4: x}
        for stride, channels, units in zip((8, 16, 32), WIDTHS[width].stages, repeats, strict=True):
            x = maps[stride] = downsampling_right_branch_first(x, channels)
            for _ in range(units - 1):
                x = basic_with_same(x)
            maps[stride] = maps[stride] if early else x
        return maps

    return features


def whole_of(activation="relu", ending="softmax", last=32):
    def whole(input_shape, width, classes):
        image = keras.Input(input_shape)
        x = conv(features_written_out(image, width, REPEATS)[last], WIDTHS[width].conv5, relu=False)
        x = layers.GlobalAveragePooling2D()(layers.Activation(activation)(x))
        return keras.Model(image, layers.Activation(ending)(layers.Dense(classes)(x)))

    return whole


def a_tensor_for_a_model(input_shape, width, classes):
    return whole_written_out(input_shape, width, classes).output


COST = {
    "both maps pass": lambda h, w, c, d: h * w * max(c, d) + c * d,
    "not nine": lambda h, w, c, d: h * w * (c + d) + c * d * 3**2,
    "those are bytes": lambda h, w, c, d: 4 * (h * w * c + h * w * d + c * d),
    "no bias here": lambda h, w, c, d: h * w * (c + d) + (c + 1) * d,
    "read once": lambda h, w, c, d: h * w * (c * d + d) + c * d,
}
MISTAKES = {
    "05.memory_access_cost": (
        (lambda h, w, c, d: h * w * c * d, "those are the multiply-adds"),
        *((mistake, sentence) for sentence, mistake in COST.items()),
    ),
    "05.channel_shuffle": (
        (reshape_with_none, "-1 stands for it"),
        (float_channels, "`//` divides whole numbers"),
        (lambda x, groups: ops.swapaxes(x, -1, -2), "it should return a tensor of shape (1, 1, 2, 6)"),
        (a_random_order, "all channels are there, but in another order"),
        (channels_in_front, "PyTorch's order"),
        (groups_of_two_channels, "as many as `groups` says"),
        (lambda x, groups: ops.reshape(x, (-1, *x.shape[1:3], groups, x.shape[-1] // groups)), "the reshape back"),
        (shuffle_of_a_mixture, "holds no whole channel of x"),
        (lambda x, groups: ops.concatenate([x[..., :1]] * x.shape[-1], axis=-1), "is there more than once"),
        (lambda x, groups: conv(x, x.shape[-1]), "a shuffle has no weights"),
        (lambda x, groups: ops.split(x, groups, axis=-1), "it should return one tensor"),
    ),
    "05.basic_unit": (
        (joined_without_a_list, "takes one list"),
        (halves_of_the_rows, "gives a list of two halves"),
        (basic_of(looks="relu"), "there is an activation behind the depthwise step"),
        (basic_of(looks="relu6"), "there is a ReLU6 behind the depthwise step"),
        (basic_of(first="relu6", last="relu6"), "plain ReLUs"),
        (basic_of(first="relu6", looks="relu6", last="relu6"), "those are MobileNetV2's activations"),
        (basic_of(first="relu6"), "there should be `relu`, and yours has a `relu6`"),
        (basic_of(first=None), "there should be `relu`, and yours has none"),
        (basic_of(last=None), "nothing is added here, so nothing is linear"),
    ),
    "05.downsampling_unit": (
        (downsampling_of("relu", "relu"), "neither of them has one"),
        (downsampling_of(left_padding="same"), 'the left branch has "same"'),
        (downsampling_of(right_padding="same"), 'the right branch has "same"'),
        (downsampling_of(left_padding="same", right_padding="same"), "the windows lie otherwise at stride 2"),
        (downsampling_of(ends="relu6"), "there should be `relu`, and yours has a `relu6`"),
        (stride_in_one_branch_alone, "only maps of one size can be joined"),
    ),
    "05.shufflenet_v2_features": (
        (width_as_a_number, "are texts, such as"),
        (a_list_of_maps, "it should return a dict with the keys"),
        (lambda x, width, repeats: {2: conv(x, WIDTHS[width]["stages"][0])}, "`WIDTHS[width].stages`"),
        (features_of(stem=("frame", "relu6")), 'the stem has a plain ReLU, "relu", not ReLU6'),
        (features_of(stem=("same", "relu")), "the stem's windows lie otherwise"),
        (features_of(pool="same"), "the pooling's windows lie otherwise"),
        (features_of(stem=("same", "relu"), pool="same"), 'stem and pooling have "same"'),
        (features_of(early=True), "what the *last* unit of the stage gives"),
    ),
    "05.shufflenet_v2": (
        (the_wrong_key, "the keys of the maps are their strides"),
        (whole_of("relu6"), 'a plain ReLU, "relu", not ReLU6'),
        (whole_of(ending="sigmoid"), "yes or no for each class alone (a sigmoid)"),
        (whole_of(last=16), "stands on the map of stride 16"),
        (a_tensor_for_a_model, "it should return a Keras model"),
    ),
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
