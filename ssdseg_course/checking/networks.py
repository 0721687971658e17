"""Exercises on networks: how the learner's function is run, and what is looked at of the network that it builds.

`run_network` stands in an exercise's `run`; what it gives back is made of plain arrays, like any other answer.
`compare_networks` stands in its `compare`. Those for losses are in `losses`.
"""

from typing import Any

import numpy as np

from ssdseg_course.checking.exercise import Arguments, Function
from ssdseg_course.checking.flat_graph import ACTIVATIONS, FlatGraph, flat_graph
from ssdseg_course.checking.layer_graph import Node, dilation_of, draw_weights, stride_of, weighted_nodes
from ssdseg_course.checking.losses import compare_losses, run_loss, run_mask
from ssdseg_course.checking.network_differences import KINDS, Layer, Network, compare_networks, show_network
from ssdseg_course.checking.probe import WrongAnswer
from ssdseg_course.checking.values import Plain
from ssdseg_course.lazy import LazyModule

__all__ = (
    "KINDS",
    "Layer",
    "Network",
    "compare_losses",
    "compare_networks",
    "run_loss",
    "run_mask",
    "run_network",
)

keras = LazyModule("keras")

SAMPLES = 64  # values of each layer's output that are compared
IMAGES = 2  # that a whole model is tried on
SIDE = 32  # of these, where the model takes any


def run_network(function: Function, arguments: Arguments) -> Network:
    """Build a network by a learner's function, give it weights, and run it.

    Args:
        function: from Keras tensors, among other things, to Keras tensors, or from anything to a `keras.Model`.
        arguments: as the function takes them, with an array (B, H, W, C) in the place of each Keras tensor.

    Raises:
        WrongAnswer: if what comes back is no network.
    """
    images: list[np.ndarray] = []
    inputs: list[Any] = []
    built = function(*_with_inputs(list(arguments), images, inputs))
    try:
        if not inputs:
            graph, built, images = _of_a_model(built)
        else:
            _must_be_tensors(built)
            graph = flat_graph(_between(inputs, built))
    except ValueError as error:
        raise WrongAnswer(str(error)) from error
    if graph.trained:
        raise WrongAnswer(
            f"a layer is called with `training` given ({graph.trained[0]}): then it does the same in training and "
            "afterwards. Leave that to Keras, which knows when a network is trained"
        )
    nodes = weighted_nodes(graph)
    draw_weights(nodes)
    watched = keras.Model(graph.model.inputs, [*(node.output for node in nodes), *graph.model.outputs])
    results = [np.asarray(value) for value in _flat(watched(images, training=False))]
    number = {id(node): place for place, node in enumerate(nodes)}
    edges = [(number[id(node)], number[id(below)]) for node in nodes for below in node.below]
    uses = [sum(other.operation is node.operation for other in nodes) for node in nodes]
    return Network(
        layers=np.array([_describe(node, count) for node, count in zip(nodes, uses, strict=True)], np.int64).reshape(
            -1, len(Layer._fields)
        ),
        signatures=np.array([int(node.signature[:15], 16) for node in nodes], np.int64),
        edges=np.array(edges, np.int64).reshape(-1, 2),
        samples=np.stack([_sample(value) for value in results[: len(nodes)]] or [np.zeros(SAMPLES)]),
        outputs=_rebuilt(built, results[len(nodes) :]),
    )


def _rules_out(function: Function, arguments: Arguments, value: Plain) -> bool:
    """Whether a function builds a model of another number of parameters: seen at once, where a run takes its time."""
    inputs: list[Any] = []
    given = _with_inputs(list(arguments), [], inputs)
    if inputs or not isinstance(value, tuple) or len(value) != len(Network._fields):
        return False
    built = function(*given)
    known = sum(layer.parameters for layer in Network(*value).rows())
    return isinstance(built, keras.Model) and built.count_params() != known


run_network.show = show_network  # type: ignore[attr-defined]  # a function may have attributes
run_network.rules_out = _rules_out  # type: ignore[attr-defined]  # a function may have attributes


def _of_a_model(built: Any) -> tuple[FlatGraph, object, list[np.ndarray]]:
    """The graph of a model, what it gives, and images for it."""
    if built is None:
        raise WrongAnswer("it should return a Keras model, and returned None: does every way end in `return`?")
    if not isinstance(built, keras.Model):
        is_tensor = all(isinstance(part, keras.KerasTensor) for part in _flat(built))
        kind = "a Keras tensor" if is_tensor else f"something else: {type(built).__name__}"
        raise WrongAnswer(
            f"it should return a Keras model, and returned {kind}; `keras.Model(image, x)` makes a model of what goes "
            "in and what comes out"
        )
    graph = flat_graph(built)
    images = [
        np.random.default_rng(len(tensor.shape)).uniform(-4, 4, (IMAGES, *(side or SIDE for side in tensor.shape[1:])))
        for tensor in graph.model.inputs
    ]
    return graph, getattr(built, "_functional", built)._outputs_struct, [image.astype(np.float32) for image in images]


def _between(inputs: list[Any], built: Any) -> Any:
    """The model between what went in and what came back."""
    try:
        return keras.Model(inputs, _flat(built))
    except ValueError as error:
        begins = _first_tensors(_flat(built))
        if begins and not any(tensor is given for tensor in begins for given in inputs):
            raise WrongAnswer(
                "what comes back does not depend on what goes in: it begins with a `keras.Input` of its own. Apply the "
                "first layer to the argument"
            ) from error
        raise WrongAnswer(
            "what comes back does not hang together with what goes in: is every layer applied to the output of the one "
            "before?"
        ) from error


def _first_tensors(outputs: list[Any]) -> list[Any]:
    """The inputs that tensors come from."""
    found, seen, waiting = [], set(), list(outputs)
    while waiting:
        tensor = waiting.pop()
        if id(tensor) in seen:
            continue
        seen.add(id(tensor))
        operation, index, _ = tensor._keras_history
        node = operation._inbound_nodes[index]
        if node.is_input:
            found.append(tensor)
        waiting += node.input_tensors
    return found


def _with_inputs(value: Any, images: list[Any], inputs: list[Any]) -> Any:
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


def _must_be_tensors(built: Any) -> None:
    parts = _flat(built)
    if not parts:
        raise WrongAnswer("it should return a Keras tensor, and returned nothing")
    for part in parts:
        if part is None and built is not None:
            number = [part is None for part in parts].index(True) + 1
            raise WrongAnswer(
                f"thing {number} of the {len(parts)} that it returns is None, and should be a Keras tensor"
            )
        if part is None:
            raise WrongAnswer("it should return a Keras tensor, and returned None: does every way end in `return`?")
        if isinstance(part, keras.Model):
            raise WrongAnswer(
                "it should return the Keras tensor that comes out, and returned a model: without `keras.Model(...)`, "
                "or with the model applied, `model(x)`"
            )
        if not isinstance(part, keras.KerasTensor):
            kind = type(part).__name__
            call = "; is a layer made, but not yet applied, as in `layer(x)`?" if _is_layer(part) else ""
            raise WrongAnswer(f"it should return a Keras tensor, and returned something else: {kind}{call}")


def _is_layer(part: Any) -> bool:
    return isinstance(part, keras.layers.Layer)


def _flat(built: Any) -> list[Any]:
    """The tensors in whatever came back; those of a dict in the order of its keys."""
    if isinstance(built, dict):
        return [part for key in _sorted_keys(built) for part in _flat(built[key])]
    if isinstance(built, list | tuple):
        return [part for item in built for part in _flat(item)]
    return [built]


def _rebuilt(built: Any, values: list[np.ndarray]) -> Any:
    """Arrays in the structure of what came back: a list has its length in front, a dict its keys as text."""
    left = iter(values)

    def fill(part: Any) -> Any:
        if isinstance(part, dict):
            keys = _sorted_keys(part)
            return (_letters(keys), *(fill(part[key]) for key in keys))
        if isinstance(part, list | tuple):
            return (np.array([len(part)]), *(fill(item) for item in part))
        return next(left)

    return fill(built)


def _sorted_keys(things: dict[str, Any]) -> list[Any]:
    """Numbers by their size, texts by their letters."""
    return sorted(
        things, key=lambda key: (isinstance(key, str), key if isinstance(key, int | float | str) else str(key))
    )


def _letters(keys: list[Any]) -> np.ndarray:
    """Keys as a text of numbers, which tells 4 from "4", and not 4 from 4.0, for a dict does not either."""
    texts = (repr(key) if isinstance(key, str) else f"{key:g}" if isinstance(key, float) else str(key) for key in keys)
    return np.frombuffer(", ".join(texts).encode(), np.uint8).astype(np.int64)


def _describe(node: Node, uses: int) -> Layer:
    shape = tuple(node.output.shape)
    is_map = len(shape) == 4
    kernel = tuple(getattr(node.layer, "kernel_size", (0, 0)))
    if node.operation is not node.layer and node.kind == "Conv2D":
        kernel = (1, 1)
    activations = [ACTIVATIONS.index(name) + 1 if name in ACTIVATIONS else -1 for name in node.activations]
    return Layer(
        kind=KINDS.index(node.kind) if node.kind in KINDS else -1,
        kernel=int(kernel[0]),
        stride=int(stride_of(node)[0]),
        dilation=int(dilation_of(node)[0]),
        rows=int(shape[1] or 0) if is_map else 0,
        cols=int(shape[2] or 0) if is_map else 0,
        channels=int(shape[-1]),
        parameters=sum(int(np.prod(variable.shape)) for variable in node.weights.values()),
        kernel_cols=int(kernel[-1]),
        activation=(activations[0] if len(activations) == 1 else -1) if activations else 0,
        inside=int(node.inside),
        normalised=int(bool(node.above) and all(other.kind == "BatchNormalization" for other in node.above)),
        uses=uses,
        in_channels=int(node.operation._inbound_nodes[node.call].input_tensors[0].shape[-1] or 0),
    )


def _sample(value: np.ndarray) -> np.ndarray:
    """Some values of an output, spread over all of it."""
    return np.take(value, np.linspace(0, value.size - 1, SAMPLES).astype(int))
