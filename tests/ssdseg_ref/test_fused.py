"""Is the fused layer the stock layer, only faster?"""

from dataclasses import replace

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers
from random_weights import randomise

from ssdseg_ref.config import LESSON
from ssdseg_ref.fused import FusedBatchNormalization, fused_twin


def trained_step(layer, inputs, upstream):
    """Output, gradients and moving statistics of one training step."""
    inputs = tf.constant(inputs)
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        outputs = layer(inputs, training=True)
        total = tf.reduce_sum(outputs * upstream)
    gradients = tape.gradient(total, [inputs, layer.gamma, layer.beta])
    return [np.asarray(value) for value in (outputs, *gradients, layer.moving_mean, layer.moving_variance)]


@pytest.mark.parametrize("shape", [(2, 5, 7, 3), (1, 1, 2, 4), (3, 8, 8, 16)])
def test_a_training_step_is_that_of_the_stock_layer(shape):
    generator = np.random.default_rng(0)
    inputs = generator.normal(2, 3, shape).astype(np.float32)
    upstream = generator.normal(size=shape).astype(np.float32)
    stock, fused = layers.BatchNormalization(momentum=0.9), FusedBatchNormalization(momentum=0.9)
    stock.build(shape), fused.build(shape)
    weights = [generator.uniform(0.5, 2, shape[-1]).astype(np.float32) for _ in range(4)]
    stock.set_weights(weights), fused.set_weights(weights)
    for expected, got in zip(trained_step(stock, inputs, upstream), trained_step(fused, inputs, upstream), strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("backbone", ["mobilenetv2", "shufflenetv2"])
def test_a_twin_gives_the_networks_output_and_its_weights_fit_back(backbone, network_of):
    network = network_of(replace(LESSON, image_size=(97, 131), backbone=backbone))
    randomise(network, seed=5)
    twin = fused_twin(network)
    assert any(isinstance(layer, FusedBatchNormalization) for layer in twin.layers)
    images = np.random.default_rng(1).integers(0, 256, (2, 97, 131, 3)).astype(np.float32)
    expected, got = network(images, training=False), twin(images, training=False)
    for name, value in expected.items():
        np.testing.assert_allclose(got[name], value, rtol=1e-4, atol=1e-4)
    assert [w.path.split("/")[-2:] for w in network.weights] == [w.path.split("/")[-2:] for w in twin.weights]


def test_another_backend_trains_the_network_itself(monkeypatch):
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    network = object()
    assert fused_twin(network) is network
