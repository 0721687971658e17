"""A layer in whole numbers: the reference computes what LiteRT computes, to the last bit."""

import keras
import numpy as np
import pytest
from keras import layers

from ssdseg_course.export.layer import convert_layer
from ssdseg_ref.config import SHIPPED
from ssdseg_ref.data import warehouse
from ssdseg_ref.network import load_network
from ssdseg_ref.quantization import (
    conv2d_int8,
    depthwise_conv2d_int8,
    dequantize,
    fixed_point,
    quantize,
    requantize,
)

pytest.importorskip("ai_edge_litert")

CHANNELS = 8
NAME = "lesson"
LAYERS = {
    "first": (("stem_conv", "stem_bn", "stem_relu6"), 2),
    "depthwise": (("stage3_block1_filter_depthwise", "stage3_block1_filter_bn", "stage3_block1_filter_relu6"), 2),
    "linear": (("stage3_block1_project_conv", "stage3_block1_project_bn"), 1),
}


@pytest.fixture(scope="module")
def network():
    return load_network(NAME)


@pytest.fixture(scope="module")
def scenes():
    return np.stack([warehouse.render(seed, SHIPPED[NAME].image_size).image for seed in range(10)])


def ours(layer, whole, stride, six):
    """What the reference computes from the same constants; with a ReLU6 behind it, or without."""
    pairs = [fixed_point(layer.come_in.scale * scale / layer.go_out.scale) for scale in layer.kernel_scales]
    multipliers, shifts = np.transpose(pairs)
    convolve = depthwise_conv2d_int8 if layer.kernel.shape[3] == 1 else conv2d_int8
    sums = convolve(whole, layer.kernel, layer.bias, layer.come_in.zero_point, stride)
    low, high = (int(quantize(end, *layer.go_out)) for end in (0.0, 6.0)) if six else (-128, 127)
    return requantize(sums, multipliers, shifts, layer.go_out.zero_point, low, high)


@pytest.mark.parametrize("which", LAYERS)
def test_a_layer_of_the_shipped_network_equals_litert_to_the_last_bit(which, network, scenes):
    names, stride = LAYERS[which]
    layer = convert_layer(network, names, scenes)
    before = keras.Model(network.input, network.get_layer(names[0]).input)
    whole = quantize(before.predict_on_batch(scenes[:1])[0], *layer.come_in)
    got = ours(layer, whole, stride, six=names[-1].endswith("relu6"))
    assert len(np.unique(got)) > 20
    np.testing.assert_array_equal(got, layer(whole))
    after = keras.Model(network.input, network.get_layer(names[-1]).output)
    wanted = after.predict_on_batch(scenes[:1])[0]
    assert np.abs(dequantize(got, *layer.go_out) - wanted).mean() < layer.go_out.scale


@pytest.mark.parametrize("depthwise", [False, True])
@pytest.mark.parametrize(("size", "side", "stride"), [((12, 14), 3, 1), ((11, 9), 3, 2), ((7, 8), 1, 1)])
def test_any_layer_equals_litert_to_the_last_bit(size, side, stride, depthwise):
    rng = np.random.default_rng(side)
    model = one_layer(rng, size, side, stride, depthwise)
    names = tuple(layer.name for layer in model.layers[2:])
    layer = convert_layer(model, names, rng.normal(size=(20, *size, CHANNELS)).astype(np.float32))
    whole = quantize(rng.normal(size=(*size, CHANNELS)), *layer.come_in)
    got = ours(layer, whole, stride, six=True)
    assert len(np.unique(got)) > 20
    np.testing.assert_array_equal(got, layer(whole))


def test_a_layer_that_is_not_there_is_named(network, scenes):
    with pytest.raises(ValueError, match="stem_cone"):
        convert_layer(network, ("stem_cone",), scenes)


def one_layer(rng, size, side, stride, depthwise):
    """A convolution, a batch normalisation whose statistics are not fresh, and a ReLU6."""
    image = keras.Input((*size, CHANNELS))
    x = layers.Identity()(image)
    if depthwise:
        x = layers.DepthwiseConv2D(side, stride, "same", use_bias=False)(x)
    else:
        x = layers.Conv2D(16, side, stride, "same", use_bias=False)(x)
    norm = layers.BatchNormalization()
    x = layers.Activation("relu6")(norm(x))
    channels = x.shape[-1]
    positive, any_sign = rng.uniform(0.5, 2, (2, channels)), rng.normal(size=(2, channels))
    norm.set_weights([positive[0], *any_sign, positive[1]])
    return keras.Model(image, x)
