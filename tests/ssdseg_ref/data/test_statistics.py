"""What is counted in a data set, against an example counted by hand."""

import math

import numpy as np
import pytest

from ssdseg_ref.data.sample import Sample
from ssdseg_ref.data.statistics import describe, median_frequency_weights
from ssdseg_ref.plot import plot_statistics

CLASSES = ("person", "forklift", "monorail")


def sample(mask, boxes=(), labels=()):
    mask = np.array(mask, np.uint8)
    boxes = np.array(boxes, np.float32).reshape(-1, 4)
    return Sample(np.zeros((*mask.shape, 3), np.uint8), boxes, np.array(labels, np.int32), mask)


SAMPLES = [
    # 2 x 4 pixels: two persons, two forklift pixels, one pixel ignored, three of background
    sample(
        [[1, 1, 2, 255], [0, 0, 2, 0]],
        boxes=[[0, 0, 0.25, 0.5], [0.25, 0, 0.5, 0.5], [0.5, 0, 0.75, 1]],
        labels=[1, 1, 2],
    ),
    sample([[1, 0, 0, 0], [1, 0, 0, 0]], boxes=[[0, 0, 0.25, 1]], labels=[1]),
    sample([[0, 0], [0, 0]]),
]


def test_images_and_instances_are_counted():
    statistics = describe(SAMPLES, CLASSES)
    assert (statistics.images, statistics.images_without_boxes) == (3, 1)
    counts = [(entry.name, entry.images, entry.instances) for entry in statistics.classes]
    assert counts == [("person", 2, 3), ("forklift", 1, 1), ("monorail", 0, 0)]


def test_areas_are_fractions_of_the_image_and_shapes_are_measured_in_pixels():
    person = describe(SAMPLES, CLASSES).classes[0]
    # Areas 1/8, 1/8, 1/4; in pixels 1 x 1, 1 x 1 and 1 wide, 2 high. Between neighbours percentiles are straight lines.
    assert person.areas == pytest.approx([0.125, 0.125, 0.125, 0.1875, 0.2375])
    assert person.aspect_ratios == pytest.approx([0.55, 0.75, 1, 1, 1])


def test_pixels_to_ignore_are_not_counted():
    # 19 pixels count: 3 + 6 + 4 of background, 4 of persons, 2 of forklifts.
    assert describe(SAMPLES, CLASSES).pixel_shares == pytest.approx([13 / 19, 4 / 19, 2 / 19, 0])


def test_weights_balance_the_median_frequency():
    # Frequencies in the images that show a class: 13/19, 4/15, 2/7; the median is 2/7, the forklift's.
    expected = [(2 / 7) / (13 / 19), (2 / 7) / (4 / 15), 1, 0]
    assert describe(SAMPLES, CLASSES).class_weights == pytest.approx(expected)


def test_equally_frequent_classes_weigh_the_same():
    assert median_frequency_weights(np.array([[5, 5], [7, 7]])) == pytest.approx([1, 1])


def test_a_class_without_boxes_has_no_percentiles():
    monorail = describe(SAMPLES, CLASSES).classes[2]
    assert all(math.isnan(value) for value in (*monorail.areas, *monorail.aspect_ratios))


def test_images_that_are_ignored_altogether_have_no_pixels():
    statistics = describe([sample([[255]])], CLASSES)
    assert (statistics.pixel_shares, statistics.class_weights) == ((0, 0, 0, 0), (0, 0, 0, 0))


def test_nothing_cannot_be_described():
    with pytest.raises(ValueError, match="no image"):
        describe([], CLASSES)


@pytest.mark.parametrize("samples", [SAMPLES, SAMPLES[2:]], ids=["with boxes", "without"])
def test_the_figure_names_every_class_in_every_panel(samples, tmp_path):
    figure = plot_statistics(describe(samples, CLASSES))
    figure.savefig(tmp_path / "figure.png")
    for axes in figure.axes:
        names = [text.get_text() for text in axes.get_yticklabels()]
        assert [name for name in names if name != "background"] == list(CLASSES), axes.get_title()
