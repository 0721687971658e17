import numpy as np
import pytest

from ssdseg_course.checking import trained
from ssdseg_course.checking.fair_training import must_fit
from ssdseg_course.checking.probe import WrongAnswer
from ssdseg_course.checking.trained import backbone_of, run_classifier, run_decoder
from ssdseg_course.quiet import import_keras

import_keras()

import keras  # noqa: E402
from keras import layers  # noqa: E402

SIDE = 8
SIZE = (32, 64)


def coloured(count, seed):
    """Crops whose class is the channel that is brightest, or none."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count, dtype=np.int32) % 4
    images = rng.integers(60, 120, (count, SIDE, SIDE, 3), dtype=np.uint8)
    for image, label in zip(images, labels, strict=True):
        image[..., :label][..., -1:] += 100
    return images, labels


def small_classifier(last=4, activation=None, side=SIDE):
    def my_network():
        image = keras.Input((side, side, 3))
        x = layers.Activation("relu")(layers.BatchNormalization()(layers.Conv2D(8, 3, 2)(image)))
        return keras.Model(image, layers.Dense(last, activation=activation)(layers.GlobalAveragePooling2D()(x)))

    return my_network


def classified(build, steps=1):
    return run_classifier(build, (*coloured(32, 1), coloured(40, 2)[0], steps, 1))


def test_a_classifier_learns_crops_and_sorts_others_that_it_has_not_seen():
    logits, costs = classified(small_classifier(), steps=60)
    assert logits.shape == (40, 4)
    assert (logits.argmax(axis=-1) == coloured(40, 2)[1]).mean() > 0.6  # guessing has 0.25
    assert costs.tolist() == [3 * 3 * 3 * 8 + 8 + 4 * 8 + 8 * 4 + 4, 9 * 3 * 3 * 3 * 8 + 8 * 4]


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (lambda: None, "returned None"),
        (small_classifier(last=3), r"a shape of \(4,\), and yours gives \[\(3,\)\]"),
        (small_classifier(activation="softmax"), "ends in a softmax"),
        (small_classifier(side=9), r"takes pictures of \(8, 8, 3\): .* yours takes \[\(9, 9, 3\)\]"),
        (lambda: keras.Sequential([layers.Dense(4)]), "begin a `Sequential` with `keras.Input`"),
    ],
)
def test_what_is_no_such_classifier_is_refused(build, words):
    with pytest.raises(WrongAnswer, match=words):
        classified(build)


def test_a_classifier_with_200_000_parameters_is_refused():
    def my_network():
        image = keras.Input((SIDE, SIDE, 3))
        return keras.Model(image, layers.Dense(4)(layers.Dense(1020)(layers.Flatten()(image))))

    with pytest.raises(WrongAnswer, match="has 200,944 parameters, and 199,999 are allowed"):
        classified(my_network)


def decoded(decoder, steps):
    weights = np.concatenate([np.ravel(weight) for weight in backbone_of(SIZE).weights])
    rng = np.random.default_rng(5)
    images = rng.integers(0, 255, (8, *SIZE, 3), dtype=np.uint8)
    masks = (images[..., 0] > 128).astype(np.uint8)
    masks[:, :4] = 255
    return run_decoder(decoder, (weights, images, masks, images[:2], 4, steps, 1))


def test_a_decoder_is_trained_on_frozen_maps_and_labels_every_pixel():
    shapes = {}

    def my_decoder(maps):
        shapes.update({stride: tuple(map_.shape[1:]) for stride, map_ in maps.items()})
        return layers.Conv2D(4, 1)(maps[8])

    masks, costs = decoded(my_decoder, steps=2)
    assert shapes == {4: (8, 16, 96), 8: (4, 8, 96), 16: (2, 4, 288), 32: (1, 2, 160)}
    assert masks.shape == (2, *SIZE)
    assert masks.dtype == np.uint8
    assert masks.max() < 4
    assert costs.tolist() == [96 * 4 + 4, 4 * 8 * 96 * 4]


@pytest.mark.parametrize(
    ("decoder", "words"),
    [
        (lambda maps: None, "returned None: does every way end in `return`"),
        (lambda maps: layers.Conv2D(4, 1), "something else: Conv2D"),
        (lambda maps: layers.Conv2D(3, 1)(maps[4]), r"gives 4 logits a place, .* yours gives \(8, 16, 3\)"),
        (lambda maps: layers.Conv2D(4, 1)(keras.Input((8, 16, 3))), "do not come from the maps alone"),
    ],
)
def test_what_is_no_such_decoder_is_refused(decoder, words):
    maps = {stride: keras.Input((32 // stride, 64 // stride, 96)) for stride in trained.STRIDES}
    with pytest.raises(WrongAnswer, match=words):
        trained._head(decoder(maps), maps, SIZE, 4)


def test_a_decoder_with_too_many_parameters_is_refused():
    maps = {stride: keras.Input((32 // stride, 64 // stride, 96)) for stride in trained.STRIDES}
    head = trained._head(layers.Conv2D(4, 33, padding="same")(maps[16]), maps, SIZE, 4)
    with pytest.raises(WrongAnswer, match="has 418,180 parameters, and 400,000 are allowed"):
        must_fit(head, trained.DECODER_LIMITS)


def test_indices_of_batches_go_through_all_before_any_comes_again():
    order = trained._in_order(5, 3, np.random.default_rng(0))
    first = np.concatenate([next(order) for _ in range(5)])
    assert sorted(first[:5]) == sorted(first[5:10]) == sorted(first[10:15]) == [0, 1, 2, 3, 4]
