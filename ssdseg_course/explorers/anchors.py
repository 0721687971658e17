"""The anchor explorer: lay the anchors of one feature map over a scene, and see which of them catch its boxes.

`anchor_view` draws a state and says it in words; `AnchorExplorer` puts sliders around it.
"""

from dataclasses import dataclass
from typing import Any

import ipywidgets as widgets
import numpy as np

from ssdseg_course.exercises.anchor_choice import FEATURE_MAPS
from ssdseg_course.explorers.canvas import CAUGHT, CELL, DASHED, DOTTED, MISSED, PAPER, SCENES, Canvas, draw_scene
from ssdseg_course.explorers.explorer import Explorer, align
from ssdseg_ref.anchors import anchor_sizes, grid_centers, map_anchors
from ssdseg_ref.boxes import pairwise_iou
from ssdseg_ref.data.sample import CLASSES, IMAGE_SIZE

STRIDES = (8, 16, 32, 64)  # one a feature map, finest first
RATIOS = {"1/4": 1 / 4, "1/3": 1 / 3, "1/2": 1 / 2, "1": 1.0, "2": 2.0, "3": 3.0}
THRESHOLD = 0.5  # IoU from which an anchor counts as a match


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
    scene = draw_scene(state.seed)
    rows, cols = FEATURE_MAPS[state.level]
    shape = (state.scale, state.next_scale, state.aspect_ratios, IMAGE_SIZE)
    anchors = map_anchors(rows, cols, *shape)
    shapes = len(anchors) // (rows * cols)
    own = anchors.reshape(rows * cols, shapes, 4)[state.cell]
    overlaps = pairwise_iou(scene.boxes, anchors)  # (M, N)
    best = anchors[overlaps.argmax(axis=1)]
    ious = overlaps.max(axis=1)
    names = [CLASSES[label - 1] for label in scene.labels]

    canvas = Canvas(state.seed)
    canvas.grid(rows, cols, state.cell)
    for box in own:
        canvas.outline(box, CELL, width=2)
    for box in scene.boxes:
        canvas.outline(box, PAPER, width=3)
    for box, iou in zip(best, ious, strict=True):
        caught = iou >= THRESHOLD
        canvas.outline(box, CAUGHT if caught else MISSED, width=4, dash=DASHED if caught else DOTTED)
    for box, name, iou in zip(scene.boxes, names, ious, strict=True):
        canvas.write(box, f"{name} {iou:.2f}", CAUGHT if iou >= THRESHOLD else MISSED)
    return canvas.picture(), _in_words(state, names, ious)


class AnchorExplorer(Explorer):
    """`anchor_view` with sliders for all that a state holds."""

    view = staticmethod(anchor_view)

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
        align(self.level, self.scales, self.cell, self.scene)
        self.level.observe(self._fit_cell, "value")  # before the picture is drawn anew
        super().__init__(
            controls=[self.level, self.scales, self.cell, self.scene, *ratios],
            rows=[
                self.level,
                self.scales,
                widgets.HBox(
                    [widgets.Label("aspect ratios, width : height"), *ratios], layout={"flex_flow": "row wrap"}
                ),
                self.cell,
                self.scene,
            ],
        )

    @property
    def state(self) -> AnchorState:
        """What the controls say."""
        scale, next_scale = self.scales.value
        ratios = tuple(RATIOS[name] for name, box in self.ratios.items() if box.value)
        return AnchorState(self.scene.value, self.level.value, scale, next_scale, ratios, self.cell.value)

    def _fit_cell(self, change: Any) -> None:
        self.cell.max = _cells(change.new) - 1  # cuts the cell down to it, too


def explore_anchors(**state: Any) -> AnchorExplorer:
    """The anchor explorer, for the last line of a notebook's cell.

    Args:
        state: where to begin, as in `AnchorState`: seed, level, scale, next_scale, aspect_ratios, cell.
    """
    return AnchorExplorer(AnchorState(**state))


def _cells(level: int) -> int:
    rows, cols = FEATURE_MAPS[level]
    return rows * cols


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
