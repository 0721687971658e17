"""One convolution of a network in whole numbers: what LiteRT keeps of it, and what LiteRT computes with that."""

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ssdseg_course.export.litert import open_interpreter
from ssdseg_course.export.tracing import as_function
from ssdseg_course.quiet import stderr_away

if TYPE_CHECKING:
    import keras


class Coding(NamedTuple):
    """How a map is kept: real = scale * (whole - zero_point)."""

    scale: float
    zero_point: int


class IntegerLayer:
    """A convolution with the batch normalisation and the activation behind it, in int8 from end to end.

    Args:
        content: of a `.tflite` with that one operator, int8 at both ends.
        depthwise: whether each channel has a kernel of its own.

    Attributes:
        kernel: (kh, kw, Cin, Cout) int8, or (kh, kw, C, 1) of a depthwise one: the order of Keras.
        kernel_scales: (Cout,), one for each channel that comes out.
        bias: (Cout,) int32, in units of the input's scale times the kernel's.
        come_in, go_out: how the maps at both ends are kept.
    """

    def __init__(self, content: bytes, depthwise: bool):
        self._interpreter = open_interpreter(content, "the layer")
        (entry,), (last,) = self._interpreter.get_input_details(), self._interpreter.get_output_details()
        self._ends = entry["index"], last["index"]
        self.come_in, self.go_out = Coding(*entry["quantization"]), Coding(*last["quantization"])
        constants = [
            (self._interpreter.get_tensor(tensor["index"]), tensor["quantization_parameters"]["scales"])
            for tensor in self._interpreter.get_tensor_details()
            if tensor["index"] not in self._ends and len(tensor["quantization_parameters"]["scales"])
        ]
        kernel, scales = next(pair for pair in constants if pair[0].dtype == np.int8)
        self.kernel: np.ndarray = kernel[0][..., None] if depthwise else kernel.transpose(1, 2, 3, 0)
        self.kernel_scales: np.ndarray = scales.astype(np.float64)
        self.bias: np.ndarray = next(value for value, _ in constants if value.dtype == np.int32 and value.ndim == 1)

    def __call__(self, whole: np.ndarray) -> np.ndarray:
        """What LiteRT computes: (H, W, Cin) int8 -> (H', W', Cout) int8."""
        first, last = self._ends
        self._interpreter.set_tensor(first, whole[None])
        self._interpreter.invoke()
        computed: np.ndarray = self._interpreter.get_tensor(last)[0]
        return computed


def convert_layer(network: "keras.Model", names: tuple[str, ...], images: np.ndarray) -> IntegerLayer:
    """A few layers of a network, a convolution and what follows it, as one operator of LiteRT in whole numbers.

    Args:
        network: any.
        names: of the layers, in order, the convolution first.
        images: (B, H, W, 3) for the network, from which the ranges of the maps at both ends are taken.

    Raises:
        ValueError: if the network has no layer of such a name, or LiteRT is not installed.
    """
    import keras
    import tensorflow as tf

    layers = [network.get_layer(name) for name in names]
    before = keras.Model(network.input, layers[0].input)
    x = entry = keras.Input(layers[0].input.shape[1:])
    for layer in layers:
        x = layer(x)
    with stderr_away():
        maps = [before.predict_on_batch(image[None]) for image in images]
        function, module = as_function(keras.Model(entry, x), batch=1)
        converter = tf.lite.TFLiteConverter.from_concrete_functions([function.get_concrete_function()], module)
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = lambda: ([map_] for map_ in maps)
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = converter.inference_output_type = tf.int8
        content = converter.convert()
    return IntegerLayer(content, depthwise=isinstance(layers[0], keras.layers.DepthwiseConv2D))
