"""Batch normalisation in one kernel, for training on TensorFlow.

Keras 3 composes batch normalisation out of some ten elementwise steps, forward and back, and on a CPU they take more of
a training step than the convolutions do. TensorFlow has one kernel for all of it. A network stays built of stock
layers, so that it can be saved and loaded anywhere; while it is trained, a twin with fused layers takes its place.
"""

import keras
from keras import KerasTensor, layers


class FusedBatchNormalization(layers.BatchNormalization):
    """The stock layer with the same weights and the same results; only the training step is computed in one kernel."""

    def call(self, inputs: KerasTensor, training: bool | None = None, mask: KerasTensor | None = None) -> KerasTensor:
        """As the stock layer, for (B, H, W, C) inputs with the channels last."""
        if not (training and self.trainable):
            return super().call(inputs, training=training, mask=mask)
        import tensorflow as tf

        normalised, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
            x=inputs, scale=self.gamma, offset=self.beta, mean=[], variance=[], epsilon=self.epsilon
        )
        # The kernel's variance is that of a sample (divided by n - 1), Keras keeps that of the batch (by n).
        count = tf.cast(tf.size(inputs) // tf.shape(inputs)[-1], variance.dtype)
        variance = variance * (count - 1) / count
        for average, value in ((self.moving_mean, mean), (self.moving_variance, variance)):
            average.assign(average * self.momentum + value * (1 - self.momentum))
        return normalised


def fused_twin(network: keras.Model) -> keras.Model:
    """A copy of a network, weights too, that trains faster; on another backend than TensorFlow the network itself.

    Args:
        network: out of stock layers.

    Returns:
        A model with its weights in the order of the network's, so that `network.set_weights(twin.get_weights())` brings
        home what it learned.
    """
    if keras.backend.backend() != "tensorflow":
        return network

    def copy(layer: keras.Layer) -> keras.Layer:
        fused = type(layer) is layers.BatchNormalization
        return (FusedBatchNormalization if fused else type(layer)).from_config(layer.get_config())

    twin = keras.models.clone_model(network, clone_function=copy)
    twin.set_weights(network.get_weights())
    return twin
