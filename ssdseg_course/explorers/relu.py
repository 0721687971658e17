"""The ReLU explorer: what is left of a flat figure that goes through a ReLU in n dimensions and comes back.

`relu_view` draws a state and says it in words; `ReluExplorer` puts controls around it. After figure 1 of Sandler et al.
2018, "MobileNetV2".
"""

from dataclasses import dataclass
from typing import Any

import ipywidgets as widgets
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from ssdseg_course.exercises import EXERCISES
from ssdseg_course.explorers.explorer import SLIDER_WIDTH, Explorer, align

DIMENSIONS = (2, 3, 5, 10, 15, 20, 30, 50)
POINTS = 600
TURNS = 2.5
MOST_MATRICES = 40  # over which the error is averaged
WIDTH, HEIGHT, SIDE, LEGEND_WIDTH = 1344, 700, 560, 180
LARGE, SMALL = ImageFont.load_default(size=28), ImageFont.load_default(size=24)
INK, PAPER, GRID = "#000000", "#FFFFFF", "#CCCCCC"
START, END = np.array([0, 114, 178]), np.array([240, 228, 66])  # blue to yellow of Okabe and Ito 2008


@dataclass(frozen=True)
class ReluState:
    """What the explorer shows.

    Attributes:
        dimensions: of the space in which the ReLU stands.
        matrix: which of the random matrices leads there.
    """

    dimensions: int = 2
    matrix: int = 0


def spiral() -> np.ndarray:
    """(POINTS, 2), from the middle out to a radius of 1."""
    at = np.linspace(0.05, 1, POINTS)
    angle = 2 * np.pi * TURNS * at
    return np.stack([at * np.cos(angle), at * np.sin(angle)], axis=-1)


def draw_matrix(dimensions: int, number: int) -> np.ndarray:
    """(2, dimensions), random."""
    return np.random.default_rng((dimensions, number)).normal(size=(2, dimensions))


def lost(dimensions: int) -> float:
    """Mean distance of the points that come back from where they were, over many matrices, in radii of the spiral.

    What a mere shrinking takes away does not count: the points are enlarged to fit best first.
    """
    return float(np.mean([_distance(*_through(dimensions, number)) for number in range(MOST_MATRICES)]))


def relu_view(state: ReluState) -> tuple[np.ndarray, str]:
    """Draw a state, and say it in words.

    Returns:
        picture: (H, W, 3) uint8: the spiral on the left, what comes back on the right.
        text: the same for those who cannot see it.
    """
    points, back = _through(state.dimensions, state.matrix)
    image = Image.new("RGB", (WIDTH, HEIGHT), PAPER)
    draw = ImageDraw.Draw(image)
    for left, title, shown in (
        (60, "a spiral in 2 dimensions", points),
        (WIDTH - SIDE - 60, f"back from {state.dimensions} dimensions", back / max(np.abs(back).max(), 1e-9)),
    ):
        draw.text((left + SIDE / 2, 40), title, INK, LARGE, anchor="mm")
        draw.rectangle([left, 80, left + SIDE, 80 + SIDE], outline=GRID, width=2)
        _draw_points(draw, left, 80, shown)
    x, y = WIDTH / 2, 80 + SIDE / 2
    draw.line([x - 30, y, x + 10, y], INK, 5)
    draw.polygon([(x + 8, y - 14), (x + 32, y), (x + 8, y + 14)], INK)
    _draw_legend(draw, 60, 80 + SIDE + 34)
    distance, mean = _distance(points, back), lost(state.dimensions)
    moved = f"points moved by {distance:.2f} of the spiral's radius, on average"
    draw.text((WIDTH - 60, 80 + SIDE + 34), moved, INK, SMALL, anchor="rm")
    words = (
        f"A spiral goes into {state.dimensions} dimensions by the random matrix number {state.matrix}, through a "
        f"ReLU, and back. On average its points move by {distance:.2f} of its radius; over {MOST_MATRICES} matrices "
        f"that is {mean:.2f}. {_verdict(mean)}"
    )
    return np.asarray(image), words


class ReluExplorer(Explorer):
    """`relu_view` with a slider for the dimensions and one for the matrix."""

    view = staticmethod(relu_view)

    def __init__(self, state: ReluState):
        self.dimensions = widgets.SelectionSlider(options=DIMENSIONS, value=state.dimensions, description="dimensions")
        self.matrix = widgets.IntSlider(value=state.matrix, max=MOST_MATRICES - 1, description="matrix")
        align(self.dimensions, self.matrix)
        self.dimensions.layout.width = SLIDER_WIDTH
        super().__init__((self.dimensions, self.matrix))

    @property
    def state(self) -> ReluState:
        """What the controls say."""
        return ReluState(self.dimensions.value, self.matrix.value)


def explore_relu(**state: Any) -> ReluExplorer:
    """The ReLU explorer, for the last line of a notebook's cell.

    Args:
        state: where to begin, as in `ReluState`: dimensions, matrix.
    """
    return ReluExplorer(ReluState(**state))


def _through(dimensions: int, number: int) -> tuple[np.ndarray, np.ndarray]:
    points = spiral()
    return points, EXERCISES["04.through_relu"].reference(points, draw_matrix(dimensions, number))


def _distance(points: np.ndarray, back: np.ndarray) -> float:
    scale = (points * back).sum() / max((back * back).sum(), 1e-12)
    return float(np.linalg.norm(points - scale * back, axis=1).mean())


def _verdict(mean: float) -> str:
    if mean > 0.25:
        return "Whole pieces of it are folded or gone."
    return "It is bent, but hardly anything is lost." if mean < 0.165 else "It is bent out of shape, but mostly there."


def _color(share: float) -> tuple[int, ...]:
    """Of a point that lies so far on the way from the inner end, 0, to the outer one, 1."""
    return tuple(np.rint(START + share * (END - START)).astype(int).tolist())


def _radius(share: float) -> float:
    """The colour's other name: the outer end is thicker."""
    return 3 + 5 * share


def _draw_points(draw: ImageDraw.ImageDraw, left: int, top: int, points: np.ndarray) -> None:
    middle, half = np.array([left + SIDE / 2, top + SIDE / 2]), 0.46 * SIDE
    places = middle + half * points * [1, -1]
    shares = np.linspace(0, 1, len(points))
    for rim, fill in ((2, lambda _: INK), (0, _color)):  # first all rims: together they are an outline
        for share, place in zip(shares.tolist(), places, strict=True):
            radius = _radius(share) + rim
            draw.ellipse([*(place - radius), *(place + radius)], fill=fill(share))


def _draw_legend(draw: ImageDraw.ImageDraw, left: float, y: float) -> None:
    """A stroke from thin to thick, with the names of its ends."""
    draw.text((left, y), "inner end", INK, SMALL, anchor="lm")
    begin = left + draw.textlength("inner end", SMALL) + 20
    for share in np.linspace(0, 1, LEGEND_WIDTH).tolist():
        x, radius = begin + LEGEND_WIDTH * share, _radius(share)
        draw.ellipse([x - radius, y - radius, x + radius, y + radius], fill=_color(share))
    draw.text((begin + LEGEND_WIDTH + 20, y), "outer end", INK, SMALL, anchor="lm")
