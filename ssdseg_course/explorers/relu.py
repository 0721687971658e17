"""The ReLU explorer: what is left of a flat figure that goes through a ReLU in n dimensions and comes back.

`relu_view` draws a state and says it in words; `ReluExplorer` puts controls around it. After figure 1 of Sandler et al.
2018, "MobileNetV2".
"""

from dataclasses import dataclass

import ipywidgets as widgets
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from ssdseg_course.exercises.mobilenetv2 import through_relu
from ssdseg_course.explorers.explorer import SLIDER_WIDTH, Explorer, align

DIMENSIONS = (2, 3, 5, 10, 15, 20, 30, 50)
POINTS = 600
TURNS = 2.5
MOST_MATRICES = 40  # over which the error is averaged
WIDTH, HEIGHT, SIDE = 1344, 700, 560
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
    distance, mean = _distance(points, back), lost(state.dimensions)
    words = (
        f"A spiral goes into {state.dimensions} dimensions by the random matrix number {state.matrix}, through a "
        f"ReLU, and "
        f"back. Its points end {distance:.2f} radii from where they were, on average; over {MOST_MATRICES} matrices "
        f"the "
        f"mean is {mean:.2f}. {_verdict(mean)}"
    )
    draw.text(
        (60, HEIGHT - 30), f"lost: {distance:.2f}, over many matrices {mean:.2f} (radii)", INK, SMALL, anchor="lm"
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


def explore_relu(**state) -> ReluExplorer:
    """The ReLU explorer, for the last line of a notebook's cell.

    Args:
        state: where to begin, as in `ReluState`: dimensions, matrix.
    """
    return ReluExplorer(ReluState(**state))


def _through(dimensions: int, number: int) -> tuple[np.ndarray, np.ndarray]:
    points = spiral()
    return points, through_relu(points, draw_matrix(dimensions, number))


def _distance(points: np.ndarray, back: np.ndarray) -> float:
    scale = (points * back).sum() / max((back * back).sum(), 1e-12)
    return float(np.linalg.norm(points - scale * back, axis=1).mean())


def _verdict(mean: float) -> str:
    if mean > 0.25:
        return "Whole pieces of it are folded or gone."
    return "It is bent, but hardly anything is lost." if mean < 0.165 else "It is bent out of shape, but mostly there."


def _draw_points(draw: ImageDraw.ImageDraw, left: int, top: int, points: np.ndarray) -> None:
    middle, half = np.array([left + SIDE / 2, top + SIDE / 2]), 0.46 * SIDE
    for at, (x, y) in enumerate(points * [1, -1]):
        share = at / (len(points) - 1)
        color = tuple(np.rint(START + share * (END - START)).astype(int).tolist())
        radius = 3 + 5 * share  # the colour's other name: the outer end is thicker
        place = middle + half * np.array([x, y])
        draw.ellipse([*(place - radius), *(place + radius)], fill=color, outline=INK if at % 40 == 0 else None)
