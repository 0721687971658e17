"""The layers of a network that have weights, and what they stand on: told apart by structure, never by name.

Two networks that compute the same may have been written in another order, with other names, with `ReLU(6.0)` instead of
`Activation("relu6")`, and with a convolution of 1 x 1 instead of a dense layer. What has no weights is therefore looked
through, and every layer that has some gets a signature: of its weights, and of all that it stands on.
"""

import hashlib
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ssdseg_course.checking.flat_graph import (
    FlatGraph,
    activation_of,
    flat_graph,
    inner_activation,
    without_activation,
)

DIFFERENT = "the two networks are built differently: {}"


@dataclass(eq=False)
class Node:
    """A layer with weights in its place.

    Attributes:
        layer: the Keras layer.
        operation: what is called in the graph: the layer, or a step of it.
        call: number of the call, among all of that operation.
        kind: its class, "Conv2D"; a convolution with groups is a "grouped Conv2D".
        weights: its variables, by kind.
        output: the Keras tensor that comes out of it, before an activation inside it.
        below: the nodes that it stands on, with nothing but layers without weights between.
        depth: longest way down, counted in nodes.
        signature: of the node and of all below it; not of the size of maps.
        above: the nodes that stand on it.
        place: when it was called, to be sorted by.
        activations: names of the activations between it and the nodes above or the end.
        inside: whether such an activation is inside the layer.
    """

    layer: Any
    operation: Any
    call: int
    kind: str
    weights: dict[str, Any]
    output: Any
    below: list["Node"]
    depth: int
    signature: str
    above: list["Node"] = field(default_factory=list)
    place: tuple[int, ...] = ()
    activations: set[str] = field(default_factory=set)
    inside: bool = False


def weighted_nodes(graph: FlatGraph) -> list[Node]:
    """The layers with weights, from the input up, in the order in which they were called.

    Args:
        graph: a network written out.
    """
    found: dict[int, dict[Node, frozenset[str]]] = {}  # of a tensor: the nearest nodes below, with activations between

    def nearest(tensor: Any) -> dict[Node, frozenset[str]]:
        if id(tensor) in found:
            return found[id(tensor)]
        operation, index, _ = tensor._keras_history
        below: dict[Node, frozenset[str]] = {}
        for parent in operation._inbound_nodes[index].input_tensors:
            for node, names in nearest(parent).items():
                below[node] = below.get(node, frozenset()) | names
        if _has_weights(operation):
            own = _node(operation, index, tensor, list(below))
            own.place = graph.places.get(id(tensor), ())
            for node, names in below.items():
                node.activations |= names
                node.above.append(own)
            below = {own: frozenset()}
            if (name := inner_activation(operation)) is not None:
                own.inside, below[own] = True, frozenset([name])
                own.output = without_activation(operation, operation._inbound_nodes[index])
        elif (name := activation_of(operation)) is not None:
            below = {node: names | {name} for node, names in below.items()}
        found[id(tensor)] = below
        return below

    nodes: dict[Node, None] = {}
    for tensor in _tensors_upward(graph.model):
        nodes.update(dict.fromkeys(nearest(tensor)))
    for tensor in graph.model.outputs:
        for node, names in nearest(tensor).items():
            node.activations |= names
    return sorted(nodes, key=lambda node: (node.place, node.depth, node.signature))


def copy_weights(source: Any, target: Any) -> None:
    """Give a network the weights of another one that is built the same, whatever its layers are called.

    Args:
        source: a functional Keras model.
        target: another one, which is changed.

    Raises:
        ValueError: if they are not built the same, with the first layer of the source that has no partner.
    """
    givers, takers = _by_place(flat_graph(source)), _by_place(flat_graph(target))
    for place, nodes in givers.items():
        partners = takers.get(place, [])
        if len(partners) != len(nodes):
            layer = nodes[0].layer
            raise ValueError(DIFFERENT.format(f"there is no place in the second for `{layer.name}` of the first"))
    if len(givers) != len(takers):
        layer = next(nodes[0].layer for place, nodes in takers.items() if place not in givers)
        raise ValueError(DIFFERENT.format(f"there is no place in the first for `{layer.name}` of the second"))
    for place, nodes in givers.items():
        for giver, taker in zip(nodes, takers[place], strict=True):
            for kind, variable in taker.weights.items():
                variable.assign(giver.weights[kind].numpy().reshape(variable.shape))


def draw_weights(nodes: list[Node]) -> None:
    """Give every layer weights that depend on its signature alone; no statistics of a batch normalisation are fresh."""
    for node in nodes:
        for kind, variable in node.weights.items():
            rng = np.random.default_rng(_number(f"{node.signature} {kind}"))
            variable.assign(_draw(kind, _shape_for_all(node, kind), rng).reshape(variable.shape))


def _draw(kind: str, shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    if kind in ("gamma", "moving_variance"):
        return rng.uniform(0.5, 1.5, shape)
    if kind in ("beta", "moving_mean", "bias"):
        return rng.normal(0, 0.3, shape)
    # He's deviation keeps signals alive; a depthwise kernel's inputs are its own taps.
    inputs = int(np.prod(shape[:2] if kind == DEPTHWISE else shape[:-1]))
    return rng.normal(0, np.sqrt(2 / max(inputs, 1)), shape)


def _tensors_upward(model: Any) -> list[Any]:
    """All tensors of a model, from its input up, without a recursion that is as deep as the network."""
    depths = sorted(model._nodes_by_depth, reverse=True)
    return [tensor for depth in depths for node in model._nodes_by_depth[depth] for tensor in node.outputs]


def _has_weights(operation: Any) -> bool:
    return bool(getattr(operation, "weights", ()))


DEPTHWISE = "depthwise_kernel"


def _node(operation: Any, call: int, tensor: Any, below: list[Node]) -> Node:
    layer, kind, weights = _taken_apart(operation)
    depth = 1 + max((node.depth for node in below), default=0)
    node = Node(layer, operation, call, kind, weights, tensor, below, depth, "")
    own = (
        sorted((name, _shape_for_all(node, name)) for name in weights),
        stride_of(node),
        dilation_of(node),
        sorted(node.signature for node in below),
    )
    node.signature = _digest(own)
    return node


def _taken_apart(operation: Any) -> tuple[Any, str, dict[str, Any]]:
    """The layer behind an operation, what kind it is of, and its variables by kind, the same however it is written."""
    step = type(operation).__name__
    layer = operation.layer if step in ("DepthwiseStep", "PointwiseStep") else operation
    if step == "DepthwiseStep":
        return layer, "DepthwiseConv2D", {DEPTHWISE: layer.depthwise_kernel}
    if step == "PointwiseStep":
        bias = {} if layer.bias is None else {"bias": layer.bias}
        return layer, "Conv2D", {"kernel": layer.pointwise_kernel, **bias}
    kind = type(layer).__name__
    weights = {variable.path.rsplit("/", 1)[-1]: variable for variable in layer.weights}
    if kind == "Conv2D" and layer.groups > 1:
        kind = "grouped Conv2D"
    is_depthwise = kind == "DepthwiseConv2D" or (kind == "grouped Conv2D" and weights["kernel"].shape[2] == 1)
    if is_depthwise and "kernel" in weights:
        weights[DEPTHWISE] = weights.pop("kernel")
    return layer, kind, weights


def _shape_for_all(node: Node, name: str) -> tuple[int, ...]:
    """The shape of a variable, the same for layers that do the same: a dense one is a convolution of 1 x 1."""
    shape = tuple(node.weights[name].shape)
    if name == "kernel" and node.kind == "Dense":
        return (1, 1, *shape)
    if name == DEPTHWISE and node.kind == "grouped Conv2D":
        groups = node.layer.groups
        return (*shape[:2], groups, shape[3] // groups)
    return shape


def stride_of(node: Node) -> tuple[int, ...]:
    """Of a layer's kernel; a separable one strides in its first step."""
    is_second = node.kind == "Conv2D" and type(node.layer).__name__ == "SeparableConv2D"
    return (1, 1) if is_second else tuple(getattr(node.layer, "strides", (1, 1)))


def dilation_of(node: Node) -> tuple[int, ...]:
    """As `stride_of`."""
    is_second = node.kind == "Conv2D" and type(node.layer).__name__ == "SeparableConv2D"
    return (1, 1) if is_second else tuple(getattr(node.layer, "dilation_rate", (1, 1)))


def _by_place(graph: FlatGraph) -> dict[str, list[Node]]:
    """The nodes by what stands below them and above them; of several in one place, in the order of the calls."""
    called = weighted_nodes(graph)
    nodes = sorted(called, key=lambda node: (node.depth, node.signature))
    ends = _ends(graph.model)
    above: dict[int, str] = {}
    for node in reversed(nodes):  # what stands above a node is deeper, so it comes earlier here
        own = (node.signature, sorted(ends[id(node.operation)]), sorted(above[id(other)] for other in node.above))
        above[id(node)] = _digest(own)
    places = defaultdict(list)
    for node in called:
        places[above[id(node)]].append(node)
    return places


def _ends(model: Any) -> dict[int, set[int]]:
    """Of a layer with weights, by its id: numbers of the outputs that it comes to, with no other layer between."""
    ends = defaultdict(set)
    for number, output in enumerate(model.outputs):
        waiting = [output]
        while waiting:
            tensor = waiting.pop()
            operation, index, _ = tensor._keras_history
            if _has_weights(operation):
                ends[id(operation)].add(number)
            else:
                waiting += operation._inbound_nodes[index].input_tensors
    return ends


def _digest(thing: Any) -> str:
    return hashlib.sha256(repr(thing).encode()).hexdigest()[:16]


def _number(text: str) -> int:
    return int(hashlib.sha256(text.encode()).hexdigest()[:16], 16)
