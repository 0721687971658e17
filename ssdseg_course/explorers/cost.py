"""The cost explorer: what a standard and a separable convolution cost, for any kernel, number of channels and map.

`cost_view` draws a state and says it in words; `CostExplorer` puts controls around it.
"""

from dataclasses import dataclass
from math import log10
from typing import Any

import ipywidgets as widgets
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from ssdseg_course.explorers.explorer import SLIDER_WIDTH, Explorer, align
from ssdseg_ref.convolution import Cost, conv_cost

KERNEL_SIZES = (1, 3, 5, 7)
CHANNELS = (8, 16, 32, 64, 128, 256, 512, 1024)
SIZES = ((80, 112), (40, 56), (20, 28), (10, 14), (5, 7))  # maps of a 160 × 224 image at strides 2 to 32

WIDTH, HEIGHT = 1344, 700  # of the picture, twice what the page shows
NUMBERS, LEFT, RIGHT = 430, 470, 1296  # x where numbers end, and where axes and bars begin and end
LARGE, SMALL = ImageFont.load_default(size=28), ImageFont.load_default(size=24)
INK, PAPER, GRID = "#000000", "#FFFFFF", "#CCCCCC"
STANDARD, SEPARABLE, DEPTHWISE = "#0072B2", "#E69F00", "#56B4E9"  # blue, orange, sky blue of Okabe and Ito 2008


@dataclass(frozen=True)
class CostState:
    """What the explorer shows.

    Attributes:
        kernel_size: side of the kernel.
        in_channels: channels that go in.
        out_channels: channels that come out.
        size: (height, width) of the map, the same before and after.
    """

    kernel_size: int = 3
    in_channels: int = 64
    out_channels: int = 64
    size: tuple[int, int] = (20, 28)


@dataclass(frozen=True)
class _Costs:
    standard: Cost
    separable: Cost
    depthwise: Cost  # the two parts of the separable one
    pointwise: Cost

    @property
    def saving(self) -> float:
        return self.standard.parameters / self.separable.parameters

    @property
    def depthwise_share(self) -> float:
        return self.depthwise.parameters / self.separable.parameters


def cost_view(state: CostState) -> tuple[np.ndarray, str]:
    """Draw a state, and say it in words.

    Returns:
        picture: (H, W, 3) uint8: parameters and multiply-adds of both convolutions, on axes where each line means ten
            times as many; then the separable one's price as a part of the standard one's, split into its two steps.
        text: the same for those who cannot see it.
    """
    costs = _costs(state)
    image = Image.new("RGB", (WIDTH, HEIGHT), PAPER)
    draw = ImageDraw.Draw(image)
    _draw_axis(draw, 10, "parameters", 1, 8, costs.standard.parameters, costs.separable.parameters)
    _draw_axis(draw, 210, "multiply-adds", 3, 12, costs.standard.multiply_adds, costs.separable.multiply_adds)
    _draw_shares(image, 420, costs)
    return np.asarray(image), _in_words(state, costs)


class CostExplorer(Explorer):
    """`cost_view` with controls for all that a state holds."""

    view = staticmethod(cost_view)

    def __init__(self, state: CostState):
        self.kernel_size = widgets.ToggleButtons(
            options=[(f"{side} × {side}", side) for side in KERNEL_SIZES], value=state.kernel_size, description="kernel"
        )
        self.in_channels = widgets.SelectionSlider(options=CHANNELS, value=state.in_channels, description="channels in")
        self.out_channels = widgets.SelectionSlider(
            options=CHANNELS, value=state.out_channels, description="channels out"
        )
        self.size = widgets.ToggleButtons(
            options=[(f"{rows} × {cols}", (rows, cols)) for rows, cols in SIZES], value=state.size, description="map"
        )
        controls = (self.kernel_size, self.in_channels, self.out_channels, self.size)
        align(*controls)
        self.in_channels.layout.width = self.out_channels.layout.width = SLIDER_WIDTH
        super().__init__(controls)

    @property
    def state(self) -> CostState:
        """What the controls say."""
        return CostState(self.kernel_size.value, self.in_channels.value, self.out_channels.value, self.size.value)


def explore_cost(**state: Any) -> CostExplorer:
    """The cost explorer, for the last line of a notebook's cell.

    Args:
        state: where to begin, as in `CostState`: kernel_size, in_channels, out_channels, size.
    """
    return CostExplorer(CostState(**state))


def _costs(state: CostState) -> _Costs:
    def cost(kind: str, kernel_size: int, out_channels: int) -> Cost:
        return conv_cost(kind, state.size, kernel_size, state.in_channels, out_channels)

    return _Costs(
        standard=cost("standard", state.kernel_size, state.out_channels),
        separable=cost("separable", state.kernel_size, state.out_channels),
        depthwise=cost("depthwise", state.kernel_size, state.in_channels),
        pointwise=cost("pointwise", 1, state.out_channels),
    )


def _draw_axis(
    draw: ImageDraw.ImageDraw, top: int, name: str, first: int, last: int, standard: int, separable: int
) -> None:
    """Both numbers on an axis from 10^first to 10^last, and how far they are apart."""
    upper, lower, bottom = top + 70, top + 115, top + 142

    def place(number: float) -> float:
        return LEFT + (log10(number) - first) / (last - first) * (RIGHT - LEFT)

    draw.text((20, top + 22), name, INK, LARGE, anchor="lm")
    for power in range(first, last + 1):
        x = place(10.0**power)
        draw.line([x, top + 42, x, bottom], GRID, 2)
        draw.text((x, bottom + 18), _power(power), INK, SMALL, anchor="mm")
    for y, word, number in ((upper, "standard", standard), (lower, "separable", separable)):
        draw.line([LEFT, y, RIGHT, y], GRID, 2)
        draw.text((20, y), word, INK, LARGE, anchor="lm")
        draw.text((NUMBERS, y), f"{number:,}", INK, LARGE, anchor="rm")
    there, here = place(standard), place(separable)
    _dotted_line(draw, (there, upper), (there, lower))
    draw.line([here, lower, there, lower], INK, 4)
    draw.ellipse([there - 13, upper - 13, there + 13, upper + 13], STANDARD, INK, 2)
    draw.polygon([(here - 16, lower), (here, lower - 16), (here + 16, lower), (here, lower + 16)], SEPARABLE, INK)
    edge, anchor = (max(here, there) + 26, "lm") if there < 1000 else (min(here, there) - 26, "rm")
    words = _factor(standard / separable)
    draw.rectangle(draw.textbbox((edge, lower), words, SMALL, anchor=anchor), PAPER)
    draw.text((edge, lower), words, INK, SMALL, anchor=anchor)


def _draw_shares(image: Image.Image, top: int, costs: _Costs) -> None:
    """The standard price as a bar, the separable one on the same scale, and its two steps; enlarged, if it is less."""
    draw = ImageDraw.Draw(image)
    price = 1 / costs.saving  # of the separable one, where the standard one costs 1
    unit = (RIGHT - LEFT) / max(price, 1)
    split = costs.depthwise_share
    draw.text((20, top + 22), "the price of both, the standard one being 100%", INK, LARGE, anchor="lm")
    for y, word, share in ((top + 50, "standard", 1), (top + 110, "separable", price)):
        draw.text((20, y + 20), word, INK, LARGE, anchor="lm")
        draw.text((NUMBERS, y + 20), f"{share:.1%}", INK, LARGE, anchor="rm")
    draw.rectangle([LEFT, top + 50, LEFT + unit, top + 90], STANDARD, INK, 2)
    end, step = LEFT + unit * price, LEFT + unit * price * split
    _draw_parts(image, top + 110, 40, step, end)

    under = top + 168  # of the bar whose parts are named
    if price < 1:
        draw.text((20, top + 215), "the same, enlarged", INK, LARGE, anchor="lm")
        _dotted_line(draw, (LEFT, top + 152), (LEFT, top + 190))
        _dotted_line(draw, (end, top + 152), (RIGHT, top + 190))
        _draw_parts(image, top + 190, 50, LEFT + (RIGHT - LEFT) * split, RIGHT)
        under = top + 260
    draw.text((LEFT, under), f"depthwise {split:.1%} (dots)", INK, SMALL, anchor="lm")
    draw.text((RIGHT, under), f"pointwise {1 - split:.1%} (stripes)", INK, SMALL, anchor="rm")


def _draw_parts(image: Image.Image, top: int, height: int, middle: float, end: float) -> None:
    """A bar from LEFT to `end`, the depthwise part up to `middle`, dotted, and then the pointwise part, striped."""
    for left, right, color, pattern in ((LEFT, middle, DEPTHWISE, _dots), (middle, end, SEPARABLE, _stripes)):
        size = (max(round(right - left), 1), height)
        part = Image.new("RGB", size, color)
        pattern(ImageDraw.Draw(part), *size)
        ImageDraw.Draw(part).rectangle([0, 0, size[0] - 1, size[1] - 1], outline=INK, width=2)
        image.paste(part, (round(left), top))


def _stripes(draw: ImageDraw.ImageDraw, width: int, height: int) -> None:
    for x in range(-height, width, 14):
        draw.line([x, height, x + height, 0], INK, 2)


def _dots(draw: ImageDraw.ImageDraw, width: int, height: int) -> None:
    for x in range(7, width, 14):
        for y in range(7, height, 14):
            draw.ellipse([x - 2, y - 2, x + 2, y + 2], INK)


def _dotted_line(draw: ImageDraw.ImageDraw, start: tuple[float, float], end: tuple[float, float]) -> None:
    begin, way = np.array(start), np.subtract(end, start)
    count = max(int(np.abs(way).max() // 10), 1)
    for at in np.arange(count + 1) / count:
        x, y = begin + way * at
        draw.ellipse([x - 2, y - 2, x + 2, y + 2], INK)


def _power(power: int) -> str:
    """10^4 as "10 k", 10^6 as "1 M"."""
    thousands, rest = divmod(power, 3)
    return f"{10**rest} {('', 'k', 'M', 'G', 'T')[thousands]}".strip()


def _factor(saving: float) -> str:
    return f"{saving:.1f} times fewer" if saving > 1 else f"{1 / saving - 1:.1%} more"


def _in_words(state: CostState, costs: _Costs) -> str:
    k, (rows, cols) = state.kernel_size, state.size
    parts = f"1/{state.out_channels} + 1/{k**2}"
    reason = f"the inverse of {parts}" if costs.saving > 1 else f"for {parts} is more than 1"
    return (
        f"A kernel of {k} × {k}, {state.in_channels} channels in, {state.out_channels} out, on a map of {rows} × "
        f"{cols} = {rows * cols:,} pixels. Standard: {costs.standard.parameters:,} parameters, "
        f"{costs.standard.multiply_adds:,} multiply-adds. Separable: {costs.depthwise.parameters:,} parameters in the "
        f"depthwise step and {costs.pointwise.parameters:,} in the pointwise one make {costs.separable.parameters:,}, "
        f"with {costs.separable.multiply_adds:,} multiply-adds: {_factor(costs.saving)}, {reason}. Of that price the "
        f"depthwise step takes {costs.depthwise_share:.1%} and "
        f"the pointwise step {1 - costs.depthwise_share:.1%}."
    )
