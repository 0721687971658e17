import numpy as np
import pytest

from ssdseg_ref.boxes import areas, centers_to_corners, corners_to_centers, pairwise_iou, to_pixels


def _random_boxes(rng, count):
    corners = rng.random((count, 2, 2))
    return np.concatenate([corners.min(axis=1), corners.max(axis=1)], axis=-1)


def _slow_iou(a, b):
    width = max(0.0, min(a[2], b[2]) - max(a[0], b[0]))
    height = max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    shared = width * height
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared
    return shared / union if union > 0 else 0.0


def test_a_box_around_a_middle_reaches_half_its_size_each_way():
    np.testing.assert_allclose(centers_to_corners([0.5, 0.4, 0.2, 0.6]), [0.4, 0.1, 0.6, 0.7])


@pytest.mark.parametrize("shape", [(4,), (0, 4), (7, 4), (2, 3, 5, 4)])
def test_centers_and_corners_are_two_ways_to_write_one_box(shape):
    boxes = np.random.default_rng(0).random(shape)
    np.testing.assert_allclose(corners_to_centers(centers_to_corners(boxes)), boxes, atol=1e-15)
    assert centers_to_corners(boxes).shape == shape


@pytest.mark.parametrize("convert", [centers_to_corners, corners_to_centers])
def test_conversion_keeps_the_type_of_the_numbers(convert):
    assert convert(np.zeros((3, 4), np.float32)).dtype == np.float32
    assert convert(np.zeros((3, 4))).dtype == np.float64


def test_in_pixels_the_whole_image_reaches_from_zero_to_its_width_and_height():
    whole, right_half = to_pixels([[0, 0, 1, 1], [0.5, 0, 1, 1]], image_size=(160, 224))
    assert whole.tolist() == [0, 0, 224, 160]
    assert right_half.tolist() == [112, 0, 224, 160]


def test_no_boxes_are_no_boxes_in_pixels():
    assert to_pixels(np.empty((0, 4)), (160, 224)).shape == (0, 4)


def test_the_width_of_a_box_is_the_difference_of_its_sides_and_no_pixel_more():
    assert areas([[10, 20, 13, 25]]).tolist() == [15]


@pytest.mark.parametrize("box", [[0.5, 0, 0.1, 1], [0, 0.5, 1, 0.1], [0.5, 0.5, 0.1, 0.1], [0.3, 0.3, 0.3, 0.9]])
def test_a_box_turned_inside_out_or_without_width_has_no_area(box):
    assert areas([box]).tolist() == [0]


@pytest.mark.parametrize("seed", range(5))
def test_iou_is_what_a_plain_loop_finds(seed):
    rng = np.random.default_rng(seed)
    a, b = _random_boxes(rng, 17), _random_boxes(rng, 9)
    expected = [[_slow_iou(one, other) for other in b] for one in a]
    np.testing.assert_allclose(pairwise_iou(a, b), expected, atol=1e-12)


@pytest.mark.parametrize("seed", range(3))
def test_iou_is_what_pycocotools_finds(seed):
    coco = pytest.importorskip("pycocotools.mask")
    rng = np.random.default_rng(seed)
    a, b = _random_boxes(rng, 30), _random_boxes(rng, 20)
    as_coco = [np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], axis=1) for boxes in (a, b)]
    np.testing.assert_allclose(pairwise_iou(a, b), coco.iou(*as_coco, [0] * len(b)), atol=1e-12)


def test_iou_is_the_same_for_a_box_in_pixels_and_in_fractions():
    rng = np.random.default_rng(1)
    a, b = _random_boxes(rng, 8), _random_boxes(rng, 8)
    pixels = np.array([224, 161, 224, 161])
    np.testing.assert_allclose(pairwise_iou(a * pixels, b * pixels), pairwise_iou(a, b), atol=1e-12)


@pytest.mark.parametrize(
    ("other", "iou"),
    [
        ([0, 0, 2, 2], 1),
        ([0, 0, 1, 2], 0.5),
        ([1, 1, 3, 3], 1 / 7),
        ([2, 0, 4, 2], 0),
        ([2, 2, 3, 3], 0),
        ([5, 5, 6, 6], 0),
    ],
    ids=["equal", "half", "corner", "sides touch", "corners touch", "apart"],
)
def test_iou_of_hand_made_boxes(other, iou):
    np.testing.assert_allclose(pairwise_iou([[0, 0, 2, 2]], [other]), [[iou]], rtol=1e-6)


@pytest.mark.filterwarnings("error")
def test_empty_boxes_overlap_nothing_not_even_themselves():
    empty = [[0.3, 0.3, 0.3, 0.3], [0.2, 0.1, 0.2, 0.9]]
    assert not pairwise_iou(empty, [*empty, [0, 0, 1, 1]]).any()


@pytest.mark.parametrize(("many", "others"), [(0, 3), (3, 0), (0, 0)])
def test_iou_with_no_boxes_is_a_table_without_rows_or_columns(many, others):
    rng = np.random.default_rng(0)
    assert pairwise_iou(_random_boxes(rng, many), _random_boxes(rng, others)).shape == (many, others)
    assert pairwise_iou([], _random_boxes(rng, others)).shape == (0, others)


NARROW = [np.uint8, np.int8, np.int16, np.uint16, np.int32, np.int64, np.float16]


@pytest.mark.parametrize("kind", NARROW)
def test_boxes_of_narrow_numbers_are_counted_in_wide_ones(kind):
    """200 x 200 pixels are more than int16 and float16 hold, and 200 + 220 more than uint8."""
    largest = np.iinfo(kind).max if np.issubdtype(kind, np.integer) else 60_000
    far = min(50_000, largest)
    boxes = np.array([[0, 0, far, far], [far - 20, 10, far, 30], [10, 10, 5, 20]], kind)
    wide = boxes.astype(np.float64)
    np.testing.assert_allclose(areas(boxes), areas(wide), rtol=1e-6)
    np.testing.assert_allclose(corners_to_centers(boxes), corners_to_centers(wide))
    np.testing.assert_allclose(centers_to_corners(boxes), centers_to_corners(wide))
    np.testing.assert_allclose(pairwise_iou(boxes, boxes), pairwise_iou(wide, wide), rtol=1e-6)
    np.testing.assert_allclose(to_pixels(boxes, (3, 5)), to_pixels(wide, (3, 5)))


def test_boxes_of_unsigned_numbers_may_be_inside_out():
    assert corners_to_centers(np.array([10, 10, 5, 20], np.uint8)).tolist() == [7.5, 15, -5, 10]


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("odd", [np.nan, np.inf, -np.inf, 1e30])
@pytest.mark.parametrize("side", range(4))
def test_a_box_that_is_not_finite_overlaps_nothing(odd, side):
    """1e30 is finite, its area is not in float32."""
    boxes = np.array([[0, 0, 1, 1], [0, 0, 1, 1], [2, 2, 3, 3]], np.float32)
    boxes[1, side] = odd
    if odd == 1e30:
        boxes[1] = [-odd, -odd, odd, odd]
    table = pairwise_iou(boxes, boxes)
    assert table.tolist() == [[1, 0, 0], [0, 0, 0], [0, 0, 1]]


@pytest.mark.parametrize("function", [centers_to_corners, corners_to_centers, lambda boxes: to_pixels(boxes, (2, 3))])
def test_an_empty_list_is_no_box(function):
    assert function([]).shape == (0, 4)
    assert areas([]).shape == (0,)
