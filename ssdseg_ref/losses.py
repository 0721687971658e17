"""Losses of detection and segmentation, in `keras.ops`, so that they run on every Keras backend.

Sources: multibox with hard negative mining, Liu et al. 2016, "SSD", section 2.2; smooth L1, Girshick 2015, "Fast
R-CNN", equation 3; GIoU, Rezatofighi et al. 2019, "Generalized Intersection over Union", algorithm 1; scores that are
taught the IoU, Li et al. 2020, "Generalized Focal Loss", section 3.1, with softmax in the place of their sigmoids;
dice, Milletari et al. 2016, "V-Net", section 3, whose denominator is squared; without the squares it is Drozdzal et al.
2016.

Every loss is a mean, over anchors or over pixels, so none grows with the image or with the batch. Outputs in half
precision are counted in float32: sums over all pixels of a batch are more than float16 holds.
"""

from collections.abc import Callable

from keras import KerasTensor, ops
from keras.backend import standardize_dtype
from numpy.typing import ArrayLike

from ssdseg_ref.data.sample import BACKGROUND, IGNORE

NEGATIVES_PER_POSITIVE = 3  # of Liu et al.
LEAST_NEGATIVES = 3  # mined even from an image without a box, which could teach nothing else
EPSILON = 1e-7


def smooth_l1(truth: KerasTensor, predicted: KerasTensor) -> KerasTensor:
    """Square near zero, straight farther out: 0.5 d² where |d| < 1, else |d| - 0.5; element by element.

    Args:
        truth: (...) offsets.
        predicted: (...) offsets.

    Returns:
        (...), one loss per element.
    """
    truth, predicted = _wide(truth, predicted)
    distance = ops.abs(truth - predicted)
    return ops.where(distance < 1, 0.5 * ops.square(distance), distance - 0.5)


def class_cross_entropy(classes: KerasTensor, logits: KerasTensor) -> KerasTensor:
    """Softmax cross-entropy: minus the logarithm of the share that the true class gets.

    Args:
        classes: (...) int, the true class.
        logits: (..., C + 1).

    Returns:
        (...), one loss per element.
    """
    (logits,) = _wide(logits)
    classes = ops.one_hot(classes, logits.shape[-1], dtype=logits.dtype)
    return -ops.sum(classes * ops.log_softmax(logits, axis=-1), axis=-1)


def mine_hard_negatives(losses: KerasTensor, positive: KerasTensor) -> KerasTensor:
    """The background anchors that are hardest, three per positive, chosen in each image separately.

    Args:
        losses: (B, N), the class loss of each anchor.
        positive: (B, N) bool, the anchors that have a box.

    Returns:
        (B, N) bool, the negatives that count.
    """
    anchors = ops.shape(losses)[1]
    positives = ops.sum(ops.cast(positive, "int32"), axis=1, keepdims=True)
    wanted = ops.maximum(NEGATIVES_PER_POSITIVE * positives, LEAST_NEGATIVES)
    wanted = ops.minimum(wanted, anchors - positives)  # (B, 1)
    hardness = ops.where(positive, -1.0, losses)  # no loss is negative, so positives come last
    rank = ops.argsort(ops.argsort(-hardness, axis=1), axis=1)  # of each anchor in its image: 0 is the hardest
    return rank < ops.cast(wanted, rank.dtype)


def multibox_loss(
    classes: KerasTensor, offsets: KerasTensor, class_logits: KerasTensor, predicted_offsets: KerasTensor
) -> tuple[KerasTensor, KerasTensor]:
    """Loss of the detector: cross-entropy of positives and mined negatives, and smooth L1 of the positives' offsets.

    Args:
        classes: (B, N) int32 from `encode_targets`, 0 for background.
        offsets: (B, N, 4) from `encode_targets`.
        class_logits: (B, N, C + 1) of the network.
        predicted_offsets: (B, N, 4) of the network.

    Returns:
        Two scalars, the class loss and the box loss, each divided by the number of positives in the batch, or of images
        where those are more: the negatives of images without a box would otherwise add up with the batch.
    """
    positive = classes != BACKGROUND
    losses = class_cross_entropy(classes, class_logits)  # (B, N)
    counted = ops.logical_or(positive, mine_hard_negatives(ops.stop_gradient(losses), positive))
    images = ops.cast(ops.shape(losses)[0], losses.dtype)
    positives = ops.maximum(ops.sum(ops.cast(positive, losses.dtype)), images)
    class_loss = ops.sum(ops.where(counted, losses, 0.0)) / positives
    distances = ops.sum(smooth_l1(offsets, predicted_offsets), axis=-1)  # (B, N)
    box_loss = ops.sum(ops.where(positive, distances, 0.0)) / positives
    return class_loss, box_loss


def giou_loss(truth: KerasTensor, predicted: KerasTensor) -> KerasTensor:
    """1 - GIoU of corner boxes: IoU less the share of the enclosing box that neither covers.

    Args:
        truth: (..., 4) corners.
        predicted: (..., 4) corners.

    Returns:
        (...) in 0..2.
    """
    truth, predicted = _wide(truth, predicted)
    outer_low, outer_high = (
        ops.minimum(truth[..., :2], predicted[..., :2]),
        ops.maximum(truth[..., 2:], predicted[..., 2:]),
    )
    intersection, union = _intersection_and_union(truth, predicted)
    enclosing = ops.prod(outer_high - outer_low, axis=-1)
    return 1 - intersection / ops.maximum(union, EPSILON) + (enclosing - union) / ops.maximum(enclosing, EPSILON)


def iou_aware_loss(
    truth: KerasTensor, predicted: KerasTensor, classes: KerasTensor, class_logits: KerasTensor
) -> KerasTensor:
    """What a positive's class loss lacks, for its score to learn how good its box is.

    Cross-entropy wants all of the share for the true class. Here it shall get as much as the box has IoU, and
    background the rest: IoU times the loss of the class, and (1 - IoU) times that of background. What that is more than
    `class_cross_entropy` is (1 - IoU) * (logit of the class - logit of background), for the sum in softmax drops out.

    Args:
        truth: (..., 4) corners.
        predicted: (..., 4) corners. The IoU is a target here: no gradient flows into the boxes.
        classes: (...) int, the true class.
        class_logits: (..., C + 1).

    Returns:
        (...), to be added to the class loss of positives; below zero where background scores higher than the class.
    """
    truth, predicted, class_logits = _wide(truth, predicted, class_logits)
    intersection, union = _intersection_and_union(truth, predicted)
    lacking = 1 - ops.stop_gradient(intersection / ops.maximum(union, EPSILON))
    one_hot = ops.one_hot(classes, class_logits.shape[-1], dtype=class_logits.dtype)
    return lacking * (ops.sum(one_hot * class_logits, axis=-1) - class_logits[..., BACKGROUND])


def weighted_cross_entropy(mask: KerasTensor, logits: KerasTensor, class_weights: ArrayLike) -> KerasTensor:
    """Cross-entropy of the pixels, weighted by class: the weighted mean over all pixels that are not "ignore".

    Args:
        mask: (B, H, W) int, 255 where nothing counts.
        logits: (B, H, W, C + 1).
        class_weights: C + 1 numbers, background first.

    Returns:
        A scalar, 0 where no pixel counts.

    Raises:
        ValueError: if there are more or fewer weights than classes.
    """
    (logits,) = _wide(logits)
    by_class = ops.convert_to_tensor(class_weights, dtype=logits.dtype)
    if by_class.shape[0] != logits.shape[-1]:
        raise ValueError(
            f"{logits.shape[-1]} classes, background among them, need as many weights, got {by_class.shape[0]}"
        )
    counts = mask != IGNORE
    classes = ops.where(counts, ops.cast(mask, "int32"), BACKGROUND)
    weights = ops.take(by_class, classes)
    weights = ops.where(counts, weights, 0.0)
    return ops.sum(weights * class_cross_entropy(classes, logits)) / ops.maximum(ops.sum(weights), EPSILON)


def dice_loss(mask: KerasTensor, logits: KerasTensor) -> KerasTensor:
    """1 - dice, the mean over the classes: twice the overlap, divided by the sum of both areas.

    Background is a class like the others. A class is judged over the whole batch, and one that the batch's masks do
    not hold is left out: dice of nothing is no measure of anything.

    Args:
        mask: (B, H, W) int, 255 where nothing counts.
        logits: (B, H, W, C + 1).

    Returns:
        A scalar in 0..1, 0 where no pixel counts.
    """
    return _dice_loss(mask, logits, lambda share: share)


def dice_square_loss(mask: KerasTensor, logits: KerasTensor) -> KerasTensor:
    """`dice_loss` with the squares of V-Net in the denominator, which judges unsure pixels more mildly.

    Args:
        mask: (B, H, W) int, 255 where nothing counts.
        logits: (B, H, W, C + 1).

    Returns:
        A scalar in 0..1, 0 where no pixel counts.
    """
    return _dice_loss(mask, logits, ops.square)


def _dice_loss(mask: KerasTensor, logits: KerasTensor, power: Callable[[KerasTensor], KerasTensor]) -> KerasTensor:
    (logits,) = _wide(logits)
    counts = mask != IGNORE
    classes = ops.where(counts, ops.cast(mask, "int32"), BACKGROUND)
    counts = ops.cast(counts, logits.dtype)[..., None]
    truth = ops.one_hot(classes, logits.shape[-1], dtype=logits.dtype) * counts
    share = ops.softmax(logits, axis=-1) * counts
    pixels = (0, 1, 2)
    overlap, truth_area = ops.sum(truth * share, axis=pixels), ops.sum(truth, axis=pixels)
    dice = 2 * overlap / ops.maximum(truth_area + ops.sum(power(share), axis=pixels), EPSILON)
    present = ops.cast(truth_area > 0, logits.dtype)
    return ops.sum(present * (1 - dice)) / ops.maximum(ops.sum(present), 1.0)


def _intersection_and_union(one: KerasTensor, other: KerasTensor) -> tuple[KerasTensor, KerasTensor]:
    """Areas of corner boxes, pair by pair."""
    low, high = ops.maximum(one[..., :2], other[..., :2]), ops.minimum(one[..., 2:], other[..., 2:])
    intersection = ops.prod(ops.maximum(high - low, 0.0), axis=-1)
    areas = [ops.prod(boxes[..., 2:] - boxes[..., :2], axis=-1) for boxes in (one, other)]
    return intersection, areas[0] + areas[1] - intersection


def _wide(*outputs: KerasTensor) -> tuple[KerasTensor, ...]:
    """Tensors in float32 where they come in half precision; float64 stays, unless it meets what does not."""
    kinds = [standardize_dtype(ops.convert_to_tensor(output).dtype) for output in outputs]
    kind = "float64" if set(kinds) == {"float64"} else "float32"
    return tuple(ops.cast(output, kind) for output in outputs)
