"""The anchor explorer: lay the anchors of one feature map over a scene, and see which of them catch its boxes.

`anchor_view` draws a state and says it in words; `AnchorExplorer` puts sliders around it. A change is drawn by Pillow
straight into the picture, which takes a small part of what a new matplotlib figure would take.
"""

import html
import io
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

import ipywidgets as widgets
import numpy as np
from IPython.display import HTML, display
from PIL import Image, ImageDraw, ImageFont

from ssdseg_course.exercises.anchor_choice import FEATURE_MAPS, IMAGE_SIZE
from ssdseg_course.explorers.figures import mimebundle
from ssdseg_ref.anchors import anchor_sizes, grid_centers, map_anchors
from ssdseg_ref.boxes import pairwise_iou
from ssdseg_ref.data.sample import Sample
from ssdseg_ref.data.warehouse import CLASSES, render

STRIDES = (8, 16, 32, 64)  # one a feature map, finest first
RATIOS = {"1/4": 1 / 4, "1/3": 1 / 3, "1/2": 1 / 2, "1": 1.0, "2": 2.0, "3": 3.0}
THRESHOLD = 0.5  # IoU from which an anchor counts as a match
SCENES = 100

ZOOM = 3  # screen pixels for a pixel of the network's image
SHARPNESS = 2  # the scene itself is drawn this much finer than the network sees it
SHOWN_WIDTH = 672  # pixels on the page, fewer than the picture has
MARGIN = 32  # around the scene, for anchors that reach over its border
FONT = ImageFont.load_default(size=16)
Point = tuple[float, float]

INK, PAPER, GRID = "#000000", "#FFFFFF", "#FFFFFF80"
CELL, CAUGHT, MISSED = "#F0E442", "#E69F00", "#56B4E9"  # yellow, orange, sky blue of Okabe and Ito 2008


@dataclass(frozen=True)
class AnchorState:
    """What the explorer shows.

    Attributes:
        seed: of the scene.
        level: which feature map, 0 is the finest.
        scale: of this map's anchors, a fraction of the image's shorter side.
        next_scale: of the next map's; the extra square stands between the two.
        aspect_ratios: width / height of the anchors.
        cell: whose anchors to draw, counted row by row.
    """

    seed: int = 47
    level: int = 1
    scale: float = 0.3
    next_scale: float = 0.5
    aspect_ratios: tuple[float, ...] = (0.5, 1.0, 2.0)
    cell: int = 64


def anchor_view(state: AnchorState) -> tuple[np.ndarray, str]:
    """Draw a state, and say it in words.

    Returns:
        picture: (H, W, 3) uint8: the scene, the map's grid, the anchors of the cell, the scene's boxes, and for each of
            them the map's best anchor, dashed where it reaches an IoU of 0.5 and dotted where it does not.
        text: the same for those who cannot see it, with every box's best IoU.
    """
    scene = _scene(state.seed)
    rows, cols = FEATURE_MAPS[state.level]
    shape = (state.scale, state.next_scale, state.aspect_ratios, IMAGE_SIZE)
    anchors = map_anchors(rows, cols, *shape)
    shapes = len(anchors) // (rows * cols)
    own = anchors.reshape(rows * cols, shapes, 4)[state.cell]
    overlaps = pairwise_iou(scene.boxes, anchors)  # (M, N)
    best = anchors[overlaps.argmax(axis=1)]
    ious = overlaps.max(axis=1)
    names = [CLASSES[label - 1] for label in scene.labels]

    canvas = _canvas(state.seed)
    draw = ImageDraw.Draw(canvas, "RGBA")
    _draw_grid(draw, rows, cols, state.cell)
    for box in own:
        _outline(draw, box, CELL, width=2)
    for box in scene.boxes:
        _outline(draw, box, PAPER, width=3)
    for box, iou in zip(best, ious, strict=True):
        caught = iou >= THRESHOLD
        _outline(draw, box, CAUGHT if caught else MISSED, width=4, dash=(18, 8) if caught else (4, 7))
    for box, name, iou in zip(scene.boxes, names, ious, strict=True):
        _write(draw, box, f"{name} {iou:.2f}", CAUGHT if iou >= THRESHOLD else MISSED)
    return np.asarray(canvas), _in_words(state, names, ious)


class AnchorExplorer(widgets.VBox):
    """Sliders, the picture, and the state in words.

    Shown, it first puts out a still picture and then the sliders, so that a viewer without widgets (GitHub, a printed
    page, a notebook opened without running it) has a figure too. The first change clears the still one.
    """

    def __init__(self, state: AnchorState):
        ratios = [
            widgets.Checkbox(value=value in state.aspect_ratios, description=name) for name, value in RATIOS.items()
        ]
        for box in ratios:
            box.indent, box.layout.width = False, "64px"
        self.ratios = dict(zip(RATIOS, ratios, strict=True))
        self.level = widgets.ToggleButtons(
            options=[
                (f"{rows} × {cols}, stride {stride}", level)
                for level, ((rows, cols), stride) in enumerate(zip(FEATURE_MAPS, STRIDES, strict=True))
            ],
            value=state.level,
            description="feature map",
        )
        self.scales = widgets.FloatRangeSlider(
            value=(state.scale, state.next_scale), min=0.05, max=1.5, step=0.05, description="scale, next"
        )
        self.cell = widgets.IntSlider(value=state.cell, max=_cells(state.level) - 1, description="cell")
        self.scene = widgets.IntSlider(value=state.seed, max=SCENES - 1, description="scene")
        for slider in (self.scales, self.cell, self.scene):
            slider.layout.width = "480px"
        for control in (self.level, self.scales, self.cell, self.scene):
            control.style.description_width = "90px"  # or longer names are cut off
        self.picture = widgets.Image(format="png", width=SHOWN_WIDTH)
        self.text = widgets.HTML()
        self._still = None
        self._shown = None
        super().__init__(
            [
                self.picture,
                self.text,
                self.level,
                self.scales,
                widgets.HBox([widgets.Label("aspect ratios, width : height"), *ratios]),
                self.cell,
                self.scene,
            ]
        )
        self._refresh()
        self.level.observe(self._fit_cell, "value")
        for control in (self.level, self.scales, self.cell, self.scene, *ratios):
            control.observe(self._on_change, "value")

    @property
    def state(self) -> AnchorState:
        """What the controls say."""
        scale, next_scale = self.scales.value
        ratios = tuple(RATIOS[name] for name, box in self.ratios.items() if box.value)
        return AnchorState(self.scene.value, self.level.value, scale, next_scale, ratios, self.cell.value)

    def _fit_cell(self, change) -> None:
        self.cell.max = _cells(change.new) - 1  # cuts the cell down to it, too

    def _on_change(self, _) -> None:
        if self._still is not None:
            self._still.update(HTML(""))
            self._still = None
            self.picture.layout.display = None
        self._refresh()

    def _refresh(self) -> None:
        if self.state == self._shown:  # a coarser map has moved the cell, and that has drawn both changes
            return
        self._shown = self.state
        picture, text = anchor_view(self.state)
        self.picture.value = _png(picture)
        self.text.value = f'<div role="status" style="max-width: {SHOWN_WIDTH}px">{html.escape(text)}</div>'

    def _ipython_display_(self) -> None:
        data, metadata = mimebundle(self.picture.value, SHOWN_WIDTH, anchor_view(self.state)[1])
        self._still = display(data, metadata=metadata, raw=True, display_id=True)
        self.picture.layout.display = "none"  # or it would be there twice
        display({**self._repr_mimebundle_(), "text/plain": "Run this cell to move the sliders."}, raw=True)


def explore_anchors(**state) -> AnchorExplorer:
    """The anchor explorer, for the last line of a notebook's cell.

    Args:
        state: where to begin, as in `AnchorState`: seed, level, scale, next_scale, aspect_ratios, cell.
    """
    return AnchorExplorer(AnchorState(**state))


@lru_cache(maxsize=8)
def _scene(seed: int) -> Sample:
    return render(seed, size=tuple(SHARPNESS * side for side in IMAGE_SIZE))


@lru_cache(maxsize=8)
def _blank(seed: int) -> Image.Image:
    height, width = (ZOOM * side for side in IMAGE_SIZE)
    scene = Image.fromarray(_scene(seed).image).resize((width, height), Image.Resampling.BICUBIC)
    canvas = Image.new("RGB", (width + 2 * MARGIN, height + 2 * MARGIN), "#444444")
    canvas.paste(scene, (MARGIN, MARGIN))
    return canvas


def _canvas(seed: int) -> Image.Image:
    return _blank(seed).copy()


def _cells(level: int) -> int:
    rows, cols = FEATURE_MAPS[level]
    return rows * cols


def _place(x: float, y: float) -> tuple[float, float]:
    """A point in fractions of the image, on the canvas."""
    height, width = IMAGE_SIZE
    return MARGIN + ZOOM * width * x, MARGIN + ZOOM * height * y


def _draw_grid(draw: ImageDraw.ImageDraw, rows: int, cols: int, cell: int) -> None:
    """The cells, the chosen one tinted."""
    row, col = divmod(cell, cols)
    draw.rectangle([_place(col / cols, row / rows), _place((col + 1) / cols, (row + 1) / rows)], CELL + "A0")
    for col in range(cols + 1):
        draw.line([_place(col / cols, 0), _place(col / cols, 1)], GRID, 1)
    for row in range(rows + 1):
        draw.line([_place(0, row / rows), _place(1, row / rows)], GRID, 1)


def _outline(draw: ImageDraw.ImageDraw, box, color: str, width: int, dash: tuple[int, int] | None = None) -> None:
    """A box in a dark rim; `dash` is the length of a stroke and of the gap behind it."""
    xmin, ymin, xmax, ymax = box.tolist()
    corners = [_place(x, y) for x, y in ((xmin, ymin), (xmax, ymin), (xmax, ymax), (xmin, ymax), (xmin, ymin))]
    strokes = [corners] if dash is None else _dashes(corners, *dash)
    for stroke in strokes:
        draw.line(stroke, INK, width + 2, joint="curve")
    for stroke in strokes:
        draw.line(stroke, color, width, joint="curve")


def _dashes(corners: list[Point], stroke: int, gap: int) -> list[tuple[Point, Point]]:
    """Pieces of the lines from corner to corner, each line beginning with a whole stroke."""
    pieces = []
    for start, end in pairwise(np.array(corners)):
        length = max(np.abs(end - start).max(), 1)
        begins = np.arange(0, length, stroke + gap)
        ends = np.minimum(begins + stroke, length)
        pieces += [
            tuple(tuple(start + (end - start) * at / length) for at in piece)
            for piece in zip(begins, ends, strict=True)
        ]
    return pieces


def _write(draw: ImageDraw.ImageDraw, box, words: str, color: str) -> None:
    """Words on a ground of their own, over the upper left corner of a box."""
    x, y = _place(max(box[0].item(), 0), max(box[1].item(), 0))
    place = (x + 6, max(y - 13, 13))
    left, top, right, bottom = draw.textbbox(place, words, FONT, anchor="lm")
    draw.rectangle([left - 5, top - 3, right + 5, bottom + 3], color, INK)
    draw.text(place, words, INK, FONT, anchor="lm")


def _png(picture: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "png", compress_level=1)  # a quick answer matters more than a small file
    return buffer.getvalue()


def _in_words(state: AnchorState, names: list[str], ious: np.ndarray) -> str:
    height, width = IMAGE_SIZE
    rows, cols = FEATURE_MAPS[state.level]
    x, y = grid_centers(rows, cols)[state.cell]
    row, col = divmod(state.cell, cols)
    sizes = anchor_sizes(state.scale, state.next_scale, state.aspect_ratios, IMAGE_SIZE) * (width, height)
    shapes = ", ".join(f"{w:.0f} × {h:.0f}" for w, h in sizes)
    sentences = [
        f"Scene {state.seed}, feature map {rows} × {cols}, stride {STRIDES[state.level]}: the middles are "
        f"{width / cols:.0f} pixels apart along x and {height / rows:.0f} along y.",
        f"{rows * cols} cells with {len(sizes)} anchors each make {rows * cols * len(sizes):,}.",
        f"Cell {state.cell} is row {row}, column {col}, with its middle at x = {x:.2f}, y = {y:.2f}.",
        f"Its anchors measure {shapes} pixels, the extra square last.",
    ]
    if names:
        found = ", ".join(f"{name} {iou:.2f}" for name, iou in zip(names, ious, strict=True))
        caught = int(np.sum(ious >= THRESHOLD))
        sentences.append(f"Best IoU of each box: {found}. {caught} of {len(names)} boxes reach {THRESHOLD}.")
    else:
        sentences.append("There is no box in this scene.")
    return " ".join(sentences)
