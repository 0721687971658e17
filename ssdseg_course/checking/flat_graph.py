"""A network written out: its layers one by one, whatever models and double layers they stood in.

`Sequential`, models inside a model, and layers that are made of layers are opened, and a `SeparableConv2D` becomes
its two steps. The layers themselves, with their weights, stay the same objects.
"""

import re
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from ssdseg_course.lazy import LazyModule

keras = LazyModule("keras")

# Names of activations, by the class of the operation or layer, or by the function that a layer holds.
ACTIVATIONS = ("relu", "relu6", "sigmoid", "softmax", "tanh", "silu", "elu", "gelu", "leaky_relu", "hard_swish")
SAME_NAME = {"swish": "silu", "leakyrelu": "leaky_relu", "hardswish": "hard_swish", "hard_silu": "hard_swish"}
UNKNOWN = "unknown"  # an activation that may be one of several


@dataclass
class FlatGraph:
    """A network written out.

    Attributes:
        model: functional, without models inside.
        places: of each tensor, by its id: where its layer was called, in the order of the calls.
        trained: names of layers that were called with `training=...`.
    """

    model: Any
    places: dict[int, tuple[int, ...]] = field(default_factory=dict)
    trained: list[str] = field(default_factory=list)


def flat_graph(model: Any) -> FlatGraph:
    """Write a network out.

    Args:
        model: a functional Keras model or a `Sequential` that knows its input.

    Raises:
        ValueError: if it cannot be opened, as a model that is a class of its own.
    """
    functional = _functional(model)
    graph = FlatGraph(functional)
    if not any(_has_to_be_opened(node.operation) for node in _nodes_upward(functional)):
        for node in _nodes_upward(functional):
            _note_training(graph, node)
            graph.places.update((id(tensor), _place(tensor)) for tensor in node.outputs)
        return graph
    outputs = _opened(graph, functional, functional.inputs, ())
    graph.model = keras.Model(functional.inputs, outputs)
    return graph


def inner_activation(operation: Any) -> str | None:
    """The name of the activation inside a layer with weights; None where there is none."""
    activation = getattr(operation, "activation", None)
    if activation is None or not type(operation).__name__.endswith(("Conv2D", "Dense")):
        return None
    name = _name_of(activation)
    return None if name == "linear" else name


def without_activation(operation: Any, call: Any) -> Any:
    """What comes out of a layer before the activation inside it, for the same input, as a Keras tensor.

    Args:
        operation: the layer.
        call: the call of it, a node of Keras's graph.
    """
    return _views().WithoutActivation(operation)(*call.arguments.args)


def activation_of(operation: Any) -> str | None:
    """The name of an activation; `UNKNOWN` for what may be one, None for any other operation."""
    kind = type(operation).__name__
    if kind == "Activation":
        name = _name_of(operation.activation)
        return None if name == "linear" else name
    if kind == "ReLU" and getattr(operation, "threshold", 0) == 0 and not getattr(operation, "negative_slope", 0):
        return {None: "relu", 6: "relu6"}.get(getattr(operation, "max_value", None), UNKNOWN)
    if kind == "Clip":
        return {(0, 6): "relu6", (0, float("inf")): "relu"}.get((operation.x_min, operation.x_max), UNKNOWN)
    if kind in ("Maximum", "Minimum", "Where", "Lambda", "Abs", "Exp"):
        return UNKNOWN
    name = SAME_NAME.get(kind.lower(), kind.lower())
    return name if name in ACTIVATIONS else None


def _name_of(activation: Any) -> str:
    if isinstance(activation, keras.layers.Layer):
        return activation_of(activation) or UNKNOWN
    name = getattr(activation, "__name__", UNKNOWN)
    return SAME_NAME.get(name, name)


def _functional(model: Any) -> Any:
    """The graph of a model.

    Raises:
        ValueError: if it has none.
    """
    inner = getattr(model, "_functional", model)
    if not hasattr(inner, "_nodes_by_depth"):
        raise ValueError(
            f"the model `{model.name}` does not know its layers: begin a `Sequential` with `keras.Input`, and write "
            "`keras.Model(inputs, outputs)` in the place of a class of your own"
        )
    return inner


def _nodes_upward(functional: Any) -> list[Any]:
    """All calls of a model's operations, from its input up."""
    depths = sorted(functional._nodes_by_depth, reverse=True)
    return [node for depth in depths for node in functional._nodes_by_depth[depth] if not node.is_input]


def _place(tensor: Any) -> tuple[int, ...]:
    """When a tensor was made: Keras counts them in their names."""
    number = re.search(r"_(\d+)$", tensor.name)
    return (int(number[1]) if number else 0,)


def _note_training(graph: FlatGraph, node: Any) -> None:
    if node.arguments.kwargs.get("training") is not None and node.operation.weights:
        graph.trained.append(f"{node.operation.name}, training={node.arguments.kwargs['training']}")


def _has_to_be_opened(operation: Any) -> bool:
    return _is_made_of_layers(operation) or _is_separable(operation)


def _is_made_of_layers(operation: Any) -> bool:
    """A model, or a learner's own layer with others inside; not one of Keras's, such as `TimeDistributed`."""
    if isinstance(operation, keras.Model):
        return True
    own = isinstance(operation, keras.layers.Layer) and not type(operation).__module__.startswith("keras.")
    return own and bool(operation._layers)


def _is_separable(operation: Any) -> bool:
    return type(operation).__name__ == "SeparableConv2D"


def _opened(graph: FlatGraph, functional: Any, inputs: list[Any], place: tuple[int, ...]) -> list[Any]:
    """Call all operations of a model once more, one by one: its outputs for these inputs."""
    known = {id(inner): outer for inner, outer in zip(functional.inputs, inputs, strict=True)}
    for node in _nodes_upward(functional):
        _note_training(graph, node)
        arguments, options = node.arguments.fill_in(known)
        options = {name: value for name, value in options.items() if value is not None}
        outputs = _called(graph, node.operation, arguments, options, (*place, *_place(node.outputs[0])))
        known.update((id(old), new) for old, new in zip(node.outputs, outputs, strict=True))
    return [known[id(output)] for output in functional.outputs]


def _called(
    graph: FlatGraph, operation: Any, arguments: tuple[Any, ...], options: dict[str, Any], place: tuple[int, ...]
) -> list[Any]:
    if isinstance(operation, keras.Model):
        return _opened(graph, _functional(operation), keras.tree.flatten(arguments), place)
    if _is_made_of_layers(operation):
        inputs = [keras.Input(batch_shape=tensor.shape, dtype=tensor.dtype) for tensor in keras.tree.flatten(arguments)]
        outputs = operation.call(*keras.tree.pack_sequence_as(arguments, inputs))
        return _opened(graph, keras.Model(inputs, outputs), keras.tree.flatten(arguments), place)
    if _is_separable(operation):
        between = _views().DepthwiseStep(operation)(*arguments)
        _note_place(graph, between, (*place, -1))
        outputs = _views().PointwiseStep(operation)(between)
        if operation.activation is not keras.activations.linear:
            _note_place(graph, outputs, place)
            outputs = keras.layers.Activation(operation.activation)(outputs)
    else:
        outputs = operation(*arguments, **options)
    _note_place(graph, outputs, place)
    return list(keras.tree.flatten(outputs))


def _note_place(graph: FlatGraph, outputs: Any, place: tuple[int, ...]) -> None:
    graph.places.update((id(tensor), place) for tensor in keras.tree.flatten(outputs))


class _Views:
    """Layers that do a part of what another layer does, with that layer's own weights."""

    def __init__(self) -> None:
        class View(keras.layers.Layer):  # type: ignore[name-defined]  # Keras is imported only when needed
            def __init__(self, layer: Any) -> None:
                super().__init__()
                self.layer = layer
                self.built = True

        class WithoutActivation(View):
            def call(self, x: Any) -> Any:
                activation = self.layer.activation
                object.__setattr__(self.layer, "activation", keras.activations.linear)
                try:
                    return self.layer.call(x)
                finally:
                    object.__setattr__(self.layer, "activation", activation)

        class DepthwiseStep(View):
            def call(self, x: Any) -> Any:
                whole = self.layer
                return keras.ops.depthwise_conv(
                    x, whole.depthwise_kernel, whole.strides, whole.padding, whole.data_format, whole.dilation_rate
                )

        class PointwiseStep(View):
            def call(self, x: Any) -> Any:
                y = keras.ops.conv(x, self.layer.pointwise_kernel, 1, "valid", self.layer.data_format)
                return y if self.layer.bias is None else y + self.layer.bias

        self.WithoutActivation, self.DepthwiseStep, self.PointwiseStep = WithoutActivation, DepthwiseStep, PointwiseStep


@lru_cache(maxsize=1)
def _views() -> _Views:
    return _Views()
