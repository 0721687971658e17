import numpy as np
import pytest

from ssdseg_course.checking import fair_training
from ssdseg_course.checking.fair_training import Limits, multiply_adds, must_be_a_network, must_fit, train
from ssdseg_course.checking.probe import WrongAnswer
from ssdseg_course.quiet import import_keras

import_keras()

import keras  # noqa: E402
from keras import layers  # noqa: E402


def small(*outputs, size=(4, 6, 3)):
    image = keras.Input(size)
    x = image
    for layer in outputs:
        x = layer(x)
    return keras.Model(image, x)


def test_each_weight_of_a_kernel_multiplies_once_at_each_place_that_comes_out():
    network = small(
        layers.Conv2D(5, 3, 2, "same", use_bias=False),  # 2 x 3 places
        layers.BatchNormalization(),
        layers.DepthwiseConv2D(3, padding="same"),
        layers.GlobalAveragePooling2D(),
        layers.Dense(7),
    )
    assert multiply_adds(network) == 6 * 3 * 3 * 3 * 5 + 6 * 3 * 3 * 5 + 5 * 7


def test_a_layer_that_is_used_twice_costs_twice():
    twice = layers.Conv2D(3, 1)
    image = keras.Input((4, 4, 3))
    assert multiply_adds(keras.Model(image, twice(twice(image)))) == 2 * multiply_adds(keras.Model(image, twice(image)))


def test_a_network_without_a_fixed_size_cannot_be_counted_and_is_told_so():
    with pytest.raises(WrongAnswer, match=r"have no fixed size: give `keras\.Input` a whole shape"):
        multiply_adds(small(layers.Conv2D(2, 1), size=(None, None, 3)))


def test_a_network_that_is_too_large_is_refused_with_both_numbers():
    network = small(layers.Conv2D(5, 3, padding="same"))
    with pytest.raises(WrongAnswer, match="has 140 parameters, and 139 are allowed"):
        must_fit(network, Limits(139, 10**6, 1))
    with pytest.raises(WrongAnswer, match="takes 3,240 multiply-adds a picture, and 3,239 are allowed"):
        must_fit(network, Limits(140, 3_239, 1))
    must_fit(network, Limits(140, 3_240, 1))


@pytest.mark.parametrize(
    ("built", "words"), [(None, "None: does every way end"), (layers.Dense(2), "something else: Dense;")]
)
def test_what_is_no_model_is_refused_by_the_name_of_the_function(built, words):
    def my_network():
        return built

    with pytest.raises(WrongAnswer, match=f"`my_network` should return a Keras model, and returned {words}"):
        must_be_a_network(my_network(), my_network)


def batches(rng, values=1.0):
    while True:
        images = rng.normal(size=(8, 4, 6, 3)).astype(np.float32)
        yield images * np.float32(values), (images[..., 0].mean(axis=(1, 2)) > 0).astype(np.int32)


def classifier():
    return small(layers.Conv2D(4, 1), layers.BatchNormalization(), layers.GlobalAveragePooling2D(), layers.Dense(2))


LOSS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def test_a_training_that_diverges_is_refused():
    with pytest.raises(WrongAnswer, match="the training diverged: in step 1 of 5 the loss is nan"):
        train(
            classifier(),
            batches(np.random.default_rng(1), np.nan),
            LOSS,
            5,
            0.1,
            yardstick=classifier(),
            yardsticks=50,
        )


def test_a_step_that_takes_too_long_is_refused_whatever_its_multiply_adds(monkeypatch):
    network = classifier()
    monkeypatch.setattr(fair_training, "_timed", lambda model, *_: (0.9 if model.name == "slow" else 0.1, 1.0))
    monkeypatch.setattr(fair_training, "_twin", lambda one: one)
    network.name = "slow"
    with pytest.raises(WrongAnswer, match="takes 9 times as long as one of a small network, and 8 times are allowed"):
        train(network, batches(np.random.default_rng(1)), LOSS, 20, 0.1, yardstick=classifier(), yardsticks=8)


def test_one_round_that_the_machine_was_busy_in_refuses_nobody():
    fair_training._must_be_quick([[0.1, 5.0, 0.1], [0.1, 0.1, 0.1]], 2)
    with pytest.raises(WrongAnswer):
        fair_training._must_be_quick([[5.0, 5.0, 5.0], [0.1, 0.1, 9.0]], 2)
