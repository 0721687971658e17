"""Exercises on networks and on losses: how the learner's function is run, and how what it built is compared.

`run_network`, `run_loss` and `run_tensors` stand in an exercise's `run`; what they give back is made of plain arrays,
like any other answer. `compare_networks` and `compare_losses` stand in its `compare`.
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numpy as np

from ssdseg_course.checking.compare import Complaint, compare_arrays
from ssdseg_course.checking.exercise import Arguments
from ssdseg_course.checking.layer_graph import Node, draw_weights, weighted_nodes
from ssdseg_course.checking.probe import WrongAnswer
from ssdseg_course.checking.values import Plain, close
from ssdseg_course.lazy import LazyModule

keras = LazyModule("keras")
tf = LazyModule("tensorflow")

KINDS = ("Conv2D", "DepthwiseConv2D", "BatchNormalization", "Dense", "SeparableConv2D")
SAMPLES = 64  # values of each layer's output that are compared
TOLERANCE = 1e-3  # of outputs, relative to how far they spread
IMAGES = 2  # that a whole model is tried on

NO_HISTORY = (
    "what it returns does not know where it came from, so no gradient flows back and a network cannot learn from it: "
    "use `ops` in the place of `np` all the way, no `float(...)` and no `.numpy()`"
)


class Layer(NamedTuple):
    """A layer with weights, as numbers.

    Attributes:
        kind: its place in `KINDS`, or -1.
        kernel: side of its kernel, 0 without one.
        stride: of its kernel.
        dilation: of its kernel.
        rows, cols, channels: of its output.
        parameters: all of its weights.
    """

    kind: int
    kernel: int
    stride: int
    dilation: int
    rows: int
    cols: int
    channels: int
    parameters: int

    def __str__(self) -> str:
        kind = KINDS[self.kind] if self.kind >= 0 else "another layer"
        taps = f" {self.kernel} × {self.kernel}" if self.kernel else ""
        stride = f", stride {self.stride}" if self.stride > 1 else ""
        dilation = f", dilation {self.dilation}" if self.dilation > 1 else ""
        place = f"{self.rows} × {self.cols} × " if self.rows else ""
        return f"a {kind}{taps}{stride}{dilation} that gives {place}{self.channels}, with {self.parameters:,} weights"


class Network(NamedTuple):
    """What is compared of a network.

    Attributes:
        layers: (L, 8) those with weights, a `Layer` a row, from the input up.
        samples: (L, SAMPLES) values of each one's output, under the drawn weights.
        outputs: what comes out, an array or a tuple of arrays.
    """

    layers: np.ndarray
    samples: np.ndarray
    outputs: Plain


def run_network(function: Callable, arguments: Arguments) -> Network:
    """Build a network by a learner's function, give it weights, and run it.

    Args:
        function: from Keras tensors, among other things, to Keras tensors, or from anything to a `keras.Model`.
        arguments: as the function takes them, with an array (B, H, W, C) in the place of each Keras tensor.

    Raises:
        WrongAnswer: if what comes back is no network.
    """
    images: list[np.ndarray] = []
    inputs: list = []
    built = function(*_with_inputs(list(arguments), images, inputs))
    if isinstance(built, keras.Model):
        model, built = built, built.output
        shape = [side or 32 for side in model.inputs[0].shape[1:]]
        images = [np.random.default_rng(len(shape)).uniform(-4, 4, (IMAGES, *shape)).astype(np.float32)]
    else:
        _must_be_tensors(built)
        try:
            model = keras.Model(inputs, _flat(built))
        except ValueError as error:
            raise WrongAnswer(
                "what comes back does not hang together with what goes in: is every layer applied to the output of "
                "the one before?"
            ) from error
    try:
        nodes = weighted_nodes(model)
    except ValueError as error:
        raise WrongAnswer(str(error)) from error
    draw_weights(nodes)
    watched = keras.Model(model.inputs, [*(node.output for node in nodes), *_flat(built)])
    results = [np.asarray(value) for value in _flat(watched(images, training=False))]
    return Network(
        layers=np.array([_describe(node) for node in nodes], np.int64).reshape(-1, len(Layer._fields)),
        samples=np.stack([_sample(value) for value in results[: len(nodes)]] or [np.zeros(SAMPLES)]),
        outputs=_rebuilt(built, results[len(nodes) :]),
    )


def compare_networks(where: Callable[[int, list[Layer]], str] | None = None) -> Callable:
    """A comparison for `run_network`: what was built, layer by layer, then what it computes, layer by layer.

    Args:
        where: from the number of a layer, from 0, among the right layers to the words for its place, such as "in the
            second bottleneck".
    """

    def compare(value: Plain, expected: Plain) -> Complaint | None:
        if not isinstance(value, tuple) or len(value) != len(Network._fields):
            return Complaint(("it should return Keras tensors, and returned plain numbers",))
        yours, right = Network(*value), Network(*expected)
        layers = [Layer(*row.tolist()) for row in right.layers]

        def place(index):
            return f" {where(index, layers)}" if where else ""

        return (
            _other_layers(yours, layers, place) or _other_outputs(yours, right) or _other_numbers(yours, right, place)
        )

    return compare


def run_loss(*, wrt: tuple[int, ...]) -> Callable:
    """A `run` for losses: their values, and their gradients, on tensors; and once more as a graph, as training does.

    Args:
        wrt: places of the arguments, from 0, that the network would give: gradients are taken with respect to these.

    Returns:
        a `run` that gives (value, gradients), both plain; it can be pickled, for a sandbox is told how to run.
    """
    return partial(_run_loss, wrt)


def _run_loss(wrt: tuple[int, ...], function: Callable, arguments: Arguments) -> tuple:
    tensors = [tf.convert_to_tensor(a) if isinstance(a, np.ndarray) else a for a in arguments]
    watched = [tensors[place] for place in wrt]
    with tf.GradientTape() as tape:
        tape.watch(watched)
        value = function(*tensors)
        if value is None:
            raise WrongAnswer("it should return a loss, and returned None: does every way end in `return`?")
        if not all(tf.is_tensor(part) for part in _flat(value)):
            raise WrongAnswer(NO_HISTORY)
        total = sum(tf.reduce_sum(part) for part in _flat(value))
    gradients = tape.gradient(total, watched)
    if any(gradient is None for gradient in gradients):
        raise WrongAnswer(NO_HISTORY)
    _trace(function, tensors)
    return value, (len(gradients), *gradients)


def run_tensors(function: Callable, arguments: Arguments):
    """Run a function of tensors that no gradient flows through: its value, true and false as 1 and 0; and as a graph.

    Raises:
        WrongAnswer: if no tensor comes back, or a graph cannot be made of it.
    """
    tensors = [tf.convert_to_tensor(a) if isinstance(a, np.ndarray) else a for a in arguments]
    value = function(*tensors)
    if not tf.is_tensor(value):
        raise WrongAnswer(
            f"it should return a tensor, and returned something else: {type(value).__name__}; use `ops` in the place "
            "of `np` all the way"
        )
    _trace(function, tensors)
    return np.asarray(tf.cast(value, tf.int32) if value.dtype == tf.bool else value)


def compare_losses(value: Plain, expected: Plain) -> Complaint | None:
    """A comparison for `run_loss`: the value, or values, then the gradients."""
    if not isinstance(value, tuple) or len(value) != 2:
        return Complaint(("it should return a loss, and returned something else",))
    (yours, gradients), (right, right_gradients) = value, expected
    complaint = compare_arrays(yours, right)
    if complaint:
        return complaint
    if all(close(*pair).all() for pair in zip(gradients, right_gradients, strict=True)):
        return None
    return Complaint(
        ("its value is right, but not its gradient, from which the network learns",),
        "does a rounding, a condition or `stop_gradient` stand in the way of part of it?",
    )


def _with_inputs(value, images: list, inputs: list):
    """The same, with a Keras input in the place of each array of four axes."""
    if isinstance(value, np.ndarray) and value.ndim == 4:
        images.append(value)
        inputs.append(keras.Input(value.shape[1:]))
        return inputs[-1]
    if isinstance(value, dict):
        return {key: _with_inputs(part, images, inputs) for key, part in value.items()}
    if isinstance(value, list) or type(value) is tuple:  # a named tuple, such as a row of a table, holds no image
        return type(value)(_with_inputs(part, images, inputs) for part in value)
    return value


def _must_be_tensors(built) -> None:
    parts = _flat(built)
    if not parts:
        raise WrongAnswer("it should return a Keras tensor, and returned nothing")
    for part in parts:
        if part is None:
            raise WrongAnswer("it should return a Keras tensor, and returned None: does every way end in `return`?")
        if not isinstance(part, keras.KerasTensor):
            kind = type(part).__name__
            call = "; is a layer made, but not yet applied, as in `layer(x)`?" if callable(part) else ""
            raise WrongAnswer(f"it should return a Keras tensor, and returned something else: {kind}{call}")


def _flat(built) -> list:
    """The tensors in whatever came back; those of a dict in the order of its keys."""
    if isinstance(built, dict):
        return [part for key in sorted(built, key=str) for part in _flat(built[key])]
    if isinstance(built, list | tuple):
        return [part for item in built for part in _flat(item)]
    return [built]


def _rebuilt(built, values: list[np.ndarray]):
    """Arrays in the structure of what came back: a tuple has its length in front, a dict its keys as text."""
    values = iter(values)

    def fill(part):
        if isinstance(part, dict):
            keys = sorted(part, key=str)
            return (_letters(keys), *(fill(part[key]) for key in keys))
        if isinstance(part, list | tuple):
            return (np.array([len(part)]), *(fill(item) for item in part))
        return next(values)

    return fill(built)


def _letters(keys: list) -> np.ndarray:
    return np.frombuffer(", ".join(map(str, keys)).encode(), np.uint8).astype(np.int64)


def _describe(node: Node) -> Layer:
    layer, shape = node.layer, node.output.shape
    kind = type(layer).__name__
    spatial = len(shape) == 4
    return Layer(
        kind=KINDS.index(kind) if kind in KINDS else -1,
        kernel=int(getattr(layer, "kernel_size", (0,))[0]),
        stride=int(getattr(layer, "strides", (1,))[0]),
        dilation=int(getattr(layer, "dilation_rate", (1,))[0]),
        rows=int(shape[1] or 0) if spatial else 0,
        cols=int(shape[2] or 0) if spatial else 0,
        channels=int(shape[-1]),
        parameters=int(sum(np.prod(variable.shape) for variable in layer.weights)),
    )


def _sample(value: np.ndarray) -> np.ndarray:
    """Some values of an output, spread over all of it."""
    flat = value.reshape(-1)
    return flat[np.linspace(0, len(flat) - 1, SAMPLES).astype(int)]


def _near(value: np.ndarray, expected: np.ndarray) -> bool:
    """Whether numbers agree, but for what another order of additions makes of a deep network's float32."""
    return np.allclose(value, expected, rtol=TOLERANCE, atol=TOLERANCE * max(float(expected.std()), 1e-6))


def _other_layers(yours: Network, layers: list[Layer], place: Callable[[int], str]) -> Complaint | None:
    got = [Layer(*row.tolist()) for row in yours.layers]
    if got == layers:
        return None
    total, wanted = (sum(layer.parameters for layer in some) for some in (got, layers))
    lines = [f"it should have {wanted:,} parameters in {len(layers)} layers, yours has {total:,} in {len(got)}"]
    if total == wanted and len(got) == len(layers):
        lines = [f"the number of parameters is right: {total:,}"]
    for index, right in enumerate(layers):
        if index >= len(got):
            lines.append(f"layer {index + 1}{place(index)} is missing: {right}")
            return Complaint(tuple(lines))
        if got[index] != right:
            lines.append(f"layer {index + 1}{place(index)} should be {right}; yours is {got[index]}")
            return Complaint(tuple(lines), _about_a_bias(got[index], right))
    lines.append(f"after the last layer that it should have, there comes {got[len(layers)]}")
    return Complaint(tuple(lines))


def _about_a_bias(got: Layer, right: Layer) -> str | None:
    if got._replace(parameters=right.parameters) != right:
        return None
    return {
        right.channels: "it has a bias, which a normalisation behind it takes out again: use_bias=False.",
        -right.channels: "its bias is missing: no normalisation stands behind it that would have one.",
    }.get(got.parameters - right.parameters)


def _other_outputs(yours: Network, right: Network) -> Complaint | None:
    if _structure(yours.outputs) == _structure(right.outputs):
        return None
    wanted, got = _in_words(right.outputs), _in_words(yours.outputs)
    return Complaint(("all layers with weights are right", f"but it should return {wanted}; yours returns {got}"))


def _other_numbers(yours: Network, right: Network, place: Callable[[int], str]) -> Complaint | None:
    pairs = zip(_leaves(yours.outputs), _leaves(right.outputs), strict=True)
    if all(_near(mine, wanted) for mine, wanted in pairs):  # whatever a layer's own activation makes of its samples
        return None
    known = f"all {len(right.layers)} layers with weights are right"
    for index, (mine, wanted) in enumerate(zip(yours.samples, right.samples, strict=True)):
        if len(right.layers) and not _near(mine, wanted):
            layer = Layer(*right.layers[index].tolist())
            return Complaint(
                (known, f"but with the same weights layer {index + 1}{place(index)} gives other numbers: {layer}"),
                "the layers before it agree, so look at what lies between it and them: activation, addition, padding, "
                "the order of what is concatenated, or what the layer is applied to.",
            )
    return Complaint(
        (known, "and give the right numbers, but what comes back does not"),
        "look at what you do behind the last layer: activation, addition, reshaping, order.",
    )


def _leaves(outputs: Plain) -> list[np.ndarray]:
    return [leaf for part in outputs[1:] for leaf in _leaves(part)] if isinstance(outputs, tuple) else [outputs]


def _structure(outputs: Plain):
    if isinstance(outputs, tuple):
        return (tuple(outputs[0].tolist()), *(_structure(part) for part in outputs[1:]))
    return outputs.shape


def _in_words(outputs: Plain) -> str:
    if not isinstance(outputs, tuple):
        return f"a tensor of shape {outputs.shape}"
    front, parts = outputs[0].tolist(), ", ".join(_in_words(part) for part in outputs[1:])
    if front == [len(outputs) - 1]:
        return f"{front[0]} things ({parts})"
    return f"a dict with the keys {bytes(front).decode()} ({parts})"


def _trace(function: Callable, tensors: list) -> None:
    """Run it as a graph: what looks at values with Python's `if` or `float` fails here, and would in training."""

    def call(*values):
        return function(*values)

    try:
        tf.function(call, autograph=False).get_concrete_function(*tensors)
    except Exception as error:
        first = str(error).strip().splitlines()[0]
        raise WrongAnswer(
            f"called directly it works, but not as part of a graph, which training makes of it ({type(error).__name__}"
            f": {first}): no Python `if`, `float(...)`, `.numpy()` or loop may depend on what a tensor holds"
        ) from error
