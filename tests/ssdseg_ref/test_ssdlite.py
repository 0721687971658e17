import keras
import numpy as np
import pytest
from random_weights import multiply_adds, randomise

from ssdseg_ref.anchors import AnchorSpec, make_anchors
from ssdseg_ref.ssdlite import extra_maps, prediction_head, ssdlite


def _head(rows, cols, anchors_per_cell, values, channels=8):
    inputs = keras.Input((rows, cols, channels))
    return keras.Model(inputs, prediction_head(inputs, anchors_per_cell, values, name="head"))


def _images(seed, *shape):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def test_a_head_predicts_below_zero_and_above_six():
    """ReLU6 stood behind the old project's heads: no offset could be negative, and none large."""
    head = _head(9, 13, 3, 4)
    randomise(head, seed=0)
    head.get_layer("head_predict").kernel.assign(10 * head.get_layer("head_predict").kernel)
    predicted = np.asarray(head(_images(0, 2, 9, 13, 8)))
    assert predicted.min() < -6
    assert predicted.max() > 6


def test_what_a_head_predicts_is_linear_in_its_last_convolution():
    head = _head(5, 7, 2, 4)
    randomise(head, seed=1)
    images, last = _images(1, 1, 5, 7, 8), head.get_layer("head_predict")
    last.bias.assign(np.zeros(8))
    once = np.asarray(head(images))
    last.kernel.assign(-3 * last.kernel)
    np.testing.assert_allclose(head(images), -3 * once, rtol=1e-4, atol=1e-5)


def test_a_fresh_head_says_almost_nothing():
    assert np.abs(_head(9, 13, 3, 4)(_images(2, 2, 9, 13, 8))).max() < 0.5


@pytest.mark.parametrize(("rows", "cols", "anchors_per_cell", "values"), [(1, 1, 1, 4), (5, 7, 6, 4), (3, 2, 2, 21)])
def test_a_head_gives_one_row_an_anchor(rows, cols, anchors_per_cell, values):
    head = _head(rows, cols, anchors_per_cell, values)
    assert head.output_shape == (None, rows * cols * anchors_per_cell, values)


def test_the_rows_of_a_head_run_by_row_column_and_anchor():
    rows, cols, anchors_per_cell, values = 4, 5, 3, 2
    head = _head(rows, cols, anchors_per_cell, values)
    randomise(head, seed=3)
    before_rows = keras.Model(head.input, head.get_layer("head_predict").output)
    images = _images(3, 1, rows, cols, 8)
    cells, predicted = np.asarray(before_rows(images))[0], np.asarray(head(images))[0]
    for row in range(rows):
        for col in range(cols):
            for anchor in range(anchors_per_cell):
                expected = cells[row, col, anchor * values : (anchor + 1) * values]
                np.testing.assert_array_equal(predicted[(row * cols + col) * anchors_per_cell + anchor], expected)


def test_a_separable_head_costs_less_than_a_full_convolution():
    full = 9 * 13 * 9 * 64 * 24
    assert multiply_adds(_head(9, 13, 6, 4, channels=64)) == 9 * 13 * (9 * 64 + 64 * 24) < full / 6


@pytest.mark.parametrize(
    ("size", "expected"), [((7, 5), [(4, 3), (2, 2)]), ((6, 8), [(3, 4), (2, 2)]), ((1, 1), [(1, 1)] * 2)]
)
def test_each_extra_map_is_half_the_one_before_rounded_up(size, expected):
    maps = extra_maps(keras.Input((*size, 16)), (12, 10))
    assert [tuple(x.shape[1:]) for x in maps] == [(*expected[0], 12), (*expected[1], 10)]


def test_without_extra_channels_there_is_no_extra_map():
    assert extra_maps(keras.Input((4, 4, 16)), ()) == []


@pytest.mark.parametrize("classes", [1, 3])
def test_there_is_a_prediction_for_every_anchor_of_every_map(classes):
    spec = AnchorSpec(
        (97, 161), ((13, 21), (7, 11), (4, 6)), (0.1, 0.3, 0.6, 0.9), ((1.0, 2.0), (0.5,), (1.0, 3.0, 0.3))
    )
    maps = [keras.Input((*size, 8)) for size in spec.feature_maps]
    logits, offsets = ssdlite(maps, spec.anchors_per_cell, classes)
    assert logits.shape == (None, len(make_anchors(spec)), classes + 1)
    assert offsets.shape == (None, len(make_anchors(spec)), 4)


def test_the_maps_predictions_follow_one_another_as_their_anchors_do():
    """What changes in one map changes the predictions for that map's anchors, and no others."""
    sizes, per_cell = ((4, 6), (2, 3)), (2, 3)
    maps = [keras.Input((*size, 8)) for size in sizes]
    network = keras.Model(maps, ssdlite(maps, per_cell, classes=3))
    randomise(network, seed=4)
    images = [_images(5, 1, *size, 8) for size in sizes]
    first = 4 * 6 * 2
    for changed, rows in ((0, slice(0, first)), (1, slice(first, None))):
        others = [image + (index == changed) for index, image in enumerate(images)]
        for before, after in zip(network(images), network(others), strict=True):
            differs = (np.asarray(before) != np.asarray(after)).any(axis=-1)[0]
            assert differs[rows].all()
            assert differs.sum() == differs[rows].sum()


def test_as_many_numbers_of_anchors_are_wanted_as_maps():
    with pytest.raises(ValueError, match="zip"):
        ssdlite([keras.Input((4, 4, 8))], (2, 3), 3)
