"""The matching explorer: drag the threshold, move a box, and see which anchors answer for it.

`matching_view` draws a state and says it in words; `MatchingExplorer` puts sliders around it.
"""

from dataclasses import dataclass
from functools import cache
from typing import Any

import ipywidgets as widgets
import numpy as np

from ssdseg_course.exercises.anchor_choice import FEATURE_MAPS
from ssdseg_course.explorers.canvas import CAUGHT, DASHED, DOTTED, MISSED, PAPER, Canvas, draw_scene
from ssdseg_course.explorers.explorer import Explorer, align
from ssdseg_ref.anchors import AnchorSpec, make_anchors
from ssdseg_ref.boxes import pairwise_iou, to_pixels
from ssdseg_ref.data.sample import CLASSES, IMAGE_SIZE
from ssdseg_ref.matching import UNMATCHED, match_anchors

ANCHOR_SPEC = AnchorSpec(IMAGE_SIZE, FEATURE_MAPS, (0.17, 0.3, 0.55, 0.8, 1.1), (0.43, 2.4))  # lesson 1 ends with it
SCENES = 300
NEAREST = 6  # anchors without a box that are drawn, those that come nearest
Sides = tuple[float, float]


@dataclass(frozen=True)
class MatchingState:
    """What the explorer shows.

    Attributes:
        seed: of the scene.
        threshold: least IoU of an anchor that takes a box, over 0.
        box: the selected one, by its place in the scene's list; None in a scene without boxes.
        x: its left and right side in pixels of the network's image; None where the scene has them.
        y: its upper and lower side.
    """

    seed: int = 234
    threshold: float = 0.5
    box: int | None = 0
    x: Sides | None = None
    y: Sides | None = None


def matching_view(state: MatchingState) -> tuple[np.ndarray, str]:
    """Draw a state, and say it in words.

    Returns:
        picture: (H, W, 3) uint8: the scene's boxes with the number of their anchors; of the selected box the
            anchors that have it, dashed, the first that it got, solid, and the nearest of those without a box, dotted.
        text: the same for those who cannot see it.
    """
    boxes, names = _boxes(state), _names(state.seed)
    ious = pairwise_iou(boxes, _anchors())  # (M, N)
    matches = match_anchors(_anchors(), boxes, state.threshold)
    own = [_best_first(ious[box], matches == box) for box in range(len(boxes))]
    canvas = Canvas(state.seed)
    nearest = np.zeros(0, int)
    if state.box is not None:
        selected = ious[state.box]
        nearest = _best_first(selected, (matches == UNMATCHED) & (selected > 0))[:NEAREST]
        for anchor in nearest:
            canvas.outline(_anchors()[anchor], MISSED, width=2, dash=DOTTED)
        for anchor in own[state.box][1:]:
            canvas.outline(_anchors()[anchor], CAUGHT, width=2, dash=DASHED)
        for anchor in own[state.box][:1]:
            canvas.outline(_anchors()[anchor], CAUGHT, width=4)
    for number, box in enumerate(boxes):
        canvas.outline(box, PAPER, width=4 if number == state.box else 2)
    for number, box in enumerate(boxes):
        canvas.write(box, f"{number} {names[number]}: {len(own[number])}", CAUGHT if number == state.box else PAPER)
    return canvas.picture(), _in_words(state, boxes, ious, own, nearest)


class MatchingExplorer(Explorer):
    """`matching_view` with sliders for all that a state holds.

    The two sides of a box are the ends of one slider: dragging an end resizes the box, dragging the bar between them
    moves it.
    """

    view = staticmethod(matching_view)

    def __init__(self, state: MatchingState):
        height, width = IMAGE_SIZE
        self.threshold = widgets.FloatSlider(
            value=state.threshold, min=0.2, max=0.9, step=0.02, description="threshold"
        )
        self.box = widgets.Dropdown(options=_options(state.seed), value=state.box, description="selected box")
        self.x = widgets.FloatRangeSlider(max=width, step=0.5, description="x, pixels")
        self.y = widgets.FloatRangeSlider(max=height, step=0.5, description="y, pixels")
        self.scene = widgets.IntSlider(value=state.seed, max=SCENES - 1, description="scene")
        self._place(state)
        for slider in (self.x, self.y):
            slider.readout_format = ".0f"
        controls = (self.threshold, self.box, self.x, self.y, self.scene)
        align(*controls)
        self.scene.observe(self._fit_boxes, "value")
        self.box.observe(self._fit_sides, "value")
        super().__init__(controls)

    @property
    def state(self) -> MatchingState:
        """What the controls say."""
        if self.box.value is None:
            return MatchingState(self.scene.value, self.threshold.value, None)
        return MatchingState(self.scene.value, self.threshold.value, self.box.value, self.x.value, self.y.value)

    def _fit_boxes(self, change: Any) -> None:
        with self.one_change():
            self.box.options = _options(change.new)
            self.box.index = 0 if self.box.options else None
            self._place(MatchingState(change.new, box=self.box.value))

    def _fit_sides(self, change: Any) -> None:
        with self.one_change():
            self._place(MatchingState(self.scene.value, box=change.new))

    def _place(self, state: MatchingState) -> None:
        """Set the sliders to the sides of the selected box."""
        if state.box is not None:
            xmin, ymin, xmax, ymax = to_pixels(_boxes(state)[state.box], IMAGE_SIZE).round(1).tolist()
            self.x.value, self.y.value = (xmin, xmax), (ymin, ymax)


def explore_matching(**state: Any) -> MatchingExplorer:
    """The matching explorer, for the last line of a notebook's cell.

    Args:
        state: where to begin, as in `MatchingState`: seed, threshold, box, x, y.
    """
    return MatchingExplorer(MatchingState(**state))


@cache
def _anchors() -> np.ndarray:
    return make_anchors(ANCHOR_SPEC)


def _names(seed: int) -> list[str]:
    return [CLASSES[label - 1] for label in draw_scene(seed).labels]


def _options(seed: int) -> list[tuple[str, int]]:
    return [(f"{number} {name}", number) for number, name in enumerate(_names(seed))]


def _boxes(state: MatchingState) -> np.ndarray:
    """The scene's boxes, the selected one where the state puts it."""
    boxes = draw_scene(state.seed).boxes.copy()
    if state.x is not None:
        boxes[state.box, 0::2] = np.divide(state.x, IMAGE_SIZE[1])
    if state.y is not None:
        boxes[state.box, 1::2] = np.divide(state.y, IMAGE_SIZE[0])
    return boxes


def _best_first(ious: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """Indices of the chosen anchors, the largest IoU first: that one is what the greedy half gave a box."""
    anchors = np.flatnonzero(chosen)
    return anchors[np.argsort(-ious[anchors], kind="stable")]


def _in_words(
    state: MatchingState, boxes: np.ndarray, ious: np.ndarray, own: list[np.ndarray], nearest: np.ndarray
) -> str:
    positives, total = sum(map(len, own)), len(_anchors())
    sentences = [
        f"Scene {state.seed}, threshold {state.threshold:.2f}: {positives} of {total:,} anchors are positive, "
        f"{total - positives:,} are background."
    ]
    if state.box is None:
        return f"{sentences[0]} There is no box in this scene."
    for number, (name, anchors) in enumerate(zip(_names(state.seed), own, strict=True)):
        found = _found(ious[number], anchors, state.threshold)
        sentences.append(f"Box {number}, {name}: {found}.")
    xmin, ymin, xmax, ymax = to_pixels(boxes[state.box], IMAGE_SIZE)
    sentences.append(
        f"Box {state.box} is selected: {xmax - xmin:.0f} × {ymax - ymin:.0f} pixels, its upper left corner at "
        f"x = {xmin:.0f}, y = {ymin:.0f}."
    )
    if len(nearest):
        best = ious[state.box][nearest[0]]
        sentences.append(f"The best of the anchors without a box overlaps it by {best:.3f}.")
    return " ".join(sentences)


def _found(ious: np.ndarray, anchors: np.ndarray, threshold: float) -> str:
    if not len(anchors):
        return "no anchor touches it"
    first = ious[anchors[0]]
    if first < threshold:
        return f"1 anchor, with an IoU of {first:.3f}, under the threshold: it got that one first, as every box does"
    return f"{len(anchors)} anchor{'s' if len(anchors) > 1 else ''}, the first with an IoU of {first:.3f}"
