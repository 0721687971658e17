"""What the exercises of several lessons share: maps to try networks on, names of places in them, Keras's errors."""

from collections.abc import Callable

import numpy as np

from ssdseg_course.checking.networks import KINDS, Layer

HEAD_LAYERS = 3  # with weights: the last convolution, its normalisation, and the dense layer

KERAS_ERRORS = (
    ("Iterating over a symbolic KerasTensor", "a Keras tensor cannot be looped over; a layer takes it as a whole."),
    ("not iterable", "a Keras tensor cannot be looped over; a layer takes it as a whole: `layer(x)`."),
    (
        "is not callable",
        "what stands before those brackets is no layer: is it a tensor already, or one bracket too many?",
    ),
    ("missing 1 required positional argument", "which argument is that? The order in the first line counts."),
    (
        "A KerasTensor cannot be used",
        "NumPy and Python's `if` need numbers; a Keras tensor has none yet, only a shape.",
    ),
)

OPS_ERRORS = (
    (
        "Using a symbolic",
        "as a graph a tensor has no numbers yet: no `if`, `for` or `np` may ask for them; `ops.where` chooses.",
    ),
    (
        "cannot compute",
        "two things of different types met: `ops.cast(x, other.dtype)` makes one type of them.",
    ),
    (
        "must be the same",
        "two things of different types or shapes met: `ops.cast(x, other.dtype)` makes one type of them.",
    ),
    ("has no attribute", "keras.ops has NumPy's names, nearly all of them: is this one spelt as in NumPy?"),
)


def maps_of_seed(seed: int) -> Callable[..., np.ndarray]:
    """A function that draws a map of the shape it is given, the same ones in every run.

    Args:
        seed: of the maps.
    """
    rng = np.random.default_rng(seed)
    return lambda *shape: (4 * rng.normal(size=shape)).astype(np.float32)


def place_in_network(block: str, layers_of: Callable[[list[Layer]], int]) -> Callable[[int, list[Layer]], str]:
    """Names the place of a layer in a network: a stem of two layers with weights, blocks, and a head or none.

    Args:
        block: what a block is called, "bottleneck".
        layers_of: the number of layers with weights of a block, from all layers that begin with its own.
    """

    def where(index: int, layers: list[Layer]) -> str:
        if index < 2:
            return "(the stem)"
        if index >= len(layers) - HEAD_LAYERS and layers[-1].kind == KINDS.index("Dense"):
            return "(in the head)"
        number, at = 0, 2
        while at <= index:
            number += 1
            at += layers_of(layers[at:])
        return f"({block} {number})"

    return where
