"""What the small trained network says of a scene before anything is filtered: cached, for several explorers."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from ssdseg_course.explorers.canvas import SCENES
from ssdseg_course.quiet import import_keras
from ssdseg_ref.coding import decode, encode_targets
from ssdseg_ref.data.sample import BACKGROUND
from ssdseg_ref.data.warehouse import render
from ssdseg_ref.prediction import softmax

NETWORK = "lesson"


@dataclass(frozen=True)
class RawOutput:
    """One row per anchor.

    Attributes:
        boxes: (N, 4) decoded corners.
        shares: (N, C + 1) softmax of the class logits.
        classes: (N,) int, what the anchor should say; 0 is background.
        losses: (N,) its cross-entropy.
        anchors: (N, 4) corners.
    """

    boxes: np.ndarray
    shares: np.ndarray
    classes: np.ndarray
    losses: np.ndarray
    anchors: np.ndarray

    @property
    def positive(self) -> np.ndarray:
        """(N,) bool, the anchors that have a box."""
        return np.asarray(self.classes != BACKGROUND)


@lru_cache(maxsize=1)
def _network() -> Any:
    import_keras()
    from ssdseg_ref.network import load_network

    return load_network(NETWORK)


@lru_cache(maxsize=SCENES)
def raw_output(scene: int) -> RawOutput:
    """Of a scene of the Warehouse, drawn as the network was trained to see it."""
    network = _network()
    from ssdseg_ref.config import SHIPPED
    from ssdseg_ref.losses import class_cross_entropy

    config = SHIPPED[NETWORK]
    sample = render(scene, size=config.image_size)
    outputs = network.predict_on_batch(sample.image[None])
    logits, offsets = (np.asarray(outputs[name][0], np.float32) for name in ("classes", "offsets"))
    classes, _ = encode_targets(sample.boxes, sample.labels, config.anchors)
    return RawOutput(
        boxes=decode(offsets, config.anchors),
        shares=softmax(logits),
        classes=classes,
        losses=np.asarray(class_cross_entropy(classes, logits)),
        anchors=config.anchors,
    )
