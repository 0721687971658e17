import keras
import numpy as np
import pytest
import tensorflow as tf

from ssdseg_ref.convolution import (
    Cost,
    conv2d,
    conv_cost,
    depthwise_conv2d,
    field_of_view,
    pointwise_conv2d,
    same_padding,
    separable_conv2d,
)

SIZES = [(8, 8), (7, 10), (13, 5), (1, 2)]
KERNELS = [(1, 1), (2, 2), (3, 3), (4, 3), (5, 5)]
STRIDES_AND_DILATIONS = [(1, 1), (2, 1), (3, 1), (1, 2), (1, 3)]


def draw(seed, *shapes):
    rng = np.random.default_rng(seed)
    return [rng.normal(size=shape).astype(np.float32) for shape in shapes]


@pytest.mark.parametrize(("stride", "dilation"), [*STRIDES_AND_DILATIONS, (2, 2), (3, 2)])
@pytest.mark.parametrize("kernel_size", KERNELS)
@pytest.mark.parametrize("size", SIZES)
def test_conv2d_equals_tensorflow(size, kernel_size, stride, dilation):
    image, kernel = draw(1, (*size, 3), (*kernel_size, 3, 4))
    expected = tf.nn.conv2d(image[None], kernel, stride, "SAME", dilations=dilation)[0]
    np.testing.assert_allclose(conv2d(image, kernel, stride, dilation), expected, atol=1e-4)


@pytest.mark.parametrize("multiplier", [1, 2])
@pytest.mark.parametrize(("stride", "dilation"), STRIDES_AND_DILATIONS)
@pytest.mark.parametrize("kernel_size", KERNELS)
@pytest.mark.parametrize("size", SIZES)
def test_depthwise_conv2d_equals_tensorflow(size, kernel_size, stride, dilation, multiplier):
    image, kernel = draw(2, (*size, 3), (*kernel_size, 3, multiplier))
    strides, dilations = (1, stride, stride, 1), (dilation, dilation)
    expected = tf.nn.depthwise_conv2d(image[None], kernel, strides, "SAME", dilations=dilations)[0]
    np.testing.assert_allclose(depthwise_conv2d(image, kernel, stride, dilation), expected, atol=1e-4)


@pytest.mark.parametrize(("stride", "dilation"), STRIDES_AND_DILATIONS)
def test_all_four_equal_the_keras_layers_on_their_own_weights(stride, dilation):
    (image,) = draw(3, (9, 12, 4))
    steps = {"strides": stride, "dilation_rate": dilation, "padding": "same", "use_bias": False}
    pairs = [
        (keras.layers.Conv2D(5, 3, **steps), lambda *kernels: conv2d(image, *kernels, stride, dilation)),
        (
            keras.layers.DepthwiseConv2D(3, depth_multiplier=2, **steps),
            lambda *kernels: depthwise_conv2d(image, *kernels, stride, dilation),
        ),
        (keras.layers.Conv2D(5, 1, use_bias=False), lambda *kernels: pointwise_conv2d(image, *kernels)),
        (
            keras.layers.SeparableConv2D(5, 3, depth_multiplier=2, **steps),
            lambda *kernels: separable_conv2d(image, *kernels, stride, dilation),
        ),
    ]
    for layer, ours in pairs:
        expected = layer(image[None])[0]
        np.testing.assert_allclose(ours(*layer.get_weights()), expected, atol=1e-5, err_msg=layer.name)


@pytest.mark.parametrize(("stride", "dilation"), [(1, 1), (2, 2), (3, 2)])
def test_a_depthwise_convolution_is_a_standard_one_that_is_diagonal_in_the_channels(stride, dilation):
    image, kernel = draw(4, (9, 7, 3), (3, 3, 3, 1))
    standard = conv2d(image, kernel * np.eye(3, dtype=np.float32), stride, dilation)
    np.testing.assert_allclose(depthwise_conv2d(image, kernel, stride, dilation), standard, atol=1e-5)


def test_a_separable_convolution_is_a_standard_one_whose_kernel_is_a_product():
    image, depthwise, pointwise = draw(5, (9, 7, 3), (3, 3, 3, 1), (1, 1, 3, 5))
    standard = conv2d(image, depthwise * pointwise)
    np.testing.assert_allclose(separable_conv2d(image, depthwise, pointwise), standard, atol=1e-5)


@pytest.mark.parametrize(("stride", "dilation"), [*STRIDES_AND_DILATIONS, (2, 2), (3, 2)])
@pytest.mark.parametrize("kernel_size", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("side", [4, 7, 8, 13])
def test_same_padding_is_the_least_that_makes_tensorflows_valid_its_same(side, kernel_size, stride, dilation):
    image, kernel = draw(7, (1, side, side, 1), (kernel_size, kernel_size, 1, 1))
    before, after = same_padding(side, kernel_size, stride, dilation)

    def valid(before, after):
        padded = tf.pad(image, [(0, 0), (before, after), (before, after), (0, 0)])
        return tf.nn.conv2d(padded, kernel, stride, "VALID", dilations=dilation)

    same = tf.nn.conv2d(image, kernel, stride, "SAME", dilations=dilation)
    np.testing.assert_allclose(valid(before, after), same, atol=1e-5)
    if after:
        assert valid(before, after - 1).shape[1] < same.shape[1]


def test_stride_2_on_an_even_side_pads_at_the_bottom_and_the_right_alone():
    image = np.arange(16.0).reshape(4, 4, 1)
    taken = np.zeros((3, 3, 1, 1))
    taken[0, 0] = 1
    np.testing.assert_array_equal(conv2d(image, taken, stride=2)[..., 0], [[0, 2], [8, 10]])


def test_float32_stays_float32():
    image, kernel = draw(6, (5, 5, 2), (3, 3, 2, 2))
    assert conv2d(image, kernel).dtype == depthwise_conv2d(image, kernel).dtype == np.float32


IMAGE = np.zeros((5, 5, 3))


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: conv2d(IMAGE, np.zeros((3, 3, 4, 2))), "kernel is for 4 input channels and the image has 3"),
        (lambda: depthwise_conv2d(IMAGE, np.zeros((3, 3, 2, 1))), "kernel is for 2 input channels and the image has 3"),
        (lambda: pointwise_conv2d(IMAGE, np.zeros((1, 1, 2, 7))), "kernel is for 2 input channels and the image has 3"),
        (lambda: pointwise_conv2d(IMAGE, np.zeros((3, 3, 3, 7))), r"must be \(1, 1, Cin, Cout\)"),
        (lambda: pointwise_conv2d(IMAGE, np.zeros((3, 7))), "kernel must have four axes"),
        (
            lambda: separable_conv2d(IMAGE, np.zeros((3, 3, 3, 2)), np.zeros((1, 1, 3, 7))),
            "kernel is for 3 input channels and the image has 6",
        ),
        (lambda: conv2d(IMAGE[..., 0], np.zeros((3, 3, 3, 2))), r"image must be \(H, W, C\), got shape \(5, 5\)"),
        (lambda: conv2d(IMAGE, np.zeros((3, 3, 3, 2)), stride=0), "at least 1, got .* stride 0, dilation 1"),
        (lambda: same_padding(0, 3), "at least 1, got side 0, kernel_size 3"),
        (
            lambda: depthwise_conv2d(IMAGE, np.zeros((3, 3, 3, 1)), dilation=0),
            "at least 1, got .* stride 1, dilation 0",
        ),
    ],
)
def test_what_does_not_fit_together_is_refused_in_a_sentence(call, sentence):
    with pytest.raises(ValueError, match=sentence):
        call()


@pytest.mark.parametrize(
    ("kind", "kernel_size", "in_channels", "out_channels", "layer"),
    [
        ("standard", 3, 8, 12, keras.layers.Conv2D(12, 3, use_bias=False)),
        ("depthwise", 5, 8, 16, keras.layers.DepthwiseConv2D(5, depth_multiplier=2, use_bias=False)),
        ("pointwise", 1, 8, 12, keras.layers.Conv2D(12, 1, use_bias=False)),
        ("separable", 3, 8, 12, keras.layers.SeparableConv2D(12, 3, use_bias=False)),
    ],
)
def test_the_parameters_are_those_that_keras_counts(kind, kernel_size, in_channels, out_channels, layer):
    layer.build((None, 20, 20, in_channels))
    cost = conv_cost(kind, (20, 20), kernel_size, in_channels, out_channels)
    assert cost.parameters == layer.count_params()


def float_operations(function, *shapes):
    """What TensorFlow's own profiler counts; it takes a multiplication and an addition for two."""
    arguments = [tf.TensorSpec(shape, tf.float32) for shape in shapes]
    builder = tf.compat.v1.profiler.ProfileOptionBuilder
    options = builder(builder.float_operation()).with_empty_output().build()
    graph = tf.function(function).get_concrete_function(*arguments).graph
    return tf.compat.v1.profiler.profile(graph, options=options).total_float_ops


@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize(
    ("kind", "function", "shapes"),
    [
        ("standard", lambda x, k, s: tf.nn.conv2d(x, k, s, "SAME"), [(3, 3, 4, 6)]),
        ("depthwise", lambda x, k, s: tf.nn.depthwise_conv2d(x, k, (1, s, s, 1), "SAME"), [(3, 3, 4, 2)]),
        ("pointwise", lambda x, k, s: tf.nn.conv2d(x, k, s, "SAME"), [(1, 1, 4, 6)]),
        (
            "separable",
            lambda x, d, p, s: tf.nn.separable_conv2d(x, d, p, (1, s, s, 1), "SAME"),
            [(3, 3, 4, 1), (1, 1, 4, 6)],
        ),
    ],
)
def test_multiply_adds_are_half_the_float_operations_that_tensorflow_counts(kind, function, shapes, stride):
    kernel_size, out_channels = shapes[0][0], 8 if kind == "depthwise" else 6
    cost = conv_cost(kind, (7, 10), kernel_size, 4, out_channels, stride)
    counted = float_operations(lambda *tensors: function(*tensors, stride), (1, 7, 10, 4), *shapes)
    assert 2 * cost.multiply_adds == counted


def test_the_first_convolution_of_mobilenet_costs_what_its_paper_says():
    # Howard et al. 2017, table 1: 224 x 224 x 3 at stride 2 with a kernel of 3 x 3 x 3 x 32.
    assert conv_cost("standard", (224, 224), 3, 3, 32, stride=2) == Cost(864, 864 * 112 * 112)


def test_the_inner_layer_of_mobilenet_costs_what_its_paper_says():
    # Howard et al. 2017, table 6, resource usage for a layer of 14 x 14 x 512 with a 3 x 3 kernel, in millions.
    standard = conv_cost("standard", (14, 14), 3, 512, 512)
    separable = conv_cost("separable", (14, 14), 3, 512, 512)
    assert [round(count / 1e6, 2) for count in (*standard, *separable)] == [2.36, 462.42, 0.27, 52.28]


@pytest.mark.parametrize("channels", [64, 128, 256, 512, 1024])
def test_a_separable_3x3_convolution_is_about_8_to_9_times_cheaper(channels):
    size = (14, 14)
    saved = (
        conv_cost("standard", size, 3, channels, channels).multiply_adds
        / conv_cost("separable", size, 3, channels, channels).multiply_adds
    )
    assert saved == pytest.approx(1 / (1 / channels + 1 / 9))  # Howard et al. 2017, section 3.1
    assert 7.8 < saved < 9


def test_a_separable_convolution_costs_its_two_steps():
    both = conv_cost("separable", (15, 10), 3, 8, 24, stride=2)
    depthwise = conv_cost("depthwise", (15, 10), 3, 8, 8, stride=2)
    pointwise = conv_cost("pointwise", (8, 5), 1, 8, 24)
    assert both == Cost(*np.add(depthwise, pointwise))


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("dense", (8, 8), 3, 4, 4), "one of 'standard', 'depthwise', 'pointwise', 'separable', got 'dense'"),
        (("depthwise", (8, 8), 3, 4, 6), "of 4 channels cannot give 6"),
        (("pointwise", (8, 8), 3, 4, 4), "kernel_size of 1, got 3"),
        (("standard", (8, 8), 3, 4, 4, 0), "must be positive, got .* stride 0"),
    ],
)
def test_a_cost_that_makes_no_sense_is_refused_in_a_sentence(arguments, sentence):
    with pytest.raises(ValueError, match=sentence):
        conv_cost(*arguments)


@pytest.mark.parametrize(
    "layers",
    [(), ((3, 1, 1),), ((3, 2, 1), (3, 1, 2)), ((3, 2, 1), (3, 2, 1), (1, 1, 1), (5, 1, 3)), ((3, 1, 4), (3, 2, 2))],
)
def test_a_field_of_view_is_what_a_gradient_reaches(layers):
    """The pixels whose change moves the value in the middle of the map."""
    inputs = x = keras.Input((None, None, 1))
    for kernel_size, stride, dilation in layers:
        if dilation == 1:
            x = keras.layers.Conv2D(1, kernel_size, stride, kernel_initializer="ones")(x)
        else:  # Keras has no convolution with both
            x = keras.layers.Conv2D(1, kernel_size, dilation_rate=dilation, kernel_initializer="ones")(x)
            x = x[:, ::stride, ::stride]
    model = keras.Model(inputs, x) if layers else (lambda image: image)
    image = tf.random.normal((1, 61, 61, 1))
    with tf.GradientTape() as tape:
        tape.watch(image)
        output = model(image)
        value = output[0, output.shape[1] // 2, output.shape[2] // 2, 0]
    rows = np.flatnonzero(np.abs(tape.gradient(value, image).numpy()[0, ..., 0]).sum(axis=1))
    assert rows[-1] - rows[0] + 1 == field_of_view(layers)


@pytest.mark.parametrize("kind", [np.uint8, np.int8, np.int16, np.int32])
def test_whole_numbers_do_not_wrap(kind):
    rng = np.random.default_rng(0)
    image, kernel = rng.integers(0, 100, (6, 7, 3)).astype(kind), rng.integers(0, 100, (3, 3, 3, 2)).astype(kind)
    for convolve in (conv2d, depthwise_conv2d):
        np.testing.assert_array_equal(convolve(image, kernel), convolve(image.astype(float), kernel.astype(float)))
    pointwise = kernel[:1, :1]
    expected = pointwise_conv2d(image.astype(float), pointwise.astype(float))
    np.testing.assert_array_equal(pointwise_conv2d(image, pointwise), expected)
