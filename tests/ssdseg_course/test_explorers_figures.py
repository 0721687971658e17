"""What is drawn in the lessons can be read."""

import pytest

from ssdseg_course.explorers.figures import draw_boxes, panels


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
