"""What `sharper.py` changes of a training, one thing at a time: losses, targets, heads, horizons."""

from dataclasses import dataclass, fields
from typing import Any

import keras
import numpy as np
from keras import KerasTensor, layers, ops

from ssdseg_ref.coding import decode, encode
from ssdseg_ref.config import BACKBONE_STRIDES, Config
from ssdseg_ref.data.sample import BACKGROUND
from ssdseg_ref.losses import (
    EPSILON,
    _intersection_and_union,
    class_cross_entropy,
    dice_loss,
    giou_loss,
    iou_aware_loss,
    mine_hard_negatives,
    smooth_l1,
    weighted_cross_entropy,
)
from ssdseg_ref.network import build_network
from ssdseg_ref.ssdlite import OFFSETS_PER_BOX, output_conv, prediction_head
from ssdseg_ref.training import JointTraining

# Against five losses that weigh 1 each. Several may be joined by a plus; giou5+quality is the recipes'.
VARIANTS: dict[str, dict[str, Any]] = {
    "none": {},
    "giou2": {"giou": 2.0},
    "giou5": {"giou": 5.0},
    "ciou5": {"giou": 5.0, "kind": "ciou"},
    "box3": {"box": 3.0},
    "l1": {"beta": 0.1},  # smooth L1 that is straight from a tenth on: small errors keep their slope
    "nobox": {"box": 0.0},
    "quality": {"quality": True},
    "bins": {"bins": True},
    "stride4": {"stride4": True},
    "cost": {"cost": True},
    "ema0.995": {"ema": 0.995},
    "ema0.999": {"ema": 0.999},
    "bn0.9": {"bn": 0.9},
    "nozoom": {"zoom": 0.0},
    "muon": {"muon": 0.02},
}

# --- a finer head

FINE_STRIDE = 4
FINE_SCALE = 0.1
FINE_RATIOS = (0.3, 0.5)


@dataclass(frozen=True)
class FinerConfig(Config):
    """A configuration whose finest anchors lie on the decoder's map of stride 4."""

    @property
    def strides(self) -> tuple[int, ...]:
        """As `Config.strides`, with one more in front."""
        return (FINE_STRIDE, *super().strides)


def varied_config(config: Config, variant: dict[str, Any]) -> Config:
    """The configuration that a variant's anchors come from."""
    if not variant.get("stride4"):
        return config
    values = {part.name: getattr(config, part.name) for part in fields(Config)}
    values["scales"] = (FINE_SCALE, *config.scales)
    values["aspect_ratios"] = (FINE_RATIOS, *config.anchor_spec.ratios_by_map)
    return FinerConfig(**values)


def varied_network(config: Config, variant: dict[str, Any]) -> keras.Model:
    """A network of that configuration with the heads that a variant asks for."""
    network = build_network(config)
    outputs = dict(network.output)
    if variant.get("stride4"):
        decoded = network.get_layer("decoder_refine2_pw_relu6").output
        for name, values in (("classes", len(config.classes) + 1), ("offsets", OFFSETS_PER_BOX)):
            fine = prediction_head(decoded, len(FINE_RATIOS) + 1, values, name=f"map0_{name}")
            outputs[name] = layers.Concatenate(axis=1, name=f"finer_{name}")([fine, outputs[name]])
    if variant.get("bins"):
        outputs["bins"] = _bins(network, config)
        outputs["offsets"] = ops.sum(ops.softmax(outputs["bins"]) * BINS, axis=-1)
    return keras.Model(network.input, outputs, name=network.name)


# --- offsets as distributions: Li et al. 2020, "Generalized Focal Loss", section 3.2

# Most offsets of matched anchors are within 4; those of a box's only anchor need not be.
BINS = np.arange(-8, 9, dtype=np.float32)


def _bins(network: keras.Model, config: Config) -> KerasTensor:
    """(B, N, 4, bins) logits, from what the layers of the offsets read."""
    rows = []
    maps = len(BACKBONE_STRIDES) + len(config.extra_channels)
    for index, count in enumerate(config.anchor_spec.anchors_per_cell[-maps:], start=1):
        x = network.get_layer(f"map{index}_offsets_relu6").output
        x = output_conv(x, count * OFFSETS_PER_BOX * len(BINS), name=f"map{index}_bins")
        rows.append(layers.Reshape((-1, OFFSETS_PER_BOX, len(BINS)), name=f"map{index}_bins_rows")(x))
    return layers.Concatenate(axis=1, name="bins")(rows)


def distribution_loss(truth: KerasTensor, logits: KerasTensor) -> KerasTensor:
    """Cross-entropy with the two bins that an offset lies between, nearer ones weighing more; the mean of the four."""
    place = ops.clip(truth - BINS[0], 0.0, len(BINS) - 1.001)[..., None]
    weights = ops.maximum(1 - ops.abs(ops.arange(len(BINS), dtype="float32") - place), 0.0)
    return ops.mean(-ops.sum(weights * ops.log_softmax(logits), axis=-1), axis=-1)


# --- matching by cost: Ge et al. 2021, "YOLOX", section 2.1, "SimOTA"

MOST_BOXES = 32
CANDIDATES = 10  # whose IoUs say how many anchors a box gets
IOU_COST = 3.0
OUTSIDE = 1e4  # cost of an anchor whose middle is not in the box


def with_boxes(dataset: Any, anchors: np.ndarray) -> Any:
    """Batches whose targets have "truth" too: (B, 32, 5), label and corners, label 0 where there is no box."""
    import tensorflow as tf

    def boxes_of(classes: np.ndarray, offsets: np.ndarray) -> np.ndarray:
        truth = np.zeros((len(classes), MOST_BOXES, 5), np.float32)
        for image, (labels, rows) in enumerate(zip(classes, offsets, strict=True)):
            positive = labels != BACKGROUND
            found = np.column_stack([labels[positive], decode(rows[positive], anchors[positive])])
            found = found[np.unique(found.round(4), axis=0, return_index=True)[1]][:MOST_BOXES]
            truth[image, : len(found)] = found
        return truth

    def add(image: Any, targets: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        truth = tf.numpy_function(boxes_of, [targets["classes"], targets["offsets"]], tf.float32)
        return image, targets | {"truth": tf.ensure_shape(truth, (None, MOST_BOXES, 5))}

    return dataset.map(add)


def matched_by_cost(
    truth: KerasTensor, logits: KerasTensor, boxes: KerasTensor, anchors: np.ndarray
) -> tuple[KerasTensor, KerasTensor]:
    """Each box takes the anchors that predict it best already, as many as overlap it altogether.

    Args:
        truth: (B, M, 5) of `with_boxes`.
        logits: (B, N, C + 1).
        boxes: (B, N, 4) predicted corners.
        anchors: (N, 4) corners.

    Returns:
        Class (B, N), 0 where an anchor has no box, and offsets (B, N, 4).
    """
    labels, corners = ops.cast(truth[..., 0], "int32"), truth[..., 1:]
    intersection, union = _intersection_and_union(corners[:, :, None], boxes[:, None])
    overlaps = intersection / ops.maximum(union, EPSILON)  # (B, M, N)
    one_hot = ops.one_hot(labels, logits.shape[-1], dtype="float32")
    class_costs = -ops.einsum("bmc,bnc->bmn", one_hot, ops.log_softmax(logits))
    middles = (anchors[:, :2] + anchors[:, 2:]) / 2
    inside = ops.logical_and(
        ops.all(middles > corners[:, :, None, :2], axis=-1), ops.all(middles < corners[:, :, None, 2:], axis=-1)
    )
    real = (labels != BACKGROUND)[..., None]
    costs = class_costs - IOU_COST * ops.log(overlaps + 1e-6) + ops.where(inside, 0.0, OUTSIDE)
    costs = ops.where(real, costs, 10 * OUTSIDE)
    counts = ops.maximum(ops.floor(ops.sum(ops.top_k(overlaps, CANDIDATES)[0], axis=-1)), 1.0)  # (B, M), at most 10
    cheapest = -ops.top_k(-costs, CANDIDATES)[0]
    limits = ops.take_along_axis(cheapest, ops.cast(counts, "int32")[..., None] - 1, axis=-1)
    taken = ops.logical_and(costs <= limits, real)
    best = ops.argmin(ops.where(taken, costs, 100 * OUTSIDE), axis=1)  # (B, N): an anchor has one box
    chosen = ops.any(taken, axis=1)
    classes = ops.where(chosen, ops.take_along_axis(labels, best, axis=1), BACKGROUND)
    targets = ops.take_along_axis(corners, best[..., None], axis=1)
    return classes, ops.where(chosen[..., None], encode(ops.where(chosen[..., None], targets, anchors), anchors), 0.0)


# --- losses


def ciou_loss(truth: KerasTensor, predicted: KerasTensor) -> KerasTensor:
    """Zheng et al. 2020, "Distance-IoU Loss", section 3.3: IoU, distance of the middles, likeness of the shapes."""
    intersection, union = _intersection_and_union(truth, predicted)
    overlap = intersection / ops.maximum(union, EPSILON)
    outer = ops.maximum(truth[..., 2:], predicted[..., 2:]) - ops.minimum(truth[..., :2], predicted[..., :2])
    apart = (truth[..., :2] + truth[..., 2:] - predicted[..., :2] - predicted[..., 2:]) / 2
    distance = ops.sum(ops.square(apart), axis=-1) / ops.maximum(ops.sum(ops.square(outer), axis=-1), 1e-7)
    angles = []
    for boxes in (truth, predicted):
        size = ops.maximum(boxes[..., 2:] - boxes[..., :2], 1e-6)
        angles.append(ops.arctan(size[..., 0] / size[..., 1]))
    shape = 4 / np.pi**2 * ops.square(angles[0] - angles[1])
    weight = ops.stop_gradient(shape / ops.maximum(1 - overlap + shape, 1e-7))
    return 1 - overlap + distance + weight * shape


class Varied(JointTraining):
    """Joint training with weights, kinds and targets of the losses that may differ from the recipes'."""

    def __init__(self, network: keras.Model, config: Config, variant: dict[str, Any]):
        super().__init__(network, config, (1.0,) * (len(config.classes) + 1))
        self.variant = variant

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        """As JointTraining's, where the variant says nothing else."""
        logits, offsets, mask = (ops.cast(y_pred[name], "float32") for name in ("classes", "offsets", "mask"))
        predicted = decode(ops.clip(offsets, -30.0, 30.0), self.anchors)
        classes, targets = y["classes"], y["offsets"]
        if self.variant.get("cost"):
            known = (ops.stop_gradient(values) for values in (logits, predicted))
            classes, targets = matched_by_cost(y["truth"], *known, self.anchors)
        positive = classes != BACKGROUND
        count = ops.maximum(ops.sum(ops.cast(positive, "float32")), ops.cast(ops.shape(logits)[0], "float32"))
        truth = decode(targets, self.anchors)
        losses = class_cross_entropy(classes, logits)
        counted = ops.logical_or(positive, mine_hard_negatives(ops.stop_gradient(losses), positive))
        if self.variant.get("quality"):
            losses = ops.where(positive, losses + iou_aware_loss(truth, predicted, classes, logits), losses)
        if self.variant.get("bins"):
            distances = distribution_loss(targets, ops.cast(y_pred["bins"], "float32"))
        else:
            beta = self.variant.get("beta", 1.0)
            distances = ops.sum(smooth_l1(targets / beta, offsets / beta), axis=-1) * beta
        overlap_loss = ciou_loss if self.variant.get("kind") == "ciou" else giou_loss

        def mean(values: KerasTensor, where: KerasTensor) -> KerasTensor:
            return ops.sum(ops.where(where, values, 0.0)) / count

        parts = (
            mean(losses, counted),
            mean(distances, positive),
            mean(overlap_loss(truth, predicted), positive),
            weighted_cross_entropy(y["mask"], mask, self.class_weights),
            dice_loss(y["mask"], mask),
        )
        for tracker, part in zip(self.trackers, parts, strict=True):
            tracker.update_state(part)
        weights = (1.0, self.variant.get("box", 1.0), self.variant.get("giou", 1.0), 1.0, 1.0)
        return sum(weight * part for weight, part in zip(weights, parts, strict=True))
