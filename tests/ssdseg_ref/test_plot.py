import itertools

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from ssdseg_ref.data import Sample, warehouse
from ssdseg_ref.data.statistics import describe
from ssdseg_ref.plot import (
    CLASS_COLOURS,
    MOST_PAINTED,
    draw_boxes,
    draw_mask,
    luminance,
    mask_palette,
    paint_prediction,
    plot_data_set,
    plot_gallery,
    plot_statistics,
)
from ssdseg_ref.prediction import Prediction

NAMES = ("person", "forklift", "monorail")


def _frames(axes):
    return [patch for patch in axes.patches if isinstance(patch, Rectangle)]


def _told(sample, score=0.9):
    return Prediction(sample.boxes, sample.labels, np.full(len(sample.labels), score, np.float32), sample.mask)


@pytest.fixture
def axes():
    return Figure().subplots()


def test_a_box_is_drawn_around_its_own_pixels(axes):
    """Pixel k reaches from k - 0.5 to k + 0.5 in matplotlib."""
    image = np.zeros((20, 30, 3), np.uint8)
    image[4:9, 12:24] = 255
    draw_mask(axes, image, np.zeros((20, 30), np.uint8))
    draw_boxes(axes, (20, 30), np.array([[12 / 30, 4 / 20, 24 / 30, 9 / 20]]), np.array([1]), NAMES)
    (frame,) = _frames(axes)
    assert frame.get_bbox().extents == pytest.approx([11.5, 3.5, 23.5, 8.5])


def test_each_box_has_its_name_and_its_score_beside_it(axes):
    boxes = np.array([[0, 0, 0.5, 0.5], [0.5, 0.5, 1, 1]])
    draw_boxes(axes, (20, 30), boxes, np.array([2, 1]), NAMES, scores=np.array([0.875, 0.5]))
    assert [text.get_text() for text in axes.texts] == ["forklift 0.88", "person 0.50"]


def test_labels_of_neighbours_do_not_cover_each_other(axes):
    boxes = np.array([[0.1, 0.5, 0.3, 0.9], [0.12, 0.5, 0.35, 0.9], [0.14, 0.5, 0.4, 0.9]])
    draw_mask(axes, np.zeros((200, 300, 3), np.uint8), np.zeros((200, 300), np.uint8))
    draw_boxes(axes, (200, 300), boxes, np.array([2, 1, 1]), NAMES, scores=np.array([0.9, 0.8, 0.7]))
    places = [text.get_window_extent().padded(-1) for text in axes.texts]  # they may touch
    assert not any(one.overlaps(other) for one, other in itertools.combinations(places, 2))


def test_where_no_place_is_free_a_label_still_stands_at_its_box(axes):
    draw_mask(axes, np.zeros((20, 30, 3), np.uint8), np.zeros((20, 30), np.uint8))
    draw_boxes(axes, (20, 30), np.tile([0.1, 0.5, 0.3, 0.9], (9, 1)), np.ones(9, int), NAMES)
    assert axes.texts[-1].get_position() == axes.texts[0].get_position()


def test_the_truth_has_no_score(axes):
    draw_boxes(axes, (20, 30), np.array([[0, 0, 0.5, 0.5]]), np.array([3]), NAMES)
    assert [text.get_text() for text in axes.texts] == ["monorail"]


def test_no_two_classes_look_alike_even_without_colour(axes):
    draw_boxes(axes, (20, 30), np.tile([0, 0, 0.5, 0.5], (3, 1)), np.array([1, 2, 3]), NAMES)
    assert len({frame.get_linestyle() for frame in _frames(axes)}) == 3


def test_twenty_classes_can_be_told_apart(axes):
    labels = np.arange(1, 21)
    names = [f"class {label}" for label in labels]
    draw_boxes(axes, (20, 30), np.tile([0, 0, 0.5, 0.5], (20, 1)), labels, names)
    assert len({frame.get_edgecolor() for frame in _frames(axes)}) == 20
    for text in axes.texts:
        ink, plate = (luminance(to_rgb(part)) for part in (text.get_color(), text.get_bbox_patch().get_facecolor()[:3]))
        assert (max(ink, plate) + 0.05) / (min(ink, plate) + 0.05) > 4.5  # WCAG 2's least contrast of small text


def test_the_palette_of_a_mask_has_the_colours_of_the_boxes():
    palette = np.array(mask_palette()).reshape(256, 3)
    assert palette[0].tolist() == [0, 0, 0]
    assert palette[255].tolist() == [255, 255, 255]
    for label, colour in enumerate(CLASS_COLOURS, start=1):
        assert palette[label].tolist() == [round(255 * part) for part in to_rgb(colour)]
    assert len({tuple(colour) for colour in palette[:22].tolist()}) == 22


@pytest.mark.parametrize(
    ("size", "painted"),
    [
        ((480, 640), (960, 1280)),
        ((1500, 100), (7746, 516)),
        ((12_000, 64), (27386, 146)),
        ((1, 100_000), (1, 1280)),
        ((100_000, 1), (32768, 1)),
        ((3000, 4000), (960, 1280)),
    ],
)
def test_a_painted_picture_is_bounded_whatever_its_shape(size, painted):
    """64 x 12,000 pixels once took 20 GB."""
    nothing = np.empty((0, 4), np.float32), np.empty(0, np.int32), np.empty(0, np.float32)
    image = np.full((*size, 3), 200, np.uint8)
    result = paint_prediction(image, np.zeros(size, np.uint8), *nothing, NAMES, width=1280)
    assert result.shape[0] * result.shape[1] <= MOST_PAINTED
    np.testing.assert_allclose(result.shape[:2], painted, atol=1)
    assert np.median(result) == 200


def test_without_boxes_nothing_is_drawn(axes):
    draw_boxes(axes, (20, 30), np.empty((0, 4)), np.empty(0, int), NAMES)
    assert not _frames(axes)


def test_a_mask_tints_its_classes_and_leaves_background_and_ignore_as_they_are(axes):
    image = np.full((1, 4, 3), 100, np.uint8)
    draw_mask(axes, image, np.array([[0, 255, 1, 2]], np.uint8))
    shown = np.asarray(axes.images[0].get_array())
    assert (shown[0, :2] == 100).all()
    for column, colour in ((2, CLASS_COLOURS[0]), (3, CLASS_COLOURS[1])):
        towards = 255 * np.array(to_rgb(colour)) - 100
        assert (np.sign(shown[0, column].astype(int) - 100) == np.sign(np.round(towards))).all()
    assert (image == 100).all()  # the picture itself is not painted on


def test_more_classes_than_colours_start_over():
    labels = np.arange(1, 9, dtype=np.int32)
    boxes = np.tile(np.float32([0.1, 0.1, 0.9, 0.9]), (8, 1))
    sample = Sample(
        np.zeros((16, 16, 3), np.uint8),
        boxes,
        labels,
        np.repeat(np.arange(16, dtype=np.uint8) // 2, 16).reshape(16, 16),
    )
    figure = plot_gallery([sample], [_told(sample)], [f"class {label}" for label in labels])
    FigureCanvasAgg(figure).draw()
    assert len(_frames(figure.axes[0])) == 8


@pytest.mark.parametrize("count", [1, 3])
def test_a_gallery_shows_every_sample_above_its_prediction(count):
    samples = [warehouse.render(seed, (48, 64)) for seed in range(count)]
    figure = plot_gallery(samples, [_told(sample) for sample in samples], NAMES)
    FigureCanvasAgg(figure).draw()
    assert len(figure.axes) == 2 * count
    for place, sample in enumerate(samples):
        assert len(_frames(figure.axes[place])) == len(_frames(figure.axes[count + place])) == len(sample.boxes)


def test_a_gallery_draws_only_what_the_network_is_sure_of():
    sample = next(scene for scene in map(warehouse.render, range(20)) if len(scene.boxes) > 1)
    unsure = _told(sample, 0.49)
    unsure.scores[0] = 0.5
    above, below = plot_gallery([sample], [unsure], NAMES, least_score=0.5).axes
    assert (len(_frames(above)), len(_frames(below))) == (len(sample.boxes), 1)


def test_statistics_are_drawn_with_a_bar_for_every_class():
    statistics = describe([warehouse.render(seed, (48, 64)) for seed in range(8)], NAMES)
    figure = plot_statistics(statistics)
    FigureCanvasAgg(figure).draw()
    instances = figure.axes[0]
    assert [bar.get_width() for bar in instances.patches] == [entry.instances for entry in statistics.classes]


def _page(samples):
    figure = plot_data_set(describe(samples, NAMES), samples, NAMES)
    FigureCanvasAgg(figure).draw()
    return [axes for axes in figure.subfigs[1].axes if axes.images]


def test_a_page_of_a_data_set_shows_samples_from_the_first_to_the_last_with_their_boxes():
    samples = [warehouse.render(seed, (32, 48)) for seed in range(14)]
    frames = _page(samples)
    places = [int(axes.get_title(loc="left")) for axes in frames]
    assert (places[0], places[-1], len(set(places))) == (0, 13, 12)
    assert [len(_frames(axes)) for axes in frames] == [len(samples[place].boxes) for place in places]


def test_a_page_says_how_much_of_a_mask_is_ignored_and_shrinks_large_pictures():
    unknown = np.full((1500, 700), 255, np.uint8)
    nothing = np.zeros((0, 4), np.float32), np.zeros(0, np.int32)
    (axes,) = _page([Sample(np.zeros((1500, 700, 3), np.uint8), *nothing, unknown)])
    assert axes.get_title(loc="left") == "0   100% ignored"
    assert axes.images[0].get_array().shape[:2] == (600, 280)


@pytest.mark.parametrize("boxes", [[[0.1, 0.1, 0.4, 0.5]], [[0.1, 0.1, 0.4, 0.5], [0, 0, 0.3, 0.42]], []])
def test_axes_have_a_number_also_where_all_boxes_are_alike(boxes):
    sample = Sample(
        np.zeros((48, 64, 3), np.uint8),
        np.array(boxes, np.float32).reshape(-1, 4),
        np.ones(len(boxes), np.int32),
        np.zeros((48, 64), np.uint8),
    )
    figure = plot_statistics(describe([sample], NAMES[:1]))
    FigureCanvasAgg(figure).draw()
    for axes in figure.axes[2:]:
        left, right = axes.get_xlim()
        assert any(left <= place <= right for place in axes.get_xticks())
