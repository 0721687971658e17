"""Is the fast optimiser Keras's own AdamW, and is what it leaves out in writing no part of the step?"""

import keras
import numpy as np
import pytest
import tensorflow as tf

from ssdseg_ref.adamw import FastAdamW

SCHEDULE = keras.optimizers.schedules.CosineDecay(1e-3, 20, warmup_target=0.1, warmup_steps=3)
OPTIONS = {"weight_decay": 0.02, "use_ema": True, "ema_momentum": 0.9, "epsilon": 1e-6, "beta_1": 0.8}


def after(kind, in_graph=False, steps=6):
    """Weights and state after some steps along seeded gradients, of every size."""
    generator = np.random.default_rng(3)
    weights = [
        keras.Variable(generator.normal(size=shape), dtype="float32", name=name)
        for name, shape in (("kernel", (3, 4)), ("bias", (4,)), ("gamma", ()))
    ]
    learner = kind(SCHEDULE, **OPTIONS)
    learner.exclude_from_weight_decay(var_names=["bias", "gamma"])
    learner.build(weights)
    step = tf.function(learner.apply) if in_graph else learner.apply
    for _ in range(steps):
        sizes = 10 ** generator.uniform(-6, 3, len(weights))
        step(
            [
                tf.constant(size * generator.normal(size=weight.shape), tf.float32)
                for size, weight in zip(sizes, weights, strict=True)
            ]
        )
    return [np.asarray(value) for value in (*weights, *learner.variables)]


@pytest.mark.parametrize("in_graph", [False, True])
def test_weights_and_state_are_those_of_keras(in_graph):
    expected, got = after(keras.optimizers.AdamW), after(FastAdamW, in_graph)
    assert len(expected) == len(got)
    for one, other in zip(expected, got, strict=True):
        np.testing.assert_allclose(other, one, rtol=2e-5, atol=1e-6)


def test_a_step_is_written_down_in_a_third_of_keras_operations():
    def operations(kind):
        weights = [keras.Variable(np.zeros((2, 2)), dtype="float32", name=f"kernel{index}") for index in range(20)]
        learner = kind(SCHEDULE, **OPTIONS)
        learner.build(weights)
        step = tf.function(lambda: learner.apply([tf.ones((2, 2))] * 20)).get_concrete_function()
        return len(step.graph.as_graph_def().node)

    assert operations(FastAdamW) < operations(keras.optimizers.AdamW) / 3
