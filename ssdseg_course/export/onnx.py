"""ONNX: convert a network to a `.onnx`, for any number of images at a time, and run one with ONNX Runtime."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ssdseg_course.export.tracing import INPUT, OUTPUTS, as_function, tool
from ssdseg_course.quiet import stderr_away

if TYPE_CHECKING:
    import keras

OPSET = 17  # which ONNX Runtime knows from its version 1.12 on, also on phones and in browsers
QUIET = 3  # ONNX Runtime's log: errors alone


def convert(network: "keras.Model") -> bytes:
    """The content of a `.onnx` file that computes what the network computes; its outputs have their names.

    Raises:
        ValueError: if tf2onnx is not installed, or cannot convert it.
    """
    converter, checker = tool("tf2onnx"), tool("onnx.checker")
    function, _ = as_function(network, batch=None)
    with stderr_away():
        try:
            model, _ = converter.convert.from_function(function, function.input_signature, opset=OPSET)
            for value in (*model.graph.input, *model.graph.output):
                value.type.tensor_type.shape.dim[0].dim_param = "batch"
            checker.check_model(model, full_check=True)
        except Exception as error:  # of tf2onnx, which promises no kind of its own
            reason = str(error).strip().partition("\n")[0]
            raise ValueError(f"tf2onnx cannot convert this network: {reason}") from error
    content: bytes = model.SerializeToString()
    return content


class OnnxNetwork:
    """A `.onnx` in the place of a Keras network, for `Predictor` and `evaluate`: it has `predict_on_batch`.

    Args:
        model: the file, or its content.
        threads: of the processor.

    Attributes:
        image_size: (height, width) of the images that go in.
        rows: (N, C + 1) of its classes: how many anchors, how many classes with background.

    Raises:
        ValueError: if it is not a network of the course, or ONNX Runtime is not installed.
        OSError: if the file cannot be read.
    """

    def __init__(self, model: bytes | Path, threads: int = 1):
        runtime = tool("onnxruntime")
        name = "the model" if isinstance(model, bytes) else str(model)
        content = model if isinstance(model, bytes) else model.read_bytes()
        options = runtime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
        options.log_severity_level = QUIET
        try:
            self._session = runtime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # of ONNX Runtime, which has a dozen kinds with no parent of their own
            raise ValueError(f"{name}: damaged, or not an ONNX file") from error
        inputs, outputs = self._session.get_inputs(), {output.name: output for output in self._session.get_outputs()}
        if [value.name for value in inputs] != [INPUT] or set(outputs) != set(OUTPUTS):
            raise ValueError(
                f"{name}: an ONNX file, but not a network of the course: its outputs are called "
                f"{', '.join(sorted(outputs))}, not {', '.join(OUTPUTS)}"
            )
        self.image_size: tuple[int, int] = tuple(inputs[0].shape[1:3])
        self.rows: tuple[int, int] = tuple(outputs["classes"].shape[1:])

    def predict_on_batch(self, images: np.ndarray) -> dict[str, np.ndarray]:
        """The raw outputs for (B, H, W, 3) images, pixels in 0..255."""
        values = self._session.run(list(OUTPUTS), {INPUT: np.asarray(images, np.float32)})
        return dict(zip(OUTPUTS, values, strict=True))
