"""The hits explorer: what a network finds in a scene, where it raises a false alarm, and what it misses.

`hits_view` draws a state and says it in words; `HitsExplorer` puts controls around it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import ipywidgets as widgets
import numpy as np

from ssdseg_course.explorers.canvas import CAUGHT, DASHED, DOTTED, MISSED, SCENES, Canvas, draw_scene
from ssdseg_course.explorers.explorer import Explorer, align
from ssdseg_course.quiet import import_keras
from ssdseg_ref.boxes import pairwise_iou
from ssdseg_ref.data.warehouse import CLASSES, SPLITS
from ssdseg_ref.metrics import assign_detections

if TYPE_CHECKING:
    from ssdseg_ref.multitask import Prediction

LEAST_IOU = 0.5
ALARM = "#F0E442"  # yellow of Okabe and Ito 2008


def found_and_missed(boxes: np.ndarray, truth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What the detections of one class in one image came to.

    Args:
        boxes: (D, 4) corners of the detections, best first.
        truth: (M, 4) corners of what is there.

    Returns:
        hits: (D,) bool, which detections found a box that no better one had found.
        missed: (M,) bool, which boxes no detection was given to. Together with the hits they are M, also where one
            detection overlaps two boxes.
    """
    given = assign_detections(pairwise_iou(boxes, truth), np.array([LEAST_IOU]))[0]
    return given >= 0, ~np.isin(np.arange(len(truth)), given)


def in_words(count: int, thing: str) -> str:
    """ "1 false alarm", "2 false alarms"."""
    return f"{count} {thing}{'s' if count != 1 else ''}"


@dataclass(frozen=True)
class HitsState:
    """What the explorer shows.

    Attributes:
        scene: of the test split.
        least_score: of the detections that count.
    """

    scene: int = 6
    least_score: float = 0.4


def hits_view(state: HitsState, predict: Callable[[int], "Prediction"]) -> tuple[np.ndarray, str]:
    """Draw a state, and say it in words.

    Args:
        state: what to show.
        predict: from the seed of a scene to its `Prediction`.

    Returns:
        picture: (H, W, 3) uint8: hits solid, false alarms dotted, what was missed dashed.
        text: the same for those who cannot see it.
    """
    seed = SPLITS["test"][state.scene]
    truth, prediction = draw_scene(seed), predict(seed)
    canvas = Canvas(seed)
    counts, said = np.zeros(3, int), []
    for label, name in enumerate(CLASSES, start=1):
        rows = np.flatnonzero((prediction.labels == label) & (prediction.scores >= state.least_score))
        boxes, true = prediction.boxes[rows], truth.boxes[truth.labels == label]
        hits, missed = found_and_missed(boxes, true)
        for group, color, dash, mark in (
            (boxes[hits], CAUGHT, None, ""),
            (boxes[~hits], ALARM, DOTTED, "?"),
            (true[missed], MISSED, DASHED, " missed"),
        ):
            for box in group:
                canvas.outline(box, color, 3, dash)
                canvas.write(box, name + mark, color)
        here = (int(hits.sum()), int((~hits).sum()), int(missed.sum()))
        counts += here
        said.append(f"{name}: {here[0]} found, {in_words(here[1], 'false alarm')}, {here[2]} missed")
    return canvas.picture(), (
        f"Scene {state.scene}, scores of at least {state.least_score:.2f}: {counts[0]} found (solid), "
        f"{in_words(counts[1], 'false alarm')} (dotted), {counts[2]} missed (dashed). {'; '.join(said)}."
    )


class HitsExplorer(Explorer):
    """`hits_view` with a slider for the scene and one for the least score."""

    def __init__(self, state: HitsState, network: Any = None):
        """Begin with a state.

        Args:
            state: where to begin.
            network: of the lesson preset; by default the one that comes with the course.
        """
        self._network = network
        self._predict = lru_cache(maxsize=SCENES)(self._predict_anew)
        self.scene = widgets.IntSlider(value=state.scene, max=SCENES - 1, description="scene", continuous_update=False)
        self.least_score = widgets.FloatSlider(
            value=state.least_score, min=0.05, max=0.95, step=0.05, description="least score"
        )
        align(self.scene, self.least_score)
        super().__init__((self.scene, self.least_score))

    @property
    def state(self) -> HitsState:
        """What the controls say."""
        return HitsState(self.scene.value, self.least_score.value)

    def view(self, state: HitsState) -> tuple[np.ndarray, str]:
        """Draw a state, and say it in words."""
        return hits_view(state, self._predict)

    def _predict_anew(self, seed: int) -> "Prediction":
        import_keras()
        from ssdseg_ref.multitask import LESSON, Predictor, load_network

        self._network = self._network or load_network("lesson")
        return Predictor(self._network, LESSON)([draw_scene(seed).image])[0]


def explore_hits(network: Any = None, **state: Any) -> HitsExplorer:
    """The hits explorer, for the last line of a notebook's cell.

    Args:
        network: of the lesson preset; by default the one that comes with the course.
        state: where to begin, as in `HitsState`: scene, least_score.
    """
    return HitsExplorer(HitsState(**state), network)
