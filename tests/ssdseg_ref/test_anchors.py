from dataclasses import replace

import numpy as np
import pytest

from ssdseg_ref.anchors import (
    AnchorSpec,
    anchor_sizes,
    coverage,
    grid_centers,
    linear_scales,
    make_anchors,
    map_anchors,
)
from ssdseg_ref.boxes import corners_to_centers

ODD_SPEC = AnchorSpec(
    image_size=(97, 161),
    feature_maps=((13, 21), (7, 11), (1, 2)),
    scales=(0.1, 0.3, 0.6, 0.9),
    aspect_ratios=((1.0, 2.0), (0.5,), (1.0, 3.0, 1 / 3)),
)


def test_centers_are_the_middles_of_the_cells_row_by_row():
    expected = [[1 / 6, 0.25], [0.5, 0.25], [5 / 6, 0.25], [1 / 6, 0.75], [0.5, 0.75], [5 / 6, 0.75]]
    np.testing.assert_allclose(grid_centers(2, 3), expected, rtol=1e-6)


@pytest.mark.parametrize(("rows", "cols"), [(1, 1), (5, 1), (13, 21)])
def test_a_grid_is_its_own_mirror_image(rows, cols):
    grid = grid_centers(rows, cols).reshape(rows, cols, 2)
    np.testing.assert_allclose(grid[:, ::-1, 0], 1 - grid[..., 0], atol=1e-6)
    np.testing.assert_allclose(grid[::-1, :, 1], 1 - grid[..., 1], atol=1e-6)


@pytest.mark.parametrize(("rows", "cols"), [(0, 3), (3, 0), (-1, 2)])
def test_a_grid_without_cells_is_refused(rows, cols):
    with pytest.raises(ValueError, match="at least one row and one column"):
        grid_centers(rows, cols)


@pytest.mark.parametrize("image_size", [(480, 640), (640, 480), (97, 161), (300, 300)])
def test_an_anchor_of_ratio_one_is_a_square_in_pixels_whatever_the_image(image_size):
    height, width = image_size
    sizes = anchor_sizes(0.2, 0.4, (1.0,), image_size) * [width, height]
    short = min(image_size)
    np.testing.assert_allclose(sizes, [[0.2 * short] * 2, [0.08**0.5 * short] * 2], rtol=1e-5)


@pytest.mark.parametrize("image_size", [(480, 640), (161, 97)])
def test_a_ratio_changes_the_shape_in_pixels_and_keeps_the_area(image_size):
    height, width = image_size
    ratios = (0.25, 0.5, 1.0, 2.0, 3.0)
    in_pixels = anchor_sizes(0.3, 0.5, ratios, image_size)[:-1] * [width, height]
    np.testing.assert_allclose(in_pixels[:, 0] / in_pixels[:, 1], ratios, rtol=1e-5)
    np.testing.assert_allclose(in_pixels.prod(axis=1), (0.3 * min(image_size)) ** 2, rtol=1e-5)


def test_the_extra_square_stands_between_this_scale_and_the_next():
    extra = anchor_sizes(0.2, 0.8, (2.0, 0.5), (100, 100))[-1]
    np.testing.assert_allclose(extra, [0.4, 0.4], rtol=1e-6)


@pytest.mark.parametrize(
    "arguments",
    [(0, 0.4, (1.0,), (9, 9)), (0.2, -1, (1.0,), (9, 9)), (0.2, 0.4, (0.0,), (9, 9)), (0.2, 0.4, (1.0,), (0, 9))],
)
def test_sizes_of_nothing_are_refused(arguments):
    with pytest.raises(ValueError, match="must be positive"):
        anchor_sizes(*arguments)


def test_the_shape_of_the_grid_does_not_squeeze_the_anchors():
    wide, tall = (map_anchors(*grid, 0.2, 0.4, (1.0, 2.0), (120, 200)) for grid in ((3, 7), (7, 3)))
    sizes = [np.unique(np.round(corners_to_centers(anchors)[:, 2:], 5), axis=0) for anchors in (wide, tall)]
    np.testing.assert_array_equal(*sizes)
    assert len(sizes[0]) == 3


def test_making_anchors_again_gives_the_same_anchors():
    """The old project rescaled its anchors in place, so that a second time changed them."""
    first = make_anchors(ODD_SPEC)
    expected = first.copy()
    np.testing.assert_array_equal(make_anchors(ODD_SPEC), expected)
    np.testing.assert_array_equal(first, expected)


def test_anchors_in_fractions_do_not_change_when_the_image_is_enlarged():
    enlarged = replace(ODD_SPEC, image_size=(194, 322))
    np.testing.assert_allclose(make_anchors(enlarged), make_anchors(ODD_SPEC), atol=1e-6)


def test_anchors_come_by_map_row_column_and_shape():
    expected = []
    height, width = ODD_SPEC.image_size
    for k, (rows, cols) in enumerate(ODD_SPEC.feature_maps):
        for row in range(rows):
            for col in range(cols):
                x, y = (col + 0.5) / cols, (row + 0.5) / rows
                shapes = [(ODD_SPEC.scales[k], ratio) for ratio in ODD_SPEC.aspect_ratios[k]]
                shapes.append(((ODD_SPEC.scales[k] * ODD_SPEC.scales[k + 1]) ** 0.5, 1.0))
                for scale, ratio in shapes:
                    w, h = scale * 97 * ratio**0.5 / width, scale * 97 / ratio**0.5 / height
                    expected.append((x - w / 2, y - h / 2, x + w / 2, y + h / 2))
    anchors = make_anchors(ODD_SPEC)
    assert anchors.dtype == np.float32
    np.testing.assert_allclose(anchors, expected, atol=1e-6)


def test_there_are_as_many_anchors_as_cells_times_shapes():
    assert ODD_SPEC.anchors_per_cell == (3, 2, 4)
    assert len(make_anchors(ODD_SPEC)) == 13 * 21 * 3 + 7 * 11 * 2 + 2 * 4


def test_anchors_at_the_border_reach_over_it():
    anchors = make_anchors(ODD_SPEC)
    assert anchors.min() < 0
    assert anchors.max() > 1


def test_one_tuple_of_ratios_stands_for_every_map():
    shared = replace(ODD_SPEC, aspect_ratios=(1.0, 2.0))
    repeated = replace(ODD_SPEC, aspect_ratios=((1.0, 2.0),) * 3)
    np.testing.assert_array_equal(make_anchors(shared), make_anchors(repeated))


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"scales": (0.1, 0.3, 0.6)}, "3 feature maps need 4 scales, got 3"),
        ({"aspect_ratios": ((1.0,), (2.0,))}, "3 feature maps need 3 tuples of ratios, got 2"),
        ({"aspect_ratios": ()}, "3 feature maps need 3 tuples of ratios, got 0"),
    ],
)
def test_a_specification_whose_parts_do_not_fit_is_refused(change, sentence):
    with pytest.raises(ValueError, match=sentence):
        replace(ODD_SPEC, **change)


def test_scales_of_the_paper_rise_from_02_to_09_in_equal_steps_and_go_one_step_on():
    scales = linear_scales(0.2, 0.9, 6)
    np.testing.assert_allclose(scales, [0.2, 0.34, 0.48, 0.62, 0.76, 0.9, 1.04], rtol=1e-12)


@pytest.mark.parametrize("arguments", [(0.2, 0.9, 1), (0.9, 0.2, 6), (0.0, 0.9, 6), (0.5, 0.5, 2)])
def test_scales_that_do_not_rise_are_refused(arguments):
    with pytest.raises(ValueError, match="scales rise"):
        linear_scales(*arguments)


def test_coverage_counts_the_boxes_that_some_anchor_overlaps_enough():
    anchors = [[0, 0, 1, 1], [0, 0, 0.5, 0.5]]
    boxes = [[0, 0, 1, 0.5], [0, 0, 1, 0.49], [0, 0, 0.5, 0.5], [0.8, 0.8, 0.9, 0.9]]
    assert coverage(anchors, boxes, threshold=0.5) == 0.5


def test_without_boxes_none_is_missed_and_without_anchors_all_are():
    assert coverage(make_anchors(ODD_SPEC), []) == 1
    assert coverage(np.empty((0, 4)), [[0, 0, 1, 1]]) == 0
