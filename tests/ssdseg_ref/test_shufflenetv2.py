import keras
import numpy as np
import pytest
import tensorflow as tf
from random_weights import multiply_adds, randomise

from ssdseg_ref.convolution import depthwise_conv2d, pointwise_conv2d
from ssdseg_ref.shufflenetv2 import (
    WIDTHS,
    basic_unit,
    channel_shuffle,
    downsampling_unit,
    shufflenet_v2,
    shufflenet_v2_features,
)

ODD_SIZE = (97, 131)


def draw_images(size, seed=0):
    return np.random.default_rng(seed).uniform(-1, 1, (2, *size, 3)).astype(np.float32)


def test_a_shuffle_deals_the_channels_out_in_turn():
    x = np.array([1, 2, 3, 11, 12, 13])
    np.testing.assert_array_equal(channel_shuffle(x[None, None, None])[0, 0, 0], [1, 11, 2, 12, 3, 13])


@pytest.mark.parametrize("groups", [1, 2, 3, 6])
@pytest.mark.parametrize("shape", [(2, 4, 5, 6), (4, 5, 12)])
def test_a_shuffle_is_a_transposition_of_groups_and_their_channels(shape, groups):
    x = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    *leading, channels = shape
    expected = np.swapaxes(x.reshape(*leading, groups, channels // groups), -1, -2).reshape(shape)
    np.testing.assert_array_equal(channel_shuffle(x, groups), expected)


def test_a_shuffle_into_as_many_groups_as_they_had_members_undoes_it():
    x = np.random.default_rng(1).normal(size=(2, 3, 3, 12)).astype(np.float32)
    np.testing.assert_array_equal(channel_shuffle(channel_shuffle(x, 3), 4), x)


@pytest.mark.parametrize("input_shape", [(4, 5, 12), (None, 5, 12), (None, None, 12)])
def test_a_shuffle_in_a_saved_network_is_the_same_at_sizes_known_and_unknown(input_shape, tmp_path):
    inputs = keras.Input(input_shape)
    keras.Model(inputs, channel_shuffle(inputs, 3)).save(tmp_path / "shuffle.keras")
    x = np.random.default_rng(2).normal(size=(7, 4, 5, 12)).astype(np.float32)
    loaded = keras.saving.load_model(tmp_path / "shuffle.keras", safe_mode=True)
    np.testing.assert_array_equal(loaded(x), channel_shuffle(x, 3))


def batch_norm(x, gamma, beta, mean, variance):
    return (x - mean) / np.sqrt(variance + 1e-5) * gamma + beta


def conv1x1_bn_relu(x, kernel, *norm):
    return np.maximum(batch_norm(pointwise_conv2d(x, kernel), *norm), 0)


def depthwise_bn(x, kernel, *norm, stride):
    # A pixel of padding on every side and a stride of 2, as in PyTorch, is every second output of stride 1.
    return batch_norm(depthwise_conv2d(x, kernel)[::stride, ::stride], *norm)


def right_branch(x, weights, stride):
    """Figure 3 (c, d) of the paper, the branch on the right, with its layers' weights one after the other."""
    expand, filters, project = weights[:5], weights[5:10], weights[10:]
    return conv1x1_bn_relu(depthwise_bn(conv1x1_bn_relu(x, *expand), *filters, stride=stride), *project)


def interleave(left, right):
    return np.stack([left, right], axis=-1).reshape(*left.shape[:2], -1)


def weights_of(model, *names):
    return [weight for name in names for layer in model.layers if name in layer.name for weight in layer.get_weights()]


@pytest.mark.parametrize("size", [(8, 8), (7, 10)])
def test_the_basic_unit_is_the_one_of_the_paper(size):
    inputs = keras.Input((*size, 12))
    unit = keras.Model(inputs, basic_unit(inputs, name="unit"))
    randomise(unit, seed=3)
    x = np.random.default_rng(3).normal(size=(*size, 12)).astype(np.float32)

    right = right_branch(x[..., 6:], weights_of(unit, "expand", "filter", "project"), stride=1)
    np.testing.assert_allclose(unit(x[None])[0], interleave(x[..., :6], right), atol=1e-5)


@pytest.mark.parametrize("size", [(8, 8), (7, 10)])
def test_the_downsampling_unit_is_the_one_of_the_paper(size):
    inputs = keras.Input((*size, 12))
    unit = keras.Model(inputs, downsampling_unit(inputs, 20, name="unit"))
    randomise(unit, seed=4)
    x = np.random.default_rng(4).normal(size=(*size, 12)).astype(np.float32)

    filters, project = weights_of(unit, "left_filter"), weights_of(unit, "left_project")
    left = conv1x1_bn_relu(depthwise_bn(x, *filters, stride=2), *project)
    right = right_branch(x, weights_of(unit, "unit_expand", "unit_filter", "unit_project"), stride=2)
    np.testing.assert_allclose(unit(x[None])[0], interleave(left, right), atol=1e-5)


@pytest.fixture(scope="module", params=WIDTHS)
def published(request):
    return request.param, shufflenet_v2((224, 224, 3), request.param)


def test_it_has_the_published_number_of_parameters_and_multiply_adds(published):
    width, model = published
    # torchvision's table of weights; Ma et al. 2018, table 5.
    parameters, millions = {
        "0.5": (1_366_792, 41),
        "1.0": (2_278_604, 146),
        "1.5": (3_503_624, 299),
        "2.0": (7_393_996, 591),
    }[width]
    assert sum(np.prod(weight.shape) for weight in model.trainable_weights) == parameters
    assert multiply_adds(model) / 1e6 == pytest.approx(millions, rel=0.02)


def test_the_features_are_the_stages_of_each_stride():
    features = shufflenet_v2_features(keras.Input((*ODD_SIZE, 3)))
    assert {stride: feature.shape[1:] for stride, feature in features.items()} == {
        2: (49, 66, 24),
        4: (25, 33, 24),
        8: (13, 17, 116),
        16: (7, 9, 232),
        32: (4, 5, 464),
    }


@pytest.fixture(scope="module")
def small_network():
    network = shufflenet_v2((*ODD_SIZE, 3), "0.5", classes=7)
    randomise(network, seed=5)
    return network


@pytest.fixture(scope="module")
def all_outputs(small_network):
    """Every feature map and the class scores, at an odd size."""
    names = ["stem_relu", "pool", "stage2_unit4_concat", "stage3_unit8_concat", "stage4_unit4_concat", "predictions"]
    return keras.Model(small_network.input, {name: small_network.get_layer(name).output for name in names})


def test_every_output_depends_on_the_image(all_outputs):
    for name, output in all_outputs(draw_images(ODD_SIZE)).items():
        assert np.abs(output[0] - output[1]).max() > 1e-3, name


def test_every_output_has_a_gradient_to_the_image(all_outputs):
    images = tf.constant(draw_images(ODD_SIZE))
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(images)
        scores = {
            name: tf.reduce_sum(output * tf.random.stateless_normal(tf.shape(output), seed=(0, 0)))
            for name, output in all_outputs(images, training=True).items()
        }
    for name, score in scores.items():
        assert np.abs(tape.gradient(score, images)).max() > 0, name


def test_every_weight_has_a_gradient(all_outputs):
    with tf.GradientTape() as tape:
        scores = all_outputs(draw_images(ODD_SIZE), training=True)["predictions"]
        loss = -tf.reduce_mean(tf.math.log(scores[:, 0]))
    gradients = tape.gradient(loss, all_outputs.trainable_variables)
    for weight, gradient in zip(all_outputs.trainable_variables, gradients, strict=True):
        assert np.abs(gradient).max() > 0, weight.path


def test_a_saved_network_loads_without_custom_code(small_network, tmp_path):
    small_network.save(tmp_path / "network.keras")
    images = draw_images(ODD_SIZE)
    loaded = keras.saving.load_model(tmp_path / "network.keras", safe_mode=True)
    np.testing.assert_allclose(loaded(images), small_network(images), atol=1e-6)


def test_a_network_for_any_size_gives_what_one_for_this_size_gives(small_network):
    for_any_size = shufflenet_v2((None, None, 3), "0.5", classes=7)
    for_any_size.set_weights(small_network.get_weights())
    images = draw_images(ODD_SIZE)
    np.testing.assert_allclose(for_any_size(images), small_network(images), atol=1e-6)


def test_without_top_it_ends_in_features():
    assert shufflenet_v2((64, 96, 3), "0.5", include_top=False).output_shape == (None, 2, 3, 1024)


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: shufflenet_v2((64, 64)), r"must be \(height, width, channels\), got \(64, 64\)"),
        (lambda: shufflenet_v2((64, 64, 3), "0.7"), "one of '0.5', '1.0', '1.5', '2.0', got '0.7'"),
        (lambda: channel_shuffle(np.zeros((1, 2, 2, 5))), "5 channels cannot be dealt into 2 groups"),
        (lambda: channel_shuffle(np.zeros((1, 2, 2, 4)), groups=0), "4 channels cannot be dealt into 0 groups"),
    ],
)
def test_a_bad_argument_is_refused_in_a_sentence(call, sentence):
    with pytest.raises(ValueError, match=sentence):
        call()
