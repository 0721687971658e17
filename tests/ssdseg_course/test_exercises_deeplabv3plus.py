"""Lesson 7's exercises take every honest answer, and have words for the mistakes that people make."""

import numpy as np
import pytest
import tensorflow as tf
from answers import assert_passes, assert_told, every_mistake, every_variant, exercises_of, report_on, words
from keras import layers, ops

from ssdseg_course import EXERCISES
from ssdseg_course.exercises.deeplabv3plus import resize_bilinear
from ssdseg_ref.losses import class_cross_entropy

# Right answers, written in another way


def field_from_behind(layers):
    """How many places of the map before are seen: from the last layer to the picture."""
    side = 1.0
    for kernel_size, stride, dilation in reversed(layers):
        side = (side - 1) * stride + (kernel_size - 1) * dilation + 1
    return side


def unit(x, filters):
    return layers.ReLU(6.0)(layers.BatchNormalization()(layers.Conv2D(filters, (1, 1), use_bias=False)(x)))


def atrous(x, filters, rate=1):
    x = layers.DepthwiseConv2D((3, 3), padding="same", dilation_rate=(rate, rate), use_bias=False)(x)
    return unit(layers.ReLU(6.0)(layers.BatchNormalization()(x)), filters)


def aspp_image_first(x, channels, rates):
    image = unit(ops.mean(x, axis=(1, 2), keepdims=True), channels)
    image = layers.UpSampling2D(tuple(x.shape[1:3]), interpolation="nearest")(image)
    branches = [atrous(x, channels, rate) for rate in rates]
    return unit(ops.concatenate([unit(x, channels), *branches, image], axis=-1), channels)


def decoder_in_other_words(x, low_level, low_level_channels, channels):
    fine = unit(low_level, low_level_channels)
    coarse = ops.image.resize(x, fine.shape[1:3], interpolation="bilinear")
    y = ops.concatenate((coarse, fine), axis=3)
    for _ in (1, 2):
        y = atrous(y, channels)
    return y


def resized_by_loops(image, size):
    old_height, old_width, channels = image.shape
    output = np.zeros((*size, channels))
    for y, x in np.ndindex(*size):
        v = min(max((y + 0.5) * old_height / size[0] - 0.5, 0), old_height - 1)
        u = min(max((x + 0.5) * old_width / size[1] - 0.5, 0), old_width - 1)
        top, left = int(v), int(u)
        bottom, right = min(top + 1, old_height - 1), min(left + 1, old_width - 1)
        upper = image[top, left] + (u - left) * (image[top, right] - image[top, left])
        lower = image[bottom, left] + (u - left) * (image[bottom, right] - image[bottom, left])
        output[y, x] = upper + (v - top) * (lower - upper)
    return output.tolist()


def resized_by_matrices(image, size):
    def weights(old, new):
        at = np.clip((np.arange(new) + 0.5) * old / new - 0.5, 0, old - 1)
        return np.maximum(0, 1 - np.abs(at[:, None] - np.arange(old)))

    return np.einsum("yh,hwc,xw->yxc", weights(image.shape[0], size[0]), image, weights(image.shape[1], size[1]))


def resized_by_interp(image, size):
    for axis in (0, 1):
        at = (np.arange(size[axis]) + 0.5) * image.shape[axis] / size[axis] - 0.5
        image = np.apply_along_axis(lambda line: np.interp(at, np.arange(len(line)), line), axis, image)  # noqa: B023
    return image


def resized_from_differences(image, size):
    """Indices clipped one by one, from places that are not."""

    def beside(old, new):
        at = (2 * np.arange(new) + 1) * old / (2 * new) - 0.5
        first, share = np.floor(at).astype(int), at - np.floor(at)
        return np.clip(first, 0, old - 1), np.clip(first + 1, 0, old - 1), share

    low, high, share = beside(len(image), size[0])
    image = image[low] + share[:, None, None] * (image[high] - image[low])
    low, high, share = beside(image.shape[1], size[1])
    return image[:, low] + share[:, None] * (image[:, high] - image[:, low])


def entropy_with_a_one_hot(mask, logits, class_weights):
    weights = ops.cast(ops.array(class_weights), logits.dtype)
    truth = ops.one_hot(mask, len(class_weights), dtype=logits.dtype)  # a row of zeros where it is 255
    each = ops.sum(truth * weights * -ops.log_softmax(logits), axis=-1)
    return ops.sum(each) / ops.maximum(ops.sum(truth * weights), 1e-7)


def dice_class_by_class(mask, logits):
    shares = ops.softmax(logits)
    valid = ops.cast(mask != 255, logits.dtype)
    losses, count = 0.0, 0.0
    for label in range(logits.shape[-1]):
        truth = ops.cast(mask == label, logits.dtype)
        share = shares[..., label] * valid
        total = ops.sum(truth) + ops.sum(share)
        here = ops.cast(ops.any(truth > 0), logits.dtype)
        losses = losses + here * (1 - 2 * ops.sum(truth * share) / ops.maximum(total, 1e-7))
        count = count + here
    return losses / ops.maximum(count, 1.0)


def confusion_by_histogram(masks, predicted, classes):
    true, said = (np.concatenate([np.ravel(mask) for mask in several]) for several in (masks, predicted))
    edges = np.arange(classes + 2) - 0.5
    return np.histogram2d(true, said, bins=(edges, edges))[0]  # 255 lies outside


def confusion_by_tensorflow(masks, predicted, classes):
    total = 0
    for mask, guess in zip(masks, predicted, strict=True):
        weights = tf.cast(mask.ravel() != 255, tf.int32)
        true = tf.where(weights > 0, tf.cast(mask.ravel(), tf.int32), 0)
        total += tf.math.confusion_matrix(true, guess.ravel(), num_classes=classes + 1, weights=weights)
    return total


def confusion_cut_off(masks, predicted, classes):
    """What is 255 counts beyond the end."""
    side = classes + 1
    pairs = [np.int64(mask).ravel() * side + guess.ravel() for mask, guess in zip(masks, predicted, strict=True)]
    return np.bincount(np.concatenate(pairs), minlength=side**2)[: side**2].reshape(side, side)


def confusion_by_add_at(masks, predicted, classes):
    matrix = np.zeros((classes + 1, classes + 1))
    for mask, guess in zip(masks, predicted, strict=True):
        np.add.at(matrix, (mask[mask < 255], guess[mask < 255]), 1)
    return matrix


def confusion_by_sums(masks, predicted, classes):
    return [
        [
            sum(int(((m == t) & (g == p)).sum()) for m, g in zip(masks, predicted, strict=True))
            for p in range(classes + 1)
        ]
        for t in range(classes + 1)
    ]


HONEST = {
    "07.field_of_view": (field_from_behind,),
    "07.aspp": (aspp_image_first,),
    "07.resize_bilinear": (resized_by_loops, resized_by_matrices, resized_by_interp, resized_from_differences),
    "07.decoder": (decoder_in_other_words,),
    "07.weighted_cross_entropy": (entropy_with_a_one_hot,),
    "07.dice_loss": (dice_class_by_class,),
    "07.confusion_matrix": (
        confusion_by_add_at,
        confusion_by_sums,
        confusion_by_histogram,
        confusion_by_tensorflow,
        confusion_cut_off,
    ),
}


@every_variant(HONEST)
def test_an_honest_variant_passes(exercise, variant):
    assert_passes(exercise, variant)


def test_every_exercise_has_honest_variants():
    assert set(HONEST) == exercises_of("07")


@pytest.mark.parametrize(("old", "new"), [((3, 4), (5, 7)), ((6, 5), (2, 3)), ((1, 1), (4, 3)), ((7, 2), (7, 9))])
def test_the_bilinear_resampling_is_tensorflows(old, new):
    image = np.random.default_rng(0).normal(size=(*old, 3)).astype(np.float32)
    np.testing.assert_allclose(resize_bilinear(image, new), tf.image.resize(image, new), atol=1e-5)


# Mistakes, written as people write them


def pooled_without_keepdims(x, channels, rates):
    image = unit(layers.GlobalAveragePooling2D()(x), channels)
    return image


def image_not_laid_out(x, channels, rates):
    image = unit(layers.GlobalAveragePooling2D(keepdims=True)(x), channels)
    return unit(layers.Concatenate()([unit(x, channels), image]), channels)


def not_enlarged(x, low_level, low_level_channels, channels):
    return layers.Concatenate()([x, unit(low_level, low_level_channels)])


def looks_up_255(mask, logits, class_weights):
    weights = np.array(class_weights)[np.asarray(mask)]
    return ops.sum(weights)


def shares_not_shaped(image, size):
    at = np.clip((np.arange(size[0]) + 0.5) * image.shape[0] / size[0] - 0.5, 0, image.shape[0] - 1)
    low = np.floor(at).astype(int)
    return (1 - (at - low)) * image[low]


def counts_255(masks, predicted, classes):
    matrix = np.zeros((classes + 1, classes + 1), int)
    for mask, guess in zip(masks, predicted, strict=True):
        np.add.at(matrix, (mask, guess), 1)
    return matrix


def rates_as_strides(x, channels, rates):
    branches = [unit(x, channels)]
    for rate in rates:
        y = layers.DepthwiseConv2D(3, padding="same", strides=rate, use_bias=False)(x)
        branches.append(unit(layers.ReLU(6.0)(layers.BatchNormalization()(y)), channels))
    image = unit(layers.GlobalAveragePooling2D(keepdims=True)(x), channels)
    branches.append(ops.image.resize(image, x.shape[1:3]))
    return unit(layers.Concatenate()(branches), channels)


def aspp_chained(x, channels, rates):
    branches, y = [unit(x, channels)], x
    for rate in rates:
        y = atrous(y, channels, rate)
        branches.append(y)
    image = unit(layers.GlobalAveragePooling2D(keepdims=True)(x), channels)
    branches.append(ops.image.resize(image, x.shape[1:3]))
    return unit(layers.Concatenate()(branches), channels)


def added(x, low_level, low_level_channels, channels):
    x = ops.image.resize(x, low_level.shape[1:3])
    return atrous(atrous(x + unit(low_level, low_level_channels), channels), channels)


def nearest(image, size):
    rows = (np.arange(size[0]) * image.shape[0] / size[0]).astype(int)
    return image[rows][:, (np.arange(size[1]) * image.shape[1] / size[1]).astype(int)]


def wrapped(image, size):
    def beside(old, new):
        at = (np.arange(new) + 0.5) * old / new - 0.5
        low = np.floor(at).astype(int)
        return low, np.minimum(low + 1, old - 1), at - low

    low, high, share = beside(image.shape[0], size[0])
    image = image[low] * (1 - share)[:, None, None] + image[high] * share[:, None, None]
    low, high, share = beside(image.shape[1], size[1])
    return image[:, low] * (1 - share)[:, None] + image[:, high] * share[:, None]


def in_the_pictures_type(image, size):
    result = np.zeros((*size, image.shape[2]), image.dtype)
    result[...] = resize_bilinear(image, size)
    return result


def weight_of_the_guess(mask, logits, class_weights):
    counts = ops.cast(mask != 255, "float32")
    weights = counts * ops.take(ops.array(class_weights, "float32"), ops.argmax(logits, -1))
    losses = class_cross_entropy(ops.where(mask == 255, 0, mask), logits)
    return ops.sum(weights * losses) / ops.maximum(ops.sum(weights), 1e-7)


def clipped_to_the_last(mask, logits, class_weights):
    classes = ops.clip(mask, 0, len(class_weights) - 1)
    weights = ops.take(ops.array(class_weights, "float32"), classes)
    return ops.sum(weights * class_cross_entropy(classes, logits)) / ops.sum(weights)


def _areas(mask, share):
    counts = ops.cast(mask != 255, "float32")[..., None]
    truth = ops.one_hot(mask, share.shape[-1])
    return (ops.sum(part * counts, (0, 1, 2)) for part in (truth * share, truth, share))


def _mean_of_present(losses, truth):
    present = ops.cast(truth > 0, "float32")
    return ops.sum(present * losses) / ops.maximum(ops.sum(present), 1)


def dice_of_logits(mask, logits):
    both, truth, share = _areas(mask, logits)
    return _mean_of_present(1 - 2 * both / (truth + share), truth)


def dice_smoothed(mask, logits):
    both, truth, share = _areas(mask, ops.softmax(logits))
    return _mean_of_present(1 - (2 * both + 1) / (truth + share + 1), truth)


def dice_as_jaccard(mask, logits):
    both, truth, share = _areas(mask, ops.softmax(logits))
    return _mean_of_present(1 - both / ops.maximum(truth + share - both, 1e-7), truth)


def dice_in_one(mask, logits):
    both, truth, share = (ops.sum(part) for part in _areas(mask, ops.softmax(logits)))
    return 1 - 2 * both / ops.maximum(truth + share, 1e-7)


def counted_in_bytes(masks, predicted, classes):
    side = classes + 1
    return sum(
        np.bincount(mask[mask < 255] * mask.dtype.type(side) + guess[mask < 255].astype(mask.dtype), minlength=side**2)
        for mask, guess in zip(masks, predicted, strict=True)
    )[: side**2].reshape(side, side)


def different_pixels_left_out(masks, predicted, classes):
    side = classes + 1
    pairs = [mask[mask != 255] * side + guess.ravel() for mask, guess in zip(masks, predicted, strict=True)]
    return np.bincount(np.concatenate(pairs), minlength=side**2).reshape(side, side)


def own_strides(layers):
    return 1 + sum((kernel_size - 1) * dilation * stride for kernel_size, stride, dilation in layers)


def rate_in_the_step(layers):
    side, step = 1, 1
    for kernel_size, stride, dilation in layers:
        side += (kernel_size - 1) * dilation * step
        step *= stride * dilation
    return side


MISTAKES = {
    "07.field_of_view": (
        (own_strides, "of the layers *before* it"),
        (rate_in_the_step, "a dilation spreads a layer's taps"),
    ),
    "07.aspp": (
        (image_not_laid_out, "is the image's branch resized"),
        (rates_as_strides, "a rate is a dilation, no stride"),
        (aspp_chained, "each rate starts from the branch before"),
    ),
    "07.decoder": ((not_enlarged, "resize x to low_level.shape[1:3] first"), (added, "not added")),
    "07.resize_bilinear": (
        (shares_not_shaped, "it should be an array of shape (1, 4, 1)"),
        (nearest, "stairs"),
        (wrapped, "for Python that is the *last* pixel"),
        (in_the_pictures_type, "your array has the picture's type"),
    ),
    "07.weighted_cross_entropy": (
        (looks_up_255, "255 is no class"),
        (weight_of_the_guess, "not of the class that the network guesses"),
        (clipped_to_the_last, "pixels with 255 count as the last class"),
    ),
    "07.dice_loss": (
        (dice_of_logits, "those are logits"),
        (dice_smoothed, "a 1 added above and below the line"),
        (dice_as_jaccard, "that is IoU"),
        (dice_in_one, "with all classes in one sum the large ones decide"),
    ),
    "07.confusion_matrix": (
        (counts_255, "leave these pixels out first"),
        (counted_in_bytes, "the masks are uint8"),
        (different_pixels_left_out, "leave the same pixels out of both"),
    ),
}


@every_mistake(MISTAKES)
def test_a_mistake_as_people_write_it_gets_the_sentence_that_helps(exercise, mistake, sentence):
    assert_told(exercise, mistake, sentence)


def test_a_pooling_without_its_two_sides_is_told():
    report = words(report_on(EXERCISES["07.aspp"], pooled_without_keepdims))
    assert "keepdims" in report or "min_ndim" in report
