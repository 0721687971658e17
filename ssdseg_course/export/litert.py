"""LiteRT, once called TensorFlow Lite: convert a network to a `.tflite`, and run one.

The batch is fixed to one image, already where the network is traced. With a batch of unknown size the converter
computes shapes at run time, takes dilated convolutions apart, and leaves their batch normalisations unfolded; and the
runtime of the browser refuses the file. The outputs are taken by the names in the file's signature: their order is the
converter's, and `classes` and `offsets` of three classes have one shape.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ssdseg_course.export.tracing import OUTPUTS, as_function, tool
from ssdseg_course.quiet import stderr_away

if TYPE_CHECKING:
    import keras

BITS = (32, 16, 8)


def convert(
    network: "keras.Model", bits: int = 32, calibration: np.ndarray | None = None, weights_only: bool = False
) -> bytes:
    """The content of a `.tflite` file that computes what the network computes, for one image at a time.

    Args:
        network: from `build_network`, or loaded.
        bits: of a number: 32 and 16 are floats; with 16 only the weights are kept so, what runs them computes as it
            likes. With 8 weights and activations are whole numbers, an output channel of a kernel with a scale of its
            own; images go in and outputs come out as float32 all the same.
        calibration: (B, H, W, 3) images such as the network will see, from which the ranges of the activations are
            taken; for 8 bits.
        weights_only: of 8 bits: keep the weights alone in 8 bits, and take ranges from each image as it comes
            ("dynamic range"); needs no calibration.

    Raises:
        ValueError: if there are no such bits, 8 bits have nothing to calibrate on, or TensorFlow cannot convert it.
    """
    import tensorflow as tf

    if bits not in BITS:
        raise ValueError(f"a network is exported in {', '.join(map(str, BITS))} bits, got {bits}")
    full = bits == 8 and not weights_only
    if full and (calibration is None or len(calibration) == 0):
        raise ValueError("8 bits need images to calibrate on: calibration=(B, H, W, 3) images")

    def images() -> Iterator[list[np.ndarray]]:
        assert calibration is not None
        for image in calibration:
            yield [np.asarray(image, np.float32)[None]]

    with stderr_away():
        function, module = as_function(network, batch=1)
        converter = tf.lite.TFLiteConverter.from_concrete_functions([function.get_concrete_function()], module)
        if bits < 32:
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
        if bits == 16:
            converter.target_spec.supported_types = [tf.float16]
        if full:
            converter.representative_dataset = images
            converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        try:
            converted: bytes = converter.convert()
        except Exception as error:  # of TensorFlow's converter, which has several and says pages
            reason = str(error).strip().partition("\n")[0]
            raise ValueError(f"TensorFlow cannot convert this network to LiteRT: {reason}") from error
    return converted


class LiteRTNetwork:
    """A `.tflite` in the place of a Keras network, for `Predictor` and `evaluate`: it has `predict_on_batch`.

    Args:
        model: the file, or its content.
        threads: of the processor.

    Attributes:
        image_size: (height, width) of the images that go in.
        rows: (N, C + 1) of its classes: how many anchors, how many classes with background.

    Raises:
        ValueError: if it is not a network of the course, or LiteRT is not installed.
        OSError: if the file cannot be read.
    """

    def __init__(self, model: bytes | Path, threads: int = 1):
        self._name = name = "the model" if isinstance(model, bytes) else str(model)
        content = model if isinstance(model, bytes) else model.read_bytes()
        self._interpreter = open_interpreter(content, name, num_threads=threads)
        signatures: dict[str, dict[str, list[str]]] = self._interpreter.get_signature_list()
        found = next(iter(signatures.values()), {})
        inputs, outputs = found.get("inputs", []), found.get("outputs", [])
        if len(inputs) != 1 or set(outputs) != set(OUTPUTS):
            raise ValueError(
                f"{name}: a LiteRT file, but not a network of the course: its outputs are called "
                f"{', '.join(sorted(outputs)) or 'nothing'}, not {', '.join(OUTPUTS)}"
            )
        self._input = inputs[0]
        self._run = self._interpreter.get_signature_runner(next(iter(signatures)))
        self.image_size: tuple[int, int] = tuple(self._run.get_input_details()[self._input]["shape"][1:3].tolist())
        self.rows: tuple[int, int] = tuple(self._run.get_output_details()["classes"]["shape"][1:].tolist())

    def predict_on_batch(self, images: np.ndarray) -> dict[str, np.ndarray]:
        """The raw outputs for (B, H, W, 3) images, pixels in 0..255, one image after the other.

        Raises:
            ValueError: if the file opens but does not run.
        """
        try:
            each = [self._run(**{self._input: np.asarray(image, np.float32)[None]}) for image in images]
        except RuntimeError as error:
            raise ValueError(f"{self._name}: damaged, it opens but does not run") from error
        return {name: np.concatenate([outputs[name] for outputs in each]) for name in OUTPUTS}


def open_interpreter(content: bytes, name: str, **options: Any) -> Any:
    """LiteRT's interpreter of a file's content, its memory allocated; `name` is what a complaint calls the file.

    Raises:
        ValueError: if it is not a LiteRT file, or LiteRT is not installed.
    """
    runtime = tool("ai_edge_litert.interpreter")
    with stderr_away():  # it tells of its kernels
        try:
            interpreter = runtime.Interpreter(model_content=content, **options)
            interpreter.allocate_tensors()
        except (ValueError, RuntimeError) as error:
            raise ValueError(f"{name}: damaged, or not a LiteRT file") from error
    return interpreter
