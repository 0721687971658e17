import numpy as np
import pytest
from keras import ops

from ssdseg_ref.boxes import corners_to_centers
from ssdseg_ref.coding import VARIANCES, decode, encode, encode_targets
from ssdseg_ref.matching import match_anchors


def _random_boxes(rng, *shape):
    low, size = rng.random((*shape, 2)), rng.uniform(0.01, 0.5, (*shape, 2))
    return np.concatenate([low, low + size], axis=-1).astype(np.float32)


def test_a_box_equal_to_its_anchor_encodes_to_zero():
    """The old project took log(width / anchor's + 1), which is log 2 here."""
    anchors = _random_boxes(np.random.default_rng(0), 50)
    np.testing.assert_array_equal(encode(anchors, anchors), np.zeros((50, 4)))


def test_offsets_of_zero_decode_to_the_anchors():
    anchors = _random_boxes(np.random.default_rng(1), 50)
    np.testing.assert_allclose(decode(np.zeros((50, 4), np.float32), anchors), anchors, atol=1e-6)


def test_offsets_of_a_hand_made_box():
    anchor = np.array([[0.2, 0.2, 0.4, 0.6]])  # middle (0.3, 0.4), size (0.2, 0.4)
    box = np.array([[0.2, 0.2, 0.6, 0.4]])  # middle (0.4, 0.3), size (0.4, 0.2)
    expected = [[0.5 / 0.1, -0.25 / 0.1, np.log(2) / 0.2, -np.log(2) / 0.2]]
    np.testing.assert_allclose(encode(box, anchor), expected, rtol=1e-12)


def test_a_box_half_as_large_and_one_twice_as_large_lie_equally_far_from_the_anchor():
    anchors = corners_to_centers(_random_boxes(np.random.default_rng(2), 1))
    sizes = anchors * [1, 1, 0.5, 0.5], anchors * [1, 1, 2, 2]
    corners = [np.concatenate([c[:, :2] - c[:, 2:] / 2, c[:, :2] + c[:, 2:] / 2], axis=1) for c in (*sizes, anchors)]
    smaller, larger = encode(corners[0], corners[2]), encode(corners[1], corners[2])
    np.testing.assert_allclose(smaller, -larger, atol=1e-5)
    assert (smaller[:, 2:] < 0).all()


@pytest.mark.parametrize("shape", [(7,), (0,), (2, 7), (3, 2, 7)])
def test_decoding_undoes_encoding_in_numpy_and_in_tensors(shape):
    rng = np.random.default_rng(3)
    boxes, anchors = _random_boxes(rng, *shape), _random_boxes(rng, shape[-1])
    offsets = encode(boxes, anchors)
    assert offsets.shape == boxes.shape
    np.testing.assert_allclose(decode(offsets, anchors), boxes, atol=1e-6)
    as_tensor = encode(ops.convert_to_tensor(boxes), ops.convert_to_tensor(anchors))
    np.testing.assert_allclose(ops.convert_to_numpy(decode(as_tensor, anchors)), boxes, atol=1e-6)


def test_tensors_encode_and_decode_to_what_numpy_does():
    rng = np.random.default_rng(4)
    boxes, anchors = _random_boxes(rng, 2, 30), _random_boxes(rng, 30)
    offsets = rng.normal(0, 2, (2, 30, 4)).astype(np.float32)
    of_boxes, of_offsets = (
        encode(ops.convert_to_tensor(boxes), anchors),
        decode(ops.convert_to_tensor(offsets), anchors),
    )
    assert ops.is_tensor(of_boxes)
    assert ops.is_tensor(of_offsets)
    np.testing.assert_allclose(ops.convert_to_numpy(of_boxes), encode(boxes, anchors), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(ops.convert_to_numpy(of_offsets), decode(offsets, anchors), rtol=1e-4, atol=1e-5)


def test_lists_are_taken_for_arrays():
    assert encode([[0, 0, 2, 2]], [[0, 0, 2, 2]]).tolist() == [[0, 0, 0, 0]]
    assert decode([[0, 0, 0, 0]], [[0, 0, 2, 2]]).tolist() == [[0, 0, 2, 2]]


def test_other_variances_scale_the_offsets_and_decode_back():
    rng = np.random.default_rng(5)
    boxes, anchors = _random_boxes(rng, 9), _random_boxes(rng, 9)
    variances = (0.2, 0.4, 0.5, 1.0)
    scaled = encode(boxes, anchors, variances)
    np.testing.assert_allclose(scaled * variances, encode(boxes, anchors) * VARIANCES, rtol=1e-5)
    np.testing.assert_allclose(decode(scaled, anchors, variances), boxes, atol=1e-6)


@pytest.mark.parametrize("box", [[0.2, 0.2, 0.2, 0.5], [0.2, 0.2, 0.5, 0.2], [0.5, 0.2, 0.2, 0.5]])
def test_an_empty_box_cannot_be_encoded(box):
    with pytest.raises(ValueError, match="no logarithm of its size"):
        encode(np.array([[0, 0, 1, 1], box]), np.array([[0.0, 0.0, 1.0, 1.0]] * 2))


def test_targets_hold_the_class_and_the_offsets_of_each_anchors_own_box():
    rng = np.random.default_rng(6)
    anchors, boxes, labels = _random_boxes(rng, 200), _random_boxes(rng, 6), rng.integers(1, 4, 6)
    classes, offsets = encode_targets(boxes, labels, anchors, threshold=0.4)
    assert (classes.dtype, offsets.dtype) == (np.int32, np.float32)
    assert np.count_nonzero(classes) >= 6
    for anchor, box in enumerate(match_anchors(anchors, boxes, 0.4)):
        if box < 0:
            assert classes[anchor] == 0
            assert not offsets[anchor].any()
        else:
            assert classes[anchor] == labels[box]
            decoded = decode(offsets[anchor : anchor + 1], anchors[anchor : anchor + 1])[0]
            np.testing.assert_allclose(decoded, boxes[box], atol=1e-5)


@pytest.mark.parametrize("boxes", [[], np.empty((0, 4), np.float32)])
def test_an_image_without_boxes_asks_for_background_everywhere(boxes):
    classes, offsets = encode_targets(boxes, [], _random_boxes(np.random.default_rng(7), 12))
    assert (classes.shape, offsets.shape) == ((12,), (12, 4))
    assert not classes.any()
    assert not offsets.any()


def test_without_anchors_there_is_nothing_to_predict():
    classes, offsets = encode_targets([[0, 0, 1, 1]], [1], np.empty((0, 4)))
    assert (classes.shape, offsets.shape) == ((0,), (0, 4))


@pytest.mark.parametrize("kind", [np.uint8, np.int16, np.int32, np.float16])
def test_boxes_and_anchors_of_narrow_numbers_are_coded_in_wide_ones(kind):
    boxes, anchors = np.array([[100, 100, 220, 240]], kind), np.array([[90, 110, 200, 250]], kind)
    expected = encode(boxes.astype(np.float64), anchors.astype(np.float64))
    np.testing.assert_allclose(encode(boxes, anchors), expected, rtol=1e-6)
    np.testing.assert_allclose(decode(expected, anchors), boxes, rtol=1e-6)
    classes, offsets = encode_targets(boxes, [2], anchors)
    assert classes.tolist() == [2]
    np.testing.assert_allclose(offsets, expected, rtol=1e-5)


def test_offsets_of_half_precision_are_decoded_in_single():
    """exp(60 * 0.2) is more than float16 holds."""
    assert np.isfinite(decode(np.array([[0, 0, 60, 60]], np.float16), [[0, 0, 1, 1]])).all()


def test_no_box_is_encoded_to_no_offset():
    assert encode([], []).shape == decode([], []).shape == (0, 4)


@pytest.mark.parametrize("odd", [np.nan, np.inf])
def test_a_box_that_is_not_finite_cannot_be_encoded_and_is_nobodys_target(odd):
    box, anchors = np.array([[0, 0, odd, 1]]), np.array([[0.0, 0, 1, 1]])
    with pytest.raises(ValueError, match="no logarithm of its size"):
        encode(box, anchors)
    assert encode_targets(box, [1], anchors)[0].tolist() == [0]
