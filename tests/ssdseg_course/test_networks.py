"""What a check sees of a network or a loss: the same whoever wrote it, and the first thing that is wrong."""

import keras
import numpy as np
import pytest
from keras import layers, ops

from ssdseg_course.checking.exercise import Exercise, Mutant
from ssdseg_course.checking.judge import judge
from ssdseg_course.checking.layer_graph import copy_weights, draw_weights, weighted_nodes
from ssdseg_course.checking.networks import compare_losses, compare_networks, run_loss, run_network
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
        (lambda x, channels, stride: layers.Conv2D(4, 1), "not yet applied, as in `layer(x)`?"),
        (lambda x, channels, stride: np.zeros(3), "it should return a Keras tensor, and returned something else"),
        (lambda x, channels, stride: (filter_and_project(x, channels, stride), x), "yours returns 2 things"),
        (lambda x, channels, stride: keras.Input((6, 7, 8)), "does not hang together"),
        (lambda x, channels, stride: keras.Sequential([layers.Conv2D(8, 1)])(x), "is a model inside of the network"),
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
    assert "a dict with the keys 16, 2, 32, 4, 8" in text


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
        (lambda truth, predicted: ops.stop_gradient(losses.smooth_l1(truth, predicted)), "no gradient flows back"),
        (lambda truth, predicted: ops.abs(truth - predicted), "but row 0 should be"),
        (lambda truth, predicted: None, "returned None"),
        (lambda truth, predicted: losses.smooth_l1(truth, predicted) + ops.abs(0 * predicted) * float(predicted[0, 0]),
         "not as part of a graph"),
        (
            lambda truth, predicted: ops.stop_gradient(losses.smooth_l1(truth, predicted)) + 0 * predicted,
            "its value is right, but not its gradient",
        ),
    ],
)  # fmt: skip
def test_what_no_network_could_learn_from_is_told_in_words(wrong, sentence):
    assert sentence in said(SMOOTH, wrong)


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
        draw_weights(weighted_nodes(model))
        return np.asarray(model(MAPS))

    sizes = [("small", 1), ("large", 3)]
    np.testing.assert_allclose(branches(sizes), branches(sizes[::-1]), rtol=1e-5, atol=1e-6)
