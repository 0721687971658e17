from dataclasses import FrozenInstanceError, replace

import numpy as np
import pytest

from ssdseg_ref.data import BACKGROUND, IGNORE, Sample

GOOD = Sample(
    image=np.zeros((4, 6, 3), np.uint8),
    boxes=np.array([[0, 0, 1, 1], [0.25, 0.5, 0.75, 1]], np.float32),
    labels=np.array([1, 3], np.int32),
    mask=np.array([[0, 1, 2, 3, 255, 0]] * 4, np.uint8),
)


def _with_box(*box):
    return {"boxes": np.array([box, [0, 0, 1, 1]], np.float32)}


def test_a_good_sample_is_valid():
    GOOD.validate(classes=3)


def test_a_sample_without_boxes_is_valid():
    replace(GOOD, boxes=np.empty((0, 4), np.float32), labels=np.empty(0, np.int32)).validate(classes=3)


def test_zero_is_background_and_255_is_ignore():
    assert (BACKGROUND, IGNORE) == (0, 255)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"image": np.zeros((4, 6, 3))}, r"an image is \(H, W, 3\) uint8, this one is \(4, 6, 3\) float64"),
        ({"image": np.zeros((4, 6), np.uint8)}, r"an image is \(H, W, 3\) uint8"),
        ({"image": np.zeros((4, 6, 4), np.uint8)}, r"an image is \(H, W, 3\) uint8"),
        ({"image": np.zeros((0, 6, 3), np.uint8)}, "the image is empty: 6 x 0 pixels"),
        ({"mask": np.zeros((6, 4), np.uint8)}, r"the mask is \(6, 4\) uint8, its image asks for \(4, 6\) uint8"),
        ({"mask": np.zeros((4, 6), np.int32)}, r"the mask is \(4, 6\) int32"),
        ({"mask": np.full((4, 6), 4, np.uint8)}, "the mask holds the unknown class 4: the classes are 0 to 3 and 255"),
        ({"labels": np.array([1], np.int32)}, "do not go together"),
        ({"labels": np.array([[1], [2]], np.int32)}, "do not go together"),
        ({"boxes": np.zeros((2, 5), np.float32)}, "do not go together"),
        ({"labels": np.array([1, 4], np.int32)}, "a box has the unknown class 4: the classes are 1 to 3"),
        ({"labels": np.array([0, 1], np.int32)}, "a box has the unknown class 0"),
        (_with_box(0.5, 0, 0.5, 1), "a box is empty or turned inside out: xmin 0.5, ymin 0, xmax 0.5, ymax 1"),
        (_with_box(0, 0.75, 1, 0.25), "a box is empty or turned inside out"),
        (_with_box(0, 0, np.nan, 1), "a box is empty or turned inside out"),
        (_with_box(-0.125, 0, 1, 1), "a box leaves the image: xmin -0.125"),
        (_with_box(0, 0, 1, 1.25), "a box leaves the image"),
    ],
)
def test_parts_that_do_not_belong_together_are_refused_with_what_is_wrong(change, sentence):
    with pytest.raises(ValueError, match=sentence):
        replace(GOOD, **change).validate(classes=3)


def test_the_parts_of_a_sample_are_not_exchanged():
    with pytest.raises(FrozenInstanceError):
        GOOD.labels = np.array([1, 1], np.int32)
