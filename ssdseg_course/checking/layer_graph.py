"""The layers of a network that have weights, and what they stand on: told apart by structure, never by name.

Two networks that compute the same may have been written in another order, with other names, and with `ReLU(6.0)`
instead of `Activation("relu6")`. What has no weights is therefore looked through, and every layer that has some gets a
signature: of its own shape, and of all that it stands on.
"""

import hashlib
from collections import defaultdict
from dataclasses import dataclass, field

import numpy as np

from ssdseg_course.lazy import LazyModule

keras = LazyModule("keras")

DIFFERENT = "the two networks are built differently: {}"


@dataclass(eq=False)
class Node:
    """A layer with weights in its place.

    Attributes:
        layer: the Keras layer.
        output: the Keras tensor that comes out of it.
        below: the nodes that it stands on, with nothing but layers without weights between.
        depth: longest way down, counted in nodes.
        signature: of the node and of all below it.
        above: the nodes that stand on it.
    """

    layer: object
    output: object
    below: list["Node"]
    depth: int
    signature: str
    above: list["Node"] = field(default_factory=list)


def weighted_nodes(model) -> list[Node]:
    """The layers with weights, from the input up; those of one depth in the order of their signatures.

    Args:
        model: a functional Keras model; no model inside of it.

    Raises:
        ValueError: if a layer of it is a model.
    """
    found: dict[int, list[Node]] = {}  # of a tensor: the nearest nodes at or below it

    def nearest(tensor) -> list[Node]:
        if id(tensor) not in found:
            operation, index, _ = tensor._keras_history
            inputs = operation._inbound_nodes[index].input_tensors
            below = list({id(node): node for parent in inputs for node in nearest(parent)}.values())
            found[id(tensor)] = [_node(operation, tensor, below)] if _has_weights(operation) else below
            for node in found[id(tensor)] if _has_weights(operation) else ():
                for other in below:
                    other.above.append(node)
        return found[id(tensor)]

    nodes: dict[int, Node] = {}
    for tensor in _tensors_upward(model):
        for node in nearest(tensor):
            nodes[id(node)] = node
    return sorted(nodes.values(), key=lambda node: (node.depth, node.signature))


def copy_weights(source, target) -> None:
    """Give a network the weights of another one that is built the same, whatever its layers are called.

    Args:
        source: a functional Keras model.
        target: another one, which is changed.

    Raises:
        ValueError: if they are not built the same, with the first layer of the source that has no partner.
    """
    givers, takers = _by_place(source), _by_place(target)
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
            values = {_kind_of_weight(variable): variable.numpy() for variable in giver.layer.weights}
            for variable in taker.layer.weights:
                variable.assign(values[_kind_of_weight(variable)])


def draw_weights(nodes: list[Node]) -> None:
    """Give every layer weights that depend on its signature alone; no statistics of a batch normalisation are fresh."""
    for node in nodes:
        for variable in node.layer.weights:
            kind = _kind_of_weight(variable)
            rng = np.random.default_rng(_number(f"{node.signature} {kind}"))
            variable.assign(_draw(kind, tuple(variable.shape), rng))


def _draw(kind: str, shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    if kind in ("gamma", "moving_variance"):
        return rng.uniform(0.5, 1.5, shape)
    if kind in ("beta", "moving_mean", "bias"):
        return rng.normal(0, 0.3, shape)
    # He's deviation keeps signals alive; a depthwise kernel's inputs are its own taps.
    inputs = np.prod(shape[:2]) if "depthwise" in kind else np.prod(shape[:-1])
    return rng.normal(0, np.sqrt(2 / max(inputs, 1)), shape)


def _tensors_upward(model) -> list:
    """All tensors of a model, from its input up, without a recursion that is as deep as the network."""
    tensors = []
    for depth in sorted(model._nodes_by_depth, reverse=True):
        for node in model._nodes_by_depth[depth]:
            if isinstance(node.operation, keras.Model):
                raise ValueError(
                    f"`{node.operation.name}` is a model inside of the network; apply its layers to x one by one, so "
                    "that the check can look inside"
                )
            tensors += node.output_tensors
    return tensors


def _has_weights(operation) -> bool:
    return bool(getattr(operation, "weights", ()))


def _node(layer, tensor, below: list[Node]) -> Node:
    own = (
        sorted((_kind_of_weight(variable), tuple(variable.shape)) for variable in layer.weights),
        tuple(getattr(layer, "strides", (1, 1))),
        tuple(getattr(layer, "dilation_rate", (1, 1))),
        tuple(tensor.shape[1:]),
        sorted(node.signature for node in below),
    )
    depth = 1 + max((node.depth for node in below), default=0)
    return Node(layer, tensor, below, depth, _digest(own))


def _by_place(model) -> dict[str, list[Node]]:
    """The nodes by what stands below them and above them; of several in one place, in the model's order."""
    nodes = weighted_nodes(model)
    ends = _ends(model)
    above: dict[int, str] = {}
    for node in reversed(nodes):  # what stands above a node is deeper, so it comes earlier here
        own = (node.signature, sorted(ends[id(node.output)]), sorted(above[id(other)] for other in node.above))
        above[id(node)] = _digest(own)
    order = {id(layer): place for place, layer in enumerate(model.layers)}
    places = defaultdict(list)
    for node in sorted(nodes, key=lambda node: order[id(node.layer)]):
        places[above[id(node)]].append(node)
    return places


def _ends(model) -> dict[int, set[int]]:
    """Of a tensor: the numbers of the model's outputs that it comes to, with no weights between."""
    ends = defaultdict(set)
    for number, output in enumerate(model.outputs):
        waiting = [output]
        while waiting:
            tensor = waiting.pop()
            ends[id(tensor)].add(number)
            operation, index, _ = tensor._keras_history
            if not _has_weights(operation):
                waiting += operation._inbound_nodes[index].input_tensors
    return ends


def _kind_of_weight(variable) -> str:
    """ "kernel", "gamma" and so on; a depthwise layer calls its kernel either "kernel" or "depthwise_kernel"."""
    return variable.path.rsplit("/", 1)[-1]


def _digest(thing) -> str:
    return hashlib.sha256(repr(thing).encode()).hexdigest()[:16]


def _number(text: str) -> int:
    return int(hashlib.sha256(text.encode()).hexdigest()[:16], 16)
