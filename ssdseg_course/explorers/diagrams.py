"""Diagrams of how maps flow through a network: boxes with words, and arrows between them."""

from collections.abc import Iterable, Mapping
from typing import Any

from matplotlib.axes import Axes
from matplotlib.colors import to_rgba
from matplotlib.patches import FancyBboxPatch

from ssdseg_course.explorers import figures

PALE = 0.35  # of a colour, so that black letters on it stay readable
MAP = {"facecolor": "white", "edgecolor": figures.BLACK}
WORK = {"facecolor": to_rgba(figures.SKY, PALE), "edgecolor": figures.BLACK}
JOIN = {"facecolor": to_rgba(figures.ORANGE, PALE), "edgecolor": figures.BLACK, "linestyle": "--"}
HEIGHT = 0.72  # of a box, in rows


def draw_flow(
    axes: Axes,
    boxes: Mapping[str, tuple[float, float, str, dict[str, Any]]],
    arrows: Iterable[tuple[str, str]],
    width: float = 0.8,
) -> None:
    """Draw boxes, and arrows from one to the next.

    Args:
        axes: to draw on.
        boxes: by a name each: column and row of its middle, its words, and its look: `MAP`, `WORK` or `JOIN`.
        arrows: pairs of names, from and to.
        width: of a box, in columns.
    """
    for col, row, words, look in boxes.values():
        corner = (col - width / 2, row - HEIGHT / 2)
        axes.add_patch(
            FancyBboxPatch(corner, width, HEIGHT, boxstyle="round,pad=0,rounding_size=0.08", linewidth=1.2, **look)
        )
        axes.text(col, row, words, ha="center", va="center", fontsize=8.5)
    for start, end in arrows:
        (from_col, from_row, *_), (to_col, to_row, *_) = boxes[start], boxes[end]
        axes.annotate(
            "",
            xy=(to_col - width / 2, to_row),
            xytext=(from_col + width / 2, from_row),
            arrowprops={"arrowstyle": "-|>", "color": figures.BLACK, "linewidth": 1.2, "shrinkA": 0, "shrinkB": 0},
        )
    cols, rows = [box[0] for box in boxes.values()], [box[1] for box in boxes.values()]
    axes.set(xlim=(min(cols) - 0.5, max(cols) + 0.5), ylim=(max(rows) + 0.5, min(rows) - 0.5))
    axes.set_axis_off()
