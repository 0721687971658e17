"""Does a network begin with what another one has learned, where it fits?"""

import keras
import numpy as np
import pytest

from ssdseg_ref.transfer import learning_rates, linear_probe, running_statistics, take_over


def test_what_fits_by_name_and_shape_is_taken_and_the_rest_stays():
    target = {"a": np.zeros((2, 3)), "b": np.zeros(4), "c": np.zeros(1)}
    source = {"c": np.ones(1), "b": np.ones(5), "a": np.ones((2, 3)), "d": np.ones(2)}
    taken = take_over(target, source)
    assert list(taken) == ["a", "b", "c"]
    assert taken["a"] is source["a"]
    assert taken["b"] is target["b"]
    assert taken["c"] is source["c"]


def test_a_transposed_weight_does_not_fit():
    target = {"a": np.zeros((2, 3))}
    assert take_over(target, {"a": np.ones((3, 2))})["a"] is target["a"]
    assert take_over({}, {"a": np.ones(1)}) == {}


@pytest.mark.parametrize("momentum", [0.0, 0.6, 0.99, 1.0])
def test_running_statistics_are_those_that_keras_keeps(momentum):
    rng = np.random.default_rng(0)
    mean, variance = rng.normal(size=4), rng.uniform(0.5, 2, 4)
    batches = [(3 * rng.normal(size=(n, 5, 3, 4)) + 1).astype(np.float32) for n in (2, 4, 1)]
    layer = keras.layers.BatchNormalization(momentum=momentum)
    layer.build((None, 5, 3, 4))
    layer.moving_mean.assign(mean)
    layer.moving_variance.assign(variance)
    for batch in batches:
        layer(batch, training=True)
    moved = running_statistics(mean, variance, batches, momentum)
    np.testing.assert_allclose(moved[0], layer.moving_mean.numpy(), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(moved[1], layer.moving_variance.numpy(), rtol=1e-5, atol=1e-6)


def test_without_a_batch_statistics_stay():
    mean, variance = running_statistics([1.0, 2.0], [3.0, 4.0], [], 0.9)
    assert mean.tolist() == [1, 2]
    assert variance.tolist() == [3, 4]


def least_squares_with_more_rows(x, y, weight_decay):
    """Ridge regression as plain least squares: a row for each weight, whose answer should be 0."""
    count = x.shape[1]
    rows = np.block([[x, np.ones((len(x), 1))], [np.sqrt(weight_decay) * np.eye(count), np.zeros((count, 1))]])
    solution, *_ = np.linalg.lstsq(rows, np.append(y, np.zeros(count)), rcond=None)
    return solution[:count], solution[count]


def downhill(x, y, weight_decay, steps=20000):
    """The same by gradient descent on weights and bias."""
    whole = np.hstack([x, np.ones((len(x), 1))])
    penalty = weight_decay * np.append(np.ones(x.shape[1]), 0)
    rate = 1 / (np.linalg.norm(whole, 2) ** 2 + weight_decay)
    solution = np.zeros(x.shape[1] + 1)
    for _ in range(steps):
        solution -= rate * (whole.T @ (whole @ solution - y) + penalty * solution)
    return solution[:-1], solution[-1]


@pytest.mark.parametrize(("examples", "count"), [(40, 3), (8, 8), (5, 12), (2, 6)])
@pytest.mark.parametrize("weight_decay", [1.0, 30.0])
@pytest.mark.parametrize("other", [least_squares_with_more_rows, downhill])
def test_the_probe_is_what_other_ways_find(examples, count, weight_decay, other):
    rng = np.random.default_rng(examples)
    x, y = rng.normal(size=(examples, count)) + rng.uniform(-2, 2, count), np.arange(examples) % 3 == 0
    weights, bias = linear_probe(x, y, weight_decay)
    other_weights, other_bias = other(x, y.astype(float), weight_decay)
    np.testing.assert_allclose(weights, other_weights, rtol=1e-5, atol=1e-7)
    assert bias == pytest.approx(other_bias, rel=1e-5)


def test_without_a_decay_the_probe_is_least_squares():
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(20, 3)), rng.integers(0, 2, 20)
    weights, bias = linear_probe(x, y, 0)
    expected, *_ = np.linalg.lstsq(np.hstack([x, np.ones((20, 1))]), y.astype(float), rcond=None)
    np.testing.assert_allclose([*weights, bias], expected)


def test_the_bias_of_a_probe_costs_nothing():
    weights, bias = linear_probe([[1.0, 0], [2, 0]], [1, 1], 1e6)
    assert weights.tolist() == [0, 0]
    assert bias == 1


def test_a_rate_falls_with_each_step_towards_the_input():
    rates = learning_rates({"head": 3, "stem": 0, "block": 2, "other": 2}, 0.8, 0.5)
    assert rates == {"head": 0.8, "stem": 0.1, "block": 0.4, "other": 0.4}
    assert list(rates) == ["head", "stem", "block", "other"]


def test_a_decay_of_0_freezes_all_but_the_deepest_and_of_1_none():
    depths = {"stem": 0, "block": 1, "boxes": 2, "mask": 2}
    assert learning_rates(depths, 0.8, 0) == {"stem": 0, "block": 0, "boxes": 0.8, "mask": 0.8}
    assert set(learning_rates(depths, 0.8, 1).values()) == {0.8}
    assert learning_rates({}, 0.8, 0.5) == {}
