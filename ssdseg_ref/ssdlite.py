"""SSDLite: extra feature maps and light prediction heads on top of a backbone.

Source: Liu et al. 2016, "SSD", section 2.1; Sandler et al. 2018, "MobileNetV2", section 6.2, which makes every
convolution of the heads and of the extra maps a separable one.
"""

from collections.abc import Sequence

from keras import KerasTensor, layers

from ssdseg_ref.blocks import conv_bn, depthwise_bn, output_conv, separable_conv_bn

OFFSETS_PER_BOX = 4


def extra_maps(x: KerasTensor, channels: Sequence[int]) -> list[KerasTensor]:
    """Ever coarser maps behind the backbone, each half the size of the one before.

    Args:
        x: (B, H, W, C), the backbone's last map.
        channels: of the extra maps, one number per map.

    Returns:
        One map of each: (B, ceil(H / 2), ceil(W / 2), channels), and so on down.
    """
    maps = []
    for index, filters in enumerate(channels, start=1):
        x = conv_bn(x, filters // 2, name=f"extra{index}_squeeze")
        x = separable_conv_bn(x, filters, stride=2, name=f"extra{index}")
        maps.append(x)
    return maps


def prediction_head(x: KerasTensor, anchors_per_cell: int, values: int, *, name: str) -> KerasTensor:
    """Depthwise convolution, then a pointwise one that predicts, linearly, for every anchor of every cell.

    The output has neither activation nor batch normalisation: an offset may be negative, and a logit anything.

    Args:
        x: (B, H, W, C).
        anchors_per_cell: A.
        values: predicted for each anchor.
        name: prefix of the layers' names.

    Returns:
        (B, H * W * A, values), ordered by row, column, anchor, as `make_anchors` orders a map.
    """
    x = depthwise_bn(x, name=name)
    x = output_conv(x, anchors_per_cell * values, name=f"{name}_predict")
    return layers.Reshape((-1, values), name=f"{name}_rows")(x)


def ssdlite(
    feature_maps: Sequence[KerasTensor], anchors_per_cell: Sequence[int], classes: int
) -> tuple[KerasTensor, KerasTensor]:
    """Heads for classes and for offsets on every map.

    Args:
        feature_maps: (B, H, W, C) each, in the order of the anchors' maps.
        anchors_per_cell: one number per map.
        classes: number of classes, background not counted.

    Returns:
        class logits (B, N, classes + 1) and offsets (B, N, 4), in the order of the anchors.
    """
    logits, offsets = [], []
    for index, (x, count) in enumerate(zip(feature_maps, anchors_per_cell, strict=True), start=1):
        logits.append(prediction_head(x, count, classes + 1, name=f"map{index}_classes"))
        offsets.append(prediction_head(x, count, OFFSETS_PER_BOX, name=f"map{index}_offsets"))
    return (
        layers.Concatenate(axis=1, name="classes")(logits),
        layers.Concatenate(axis=1, name="offsets")(offsets),
    )
