"""Do the size of the pictures and the anchors follow from a data set's boxes?"""

from dataclasses import replace

import numpy as np
import pytest

from ssdseg_ref.anchors import coverage
from ssdseg_ref.config import LESSON, PHOTOS, REFERENCE
from ssdseg_ref.fitting import LARGEST_AREA, MOST_BOXES, covered, fit_anchors, fit_image_size

NONE = np.empty((0, 4))
AREA = 192 * 256


def boxes_of(width, height, count=200, seed=0):
    """Boxes around these sides, in fractions of the image."""
    rng = np.random.default_rng(seed)
    sides = np.clip(np.array([width, height]) * rng.uniform(0.8, 1.25, (count, 2)), 0, 1)
    corner = rng.uniform(0, 1, (count, 2)) * (1 - sides)
    return np.concatenate([corner, corner + sides], axis=1).astype(np.float32)


@pytest.mark.parametrize(
    ("photographs", "expected"),
    [([(480, 640)], (192, 256)), ([(640, 480)], (256, 192)), ([(500, 500)], (224, 224)), ([(100, 4000)], (160, 320))],
)
def test_pictures_are_as_stretched_as_the_photographs_but_no_panoramas(photographs, expected):
    assert fit_image_size(photographs, NONE, AREA) == expected


def test_small_boxes_get_larger_pictures_up_to_a_limit():
    large = fit_image_size([(480, 640)], boxes_of(0.3, 0.3), AREA)
    small = fit_image_size([(480, 640)], boxes_of(0.08, 0.08), AREA)
    tiny = fit_image_size([(480, 640)], boxes_of(0.004, 0.004), AREA)
    assert large == (192, 256)
    assert large < small <= tiny
    assert np.prod(tiny) <= LARGEST_AREA * 1.1


def test_without_photographs_there_is_nothing_to_fit():
    with pytest.raises(ValueError, match="no photograph"):
        fit_image_size([], NONE, AREA)


@pytest.mark.parametrize(("width", "height"), [(0.6, 0.05), (0.03, 0.3), (0.05, 0.05), (0.9, 0.8), (0.002, 0.9)])
@pytest.mark.parametrize("config", [LESSON, REFERENCE, PHOTOS])
def test_fitted_anchors_cover_at_least_as_much_and_are_as_many(config, width, height):
    boxes = boxes_of(width, height)
    fitted = fit_anchors(config, boxes)
    assert fitted.anchor_spec.anchors_per_cell == config.anchor_spec.anchors_per_cell
    assert len(fitted.anchors) == len(config.anchors)
    assert coverage(fitted.anchors, boxes) >= coverage(config.anchors, boxes)
    assert replace(fitted, scales=config.scales, aspect_ratios=config.aspect_ratios) == config


def test_wide_boxes_get_wide_anchors():
    boxes = boxes_of(0.5, 0.08)
    assert coverage(REFERENCE.anchors, boxes) < 0.6
    assert coverage(fit_anchors(REFERENCE, boxes).anchors, boxes) > 0.85


def test_anchors_that_are_good_enough_stay():
    centers = PHOTOS.anchors[5000:7000:7]
    inside = centers[(centers >= 0).all(axis=1) & (centers <= 1).all(axis=1)]
    assert fit_anchors(PHOTOS, inside) is PHOTOS
    assert fit_anchors(PHOTOS, NONE) is PHOTOS


def test_one_box_is_enough():
    box = np.float32([[0.1, 0.1, 0.2, 0.6]])
    assert coverage(fit_anchors(REFERENCE, box).anchors, box, 0.4) == 1


def test_some_of_very_many_boxes_stand_for_all():
    few, many = boxes_of(0.1, 0.3, MOST_BOXES), boxes_of(0.1, 0.3, 20 * MOST_BOXES + 7)
    assert covered(LESSON, few) == coverage(LESSON.anchors, few)
    assert covered(LESSON, many) == pytest.approx(coverage(LESSON.anchors, many[::7]), abs=0.03)
    assert covered(LESSON, NONE) == 1
