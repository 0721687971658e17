import keras
import numpy as np
import pytest
from random_weights import randomise

from ssdseg_ref.deeplabv3plus import aspp, decoder, deeplabv3plus, resize


def _images(seed, *shape):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def _aspp(size, rates, channels=6):
    inputs = keras.Input((*size, 4))
    model = keras.Model(inputs, aspp(inputs, channels, rates))
    randomise(model, seed=0)
    return model


def _slow_bilinear(image, height, width):
    """Pixel k has its middle at (k + 0.5) / side; beyond the outermost middles the border goes on."""
    result = np.empty((height, width, image.shape[-1]))
    for row in range(height):
        for col in range(width):
            y = np.clip((row + 0.5) * image.shape[0] / height - 0.5, 0, image.shape[0] - 1)
            x = np.clip((col + 0.5) * image.shape[1] / width - 0.5, 0, image.shape[1] - 1)
            top, left = int(y), int(x)
            down, right = min(top + 1, image.shape[0] - 1), min(left + 1, image.shape[1] - 1)
            upper = image[top, left] * (1 - x + left) + image[top, right] * (x - left)
            lower = image[down, left] * (1 - x + left) + image[down, right] * (x - left)
            result[row, col] = upper * (1 - y + top) + lower * (y - top)
    return result


@pytest.mark.parametrize("size", [(7, 11), (8, 12), (13, 5), (1, 1)])
def test_resizing_keeps_the_middles_of_pixels_where_they_belong(size):
    inputs = keras.Input((4, 6, 2))
    image = _images(0, 1, 4, 6, 2)
    resized = np.asarray(keras.Model(inputs, resize(inputs, size))(image))[0]
    np.testing.assert_allclose(resized, _slow_bilinear(image[0], *size), atol=1e-5)


def test_resizing_keeps_a_mirror_image_a_mirror_image():
    """Aligned corners would, too; a grid that is shifted by half a pixel would not."""
    inputs = keras.Input((3, 5, 1))
    model = keras.Model(inputs, resize(inputs, (12, 20)))
    image = _images(1, 1, 3, 5, 1)
    np.testing.assert_allclose(model(image[:, ::-1, ::-1]), np.asarray(model(image))[:, ::-1, ::-1], atol=1e-5)


def test_a_map_that_has_its_size_already_is_left_alone():
    inputs = keras.Input((4, 6, 2))
    assert resize(inputs, (4, 6)) is inputs


@pytest.mark.parametrize("size", [(9, 13), (1, 1), (2, 7)])
def test_aspp_keeps_the_size_of_its_map_also_where_a_rate_is_larger(size):
    model = _aspp(size, rates=(3, 6, 12))
    assert model.output_shape == (None, *size, 6)
    assert np.isfinite(model(_images(2, 1, *size, 4))).all()


def test_aspp_has_a_branch_a_rate_one_for_the_point_and_one_for_the_whole():
    model = _aspp((9, 9), rates=(2, 4))
    dilations = [x.dilation_rate for x in model.layers if isinstance(x, keras.layers.DepthwiseConv2D)]
    assert dilations == [(2, 2), (4, 4)]
    assert model.get_layer("aspp_concat").output.shape[-1] == 6 * 4


def test_a_branch_of_aspp_sees_as_far_as_its_rate():
    model = _aspp((15, 15), rates=(5,))
    branch = keras.Model(model.input, model.get_layer("aspp_rate5_dw_depthwise").output)
    image = np.zeros((1, 15, 15, 4), np.float32)
    image[0, 7, 7] = 1
    rows, cols = np.nonzero(np.abs(branch(image)[0]).max(axis=-1))
    assert {*rows.tolist()} == {*cols.tolist()} == {2, 7, 12}


def test_image_pooling_lets_every_pixel_see_the_whole_image():
    with_pooling = _aspp((15, 15), rates=(1,))
    image = _images(3, 1, 15, 15, 4)
    other = image.copy()
    other[0, 0, 0] += 100
    changed = np.abs(np.asarray(with_pooling(image)) - np.asarray(with_pooling(other))).max(axis=-1)[0]
    assert changed[14, 14] > 0


def test_image_pooling_is_the_mean_of_the_map():
    model = _aspp((4, 5), rates=(1,))
    pooled = keras.Model(model.input, model.get_layer("aspp_pool").output)
    image = _images(4, 2, 4, 5, 4)
    np.testing.assert_allclose(pooled(image)[:, 0, 0], image.mean(axis=(1, 2)), atol=1e-5)


def test_the_decoder_works_at_the_size_of_the_fine_map():
    coarse, fine = keras.Input((3, 4, 8)), keras.Input((11, 15, 5))
    model = keras.Model([coarse, fine], decoder(coarse, fine, low_level_channels=2, channels=6))
    assert model.output_shape == (None, 11, 15, 6)
    assert model.get_layer("decoder_concat").output.shape[-1] == 8 + 2


@pytest.mark.parametrize("changed", [0, 1])
def test_both_the_coarse_and_the_fine_map_matter_to_the_decoder(changed):
    inputs = [keras.Input((3, 4, 8)), keras.Input((11, 15, 5))]
    model = keras.Model(inputs, decoder(*inputs, low_level_channels=4, channels=6))
    randomise(model, seed=5)
    images = [_images(6, 1, 3, 4, 8), _images(7, 1, 11, 15, 5)]
    others = [image + _images(8, *image.shape) * (index == changed) for index, image in enumerate(images)]
    assert np.abs(np.asarray(model(images)) - np.asarray(model(others))).max() > 1e-2


@pytest.mark.parametrize("image_size", [(64, 96), (97, 61), (33, 100)])
@pytest.mark.parametrize("classes", [1, 3])
def test_every_pixel_gets_logits_also_where_the_strides_do_not_divide_the_image(image_size, classes):
    sizes = {stride: [-(-side // stride) for side in image_size] for stride in (2, 4, 16)}
    maps = {stride: keras.Input((*size, 5)) for stride, size in sizes.items()}
    for fine_channels in (0, 4):
        logits, decoded = deeplabv3plus(
            maps, image_size, classes, channels=6, rates=(2, 4), low_level_channels=4, fine_channels=fine_channels
        )
        assert logits.shape == (None, *image_size, classes + 1)
        assert decoded.shape == (None, *sizes[4], 6)


def test_the_fine_decoder_sees_what_the_other_one_cannot():
    """A checkerboard of single pixels on the map of stride 2, where all coarser maps are even."""
    maps = {2: keras.Input((16, 24, 5)), 4: keras.Input((8, 12, 5)), 16: keras.Input((2, 3, 8))}
    logits, _ = deeplabv3plus(maps, (32, 48), 3, channels=6, rates=(1,), low_level_channels=4, fine_channels=4)
    model = keras.Model(list(maps.values()), logits)
    randomise(model, seed=11)
    images = [np.ones((1, *x.shape[1:]), np.float32) for x in maps.values()]
    even = np.asarray(model(images))
    images[0][:, ::2, 1::2] = -1
    images[0][:, 1::2, ::2] = -1
    assert np.abs(np.asarray(model(images)) - even).max() > 1e-2


def test_logits_of_pixels_may_be_negative_and_large():
    maps = {16: keras.Input((2, 3, 8)), 4: keras.Input((8, 12, 5))}
    logits, _ = deeplabv3plus(maps, (32, 48), 3, channels=6, rates=(1,), low_level_channels=4)
    model = keras.Model(list(maps.values()), logits)
    randomise(model, seed=9)
    last = model.get_layer("mask_predict")
    last.kernel.assign(100 * last.kernel)
    logits = np.asarray(model([_images(9, 1, 2, 3, 8), _images(10, 1, 8, 12, 5)]))
    assert logits.min() < -6
    assert logits.max() > 6
