"""The prediction explorer: what the finished network sees in a scene, or in a photograph of the learner's own.

`prediction_view` draws a state and says it in words; `PredictionExplorer` puts controls around it. The photograph stays
in the notebook's process: it is written nowhere and sent nowhere.
"""

import io
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import ipywidgets as widgets
import numpy as np
from PIL import Image

from ssdseg_course.explorers.canvas import draw_scene
from ssdseg_course.explorers.explorer import SHOWN_WIDTH, Explorer, align
from ssdseg_ref.data import pictures
from ssdseg_ref.data.sample import BACKGROUND
from ssdseg_ref.data.warehouse import CLASSES, SPLITS
from ssdseg_ref.plot import paint_prediction

if TYPE_CHECKING:
    from ssdseg_ref.multitask import Prediction, Predictor

NETWORK = "lesson"
LONGEST_SIDE = 800  # pixels of a photograph that are kept: the network looks at far fewer
MOST_NAMED = 12  # detections, best first
LEAST_SHARE = 0.005  # of the pixels, from which a class of the mask is worth a word


@dataclass(frozen=True)
class PredictionState:
    """What the explorer shows.

    Attributes:
        scene: of the test split, which the network has never seen.
        least_score: of the detections that are drawn.
        photograph: the file's bytes, as any format that Pillow reads; None for the scene.
    """

    scene: int = 33
    least_score: float = 0.4
    photograph: bytes | None = None


def prediction_view(state: PredictionState) -> tuple[np.ndarray, str]:
    """Draw a state, and say it in words.

    Returns:
        picture: (H, W, 3) uint8: the scene or the photograph, with the network's mask and boxes.
        text: the same for those who cannot see it. Where the photograph is not a picture, it says so, and the picture
            is the scene's.
    """
    if state.photograph is None:
        image, name = _scene_image(state.scene), f"Scene {state.scene}"
    else:
        try:
            image = read_photograph(state.photograph)
        except ValueError as error:
            picture, text = prediction_view(replace(state, photograph=None))
            return picture, f"{error} {text}"
        height, width = image.shape[:2]
        name = f"Your photograph, {width} × {height} pixels"
    prediction = _predict(state.scene if state.photograph is None else state.photograph)
    sure = prediction.scores >= state.least_score
    labels, scores = prediction.labels[sure], prediction.scores[sure]
    boxes = prediction.boxes[sure]
    picture = paint_prediction(image, prediction.mask, boxes, labels, scores, tuple(CLASSES), width=2 * SHOWN_WIDTH)
    return picture, _in_words(name, state.least_score, labels, scores, prediction.mask)


def read_photograph(content: bytes) -> np.ndarray:
    """(H, W, 3) uint8, turned upright, at most 800 pixels along its longer side.

    Raises:
        ValueError: if it is not a picture, in words for the learner.
    """
    try:
        picture = Image.fromarray(pictures.read_photograph(io.BytesIO(content)))
    except ValueError:
        raise ValueError("That file could not be read as a picture. A .jpg or a .png will do.") from None
    picture.thumbnail((LONGEST_SIDE, LONGEST_SIDE))
    return np.asarray(picture)


class PredictionExplorer(Explorer):
    """A slider for the scene and one for the least score, a button for a photograph, the picture, and its words."""

    view = staticmethod(prediction_view)

    def __init__(self, state: PredictionState):
        """Begin with a state."""
        self.scene = widgets.IntSlider(
            value=state.scene, max=len(SPLITS["test"]) - 1, description="scene", continuous_update=False
        )
        self.least_score = widgets.FloatSlider(
            value=state.least_score, min=0.05, max=0.95, step=0.05, description="least score"
        )
        self.photograph = widgets.FileUpload(accept="image/*", description="a photograph of yours")
        self.photograph.layout.width = "240px"
        self.back = widgets.Button(description="back to the scenes", disabled=True)
        self.back.on_click(self._forget_photograph)
        self.scene.observe(self._forget_photograph, "value")
        self.photograph.observe(self._allow_back, "value")
        align(self.scene, self.least_score)
        super().__init__(
            [self.scene, self.least_score, self.photograph],
            [self.scene, self.least_score, widgets.HBox([self.photograph, self.back])],
        )

    @property
    def state(self) -> PredictionState:
        """What the controls say."""
        files = self.photograph.value
        return PredictionState(self.scene.value, self.least_score.value, bytes(files[0]["content"]) if files else None)

    def _forget_photograph(self, _: Any) -> None:
        self.photograph.value = ()

    def _allow_back(self, _: Any) -> None:
        self.back.disabled = not self.photograph.value


def explore_predictions(**state: Any) -> PredictionExplorer:
    """The prediction explorer, for the last line of a notebook's cell.

    Args:
        state: where to begin, as in `PredictionState`: scene, least_score, photograph.
    """
    return PredictionExplorer(PredictionState(**state))


@lru_cache(maxsize=1)
def _predictor() -> "Predictor":
    from ssdseg_ref import multitask  # here alone: importing TensorFlow takes seconds

    return multitask.Predictor(multitask.load_network(NETWORK), multitask.SHIPPED[NETWORK])


@lru_cache(maxsize=8)
def _predict(source: int | bytes) -> "Prediction":
    """The prediction for a scene or a photograph, kept so that a slider need not wait for it."""
    image = _scene_image(source) if isinstance(source, int) else read_photograph(source)
    return _predictor()([image])[0]


def _scene_image(scene: int) -> np.ndarray:
    return draw_scene(SPLITS["test"][scene]).image


def _in_words(name: str, least_score: float, labels: np.ndarray, scores: np.ndarray, mask: np.ndarray) -> str:
    found = [f"{CLASSES[label - 1]} {score:.2f}" for label, score in zip(labels, scores, strict=True)]
    more = [f"and {len(found) - MOST_NAMED} more"] if len(found) > MOST_NAMED else []
    shares = np.bincount(mask.ravel(), minlength=len(CLASSES) + 1)[BACKGROUND + 1 :] / mask.size
    parts = [f"{one} {share:.1%}" for one, share in zip(CLASSES, shares, strict=True) if share >= LEAST_SHARE]
    return (
        f"{name}. Boxes with a score of at least {least_score:.2f}: "
        f"{', '.join(found[:MOST_NAMED] + more) or 'none'}. "
        f"Share of the pixels by class: {', '.join(parts) or 'all background'}."
    )
