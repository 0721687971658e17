"""Muon: steps that are equally long in every direction.

A convolution's kernel is a matrix: (pixels of the window times channels in) by channels out. A gradient's matrix has a
few large singular values and many small ones, so the steps of other optimisers go almost along those few directions.
Muon makes all singular values of a step 1, so that the rare directions are learned as well. What is no matrix
(biases, normalisations, depthwise kernels) takes AdamW's step.

Source: Jordan et al. 2024, "Muon: An optimizer for hidden layers in neural networks"; the factor for matrices that are
wider than high is from there too.
"""

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import keras
from keras import KerasTensor, ops

from ssdseg_ref.adamw import FastAdamW

MOMENTUM = 0.95
ITERATIONS = 5
COEFFICIENTS = 3.4445, -4.7750, 2.0315  # of the paper; they bring each singular value into 0.7 to 1.2
SMALLEST = 1e-7  # of a norm that is divided by


class Muon(FastAdamW):
    """Muon's steps for the kernels of convolutions and dense layers, `FastAdamW`'s for all other weights.

    Args:
        matrix_rate: learning rate of the kernels as a multiple of the others'. A step of rate 1 moves the kernel by 1
            in every direction.
        args, options: as `FastAdamW` takes them.
    """

    def __init__(self, *args: Any, matrix_rate: float, **options: Any):
        super().__init__(*args, **options)
        self.matrix_rate = matrix_rate
        self.matrices: list[tuple[int, int] | None] = []  # (in, out) of each weight that is one

    def build(self, variables: Sequence[keras.Variable]) -> None:
        """As AdamW's; and note which weights are matrices."""
        super().build(variables)
        self.matrices = [matrix_shape(variable.shape) for variable in variables]

    def update_step(self, gradient: KerasTensor, variable: Any, learning_rate: KerasTensor) -> None:
        """Nesterov's momentum, made orthogonal; AdamW's step for what is no matrix."""
        index = self._get_variable_index(variable)
        matrix = self.matrices[index]
        if matrix is None:
            super().update_step(gradient, variable, learning_rate)
            return
        momentum = self._momentums[index]
        average = MOMENTUM * ops.convert_to_tensor(momentum) + (1 - MOMENTUM) * gradient
        self.assign(momentum, average)
        step = orthogonalise(ops.reshape(MOMENTUM * average + (1 - MOMENTUM) * gradient, matrix))
        ins, outs = matrix
        rate = learning_rate * (self.shares[index] * self.matrix_rate * max(1, outs / ins) ** 0.5)
        step = rate * ops.reshape(step, variable.shape)
        if self.decays[index] and keras.backend.backend() == "tensorflow":  # elsewhere Keras's own decays
            step += ops.convert_to_tensor(variable) * (learning_rate * self.weight_decay)
        self.assign_sub(variable, step)


def matrix_shape(shape: Sequence[int]) -> tuple[int, int] | None:
    """The matrix that a weight of this shape is: (in, out); None for vectors and for depthwise kernels.

    Args:
        shape: (in, out) of a dense layer, (h, w, in, out) of a convolution, (h, w, C, 1) of a depthwise one.
    """
    if len(shape) < 2 or shape[-1] == 1:
        return None
    ins = 1
    for side in shape[:-1]:
        ins *= side
    return ins, shape[-1]


def orthogonalise(matrix: KerasTensor) -> KerasTensor:
    """The nearest matrix whose singular values are all 1, nearly: they come out between 0.7 and 1.2.

    By an iteration of products alone, after Newton and Schulz, for a singular value decomposition is slow.

    Args:
        matrix: (M, N).

    Returns:
        (M, N); zeros for zeros.
    """
    high = matrix.shape[0] > matrix.shape[1]
    x = _iteration()(ops.transpose(matrix) if high else matrix)
    return ops.transpose(x) if high else x


def _newton_schulz(x: KerasTensor) -> KerasTensor:
    a, b, c = COEFFICIENTS
    x = x / (ops.norm(x) + SMALLEST)
    for _ in range(ITERATIONS):
        square = ops.matmul(x, ops.transpose(x))
        x = a * x + ops.matmul(b * square + c * ops.matmul(square, square), x)
    return x


@cache
def _iteration() -> Callable[[KerasTensor], KerasTensor]:
    """On TensorFlow one graph for matrices of all sizes: a training with one for each would start seconds later."""
    if keras.backend.backend() != "tensorflow":
        return _newton_schulz
    import tensorflow as tf

    apart = {"_noinline": True}  # put into the graph of the step, it would be one for each again
    graph: Callable[[KerasTensor], KerasTensor] = tf.function(
        _newton_schulz, [tf.TensorSpec((None, None), tf.float32)], autograph=False, experimental_attributes=apart
    )
    return graph
