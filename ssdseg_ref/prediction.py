"""What turns the network's output into predictions: softmax, decoding, NMS and its vote, and the segmentation gate."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike
from PIL import Image

from ssdseg_ref.coding import decode
from ssdseg_ref.config import Config
from ssdseg_ref.data.sample import BACKGROUND
from ssdseg_ref.nms import average_boxes, non_max_suppression

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True)
class Prediction:
    """What the network finds in one image.

    Attributes:
        boxes: (D, 4) float32 corners within the image, in fractions of it; best first.
        labels: (D,) int32 classes, from 1.
        scores: (D,) float32.
        mask: (H, W) uint8, of the image's own size; all background where the network has learned no masks.
    """

    boxes: np.ndarray
    labels: np.ndarray
    scores: np.ndarray
    mask: np.ndarray


class Predictor:
    """Images in, predictions out: softmax, decoding, NMS with a vote for each class, and the gate, image by image.

    Args:
        network: from `build_network` or `load_network`.
        config: the one that it was built from.
        score_threshold: least score of a detection.
        iou_threshold: of NMS. SSD has 0.45; people here stand close and rails cross, and of 0.45 to 0.75, in steps of
            0.05, 0.65 is best in mAP@.5 on the validation scenes (docs/ablations.md).
        max_detections: of one image.
        gate_pixels: the gate: a detection is dropped if its class has fewer pixels than this in the image's own mask.
            0 opens the gate for all. By default 1, or 0 where the network has learned no masks.
    """

    def __init__(
        self,
        network: "keras.Model",
        config: Config,
        *,
        score_threshold: float = 0.01,
        iou_threshold: float = 0.65,
        max_detections: int = 100,
        gate_pixels: int | None = None,
    ):
        self.network = network
        self.config = config
        self.score_threshold = score_threshold
        self.iou_threshold = iou_threshold
        self.max_detections = max_detections
        self.gate_pixels = int(config.has_masks) if gate_pixels is None else gate_pixels

    def __call__(self, images: np.ndarray | Sequence[np.ndarray]) -> list[Prediction]:
        """Predict for some images at once.

        Args:
            images: (B, H, W, 3) uint8, or a list of (H, W, 3) uint8 of any sizes: each is brought to the network's.

        Returns:
            One prediction per image.

        Raises:
            ValueError: if an image is not (H, W, 3) uint8, or the network outputs nothing but NaN.
        """
        if len(images) == 0:
            return []
        batch = np.stack([self._fit(image) for image in images])
        outputs = self.network.predict_on_batch(batch)
        # In float32, whatever precision the network computes in.
        logits, offsets, masks = (np.asarray(outputs[name], np.float32) for name in ("classes", "offsets", "mask"))
        if np.isnan(logits).all() or np.isnan(masks).all():
            raise ValueError("the network outputs nothing but NaN: its training must have diverged")
        shares = softmax(logits)
        boxes = np.clip(decode(offsets, self.config.anchors), 0, 1)
        return [self._predict_one(*parts) for parts in zip(images, shares, boxes, masks, strict=True)]

    def _fit(self, image: np.ndarray) -> np.ndarray:
        if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or image.size == 0:
            raise ValueError(f"an image is (H, W, 3) uint8 and not empty, got {image.shape} {image.dtype}")
        height, width = self.config.image_size
        if image.shape[:2] == (height, width):
            return image
        return np.asarray(Image.fromarray(image).resize((width, height), Image.Resampling.BILINEAR))

    def _predict_one(
        self, image: np.ndarray, shares: np.ndarray, boxes: np.ndarray, mask_logits: np.ndarray
    ) -> Prediction:
        size = image.shape[:2]
        mask = _resized_argmax(mask_logits, size) if self.config.has_masks else np.full(size, BACKGROUND, np.uint8)
        classes = np.arange(BACKGROUND + 1, shares.shape[-1])
        kept_boxes, labels, scores = [], [], []
        for label in classes[segmentation_gate(classes, mask, self.gate_pixels)]:
            kept = non_max_suppression(
                boxes, shares[:, label], self.iou_threshold, self.score_threshold, self.max_detections
            )
            kept_boxes.append(average_boxes(boxes, shares[:, label], kept, self.score_threshold))
            labels.append(np.full(len(kept), label, np.int32))
            scores.append(shares[kept, label])
        if not scores:
            return Prediction(np.empty((0, 4), np.float32), np.empty(0, np.int32), np.empty(0, np.float32), mask)
        every = np.concatenate(scores)
        order = np.argsort(-every, kind="stable")[: self.max_detections]
        return Prediction(np.concatenate(kept_boxes)[order], np.concatenate(labels)[order], every[order], mask)


def segmentation_gate(labels: ArrayLike, mask: ArrayLike, least_pixels: int) -> np.ndarray:
    """Which detections may pass: those whose class the image's own mask shows.

    Args:
        labels: (D,) int classes.
        mask: (H, W) int, the predicted mask of the same image.
        least_pixels: of a class, for it to count as shown.

    Returns:
        (K,) int indices of the detections that pass, in their order.
    """
    classes = np.asarray(labels, np.int64).reshape(-1)
    pixels = np.bincount(np.asarray(mask).ravel(), minlength=classes.max(initial=0) + 1)
    return np.flatnonzero(pixels[classes] >= least_pixels)


def softmax(logits: np.ndarray) -> np.ndarray:
    """(..., C + 1) logits -> the share that each class gets; they add up to 1."""
    exponentials = np.exp(logits - logits.max(axis=-1, keepdims=True))
    shares: np.ndarray = exponentials / exponentials.sum(axis=-1, keepdims=True)
    return shares


def _resized_argmax(logits: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """(h, w, C + 1) logits -> (H, W) uint8 classes; the logits are resized, not the classes, so edges stay smooth."""
    classes, best = np.zeros(size, np.uint8), np.full(size, -np.inf, np.float32)
    if logits.shape[:2] == tuple(size):
        classes[:] = logits.argmax(axis=-1)
        return classes
    for label, plane in enumerate(np.moveaxis(logits, -1, 0)):  # one at a time: all of a large picture are gigabytes
        resized = np.asarray(Image.fromarray(plane).resize(size[::-1], Image.Resampling.BILINEAR))
        better = resized > best
        classes[better], best[better] = label, resized[better]
    return classes
