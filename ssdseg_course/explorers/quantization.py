"""The quantisation explorer: a picture's brightness in a few whole numbers, laid over a range that can be dragged.

`quantization_view` draws a state and says it in words; `QuantizationExplorer` puts controls around it.
"""

from dataclasses import dataclass
from functools import cache
from typing import Any

import ipywidgets as widgets
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from ssdseg_course.explorers.explorer import SLIDER_WIDTH, Explorer, align
from ssdseg_ref.data import warehouse
from ssdseg_ref.quantization import dequantize, quantization_parameters, quantize

BITS = (2, 3, 4, 5, 6, 7, 8)
LOWEST, HIGHEST = 0.0, 4.0  # of the range; the picture's values lie between 0 and 1
SCENE = warehouse.SPLITS["validation"][3]
SIZE = (240, 320)

WIDTH, HEIGHT = 1344, 720  # of the picture, twice what the page shows
LEFT, TOP, GAP = 20, 60, 24
SHOWN = (480, 640)  # (height, width) of the picture at work
AXIS_TOP, AXIS_BOTTOM = 80, 500
BINS = 128
CROWDED = 6  # bits: their lines would hide the histogram
GREY_LEVELS = 255
LARGE, SMALL = ImageFont.load_default(size=28), ImageFont.load_default(size=24)
INK, PAPER, GRID = "#000000", "#FFFFFF", "#CCCCCC"
VALUES, LEVELS, CUT = "#56B4E9", "#D55E00", "#E69F00"  # sky blue, vermilion, orange of Okabe and Ito 2008


@dataclass(frozen=True)
class QuantizationState:
    """What the explorer shows.

    Attributes:
        high: the largest value of the range, which begins at 0; the picture's are 0 to 1.
        bits: of a whole number.
    """

    high: float = 1.0
    bits: int = 3


@cache
def brightness() -> np.ndarray:
    """(H, W) in 0..1: what a picture weighs to the eye, one number a pixel."""
    image = warehouse.render(SCENE, size=SIZE).image
    return np.asarray(Image.fromarray(image).convert("L"), np.float64) / GREY_LEVELS


def quantization_view(state: QuantizationState) -> tuple[np.ndarray, str]:
    """Draw a state, and say it in words.

    Returns:
        picture: (H, W, 3) uint8: the picture as it comes back, and beside it how many pixels have which value, with
            the values that are left as lines.
        text: the same for those who cannot see it.
    """
    values = brightness()
    scale, zero_point = quantization_parameters(LOWEST, state.high, state.bits)
    back = dequantize(quantize(values, scale, zero_point, state.bits), scale, zero_point)
    image = Image.new("RGB", (WIDTH, HEIGHT), PAPER)
    draw = ImageDraw.Draw(image)
    draw.text((LEFT, 30), f"the picture in {state.bits} bits, 0 to {state.high:g}", INK, LARGE, anchor="lm")
    seen = Image.fromarray(np.round(np.clip(back, 0, 1) * GREY_LEVELS).astype(np.uint8)).resize(
        SHOWN[::-1], Image.Resampling.NEAREST
    )
    image.paste(seen.convert("RGB"), (LEFT, TOP))
    _draw_histogram(draw, LEFT + SHOWN[1] + 2 * GAP, WIDTH - GAP, values, state, scale)
    cut = values > state.high + scale / 2
    errors = back - values
    share = float(np.sum(errors[cut] ** 2) / max(np.sum(errors**2), 1e-12))
    used = len(np.unique(back))
    error = float(np.sqrt(np.mean(errors**2))) * GREY_LEVELS
    facts = (
        f"scale {scale:.4f}, zero point {zero_point}: {used} of {2**state.bits} whole numbers are in use",
        f"error {error:.2f} of {GREY_LEVELS} grey levels (root of the mean square)",
        f"of its square, {1 - share:.0%} comes from rounding, {share:.0%} from what is cut off at the top",
    )
    for line, fact in enumerate(facts):
        draw.text((LEFT, TOP + SHOWN[0] + 45 + 50 * line), fact, INK, LARGE, anchor="lm")
    text = (
        f"A drawn warehouse in shades of grey, its brightness between 0 and 1, kept in {state.bits} bits over a range "
        f"from 0 to {state.high:g}. The scale is {scale:.4f} and the zero point {zero_point}; {used} of the "
        f"{2**state.bits} whole numbers are in use. {np.mean(cut):.1%} of the pixels are cut off at the top. The error "
        f"is {error:.2f} of {GREY_LEVELS} grey levels, as the root of its mean square; of that square {1 - share:.0%} "
        f"comes from rounding and {share:.0%} from what is cut off."
    )
    return np.asarray(image), text


class QuantizationExplorer(Explorer):
    """`quantization_view` with sliders for the range's end and the bits."""

    view = staticmethod(quantization_view)

    def __init__(self, state: QuantizationState):
        self.high = widgets.FloatSlider(
            value=state.high, min=0.1, max=HIGHEST, step=0.05, description="range to", readout_format=".2f"
        )
        self.bits = widgets.SelectionSlider(options=BITS, value=state.bits, description="bits")
        align(self.high, self.bits)
        self.bits.layout.width = SLIDER_WIDTH
        super().__init__((self.high, self.bits))

    @property
    def state(self) -> QuantizationState:
        """What the controls say."""
        return QuantizationState(round(self.high.value, 2), self.bits.value)


def explore_quantization(**state: Any) -> QuantizationExplorer:
    """The quantisation explorer, for the last line of a notebook's cell.

    Args:
        state: where to begin, as in `QuantizationState`: high, bits.
    """
    return QuantizationExplorer(QuantizationState(**state))


def _draw_histogram(
    draw: ImageDraw.ImageDraw, left: int, right: int, values: np.ndarray, state: QuantizationState, scale: float
) -> None:
    """How many pixels have which value; the levels that are kept as lines; what is cut off in another colour."""
    draw.text((left, 30), "its values, and the levels that are left", INK, LARGE, anchor="lm")
    counts, edges = np.histogram(values, BINS, (0, 1))
    heights = np.sqrt(counts / counts.max()) * (AXIS_BOTTOM - AXIS_TOP)  # the root, or rare values are not seen

    def place(value: float) -> float:
        return left + value * (right - left)

    for height, start, end in zip(heights, edges[:-1], edges[1:], strict=True):
        color = CUT if (start + end) / 2 > state.high + scale / 2 else VALUES
        draw.rectangle([place(start), AXIS_BOTTOM - height, place(end), AXIS_BOTTOM], color)
    for level in range(2**state.bits):
        if level * scale <= 1:
            x = place(level * scale)
            if state.bits < CROWDED:
                draw.line([x, AXIS_TOP, x, AXIS_BOTTOM + 12], LEVELS, 3)
            else:
                draw.line([x, AXIS_BOTTOM, x, AXIS_BOTTOM + 12], LEVELS, 1)
    draw.line([left, AXIS_BOTTOM, right, AXIS_BOTTOM], INK, 3)
    for value in (0, 0.5, 1):
        anchor = {0.0: "lm", 1.0: "rm"}.get(value, "mm")
        draw.text((place(value), AXIS_BOTTOM + 32), f"{value:g}", INK, SMALL, anchor=anchor)
