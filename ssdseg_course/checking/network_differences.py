"""What is wrong with a network: what was built, layer by layer, what comes out, and what it computes.

Two networks that give the same numbers with the same weights are the same, in whatever order, and by whatever layers,
they were written. Where they are not, layers are counted as the learner has called them.
"""

from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from ssdseg_course.checking.compare import Complaint, compare_arrays
from ssdseg_course.checking.exercise import Function
from ssdseg_course.checking.flat_graph import ACTIVATIONS
from ssdseg_course.checking.values import Plain, with_article

KINDS = ("Conv2D", "DepthwiseConv2D", "BatchNormalization", "Dense", "SeparableConv2D", "grouped Conv2D",
         "Conv2DTranspose", "Conv1D", "LayerNormalization", "GroupNormalization", "PReLU", "Embedding",
         "MultiHeadAttention", "EinsumDense", "UnitNormalization", "Normalization", "LSTM", "GRU")  # fmt: skip
TOLERANCE = 1e-3  # of outputs, relative to how far they spread
ORDINALS = ("first", "second", "third", "fourth", "fifth", "sixth")

Place = Callable[[int], str]


class Layer(NamedTuple):
    """A layer with weights, as numbers.

    Attributes:
        kind: its place in `KINDS`, or -1.
        kernel: rows of its kernel, 0 without one.
        stride: of its kernel.
        dilation: of its kernel.
        rows, cols, channels: of its output.
        parameters: all of its weights.
        kernel_cols: columns of its kernel.
        activation: between it and the next layers with weights: 0 for none, a place in `ACTIVATIONS` from 1, or -1.
        inside: whether that is inside the layer.
        normalised: whether nothing but batch normalisations stand on it.
        uses: how often the very same layer is in the network.
        in_channels: of what it is applied to.
    """

    kind: int
    kernel: int
    stride: int
    dilation: int
    rows: int
    cols: int
    channels: int
    parameters: int
    kernel_cols: int = 0
    activation: int = 0
    inside: int = 0
    normalised: int = 0
    uses: int = 1
    in_channels: int = 0

    def __str__(self) -> str:
        kind = with_article(KINDS[self.kind]) if self.kind >= 0 else "another layer"
        taps = f" {self.kernel} × {self.kernel_cols}" if self.kernel else ""
        stride = f", stride {self.stride}" if self.stride > 1 else ""
        dilation = f", dilation {self.dilation}" if self.dilation > 1 else ""
        place = f"{self.rows} × {self.cols} × " if self.rows else ""
        return f"{kind}{taps}{stride}{dilation} that gives {place}{self.channels}, with {self.parameters:,} weights"

    @property
    def size(self) -> tuple[int, int, int]:
        """Of what it gives; a map of one pixel is no other than a list of its channels."""
        return (self.rows, self.cols, self.channels) if self.rows * self.cols > 1 else (0, 0, self.channels)


class Network(NamedTuple):
    """What is compared of a network.

    Attributes:
        layers: (L, 14) those with weights, a `Layer` a row, in the order in which they were called.
        signatures: (L,) of each with all that it stands on.
        edges: (E, 2) numbers of a layer and of one that it stands on.
        samples: (L, SAMPLES) values of each one's output, under the drawn weights.
        outputs: what comes out, an array or a tuple of arrays.
    """

    layers: np.ndarray
    signatures: np.ndarray
    edges: np.ndarray
    samples: np.ndarray
    outputs: Plain

    def rows(self) -> list[Layer]:
        """The layers."""
        return [Layer(*row) for row in self.layers.tolist()]

    def below(self, number: int) -> list[int]:
        """Numbers of the layers that one stands on."""
        return [int(layer) for layer in self.edges[self.edges[:, 0] == number, 1]]

    def above(self, number: int) -> list[int]:
        """Numbers of the layers that stand on one."""
        return [int(layer) for layer in self.edges[self.edges[:, 1] == number, 0]]

    def base(self, number: int) -> tuple[int, ...]:
        """Signatures of the layers that one stands on."""
        return tuple(sorted(self.signatures[self.below(number)].tolist()))


def compare_networks(where: Callable[[int, list[Layer]], str] | None = None) -> Function:
    """A comparison for `run_network`: what was built, layer by layer, then what it computes, layer by layer.

    Args:
        where: from the number of a layer, from 0, among the right layers in the order of their calls, to the words for
            its place, such as "in the second bottleneck".
    """

    def compare(value: Plain, expected: Plain) -> Complaint | None:
        if not _is_network(value):
            return Complaint(("it should return Keras tensors, and returned plain numbers",))
        yours, right = Network(*value), Network(*expected)
        layers = right.rows()

        def place(number: int) -> str:
            return f" {where(number, layers)}" if where else ""

        if _is_same(yours, right):
            return None
        partners = _partners(yours, right)
        return (
            _other_layer(yours, right, partners, place)
            or _other_outputs(yours, right)
            or _layer_used_again(yours, right, partners, place)
            or _other_numbers(yours, right, partners, place)
            or _other_activation(yours, right, partners, place)
        )

    def same(value: Plain, other: Plain) -> bool:
        return _is_network(value) and _is_network(other) and _is_same(Network(*value), Network(*other))

    compare.same = same  # type: ignore[attr-defined]  # by which the typical mistake is found that an answer has made
    return compare


def _is_network(value: Plain) -> bool:
    return isinstance(value, tuple) and len(value) == len(Network._fields)


def show_network(value: Plain) -> dict[str, Any]:
    """A value of `run_network` as a learner looks at it."""
    network = Network(*value)
    layers = [f"{number}: {layer}" for number, layer in enumerate(network.rows(), start=1)]
    outputs = {name or "what comes out": leaf for name, leaf in _leaves(network.outputs)}
    return {"layers": "\n".join(["", *layers]), **outputs}


def _is_same(yours: Network, right: Network) -> bool:
    """Whether two networks have the same weights and make the same of them."""
    if _structure(yours.outputs) != _structure(right.outputs) or Counter(yours.signatures) != Counter(right.signatures):
        return False
    pairs = zip(_leaves(yours.outputs), _leaves(right.outputs), strict=True)
    if not all(_near(mine, wanted) for (_, mine), (_, wanted) in pairs):
        return False
    # The numbers of a network seldom reach 6, where ReLU and ReLU6 begin to differ.
    return _activations(yours) == _activations(right) or None in (_activations(yours), _activations(right))


def _activations(network: Network) -> Counter[tuple[int, int]] | None:
    """How often each activation stands behind which layer; None where one is not known."""
    activations = [layer.activation for layer in network.rows()]
    return None if -1 in activations else Counter(zip(network.signatures.tolist(), activations, strict=True))


def _near(value: np.ndarray, expected: np.ndarray) -> bool:
    """Whether numbers agree, but for what another order of additions makes of a deep network's float32."""
    return np.allclose(value, expected, rtol=TOLERANCE, atol=TOLERANCE * max(float(expected.std()), 1e-6))


def _partners(yours: Network, right: Network) -> dict[int, int]:
    """For numbers of your layers those of the right ones that are built alike, on what is built alike.

    Of several that are, one that gives the same numbers.
    """
    free = defaultdict(list)
    for number, signature in enumerate(right.signatures.tolist()):
        free[signature].append(number)
    partners = {}
    for alike in (True, False):
        for number, signature in enumerate(yours.signatures.tolist()):
            if number in partners:
                continue
            for other in free[signature]:
                if not alike or _near(yours.samples[number], right.samples[other]):
                    partners[number] = other
                    free[signature].remove(other)
                    break
    return partners


def _other_layer(yours: Network, right: Network, partners: dict[int, int], place: Place) -> Complaint | None:
    got, layers = yours.rows(), right.rows()
    total, wanted = (sum(layer.parameters for layer in some) for some in (got, layers))
    count = f"it should have {wanted:,} parameters in {len(layers)} layers, yours has {total:,} in {len(got)}"
    if total == wanted and len(got) == len(layers):
        count = f"the number of parameters is right: {total:,}"
    lines = [count] if layers or got else []
    missing = next((number for number in range(len(layers)) if number not in partners.values()), None)
    if missing is not None:
        same_base = (k for k in range(len(got)) if k not in partners and yours.base(k) == right.base(missing))
        number = next(same_base, None)
        if number is None:
            at = f"layer {missing + 1}{place(missing)}"
            return Complaint((*lines, f"{at} is missing: {layers[missing]}"), kind="layer")
        if any(got[other][:8] == layers[missing][:8] for other in yours.above(number)):
            return _one_too_many(lines, yours, number, partners, place)
        if any(layers[other][:8] == got[number][:8] for other in right.above(missing)):
            line = f"a layer is missing in front of layer {number + 1}{place(missing)}: {layers[missing]}"
            return Complaint((*lines, line), kind="layer")
        return _about_a_layer(lines, number, got[number], layers[missing], place(missing))
    extra = next((number for number in range(len(got)) if number not in partners), None)
    if extra is not None:
        return _one_too_many(lines, yours, extra, partners, place)
    for number in range(len(got)):
        if got[number].size != layers[partners[number]].size:
            known = partners[number]
            return _about_a_layer(lines, number, got[number], layers[known], place(known))
    return None


def _one_too_many(lines: list[str], yours: Network, number: int, partners: dict[int, int], place: Place) -> Complaint:
    behind = max((other for other in yours.below(number) if other in partners), default=None)
    after = "applied to what comes in" if behind is None else f"behind layer {behind + 1}{place(partners[behind])}"
    line = f"layer {number + 1} is one more than there should be, {after}: {yours.rows()[number]}"
    return Complaint((*lines, line), kind="layer")


def _about_a_layer(lines: list[str], number: int, got: Layer, right: Layer, place: str) -> Complaint:
    line = f"layer {number + 1}{place} should be {right}; yours is {got}"
    return Complaint((*lines, line), _about_a_bias(got, right) or _about_its_input(got, right), kind="layer")


def _about_its_input(got: Layer, right: Layer) -> str | None:
    """Advice where the layer itself is right, and what it is applied to is not."""
    if got[:4] + got[6:9] == right[:4] + right[6:9] and got.in_channels == right.in_channels:
        return (
            "the layer itself is right, but not the size of its map: look at its padding and at what it is applied to."
        )
    if got[:7] == right[:7] and got.in_channels != right.in_channels:
        return f"it is applied to {got.in_channels} channels, and should be to {right.in_channels}."
    return None


def _about_a_bias(got: Layer, right: Layer) -> str | None:
    if got[:7] != right[:7]:
        return None
    more = got.parameters - right.parameters
    if more == right.channels and right.kind != KINDS.index("BatchNormalization"):
        if got.normalised:
            return "it has a bias, which a normalisation after it takes out again: use_bias=False."
        return "it has a bias, which it should not have: use_bias=False."
    if more == -right.channels and right.kind != KINDS.index("BatchNormalization"):
        if not got.normalised:
            return "its bias is missing: no normalisation that would have one comes after it."
        if not right.normalised:
            return "its bias is missing, and there is a normalisation after it, where none should be."
        return "its bias is missing."
    return None


def _other_outputs(yours: Network, right: Network) -> Complaint | None:
    if _structure(yours.outputs) == _structure(right.outputs):
        return None
    wanted, got = _in_words(right.outputs), _in_words(yours.outputs)
    line = f"it should return {wanted}; yours returns {got}"
    if _names(yours.outputs) == _names(right.outputs) != [""]:
        pairs = zip(_leaves(yours.outputs), _leaves(right.outputs), strict=True)
        name, mine, one = next(
            (name, mine.shape, one.shape) for (name, mine), (_, one) in pairs if mine.shape != one.shape
        )
        line = f"{name} should be a tensor of shape {one}; yours is one of shape {mine}"
    known = _known(right)
    return Complaint((*known, f"but {line}") if known else (line,), kind="outputs")


def _layer_used_again(yours: Network, right: Network, partners: dict[int, int], place: Place) -> Complaint | None:
    got, layers = yours.rows(), right.rows()
    again = [number for number in range(len(got)) if got[number].uses > layers[partners[number]].uses]
    if not again:
        return None
    numbers = " and ".join(str(number + 1) for number in again[:2])
    return Complaint(
        (
            *_known(right),
            f"but layers {numbers}{place(partners[again[0]])} are one and the same, with the same weights",
        ),
        "each place in a network has weights of its own: make a new layer for each.",
        "layer",
    )


def _other_numbers(yours: Network, right: Network, partners: dict[int, int], place: Place) -> Complaint | None:
    known = _known(right)
    got, layers = yours.rows(), right.rows()
    for number in range(len(got)):
        other = partners[number]
        if not _near(yours.samples[number], right.samples[other]):
            line = f"with the same weights layer {number + 1}{place(other)} gives other numbers: {layers[other]}"
            below = yours.below(number)
            inside, advice = _about_activations(below, got, layers, partners, place)
            return Complaint((*known, f"but {line}", *inside), advice or BETWEEN, "numbers")
    pairs = list(zip(_leaves(yours.outputs), _leaves(right.outputs), strict=True))
    wrong = [name for (name, mine), (_, wanted) in pairs if not _near(mine, wanted)]
    if not wrong:
        return None
    if not known:
        complaint = next(filter(None, (compare_arrays(mine, wanted) for (_, mine), (_, wanted) in pairs)), None)
        return complaint and replace(complaint, advice=None)
    what = wrong[0] if wrong[0] else "what comes back"
    rest = "" if len(wrong) == 1 or not wrong[0] else f" (and {len(wrong) - 1} more of {len(pairs)})"
    last = [number for number in range(len(got)) if number not in yours.edges[:, 1]]
    inside, advice = _about_activations(last, got, layers, partners, place)
    lines = (*known, "and give the right numbers", f"but {what} does not{rest}", *inside)
    return Complaint(lines, advice or BEHIND, "numbers")


def _other_activation(yours: Network, right: Network, partners: dict[int, int], place: Place) -> Complaint:
    """Where all numbers agree, and would not for larger ones."""
    got, layers = yours.rows(), right.rows()
    inside, advice = _about_activations(list(range(len(got))), got, layers, partners, place)
    lines = (*_known(right), "but an activation differs, which large numbers would show", *inside)
    return Complaint(lines, advice, "activation")


BETWEEN = (
    "what it stands on gives the right numbers, so look at what lies between: activation, addition, padding, the order "
    "of what is concatenated, or what the layer is applied to."
)
BEHIND = "look at what you do after the last layers with weights: activation, addition, reshaping, order."


def _known(right: Network) -> tuple[str, ...]:
    count = len(right.layers)
    if not count:
        return ()
    return (f"all {count} layers with weights are right" if count > 1 else "the layer with weights is right",)


def _about_activations(
    numbers: list[int], got: list[Layer], layers: list[Layer], partners: dict[int, int], place: Place
) -> tuple[tuple[str, ...], str | None]:
    """Whether the first wrong activation behind one of these layers is inside it, in words, and advice."""
    for number in numbers:
        mine, wanted = got[number].activation, layers[partners[number]].activation
        if mine == wanted or -1 in (mine, wanted):
            continue
        at = f"layer {number + 1}{place(partners[number])}"
        inside = (f"{at} has an activation inside, its `activation=...`",) if mine and got[number].inside else ()
        yours = with_article(f"`{ACTIVATIONS[mine - 1]}`") if mine else "none"
        right = f"`{ACTIVATIONS[wanted - 1]}`" if wanted else "no activation"
        return inside, f"behind {at} there should be {right}, and yours has {yours}."
    return (), None


def _leaves(outputs: Plain, name: str = "") -> list[tuple[str, np.ndarray]]:
    """The arrays that come out, each with the words for its place."""
    if not isinstance(outputs, tuple):
        return [(name, outputs)]
    front, *parts = outputs
    names = _keys(front)
    if names is None:
        of = f" of {len(parts)} things" if len(parts) > 1 else " thing"
        names = [f"the {ORDINALS[k] if k < len(ORDINALS) else f'{k + 1}th'}{of}" for k in range(len(parts))]
    else:
        names = [f"the map with the key {key}" for key in names]
    inner = f", in {name}" if name else ""
    return [leaf for own, part in zip(names, parts, strict=True) for leaf in _leaves(part, own + inner)]


def _names(outputs: Plain) -> list[str]:
    return [name for name, _ in _leaves(outputs)]


def _keys(front: np.ndarray) -> list[str] | None:
    """The keys of a dict; None of a list, which has its length in front."""
    return None if _is_list(front) else bytes(front.tolist()).decode().split(", ")


def _is_list(front: np.ndarray) -> bool:
    return front.shape == (1,) and front[0] < ord(" ")


def _structure(outputs: Plain) -> Any:
    if isinstance(outputs, tuple):
        return (tuple(outputs[0].tolist()), *(_structure(part) for part in outputs[1:]))
    return outputs.shape


def _in_words(outputs: Plain) -> str:
    if not isinstance(outputs, tuple):
        return f"a tensor of shape {outputs.shape}"
    front, parts = outputs[0], ", ".join(_in_words(part) for part in outputs[1:])
    if not _is_list(front):
        keys = _keys(front) or []
        return f"a dict with the {'keys' if len(keys) > 1 else 'key'} {', '.join(keys)} ({parts})"
    if len(outputs) == 2:
        return f"a list of one thing ({parts})"
    return f"{len(outputs) - 1} things ({parts})"
