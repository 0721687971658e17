"""TensorFlow's SavedModel: write a network as one, for any number of images at a time, and run one."""

import errno
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ssdseg_course.export.tracing import INPUT, OUTPUTS, as_function
from ssdseg_course.quiet import stderr_away

if TYPE_CHECKING:
    import keras


def save(network: "keras.Model", folder: Path) -> None:
    """Write the network into a folder that is not there yet; its signature has named outputs.

    Raises:
        OSError: if it cannot be written.
    """
    import tensorflow as tf

    function, module = as_function(network, batch=None)
    with stderr_away():
        try:
            tf.saved_model.save(module, str(folder), signatures=function.get_concrete_function())
        except tf.errors.OpError as error:  # such as a full disk
            reason = error.message.rpartition("; ")[2].partition(" [Op:")[0]  # behind the names of its own parts
            raise OSError(errno.EIO, f"cannot be written ({reason})", str(folder)) from error


class SavedModelNetwork:
    """A SavedModel in the place of a Keras network, for `Predictor` and `evaluate`: it has `predict_on_batch`.

    Args:
        folder: that it was saved into.

    Attributes:
        image_size: (height, width) of the images that go in.
        rows: (N, C + 1) of its classes: how many anchors, how many classes with background.

    Raises:
        ValueError: if it is not a network of the course.
    """

    def __init__(self, folder: Path):
        import tensorflow as tf

        with stderr_away():
            try:
                self._loaded = tf.saved_model.load(str(folder))  # kept: it owns the variables
                self._run = self._loaded.signatures["serving_default"]
            except Exception as error:  # of TensorFlow, of a dozen kinds
                raise ValueError(f"{folder}: damaged, or not a SavedModel") from error
        image = self._run.structured_input_signature[1].get(INPUT)
        outputs = self._run.structured_outputs
        if image is None or set(outputs) != set(OUTPUTS):
            raise ValueError(
                f"{folder}: a SavedModel, but not a network of the course: its outputs are called "
                f"{', '.join(sorted(outputs))}, not {', '.join(OUTPUTS)}"
            )
        self.image_size: tuple[int, int] = tuple(image.shape[1:3])
        self.rows: tuple[int, int] = tuple(outputs["classes"].shape[1:])

    def predict_on_batch(self, images: np.ndarray) -> dict[str, np.ndarray]:
        """The raw outputs for (B, H, W, 3) images, pixels in 0..255."""
        import tensorflow as tf

        outputs = self._run(**{INPUT: tf.constant(np.asarray(images, np.float32))})
        return {name: outputs[name].numpy() for name in OUTPUTS}
