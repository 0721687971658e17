import os
import subprocess
import sys

import keras
import numpy as np
import pytest

from ssdseg_ref.blocks import conv_bn, depthwise_bn, make_divisible, separable_conv_bn


@pytest.mark.parametrize(("channels", "rounded"), [(32, 32), (8.4, 8), (11.2, 16), (33.6, 32), (1, 8), (36, 40)])
def test_channels_are_rounded_to_a_multiple_of_eight(channels, rounded):
    assert make_divisible(channels) == rounded


def test_rounding_never_takes_more_than_a_tenth_of_the_channels():
    channels = np.linspace(1, 500, 4000)
    assert all(make_divisible(count) >= 0.9 * count for count in channels)


def test_a_fresh_depthwise_block_neither_drowns_nor_drives_up_what_comes_in():
    x = np.random.default_rng(0).normal(size=(1, 20, 20, 256)).astype(np.float32)
    inputs = keras.Input(x.shape[1:])
    block = keras.Model(inputs, depthwise_bn(inputs, name="block", activation=None))
    assert 0.5 < np.std(block(x)) < 2


def test_dilation_widens_what_a_separable_block_sees_and_keeps_its_size():
    inputs = keras.Input((15, 15, 4))
    block = keras.Model(inputs, separable_conv_bn(inputs, 6, dilation=3, name="block", activation=None))
    x = np.zeros((1, 15, 15, 4), np.float32)
    x[0, 7, 7] = 1
    rows, cols = np.nonzero(np.abs(block(x)[0]).max(axis=-1))
    assert {*rows} == {*cols} == {4, 7, 10}


def test_a_block_can_end_linearly():
    x = np.random.default_rng(1).normal(size=(1, 8, 8, 3)).astype(np.float32)
    inputs = keras.Input((8, 8, 3))
    linear = keras.Model(inputs, conv_bn(inputs, 4, name="linear", activation=None))
    clipped = keras.Model(inputs, conv_bn(inputs, 4, name="clipped"))
    assert np.min(linear(x)) < 0 <= np.min(clipped(x))


def test_keras_json_does_not_decide_where_the_channels_are(tmp_path):
    """A file that another course has left; the numpy backend is quick to import."""
    (tmp_path / "keras.json").write_text('{"image_data_format": "channels_first"}')
    code = "import keras, ssdseg_ref.blocks; print(keras.config.image_data_format())"
    environment = {**os.environ, "KERAS_HOME": str(tmp_path), "KERAS_BACKEND": "numpy"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == "channels_last\n"
