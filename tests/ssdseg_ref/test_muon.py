"""Are Muon's steps equally long in every direction, and those of all other weights AdamW's?"""

import keras
import numpy as np
import pytest
import tensorflow as tf

from ssdseg_ref.adamw import FastAdamW
from ssdseg_ref.muon import MOMENTUM, Muon, matrix_shape, orthogonalise

SHAPES = {"kernel": (3, 3, 4, 40), "dense": (30, 6), "depthwise": (3, 3, 8, 1), "bias": (4,), "gamma": ()}


def after(kind, in_graph=False, steps=4, shapes=SHAPES, **options):
    """Weights after some steps along seeded gradients, of every size."""
    generator = np.random.default_rng(3)
    weights = [
        keras.Variable(generator.normal(size=shape), dtype="float32", name=name) for name, shape in shapes.items()
    ]
    learner = kind(0.02, weight_decay=0.05, use_ema=True, ema_momentum=0.9, **options)
    learner.exclude_from_weight_decay(var_names=["bias", "gamma"])
    learner.build(weights)
    step = tf.function(learner.apply) if in_graph else learner.apply
    for _ in range(steps):
        size = 10 ** generator.uniform(-6, 3)
        step([tf.constant(size * generator.normal(size=weight.shape), tf.float32) for weight in weights])
    return dict(zip(shapes, map(np.asarray, weights), strict=True))


@pytest.mark.parametrize("shape", [(7, 7), (3, 50), (50, 3), (1, 9), (9, 1), (64, 96)])
def test_all_singular_values_come_near_to_one_and_the_directions_stay(shape):
    matrix = np.random.default_rng(1).normal(size=shape).astype(np.float32) * 1e-4
    left, sizes, right = np.linalg.svd(matrix, full_matrices=False)
    got = np.asarray(orthogonalise(tf.constant(matrix)))
    turned = left.T @ got @ right.T  # a diagonal, if the directions are the matrix's own
    well = sizes > 0.02 * sizes[0]  # five iterations do not lift what is much smaller
    np.testing.assert_allclose(turned - np.diag(np.diag(turned)), 0, atol=2e-3)
    lengths = np.diag(turned)[well]
    assert lengths.min() > 0.65
    assert lengths.max() < 1.25


def test_a_matrix_of_zeros_stays_one():
    assert not np.asarray(orthogonalise(tf.zeros((4, 6)))).any()


def test_the_steps_of_a_matrix_are_those_of_keras():
    """Keras's Muon knows matrices alone, and has no factor for wide ones."""
    options = {"adam_weight_decay": 0.05, "rms_rate": None, "momentum": MOMENTUM}
    for shape in ((30, 6), (6, 6)):
        expected = after(keras.optimizers.Muon, shapes={"dense": shape}, **options)
        got = after(Muon, shapes={"dense": shape}, matrix_rate=1.0)
        np.testing.assert_allclose(got["dense"], expected["dense"], rtol=1e-3, atol=2e-4)


@pytest.mark.parametrize("in_graph", [False, True])
def test_other_weights_take_the_steps_of_adamw(in_graph):
    expected, got = after(FastAdamW), after(Muon, in_graph, matrix_rate=10.0)
    for name in ("depthwise", "bias", "gamma"):
        np.testing.assert_allclose(got[name], expected[name], rtol=1e-6)
    for name in ("kernel", "dense"):
        assert np.abs(got[name] - expected[name]).max() > 0.01


def test_a_wide_kernel_takes_longer_steps_and_the_rate_counts():
    rates = [after(Muon, steps=1, matrix_rate=rate) for rate in (1.0, 3.0)]
    start = after(Muon, steps=0, matrix_rate=1.0)
    decayed = {name: value * (1 - 0.02 * 0.05) for name, value in start.items()}
    for name, factor in (("kernel", (40 / 36) ** 0.5), ("dense", 1)):
        matrix = matrix_shape(SHAPES[name])
        moved = np.linalg.svd((rates[0][name] - decayed[name]).reshape(matrix), compute_uv=False)
        assert 0.65 * 0.02 * factor < moved.max() < 1.25 * 0.02 * factor
        decay = start[name] * 0.02 * 0.05 * 2  # of the weights, which the kernels' rate does not change
        further = rates[1][name] - start[name] - 3 * (rates[0][name] - start[name])
        np.testing.assert_allclose(further, decay, atol=1e-5)


@pytest.mark.parametrize(
    ("shape", "matrix"),
    [
        ((3, 4), (3, 4)),
        ((3, 3, 8, 16), (72, 16)),
        ((1, 1, 8, 16), (8, 16)),
        ((3, 3, 8, 1), None),  # depthwise
        ((5,), None),
        ((), None),
    ],
)
def test_which_weights_are_matrices(shape, matrix):
    assert matrix_shape(shape) == matrix
