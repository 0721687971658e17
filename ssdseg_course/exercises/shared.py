"""What the exercises of several lessons share: the maps that networks are tried on, and advice on Keras's errors."""

from collections.abc import Callable

import numpy as np

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
