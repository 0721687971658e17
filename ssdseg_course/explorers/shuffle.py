"""The shuffle explorer: where each channel goes, and which channels know of one of them after some units.

`shuffle_view` draws a state and says it in words; `ShuffleExplorer` puts controls around it.
"""

from dataclasses import dataclass
from typing import Any

import ipywidgets as widgets
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from ssdseg_course.explorers.explorer import Explorer, align

CHANNELS = 12
MOST_UNITS = 6
WIDTH, LEFT, CELL, ROW, TOP = 1344, 250, 88, 120, 60
LARGE, SMALL = ImageFont.load_default(size=28), ImageFont.load_default(size=24)
INK, PAPER, GRID = "#000000", "#FFFFFF", "#999999"
KNOWS, WORKED = "#E69F00", "#56B4E9"  # orange, sky blue of Okabe and Ito 2008


@dataclass(frozen=True)
class ShuffleState:
    """What the explorer shows.

    Attributes:
        channel: of the input, that is followed.
        units: of stride 1, one after another.
        shuffled: whether each unit ends with a shuffle.
    """

    channel: int = 11
    units: int = 4
    shuffled: bool = True


def shuffled_order(shuffled: bool = True) -> list[int]:
    """Which channel stands in each place after a shuffle in two groups."""
    return np.arange(CHANNELS).reshape(2, -1).T.ravel().tolist() if shuffled else list(range(CHANNELS))


def spread(channel: int, units: int, shuffled: bool) -> list[list[bool]]:
    """Which channels know of one: in the input, and after each unit.

    The left half passes a unit as it is. Of the right half every channel is made from all of the right half.
    """
    half, knows = CHANNELS // 2, [place == channel for place in range(CHANNELS)]
    rows = [knows]
    for _ in range(units):
        worked = [any(knows[half:])] * half
        knows = [(knows[:half] + worked)[place] for place in shuffled_order(shuffled)]
        rows.append(knows)
    return rows


def shuffle_view(state: ShuffleState) -> tuple[np.ndarray, str]:
    """Draw a state, and say it in words.

    Returns:
        picture: (H, W, 3) uint8: a row of channels for the input and one after each unit, lines where they go.
        text: the same for those who cannot see it.
    """
    rows = spread(state.channel, state.units, state.shuffled)
    image = Image.new("RGB", (WIDTH, TOP + ROW * state.units + CELL + 30), PAPER)
    draw = ImageDraw.Draw(image)
    draw.text((LEFT, 26), "passes as it is", INK, SMALL, anchor="lm")
    draw.text((LEFT + CELL * CHANNELS / 2, 26), "worked on, all from all", INK, SMALL, anchor="lm")
    for number, knows in enumerate(rows):
        top = TOP + ROW * number
        draw.text((20, top + CELL / 2 - 8), "input" if number == 0 else f"after unit {number}", INK, LARGE, anchor="lm")
        if number < state.units:
            _draw_ways(draw, top, state.shuffled)
        for place, knows_it in enumerate(knows):
            _draw_cell(draw, place, top, knows_it)
    half = LEFT + CELL * CHANNELS / 2
    draw.line([half, TOP - 10, half, image.height - 20], INK, 3)
    counts = [sum(knows) for knows in rows]
    said = "; ".join(f"after unit {number}: {count}" for number, count in enumerate(counts[1:], start=1))
    shuffle = "with" if state.shuffled else "without"
    return np.asarray(image), (
        f"{CHANNELS} channels, {shuffle} a shuffle after each unit. Channels that know of channel {state.channel}, "
        f"marked by a filled disc, in the input: 1; {said or 'no unit yet'}. {_verdict(counts[-1], state)}"
    )


class ShuffleExplorer(Explorer):
    """`shuffle_view` with a slider for the channel and one for the units, and a choice of shuffling."""

    view = staticmethod(shuffle_view)

    def __init__(self, state: ShuffleState):
        self.channel = widgets.IntSlider(value=state.channel, max=CHANNELS - 1, description="channel")
        self.units = widgets.IntSlider(value=state.units, max=MOST_UNITS, description="units")
        self.shuffled = widgets.ToggleButtons(
            options=[("with shuffle", True), ("without", False)], value=state.shuffled, description="each unit"
        )
        align(self.channel, self.units, self.shuffled)
        super().__init__((self.channel, self.units, self.shuffled))

    @property
    def state(self) -> ShuffleState:
        """What the controls say."""
        return ShuffleState(self.channel.value, self.units.value, self.shuffled.value)


def explore_shuffle(**state: Any) -> ShuffleExplorer:
    """The shuffle explorer, for the last line of a notebook's cell.

    Args:
        state: where to begin, as in `ShuffleState`: channel, units, shuffled.
    """
    return ShuffleExplorer(ShuffleState(**state))


def _verdict(count: int, state: ShuffleState) -> str:
    if count == CHANNELS:
        return "All of them know of it."
    if not state.shuffled:
        return "Without a shuffle the halves never learn of each other."
    return f"{CHANNELS - count} do not know of it yet."


def _draw_cell(draw: ImageDraw.ImageDraw, place: int, top: int, knows: bool) -> None:
    left, side = LEFT + CELL * place + 8, CELL - 30
    draw.rectangle([left, top, left + side, top + side], PAPER, INK, 2)
    if knows:
        draw.ellipse([left + 4, top + 4, left + side - 4, top + side - 4], KNOWS, INK, 2)
    draw.text((left + side / 2, top + side / 2), str(place), INK, LARGE, anchor="mm")


def _draw_ways(draw: ImageDraw.ImageDraw, top: int, shuffled: bool) -> None:
    """From each place to where the shuffle puts it: solid from the left half, dashed from the worked one."""
    side = CELL - 30
    for to, source in enumerate(shuffled_order(shuffled)):
        start = np.array([LEFT + CELL * source + 8 + side / 2, top + side])
        end = np.array([LEFT + CELL * to + 8 + side / 2, top + ROW])
        if source < CHANNELS // 2:
            draw.line([*start, *end], GRID, 3)
        else:
            for at in np.arange(0, 1, 0.2):
                draw.line([*(start + at * (end - start)), *(start + (at + 0.12) * (end - start))], WORKED, 4)
