"""The suppression explorer: what the two thresholds of NMS keep, drop and never look at.

`suppression_view` draws a state and says it in words; `SuppressionExplorer` puts controls around it.
"""

from dataclasses import dataclass
from typing import Any

import ipywidgets as widgets
import numpy as np

from ssdseg_course.explorers.canvas import CAUGHT, DOTTED, MISSED, SCENES, Canvas
from ssdseg_course.explorers.explorer import Explorer, align
from ssdseg_course.explorers.raw_output import raw_output
from ssdseg_ref.data.warehouse import CLASSES, SPLITS
from ssdseg_ref.nms import non_max_suppression

MOST_KEPT = 200


@dataclass(frozen=True)
class SuppressionState:
    """What the explorer shows.

    Attributes:
        scene: of the test split.
        label: the class, from 1.
        iou_threshold: over which a box suppresses a worse one.
        score_threshold: below which a box does not take part.
    """

    scene: int = 19
    label: int = 1
    iou_threshold: float = 0.45
    score_threshold: float = 0.3


def suppression_view(state: SuppressionState) -> tuple[np.ndarray, str]:
    """Draw a state, and say it in words.

    Returns:
        picture: (H, W, 3) uint8: kept boxes solid, with their scores, suppressed ones dotted.
        text: the same for those who cannot see it.
    """
    seed = SPLITS["test"][state.scene]
    output = raw_output(seed)
    scores = output.shares[:, state.label]
    boxes = np.clip(output.boxes, 0, 1)
    takes_part = np.flatnonzero(scores >= state.score_threshold)
    kept = non_max_suppression(boxes, scores, state.iou_threshold, state.score_threshold, MOST_KEPT)
    canvas = Canvas(seed)
    for index in np.setdiff1d(takes_part, kept):
        canvas.outline(boxes[index], MISSED, 2, DOTTED)
    for index in kept[::-1]:
        canvas.outline(boxes[index], CAUGHT, 4)
    for index in kept[::-1]:
        canvas.write(boxes[index], f"{scores[index]:.2f}", CAUGHT)
    name = CLASSES[state.label - 1]
    listed = ", ".join(f"{scores[index]:.2f}" for index in kept[:8]) + (", ..." if len(kept) > 8 else "")
    return canvas.picture(), (
        f"Scene {state.scene}, {name}: of {len(scores):,} boxes {len(takes_part)} have a score of at least "
        f"{state.score_threshold:.2f}. Kept, solid: {len(kept)}{f' with the scores {listed}' if len(kept) else ''}. "
        f"Suppressed, dotted: {len(takes_part) - len(kept)}, each overlapping a better one by an IoU over "
        f"{state.iou_threshold:.2f}."
    )


class SuppressionExplorer(Explorer):
    """`suppression_view` with a slider for the scene, buttons for the class, and one slider per threshold."""

    view = staticmethod(suppression_view)

    def __init__(self, state: SuppressionState):
        self.scene = widgets.IntSlider(value=state.scene, max=SCENES - 1, description="scene", continuous_update=False)
        self.label = widgets.ToggleButtons(
            options=[(name, label) for label, name in enumerate(CLASSES, start=1)],
            value=state.label,
            description="class",
        )
        self.iou_threshold = widgets.FloatSlider(value=state.iou_threshold, min=0, max=1, step=0.05, description="IoU")
        self.score_threshold = widgets.FloatSlider(
            value=state.score_threshold, min=0.05, max=0.95, step=0.05, description="score"
        )
        controls = (self.scene, self.label, self.iou_threshold, self.score_threshold)
        align(*controls)
        super().__init__(controls)

    @property
    def state(self) -> SuppressionState:
        """What the controls say."""
        return SuppressionState(
            self.scene.value, self.label.value, self.iou_threshold.value, self.score_threshold.value
        )


def explore_suppression(**state: Any) -> SuppressionExplorer:
    """The suppression explorer, for the last line of a notebook's cell.

    Args:
        state: where to begin, as in `SuppressionState`: scene, label, iou_threshold, score_threshold.
    """
    return SuppressionExplorer(SuppressionState(**state))
