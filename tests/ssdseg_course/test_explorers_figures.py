"""What is drawn in the lessons can be read."""

import io

import numpy as np
import pytest
from PIL import Image

from ssdseg_course.explorers import figures
from ssdseg_course.explorers.figures import draw_boxes, draw_image, panels
from ssdseg_ref.anchors import AnchorSpec, linear_scales, make_anchors


@pytest.mark.parametrize("xmin", [0.0, 0.3, 0.8, 0.97])
def test_a_label_ends_where_the_picture_ends(xmin):
    """At the right edge of a panel it would be cut off, and "missed person" be read as "missed pe"."""
    figure, axes = panels(3)
    axes[0].set(xlim=(0, 1), ylim=(1, 0))
    draw_boxes(axes[0], [[xmin, 0.4, 1.0, 0.8]], labels=["missed person"])
    figure.canvas.draw()
    label, panel = axes[0].texts[0].get_window_extent(), axes[0].get_window_extent()
    assert panel.x0 <= label.x0
    assert label.x1 <= panel.x1 + 1


def test_labels_of_boxes_that_share_a_corner_keep_apart():
    figure, axes = panels(1)
    axes[0].set(xlim=(0, 1), ylim=(1, 0))
    box = [0.3, 0.4, 0.6, 0.8]
    for word in ("person", "person?", "missed person"):  # drawn one after another, as the gallery of lesson 8 does
        draw_boxes(axes[0], [box], labels=[word])
    figure.canvas.draw()
    first, *others = (text.get_window_extent().padded(-1) for text in axes[0].texts)
    assert not any(first.overlaps(other) for other in others)
    assert not others[0].overlaps(others[1])


def test_a_figure_has_the_same_rim_on_every_side():
    """A panel keeps its image's shape, and what is left of the figure would be an empty strip below."""
    figure, (axes,) = figures.panels(1, width=4)
    figures.draw_image(axes, np.zeros((80, 224, 3), np.uint8))
    axes.set_title("a title")
    picture = np.asarray(Image.open(io.BytesIO(figures.png(figure))).convert("L"))
    drawn = np.argwhere(picture < 255)
    rims = [*drawn.min(axis=0), *(np.array(picture.shape) - 1 - drawn.max(axis=0))]
    assert max(rims) - min(rims) <= 4, rims


def test_under_all_anchors_of_a_network_the_picture_can_still_be_seen():
    """Many of thousands of lines lie on one another, and would blacken what is under them."""
    maps = ((20, 28), (10, 14), (5, 7), (3, 4))
    anchors = make_anchors(AnchorSpec((160, 224), maps, linear_scales(0.2, 0.9, 4), (1, 2, 1 / 2, 3, 1 / 3)))
    figure, (axes,) = panels(1)
    draw_image(axes, np.full((160, 224, 3), 255, np.uint8))
    draw_boxes(axes, anchors, **figures.FAINT)
    shown = np.asarray(Image.open(io.BytesIO(figures.png(figure))).convert("L"))
    assert 0.8 * 255 < shown.mean() < 0.99 * 255
