"""What all formats start from: the network as one TensorFlow function, its outputs by their names."""

from importlib import import_module
from importlib.util import find_spec
from types import ModuleType
from typing import TYPE_CHECKING, Any

from ssdseg_course.quiet import stderr_away

if TYPE_CHECKING:
    import keras

INPUT = "image"
OUTPUTS = ("classes", "offsets", "mask")
INSTALL = 'pip install "ssdseg-course[export]"'


def as_function(network: "keras.Model", batch: int | None) -> tuple[Any, Any]:
    """The network as a `tf.function` of one argument, `image`, and the `tf.Module` that holds its variables.

    Args:
        network: from `build_network`, or loaded.
        batch: how many images go in at once; None for any number.
    """
    import tensorflow as tf

    images = tf.TensorSpec((batch, *network.input_shape[1:]), tf.float32, name=INPUT)
    module = tf.Module()
    module.variables_of_network = [variable.value for variable in network.variables]  # or a file would have no weights
    module.function = tf.function(lambda image: network(image, training=False), (images,), autograph=False)
    return module.function, module


def tool(name: str) -> ModuleType:
    """A module of the optional tools.

    Raises:
        ValueError: if it is not installed.
    """
    package = name.partition(".")[0]
    must_be_installed(package)
    try:
        with stderr_away():
            return import_module(name)
    except ImportError as error:
        raise ValueError(f"{package} cannot be imported ({error}); install it again: {INSTALL}") from error


def must_be_installed(*packages: str) -> None:
    """Look for optional tools without importing them, which may take seconds.

    Raises:
        ValueError: if one is missing.
    """
    for package in packages:
        if find_spec(package) is None:
            raise ValueError(f"{package.replace('_', '-')} is needed for this, and not installed: {INSTALL}")
