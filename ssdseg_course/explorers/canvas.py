"""A scene to draw on: boxes, a grid and words, by Pillow, straight into the picture.

That takes a small part of what a new matplotlib figure would take, so an explorer answers while a slider moves. All
places are fractions of the image. Lines differ in style and not in colour alone; colours are those of Okabe and Ito
2008.
"""

from functools import lru_cache
from itertools import pairwise

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from ssdseg_ref.data.sample import IMAGE_SIZE, Sample
from ssdseg_ref.data.warehouse import render

SCENES = 100  # that an explorer offers
ZOOM = 3  # screen pixels for a pixel of the network's image
SHARPNESS = 2  # the scene itself is drawn this much finer than the network sees it
MARGIN = 32  # around the scene, for anchors that reach over its border
FONT = ImageFont.load_default(size=16)
Point = tuple[float, float]
Rectangle = tuple[float, float, float, float]  # left, top, right, bottom

INK, PAPER, GRID = "#000000", "#FFFFFF", "#FFFFFF80"
CELL, CAUGHT, MISSED = "#F0E442", "#E69F00", "#56B4E9"  # yellow, orange, sky blue of Okabe and Ito 2008
DASHED, DOTTED = (18, 8), (4, 7)  # length of a stroke, and of the gap behind it


@lru_cache(maxsize=8)
def draw_scene(seed: int) -> Sample:
    """A scene of the Warehouse, finer than the network sees it."""
    height, width = IMAGE_SIZE
    return render(seed, size=(SHARPNESS * height, SHARPNESS * width))


class Canvas:
    """A scene with a margin around it, and what is drawn over it."""

    def __init__(self, seed: int):
        """Begin with the scene of that seed alone."""
        self._image = blank_canvas(seed).copy()
        self._draw = ImageDraw.Draw(self._image, "RGBA")
        self._written: list[Rectangle] = []

    def picture(self) -> np.ndarray:
        """What has been drawn: (H, W, 3) uint8."""
        return np.asarray(self._image)

    def grid(self, rows: int, cols: int, cell: int) -> None:
        """The cells of a feature map, the chosen one tinted."""
        row, col = divmod(cell, cols)
        self._draw.rectangle([_place(col / cols, row / rows), _place((col + 1) / cols, (row + 1) / rows)], CELL + "A0")
        for col in range(cols + 1):
            self._draw.line([_place(col / cols, 0), _place(col / cols, 1)], GRID, 1)
        for row in range(rows + 1):
            self._draw.line([_place(0, row / rows), _place(1, row / rows)], GRID, 1)

    def outline(self, box: np.ndarray, color: str, width: int, dash: tuple[int, int] | None = None) -> None:
        """A (4,) box of corners in a dark rim; `dash` is DASHED, DOTTED, or None for a solid line."""
        xmin, ymin, xmax, ymax = box.tolist()
        corners = [_place(x, y) for x, y in ((xmin, ymin), (xmax, ymin), (xmax, ymax), (xmin, ymax), (xmin, ymin))]
        strokes = [corners] if dash is None else _dashes(corners, *dash)
        for stroke in strokes:
            self._draw.line(stroke, INK, width + 2, joint="curve")
        for stroke in strokes:
            self._draw.line(stroke, color, width, joint="curve")

    def dot(self, x: float, y: float, color: str, radius: int) -> None:
        """A disc in a dark rim, around a point in fractions of the image; the radius in screen pixels."""
        x, y = _place(x, y)
        self._draw.ellipse([x - radius, y - radius, x + radius, y + radius], color, INK)

    def write(self, box: np.ndarray, words: str, color: str) -> None:
        """Words on a ground of their own, over the upper left corner of a box, or below words that stand there."""
        x, y = _place(max(box[0].item(), 0), max(box[1].item(), 0))
        place = (x + 6, max(y - 13, 13))
        while any(_overlap(self._ground(place, words), other) for other in self._written):
            place = (place[0], place[1] + 1)
        ground = self._ground(place, words)
        self._written.append(ground)
        self._draw.rectangle(ground, color, INK)
        self._draw.text(place, words, INK, FONT, anchor="lm")

    def _ground(self, place: Point, words: str) -> Rectangle:
        left, top, right, bottom = self._draw.textbbox(place, words, FONT, anchor="lm")
        return left - 5, top - 3, right + 5, bottom + 3


@lru_cache(maxsize=8)
def blank_canvas(seed: int) -> Image.Image:
    """The scene of that seed in its margin, with nothing drawn over it."""
    height, width = (ZOOM * side for side in IMAGE_SIZE)
    scene = Image.fromarray(draw_scene(seed).image).resize((width, height), Image.Resampling.BICUBIC)
    canvas = Image.new("RGB", (width + 2 * MARGIN, height + 2 * MARGIN), "#444444")
    canvas.paste(scene, (MARGIN, MARGIN))
    return canvas


def _place(x: float, y: float) -> Point:
    """A point in fractions of the image, on the canvas."""
    height, width = IMAGE_SIZE
    return MARGIN + ZOOM * width * x, MARGIN + ZOOM * height * y


def _overlap(a: Rectangle, b: Rectangle) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def _dashes(corners: list[Point], stroke: int, gap: int) -> list[tuple[Point, Point]]:
    """Pieces of the lines from corner to corner, each line beginning with a whole stroke."""
    pieces = []
    for (x0, y0), (x1, y1) in pairwise(corners):
        length = max(abs(x1 - x0), abs(y1 - y0), 1)
        x_step, y_step = (x1 - x0) / length, (y1 - y0) / length
        for begin in np.arange(0, length, stroke + gap).tolist():
            end = min(begin + stroke, length)
            pieces.append(((x0 + x_step * begin, y0 + y_step * begin), (x0 + x_step * end, y0 + y_step * end)))
    return pieces
