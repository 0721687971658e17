"""The mining explorer: which anchors without a box are hardest, and how many of them count.

`mining_view` draws a state and says it in words; `MiningExplorer` puts controls around it.
"""

from dataclasses import dataclass
from typing import Any

import ipywidgets as widgets
import numpy as np

from ssdseg_course.explorers.canvas import CAUGHT, DASHED, DOTTED, MISSED, SCENES, Canvas, draw_scene
from ssdseg_course.explorers.explorer import Explorer, align
from ssdseg_course.explorers.raw_output import raw_output
from ssdseg_ref.boxes import pairwise_iou
from ssdseg_ref.data.warehouse import CLASSES, SPLITS

NEGATIVES_PER_POSITIVE, LEAST_NEGATIVES = 3, 3  # as ssdseg_ref.losses has them; it imports Keras, which takes seconds
MOST_PER_POSITIVE = 10
HARDEST_DRAWN = 5
NEARLY = 0.3  # an IoU from which on an anchor nearly had a box


@dataclass(frozen=True)
class MiningState:
    """What the explorer shows.

    Attributes:
        scene: of the test split.
        ratio: negatives that are mined for each positive; never fewer than three in an image.
        positives: whether the positives are drawn, too.
    """

    scene: int = 19
    ratio: int = NEGATIVES_PER_POSITIVE
    positives: bool = False


def mining_view(state: MiningState) -> tuple[np.ndarray, str]:
    """Draw a state, and say it in words.

    Returns:
        picture: (H, W, 3) uint8: the hardest of the anchors that were mined, numbered, the first of them dashed and
            the others dotted, and a disc in the middle of each of the rest; positives solid.
        text: the same for those who cannot see it.
    """
    seed = SPLITS["test"][state.scene]
    output = raw_output(seed)
    positives, negatives = np.flatnonzero(output.positive), np.flatnonzero(~output.positive)
    wanted = max(state.ratio * len(positives), LEAST_NEGATIVES)
    mined = negatives[np.argsort(-output.losses[negatives], kind="stable")][:wanted]
    overlaps = pairwise_iou(output.anchors, draw_scene(seed).boxes).max(axis=1, initial=0)
    canvas = Canvas(seed)
    for index in mined[HARDEST_DRAWN:]:
        xmin, ymin, xmax, ymax = output.anchors[index].tolist()
        canvas.dot((xmin + xmax) / 2, (ymin + ymax) / 2, MISSED, 5)
    for index in positives if state.positives else ():
        canvas.outline(output.anchors[index], CAUGHT, 3)
    hardest = list(enumerate(mined[:HARDEST_DRAWN], start=1))
    for number, index in reversed(hardest):
        canvas.outline(output.anchors[index], MISSED, *((4, DASHED) if number == 1 else (2, DOTTED)))
    guesses = [f"{number}: {_guess(output.shares[index])}" for number, index in hardest]
    for (_, index), guess in zip(hardest, guesses, strict=True):
        canvas.write(output.anchors[index], guess, MISSED)
    every, some = output.losses[negatives].sum(), output.losses[mined].sum()
    listed = "; ".join(
        f"{guess}, IoU with a box {overlaps[index]:.2f}" for (_, index), guess in zip(hardest, guesses, strict=True)
    )
    return canvas.picture(), (
        f"Scene {state.scene}: {len(positives)} of {len(output.losses):,} anchors have a box"
        f"{', solid' * state.positives}; their class losses add up to {output.losses[positives].sum():.1f}. The other "
        f"{len(negatives):,} together have {every:.1f}. With {state.ratio} per positive, at least {LEAST_NEGATIVES}, "
        f"{len(mined)} are mined. They have {some:.1f}, and the least hard of them {output.losses[mined[-1]]:.2f}. "
        f"{np.sum(overlaps[mined] >= NEARLY)} of them overlap a box by an IoU of {NEARLY} or more, too little to get "
        f"it. The hardest, with what they are taken for: {listed}. Of the others a disc in the middle."
    )


def _guess(shares: np.ndarray) -> str:
    """What an anchor is taken for, and how surely."""
    label = int(shares[1:].argmax()) + 1
    return f"{CLASSES[label - 1]} {shares[label]:.0%}"


class MiningExplorer(Explorer):
    """`mining_view` with a slider for the scene and one for the ratio."""

    view = staticmethod(mining_view)

    def __init__(self, state: MiningState):
        self.scene = widgets.IntSlider(value=state.scene, max=SCENES - 1, description="scene", continuous_update=False)
        self.ratio = widgets.IntSlider(value=state.ratio, max=MOST_PER_POSITIVE, description="per positive")
        self.positives = widgets.ToggleButtons(
            options=[("hidden", False), ("drawn", True)], value=state.positives, description="positives"
        )
        controls = (self.scene, self.ratio, self.positives)
        align(*controls)
        super().__init__(controls)

    @property
    def state(self) -> MiningState:
        """What the controls say."""
        return MiningState(self.scene.value, self.ratio.value, self.positives.value)


def explore_mining(**state: Any) -> MiningExplorer:
    """The mining explorer, for the last line of a notebook's cell.

    Args:
        state: where to begin, as in `MiningState`: scene, ratio, positives.
    """
    return MiningExplorer(MiningState(**state))
