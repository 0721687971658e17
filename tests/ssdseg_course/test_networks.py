"""What a check sees of a network or a loss: the same whoever wrote it, and the first thing that is wrong."""

import keras
import numpy as np
import pytest
from keras import layers, ops

from ssdseg_course.checking.exercise import Exercise, Mutant
from ssdseg_course.checking.flat_graph import flat_graph
from ssdseg_course.checking.judge import judge
from ssdseg_course.checking.layer_graph import copy_weights, draw_weights, weighted_nodes
from ssdseg_course.checking.networks import (
    compare_losses,
    compare_networks,
    run_loss,
    run_mask,
    run_network,
    show_network,
)
from ssdseg_course.checking.probe import probe
from ssdseg_ref import losses, multitask, shufflenetv2
from ssdseg_ref.mobilenetv2 import mobilenet_v2, mobilenet_v2_features

RNG = np.random.default_rng(0)
MAPS = RNG.normal(size=(2, 6, 7, 8)).astype(np.float32)


def filter_and_project(x, channels, stride):
    """The right answer: a depthwise step, activated, and a linear pointwise one, added to what came in if it fits."""
    y = layers.DepthwiseConv2D(3, stride, "same", use_bias=False, name="filter")(x)
    y = layers.Activation("relu6")(layers.BatchNormalization(name="filter_bn")(y))
    y = layers.BatchNormalization(name="project_bn")(layers.Conv2D(channels, 1, use_bias=False, name="project")(y))
    return layers.Add()([x, y]) if y.shape == x.shape else y


def in_other_words(x, channels, stride):
    y = layers.ZeroPadding2D(1)(x) if stride == 1 else x
    y = layers.DepthwiseConv2D(3, stride, "valid" if stride == 1 else "same", use_bias=False)(y)
    y = ops.clip(layers.BatchNormalization()(y), 0, 6)
    y = layers.BatchNormalization()(layers.Conv2D(channels, 1, use_bias=False)(y))
    return y + x if y.shape == x.shape else y


def activated_twice(x, channels, stride):
    y = layers.DepthwiseConv2D(3, stride, "same", use_bias=False)(x)
    y = layers.ReLU(6.0)(layers.BatchNormalization()(y))
    y = layers.ReLU(6.0)(layers.BatchNormalization()(layers.Conv2D(channels, 1, use_bias=False)(y)))
    return layers.Add()([x, y]) if y.shape == x.shape else y


def exercise(reference, cases, mutants=(), **how):
    return Exercise(
        "04.block", "a block", 10, "easy", 5, reference, tuple(cases), None, ("a", "b", "c"), tuple(mutants), **how
    )


BLOCK = exercise(
    filter_and_project,
    [(MAPS, 8, 1), (MAPS, 12, 2)],
    [Mutant(activated_twice, "the last step is linear.")],
    run=run_network,
    compare=compare_networks(lambda index, layers: f"(step {1 + index // 2} of {len(layers) // 2})"),
)


def report_on(task, function):
    return judge(task, probe(function, task.cases(0), task.run), 0)


def said(task, function):
    report = report_on(task, function)
    assert not report.passed
    return " ".join(str(report).split())


def test_a_network_is_judged_by_what_it_computes_not_by_how_it_is_written():
    assert report_on(BLOCK, in_other_words).passed


def in_a_sequential(x, channels, stride):
    filtered = keras.Sequential(
        [layers.DepthwiseConv2D(3, stride, "same", use_bias=False), layers.BatchNormalization(), layers.ReLU(6)]
    )
    project = keras.Sequential([layers.Conv2D(channels, 1, use_bias=False), layers.BatchNormalization()])
    y = project(filtered(x))
    return x + y if y.shape == x.shape else y


def in_models_in_models(x, channels, stride):
    image = keras.Input(x.shape[1:])
    inner = keras.Input(x.shape[1:])
    filtered = keras.Model(inner, layers.DepthwiseConv2D(3, stride, "same", use_bias=False)(inner))
    body = keras.Model(image, layers.Activation("relu6")(layers.BatchNormalization()(filtered(image))))
    y = layers.BatchNormalization()(layers.Dense(channels, use_bias=False)(body(x)))
    return layers.Add()([y, x]) if y.shape == x.shape else y


def with_groups(x, channels, stride):
    count = x.shape[-1]
    y = layers.Conv2D(count, 3, stride, "same", groups=count, use_bias=False)(x)
    y = ops.relu6(layers.BatchNormalization()(y))
    y = layers.BatchNormalization()(layers.Conv2D(channels, 1, use_bias=False)(y))
    return x + y if y.shape == x.shape else y


class FilterAndProject(layers.Layer):
    """A learner's own layer."""

    def __init__(self, channels, stride):
        super().__init__()
        self.filter = layers.DepthwiseConv2D(3, stride, "same", use_bias=False)
        self.steps = [layers.BatchNormalization(), layers.ReLU(6.0), layers.Conv2D(channels, 1, use_bias=False)]
        self.last = layers.BatchNormalization()

    def call(self, x):
        y = self.filter(x)
        for step in self.steps:
            y = step(y)
        y = self.last(y)
        return x + y if y.shape == x.shape else y


def in_a_layer_of_its_own(x, channels, stride):
    return FilterAndProject(channels, stride)(x)


@pytest.mark.parametrize(
    "answer", [in_a_sequential, in_models_in_models, with_groups, in_a_layer_of_its_own], ids=lambda it: it.__name__
)
def test_other_layers_that_compute_the_same_of_the_same_weights_are_right(answer):
    report = report_on(BLOCK, answer)
    assert report.passed, report


def test_a_mistake_in_a_network_of_other_layers_gets_its_sentence_too():
    def activated_twice_in_a_sequential(x, channels, stride):
        steps = [layers.DepthwiseConv2D(3, stride, "same", use_bias=False), layers.BatchNormalization(), layers.ReLU(6)]
        steps += [layers.Conv2D(channels, 1, use_bias=False), layers.BatchNormalization(), layers.ReLU(6)]
        y = keras.Sequential(steps)(x)
        return x + y if y.shape == x.shape else y

    assert "the last step is linear." in said(BLOCK, activated_twice_in_a_sequential)


def coarse_and_fine(x):
    """Two branches, a factor, and a classifier that is enlarged; activations inside layers, and behind them."""
    coarse = layers.Conv2D(6, 3, 2, "same", activation="relu")(x)
    fine = layers.ReLU()(layers.Conv2D(6, 3, dilation_rate=2, padding="same")(x))
    coarse = layers.UpSampling2D(2, interpolation="bilinear")(layers.Conv2D(5, 1)(coarse))
    return {2: fine, 16: coarse, 4: layers.Dense(3, activation="sigmoid")(layers.GlobalAveragePooling2D()(fine))}


TWO = exercise(coarse_and_fine, [(MAPS[:, :6, :6],)], run=run_network, compare=compare_networks())


def test_branches_may_come_in_any_order_and_what_commutes_may_be_exchanged():
    def answer(x):
        fine = layers.Conv2D(6, 3, dilation_rate=2, padding="same", activation=layers.ReLU())(x)
        coarse = ops.relu(layers.Conv2D(6, 3, 2, "same")(x))
        coarse = layers.Dense(5)(layers.UpSampling2D(2, interpolation="bilinear")(coarse))
        pooled = layers.GlobalAveragePooling2D(keepdims=True)(fine)
        shares = layers.Flatten()(ops.sigmoid(layers.Conv2D(3, 1)(pooled)))
        return {16: coarse, 4: shares, 2: fine}

    report = report_on(TWO, answer)
    assert report.passed, report


def two_with(*, fine="relu", coarse="relu", head="sigmoid", keys=(2, 16, 4), shared=False, bias=True, norm=False):
    """An answer to `TWO` with a mistake."""

    def answer(x):
        side = 2 if shared else 1
        first = layers.Conv2D(6, 3, 1, dilation_rate=side, padding="same")
        y = layers.Activation(fine)(layers.Conv2D(6, 3, dilation_rate=2, padding="same", use_bias=bias)(x))
        y = layers.BatchNormalization()(y) if norm else y
        z = layers.Conv2D(6, 3, 2, "same", activation=coarse)(x)
        z = layers.UpSampling2D(2, interpolation="bilinear")(layers.Conv2D(5, 1)(z))
        shares = layers.Activation(head)(layers.Dense(3)(layers.GlobalAveragePooling2D()(first(y) if shared else y)))
        return dict(zip(keys, (y, z, shares), strict=True))

    return answer


@pytest.mark.parametrize(
    ("mistake", "sentences"),
    [
        ({"head": "softmax"}, ["the map with the key 4 does not", "should be `sigmoid`, and yours has a `softmax`."]),
        ({"head": "linear"}, ["behind layer 4 there should be `sigmoid`, and yours has none."]),
        ({"fine": "relu6"}, ["behind layer 1 there should be `relu`, and yours has a `relu6`."]),
        (
            {"coarse": "tanh"},
            ["layer 3 gives", "layer 2 has an activation inside", "yours has a `tanh`."],
        ),
        ({"keys": ("2", 16, 4)}, ["it should return a dict with the keys 2, 4, 16", "with the keys 4, 16, '2'"]),
        ({"keys": (16, 2, 4)}, ["the map with the key 2 should be a tensor of shape (2, 6, 6, 6)"]),
        ({"bias": False}, ["its bias is missing: no normalisation that would have one comes after it."]),
        ({"bias": False, "norm": True}, ["its bias is missing, and there is a normalisation behind it"]),
        ({"norm": True}, ["layer 2 is one more than there should be, behind layer 1: a BatchNormalization"]),
        ({"shared": True}, ["layer 4 is one more than there should be"]),
    ],
)
def test_what_is_wrong_in_a_network_is_said_as_its_author_has_written_it(mistake, sentences):
    text = said(TWO, two_with(**mistake))
    assert all(sentence in text for sentence in sentences), text


def test_layers_are_counted_as_the_learner_has_called_them():
    def coarse_first(x):
        coarse = layers.Conv2D(5, 1)(layers.Conv2D(6, 3, 2, "same", activation="relu")(x))
        coarse = layers.UpSampling2D(2, interpolation="bilinear")(coarse)
        fine = ops.relu(layers.Conv2D(6, 3, dilation_rate=2, padding="same", use_bias=False)(x))
        return {2: fine, 16: coarse, 4: layers.Dense(3, activation="sigmoid")(layers.GlobalAveragePooling2D()(fine))}

    assert "layer 3 should be a Conv2D 3 × 3, dilation 2 that gives 6 × 6 × 6" in said(TWO, coarse_first)


def test_a_relu6_is_no_relu_although_no_number_reaches_6():
    small = exercise(
        lambda x: layers.ReLU()(layers.Conv2D(4, 1)(x)), [(MAPS / 100,)], run=run_network, compare=compare_networks()
    )
    text = said(small, lambda x: layers.ReLU(6.0)(layers.Conv2D(4, 1)(x)))
    assert "behind layer 1 there should be `relu`, and yours has a `relu6`." in text


def test_a_layer_that_is_used_in_two_places_is_named():
    def twice(x):
        for _ in range(2):
            x = ops.tanh(layers.Conv2D(8, 1)(x))
        return x

    def the_same_twice(x):
        layer = layers.Conv2D(8, 1)
        return ops.tanh(layer(ops.tanh(layer(x))))

    task = exercise(twice, [(MAPS,)], run=run_network, compare=compare_networks())
    assert "layers 1 and 2 are one and the same" in said(task, the_same_twice)


def test_a_normalisation_that_always_trains_is_told():
    def training(x, channels, stride):
        return filter_and_project(layers.BatchNormalization()(x, training=True), channels, stride)

    assert "is called with `training` given (batch_normalization" in said(BLOCK, training)


def test_a_layer_that_is_applied_to_something_else_is_said_to_be():
    text = said(BLOCK, lambda x, channels, stride: filter_and_project(layers.ZeroPadding2D(1)(x), channels, stride))
    assert "the layer itself is right, but not the size of its map" in text
    task = exercise(lambda x: layers.Conv2D(4, 1)(x[..., :3]), [(MAPS,)], run=run_network, compare=compare_networks())
    assert "it is applied to 8 channels, and should be to 3." in said(task, layers.Conv2D(4, 1))


def test_a_separable_convolution_is_its_two_steps():
    def two_steps(x):
        return layers.Conv2D(5, 1)(layers.DepthwiseConv2D(3, 2, "same", use_bias=False)(x))

    task = exercise(two_steps, [(MAPS,)], run=run_network, compare=compare_networks())
    assert report_on(task, lambda x: layers.SeparableConv2D(5, 3, 2, "same")(x)).passed


def test_an_activation_inside_of_a_layer_is_told_to_be_there():
    def two_steps(x):
        return layers.Conv2D(5, 1)(layers.Conv2D(4, 1)(x))

    task = exercise(two_steps, [(MAPS,)], run=run_network, compare=compare_networks())
    text = said(task, lambda x: layers.Conv2D(5, 1)(layers.Conv2D(4, 1, activation="relu")(x)))
    assert "layer 1 has an activation inside, its `activation=...`" in text


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        (lambda shape: keras.Input(shape), "it should return a Keras model, and returned a Keras tensor"),
        (lambda shape: None, "it should return a Keras model, and returned None"),
        (lambda shape: keras.Sequential([layers.Dense(2)]), "does not know its layers: begin a `Sequential` with"),
    ],
)
def test_what_is_no_model_is_told_in_words(wrong, sentence):
    task = exercise(
        lambda shape: keras.Model(image := keras.Input(shape), layers.Dense(2)(image)), [((4, 4, 3),)],
        run=run_network, compare=compare_networks(),
    )  # fmt: skip
    assert sentence in said(task, wrong)
    assert report_on(task, lambda shape: keras.Sequential([keras.Input(shape), layers.Conv2D(2, 1)])).passed


def test_without_layers_with_weights_nothing_is_said_of_them():
    task = exercise(lambda x: ops.flip(x, axis=-1), [(MAPS,)], run=run_network, compare=compare_networks())
    text = said(task, lambda x: x + 0)
    assert "but row 0, 0, 0 should be" in text
    assert "layer" not in text


def test_a_network_can_be_looked_at():
    shown = show_network(tuple(run_network(filter_and_project, (MAPS, 8, 1))))
    assert shown["layers"].splitlines()[1].startswith("1: a DepthwiseConv2D 3 × 3 that gives 6 × 7 × 8")


def test_a_typical_mistake_in_a_network_gets_its_sentence():
    assert "the last step is linear." in said(BLOCK, activated_twice)


def test_the_first_layer_that_is_built_differently_is_named():
    def without_stride(x, channels, stride):
        return filter_and_project(x, channels, 1)

    text = said(BLOCK, without_stride)
    assert "the number of parameters is right: 248" in text
    assert "layer 1 (step 1 of 2) should be a DepthwiseConv2D 3 × 3, stride 2 that gives 3 × 4 × 8" in text


def test_the_first_layer_that_computes_something_else_is_named():
    def activated_too_early(x, channels, stride):
        return filter_and_project(layers.ReLU()(x), channels, stride)

    text = said(BLOCK, activated_too_early)
    assert "layer 1 (step 1 of 2) gives other numbers" in text


def test_a_factor_behind_the_last_layer_is_seen():
    text = said(BLOCK, lambda x, channels, stride: 2 * filter_and_project(x, channels, stride))
    assert "behind the last layer" in text


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        (lambda x, channels, stride: None, "returned None: does every way end in `return`?"),
        (lambda x, channels, stride: (x, None), "thing 2 of the 2 that it returns is None"),
        (lambda x, channels, stride: layers.Conv2D(4, 1), "not yet applied, as in `layer(x)`?"),
        (lambda x, channels, stride: np.zeros(3), "it should return a Keras tensor, and returned something else"),
        (lambda x, channels, stride: (filter_and_project(x, channels, stride), x), "yours returns 2 things"),
        (lambda x, channels, stride: keras.Input((6, 7, 8)), "it begins with a `keras.Input` of its own"),
        (lambda x, channels, stride: layers.Conv2D(channels, 30)(x), "Computed output size would be zero"),
        (lambda x, channels, stride: x, "layer 1 (step 1 of 2) is missing: a DepthwiseConv2D 3 × 3"),
    ],
)
def test_what_is_no_network_is_told_in_words(wrong, sentence):
    assert sentence in said(BLOCK, wrong)


def test_a_dict_of_maps_is_judged_by_its_keys_too():
    features = exercise(
        lambda x: mobilenet_v2_features(x, 0.35), [(MAPS[..., :3],)], run=run_network, compare=compare_networks()
    )
    assert report_on(features, features.reference).passed
    text = said(features, lambda x: {k: v for k, v in features.reference(x).items() if k != 4})
    assert "a dict with the keys 2, 4, 8, 16, 32" in text


def test_a_whole_model_is_judged_as_well():
    whole = exercise(
        lambda shape: mobilenet_v2(shape, 0.35, classes=10),
        [((32, 32, 3),)],
        run=run_network,
        compare=compare_networks(),
    )
    assert report_on(whole, whole.reference).passed
    assert "a Dense that gives 11" in said(whole, lambda shape: mobilenet_v2(shape, 0.35, classes=11))


SMOOTH = exercise(
    losses.smooth_l1,
    [(RNG.normal(size=(2, 3)).astype(np.float32), RNG.normal(size=(2, 3)).astype(np.float32))],
    run=run_loss(wrt=(1,)),
    compare=compare_losses,
)


def test_a_loss_is_right_when_its_value_and_its_gradient_are():
    assert report_on(SMOOTH, losses.smooth_l1).passed


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        (lambda truth, predicted: np.abs(truth - predicted), "use `ops` in the place of `np`"),
        (
            lambda truth, predicted: ops.stop_gradient(losses.smooth_l1(truth, predicted)),
            "no gradient flows back to `predicted`, and a network could not learn from it: `stop_gradient` stands",
        ),
        (
            lambda truth, predicted: ops.cast(ops.round(losses.smooth_l1(truth, predicted)) > 0, "float32"),
            "stands what has no slope, a rounding, whole numbers or a comparison",
        ),
        (lambda truth, predicted: ops.abs(truth), "does not depend on `predicted` at all"),
        (
            lambda truth, predicted: ops.abs(truth - np.asarray(predicted)),
            "on the way it is made a plain number or array",
        ),
        (lambda truth, predicted: ops.abs(truth - predicted), "but row 0 should be"),
        (lambda truth, predicted: None, "returned None"),
        (lambda truth, predicted: losses.smooth_l1(truth, predicted) + ops.abs(0 * predicted) * float(predicted[0, 0]),
         "not as part of a graph"),
        (
            lambda truth, predicted: ops.stop_gradient(losses.smooth_l1(truth, predicted)) + 0 * predicted,
            "its value is right, but not its gradient, from which the network learns its gradient: but row 0 should be",
        ),
    ],
)  # fmt: skip
def test_what_no_network_could_learn_from_is_told_in_words(wrong, sentence):
    assert sentence in said(SMOOTH, wrong)


def test_a_mask_is_made_of_true_and_false():
    task = exercise(lambda x: x > 0, [(MAPS[0, 0],)], run=run_mask)
    assert report_on(task, lambda x: ops.greater(x, 0)).passed
    assert "of true and false (bool), and yours holds numbers (float32)" in said(
        task, lambda x: ops.cast(x > 0, x.dtype)
    )
    assert "something else: ndarray; use `ops`" in said(task, lambda x: np.asarray(x) > 0)


@pytest.mark.parametrize("backbone", ["mobilenetv2", "shufflenetv2"])
def test_weights_find_their_places_in_a_network_with_other_names(backbone):
    config = multitask.preset("lesson", backbone)
    source = multitask.build_network(config)
    for variable in source.weights:  # every layer other weights, also where two are built alike
        variable.assign(RNG.uniform(0.1, 1, variable.shape))
    target = multitask.build_network(config)
    for place, layer in enumerate(target.layers):
        layer.name = f"layer{place}"
    copy_weights(source, target)
    image = RNG.uniform(0, 255, (1, *config.image_size, 3)).astype(np.float32)
    for key, expected in source(image).items():
        np.testing.assert_array_equal(target(image)[key], expected)


def test_weights_of_another_network_are_refused():
    with pytest.raises(ValueError, match="built differently: there is no place in the second for"):
        copy_weights(shufflenetv2.shufflenet_v2((64, 64, 3)), mobilenet_v2((64, 64, 3)))


def test_drawn_weights_depend_on_what_a_layer_stands_on_and_not_on_the_order_of_branches():
    def branches(order):
        x = keras.Input((6, 7, 8))
        made = {name: layers.Conv2D(4, side, padding="same")(x) for name, side in order}
        model = keras.Model(x, layers.Concatenate()([made["small"], made["large"]]))
        draw_weights(weighted_nodes(flat_graph(model)))
        return np.asarray(model(MAPS))

    sizes = [("small", 1), ("large", 3)]
    np.testing.assert_allclose(branches(sizes), branches(sizes[::-1]), rtol=1e-5, atol=1e-6)
