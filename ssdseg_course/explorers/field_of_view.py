"""The field-of-view explorer: where the nine taps of an atrous convolution fall, on maps of several sizes.

`field_view` draws a state and says it in words; `FieldExplorer` puts controls around it.
"""

from dataclasses import dataclass
from typing import Any

import ipywidgets as widgets
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from ssdseg_course.explorers.explorer import Explorer, align

TAPS = 3
MAPS = {"10 × 14": (10, 14), "12 × 16": (12, 16), "33 × 33": (33, 33)}  # the course's two networks, the paper's
MOST_RATE = 18
PLACE_STEP = 0.125  # more than a place on the smallest map, so that every step moves the cross
WIDTH, HEIGHT, MARGIN = 1344, 900, 30
LEAST_RADIUS = 12  # of a tap, in dots, so that its 0 can be read on the largest map
INK, PAPER, GRID = "#000000", "#FFFFFF", "#BBBBBB"
BESIDE, LOST = "#E4E4E4", "#555555"  # outside the map, and the taps that fall there
INSIDE, SEEN = "#E69F00", "#56B4E9"  # orange, sky blue of Okabe and Ito 2008


@dataclass(frozen=True)
class FieldState:
    """What the explorer shows.

    Attributes:
        rate: dilation of the 3 × 3 kernel.
        map_size: a key of `MAPS`.
        row, col: of the place that is computed, as shares of the map, 0 to 1.
    """

    rate: int = 6
    map_size: str = "10 × 14"
    row: float = 0.5
    col: float = 0.5


def taps_inside(rows: int, cols: int, rate: int) -> np.ndarray:
    """(rows, cols) int: how many of the nine taps fall on the map, for each place."""

    def along(side: int) -> np.ndarray:
        places = np.arange(side)
        inside = [(places + step >= 0) & (places + step < side) for step in (-rate, 0, rate)]
        return np.asarray(np.sum(inside, axis=0))

    return np.outer(along(rows), along(cols))


def field_view(state: FieldState) -> tuple[np.ndarray, str]:
    """Draw a state, and say it in words.

    Returns:
        picture: (H, W, 3) uint8: a map, the place that is computed, and its nine taps; those outside the map hold a 0.
        text: the same for those who cannot see it.
    """
    rows, cols = MAPS[state.map_size]
    row, col = round(state.row * (rows - 1)), round(state.col * (cols - 1))
    # Room for every tap of every place, so that the map stays where it is while the cross moves.
    around = state.rate
    cell = min((WIDTH - 2 * MARGIN) // (cols + 2 * around), (HEIGHT - 2 * MARGIN) // (rows + 2 * around))
    left, top = (WIDTH - cell * cols) // 2, (HEIGHT - cell * rows) // 2
    image = Image.new("RGB", (WIDTH, HEIGHT), BESIDE)
    draw = ImageDraw.Draw(image)
    for cell_row, cell_col in np.ndindex(rows, cols):
        corner = (left + cell_col * cell, top + cell_row * cell)
        draw.rectangle([*corner, corner[0] + cell, corner[1] + cell], PAPER, GRID)
    draw.rectangle([left, top, left + cols * cell, top + rows * cell], None, INK, 3)

    def middle_of(y: int, x: int) -> tuple[float, float]:
        return left + (x + 0.5) * cell, top + (y + 0.5) * cell

    places = [(row + dy * state.rate, col + dx * state.rate) for dy in (-1, 0, 1) for dx in (-1, 0, 1)]
    inside = [(y, x) for y, x in places if 0 <= y < rows and 0 <= x < cols]
    for place in places:
        draw.line([*middle_of(row, col), *middle_of(*place)], SEEN if place in inside else LOST, 3)
    radius = max(0.4 * cell, LEAST_RADIUS)
    for place in places:
        x, y = middle_of(*place)
        fill, ink, width = (INSIDE, INK, 3) if place in inside else (PAPER, LOST, 2)
        draw.ellipse([x - radius, y - radius, x + radius, y + radius], fill, ink, width)
        if place not in inside:
            draw.text((x, y), "0", ink, ImageFont.load_default(size=1.4 * radius), anchor="mm")
    x, y = middle_of(row, col)
    arm = 0.6 * radius
    draw.line([x - arm, y, x + arm, y], INK, 4)
    draw.line([x, y - arm, x, y + arm], INK, 4)
    counts = taps_inside(rows, cols, state.rate)
    span = (TAPS - 1) * state.rate + 1
    return np.asarray(image), (
        f"A 3 × 3 kernel with rate {state.rate} spans {span} × {span} places; the map, in white, has {rows} × {cols}. "
        f"For the place with the cross, row {row}, column {col}, {len(inside)} of its 9 taps fall on the map, marked "
        f"by orange discs; the other {9 - len(inside)} fall outside it and see zeros. Over all places "
        f"{counts.mean():.1f} taps fall on the map on average, and for {np.mean(counts == 1):.0%} of the places the "
        "middle one alone does, which makes it a 1 × 1 kernel."
    )


class FieldExplorer(Explorer):
    """`field_view` with sliders for the rate and the place, and a choice of maps."""

    view = staticmethod(field_view)

    def __init__(self, state: FieldState):
        self.rate = widgets.IntSlider(value=state.rate, min=1, max=MOST_RATE, description="rate")
        self.map_size = widgets.ToggleButtons(options=list(MAPS), value=state.map_size, description="map")
        self.row = widgets.FloatSlider(value=state.row, min=0, max=1, step=PLACE_STEP, description="down")
        self.col = widgets.FloatSlider(value=state.col, min=0, max=1, step=PLACE_STEP, description="to the right")
        controls = (self.rate, self.map_size, self.row, self.col)
        align(*controls)
        super().__init__(controls)

    @property
    def state(self) -> FieldState:
        """What the controls say."""
        return FieldState(self.rate.value, self.map_size.value, self.row.value, self.col.value)


def explore_field_of_view(**state: Any) -> FieldExplorer:
    """The field-of-view explorer, for the last line of a notebook's cell.

    Args:
        state: where to begin, as in `FieldState`: rate, map_size, row, col.
    """
    return FieldExplorer(FieldState(**state))
