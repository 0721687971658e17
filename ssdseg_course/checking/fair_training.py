"""How a network that a learner has built is trained for a challenge: the same steps for everybody, and none too dear.

A minute is long on one machine and short on another, so no clock decides. Everybody gets the same number of steps, and
a step may cost so many multiply-adds and no more: that is the same on every machine. What multiply-adds do not count
(many small operations, attention, a loop; see lesson 5) is measured: the first steps take turns with those of a
yardstick, a small network that is always the same, and a step that takes many times as long is refused. That limit is
far from any network of the course's own kind, so a busy machine does not decide either.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ssdseg_course.checking.exercise import Function
from ssdseg_course.checking.flat_graph import flat_graph
from ssdseg_course.checking.layer_graph import weighted_nodes
from ssdseg_course.checking.probe import WrongAnswer
from ssdseg_course.lazy import LazyModule

keras = LazyModule("keras")
tensorflow = LazyModule("tensorflow")

Batch = tuple[np.ndarray | list[np.ndarray], np.ndarray]  # what goes in, and what should come out
FIRST_STEPS = 2  # that are slow, since they are traced
MEASURED_STEPS = 9  # then, in turns with the yardstick
WEIGHT_DECAY = 1e-4
WARMUP = 0.08  # share of all steps in which the learning rate rises
MOMENTUM = 0.9  # of all batch normalisations: with Keras's 0.99 their averages would lag behind a training so short
TELLS = 100  # steps, after which a line says how far it is


@dataclass(frozen=True)
class Limits:
    """What a network may cost.

    Attributes:
        parameters: at most, those that are not trained included.
        multiply_adds: at most, of one picture.
        yardsticks: how many times as long as a step of the yardstick one of its steps may take.
    """

    parameters: int
    multiply_adds: int
    yardsticks: float

    def allow(self, parameters: float, multiply_adds: float) -> bool:
        """Whether numbers out of a sandbox, which may be any, keep to these."""
        return 0 <= parameters <= self.parameters and 0 <= multiply_adds <= self.multiply_adds


def must_be_a_network(built: Any, answer: Function) -> Any:
    """The model that an answer has built.

    Args:
        built: what came back.
        answer: the learner's function, whose name the sentence says.

    Raises:
        WrongAnswer: if it is no Keras model, or its layers are not known.
    """
    what = f"`{getattr(answer, '__name__', 'the answer')}`"
    if built is None:
        raise WrongAnswer(f"{what} should return a Keras model, and returned None: does every way end in `return`?")
    if not isinstance(built, keras.Model):
        raise WrongAnswer(
            f"{what} should return a Keras model, and returned something else: {type(built).__name__}; "
            "`keras.Model(image, x)` makes a model of what goes in and what comes out"
        )
    return built


def must_fit(network: Any, limits: Limits) -> None:
    """See that a network is not too large.

    Raises:
        WrongAnswer: if it has too many parameters or multiply-adds, or cannot be looked into.
    """
    work = multiply_adds(network)
    parameters = network.count_params()
    if parameters > limits.parameters:
        raise WrongAnswer(f"the network has {parameters:,} parameters, and {limits.parameters:,} are allowed")
    if work > limits.multiply_adds:
        raise WrongAnswer(
            f"the network takes {work:,} multiply-adds a picture, and {limits.multiply_adds:,} are allowed: fewer "
            "channels, fewer blocks, or a stride earlier on"
        )


def multiply_adds(network: Any) -> int:
    """Of one picture, in all layers that have a kernel: each of its weights once at each place that comes out.

    Raises:
        WrongAnswer: if the network does not know its layers or the sizes of its maps.
    """
    try:
        nodes = weighted_nodes(flat_graph(network))
    except ValueError as error:
        raise WrongAnswer(str(error)) from error
    work = 0
    for node in nodes:
        places = node.output.shape[1:-1]
        if None in places:
            raise WrongAnswer(f"the maps of `{node.layer.name}` have no fixed size: give `keras.Input` a whole shape")
        weights = sum(int(np.prod(value.shape)) for name, value in node.weights.items() if name.endswith("kernel"))
        work += weights * int(np.prod(places))
    return work


def train(
    network: Any,
    batches: Iterator[Batch],
    loss: Any,
    steps: int,
    learning_rate: float,
    *,
    yardstick: Any,
    yardsticks: float,
) -> None:
    """Train a network in place: AdamW under a cosine with warm-up.

    Args:
        network: a Keras model.
        batches: at least `steps` of them.
        loss: as Keras's `compile` takes it.
        steps: how many.
        learning_rate: at the top of the cosine.
        yardstick: a network that takes the same batches; its first steps take turns with the network's.
        yardsticks: see `Limits`.

    Raises:
        WrongAnswer: if a step takes too long, or the loss is no number any more.
    """
    trained = _twin(network)
    for layer in trained._flatten_layers():
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = MOMENTUM
    try:
        _compile(trained, loss, steps, learning_rate)
        _compile(yardstick, loss, steps, learning_rate)
        times: tuple[list[float], list[float]] = [], []
        for step in range(steps):
            inputs, truth = next(batches)
            spent, value = _timed(trained, inputs, truth)
            if not np.isfinite(value):
                raise WrongAnswer(f"the training diverged: in step {step + 1} of {steps} the loss is {value}")
            if step < FIRST_STEPS + MEASURED_STEPS:
                times[0].append(spent)
                times[1].append(_timed(yardstick, inputs, truth)[0])
            if step == FIRST_STEPS + MEASURED_STEPS:
                _must_be_quick([own[FIRST_STEPS:] for own in times], yardsticks)
            if (step + 1) % TELLS == 0:
                print(f"trained for {step + 1} of {steps} steps", flush=True)
    except WrongAnswer:
        raise
    except (ValueError, TypeError, ArithmeticError, tensorflow.errors.OpError) as error:
        raise WrongAnswer(
            f"the network cannot be trained: {(str(error).splitlines() or [type(error).__name__])[0]}"
        ) from error
    network.set_weights(trained.get_weights())


def _must_be_quick(times: Sequence[Sequence[float]], yardsticks: float) -> None:
    # Sums, for a clock of processor time may stand still for a step; without the slowest, which the machine may be to
    # blame for.
    own, other = (max(sum(sorted(one)[:-1]), 1e-3) for one in times)
    if own > yardsticks * other:
        raise WrongAnswer(
            f"a step takes {own / other:.0f} times as long as one of a small network, and {yardsticks:g} times are "
            "allowed, though its multiply-adds are few enough: many small operations? Lesson 5 tells what takes time"
        )


def _timed(model: Any, inputs: Any, truth: np.ndarray) -> tuple[float, float]:
    """Processor time of a step, and its loss."""
    start = time.process_time()
    value = model.train_on_batch(inputs, truth)
    return time.process_time() - start, float(np.ravel(value)[0])


def _twin(network: Any) -> Any:
    from ssdseg_ref.fused import fused_twin  # imports Keras

    try:
        return fused_twin(network)
    except (TypeError, ValueError, NotImplementedError):  # a layer of the learner's own, which cannot be copied
        return network


def _compile(model: Any, loss: Any, steps: int, learning_rate: float) -> None:
    warmup = max(1, round(WARMUP * steps))
    rates = keras.optimizers.schedules.CosineDecay(
        learning_rate / 100, max(1, steps - warmup), alpha=0.01, warmup_target=learning_rate, warmup_steps=warmup
    )
    optimizer = keras.optimizers.AdamW(rates, weight_decay=WEIGHT_DECAY)
    optimizer.exclude_from_weight_decay(var_names=["bias", "beta", "gamma"])
    model.compile(optimizer=optimizer, loss=loss, jit_compile=False)  # XLA is slow on a CPU
