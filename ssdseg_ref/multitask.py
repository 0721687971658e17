"""The joint network: one backbone, SSDLite and DeepLabV3+ on top of it, and what turns its output into predictions."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from math import ceil
from pathlib import Path

import keras
import numpy as np
from keras import layers
from PIL import Image

from ssdseg_ref.anchors import AnchorSpec, make_anchors
from ssdseg_ref.blocks import NORM, separable_conv_bn
from ssdseg_ref.coding import decode
from ssdseg_ref.data.sample import BACKGROUND, IGNORE
from ssdseg_ref.deeplabv3plus import deeplabv3plus
from ssdseg_ref.mobilenetv2 import mobilenet_v2_features
from ssdseg_ref.nms import non_max_suppression
from ssdseg_ref.shufflenetv2 import shufflenet_v2_features
from ssdseg_ref.ssdlite import extra_maps, ssdlite

WEIGHTS = Path(__file__).parent / "weights"
BACKBONE_STRIDES = (8, 16, 32)  # of the backbone's maps that predict boxes; each extra map doubles the last


@dataclass(frozen=True)
class Config:
    """All that decides the shape of the network.

    Attributes:
        classes: names of the classes, 1 to 254, background not among them.
        image_size: (height, width) in pixels; any, also one that 32 does not divide.
        backbone: "mobilenetv2" or "shufflenetv2".
        alpha: width multiplier of MobileNetV2.
        width: of ShuffleNetV2, a key of its `WIDTHS`.
        extra_channels: one number an extra map.
        scales: of the anchors, one a map and one more.
        aspect_ratios: of the anchors: one tuple for all maps, or one a map.
        aspp_rates: dilations of ASPP.
        mask_channels: of ASPP and of the decoder.
        low_level_channels: of the fine map in the decoder.
        fine_channels: of a second decoder, of stride 2; 0 leaves it out.
        shared_channels: of what the detector's finest map takes from the decoder, which has seen the whole image and
            knows edges to the pixel; 0 takes nothing.
    """

    classes: tuple[str, ...]
    image_size: tuple[int, int]
    backbone: str
    alpha: float
    width: str
    extra_channels: tuple[int, ...]
    scales: tuple[float, ...]
    aspect_ratios: tuple
    aspp_rates: tuple[int, ...]
    mask_channels: int
    low_level_channels: int
    fine_channels: int = 0
    shared_channels: int = 0

    @property
    def strides(self) -> tuple[int, ...]:
        """Of the maps that predict boxes, finest first."""
        last = BACKBONE_STRIDES[-1]
        return BACKBONE_STRIDES + tuple(last * 2**step for step in range(1, len(self.extra_channels) + 1))

    @cached_property
    def anchor_spec(self) -> AnchorSpec:
        """Anchors of the maps that predict boxes."""
        height, width = self.image_size
        feature_maps = tuple((ceil(height / stride), ceil(width / stride)) for stride in self.strides)
        return AnchorSpec(self.image_size, feature_maps, self.scales, self.aspect_ratios)

    @cached_property
    def anchors(self) -> np.ndarray:
        """(N, 4) float32 corners, in the order of the network's rows."""
        return make_anchors(self.anchor_spec)


LESSON = Config(
    classes=("person", "forklift", "monorail"),
    image_size=(160, 224),
    backbone="mobilenetv2",
    alpha=0.5,
    width="0.5",
    extra_channels=(96,),
    scales=(0.18, 0.33, 0.55, 0.75, 0.95),
    aspect_ratios=((0.3, 0.5), (0.35, 0.6, 2.0), (0.5, 1.0, 2.0), (0.5, 1.0, 2.0)),
    aspp_rates=(2, 4),
    mask_channels=64,
    low_level_channels=24,
)
REFERENCE = Config(
    classes=("person", "forklift", "monorail"),
    image_size=(192, 256),
    backbone="mobilenetv2",
    alpha=1.0,
    width="1.0",
    extra_channels=(256,),
    scales=(0.13, 0.26, 0.46, 0.68, 0.95),
    aspect_ratios=((0.3, 0.45, 0.65), (0.35, 0.6, 1.4, 2.2), (0.55, 1.2, 2.0, 3.0), (1.0, 0.6, 1.8)),
    aspp_rates=(2, 4, 6),
    mask_channels=96,
    low_level_channels=32,
    fine_channels=32,
    shared_channels=96,
)
PRESETS = {"lesson": LESSON, "reference": REFERENCE}
SHIPPED = {
    "lesson": LESSON,
    "mobilenetv2": REFERENCE,
    "shufflenetv2": replace(REFERENCE, backbone="shufflenetv2"),
}


def preset(name: str, backbone: str = "mobilenetv2") -> Config:
    """A preset, on one of the two backbones.

    Args:
        name: a key of `PRESETS`.
        backbone: "mobilenetv2" or "shufflenetv2".

    Raises:
        ValueError: if there is no such preset.
    """
    if name not in PRESETS:
        raise ValueError(f"there is no preset {name!r}; there is {', '.join(PRESETS)}")
    return replace(PRESETS[name], backbone=backbone)


def build_network(config: Config) -> keras.Model:
    """The joint network, out of stock Keras layers: a saved `.keras` file loads without custom code.

    Args:
        config: such as `LESSON` or `REFERENCE`.

    Returns:
        A model from images (B, H, W, 3), pixels in 0..255, to {"classes": (B, N, C + 1) logits, "offsets": (B, N, 4),
        "mask": (B, H, W, C + 1) logits}.

    Raises:
        ValueError: if the configuration does not hold together.
    """
    classes = len(config.classes)
    if not 1 <= classes < IGNORE:
        raise ValueError(f"a network knows 1 to {IGNORE - 1} classes, got {classes}")
    image = keras.Input((*config.image_size, 3), name="image")
    maps = backbone_features(layers.Rescaling(1 / 127.5, offset=-1, name="scale")(image), config)
    mask, decoded = deeplabv3plus(
        maps,
        config.image_size,
        classes,
        channels=config.mask_channels,
        rates=config.aspp_rates,
        low_level_channels=config.low_level_channels,
        fine_channels=config.fine_channels,
    )
    predicting = [maps[stride] for stride in BACKBONE_STRIDES]
    predicting += extra_maps(predicting[-1], config.extra_channels)
    if config.shared_channels:
        shared = separable_conv_bn(decoded, config.shared_channels, stride=2, name="shared")
        predicting[0] = layers.Concatenate(name="shared_concat")([predicting[0], shared])
    logits, offsets = ssdlite(predicting, config.anchor_spec.anchors_per_cell, classes)
    return keras.Model(image, {"classes": logits, "offsets": offsets, "mask": mask}, name=f"ssdseg_{config.backbone}")


def backbone_features(x, config: Config) -> dict:
    """The feature maps that the heads stand on, by their stride.

    Args:
        x: (B, H, W, 3) in [-1, 1].
        config: says which backbone, and how wide.

    Returns:
        {4: ..., 8: ..., 16: ..., 32: ...}, and perhaps more.

    Raises:
        ValueError: if there is no such backbone.
    """
    if config.backbone == "mobilenetv2":
        return mobilenet_v2_features(x, config.alpha, norm=NORM)
    if config.backbone == "shufflenetv2":
        return shufflenet_v2_features(x, config.width, norm=NORM)
    raise ValueError(f'the backbone is "mobilenetv2" or "shufflenetv2", got {config.backbone!r}')


def load_network(name: str) -> keras.Model:
    """A trained network that is shipped with the course.

    Args:
        name: a key of `SHIPPED`, where its configuration stands.

    Raises:
        ValueError: if there is none of that name.
    """
    if name not in SHIPPED:
        raise ValueError(f"there is no shipped network {name!r}; there is {', '.join(SHIPPED)}")
    network = build_network(SHIPPED[name])
    network.load_weights(WEIGHTS / f"{name}.weights.h5")
    return network


@dataclass(frozen=True)
class Prediction:
    """What the network sees in one image.

    Attributes:
        boxes: (D, 4) float32 corners within the image, in fractions of it; best first.
        labels: (D,) int32 classes, from 1.
        scores: (D,) float32.
        mask: (H, W) uint8, of the image's own size.
    """

    boxes: np.ndarray
    labels: np.ndarray
    scores: np.ndarray
    mask: np.ndarray


class Predictor:
    """Images in, predictions out: softmax, decoding, NMS a class, and the segmentation gate, image by image.

    Args:
        network: from `build_network` or `load_network`.
        config: the one that it was built from.
        score_threshold: least score of a detection.
        iou_threshold: of NMS. SSD has 0.45; people here stand close and rails cross, and of 0.45 to 0.75, in steps of
            0.05, 0.65 is best in mAP@.5 on the validation scenes (docs/ablations.md).
        max_detections: of one image.
        gate_pixels: the gate: a detection is dropped if its class has fewer pixels than this in the image's own mask.
            0 opens the gate for all.
    """

    def __init__(
        self,
        network: keras.Model,
        config: Config,
        *,
        score_threshold: float = 0.01,
        iou_threshold: float = 0.65,
        max_detections: int = 100,
        gate_pixels: int = 1,
    ):
        self.network = network
        self.config = config
        self.score_threshold = score_threshold
        self.iou_threshold = iou_threshold
        self.max_detections = max_detections
        self.gate_pixels = gate_pixels

    def __call__(self, images: Sequence[np.ndarray]) -> list[Prediction]:
        """Predict for some images at once.

        Args:
            images: (B, H, W, 3) uint8, or a list of (H, W, 3) uint8 of any sizes: each is brought to the network's.

        Returns:
            One prediction an image.

        Raises:
            ValueError: if an image is not (H, W, 3) uint8, or the network gives nothing but NaN.
        """
        if len(images) == 0:
            return []
        batch = np.stack([self._fit(image) for image in images])
        outputs = self.network.predict_on_batch(batch)
        # In float32, whatever precision the network computes in.
        logits, offsets, masks = (np.asarray(outputs[name], np.float32) for name in ("classes", "offsets", "mask"))
        if np.isnan(logits).all() or np.isnan(masks).all():
            raise ValueError("the network gives nothing but NaN: its training must have diverged")
        shares = _softmax(logits)
        boxes = np.clip(decode(offsets, self.config.anchors), 0, 1)
        return [self._predict_one(*parts) for parts in zip(images, shares, boxes, masks, strict=True)]

    def _fit(self, image: np.ndarray) -> np.ndarray:
        if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or image.size == 0:
            raise ValueError(f"an image is (H, W, 3) uint8 and not empty, got {image.shape} {image.dtype}")
        height, width = self.config.image_size
        if image.shape[:2] == (height, width):
            return image
        return np.asarray(Image.fromarray(image).resize((width, height), Image.Resampling.BILINEAR))

    def _predict_one(self, image, shares, boxes, mask_logits) -> Prediction:
        mask = _resized_argmax(mask_logits, image.shape[:2])
        classes = np.arange(BACKGROUND + 1, shares.shape[-1])
        kept_boxes, labels, scores = [], [], []
        for label in classes[segmentation_gate(classes, mask, self.gate_pixels)]:
            kept = non_max_suppression(
                boxes, shares[:, label], self.iou_threshold, self.score_threshold, self.max_detections
            )
            kept_boxes.append(boxes[kept])
            labels.append(np.full(len(kept), label, np.int32))
            scores.append(shares[kept, label])
        if not scores:
            return Prediction(np.empty((0, 4), np.float32), np.empty(0, np.int32), np.empty(0, np.float32), mask)
        every = np.concatenate(scores)
        order = np.argsort(-every, kind="stable")[: self.max_detections]
        return Prediction(np.concatenate(kept_boxes)[order], np.concatenate(labels)[order], every[order], mask)


def segmentation_gate(labels, mask, least_pixels: int) -> np.ndarray:
    """Which detections may pass: those whose class the image's own mask shows.

    Args:
        labels: (D,) int classes.
        mask: (H, W) int, the predicted mask of the same image.
        least_pixels: of a class, for it to count as shown.

    Returns:
        (K,) int indices of the detections that pass, in their order.
    """
    labels = np.asarray(labels, np.int64).reshape(-1)
    pixels = np.bincount(np.asarray(mask).ravel(), minlength=labels.max(initial=0) + 1)
    return np.flatnonzero(pixels[labels] >= least_pixels)


def _softmax(logits: np.ndarray) -> np.ndarray:
    exponentials = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return exponentials / exponentials.sum(axis=-1, keepdims=True)


def _resized_argmax(logits: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """(h, w, C + 1) logits -> (H, W) uint8 classes; the logits are resized, not the classes, so edges stay smooth."""
    if logits.shape[:2] == tuple(size):
        return logits.argmax(axis=-1).astype(np.uint8)
    classes, best = np.zeros(size, np.uint8), np.full(size, -np.inf, np.float32)
    for label, plane in enumerate(np.moveaxis(logits, -1, 0)):  # one at a time: all of a large picture are gigabytes
        resized = np.asarray(Image.fromarray(plane).resize(size[::-1], Image.Resampling.BILINEAR))
        better = resized > best
        classes[better], best[better] = label, resized[better]
    return classes
